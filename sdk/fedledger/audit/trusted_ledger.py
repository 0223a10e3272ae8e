"""The part of a ledger that has passed every check, grown block by block: bytes in, decision out, no I/O.

Begins with a genesis block, the only thing that is trusted. A block that fails a check raises ``Finding``; state and
configuration stay those of the block before it, and nothing after it can be judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from fedledger.audit.balances import Balances
from fedledger.audit.block_checks import check_data, check_links, check_metadata, check_orderers, read_block
from fedledger.audit.channel import ChannelConfig, parse_config
from fedledger.audit.config_updates import updated_config
from fedledger.audit.contract_run import check_run, check_untouched, run_version
from fedledger.audit.contract_versions import Versions
from fedledger.audit.endorsement_policies import LIFECYCLE, EndorsementPolicies
from fedledger.audit.errors import GenesisError
from fedledger.audit.findings import CheckName, Finding, Tally
from fedledger.audit.ledger_time import LedgerTime
from fedledger.audit.transaction_checks import failed_check, is_outside_validity, same_verdict, time_of, told
from fedledger.gateway.blocks import (
    EndorserTransaction,
    Version,
    commit_hash,
    header_hash,
    is_config,
    parse_envelope_header,
    recorded_commit_hash,
    recorded_id,
    state_updates_bytes,
    validation_codes,
)
from fedledger.gateway.errors import BlockFormatError
from fedledger.validation.codes import Judgement, judge, without_repetitions
from fedledger.validation.state import VALID, BlockUpdates, ReplayedState, sets_metadata
from fedledger_chaincode.contract import VERSION

UNKNOWN_VERSIONS = "transactions of versions of the contract that are not here"
OUTSIDE_VALIDITY = "transactions whose time is outside their creator's certificate"
OTHER_CHAINCODES = "transactions of other chaincodes"
"""What the tally notes of them; those that define chaincodes are no chaincode's of a user."""


@dataclass(frozen=True)
class _Tip:
    """What the next block has to continue."""

    number: int
    header_hash: bytes
    commit_hash: bytes
    last_config: int


