"""Running the contract again over the replayed state: a transaction must read, write, say and answer the same.

The contract is deterministic, so whatever n - t organisations endorsed, an honest one computes again. Transactions of
other chaincodes are not run; they must not touch the contract's namespace.
"""

from __future__ import annotations

from collections.abc import Iterable

from fabric_protos.peer import proposal_pb2, proposal_response_pb2
from google.protobuf.message import DecodeError

from fedledger.audit.contract_versions import ContractFailure, Invoke, Versions
from fedledger.audit.findings import CheckName, Finding
from fedledger.gateway.blocks import EndorserTransaction, NamespaceReadWriteSet
from fedledger.gateway.wire import parse_message
from fedledger.validation.state import ReplayedState
from fedledger_chaincode.contract import VERSION
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.replay import ReplayStub

METADATA_FUNCTION = "org.hyperledger.fabric:GetMetadata"
"""Answered by the chaincode service, not by the contract; it touches no state."""
_OK = 200
_NOTHING = NamespaceReadWriteSet("", (), (), (), (), ())


def run_version(transaction: EndorserTransaction) -> str:
    """The version of the contract that the endorsers name; empty when they name none."""
    try:
        answer = parse_message(proposal_response_pb2.ProposalResponsePayload, transaction.proposal_response_payload)
        return str(parse_message(proposal_pb2.ChaincodeAction, answer.extension).chaincode_id.version)
    except DecodeError:
        return ""


def check_untouched(transaction: EndorserTransaction, chaincode: str) -> None:
    """A transaction of another chaincode leaves the contract's state alone."""
    entry = _touched(transaction.read_write_sets, chaincode)
    if entry.writes or entry.metadata_writes or entry.collections:
        raise Finding(
            CheckName.CONTRACT,
            f"{_name(transaction)} of chaincode {transaction.chaincode_name} writes into the contract's state",
        )


def check_run(transaction: EndorserTransaction, state: ReplayedState, versions: Versions) -> None:
    """Run a valid transaction of the contract again; raises a ``Finding`` where the result differs.

    It is run by the version that the endorsers name. Where that is not among ``versions``, the installed one runs it:
    the same result is right all the same; of a different one nobody can say here whether it is wrong, so that this is
    a finding about the version.
    """
    version = run_version(transaction)
    if version in versions:
        _run_again(transaction, state, versions[version])
        return
    try:
        _run_again(transaction, state, versions[VERSION])
    except Finding as difference:
        raise Finding(
            CheckName.VERSION,
            f"{difference.reason}; it was made by version {version or 'unknown'} of the contract, and this is "
            f"{VERSION}: name that version's wheel with --contract",
        ) from difference


def _run_again(transaction: EndorserTransaction, state: ReplayedState, invoke: Invoke) -> None:
    chaincode = transaction.chaincode_name
    for entry in transaction.read_write_sets:
        if entry.namespace != chaincode and (entry.writes or entry.metadata_writes or entry.collections):
            raise _differs(transaction, f"writes into the namespace {entry.namespace}")
    recorded = _touched(transaction.read_write_sets, chaincode)
    if recorded.metadata_writes or recorded.collections:
        raise _differs(transaction, "writes private data or key policies, which the contract never does")
    if transaction.function == METADATA_FUNCTION:
        if recorded.reads or recorded.writes or recorded.range_queries or transaction.event is not None:
            raise _differs(transaction, "asks for metadata and touches the state")
        return
    stub = ReplayStub(
        world=state.values(chaincode),
        transaction_id=transaction.transaction_id,
        channel_id=transaction.header.channel_id,
        function=transaction.function,
        arguments=transaction.arguments[1:],
        creator=transaction.proposed_by.creator,
        timestamp=transaction.header.timestamp_ns // 1_000_000_000,
    )
    try:
        payload = invoke(stub)
    except ContractError as error:
        raise _differs(transaction, f"is refused by the contract ({error.code}: {error.sentence})") from error
    except ContractFailure as error:
        raise _differs(transaction, f"makes the contract fail ({error})") from error
    except Exception as error:
        # The chaincode service endorses nothing at which the contract fails, whatever the failure.
        raise _differs(transaction, f"makes the contract fail ({type(error).__name__})") from error
    if transaction.response.status != _OK or transaction.response.payload != payload:
        raise _differs(transaction, "has another response than the contract gives")
    _compare(transaction, recorded, stub)


def _compare(transaction: EndorserTransaction, recorded: NamespaceReadWriteSet, stub: ReplayStub) -> None:
    if (surplus := _first_difference((read.key for read in recorded.reads), stub.reads)) is not None:
        raise _differs(transaction, f"has read other keys than the contract reads, as {surplus!r}")
    written = {write.key: write.value for write in recorded.writes}
    if (surplus := _first_difference(written, stub.writes)) is not None:
        raise _differs(transaction, f"writes other keys than the contract writes, as {surplus!r}")
    for key, value in stub.writes.items():
        if written[key] != value:
            raise _differs(transaction, f"writes another value to {key!r} than the contract computes")
    event = transaction.event
    said = None if event is None else (event.event_name, event.payload)
    if said != stub.event:
        raise _differs(transaction, "sets another event than the contract sets")
    if event is not None and (
        event.chaincode_name != transaction.chaincode_name
        or event.transaction_id not in ("", transaction.transaction_id)
    ):
        raise _differs(transaction, "sets an event in the name of another transaction or chaincode")


def _first_difference(recorded: Iterable[str], computed: Iterable[str]) -> str | None:
    return min(set(recorded) ^ set(computed), default=None)


def _touched(entries: Iterable[NamespaceReadWriteSet], namespace: str) -> NamespaceReadWriteSet:
    return next((entry for entry in entries if entry.namespace == namespace), _NOTHING)


def _differs(transaction: EndorserTransaction, what: str) -> Finding:
    return Finding(CheckName.CONTRACT, f"{_name(transaction)} {what}")


def _name(transaction: EndorserTransaction) -> str:
    return f"{transaction.function or 'transaction'} {transaction.transaction_id[:16]}"
