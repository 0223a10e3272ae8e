"""The contract: a table of transactions. It unwraps arguments and calls one function; it decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER
from fedledger_chaincode.messages.texts import check_text
from fedledger_chaincode.state import WorldState
from fedledger_chaincode.stub import Stub
from fedledger_chaincode.submitter import Submitter
from fedledger_chaincode.transactions import (
    agreements,
    disputes,
    ending,
    lateness,
    membership,
    mints,
    models,
    queries,
    references,
    reputation,
    rounds,
    settlement,
    tasks,
    tokens,
)
from fedledger_chaincode.transactions.context import Context

VERSION = "2.0"

ArgumentKind = Literal["text", "prose", "integer", "message", "messages"]
"""``text`` becomes part of keys, ``prose`` does not. ``message`` is canonical JSON that the function decodes;
``messages`` is one or more of them, last."""


@dataclass(frozen=True)
class Transaction:
    """How a function is called: its arguments by name, and whether it is submitted or only evaluated."""

    function: Callable[..., bytes]
    arguments: Mapping[str, ArgumentKind]
    kind: Literal["submit", "evaluate"]


def _submit(function: Callable[..., bytes], **arguments: ArgumentKind) -> Transaction:
    return Transaction(function, arguments, "submit")


def _evaluate(function: Callable[..., bytes], **arguments: ArgumentKind) -> Transaction:
    return Transaction(function, arguments, "evaluate")


TRANSACTIONS: Mapping[str, Transaction] = {
    "ProposeTask": _submit(tasks.propose_task, specification="message"),
    "ApproveTask": _submit(tasks.approve_task, task="text", spec_hash="text"),
    "RejectTask": _submit(tasks.reject_task, task="text", reason="prose"),
    "WithdrawConsent": _submit(tasks.withdraw_consent, task="text", reason="prose"),
    "StopTask": _submit(ending.stop_task, task="text", reason="prose"),
    "ContinueTask": _submit(ending.continue_task, task="text", reason="prose"),
    "ConcludeTask": _submit(ending.conclude_task, task="text"),
    "ProposeAmendment": _submit(agreements.propose_amendment, specification="message"),
    "JoinTask": _submit(membership.join_task, request="message"),
    "AdmitParticipants": _submit(membership.admit_participants, admissions="messages"),
    "LeaveTask": _submit(membership.leave_task, task="text"),
    "ReclaimStakes": _submit(membership.reclaim_stakes, task="text"),
    "SuspendParticipant": _submit(membership.suspend_participant, task="text", participant="text", reason="prose"),
    "ReinstateParticipant": _submit(membership.reinstate_participant, task="text", participant="text", reason="prose"),
    "VoteSuspension": _submit(
        membership.vote_suspension, task="text", organisation="text", decision="text", reason="prose"
    ),
    "UseModel": _submit(agreements.use_model, task="text", version="integer", purpose="text"),
    "RegisterValidator": _submit(tasks.register_validator, registration="message"),
    "CallRound": _submit(rounds.call_round, task="text", round="integer"),
    "OpenRound": _submit(rounds.open_round, task="text", round="integer"),
    "SubmitUpdates": _submit(rounds.submit_updates, manifests="messages"),
    "CloseRound": _submit(rounds.close_round, task="text", round="integer"),
    "CommitReference": _submit(references.commit_reference, commitment="message"),
    "RevealReference": _submit(references.reveal_reference, revealed="message"),
    "AttestUpdates": _submit(settlement.attest_updates, attestation="message"),
    "ClaimLate": _submit(lateness.claim_late, claim="message"),
    "DiscloseShares": _submit(disputes.disclose_shares, disclosure="message"),
    "VoteDealing": _submit(disputes.vote_dealing, votes="message"),
    "SettleRound": _submit(settlement.settle_round, task="text", round="integer"),
    "PostAggregateShare": _submit(settlement.post_aggregate_share, share="message"),
    "ReportModel": _submit(settlement.report_model, report="message"),
    "FinaliseRound": _submit(settlement.finalise_round, task="text", round="integer"),
    "AbortRound": _submit(settlement.abort_round, request="message"),
    "ReportEvaluation": _submit(models.report_evaluation, report="message"),
    "DeprecateModel": _submit(models.deprecate_model, task="text", version="integer", reason="prose"),
    "Transfer": _submit(tokens.transfer, recipient="text", amount="integer"),
    "Approve": _submit(tokens.approve, spender="text", value="integer"),
    "IncreaseAllowance": _submit(tokens.increase_allowance, spender="text", added="integer"),
    "DecreaseAllowance": _submit(tokens.decrease_allowance, spender="text", subtracted="integer"),
    "TransferFrom": _submit(tokens.transfer_from, owner="text", recipient="text", amount="integer"),
    "ProposeMint": _submit(mints.propose_mint, proposal="message"),
    "VoteMint": _submit(mints.vote_mint, task="text", proposal="text", decision="text"),
    "Name": _evaluate(tokens.name),
    "Symbol": _evaluate(tokens.symbol),
    "Decimals": _evaluate(tokens.decimals),
    "TotalSupply": _evaluate(tokens.total_supply),
    "BalanceOf": _evaluate(tokens.balance_of, account="text"),
    "Allowance": _evaluate(tokens.allowance, owner="text", spender="text"),
    "ClientAccountID": _evaluate(tokens.client_account_id),
    "ClientAccountBalance": _evaluate(tokens.client_account_balance),
    "GetMint": _evaluate(mints.get_mint, task="text", proposal="text"),
    "ListMints": _evaluate(mints.list_mints, task="text"),
    "ListModelUses": _evaluate(agreements.list_model_uses, task="text"),
    "GetTask": _evaluate(queries.get_task, task="text"),
    "ListTasks": _evaluate(queries.list_tasks),
    "GetRound": _evaluate(queries.get_round, task="text", round="integer"),
    "GetMembers": _evaluate(queries.get_members, task="text"),
    "GetMember": _evaluate(queries.get_member, task="text", participant="text"),
    "GetReputation": _evaluate(reputation.get_reputation, task="text", participant="text"),
    "GetModel": _evaluate(queries.get_model, task="text", version="integer"),
    "ListModels": _evaluate(queries.list_models, task="text"),
    "ModelLineage": _evaluate(queries.model_lineage, task="text", version="integer"),
    "GetEvaluations": _evaluate(queries.get_evaluations, task="text", version="integer"),
    "GetWallet": _evaluate(queries.get_wallet, task="text", msp="text"),
}


class Contract:
    """What the chaincode service calls for each transaction."""

    def invoke(self, stub: Stub) -> bytes:
        """Run the transaction that the stub names.

        Raises:
            ContractError: when the transaction is refused; nothing of it must be written then.
        """
        transaction = TRANSACTIONS.get(stub.function)
        if transaction is None:
            raise ContractError(
                404,
                "UNKNOWN_FUNCTION",
                f"The contract has no transaction {stub.function[:100]!r}.",
                "org.hyperledger.fabric:GetMetadata lists them.",
            )
        arguments = _arguments(stub.function, transaction, list(stub.arguments))
        context = Context(stub, WorldState(stub), Submitter.from_creator(stub.creator))
        return transaction.function(context, *arguments)

    def metadata(self) -> dict[str, Any]:
        """The contract in Fabric's contract metadata schema, as ``org.hyperledger.fabric:GetMetadata`` answers it."""
        return {
            "$schema": "https://hyperledger.github.io/fabric-chaincode-node/main/api/contract-schema.json",
            "info": {"title": "fedledger", "version": VERSION},
            "contracts": {
                "fedledger": {
                    "name": "fedledger",
                    "info": {"title": "fedledger", "version": VERSION},
                    "default": True,
                    "transactions": [_described(name, entry) for name, entry in TRANSACTIONS.items()],
                }
            },
            "components": {"schemas": {}},
        }


