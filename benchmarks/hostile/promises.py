"""What must hold whatever one organisation does: docs/threat-model.md, read from the ledger by an honest peer.

**When a round may be aborted.** Never before its settlement while three organisations of four are honest and in time.
After it only as docs/threat-model.md says: a hostile participant has left an honest validator without a share of the
sum, and the hostile one does not give a right share of it either, so that t + 1 honest ones remain. Each set of readers
fails so once, hence at most ``MOST_ABORTED`` rounds of a task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedledger.agents.disputes import manifests_of
from fedledger.agents.stores import find_model
from fedledger.audit import Outcome, verify_network
from fedledger.secure_aggregation import OpenedShare, open_share
from fedledger.training.weights import flatten, load_weights
from fedledger_chaincode.messages.records import ENDED
from fedledger_chaincode.messages.round import DealingOpening, NormOpening, Opening, UpdateFinding
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.field import MODULUS, centred

from .ground import Ground
from .kinds import MICRO, Kind
from .member import HostileMember
from .stage import Stage

MOST_ABORTED = 3
"""C(n, t) - 1 sets of readers at (4, 1)."""
_TOLERANCE = 1e-6


@dataclass
class Promises:
    """Checks one task, round by round."""

    stage: Stage
    member: HostileMember
    counts: Counter[str] = field(default_factory=Counter)
    """What came of everything."""
    _next: int = 1
    """The first round that is not checked to its end."""
    _seen: tuple[object, ...] = ()
    """What the task's head said when everything was checked last."""
    _aborted: int = 0
    _charged: Counter[str] = field(default_factory=Counter)
    """Rounds in whose fixed set each honest participant was, of those checked to the end."""

    def __post_init__(self) -> None:
        stage = self.stage
        self._honest_msps = {stage.ground.names[organisation] for organisation in stage.honest}
        self._owners = {stage.pseudonym(organisation): organisation for organisation in stage.honest}
        self._point = {msp: index for index, msp in enumerate(stage.spec.aggregation.validators, start=1)}

    def check(self) -> TaskView:
        """Check what has happened since it was checked last; returns the task as it is."""
        view = self.stage.view()
        if view.head is None or (seen := (view.record.state, view.head)) == self._seen:
            return view
        self._seen, newest = seen, view.head.round
        for number in range(self._next, newest + 1):
            current = self.stage.round(number)
            self._check_round(current)
            if current.record.state not in ENDED:
                break
            self._count(current)
            self._next = number + 1
            if current.fixed is not None:
                self._charged.update(u.participant for u in current.fixed.updates if u.participant in self._owners)
            self._check_model(current)
        if view.record.state == "active":
            self._check_members()
        elif not self._are_spent():
            self.stage.find("no task ends before its budgets are spent", f"{view.record.state}: {view.record.reason}")
        return view

    def check_end(self) -> None:
        """Check what has to be so when nothing is disputed any more."""
        self.check()
        for number in range(1, self._next):
            self._check_rulings(self.stage.round(number))

    # --- a round

    def _find(self, promise: str, current: RoundView, what: str) -> None:
        self.stage.find(promise, f"round {current.record.round} ({current.record.state}): {what}")

    def _check_round(self, current: RoundView) -> None:
        record, settlement = current.record, current.settlement
        if record.state == "open":
            return
        if record.void:
            if not self._are_spent():
                self._find("every round opens", current, record.reason)
            return
        if record.state == "aborted" and settlement is None:
            self._find("no round is aborted before it is settled", current, record.reason)
            return
        here = {update.participant for update in current.fixed.updates} if current.fixed is not None else set()
        for entry in current.cohort.participants:
            if entry.participant in self._owners and entry.participant not in here:
                self._find("a round waits for honest updates", current, self._owners[entry.participant])
        if {entry.participant for entry in current.cohort.participants} & self._owners.keys() != self._owners.keys():
            self._find("honest participants are in every cohort", current, f"{current.cohort.participants}")
        if settlement is None:
            return
        for update in settlement.updates:
            if update.participant not in self._owners:
                continue
            if update.verdict != "accepted" or update.proven:
                self._find("honest updates are accepted", current, f"{update}")
            elif not update.weight:
                self._find("honest updates have a weight", current, f"{update}")
        if {*settlement.convicted} & self._honest_msps:
            self._find("no honest validator is convicted", current, f"{settlement.convicted}")
        if missing := self._honest_msps - {*settlement.attested}:
            self._find("a round waits for honest attestations", current, f"{missing}")
        self._check_abort(current)
        self._check_company(current)
        self._check_lies(current)
        self._check_norm(current)

    def _are_spent(self) -> bool:
        """Whether honest participants have no budget left."""
        allowed = self.stage.spec.privacy.allowed_contributions()
        return allowed is not None and all(self._charged[each] >= allowed for each in self._owners)

    def _check_abort(self, current: RoundView) -> None:
        settlement = current.settlement
        if current.record.state != "aborted" or settlement is None:
            return
        if self._honest_msps <= {*settlement.summers}:
            self._find("a round with honest sums enough is finalised", current, current.record.reason)
        self._aborted += current.record.round >= self._next
        if self._aborted > MOST_ABORTED:
            self._find("few rounds are aborted", current, f"the {self._aborted}th of this task")

    def _check_company(self, current: RoundView) -> None:
        """Whoever subtracts the hostile organisation's own updates is left with a sum of at least two."""
        settlement = current.settlement
        if settlement is None or not settlement.summers:
            return
        summed = {update.msp for update in settlement.updates if update.weight}
        minimum = self.stage.spec.aggregation.minimum_accepted
        if len(summed) < minimum or len(summed & self._honest_msps) < minimum - 1:
            self._find("nobody's update is alone in a sum", current, f"{summed}")

    def _check_lies(self, current: RoundView) -> None:
        """What the hostile validator attested of honest updates and contradicts the honest ones is named."""
        settlement, fixed = current.settlement, current.fixed
        if settlement is None or fixed is None:
            return
        said = {record.validator: record.attestation for record in current.attestations}
        hostile = said.get(self.member.msp)
        if hostile is None or self.member.msp not in settlement.attested:
            return
        accused = {(each.participant, each.validator) for each in settlement.accused}
        for index, update in enumerate(fixed.updates):
            if update.participant not in self._owners:
                continue
            honest = {
                self._point[msp]: found
                for msp in sorted(self._honest_msps & said.keys())
                if isinstance(found := said[msp].findings[index], UpdateFinding)
            }
            finding = hostile.findings[index]
            if not isinstance(finding, UpdateFinding) or finding.opening is None:
                continue
            lied, lied_about_product = self._contradicts(finding.opening, honest)
            named = (update.participant, self.member.msp) in accused
            if lied != named:
                self._find(
                    "who lies about an update is accused, and nobody else", current, f"lied {lied}, named {named}"
                )
            if lied:
                self.counts["false values about honest updates, accused"] += current.record.round >= self._next
            convicted = self.member.msp in settlement.convicted
            counts = settlement.with_reference and hostile.reference == "used"
            if lied_about_product and counts and not lied and not convicted:
                self._find("who lies about agreement is convicted", current, f"{finding}")

    def _contradicts(self, told: Opening, honest: dict[int, UpdateFinding]) -> tuple[bool, bool]:
        """Whether values are not on the lines through two honest validators' values; those of products apart."""
        (first, one), (second, two) = list(honest.items())[:2]
        if one.opening is None or two.opening is None:
            return False, False
        at = self._point[self.member.msp]
        expected = [
            _on_line((first, a), (second, b), at)
            for a, b in zip(_values(one.opening), _values(two.opening), strict=True)
        ]
        wrong = [a != b for a, b in zip(expected, _values(told), strict=True)]
        if isinstance(told, NormOpening):
            return any(wrong[:-1]), wrong[-1]
        return any(wrong), False

    def _check_norm(self, current: RoundView) -> None:
        """What is accepted of the hostile organisation is within the norm, by the shares of honest validators."""
        settlement = current.settlement
        if settlement is None or self.stage.kind is Kind.DEALING:
            return
        bound = self.stage.spec.aggregation.quantised_norm**2
        for update in settlement.updates:
            if update.participant in self._owners or update.verdict != "accepted":
                continue
            vector = self._dealt(current, update.participant)
            if vector is not None and sum(int(value) ** 2 for value in vector) > bound:
                self._find("an accepted update is within the norm", current, f"{vector}")

    def _dealt(self, current: RoundView, participant: str) -> npt.NDArray[np.int64] | None:
        """int64[d], the update that honest validators hold shares of, read with the keys of two of them."""
        manifest = manifests_of(current)[participant]
        sent = self.member.submitted.get(manifest.root)
        if sent is None:
            return None
        accused = {
            each.validator
            for each in (current.settlement.accused if current.settlement is not None else ())
            if each.participant == participant
        }
        opened = []
        for validator in self.stage.validators.values():
            point = self._point[validator.msp]
            share = open_share(sent.sealed[point - 1], manifest, self.member.parameters, point, validator.sealing_key)
            if isinstance(share, OpenedShare) and validator.msp not in accused:
                opened.append((point, share.update))
        if len(opened) < 2:
            return None
        (first, one), (second, two) = opened[:2]
        pairs = zip(one, two, strict=True)
        return np.array([centred(_on_line((first, int(a)), (second, int(b)), 0)) for a, b in pairs], dtype=np.int64)

    def _check_model(self, current: RoundView) -> None:
        """The new model is the step that follows from everybody's updates with the ledger's weights."""
        settlement = current.settlement
        if current.record.state != "finalised" or settlement is None:
            return
        stage, spec, version = self.stage, self.stage.spec, current.record.base_version
        ledger = stage.ground.member(stage.honest[0], "auditor").ledger
        model = ledger.model(spec.task, version + 1)
        if {*model.liars} & self._honest_msps:
            self._find("no honest validator is called a liar", current, f"{model.liars}")
        total = np.zeros(spec.model.parameter_count)
        for update in settlement.updates:
            if update.weight:
                owner = self._owners.get(update.participant)
                vector = (
                    self._dealt(current, update.participant)
                    if owner is None
                    else stage.encoded(owner, current.record.round)
                )
                if vector is None:
                    return
                total += update.weight * vector.astype(np.float64)
        mean = total / settlement.weight_sum / spec.aggregation.quantised_norm * spec.aggregation.clip_norm / MICRO
        stores = [validator.store.artifacts for validator in stage.validators.values()]
        before, after = (
            flatten(load_weights(find_model(ledger, spec.task, stores, each), spec.model.tensors))
            for each in (version, version + 1)
        )
        if not np.allclose(before - after, mean, atol=_TOLERANCE):
            self._find("the model follows from the updates", current, f"{before - after} instead of {mean}")

    # --- everybody

    def _check_members(self) -> None:
        stage, spec = self.stage, self.stage.spec
        ledger = stage.ground.member(stage.honest[0], "auditor").ledger
        current = stage.newest()
        charged = Counter(self._charged)
        if current is not None and current.record.state not in ENDED and current.fixed is not None:
            charged.update(u.participant for u in current.fixed.updates if u.participant in self._owners)
        for participant, organisation in self._owners.items():
            found = ledger.member(spec.task, participant)
            standing = found.standing
            if standing.contributions != charged[participant]:
                what = f"{organisation}: {standing.contributions} for {charged[participant]} rounds"
                stage.find("budgets are charged for rounds in which one took part", what)
            if found.stake != spec.incentive.participant_stake:
                stage.find("no honest participant loses stake", f"{organisation}: {found.stake}")
            if standing.quarantined_until or found.member.suspended or found.member.last_round is not None:
                stage.find("no honest participant is kept out", f"{organisation}: {found}")
            msp = stage.ground.names[organisation]
            held = ledger.balance_of(f"stake:{spec.task}:{msp}")
            if held != spec.incentive.validator_stake:
                stage.find("no honest validator loses stake", f"{organisation}: {held}")

    def _check_rulings(self, current: RoundView) -> None:
        for each in current.dispute.accusations if current.dispute is not None else ():
            honest_dealer, honest_judge = each.participant in self._owners, each.validator in self._honest_msps
            self.counts[f"accusations ruled: {each.ruling}"] += 1
            if honest_dealer and honest_judge:
                self._find("no honest validator is accused over an honest update", current, f"{each}")
            elif (honest_dealer and each.ruling != "denies") or (honest_judge and each.ruling != "confirms"):
                self._find("a dispute finds who is at fault", current, f"{each}")

    def _count(self, current: RoundView) -> None:
        """What became of a round that has ended."""
        self.counts[f"rounds {current.record.state}"] += 1
        self.counts["equivocations proven"] += len(current.equivocations)
        settlement = current.settlement
        if settlement is None:
            return
        for update in settlement.updates:
            if update.participant not in self._owners:
                self.counts[f"hostile updates {update.verdict}"] += 1
        self.counts["validator convicted at once"] += len(settlement.convicted)
        self.counts["rounds in which the reference counted"] += settlement.with_reference


def _values(opening: Opening) -> Iterator[int]:
    """All elements, the inner product last."""
    if isinstance(opening, DealingOpening):
        parts: tuple[str, ...] = opening.combination
    else:
        parts = (*opening.z, *opening.p, opening.inner_product)
    return (int(part, 16) for part in parts)


def _on_line(one: tuple[int, int], two: tuple[int, int], at: int) -> int:
    """The value at a point of the line through two points, mod q."""
    (x, a), (y, b) = one, two
    slope = (b - a) * pow(y - x, -1, MODULUS)
    return (a + slope * (at - x)) % MODULUS


def check_ledger(ground: Ground, organisation: str) -> list[str]:
    """The audit of everything, by an honest organisation; returns what it does not pass."""
    report = verify_network(ground.member(organisation, "auditor").network)
    return [
        f"{check.name}: {check.outcome}: {check.detail}" for check in report.checks if check.outcome is Outcome.FAILED
    ]
