"""``fedledger demo``: four hospitals, four validators and one embedded ledger on this machine, on real data."""
