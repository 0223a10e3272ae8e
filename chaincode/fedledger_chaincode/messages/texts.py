"""Texts that people write for others to read and approve: none holds a character that hides or disguises another.

Needs nothing but the standard library, so that whatever prints such a text can ask it.
"""

from __future__ import annotations

import re

HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters that show nothing of themselves and change how others are shown: controls (C0 with the line feed, DEL,
C1), line and paragraph separators, marks of direction, of zero width and for tagging, and halves of surrogate pairs.
Code points, not Unicode's categories, which grow: every peer has to refuse the same texts."""


def check_text(text: str, *, one_line: bool = False) -> str:
    """A text as people may write it for others to read.

    Args:
        one_line: whether it must not hold a line feed, either.

    Raises:
        ValueError: it holds a hidden character; the message says which and where.
    """
    for found in HIDDEN.finditer(text):
        if one_line or found[0] != "\n":
            raise ValueError(
                f"holds the character U+{ord(found[0]):04X} at place {found.start()}, which is not seen and changes "
                "how others are"
            )
    return text
