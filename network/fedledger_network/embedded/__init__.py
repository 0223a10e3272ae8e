"""A small stand-in for peers and orderers in one process, for one machine: it is no distributed ledger.

It speaks Fabric's protocols with Fabric's messages: the Gateway and Deliver services to clients, the peer's side of the
chaincode protocol to the contract, and it writes signed, hash-linked blocks in Fabric's format.
"""
