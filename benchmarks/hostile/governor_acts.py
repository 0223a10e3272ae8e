"""What the hostile organisation's governor does: votes, amendments, suspensions, admissions, payments without end."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from fedledger.agents.participant import pseudonym_of
from fedledger.identity.keys import KeyType, generate_key, public_key_der, sign
from fedledger_chaincode.contract import TRANSACTIONS
from fedledger_chaincode.messages.round import Admission, SignedAdmission

from .grammar import STRANGE, arguments_of, message_bytes, mutated
from .member import HostileMember, act
from .stage import CHANNEL

_MOST_NAMES = 8


def _text(me: HostileMember) -> str:
    return me.words.text(me.rng)


@act("pay into everybody's accounts")
def pay(me: HostileMember) -> None:
    names = [account for account in me.words.names if ":" in account]
    waits = me.rng.random() < 0.3
    for role in ("governor", "participant"):
        me.wires[role].waits = waits
    for _ in range(me.rng.choice((3, 8))):
        role = me.rng.choice(("governor", "governor", "participant"))
        me.say(role, "Transfer", me.rng.choice(names), me.rng.choice((1, 1, 1, 0, 10_000, 2**53 - 1)))
    for role in ("governor", "participant"):
        me.wires[role].waits = True


@act("allow and take", "idle", "open", "settled")
def allow(me: HostileMember) -> None:
    accounts = [account for account in me.words.names if ":" in account]
    amount = me.rng.choice((0, 1, 50, 2**53 - 1))
    role = me.rng.choice(("governor", "participant"))
    match me.rng.randrange(4):
        case 0:
            function = me.rng.choice(("Approve", "IncreaseAllowance", "DecreaseAllowance"))
            me.say(role, function, me.rng.choice(accounts), amount)
        case 1:
            me.say("governor", "Approve", f"participant:{me.pseudonyms[0]}", 50)
            me.say("participant", "TransferFrom", f"org:{me.msp}", me.rng.choice(accounts), amount)
        case _:
            me.say(role, "TransferFrom", me.rng.choice(accounts), me.rng.choice(accounts), amount)


@act("mint", "idle", "open", "settled")
def mint(me: HostileMember) -> None:
    recipient = me.rng.choice((f"org:{me.msp}", f"insurance:{me.stage.task}", "org:HungaryMSP"))
    amount = me.rng.choice((1, 10**12, 2**53 - 1))
    reason = me.rng.choice(("Because.", _text(me)))
    proposal = {
        "schema": "fedledger/mint/1",
        "task": me.stage.task,
        "recipient": recipient,
        "amount": amount,
        "reason": reason,
    }
    content = message_bytes(proposal, me.rng)
    me.say("governor", "ProposeMint", content)
    name = hashlib.sha256(content).hexdigest()
    me.say("governor", "VoteMint", me.stage.task, name, me.rng.choice(("approve", "reject", "both")))


_TERMS: tuple[Callable[[dict[str, Any]], None], ...] = (
    lambda spec: spec.update(title="\x1b[2J\x1b]0;owned\x07"),
    lambda spec: spec.update(purpose="line\r\n" + "x" * 1_900),
    lambda spec: spec["deadlines"].update(updates=1, attestations=1, aggregates=1, disputes=1),
    lambda spec: spec["agreement"].update(ends_at=1),
    lambda spec: spec["agreement"].update(minimum_examples=2**53 - 1),
    lambda spec: spec["training"].update(rounds=100_000),
    lambda spec: spec["training"].update(rounds=1),
    lambda spec: spec["incentive"].update(slashing_validator=1_000_000),
    lambda spec: spec["privacy"].update(epsilon_budget=1),
)


@act("amend the task", "idle", "called", "open")
def amend(me: HostileMember) -> None:
    document = me.view.record.spec.model_dump(mode="json", by_alias=True)
    if me.rng.random() < 0.3:
        document = mutated(document, me.words, me.rng)
    else:
        me.rng.choice(_TERMS)(document)
    me.say("governor", "ProposeAmendment", message_bytes(document, me.rng))
    amended = [each.spec_hash for each in me.view.amendments if each.state == "open"]
    function = me.rng.choice(("ApproveTask", "ApproveTask", "RejectTask"))
    wanted = me.rng.choice(amended) if amended else me.words.digest(me.rng)
    me.say("governor", function, me.stage.task, wanted if function == "ApproveTask" else _text(me))


@act("suspend and reinstate its own", "idle", "called", "open")
def toggle(me: HostileMember) -> None:
    name = me.rng.choice(me.pseudonyms)
    for _ in range(me.rng.choice((1, 1, 4))):
        for function in me.rng.sample(("SuspendParticipant", "ReinstateParticipant"), me.rng.choice((1, 2))):
            me.say("governor", function, me.stage.task, name, _text(me))
    if me.rng.random() < 0.7:
        me.say("governor", "ReinstateParticipant", me.stage.task, name, "Because.")


@act("vote against others", "idle", "open", "closed", "settled")
def vote_against(me: HostileMember) -> None:
    msp = me.rng.choice((*me.stage.ground.names.values(), "NobodyMSP"))
    decision = me.rng.choice(("suspend", "suspend", "reinstate", "both"))
    me.say("governor", "VoteSuspension", me.stage.task, msp, decision, _text(me))
    other = me.stage.pseudonym(me.rng.choice(me.stage.honest))
    me.say("governor", "SuspendParticipant", me.stage.task, other, "Because.")


@act("withdraw and come back", "idle", "open", "settled")
def withdraw(me: HostileMember) -> None:
    if me.rng.random() < 0.15:
        me.say("governor", "WithdrawConsent", me.stage.task, _text(me))
    else:
        me.say("governor", "ApproveTask", me.stage.task, me.view.record.spec_hash)


@act("stop or reject the task", "idle", "open", "settled")
def stop(me: HostileMember) -> None:
    function = me.rng.choice(("StopTask", "RejectTask", "ConcludeTask"))
    arguments = (me.stage.task,) if function == "ConcludeTask" else (me.stage.task, _text(me))
    me.say("governor", function, *arguments)


@act("admit new names", "idle", "open")
def admit(me: HostileMember) -> None:
    signed = []
    for _ in range(me.rng.choice((1, 1, 2, 5))):
        key = generate_key(me.rng.choice(tuple(KeyType)))
        asked = Admission(
            channel=me.rng.choice((CHANNEL,) * 9 + ("other",)),
            task=me.stage.task,
            msp=me.rng.choice((me.msp,) * 9 + ("HungaryMSP",)),
            public_key=public_key_der(key.public_key()).hex(),
        )
        signer = key if me.rng.random() < 0.9 else me.names[0]
        signature = base64.b64encode(sign(signer, asked.canonical())).decode()
        signed.append((key, SignedAdmission(admission=asked, signature=signature)))
    if len(me.names) + len(signed) > _MOST_NAMES:
        return
    if me.say("governor", "AdmitParticipants", *(each for _, each in signed)).taken:
        me.names += [key for key, _ in signed]
        me.words.see(digests=[pseudonym_of(key) for key, _ in signed])


@act("propose a task of its own", "idle", "open")
def propose(me: HostileMember) -> None:
    document = me.view.record.spec.model_dump(mode="json", by_alias=True)
    document["task"] = me.rng.choice((f"{me.stage.task}-{me.rng.randrange(100)}", me.stage.task, "x"))
    if me.rng.random() < 0.5:
        document = mutated(document, me.words, me.rng)
    me.say("governor", "ProposeTask", message_bytes(document, me.rng))
    if isinstance(document, dict):
        me.say("governor", "ApproveTask", str(document.get("task")), me.words.digest(me.rng))


@act("speak about models", "idle", "settled")
def about_models(me: HostileMember) -> None:
    version = 0 if me.view.head is None else me.view.head.version
    me.say("governor", "DeprecateModel", me.stage.task, me.rng.choice((0, version, 2**53 - 1)), _text(me))
    purpose = me.rng.choice(("research", "tests", *STRANGE))
    me.say(me.rng.choice(("governor", "validator")), "UseModel", me.stage.task, version, purpose)


@act("say anything in any role")
def anything(me: HostileMember) -> None:
    for _ in range(me.rng.choice((1, 3))):
        function = me.rng.choice((*TRANSACTIONS, *TRANSACTIONS, "NoSuch", "org.hyperledger.fabric:GetMetadata", ""))
        known = function in TRANSACTIONS
        arguments = arguments_of(function, me.words, me.rng) if known else [b"x"]
        me.say(me.rng.choice(tuple(me.wires)), function, *arguments)


@act("send what was endorsed before")
def release(me: HostileMember) -> None:
    wire = me.rng.choice(tuple(me.wires.values()))
    if wire.held and me.rng.random() < 0.7:
        me.account(wire.release(wire.held.popleft()))
    elif wire.spent:
        me.account(wire.release(me.rng.choice(tuple(wire.spent))))


@act("have something endorsed for later")
def hold(me: HostileMember) -> None:
    name = me.rng.choice(me.pseudonyms)
    head = me.number
    held: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
        ("governor", "SuspendParticipant", (me.stage.task, name, "Because.")),
        ("governor", "ReinstateParticipant", (me.stage.task, name, "Because.")),
        ("governor", "WithdrawConsent", (me.stage.task, "Because.")),
        ("governor", "ApproveTask", (me.stage.task, me.view.record.spec_hash)),
        ("governor", "StopTask", (me.stage.task, "Because.")),
        ("participant", "LeaveTask", (me.stage.task,)),
        ("validator", "CallRound", (me.stage.task, head + 1)),
        ("validator", "OpenRound", (me.stage.task, head + 1)),
        ("validator", "CloseRound", (me.stage.task, head)),
        ("validator", "SettleRound", (me.stage.task, head)),
        ("validator", "FinaliseRound", (me.stage.task, head)),
    )
    role, function, arguments = me.rng.choice(held)
    answer = me.wires[role].hold(function, *arguments)
    me.account(answer, function)
