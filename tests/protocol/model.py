"""An update, or a round, in the hands of its participants and up to t validators, while any others are late.

What honest validators open of an update are values on one polynomial of degree t for each element where its participant
is honest; where it is not, some lie on another one. Of the proof itself the model takes for granted what is proven of
it (secure aggregation, 12.2): what t + 1 honest validators hold of a false statement does not satisfy P = Z^2, and a
share that belongs to another dealing shows in Z or P. Everything else is played with the contract's own rules. What
colluding validators say completes any polynomial on which enough honest values lie, makes P the square with t of them,
or is random.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, combinations, product
from random import Random

from fedledger_chaincode.messages.records import CohortEntry, CohortRecord, FixedSetRecord, FixedUpdate
from fedledger_chaincode.messages.round import Attestation, NormOpening, Opening, UpdateFinding
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.settlement import Settlement, settle
from tests.unit.contract.ledger import task_spec

Element = tuple[int, int]
"""Of F_q(i)."""
Values = dict[int, Element]
"""By validator."""


def random_element(dice: Random) -> Element:
    return dice.randrange(MODULUS), dice.randrange(MODULUS)


def squared(element: Element) -> Element:
    a, b = element
    return (a * a - b * b) % MODULUS, 2 * a * b % MODULUS


@cache
def _weights(points: tuple[int, ...], x: int) -> tuple[int, ...]:
    """Lagrange's, of the polynomial through the points, at x."""
    weights = []
    for i in points:
        numerator = denominator = 1
        for j in points:
            if j != i:
                numerator = numerator * (x - j) % MODULUS
                denominator = denominator * (i - j) % MODULUS
        weights.append(numerator * pow(denominator, -1, MODULUS) % MODULUS)
    return tuple(weights)


def through(points: Mapping[int, Element], x: int) -> Element:
    """The value at x of the polynomial of least degree through the points."""
    weights = _weights(tuple(points), x)
    real, imaginary = zip(*points.values(), strict=True)
    return (
        sum(weight * value for weight, value in zip(weights, real, strict=True)) % MODULUS,
        sum(weight * value for weight, value in zip(weights, imaginary, strict=True)) % MODULUS,
    )


def sharing(dice: Random, t: int, points: Iterable[int], fixed: Mapping[int, Element]) -> Values:
    """Points of a random polynomial of degree t with some values fixed, at most t + 1 of them."""
    known = dict(fixed)
    for place in range(-1, -t - 2, -1):
        if len(known) <= t:
            known[place] = random_element(dice)
    return {j: through(known, j) for j in points}


@dataclass(frozen=True)
class Dealing:
    """What the honest validators open of one update if they are there."""

    n: int
    t: int
    z: Values
    p: Values
    c: Values
    """Of any other linear function of the shares: the inner product, or a sum. Real."""
    roots: tuple[Element, Element]
    """On the right and on the wrong polynomials, P is the square of these where it is not that of Z."""
    is_honest: bool
    """The participant is: all lie on one polynomial, and the statement is true."""

    @property
    def honest(self) -> tuple[int, ...]:
        """Validators."""
        return tuple(self.z)

    @property
    def corrupt(self) -> tuple[int, ...]:
        return tuple(j for j in range(1, self.n + 1) if j not in self.z)

    def is_true(self, holders: Sequence[int]) -> bool:
        """Whether what t + 1 of these honest validators hold satisfies the statement."""
        z, p = (through({j: part[j] for j in holders[: self.t + 1]}, 0) for part in (self.z, self.p))
        return p == squared(z)

    def is_one(self, holders: Sequence[int]) -> bool:
        """Whether these honest validators hold one dealing."""
        first, others = holders[: self.t + 1], holders[self.t + 1 :]
        return all(
            through({k: part[k] for k in first}, j) == part[j] for part in (self.z, self.p, self.c) for j in others
        )

    def completed(self, validator: int) -> tuple[Element, Element, Element]:
        """What a corrupt one would open if it held a share of the first honest ones' dealing."""
        first = self.honest[: self.t + 1]
        z, p, c = (through({j: part[j] for j in first}, validator) for part in (self.z, self.p, self.c))
        return z, p, c


