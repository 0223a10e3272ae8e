"""Where an audit gets its blocks and artifacts: an exported file, a peer, artifact stores. All of its I/O is here.

What is read is handed on as it is; ``verify`` judges it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from fabric_protos.common import ledger_pb2

from fedledger.audit.archive import Archive, ArchiveSummary, write_archive
from fedledger.audit.artifacts import (
    ArtifactSource,
    DamagedArtifact,
    largest_artifact,
    named_stores,
    referenced_artifacts,
    specified_tasks,
)
from fedledger.audit.contract_versions import Versions
from fedledger.audit.errors import ArchiveError
from fedledger.audit.findings import CheckName
from fedledger.audit.report import AuditReport
from fedledger.audit.verify import CHAINCODE, verify
from fedledger.gateway.network import Network
from fedledger.identity.profile import DEFAULT_STORES
from fedledger.store import ArtifactStore, StoreError

_ARTIFACTS = "artifacts"
"""The area of a validator's store that is kept; sealed shares are in another one."""


def verify_file(
    path: Path,
    *,
    trusted_genesis: str | None = None,
    chaincode: str = CHAINCODE,
    versions: Versions | None = None,
) -> AuditReport:
    """Audit an exported ledger; no node and no store is needed.

    Raises:
        ArchiveError, ArchiveFormatError: the file is truncated, damaged, or no exported ledger.
        GenesisError: as ``verify``.
    """
    with Archive.open(path) as archive:
        unasked = set(archive.digests)

        def artifact(digest: str) -> bytes | None:
            unasked.discard(digest)
            return archive.artifact(digest)

        report = verify(
            archive.blocks(), artifact, trusted_genesis=trusted_genesis, chaincode=chaincode, versions=versions
        )
    if report.ok and unasked:
        raise ArchiveError(
            "ARCHIVE_DAMAGED",
            f"{path} holds the artifact {min(unasked)[:16]}, to which its ledger does not refer.",
            "Copy the file again, or export the ledger again.",
        )
    return report


def verify_blocks(
    blocks: Iterable[bytes],
    *,
    artifacts: ArtifactSource | None = None,
    allowed: Collection[str] = DEFAULT_STORES,
    trusted_genesis: str | None = None,
    chaincode: str = CHAINCODE,
    versions: Versions | None = None,
) -> AuditReport:
    """Audit blocks; without ``artifacts`` those are used that lie in the stores that validators name on the ledger.

    Args:
        allowed: the protocols by which such stores may be opened: ``Profile.stores``.
    """
    stores = LedgerStores(chaincode, allowed=allowed)
    if artifacts is None:
        artifacts, blocks = stores, stores.watched(blocks)
    report = verify(blocks, artifacts, trusted_genesis=trusted_genesis, chaincode=chaincode, versions=versions)
    return report.with_detail(CheckName.MODELS.value, stores.told())


def verify_network(
    network: Network,
    *,
    artifacts: ArtifactSource | None = None,
    allowed: Collection[str] = DEFAULT_STORES,
    trusted_genesis: str | None = None,
    chaincode: str = CHAINCODE,
    versions: Versions | None = None,
) -> AuditReport:
    """Audit the blocks of a peer up to the one that is its newest now; see ``verify_blocks``.

    Raises:
        EventsError, EvaluateError: the peer cannot be asked.
        GenesisError: as ``verify``.
    """
    return verify_blocks(
        network_blocks(network),
        artifacts=artifacts,
        allowed=allowed,
        trusted_genesis=trusted_genesis,
        chaincode=chaincode,
        versions=versions,
    )


def export_blocks(
    blocks: Iterable[bytes],
    out: Path,
    *,
    artifacts: ArtifactSource | None = None,
    allowed: Collection[str] = DEFAULT_STORES,
    chaincode: str = CHAINCODE,
) -> ArchiveSummary:
    """Write blocks, and the models and aggregate shares that they refer to, into one file for ``verify_file``.

    Nothing is judged: a ledger that somebody tampered with is exported as it is. A damaged artifact counts as missing.
    """
    stores = LedgerStores(chaincode, allowed=allowed)
    source = stores if artifacts is None else artifacts

    def undamaged(digest: str) -> bytes | None:
        try:
            return source(digest)
        except DamagedArtifact:
            return None

    return write_archive(out, stores.watched(blocks), lambda block: referenced_artifacts(block, chaincode), undamaged)


