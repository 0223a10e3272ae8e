"""What a Fabric peer decides about the transactions of a block: their validation codes, and what they leave.

Pure: bytes, configuration and state in, decisions out. The embedded node commits by it, the audit replays by it, and
vectors of Fabric's own decisions hold both to it.
"""