@dataclass(frozen=True)
class Split:
    """How a participant deals: to whom it deals Z, or P, on its wrong polynomial, and which statements are true."""

    z_off: frozenset[int] = frozenset()
    p_off: frozenset[int] = frozenset()
    is_true: bool = True
    """On the right polynomial."""
    wrong_is_true: bool = False
    shared: frozenset[int] = frozenset()
    """Validators at whose points the two polynomials meet, at most t."""

    @property
    def is_honest(self) -> bool:
        return self.is_true and not self.z_off and not self.p_off

    def dealt(self, n: int, t: int, corrupt: Collection[int], dice: Random) -> Dealing:
        points = range(1, n + 1)
        z0, z1, root, wrong_root = (random_element(dice) for _ in range(4))
        z = sharing(dice, t, points, {0: z0})
        p = sharing(dice, t, points, {0: squared(z0 if self.is_true else root)})
        c = {j: (value[0], 0) for j, value in sharing(dice, t, points, {}).items()}
        meeting = sorted(self.shared)
        wrong_z = sharing(dice, t, points, {0: z1, **{j: z[j] for j in meeting}})
        wrong_p = sharing(
            dice, t, points, {0: squared(z1 if self.wrong_is_true else wrong_root), **{j: p[j] for j in meeting}}
        )
        wrong_c = sharing(dice, t, points, {j: c[j] for j in meeting})
        honest = [j for j in points if j not in corrupt]
        off = self.z_off | self.p_off
        return Dealing(
            n,
            t,
            {j: wrong_z[j] if j in self.z_off else z[j] for j in honest},
            {j: wrong_p[j] if j in self.p_off else p[j] for j in honest},
            {j: (wrong_c[j][0], 0) if j in off else c[j] for j in honest},
            (root, wrong_root),
            self.is_honest,
        )


# --- what colluding validators may say


def completions(dealing: Dealing, part: Values, targets: Iterable[Element]) -> Iterator[dict[int, Element]]:
    """Every polynomial that they may complete, by points: through t + 1 honest values, or through t and one of the
    ``targets`` at zero."""
    for chosen in combinations(dealing.honest, dealing.t + 1):
        yield {j: part[j] for j in chosen}
    for chosen, target in product(combinations(dealing.honest, dealing.t), sorted(targets)):
        yield {0: target, **{j: part[j] for j in chosen}}


def constants(dealing: Dealing) -> set[Element]:
    """What Z may be decoded to where t + 1 honest validators agree, and the roots of P."""
    agreed = {through({j: dealing.z[j] for j in chosen}, 0) for chosen in combinations(dealing.honest, dealing.t + 1)}
    return agreed | {*dealing.roots}


def opening(z: Element, p: Element, c: int) -> NormOpening:
    words = [f"{part:016x}" for part in (*z, *p, c)]
    return NormOpening.model_construct(z=(words[0], words[1]), p=(words[2], words[3]), inner_product=words[4])


def truths(dealing: Dealing) -> dict[int, Opening | None]:
    """What the honest ones open."""
    return {j: opening(dealing.z[j], dealing.p[j], dealing.c[j][0]) for j in dealing.honest}


# --- every case of four validators


def four_dealings(corrupt: int | None, dice: Random) -> Iterator[Dealing]:
    """Every dealing to the honest ones of four validators, of which one may be corrupt.

    The first of them is on the right polynomial of Z, for the names of the two are arbitrary. That the two meet in a
    validator's point is the same as that it is on both, which another split says.
    """
    honest = [j for j in (1, 2, 3, 4) if j != corrupt]
    for z_off, p_off, is_true, wrong_is_true in product(
        _subsets(honest[1:]), _subsets(honest), (True, False), (True, False)
    ):
        if wrong_is_true and not z_off | p_off:
            continue
        split = Split(z_off, p_off, is_true, wrong_is_true)
        yield split.dealt(4, 1, () if corrupt is None else (corrupt,), dice)


