"""The parts of an HTML page. Pictures are embedded, so that a page needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, NamedTuple
from urllib.parse import quote

from PIL import Image

from saddle.errors import ConfigError


def check_page(path: Path | None) -> None:
    """Refuse a file for a page that is not named as one.

    Raises:
        ConfigError: its suffix is another.
    """
    if path is not None and path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"{path} is not named as a page", expected="a name that ends in .html", got=path.suffix or "none"
        )


def page(title: str, lead: str, sections: Iterable[str]) -> str:
    """A whole page. ``lead`` and ``sections`` are markup; all other texts in this module are escaped."""
    template = Template(resources.files("saddle.pages").joinpath("page.html").read_text(encoding="utf-8"))
    html = template.substitute(title=escape(title), lead=lead, sections="\n".join(filter(None, sections)))
    return html.encode("utf-8", "backslashreplace").decode()  # names of files need not be text


def section(title: str, content: str) -> str:
    """A part of a page with a heading; ``content`` is markup."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


class Link(NamedTuple):
    """A cell of a table that leads to a file; ``address`` is relative to the page, its names not yet quoted."""

    text: str
    address: str


def table(rows: Iterable[Sequence[Any]], head: Sequence[str] = (), *, caption: str = "") -> str:
    """A table; the first cell of each row is its name. A table that is too wide for the page can be scrolled."""
    html = f"<caption>{escape(caption)}</caption>" if caption else ""
    if head:
        html += "<tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in head) + "</tr>"
    for name, *values in rows:
        cells = "".join(f"<td>{_cell(value)}</td>" for value in values)
        html += f'<tr><th scope="row">{_cell(name)}</th>{cells}</tr>'
    return f'<div class="wide"><table>{html}</table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, Link):
        return f'<a href="{escape(quote(value.address))}">{escape(value.text)}</a>'
    return escape("–" if value is None else str(value))


def figure(picture: Image.Image | bytes, caption: str, kind: str = "png") -> str:
    """A picture, or the content of a picture file unchanged. The caption must also serve those who cannot see it."""
    text = escape(caption)
    if isinstance(picture, Image.Image):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        picture, kind = buffer.getvalue(), "png"
    source = f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def left_out(notes: Sequence[str]) -> str:
    """What is damaged and therefore not on the page; nothing if nothing is."""
    return section("Left out", "".join(map(paragraph, notes))) if notes else ""
