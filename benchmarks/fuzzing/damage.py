"""Inputs for ``fuzz.py``: files with damage of every sort, in the right places.

Damage to bytes alone is found by the first checksum. So the parts of a file that are covered by one are also damaged
with the checksum made right again, and the reader must look at what they say.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import re
import struct
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import tomli_w

from fuzzing.files import Files

EDGES = [0, 1, 2, 7, 8, 127, 255, 256, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64]
NUMBERS = [
    *map(str, EDGES),
    "-1",
    "-0",
    "1e308",
    "1e999",
    "nan",
    "inf",
    "1e-400",
    "0x7f",
    "9" * 30,
    "9" * 5000,
    ".",
    "",
]
VALUES: list[Any] = [
    *(None, True, False, -1, 0.5, 1e308, float("nan"), float("inf"), 10**30, *EDGES),
    *("", "x", "x" * 300, "auto", "nan", "-inf", "\x1b[31m", "\u202e", "\udcff", "../..", "/etc/passwd", "0", "\0"),
    *([], {}, [[]], [1], [None], [-1, 2], {"a": 1}, {"family": []}, {"value": 1, "to": 2}, [0] * 2000),
]


def damaged(files: Files, chance: Random, wanted: Callable[[str], bool]) -> Files:
    """These files with damage to one of those whose names are ``wanted``, or rarely to two."""
    result = dict(files)
    names = [name for name in sorted(files) if wanted(name)]
    for _ in range(chance.choice((1, 1, 1, 2))):
        name = chance.choice(names)
        result[name] = damage(name, result[name], chance)
    return result


def damage(name: str, content: bytes, chance: Random) -> bytes:
    """``content`` with some damage; its form is told by how it begins, or by the file's name."""
    ways = {b"PK\3\4": in_zip, b"\x1f\x8b": in_gzip, b"\x89PNG": in_png}
    way = next((way for start, way in ways.items() if content.startswith(start)), WAYS.get(Path(name).suffix, in_text))
    if chance.random() < 0.6:
        with suppress(Exception):  # what is damaged already may no longer be of its form
            return way(content, chance)
    return in_bytes(content, chance)