def four_lies(dealing: Dealing, dice: Random) -> Iterator[tuple[Element, Element]]:
    """Everything that a corrupt one of four validators may say of Z and P, up to what amounts to the same."""
    (liar,) = dealing.corrupt
    zs = {through(points, liar) for points in completions(dealing, dealing.z, dealing.roots)} | {random_element(dice)}
    squares = [squared(constant) for constant in constants(dealing)]
    ps = {through(points, liar) for points in completions(dealing, dealing.p, squares)} | {random_element(dice)}
    yield from product(sorted(zs), sorted(ps))


def _subsets(validators: Sequence[int]) -> list[frozenset[int]]:
    sizes = range(len(validators) + 1)
    return [frozenset(chosen) for chosen in chain(*(combinations(validators, size) for size in sizes))]


# --- samples of more validators


def some_corrupt(n: int, t: int, dice: Random) -> list[int]:
    return dice.sample(range(1, n + 1), dice.choice([0, t, t, t, dice.randint(0, t)]))


def some_split(n: int, t: int, corrupt: Collection[int], dice: Random) -> Split:
    """A participant that cheats, or deals badly, or both; now and then neither."""
    honest = [j for j in range(1, n + 1) if j not in corrupt]

    def some() -> frozenset[int]:
        return frozenset(dice.sample(honest, dice.choice([0, t, t + 1, dice.randint(0, len(honest))])))

    z_off = some()
    p_off = z_off if dice.random() < 0.5 else some()
    shared = frozenset(dice.sample(range(1, n + 1), dice.randint(0, t)))
    return Split(z_off, p_off, dice.random() < 0.3, dice.random() < 0.3, shared)


def some_lies(dealing: Dealing, dice: Random) -> dict[int, tuple[Element, Element, int]]:
    """What corrupt validators say together: mostly of one polynomial for each element, now and then for themselves."""
    z_points = _some_completion(dealing, dealing.z, dealing.roots, dice)
    squares = [squared(through(z_points, 0)), *map(squared, dealing.roots), random_element(dice)]
    p_points = _some_completion(dealing, dealing.p, squares, dice)
    c_points = _some_completion(dealing, dealing.c, [(dice.randrange(MODULUS), 0)], dice)

    def said(points: Mapping[int, Element], liar: int) -> Element:
        return random_element(dice) if dice.random() < 0.1 else through(points, liar)

    return {liar: (said(z_points, liar), said(p_points, liar), said(c_points, liar)[0]) for liar in dealing.corrupt}


def _some_completion(dealing: Dealing, part: Values, targets: Sequence[Element], dice: Random) -> dict[int, Element]:
    if dice.random() < 0.5:
        return {j: part[j] for j in dice.sample(dealing.honest, dealing.t + 1)}
    return {0: dice.choice(targets), **{j: part[j] for j in dice.sample(dealing.honest, dealing.t)}}


def some_attesters(dealing: Dealing, dice: Random) -> tuple[list[int], list[int]]:
    """Who attests, and who of these cannot read; as often as not just n - t that can."""
    everybody = list(range(1, dealing.n + 1))
    missing = dice.choice([0, dealing.t, dice.randint(0, dealing.t), dice.randint(0, dealing.n)])
    honest_first = [*dice.sample(dealing.honest, len(dealing.honest)), *dealing.corrupt]
    gone = (honest_first if dice.random() < 0.8 else dice.sample(everybody, len(everybody)))[:missing]
    late = [j for j in gone if dice.random() < 0.5]
    return [j for j in everybody if j not in late], [j for j in gone if j not in late]


# --- a round


@dataclass(frozen=True)
class Update:
    """One update of a round and what becomes of it on the way."""

    name: str
    owner: str
    """Its organisation."""
    dealing: Dealing
    unreadable: frozenset[int] = frozenset()
    """Honest validators that cannot read it."""
    lies: Mapping[int, Opening | None] = field(default_factory=dict)
    """What corrupt validators say of it; None: that they cannot read it."""
    is_bribed: bool = False
    """Its participant does what the adversary wants, however it deals."""

    def said_by(self, validator: int) -> Opening | None:
        if validator in self.dealing.corrupt:
            return self.lies.get(validator)
        return None if validator in self.unreadable else truths(self.dealing)[validator]

    def is_held_by(self, honest: Sequence[int]) -> bool:
        """Whether these honest validators all hold shares of one true dealing of it."""
        readable = not self.unreadable.intersection(honest)
        return readable and self.dealing.is_true(honest) and self.dealing.is_one(honest)


