"""The documentation: what it names exists, and it can be read."""

from __future__ import annotations

import ast
import inspect
import operator
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main

import saddle
from saddle.cli.commands import app
from saddle.config import recipe_names
from saddle.config.keys import known_tables
from saddle.reproduction.tables import load_table, table_names

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PLANS = "design.md"  # which also names what is to come
SECTIONS = {name for name, below in known_tables().items() if below}
FILES = (".json", ".jsonl", ".npy", ".npz", ".png", ".py", ".safetensors", ".toml", ".webp")


@pytest.fixture(params=PAGES, ids=lambda path: path.stem)
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> list[tuple[int, str]]:
    """(number, line) of everything outside blocks of code."""
    inside, lines = False, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            lines.append((number, line))
    return lines


def inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", " ".join(line for _, line in prose(page)))


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each saddle command in console blocks and in running text."""
    typed = [block.replace("\\\n", "").splitlines() for block in blocks(page, "console")]
    lines = [line[2:] for block in typed for line in block if line.startswith("$ ")]
    for line in (*lines, *inline_code(page)):
        if re.match(r"saddle [a-z-]", line):
            yield shlex.split(line.split("  #")[0], comments=True)[1:]


def known_commands() -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(command: Any, name: str) -> None:
        found[name] = command
        for sub_name, sub in getattr(command, "commands", {}).items():
            walk(sub, f"{name} {sub_name}".strip())

    walk(typer.main.get_command(app), "")
    return found


def is_setting(key: str) -> bool:
    tables: Any = known_tables()
    for part in key.split("."):
        if not isinstance(tables, dict) or part not in tables:
            return False
        tables = tables[part]
    return True


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = [line.lstrip("#").strip() for _, line in prose(page) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(line for _, line in prose(page))):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not anchor or anchor in headings(file), target


def test_commands_and_their_options_exist(page: Path):
    known = known_commands()
    if page.name == PLANS:
        return
    for words in commands(page):
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known or name.startswith("--"), words
        options = {option for parameter in known[name].params for option in parameter.opts} if name in known else set()
        options |= {"--help", "--version"}
        for word in words:
            assert not word.startswith("--") or word.partition("=")[0] in options, words


def test_settings_recipes_and_rows_in_commands_exist(page: Path):
    for words in commands(page):
        for option, value in pairwise(words):
            if option == "--set" and "=" in value and value != "KEY=VALUE":
                assert is_setting(value.partition("=")[0]), words
            if option == "--row" and value != "NAME":
                assert value in [row.name for row in load_table(words[1]).rows], words
        if words[0] in ("train", "recipes") and words[1:] and re.fullmatch(r"[a-z0-9-]+", words[1]):
            assert words[1] in recipe_names(), words
        if words[0] == "reproduce" and words[1:] and words[1].islower():
            assert words[1] in table_names(), words


def test_settings_in_the_text_exist(page: Path):
    for code in inline_code(page):
        key = re.match(r"([a-z_]+)\.[a-z_0-9.]+", code)
        if key and key[1] in SECTIONS and not code.endswith(FILES):
            assert is_setting(key[0]), code


def test_python_blocks_call_what_there_is(page: Path):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "saddle":
                assert node.attr in saddle.__all__, node.attr
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("saddle."):
                called = operator.attrgetter(ast.unparse(node.func).removeprefix("saddle."))(saddle)
                arguments = inspect.signature(called).parameters
                assert {keyword.arg for keyword in node.keywords} <= set(arguments), ast.unparse(node)


def test_files_of_the_project_that_are_named_exist(page: Path):
    if page.name == PLANS:
        return
    for code in inline_code(page):
        if re.fullmatch(r"[\w./-]+/[\w.-]+\.py", code):
            assert (ROOT / code).exists() or (ROOT / "src" / "saddle" / code).exists(), code


def test_the_notice_names_files_that_exist():
    for name in re.findall(r"src/[\w./-]*\w", (ROOT / "NOTICE").read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name


def test_lines_of_prose_are_not_too_long(page: Path):
    long = [number for number, line in prose(page) if len(line) > 120 and not line.startswith("|")]
    assert not long, f"{page.name}: lines {long}"
