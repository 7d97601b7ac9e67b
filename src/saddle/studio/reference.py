"""The page that says what a service can be asked, without anything from another host."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 52rem; padding: 1rem; }
h2 { margin: 2rem 0 0.3rem; font-size: 1.1rem; }
code { font-size: 0.95em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid GrayText; padding: 0.25rem 0.8rem 0.25rem 0; text-align: left; vertical-align: top; }
"""
_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def page(schema: Mapping[str, Any]) -> str:
    """The description of a service (OpenAPI) as a page of HTML."""
    parts = [_endpoint(path, method, each) for path, found in schema["paths"].items() for method, each in found.items()]
    title = escape(schema["info"]["title"])
    lead = escape(schema["info"]["description"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><p>{lead} Errors are JSON: <code>what</code>, <code>expected</code>, "
        f'<code>got</code>, <code>remedy</code>. The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"{''.join(parts)}</body></html>"
    )


def _endpoint(path: str, method: str, said: Mapping[str, Any]) -> str:
    name = escape(path)
    rows = "".join(map(_parameter, said.get("parameters", ())))
    head = "<tr><th>parameter</th><th>default</th><th>allowed</th><th>what it is</th></tr>"
    table = f"<table>{head}{rows}</table>" if rows else ""
    about = escape(said.get("description") or said.get("summary") or "")
    return f'<h2><code>{method.upper()} <a href="{name}">{name}</a></code></h2><p>{about}</p>{table}'


def _parameter(said: Mapping[str, Any]) -> str:
    schema: Mapping[str, Any] = said["schema"]
    default = schema.get("default")
    cells = ("" if default is None else str(default), _allowed(schema), said.get("description", ""))
    return (
        f"<tr><td><code>{escape(said['name'])}</code></td>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>"
    )


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    words = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}"}
    bounds = [text.format(schema[name]) for name, text in words.items() if name in schema]
    return " ".join(bounds) or "text"
