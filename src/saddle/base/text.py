"""Text as a terminal may show it: names that others chose cannot steer it, hide what is there, or forge a line."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

LONGEST = 2_000  # letters of one part of a message
_JOINERS = "\u200c\u200d"  # Persian words and emoji are written with them; they move and hide nothing
_SUSPECT = {False: re.compile(r"[^ -~]"), True: re.compile(r"[^ -~\n\t]")}  # by whether newlines stay


def printable(text: str, *, lines: bool = False) -> str:
    r"""``text`` with everything that is not to be seen as an escape: ``\x1b``, ``\n``, ``\u202e``.

    These are control characters (ESC among them), separators of lines and paragraphs, invisible characters, those that
    turn the direction of writing, and halves of characters, as in a file name that is not UTF-8. Letters, marks, emoji
    and spaces of all scripts stay.

    Args:
        text: anything, such as a name from a file's header.
        lines: newlines and tabs are the message's own, and stay.
    """
    return _SUSPECT[lines].sub(lambda match: _shown(match[0]), text)


def one_line(text: object, longest: int = LONGEST) -> str:
    """``printable`` text on one line; of one longer than ``longest`` letters, the middle is left out."""
    shown = printable(str(text))
    if len(shown) <= longest:
        return shown
    half = longest // 2
    return f"{shown[:half]} ... {len(shown) - 2 * half:,} letters ... {shown[-half:]}"


@cache
def _shown(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS
    return character.encode("unicode_escape").decode() if hidden else character
