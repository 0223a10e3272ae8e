"""Organisations train one model together; a ledger that they run together decides.

In a notebook:

    import fedledger

    with fedledger.connect("cleveland-auditor", "fedledger.toml") as channel:
        channel.tasks().to_pandas()
        heart = channel.task("heart-disease")
        heart.members().to_pandas()
        weights = heart.weights()
        assert channel.audit().ok
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedledger.notebook import Channel

__all__ = ["connect"]


def connect(profile: str, config: str | Path = "fedledger.toml") -> Channel:
    """Open the channel of a profile; closes when used as a context manager, or by ``close()``.

    Args:
        profile: who acts: a name in the file.
        config: the file with the profiles.

    Raises:
        BadInputError: as ``identity.profile.load_profile``.
        IdentityError: the profile's key or certificate cannot be used.
    """
    from fedledger.notebook import Channel

    return Channel.open(profile, Path(config))
