"""Which specifications ``task show`` has shown on this machine, by profile: nothing else is approved without its hash.

Kept beside the file of profiles. It protects from approving by name what was changed meanwhile, not from whoever can
write to this machine.
"""

from __future__ import annotations

import json
from pathlib import Path

from fedledger.identity.files import write_atomic

_FILE = "fedledger-shown.json"
_MOST = 200


def remember(config: Path, profile: str, spec_hash: str) -> None:
    """Keep that a specification was shown; of the newest ones only."""
    shown = _read(config)
    mine = [known for known in shown.get(profile, []) if known != spec_hash]
    shown[profile] = [*mine, spec_hash][-_MOST:]
    write_atomic(_path(config), json.dumps(shown, indent=1, sort_keys=True).encode())


def was_shown(config: Path, profile: str, spec_hash: str) -> bool:
    return spec_hash in _read(config).get(profile, [])


def _path(config: Path) -> Path:
    return config.absolute().parent / _FILE


def _read(config: Path) -> dict[str, list[str]]:
    """What is there; a file that is not ours counts as nothing shown."""
    try:
        found = json.loads(_path(config).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): [str(each) for each in hashes] for name, hashes in found.items() if isinstance(hashes, list)}
