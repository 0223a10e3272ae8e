"""What the hostile organisation puts into stores, and takes out of them.

Into its own store it may put anything. In others' stores it does what a participant has to be able to do there: put
artifacts, and until a round is closed change and remove those that it has put there itself. Whoever can do more in a
validator's store has that validator among the t.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from fedledger.errors import FedledgerError

from .kinds import zero_model
from .member import HostileMember, NotNow, act, remove
from .stage import CHANNEL

_HUGE = 1 << 40
"""Bytes of a file that occupies none."""


def _named(me: HostileMember) -> list[str]:
    """Digests that somebody will look for."""
    found = list(me.words.digests)
    if me.view.head is not None:
        found += [me.view.head.model_digest] * 4
    if me.current is not None:
        found += [record.share.digest for record in me.current.aggregates]
        found += [each.revealed.digest for each in me.current.references if each.revealed is not None]
        found += [share.digest for record in me.current.disclosures for share in record.disclosure.shares]
    return found


@act("put strange things into its own store")
def booby_trap(me: HostileMember) -> None:
    areas = [Path(me.store.artifacts.url), Path(me.store.shares_of(CHANNEL, me.stage.task, max(1, me.number)).url)]
    for _ in range(me.rng.choice((1, 3, 6))):
        digest = me.rng.choice(_named(me))
        place = me.rng.choice(areas) / digest[:2] / digest
        with suppress(OSError):
            _replace(me, place)
            me.told[me.act, "put"] += 1


def _replace(me: HostileMember, place: Path) -> None:
    """Put something else in the place of a file, or of its folder."""
    if me.rng.random() < 0.15:
        place = place.parent
    remove(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    match me.rng.randrange(7):
        case 0:
            place.mkdir()
        case 1:
            os.mkfifo(place)
        case 2:
            with place.open("wb") as file:
                file.truncate(_HUGE)
        case 3:
            place.symlink_to("/dev/zero")
        case 4:
            place.symlink_to(place)
        case 5:
            place.write_bytes(me.rng.randbytes(me.rng.choice((0, 10, 280))))
        case _:
            place.symlink_to(next(iter(me.stage.validators.values())).store.url)


@act("empty its own store", "open", "closed", "settled")
def empty(me: HostileMember) -> None:
    with suppress(OSError):
        remove(Path(me.store.artifacts.url) if me.rng.random() < 0.5 else Path(me.store.url))
        me.told[me.act, "done"] += 1


@act("put its own store in order", "idle", "open")
def mend(me: HostileMember) -> None:
    with suppress(OSError, FedledgerError):
        if me.rng.random() < 0.5:
            remove(Path(me.store.url))
        me.store.artifacts.put(zero_model())
        me.told[me.act, "done"] += 1


@act("put artifacts into others' stores", "open", "closed", "settled")
def litter(me: HostileMember) -> None:
    for validator in me.stage.validators.values():
        number = me.rng.choice((me.number, me.number + 1, 1, 9_999_999))
        task = me.rng.choice((me.stage.task, "other"))
        area = me.rng.choice((validator.store.artifacts, validator.store.shares_of(CHANNEL, task, max(1, number))))
        with suppress(FedledgerError):
            area.put(me.rng.randbytes(me.rng.choice((0, 1, 280, 100_000))))
            me.told[me.act, "put"] += 1


@act("take back what it put into others' stores", "open")
def take_back(me: HostileMember) -> None:
    if me.phase != "open":
        raise NotNow
    mine = [place for place in me.uploads if place.is_file()]
    for place in me.rng.sample(mine, min(len(mine), me.rng.choice((1, 2, 8)))):
        with suppress(OSError):
            match me.rng.randrange(3):
                case 0:
                    place.unlink()
                case 1:
                    os.truncate(place, 10)
                case _:
                    place.write_bytes(me.rng.randbytes(place.stat().st_size))
            me.told[me.act, "done"] += 1


@act("let its own agents do their duty", "open", "closed", "settled", "idle", "called")
def duty(me: HostileMember) -> None:
    try:
        me.helper.step()
    except Exception as error:
        # It lives with what the organisation has done to its own store and memory: that is nobody's concern.
        me.failed(error)
    else:
        me.told[me.act, "done"] += 1
