"""The load of the ledger benchmarks: members, tasks and rounds on either engine; measures nothing."""