def _described(name: str, transaction: Transaction) -> dict[str, Any]:
    summary = (transaction.function.__doc__ or "").split("\n\n")[0]
    return {
        "name": name,
        "description": " ".join(summary.split()),
        "tag": ["SUBMIT" if transaction.kind == "submit" else "EVALUATE"],
        "parameters": [
            {"name": argument, "schema": {"type": "integer" if kind == "integer" else "string"}}
            for argument, kind in transaction.arguments.items()
        ],
    }


def _arguments(name: str, transaction: Transaction, received: list[bytes]) -> list[Any]:
    kinds = list(transaction.arguments.items())
    variadic = bool(kinds) and kinds[-1][1] == "messages"
    if variadic:
        kinds += [kinds[-1]] * (len(received) - len(kinds))
    if len(received) != len(kinds):
        raise ContractError(
            400,
            "BAD_ARGUMENTS",
            f"{name} takes {len(kinds)} arguments ({', '.join(transaction.arguments)}), {len(received)} were given.",
        )
    return [_argument(name, argument, kind, value) for (argument, kind), value in zip(kinds, received, strict=True)]


def _argument(name: str, argument: str, kind: ArgumentKind, value: bytes) -> Any:
    if kind in ("message", "messages"):
        return value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ContractError(400, "BAD_ARGUMENTS", f"{name}: {argument} is not UTF-8.") from None
    if kind == "prose":
        if not text.strip():
            raise ContractError(400, "BAD_ARGUMENTS", f"{name}: {argument} is empty.", "Say it in a few words.")
        try:
            return check_text(text)
        except ValueError as error:
            raise ContractError(400, "BAD_ARGUMENTS", f"{name}: {argument}: {error}.", "Write plain text.") from None
    if kind == "text":
        if not text or "/" in text or "\x00" in text:
            raise ContractError(400, "BAD_ARGUMENTS", f"{name}: {argument} is empty or holds a slash or a zero byte.")
        return text
    if not text.isascii() or not text.isdecimal() or str(int(text[:20])) != text or int(text) > MAXIMUM_INTEGER:
        raise ContractError(400, "BAD_ARGUMENTS", f"{name}: {argument} is no whole number from 0 to {MAXIMUM_INTEGER}.")
    return int(text)
