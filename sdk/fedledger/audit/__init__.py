"""The audit of a ledger: everything that it decided is checked again, offline, trusting its genesis block alone.

    report = verify_file(Path("ledger.fedledger"), trusted_genesis="9c56cc...")
    for check in report.checks:
        print(check.name, check.outcome, check.detail)

Refuses to repair or to explain away: a check passes, fails with the first bad block, or says that it was not made.
"""

from fedledger.audit.archive import Archive, ArchiveSummary
from fedledger.audit.artifacts import ArtifactSource
from fedledger.audit.contract_versions import contract_versions
from fedledger.audit.errors import ArchiveError, ArchiveFormatError, GenesisError
from fedledger.audit.findings import CheckName
from fedledger.audit.report import AuditReport, Check, Outcome
from fedledger.audit.sources import (
    LedgerStores,
    export_blocks,
    export_network,
    network_blocks,
    verify_blocks,
    verify_file,
    verify_network,
)
from fedledger.audit.verify import verify

__all__ = [
    "Archive",
    "ArchiveError",
    "ArchiveFormatError",
    "ArchiveSummary",
    "ArtifactSource",
    "AuditReport",
    "Check",
    "CheckName",
    "GenesisError",
    "LedgerStores",
    "Outcome",
    "contract_versions",
    "export_blocks",
    "export_network",
    "network_blocks",
    "verify",
    "verify_blocks",
    "verify_file",
    "verify_network",
]