class TrustedLedger:
    """A verified prefix of a channel's blocks, the state that it leaves, and how much was checked."""

    def __init__(self, genesis: bytes, chaincode: str, versions: Versions) -> None:
        """Trust a genesis block; raises ``GenesisError`` when it is no channel configuration.

        ``versions`` of the contract run its transactions again.
        """
        self.chaincode = chaincode
        self.versions = versions
        self.tally = Tally()
        self.state = ReplayedState()
        self.balances = Balances()
        self.times = LedgerTime()
        self.config, self._tip = _trust(genesis)
        self.genesis_hash = self._tip.header_hash
        self._blocks: dict[str, int] = {}
        self._one_chaincode = ""
        """That of a channel without a lifecycle, once it has been used."""
        for check in (CheckName.FORMAT, CheckName.LINKS, CheckName.DATA, CheckName.CONFIGURATION):
            self.tally.add(check)

    @property
    def height(self) -> int:
        """How many blocks are trusted."""
        return self._tip.number + 1

    def block_of(self, transaction_id: str) -> int | None:
        """The number of the block that holds a transaction; None for an unknown id."""
        return self._blocks.get(transaction_id)

    def append(self, block_bytes: bytes) -> None:
        """Check the next block and take it over; raises ``Finding``."""
        block = read_block(block_bytes)
        check_metadata(block, self._last_config(block))
        self.tally.add(CheckName.FORMAT)
        check_links(block, self.height, self._tip.header_hash)
        self.tally.add(CheckName.LINKS)
        check_data(block)
        self.tally.add(CheckName.DATA)
        self.tally.add(CheckName.ORDERERS, check_orderers(block, self.config))
        config = self._configured(block)
        self.tally.add(CheckName.CONFIGURATION, int(config is not None))
        updates = BlockUpdates(self.state)
        if config is None:
            self._check_transactions(block, updates)
        else:
            self._check_codes(block, (VALID,))
        committed = self._check_commit(block, updates)
        self._conserve(updates)
        self.state.apply(updates)
        self.config = config or self.config
        self._tip = _Tip(self.height, header_hash(block.header), committed, self._last_config(block))

    # --- transactions

    def _check_transactions(self, block: Any, updates: BlockUpdates) -> None:
        recorded = validation_codes(block)
        judgements = self._judged(block)
        for envelope, judgement, code in zip(block.data.data, judgements, recorded, strict=True):
            # Recorded as valid, and its signatures or endorsements do not hold: it fails the check that it should.
            if code == VALID and judgement.code != VALID:
                raise Finding(failed_check(judgement), told(envelope, judgement))
        self.tally.add(CheckName.CREATORS, len(judgements))
        self.tally.add(CheckName.ENDORSEMENTS, sum(len(judgement.endorsers) for judgement in judgements))
        accepted = self._replayed(block.header.number, judgements, updates)
        self._check_codes(block, accepted)
        for judgement, code in zip(judgements, accepted, strict=True):
            if code == VALID:
                self.tally.note(OUTSIDE_VALIDITY, int(is_outside_validity(judgement, self.config)))
                self._check_contract(judgement, int(block.header.number))
        self.tally.note("refused transactions", sum(1 for code in accepted if code != VALID))

    def _judged(self, block: Any) -> list[Judgement]:
        """Signatures and endorsements of each transaction; of two in one block with the same id the first counts."""
        if self.config.has_no_lifecycle and not self._one_chaincode:
            self._one_chaincode = _used_chaincode(block)
        policies = EndorsementPolicies(self.config, self.state, self._one_chaincode or self.chaincode)
        judgements = without_repetitions(
            [judge(envelope, self.config, self._blocks, policies.check) for envelope in block.data.data]
        )
        for name in filter(None, map(recorded_id, block.data.data)):
            self._blocks.setdefault(name, int(block.header.number))
        return judgements

    def _replayed(self, number: int, judgements: list[Judgement], updates: BlockUpdates) -> tuple[int, ...]:
        """Each transaction's code after MVCC; the writes of the valid ones go into ``updates``."""
        codes = []
        for place, judgement in enumerate(judgements):
            code = judgement.code
            if code == VALID and judgement.transaction is not None:
                code = updates.conflict(judgement.transaction)
            if code == VALID and judgement.transaction is not None:
                if sets_metadata(judgement.transaction):
                    raise Finding(
                        CheckName.CODES,
                        f"transaction {judgement.transaction.transaction_id[:16]} sets a key's own endorsement "
                        "policy, which this audit cannot judge",
                    )
                updates.add(judgement.transaction, Version(number, place))
            codes.append(code)
        return tuple(codes)

    def _check_contract(self, judgement: Judgement, number: int) -> None:
        transaction = judgement.transaction
        if transaction is None:
            return
        if transaction.chaincode_name != self.chaincode:
            check_untouched(transaction, self.chaincode)
            if transaction.chaincode_name != LIFECYCLE:
                self.tally.note(OTHER_CHAINCODES)
            return
        if (at := time_of(transaction.header)) is not None:
            self.times.follow(number, at)
        check_run(transaction, self.state, self.versions)
        self.tally.add(CheckName.VERSION)
        version = run_version(transaction)
        known = version in self.versions
        self.tally.versions[version if known else VERSION] += 1
        if not known:
            self.tally.note(UNKNOWN_VERSIONS)
        self.tally.add(CheckName.CONTRACT)
        self.tally.note(transaction.function)

    # --- what a block leaves

    def _check_codes(self, block: Any, computed: tuple[int, ...]) -> None:
        for place, (mine, recorded) in enumerate(zip(computed, validation_codes(block), strict=True)):
            if not same_verdict(recorded, mine):
                raise Finding(
                    CheckName.CODES,
                    f"transaction {place} is recorded as {_code_name(recorded)}; replayed it is {_code_name(mine)}",
                )
        self.tally.add(CheckName.CODES, len(computed))

    def _check_commit(self, block: Any, updates: BlockUpdates) -> bytes:
        computed = commit_hash(validation_codes(block), state_updates_bytes(updates), self._tip.commit_hash)
        if recorded_commit_hash(block) != computed:
            raise Finding(CheckName.COMMIT, "its commit hash is not that of its codes and of the state that it leaves")
        self.tally.add(CheckName.COMMIT)
        return computed

    def _conserve(self, updates: BlockUpdates) -> None:
        if self.balances.follow(update for update in updates if update.namespace == self.chaincode):
            self.tally.add(CheckName.CONSERVATION)

    # --- configuration

    def _last_config(self, block: Any) -> int:
        return int(block.header.number) if is_config(block) else self._tip.last_config

    def _configured(self, block: Any) -> ChannelConfig | None:
        """The configuration that a config block brings; None for any other block."""
        if not is_config(block):
            return None
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(block.data.data[0]).payload)
        try:
            return updated_config(self.config, parse_config(payload.data))
        except GenesisError as error:
            raise Finding(CheckName.CONFIGURATION, error.message) from error


def _trust(genesis: bytes) -> tuple[ChannelConfig, _Tip]:
    try:
        block = read_block(genesis)
        check_links(block, 0, b"")
        check_data(block)
        if not is_config(block):
            raise GenesisError(
                "NOT_GENESIS",
                "The first block is no channel configuration.",
                "Export the ledger from its block 0.",
            )
        header = parse_envelope_header(block.data.data[0])
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(block.data.data[0]).payload)
    except (Finding, BlockFormatError) as error:
        reason = error.reason if isinstance(error, Finding) else error.message
        raise GenesisError(
            "NOT_GENESIS",
            f"The first block is no genesis block: {reason}.",
            "Export the ledger from its block 0, or fetch the genesis block again.",
        ) from error
    config = ChannelConfig.from_config(header.channel_id, parse_config(payload.data).config)
    return config, _Tip(0, header_hash(block.header), recorded_commit_hash(block), 0)


def _used_chaincode(block: Any) -> str:
    """The chaincode of a block's first valid transaction; empty without one."""
    for envelope, code in zip(block.data.data, validation_codes(block), strict=True):
        if code == VALID:
            try:
                return EndorserTransaction.parse(envelope).chaincode_name
            except BlockFormatError:
                continue
    return ""


def _code_name(code: int) -> str:
    try:
        return str(transaction_pb2.TxValidationCode.Name(code))
    except ValueError:
        return str(code)
