"""One hostile organisation among four, against honest agents on an embedded ledger: what it may do, and what must hold.

``benchmarks/hostile_member.py`` plays it for as long as one likes, ``tests/end_to_end/test_hostile_members.py`` for a
minute. ``play`` puts the parts together: ``ground`` is the network, ``stage`` a task with its honest agents, ``member``
with ``acts`` the hostile organisation, ``promises`` what is checked.
"""
