"""The audit of a whole ledger: pure, from blocks and artifacts to a report; trusts nothing but the genesis block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from fedledger.audit.artifacts import Artifacts, ArtifactSource, no_artifacts
from fedledger.audit.contract_versions import Versions, contract_versions
from fedledger.audit.errors import GenesisError
from fedledger.audit.findings import BLOCK_CHECKS, CheckName, Finding
from fedledger.audit.models import model_checks
from fedledger.audit.norm_bound import norm_bound_check
from fedledger.audit.privacy_spent import privacy_check
from fedledger.audit.report import AuditReport, Check, Outcome
from fedledger.audit.rounds import rounds_check
from fedledger.audit.trusted_ledger import OTHER_CHAINCODES, OUTSIDE_VALIDITY, UNKNOWN_VERSIONS, TrustedLedger
from fedledger.audit.uses import uses_check
from fedledger.audit.world import World
from fedledger_chaincode.contract import VERSION

CHAINCODE = "fedledger"


def verify(
    blocks: Iterable[bytes],
    artifacts: ArtifactSource = no_artifacts,
    *,
    trusted_genesis: str | None = None,
    chaincode: str = CHAINCODE,
    versions: Versions | None = None,
) -> AuditReport:
    """Check every block from the genesis block on, then what the ledger says about models and privacy.

    Args:
        blocks: ``common.Block`` bytes in order from block 0, as a peer delivers them.
        artifacts: where aggregate shares and models are found.
        trusted_genesis: hex header hash of the genesis block that is to be trusted; None trusts the first block.
        chaincode: the contract's name on the channel.
        versions: ``contract_versions(...)`` where versions of the contract lie that do not come with this release;
            None for those that do.

    Raises:
        GenesisError: when the first block is no genesis block that can be judged, or not the trusted one. Everything
            else that is wrong is in the report.
    """
    if versions is None:
        with contract_versions() as found:
            return verify(blocks, artifacts, trusted_genesis=trusted_genesis, chaincode=chaincode, versions=found)
    remaining = iter(blocks)
    genesis = next(remaining, None)
    if genesis is None:
        raise GenesisError("NO_BLOCKS", "There is no block to audit.", "Export a ledger that has its genesis block.")
    ledger = TrustedLedger(genesis, chaincode, versions)
    begun = ledger.genesis_hash.hex()
    if trusted_genesis is not None and trusted_genesis != begun:
        raise GenesisError(
            "OTHER_GENESIS",
            f"The ledger begins with the genesis block {begun}, not with {trusted_genesis}.",
            "Ask an organisation that you trust for the hash of the channel's genesis block.",
        )
    finding = _extend(ledger, remaining)
    checks = [_block_check(name, ledger, finding) for name in BLOCK_CHECKS]
    checks += [_up_to(check, ledger, finding) for check in _ledger_checks(ledger, artifacts)]
    return AuditReport(tuple(checks), ledger.config.channel_id, ledger.height)


def _ledger_checks(ledger: TrustedLedger, artifacts: ArtifactSource) -> tuple[Check, ...]:
    world = World(ledger.state.values(ledger.chaincode))
    return (
        rounds_check(world),
        norm_bound_check(world),
        *model_checks(world, Artifacts(artifacts), ledger.block_of),
        uses_check(world),
        privacy_check(world),
        ledger.times.check(),
    )


def _up_to(check: Check, ledger: TrustedLedger, finding: Finding | None) -> Check:
    """A check over the whole ledger says how far it got when a block stopped the audit."""
    if finding is None or check.outcome not in (Outcome.PASSED, Outcome.LIMITED):
        return check
    return replace(check, outcome=Outcome.STOPPED, detail=f"{check.detail}, up to block {ledger.height - 1}")


def _extend(ledger: TrustedLedger, blocks: Iterable[bytes]) -> Finding | None:
    for block in blocks:
        try:
            ledger.append(block)
        except Finding as finding:
            return finding
    return None


def _block_check(name: CheckName, ledger: TrustedLedger, finding: Finding | None) -> Check:
    count = ledger.tally.counts[name]
    if finding is not None and finding.check is name:
        return Check(name.value, Outcome.FAILED, count, f"block {ledger.height}: {finding.reason}", ledger.height)
    detail = _detail(name, count, ledger)
    if finding is None:
        return Check(name.value, Outcome.SKIPPED if _idle(name, ledger) else Outcome.PASSED, count, detail)
    return Check(name.value, Outcome.STOPPED, count, f"{detail}, up to block {ledger.height - 1}")


def _idle(name: CheckName, ledger: TrustedLedger) -> bool:
    """Whether there was nothing to run again because the contract has another name on this channel."""
    return (
        name in (CheckName.VERSION, CheckName.CONTRACT)
        and not ledger.tally.counts[name]
        and bool(ledger.tally.notes[OTHER_CHAINCODES])
    )


def _runs(ledger: TrustedLedger) -> list[str]:
    """Which version of the contract has run how many transactions again, the one with the most first."""
    counts = ledger.tally.versions or Counter({VERSION: 0})
    told: list[str] = []
    for version, count in counts.most_common():
        origin = ledger.versions.origin(version)
        whose = f"version {version}" if told else f"transactions have the results of version {version} of the contract"
        told.append(f"{count} {'those of ' if told else ''}{whose}" + (f", {origin}" if origin else ""))
    unknown = ledger.tally.notes[UNKNOWN_VERSIONS]
    return told + ([f"{unknown} were made by versions that are not here, with the same results"] if unknown else [])


def _detail(name: CheckName, count: int, ledger: TrustedLedger) -> str:
    notes = ledger.tally.notes
    match name:
        case CheckName.FORMAT:
            return f"{count} blocks of channel {ledger.config.channel_id}"
        case CheckName.LINKS:
            return f"{count} blocks numbered and linked from genesis {ledger.genesis_hash.hex()}"
        case CheckName.DATA:
            return f"{count} blocks hold the transactions that their headers name"
        case CheckName.ORDERERS:
            return f"{count} orderers' signatures over blocks"
        case CheckName.CONFIGURATION:
            return f"{count} configurations; {len(ledger.config.msps)} organisations now"
        case CheckName.CREATORS:
            outside = f"; {notes[OUTSIDE_VALIDITY]} outside their times" if notes[OUTSIDE_VALIDITY] else ""
            return f"{count} transactions signed under certificates of the channel's organisations{outside}"
        case CheckName.ENDORSEMENTS:
            return f"{count} endorsements that satisfy the endorsement policy"
        case CheckName.CODES:
            return f"{count} validation codes replayed, {notes['refused transactions']} refusals among them"
        case CheckName.COMMIT:
            return f"{count} commit hashes of the replayed state"
        case CheckName.VERSION:
            return "; ".join(_runs(ledger))
        case CheckName.CONTRACT:
            others = notes[OTHER_CHAINCODES]
            run = f"{count} transactions of chaincode {ledger.chaincode} run again"
            return run + (f"; {others} of other chaincodes not run" if others else "")
        case CheckName.CONSERVATION:
            held = f"{ledger.balances.accounts} accounts hold the supply of {ledger.balances.supply} micro-tokens"
            return f"{held}, after each of {count} blocks that move any"
    raise ValueError(name)
