"""How a participant's reputation came about: the contract's arithmetic, done again from what the ledger holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import StandingRecord
from fedledger_chaincode.messages.task import ReputationSpec
from fedledger_chaincode.messages.views import ReputationHistory, ScoredRound
from fedledger_chaincode.rules.reputation import Terms, score_of, terms_of, updated_standing
from fedledger_chaincode.rules.trust import LEVELS

REASONS: Mapping[str, str] = {
    "accepted": "its update was accepted",
    "absent": "no update arrived in time: agreement and reliability count 0",
    "refused: equivocation": "it signed two different updates: proven",
    "refused: norm": "its update is not within the clip norm",
    "refused: dealing": "its shares do not belong together: proven",
    "refused: inconsistent": "validators' values of its update contradict each other",
    "unreadable": "too few validators could read its shares",
}
"""By verdict."""


@dataclass(frozen=True)
class ExplainedRound:
    """One round's arithmetic, in micro-units; what is recomputed is compared with what the contract stored."""

    scored: ScoredRound
    terms: Terms | None
    """None in a round that scores an accepted update by its reputation alone."""
    before: int
    """Reputation before the round, as stored."""
    score: int
    """Recomputed."""
    after: int
    """Reputation after the round, recomputed."""
    quarantined_until: int
    """Recomputed; 0 for no quarantine."""

    @property
    def reason(self) -> str:
        """Why the terms are what they are, in a sentence."""
        update = self.scored.update
        said = REASONS[update.verdict]
        if update.verdict == "refused: norm":
            said += ": proven" if update.proven else ", which is not proven"
        if update.by_reputation:
            said += "; the direction says nothing in this round: its score is its reputation"
        elif update.agreement is not None:
            said += f"; its agreement of {update.agreement / MICRO:.3f} is trust {update.trust} of {LEVELS}"
        if update.verdict == "accepted" and self.scored.quarantined:
            said += "; it weighs nothing, for it is in quarantine"
        return said

    @property
    def differences(self) -> tuple[str, ...]:
        """Where the contract stored something else."""
        stored = self.scored.update.reputation
        found = [] if self.scored.update.score == self.score else [f"score {self.scored.update.score}"]
        if stored is None:
            return (*found, "no reputation")
        if stored.after != self.after:
            found.append(f"reputation {stored.after}")
        if stored.quarantined_until != self.quarantined_until:
            found.append(f"quarantine until {stored.quarantined_until}")
        return tuple(found)


@dataclass(frozen=True)
class Explanation:
    """A participant's reputation, round by round."""

    history: ReputationHistory
    rounds: tuple[ExplainedRound, ...]

    @property
    def initial(self) -> int:
        """What it began with, in micro-units."""
        return self.rounds[0].before if self.rounds else self.history.standing.reputation

    @property
    def differences(self) -> tuple[str, ...]:
        """Every place where the ledger holds something else than follows; empty on a sound ledger."""
        found = [
            f"round {each.scored.round}: {difference} is stored"
            for each in self.rounds
            for difference in each.differences
        ]
        for earlier, later in zip(self.rounds, self.rounds[1:], strict=False):
            if later.before != earlier.after:
                found.append(f"round {later.scored.round}: begins with {later.before}, not {earlier.after}")
        if self.rounds and self.rounds[-1].after != self.history.standing.reputation:
            found.append(f"now: reputation {self.history.standing.reputation} is stored")
        return tuple(found)


def explain(history: ReputationHistory) -> Explanation:
    """Do the arithmetic of every settled round again, by the contract's own rules."""
    return Explanation(history, tuple(_explained(scored, history.rules) for scored in history.rounds))


def _explained(scored: ScoredRound, rules: ReputationSpec) -> ExplainedRound:
    update = scored.update
    change = update.reputation
    standing = StandingRecord(
        contributions=0,
        epsilon=0,
        reputation=0 if change is None else change.before,
        quarantined_until=0 if change is None else change.quarantined_before,
    )
    terms = None if update.by_reputation else terms_of(update.verdict, update.trust)
    score = scored.reputation if terms is None else score_of(rules, terms)
    after = updated_standing(standing, score, scored.round, rules)
    return ExplainedRound(scored, terms, standing.reputation, score, after.reputation, after.quarantined_until)
