"""A web page that runs a trained generator in the browser, by onnxruntime-web."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from saddle.base.files import write_text
from saddle.errors import ConfigError
from saddle.networks.mlp import drops_by_z
from saddle.share.onnx_file import description, to_onnx
from saddle.trained.export import check_out
from saddle.trained.opening import open_generator

# The runtime that a page loads where none is given: its version, and the hashes of its two files, which browsers check.
VERSION = "1.30.0"
_CODE, _BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
_HASHES = {
    _CODE: "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    _BINARY: "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
}
_HOST = "https://cdn.jsdelivr.net"


def save_web_page(source: Path, out: Path, runtime: Path | None = None) -> float:
    """Write one page that runs the generator in ``source``, and return the largest difference of its graph to torch.

    The page has sliders, classes, seeds and interpolation. Its seeds are its own: they give other latents than those of
    the same number here. Equal latents give equal pixels, to 1/255.

    Args:
        source: a run folder or a generator file.
        out: a name that ends in ``.html``.
        runtime: the folder of the npm package onnxruntime-web, which the page then holds. Without it the page loads
            it from a fixed address, and runs only what has the right hash.

    Raises:
        ConfigError: another suffix, ``runtime`` is something else, or as ``to_onnx``.
        SaddleError: as ``to_onnx``, or ``out`` cannot be written; nothing is written then.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"a web page cannot be called {out.name}", expected="the suffix .html", remedy="--out")
    check_out(out)
    how = _from_host() if runtime is None else _from_package(runtime)
    network, scaling, header = open_generator(source)
    if drops_by_z(network):
        raise ConfigError(
            "a page cannot play with this generator: its dropout is decided by z, which nothing may be moved in",
            expected="a generator without dropout_in_samples",
            remedy="`saddle export --to onnx` writes its graph",
        )
    exported = to_onnx(network, scaling, header, description(header, source))
    about = {
        "recipe": header.recipe,
        "kind": header.kind,
        "shape": header.shape,
        "classes": header.class_names,
        "latent": header.latent.model_dump(),
        "inputs": None if header.inputs is None else header.inputs.model_dump(),
        "runtime": how["files"],
    }
    page = resources.files("saddle.share")
    values = {
        "title": escape(f"{header.recipe}: a generator"),
        "recipe": escape(header.recipe),
        "policy": how["policy"],
        "about": json.dumps(about).replace("<", "\\u003c"),
        "model": _text(exported.model),
        "held": how["held"],
        "runtime": escape(how["name"]),
        "style": page.joinpath("page.css").read_text(encoding="utf-8"),
        "script": page.joinpath("page.js").read_text(encoding="utf-8"),
    }
    template = page.joinpath("page.html").read_text(encoding="utf-8")
    html = re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template)
    write_text(out, html.encode("utf-8", "backslashreplace").decode())  # names need not be text
    return exported.error


def _from_host() -> dict[str, Any]:
    """The runtime by address and hash. The page may ask this one host, and gets nothing that is not what it expects."""
    place = f"{_HOST}/npm/onnxruntime-web@{VERSION}/dist"
    files = {"code": _CODE, "binary": _BINARY}
    return {
        "files": {kind: {"url": f"{place}/{name}", "integrity": _HASHES[name]} for kind, name in files.items()},
        "policy": f"connect-src {_HOST}",
        "held": "",
        "name": f"onnxruntime-web {VERSION}, loaded from {_HOST.removeprefix('https://')}",
    }


def _from_package(folder: Path) -> dict[str, Any]:
    """The runtime in the page itself.

    Raises:
        ConfigError: the folder is not that of the package.
    """
    try:
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        name, version = package["name"], str(package["version"])
        code, binary = ((folder / "dist" / file).read_bytes() for file in (_CODE, _BINARY))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_package(folder, error) from None
    if name != "onnxruntime-web":
        raise _no_package(folder, f"the package {name}")
    held = f'<script type="text/plain" id="code">{_text(code)}</script>\n'
    held += f'<script type="text/plain" id="binary">{_text(binary)}</script>'
    return {
        "files": None,
        "policy": "connect-src data: blob:",
        "held": held,
        "name": f"onnxruntime-web {version}, held by this page",
    }


def _no_package(folder: Path, got: object) -> ConfigError:
    return ConfigError(
        f"{folder} is not the npm package onnxruntime-web",
        expected=f"a folder with package.json, dist/{_CODE} and dist/{_BINARY}",
        got=got,
        remedy=f"`npm install onnxruntime-web@{VERSION}`, then --runtime node_modules/onnxruntime-web",
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
