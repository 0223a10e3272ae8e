"""A round from opening to the next model, and everything that is refused on the way."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from fedledger.identity.keys import KeyType, generate_key
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import CohortEntry, ModelRecord
from fedledger_chaincode.messages.round import AbortRequest, JoinRequest, PrivacyStatement
from fedledger_chaincode.messages.views import ModelRecords, SubmissionResults
from fedledger_chaincode.rules.dealing import sealed_bytes
from fedledger_chaincode.rules.settlement import Judged, Rules, weigh
from fedledger_chaincode.rules.submission import agreed_privacy
from tests.unit.contract.histories import BEYOND_NORM
from tests.unit.contract.ledger import CHANNEL, MSPS, ONE_DEALING, WITHIN_NORM, Consortium, digest, task_spec
from tests.unit.contract.test_tasks import refused

WITHOUT_PRIVACY = PrivacyStatement(mechanism="none", noise_multiplier=0, record_clip_norm=0, sampling_rate=0, steps=0)


def test_two_rounds_make_two_versions_complete_the_task_and_return_the_stakes() -> None:
    consortium = Consortium.active()
    first = ModelRecord.decode(consortium.through(1))
    second = ModelRecord.decode(consortium.through(2))
    assert (first.version, first.parent) == (1, digest("model 0"))
    assert (second.version, second.parent) == (2, first.model_digest)
    view = consortium.view()
    assert view.record.state == "completed"
    assert view.head is not None
    assert (view.head.version, view.head.model_digest) == (2, second.model_digest)
    balances = consortium.balances()
    assert sum(balances.values()) == consortium.supply()
    assert all(amount == 0 for account, amount in balances.items() if account.startswith("stake:"))


def test_lineage_goes_back_to_the_initial_model() -> None:
    consortium = Consortium.active()
    consortium.through(1)
    consortium.through(2)
    reader = consortium.governors[MSPS[0]]
    lineage = consortium.ledger.evaluate(reader, ModelRecords, "ModelLineage", "heart", 2).models
    assert [model.version for model in lineage] == [2, 1, 0]
    assert [model.model_digest for model in lineage[1:]] == [model.parent for model in lineage[:-1]]


def test_equal_contributions_are_paid_equally_and_validators_get_their_part() -> None:
    consortium = Consortium.active()
    model = ModelRecord.decode(consortium.through(1))
    paid = {payment.account: payment.amount for payment in model.payments}
    for msp in MSPS:
        assert paid[f"participant:{consortium.participants[msp].pseudonym}"] == 7_500_000
        assert paid[f"org:{msp}"] == 2_500_000


def test_a_missing_update_earns_nothing_and_lowers_reputation() -> None:
    consortium = Consortium.active()
    model = ModelRecord.decode(consortium.through(1, submitting=MSPS[:3]))
    absent = consortium.participants[MSPS[3]].pseudonym
    assert all(absent not in payment.account for payment in model.payments)
    standing = {view.member.participant: view.standing for view in consortium.members().members}
    present = consortium.participants[MSPS[0]].pseudonym
    assert standing[absent].reputation < standing[present].reputation
    assert (standing[absent].contributions, standing[present].contributions) == (0, 1)


def test_opening_twice_is_one_round_and_opening_too_far_ahead_is_refused() -> None:
    consortium = Consortium.active()
    assert consortium.open(1, by=MSPS[0]) == consortium.open(1, by=MSPS[1])
    with refused("ROUND_NUMBER"):
        consortium.open(3)
    with refused("ROUND_STATE"):
        consortium.open(2)


def test_a_round_does_not_open_before_all_validators_have_registered() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    for msp in MSPS:
        consortium.approve(msp)
    for msp in MSPS:
        consortium.join(msp)
    consortium.register(MSPS[0])
    void = consortium.open(1)
    assert (void.state, void.void) == ("aborted", True)
    assert void.reason == "the validators of HungaryMSP, LongBeachMSP, SwitzerlandMSP have not registered"


def test_a_round_does_not_open_for_fewer_participants_than_the_minimum() -> None:
    consortium = Consortium.active()
    for msp in MSPS[:2]:
        consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
    void = consortium.open(1)
    assert (void.state, void.void) == ("aborted", True)
    assert "2 participants of 2 organisations may contribute; a round needs 3 of as many" in void.reason


def test_nor_for_enough_names_of_fewer_organisations() -> None:
    consortium = Consortium.active()
    for msp in MSPS[:2]:
        consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
    for name in ("ward two", "ward three"):
        ward = consortium.ledger.actor(MSPS[2], "participant", name=name)
        consortium.ledger.submit(ward, "JoinTask", JoinRequest(task="heart"))
    assert "4 participants of 2 organisations may contribute" in consortium.open(1).reason


def test_sending_the_same_update_again_returns_the_first_result() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    signed = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1))
    actor = consortium.participants[MSPS[0]]
    first = consortium.ledger.submit(actor, "SubmitUpdates", signed)
    before = dict(consortium.ledger.world)
    assert consortium.ledger.submit(actor, "SubmitUpdates", signed) == first
    assert consortium.ledger.world == before


def test_a_second_different_update_is_equivocation_both_are_kept_and_stake_is_taken() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    cheat = consortium.participants[MSPS[0]].pseudonym
    results = SubmissionResults.decode(consortium.submit(MSPS[0], 1, num_examples=101)).results
    assert [(result.status, result.code) for result in results] == [("refused", "EQUIVOCATION")]
    proof = consortium.round(1).equivocations[0]
    assert {proof.first.manifest.num_examples, proof.second.manifest.num_examples} == {100, 101}
    consortium.close(1)
    for msp in MSPS:
        consortium.attest(msp, 1)
    verdicts = {update.participant: update.verdict for update in consortium.settle(1).updates}
    assert verdicts[cheat] == "refused: equivocation"
    assert consortium.balances()[f"stake:heart:{cheat}"] == 50_000_000
    assert sum(consortium.balances().values()) == consortium.supply()


def test_an_equivocation_is_told_whatever_else_the_batch_holds() -> None:
    consortium = Consortium.active()
    second = consortium.ledger.actor(MSPS[0], "participant", name="ward two")
    consortium.ledger.submit(second, "JoinTask", JoinRequest(task="heart"))
    consortium.open(1)
    consortium.submit(MSPS[0], 1)
    cheating = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1, num_examples=101))
    honest = consortium.manifest(MSPS[0], 1, participant=second.pseudonym)
    actor = consortium.participants[MSPS[0]]
    signed = consortium.signed(MSPS[0], honest, second.key)
    consortium.ledger.submit(actor, "SubmitUpdates", cheating, signed)
    name, fields = consortium.ledger.said[-1]
    assert (name, fields["participants"], fields["received"]) == ("EquivocationProven", [actor.pseudonym], 1)
    assert len(consortium.round(1).updates) == 2


def test_a_batch_is_of_one_round_of_one_task_as_its_event_says() -> None:
    heart = Consortium.active()
    lungs = Consortium.active(task_spec(task="lungs"), heart.ledger)
    actor, other = heart.participants[MSPS[0]], heart.ledger.actor(MSPS[0], "participant", name="ward two")
    heart.ledger.submit(other, "JoinTask", JoinRequest(task="lungs"))
    heart.open(1)
    lungs.open(1)
    first = heart.signed(MSPS[0], heart.manifest(MSPS[0], 1))
    second = lungs.signed(MSPS[0], lungs.manifest(MSPS[0], 1, participant=other.pseudonym), other.key)
    results = SubmissionResults.decode(heart.ledger.submit(actor, "SubmitUpdates", first, second)).results
    assert [result.code for result in results] == ["", "SEVERAL_ROUNDS"]
    assert heart.ledger.said[-1][1]["task"] == "heart"
    results = SubmissionResults.decode(heart.ledger.submit(actor, "SubmitUpdates", second, first)).results
    assert [result.code for result in results] == ["", "SEVERAL_ROUNDS"]
    assert heart.ledger.said[-1][1]["task"] == "lungs"


def test_a_third_manifest_does_not_change_the_proof_of_the_first_two() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    for number in (100, 101):
        consortium.submit(MSPS[0], 1, num_examples=number)
    (proof,) = consortium.round(1).equivocations
    before = dict(consortium.ledger.world)
    for number in (102, 101):
        results = SubmissionResults.decode(consortium.submit(MSPS[0], 1, num_examples=number)).results
        assert [result.code for result in results] == ["EQUIVOCATION"]
    assert consortium.round(1).equivocations == (proof,)
    assert consortium.ledger.world == before


@pytest.mark.parametrize("proof", ["none", "norm"])
def test_a_sealed_share_has_the_size_that_follows_from_the_task(proof: str) -> None:
    """What is told to be longer is never fetched: it is refused before anybody looks for it."""
    consortium = Consortium.active(task_spec(aggregation={"proof": proof}))
    consortium.open(1)
    shares = consortium.manifest(MSPS[0], 1).shares
    expected = sealed_bytes(consortium.spec.aggregation, consortium.spec.model.parameter_count)
    for size in (1, expected - 1, expected + 1, 1 << 52):
        strange = (*shares[:3], shares[3].model_copy(update={"size": size}))
        with refused("SHARE_SIZE"):
            consortium.submit(MSPS[0], 1, shares=strange)
    consortium.submit(MSPS[0], 1, shares=shares)


@pytest.mark.parametrize("proof", ["none", "norm"])
def test_what_is_opened_is_what_the_task_asks_for(proof: str) -> None:
    consortium = Consortium.active(task_spec(aggregation={"proof": proof}))
    consortium.opened(1)
    other = ONE_DEALING if proof == "norm" else WITHIN_NORM
    with refused("OPENING"):
        consortium.attest(MSPS[0], 1, openings={consortium.pseudonym(MSPS[1]): other})


def test_one_bad_manifest_in_a_batch_is_named_and_the_others_count() -> None:
    consortium = Consortium.active()
    second = consortium.ledger.actor(MSPS[0], "participant", name="ward two")
    consortium.ledger.submit(second, "JoinTask", b'{"schema":"fedledger/join/1","task":"heart"}')
    consortium.open(1)
    good = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1))
    forged = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1, participant=second.pseudonym))
    actor = consortium.participants[MSPS[0]]
    results = SubmissionResults.decode(consortium.ledger.submit(actor, "SubmitUpdates", forged, good)).results
    assert [(result.status, result.code) for result in results] == [("refused", "BAD_SIGNATURE"), ("received", "")]
    assert [update.signed for update in consortium.round(1).updates] == [good]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"base_model": digest("another")}, "BASE_MODEL"),
        ({"channel": "another"}, "WRONG_CONTEXT"),
        ({"shares": ()}, None),
        (
            {
                "privacy": PrivacyStatement(
                    mechanism="none", noise_multiplier=0, record_clip_norm=0, sampling_rate=0, steps=0
                )
            },
            "PRIVACY_PARAMETERS",
        ),
    ],
)
def test_an_update_that_is_not_what_the_round_asks_for_is_refused(changes: dict[str, object], code: str | None) -> None:
    consortium = Consortium.active()
    consortium.open(1)
    if code is None:
        with pytest.raises(ValueError, match=r"sealed shares|at least 1 item"):
            consortium.manifest(MSPS[0], 1, **changes)
        return
    with refused(code):
        consortium.submit(MSPS[0], 1, **changes)


def test_a_share_for_each_validator_is_needed() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    whole = consortium.manifest(MSPS[0], 1)
    with refused("SHARE_COUNT"):
        consortium.submit(MSPS[0], 1, shares=whole.shares[:3])


def test_an_update_for_a_closed_round_is_refused() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    for msp in MSPS[:3]:
        consortium.submit(msp, 1)
    late = consortium.manifest(MSPS[3], 1)
    consortium.late(1, "updates")
    consortium.close(1)
    with refused("ROUND_STATE"):
        consortium.ledger.submit(consortium.participants[MSPS[3]], "SubmitUpdates", consortium.signed(MSPS[3], late))


def test_an_update_is_taken_until_the_round_is_closed_whatever_it_is_said_to_be() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    for msp in MSPS[:3]:
        consortium.submit(msp, 1)
    consortium.late(1, "updates", 4)
    consortium.ledger.now += 10_000
    consortium.submit(MSPS[3], 1)
    consortium.close(1)
    assert len(consortium.attestation(1).findings) == 4


def test_an_update_of_an_earlier_round_cannot_be_replayed() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    old = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1))
    for msp in MSPS[1:]:
        consortium.submit(msp, 1)
    consortium.ledger.submit(consortium.participants[MSPS[0]], "SubmitUpdates", old)
    consortium.conclude(1)
    consortium.open(2)
    before = dict(consortium.ledger.world)
    consortium.ledger.submit(consortium.participants[MSPS[0]], "SubmitUpdates", old)
    assert consortium.ledger.world == before
    moved = old.model_copy(update={"manifest": old.manifest.model_copy(update={"round": 2})})
    with refused("BAD_SIGNATURE"):
        consortium.ledger.submit(consortium.participants[MSPS[0]], "SubmitUpdates", moved)


def test_another_organisation_cannot_submit_for_a_participant() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    signed = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1))
    with refused("WRONG_ORGANISATION"):
        consortium.ledger.submit(consortium.participants[MSPS[1]], "SubmitUpdates", signed)


def test_a_manifest_signed_by_another_key_is_refused() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    signed = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1), key=generate_key(KeyType.P256))
    with refused("BAD_SIGNATURE"):
        consortium.ledger.submit(consortium.participants[MSPS[0]], "SubmitUpdates", signed)


def test_an_unknown_field_in_a_message_is_refused_by_name() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    document = json.loads(consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1)).canonical())
    document["manifest"]["comment"] = "hello"
    with pytest.raises(ContractError, match=r"SignedManifest: manifest\.comment: Extra inputs are not permitted"):
        consortium.ledger.submit(
            consortium.participants[MSPS[0]],
            "SubmitUpdates",
            json.dumps(document, sort_keys=True, separators=(",", ":")).encode(),
        )


def test_bytes_that_are_not_the_canonical_encoding_are_refused() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    signed = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1)).canonical()
    with refused("NOT_CANONICAL"):
        consortium.ledger.submit(consortium.participants[MSPS[0]], "SubmitUpdates", signed.replace(b":", b": ", 1))


@pytest.mark.parametrize("key_type", list(KeyType))
def test_every_key_type_of_fabric_can_sign_a_manifest(key_type: KeyType) -> None:
    consortium = Consortium.founded()
    consortium.participants[MSPS[0]] = consortium.ledger.actor(MSPS[0], "participant", key_type=key_type)
    consortium.begin()
    consortium.open(1)
    consortium.submit(MSPS[0], 1)
    assert len(consortium.round(1).updates) == 1


def test_a_round_closes_early_only_when_everybody_has_submitted() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    for msp in MSPS[:3]:
        consortium.submit(msp, 1)
    with refused("TOO_EARLY"):
        consortium.close(1)
    consortium.submit(MSPS[3], 1)
    assert consortium.close(1).state == "closed"


def test_a_round_with_too_few_updates_is_aborted_but_counts_against_the_budget() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    consortium.submit(MSPS[0], 1)
    consortium.late(1, "updates", consortium.quorum)
    aborted = consortium.close(1)
    assert (aborted.state, aborted.void) == ("aborted", False)
    assert aborted.reason == "1 updates of 1 organisations arrived, the task needs 3 of as many"
    standing = {view.member.msp: view.standing for view in consortium.members().members}
    assert (standing[MSPS[0]].contributions, standing[MSPS[0]].epsilon) == (1, 1_000_000)
    assert standing[MSPS[1]].epsilon == 0
    assert consortium.open(2).base_version == 0


def test_whose_budget_is_spent_takes_no_part() -> None:
    consortium = Consortium.active(task_spec(privacy={"epsilon_budget": 1_500_000}, training={"rounds": 3}))
    consortium.through(1, submitting=MSPS[:3])
    assert "the privacy budget of 3 is spent" in consortium.open(2).reason


def test_an_attestation_has_to_cover_exactly_the_fixed_set() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    whole = consortium.attestation(1)
    for findings in (whole.findings[:-1], whole.findings[::-1]):
        with refused("WRONG_SET"):
            consortium.ledger.submit(
                consortium.validators[MSPS[0]], "AttestUpdates", whole.model_copy(update={"findings": findings})
            )


def test_a_validator_attests_once() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    consortium.attest(MSPS[0], 1)
    consortium.attest(MSPS[0], 1)
    with refused("ALREADY_RECORDED"):
        consortium.attest(MSPS[0], 1, unreadable=(consortium.participants[MSPS[0]].pseudonym,))


@pytest.mark.parametrize(("complaining", "verdict"), [(1, "accepted"), (2, "unreadable")])
def test_one_validator_cannot_keep_an_update_out_but_two_can(complaining: int, verdict: str) -> None:
    consortium = Consortium.active()
    consortium.opened(1)
    target = consortium.pseudonym(MSPS[3])
    for index, msp in enumerate(MSPS):
        consortium.attest(msp, 1, unreadable=(target,) if index < complaining else ())
    settled = {update.participant: update for update in consortium.settle(1).updates}
    assert settled[target].verdict == verdict
    assert (settled[target].weight > 0) == (verdict == "accepted")


def test_what_proves_nothing_about_anybody_costs_no_honesty_and_no_stake() -> None:
    consortium = Consortium.active()
    consortium.opened(1)
    target = consortium.pseudonym(MSPS[3])
    for index, msp in enumerate(MSPS):
        consortium.attest(msp, 1, unreadable=(target,) if index < 2 else ())
    settled = {update.participant: update for update in consortium.settle(1).updates}
    # Absent or unreadable: honest, but neither reliable nor in agreement.
    assert settled[target].score == consortium.spec.reputation.honesty_weight
    assert consortium.stake(target) == 100_000_000


def test_a_silent_validator_delays_settlement_until_t_plus_1_say_so_and_is_not_paid() -> None:
    consortium = Consortium.active()
    consortium.opened(1)
    for msp in MSPS[:3]:
        consortium.attest(msp, 1)
    with refused("TOO_EARLY"):
        consortium.settle(1)
    consortium.claim(MSPS[0], 1, "attestations")
    with refused("TOO_EARLY"):
        consortium.settle(1)
    consortium.claim(MSPS[1], 1, "attestations")
    consortium.settle(1)
    for msp in MSPS[:3]:
        consortium.post_share(msp, 1)
        consortium.report(msp, 1)
    model = ModelRecord.decode(consortium.finalise(1))
    assert [payment.account for payment in model.payments if payment.account.startswith("org:")] == [
        f"org:{msp}" for msp in MSPS[:3]
    ]


def test_one_lying_validator_can_neither_choose_the_model_nor_frame_another() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    for msp in MSPS:
        consortium.attest(msp, 1)
    consortium.settle(1)
    for msp in MSPS:
        consortium.post_share(msp, 1)
    consortium.report(MSPS[0], 1, model="poisoned")
    consortium.report(MSPS[1], 1, liars=(MSPS[0],))
    consortium.report(MSPS[2], 1, liars=(MSPS[0],))
    with refused("TOO_EARLY"):
        consortium.finalise(1)
    consortium.report(MSPS[3], 1, liars=(MSPS[2],))
    model = ModelRecord.decode(consortium.finalise(1))
    assert model.model_digest == digest("model 1 ")
    assert model.liars == (MSPS[0],)
    assert f"org:{MSPS[0]}" not in {payment.account for payment in model.payments}
    assert f"org:{MSPS[2]}" in {payment.account for payment in model.payments}


def test_a_round_that_can_go_on_cannot_be_aborted_and_a_hopeless_one_can() -> None:
    consortium = Consortium.active()
    consortium.opened(1)
    request = AbortRequest(task="heart", round=1, reason="two validators are gone")
    for msp in MSPS[:2]:
        consortium.attest(msp, 1)
    consortium.late(1, "attestations", consortium.quorum - 1)
    with refused("TOO_EARLY"):
        consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)
    consortium.late(1, "attestations", consortium.quorum)
    consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)
    assert consortium.round(1).record.reason == "two validators are gone"
    assert consortium.open(2).base_version == 0


def test_whatever_is_said_to_be_late_a_round_with_its_quorum_goes_on() -> None:
    consortium = Consortium.active()
    consortium.opened(1)
    request = AbortRequest(task="heart", round=1, reason="We do not like it.")
    for msp in MSPS[:3]:
        consortium.attest(msp, 1)
    consortium.late(1, "attestations", 4)
    with refused("CAN_GO_ON"):
        consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)
    consortium.settle(1)
    for msp in MSPS[:3]:
        consortium.post_share(msp, 1)
        consortium.report(msp, 1)
    consortium.late(1, "aggregates", 4)
    with refused("CAN_GO_ON"):
        consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)
    consortium.finalise(1)


def test_a_dominant_participant_counts_for_at_most_its_share() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    consortium.submit(MSPS[0], 1, num_examples=9_000)
    for msp in MSPS[1:]:
        consortium.submit(msp, 1, num_examples=100)
    consortium.close(1)
    for msp in MSPS:
        consortium.attest(msp, 1)
    settlement = consortium.settle(1)
    assert settlement.updates[0].weight * MICRO <= 400_000 * settlement.weight_sum


def test_under_two_names_an_organisation_counts_for_no_more_than_under_one() -> None:
    rules = Rules.of(task_spec())

    def shares(*owners: str) -> list[Fraction]:
        cohort = [
            CohortEntry(participant=digest(f"{index}"), msp=msp, quarantined=False, reputation=500_000)
            for index, msp in enumerate(owners)
        ]
        examples = {each.participant: 9_000 if each.msp == MSPS[0] else 100 for each in cohort}
        settled = weigh(rules, cohort, examples, {each.participant: Judged("accepted") for each in cohort})
        total = sum(update.weight for update in settled)
        return [Fraction(update.weight, total) for update in settled]

    one, two = shares(*MSPS), shares(MSPS[0], *MSPS)
    assert two[0] == two[1] == one[0] / 2 <= Fraction(400_000, MICRO) / 2
    assert two[2:] == one[1:]


def test_persistently_absent_participants_are_quarantined_and_weigh_nothing() -> None:
    spec = task_spec(
        reputation={"memory": 0, "quarantine_threshold": 500_001, "quarantine_rounds": 2, "initial": 600_000},
        training={"rounds": 5},
    )
    consortium = Consortium.active(spec)
    consortium.through(1, submitting=MSPS[:3])
    consortium.open(2)
    quarantined = {entry.msp for entry in consortium.round(2).cohort.participants if entry.quarantined}
    assert quarantined == {MSPS[3]}
    for msp in MSPS:
        consortium.submit(msp, 2)
    consortium.close(2)
    for msp in MSPS:
        consortium.attest(msp, 2)
    assert [update.weight for update in consortium.settle(2).updates] == [100, 100, 100, 0]


def test_the_statement_of_privacy_is_the_tasks_own() -> None:
    assert agreed_privacy(task_spec(), MSPS[0]).noise_multiplier == 1_100_000
    assert CHANNEL == "fedledger"


def test_a_sum_of_fewer_updates_than_the_minimum_is_never_made_whatever_was_accepted() -> None:
    """Accepted updates in quarantine are not in the sum: they hide nobody."""
    spec = task_spec(
        reputation={"memory": 0, "quarantine_threshold": 500_000, "quarantine_rounds": 2}, training={"rounds": 5}
    )
    consortium = Consortium.active(spec)
    consortium.open(1)
    for msp in MSPS[:2]:
        consortium.submit(msp, 1)
        consortium.submit(msp, 1, num_examples=7)
    for msp in MSPS[2:]:
        consortium.submit(msp, 1)
    consortium.close(1)
    for msp in MSPS:
        consortium.attest(msp, 1)
    consortium.settle(1)
    assert consortium.round(1).record.state == "aborted"
    consortium.open(2)
    assert [entry.quarantined for entry in consortium.round(2).cohort.participants] == [True, True, False, False]
    for msp in MSPS:
        consortium.submit(msp, 2)
    consortium.close(2)
    for msp in MSPS:
        consortium.attest(msp, 2)
    settlement = consortium.settle(2)
    assert [update.verdict for update in settlement.updates] == ["accepted"] * 4
    assert len(settlement.weights()) == 2
    record = consortium.round(2).record
    assert (record.state, record.reason) == (
        "aborted",
        "2 updates of 2 organisations are accepted and have a weight; the task needs 3 of as many organisations",
    )


def test_many_names_of_few_organisations_make_no_sum_either() -> None:
    """Whoever owns most names would subtract them and read the rest."""
    consortium = Consortium.active(task_spec(aggregation={"proof": "norm"}))
    wards = [consortium.ledger.actor(MSPS[0], "participant", name=f"ward {index}") for index in range(3)]
    for ward in wards:
        consortium.ledger.submit(ward, "JoinTask", JoinRequest(task="heart"))
    consortium.open(1)
    for ward in wards:
        manifest = consortium.manifest(MSPS[0], 1, participant=ward.pseudonym)
        consortium.ledger.submit(ward, "SubmitUpdates", consortium.signed(MSPS[0], manifest, ward.key))
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    for msp in MSPS:
        consortium.attest(msp, 1, openings={consortium.pseudonym(other): BEYOND_NORM for other in MSPS[2:]})
    consortium.settle(1)
    record = consortium.round(1).record
    assert record.state == "aborted" and "5 updates of 2 organisations" in record.reason
