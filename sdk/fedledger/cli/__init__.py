"""The ``fedledger`` command: arguments in, calls of the SDK, results on stdout; it decides nothing itself."""