def export_network(
    network: Network,
    out: Path,
    *,
    artifacts: ArtifactSource | None = None,
    allowed: Collection[str] = DEFAULT_STORES,
    chaincode: str = CHAINCODE,
) -> ArchiveSummary:
    """Write the ledger of a peer into one file, as ``export_blocks``."""
    return export_blocks(network_blocks(network), out, artifacts=artifacts, allowed=allowed, chaincode=chaincode)


def network_blocks(network: Network) -> Iterator[bytes]:
    """``common.Block`` bytes of a channel from block 0 to the newest one, by Fabric's ``qscc`` and Deliver."""
    info = ledger_pb2.BlockchainInfo.FromString(
        network.get_contract("qscc").evaluate_transaction("GetChainInfo", network.name)
    )
    with network.block_events(start_block=0, end_block=info.height - 1, reconnect=True) as events:
        for block in events:
            yield block.SerializeToString(deterministic=True)


class LedgerStores:
    """The artifact stores that validators name on a ledger, learnt from its blocks as they pass by.

    Every copy of an artifact is read, and those that are damaged are told. They count as missing: what lies in a store
    is its owner's doing, and makes no ledger wrong. A store that cannot be reached, or must not be opened, holds
    nothing.
    """

    def __init__(
        self, chaincode: str = CHAINCODE, urls: Iterable[str] = (), allowed: Collection[str] = DEFAULT_STORES
    ) -> None:
        """
        Args:
            urls: validators' stores that are known beforehand.
            allowed: the protocols that may be opened.
        """
        self._chaincode = chaincode
        self._allowed = frozenset(allowed)
        self._stores: dict[str, ArtifactStore] = {}
        self._largest_of: dict[str, int] = {}
        """Bytes of the largest artifact that a task can have."""
        self._largest: dict[str, int] = {}
        """The same by digest, of those that the ledger refers to."""
        self._damaged: dict[tuple[str, str], None] = {}
        """Digest and place of copies that are not what they should be."""
        self._add(urls)

    def watched(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same blocks; the stores that they name are remembered, and the artifacts that they refer to."""
        for block in blocks:
            self._add(named_stores(block, self._chaincode))
            self._largest_of |= {s.task: largest_artifact(s) for s in specified_tasks(block, self._chaincode)}
            for digest, task in referenced_artifacts(block, self._chaincode).items():
                self._largest[digest] = max(self._largest.get(digest, 0), self._largest_of.get(task, 0))
            yield block

    def __call__(self, digest: str) -> bytes | None:
        """The artifact, None where no store has it whole."""
        largest = self._largest.get(digest)
        if largest is None:
            return None
        found = None
        for store in self._stores.values():
            copy = self._copy(store, digest, largest)
            found = copy if found is None else found
        return found

    def told(self) -> str:
        """What is damaged, in a few words; empty when nothing is."""
        if not self._damaged:
            return ""
        digest, place = next(iter(self._damaged))
        return f"{len(self._damaged)} damaged copies count as missing, the first is {digest[:16]} in {place}"

    def _add(self, urls: Iterable[str]) -> None:
        for url in urls:
            self._stores.setdefault(url.rstrip("/"), ArtifactStore(url, self._allowed, area=(_ARTIFACTS,)))

    def _copy(self, store: ArtifactStore, digest: str, largest: int) -> bytes | None:
        try:
            return store.get(digest, largest, at_most=True)
        except StoreError as error:
            if error.code in ("ARTIFACT_CORRUPT", "ARTIFACT_TOO_LARGE"):
                self._damaged[digest, store.url] = None
            return None