def organisation(index: int) -> str:
    return f"Org{index:02d}MSP"


@cache
def round_spec(n: int, t: int) -> TaskSpec:
    """A task of n organisations, each with a validator."""
    msps = [organisation(j) for j in range(1, n + 1)]
    aggregation = {"validators": msps, "tolerated_faults": t, "minimum_accepted": t + 2, "proof": "norm"}
    return task_spec(organisations=msps, aggregation=aggregation)


@dataclass(frozen=True)
class Round:
    """A closed round."""

    n: int
    t: int
    updates: tuple[Update, ...]
    attesting: tuple[int, ...]
    using_reference: frozenset[int] = frozenset()

    def settled(self) -> Settlement:
        """What the contract decides."""
        spec = round_spec(self.n, self.t)
        entries = [
            CohortEntry(participant=update.name, msp=update.owner, quarantined=False, reputation=500_000)
            for update in self.updates
        ]
        fixed = FixedSetRecord(
            updates=tuple(
                FixedUpdate(participant=update.name, manifest_digest="0" * 64, num_examples=100)
                for update in self.updates
            )
        )
        attestations = {organisation(j): self._attestation(j) for j in self.attesting}
        return settle(spec, CohortRecord(participants=tuple(entries), validators=()), fixed, attestations, frozenset())

    def _attestation(self, validator: int) -> Attestation:
        findings = []
        for update in self.updates:
            said = update.said_by(validator)
            reason = "NOT_FOUND" if said is None else ""
            findings.append(
                UpdateFinding.model_construct(
                    participant=update.name, readable=said is not None, reason=reason, opening=said
                )
            )
        word = "used" if validator in self.using_reference else "none"
        return Attestation.model_construct(task="heart", round=1, findings=tuple(findings), reference=word)


def some_round(n: int, t: int, dice: Random) -> tuple[Round, list[int]]:
    """With its corrupt validators, whose organisations and whoever they have bribed do what they like."""
    corrupt = some_corrupt(n, t, dice)
    honest = [j for j in range(1, n + 1) if j not in corrupt]
    updates = []
    for j in range(1, n + 1):
        for name in range(1 + dice.choice([0, 0, 1, 2])):
            bribed = name > 0 or j in corrupt
            split = some_split(n, t, corrupt, dice) if bribed else Split()
            dealing = split.dealt(n, t, corrupt, dice)
            unreadable = frozenset(dice.sample(honest, dice.randint(0, t + 1))) if bribed else frozenset[int]()
            lies = _said(dealing, dice)
            updates.append(Update(f"{len(updates):064x}", organisation(j), dealing, unreadable, lies, bribed))
    late = dice.sample(honest, dice.choice([0, t, dice.randint(0, t)]))
    attesting = tuple(j for j in range(1, n + 1) if j not in late)
    using = frozenset(dice.sample(range(1, n + 1), dice.choice([0, n, n - t, dice.randint(0, n)])))
    return Round(n, t, tuple(updates), attesting, using), corrupt


def _said(dealing: Dealing, dice: Random) -> dict[int, Opening | None]:
    """What corrupt validators say of one update: the truth, nothing, or one lie together."""
    if dice.random() < 0.3:
        return dict.fromkeys(dealing.corrupt)
    lies = some_lies(dealing, dice)
    said: dict[int, Opening | None] = {}
    for j in dealing.corrupt:
        true = dealing.completed(j)
        z, p, c = (true[0], true[1], true[2][0]) if dice.random() < 0.5 else lies[j]
        said[j] = opening(z, p, c if dice.random() < 0.7 else dice.randrange(MODULUS))
    return said