def in_bytes(content: bytes, chance: Random) -> bytes:
    """A few bits, bytes, integers or stretches are changed, lost, doubled or inserted; or the end is missing."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        # The beginning, where headers are, is hit as often as all the rest.
        reach = len(found) if chance.random() < 0.5 else min(len(found), 64)
        place, length = chance.randrange(reach + 1), chance.choice((1, 2, 4, 8, 20, 300))
        match chance.randrange(9):
            case 0 | 1 if place < len(found):
                found[place] ^= 1 << chance.randrange(8)
            case 2 if place < len(found):
                found[place] = chance.randrange(256)
            case 3 | 4:
                form = chance.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
                number = struct.pack(form, chance.choice(EDGES) % 256 ** struct.calcsize(form))
                found[place : place + len(number)] = number
            case 5:
                del found[place : place + length]
            case 6:
                found[place:place] = chance.randbytes(length)
            case 7:
                start = chance.randrange(len(found) + 1)
                found[place:place] = found[start : start + length]
            case 8 if chance.random() < 0.4:
                del found[place:]
            case _:
                found[place : place + length] = bytes(min(length, len(found) - place))
    return bytes(found)


def in_text(content: bytes, chance: Random) -> bytes:
    """A number, a word or a line is changed, as in a header that is text."""
    pattern = chance.choice((rb"-?\d[\d.e+-]*", rb"-?\d[\d.e+-]*", rb"\w+", rb"[^\w\s]+", rb".*\n?"))
    found = [match.span() for match in re.finditer(pattern, content)]
    start, end = chance.choice(found)
    other = slice(*chance.choice(found))
    new = chance.choice((chance.choice(NUMBERS).encode(), content[other], b"", content[start:end] * 2))
    return content[:start] + new + content[end:]


def in_tree(tree: Any, chance: Random) -> Any:
    """A copy of what JSON or TOML said, with one value at any depth changed, lost, renamed or added."""
    root = [copy.deepcopy(tree)]
    places: list[tuple[Any, Any]] = [(root, 0)]
    for holder, key in places:  # it grows while it is gone through
        inside = holder[key]
        keys = list(inside) if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ()
        places += [(inside, each) for each in keys][:200]
    holder, key = chance.choice(places)
    value = holder[key]
    match chance.randrange(8):
        case 0 | 1 if isinstance(value, int | float):
            holder[key] = chance.choice(
                (value + 1, value - 1, -value, value * 2, value * 1000, float(value), str(value))
            )
        case 2 if holder is not root:
            del holder[key]
        case 3 if isinstance(holder, dict):
            holder[chance.choice(("x", "", "\x1b", "\udcff", "format", "value", key + "x"))] = holder.pop(key)
        case 4 if isinstance(value, list):
            holder[key] = chance.choice((value * 2, value[:-1], [value], value[::-1], [*value, chance.choice(VALUES)]))
        case 5:
            other, where = chance.choice(places)
            holder[key] = copy.deepcopy(other[where])
        case 6 if chance.random() < 0.3:
            for _ in range(chance.choice((20, 150, 5000))):
                holder[key] = [holder[key]]
        case _:
            holder[key] = copy.deepcopy(chance.choice(VALUES))
    return root[0]


def in_json(content: bytes, chance: Random) -> bytes:
    """A value of one of the lines is changed; or of the text in one, with the checksum beside it made right again."""
    lines = content.splitlines() if content.startswith(b"{") and content.count(b"\n{") else [content]
    number = chance.randrange(len(lines))
    tree = json.loads(lines[number])
    if isinstance(tree, dict) and tree.keys() == {"facts", "sha256"}:  # of an entry of the cache
        facts = json.dumps(in_tree(json.loads(tree["facts"]), chance))
        tree = {"facts": facts, "sha256": hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()}
    else:
        tree = in_tree(tree, chance)
    lines[number] = json.dumps(tree, ensure_ascii=chance.random() < 0.9).encode("utf-8", "surrogatepass")
    return b"\n".join(lines) + b"\n"


def in_toml(content: bytes, chance: Random) -> bytes:
    """A value is changed."""
    if chance.random() < 0.4:
        return in_text(content, chance)
    return tomli_w.dumps(in_tree(tomllib.loads(content.decode()), chance)).encode("utf-8", "surrogatepass")


def in_zip(content: bytes, chance: Random) -> bytes:
    """A part is damaged and packed again with the right checksum, or a field of a header says something else."""
    if chance.random() < 0.5:
        return _field_in_zip(content, chance)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = [(info, archive.read(info)) for info in archive.infolist()]
    number = chance.randrange(len(parts))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for index, (info, part) in enumerate(parts):
            name = chance.choice(
                (info.filename, chance.choice(parts)[0].filename, "../x.png", "x" * 300 + ".png", "\x1b.npy")
            )
            kept = zipfile.ZipInfo(name if index == number and chance.random() < 0.2 else info.filename)
            kept.compress_type = info.compress_type
            archive.writestr(kept, damage(info.filename, part, chance) if index == number else part)
    return packed.getvalue()


def _field_in_zip(content: bytes, chance: Random) -> bytes:
    """Offsets are those of PKWARE's APPNOTE: flags, method, checksum, sizes, lengths of names, where the part lies."""
    fields = {
        b"PK\3\4": ((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
        b"PK\1\2": ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (38, 4), (42, 4)),
        b"PK\5\6": ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    }
    magic = chance.choice(list(fields))
    start = chance.choice([match.start() for match in re.finditer(re.escape(magic), content)])
    offset, length = chance.choice(fields[magic])
    place = start + offset
    old = int.from_bytes(content[place : place + length], "little")
    new = chance.choice((old + 1, old - 1, old * 2, chance.choice(EDGES), chance.randrange(20))) % 256**length
    return content[:place] + new.to_bytes(length, "little") + content[place + length :]


def in_gzip(content: bytes, chance: Random) -> bytes:
    """What is packed is damaged, or packed once more."""
    inside = gzip.decompress(content)
    return gzip.compress(damage("", inside, chance) if chance.random() < 0.9 else content, 1, mtime=0)


def in_png(content: bytes, chance: Random) -> bytes:
    """A chunk is damaged, lost or doubled; its checksum is right."""
    chunks: list[bytes] = []
    place = 8
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunks.append(content[place + 4 : place + 8 + length])
        place += 12 + length
    number = chance.randrange(len(chunks))
    kind, body = chunks[number][:4], chunks[number][4:]
    if kind == b"IDAT" and chance.random() < 0.5:
        body = zlib.compress(in_bytes(zlib.decompress(body), chance))
    else:
        body = in_bytes(body, chance)
    chunks[number : number + 1] = chance.choice(([kind + body], [kind + body], [kind + body], [], [kind + body] * 2))
    whole = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return content[:8] + b"".join(whole)


def in_tensors(content: bytes, chance: Random) -> bytes:
    """The header or a tensor of a file of saddle's, saved again with the right checksum; or the format's own header."""
    if chance.random() < 0.2:
        length = int.from_bytes(content[:8], "little")
        head = json.dumps(in_tree(json.loads(content[8 : 8 + length]), chance)).encode("utf-8", "surrogatepass")
        return len(head).to_bytes(8, "little") + head + content[8 + length :]

    from saddle.base.tensors import load_tensors, save_tensors

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(content)
        tensors, header = load_tensors(path)
        if chance.random() < 0.6 or not tensors:
            header = in_tree(header, chance)
        else:
            name = chance.choice(sorted(tensors))
            _change(tensors, name, chance)
        save_tensors(path, tensors, header)
        return path.read_bytes()


def _change(tensors: dict[str, Any], name: str, chance: Random) -> None:
    import torch

    tensor = tensors.pop(name)
    kinds = (torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool, torch.complex64)
    changed: list[Callable[[], Any]] = [
        lambda: tensor.flatten()[:-1],
        lambda: tensor[None],
        tensor.flatten,
        lambda: tensor.new_zeros(0),
        lambda: tensor.new_zeros((0, 2**40)),
        lambda: tensor.to(chance.choice(kinds)),
        lambda: torch.full_like(
            tensor, chance.choice((float("nan"), float("inf"), 0, 1e38)) if tensor.is_floating_point() else -1
        ),
        lambda: tensors[chance.choice(sorted(tensors))],
    ]
    match chance.randrange(4):
        case 0:
            pass  # it is gone
        case 1:
            tensors[chance.choice((f"{name}x", "", "network.", "x" * 300, "\x1b"))] = tensor
        case _:
            tensors[name] = chance.choice(changed)()


WAYS: dict[str, Callable[[bytes, Random], bytes]] = {
    ".safetensors": in_tensors,
    ".json": in_json,
    ".jsonl": in_json,
    ".toml": in_toml,
    ".bin": in_bytes,
}
