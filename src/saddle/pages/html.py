"""The parts of an HTML page. Pictures are embedded, so that a page needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image


def page(title: str, lead: str, sections: Iterable[str]) -> str:
    """A whole page. ``lead`` and ``sections`` are markup; all other texts in this module are escaped."""
    template = Template(resources.files("saddle.pages").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), lead=lead, sections="\n".join(filter(None, sections)))


def section(title: str, content: str) -> str:
    """A part of a page with a heading; ``content`` is markup."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def table(rows: Iterable[Sequence[Any]], head: Sequence[str] = (), *, caption: str = "") -> str:
    """A table; the first cell of each row is its name. A table that is too wide for the page can be scrolled."""
    html = f"<caption>{escape(caption)}</caption>" if caption else ""
    if head:
        html += "<tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in head) + "</tr>"
    for name, *values in rows:
        cells = "".join(f"<td>{escape('–' if value is None else str(value))}</td>" for value in values)
        html += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    return f'<div class="wide"><table>{html}</table></div>'


def figure(picture: Image.Image | Path, caption: str) -> str:
    """A picture, or a picture file unchanged. The caption must also serve those who cannot see it."""
    text = escape(caption)
    return f'<figure><img src="{_source(picture)}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _source(picture: Image.Image | Path) -> str:
    if isinstance(picture, Path):
        kind, content = picture.suffix[1:], picture.read_bytes()
    else:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        kind, content = "png", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
