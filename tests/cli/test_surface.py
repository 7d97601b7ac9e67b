"""The surfaces that others rely on. A failure here is a decision to take, not a test to adjust."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
import typer.main
from typer.testing import CliRunner

import saddle
from saddle.cli.commands import app

COMMANDS = {
    "recipes": ["NAME"],
    "settings": ["KEY"],
    "train": [
        *("RECIPE", "--data", "--pairs", "--inputs", "--from", "--out", "--seed", "--members", "--device"),
        *("--threads", "--set", "--edits", "--dry-run"),
    ],
    "list": ["FOLDER"],
    "info": ["RUN"],
    "health": ["RUN", "--member"],
    "diagnose": ["RUN|CSV", "--out"],
    "sample": [
        *("RUN", "--count", "--seed", "--out", "--label", "--labels", "--truncation", "--input", "--device"),
        "--member",
    ],
    "interpolate": ["RUN", "--from", "--to", "--steps", "--space", "--out", "--label", "--to-label", "--device"],
    "walk": ["RUN", "--seeds", "--steps", "--grid", "--space", "--out", "--label", "--device"],
    "arithmetic": ["RUN", "SUM", "--out", "--label", "--device"],
    "invert": ["RUN", "--image", "--steps", "--restarts", "--seed", "--out", "--label", "--device"],
    "nearest": ["RUN", "--count", "--seed", "--neighbours", "--data", "--out", "--label", "--device"],
    "classify": ["RUN", "--data", "--out", "--set", "--device"],
    "evaluate": [
        *("RUN", "--metric", "--count", "--seeds", "--extractor", "--inception-weights", "--data", "--device"),
        "--member",
    ],
    "compare": ["RUN", "--out"],
    "reproduce": ["TABLE", "--out", "--row", "--seeds", "--length", "--quick", "--set"],
    "pause": ["RUN"],
    "resume": ["RUN"],
    "stop": ["RUN"],
    "save": ["RUN"],
    "edit": ["RUN", "KEY=VALUE"],
    "fork": ["RUN", "--out", "--at", "--set", "--member"],
    "sweep": [
        *("RECIPE", "--over", "--trials", "--data", "--out", "--seed", "--device", "--threads", "--set"),
        *("--storage", "--prune"),
    ],
    "report": ["RUN"],
    "export": ["RUN", "--to", "--out", "--runtime", "--member"],
    "serve": ["RUN", "--host", "--port", "--most", "--timeout", "--device", "--member"],
    "studio": ["FOLDER", "--host", "--port", "--read-only"],
    "data inspect": ["PATH", "--out", "--set"],
    "cache clear": [],
}
PUBLIC = [
    "CheckpointError",
    "Collapsed",
    "ConfigError",
    "DataError",
    "DeviceError",
    "Diverged",
    "Evaluation",
    "Generator",
    "Interrupted",
    "MetricError",
    "NotFinite",
    "Run",
    "RunError",
    "SaddleError",
    "compare",
    "evaluate",
    "fork",
    "load",
    "metrics",
    "recipes",
    "report",
    "reproduce",
    "save_samples",
    "sweep",
    "train",
]

GENERATOR = [
    "class_grid",
    "class_names",
    "device",
    "interpolate",
    "invert",
    "label",
    "labels",
    "latent",
    "latents",
    "mean_latent",
    "sample",
    "save",
    "shape",
    "stream",
    "to",
    "translate",
    "walk",
]
RUN = [
    *("config", "edit", "edits", "evaluate", "generator", "health", "interpolate", "log", "member"),
    *("path", "pause", "report", "resume", "sample", "save", "scores", "status", "stop", "walk"),
]


def surface() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}

    def walk(command: object, name: str) -> None:
        for sub_name, sub in getattr(command, "commands", {}).items():
            walk(sub, f"{name} {sub_name}".strip())
        if not hasattr(command, "commands"):
            found[name] = [
                next((option for option in parameter.opts if option.startswith("--")), None) or parameter.metavar
                for parameter in command.params
                if parameter.name != "help"
            ]

    walk(typer.main.get_command(app), "")
    return found


def test_commands_and_options():
    assert surface() == COMMANDS


def test_public_names_exist_and_are_all_there_are():
    assert sorted(saddle.__all__) == PUBLIC
    assert dir(saddle) == saddle.__all__
    for name in saddle.__all__:
        assert getattr(saddle, name) is not None


def test_methods_of_the_public_classes():
    for kind, names in ((saddle.Generator, GENERATOR), (saddle.Run, RUN)):
        assert sorted(name for name in vars(kind) if not name.startswith("_")) == names


def test_recipes_tell_their_source():
    recipes = {recipe.name: recipe for recipe in saddle.recipes()}
    assert list(recipes) == sorted(recipes)
    assert str(recipes["goodfellow2014"]) == "goodfellow2014"
    assert recipes["goodfellow2014"].url == ("https://arxiv.org/abs/1406.2661",)
    assert recipes["goodfellow2014"].published and not recipes["digits"].published
    assert saddle.recipes() == saddle.recipes()


def test_help_and_recipes_do_not_import_torch():
    script = (
        "import sys\nfrom saddle.cli.commands import app\n"
        "for words in (['--version'], ['--help'], ['train', '--help'], ['recipes'], ['recipes', 'digits'],\n"
        "              ['settings'], ['train', 'mlp-tanh', '--dry-run']):\n"
        "    app(words, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_data_room_does_not_import_torch():
    subprocess.run([sys.executable, "-c", "import saddle.data, sys; assert 'torch' not in sys.modules"], check=True)


def test_every_command_explains_itself_and_no_text_is_cut_at_80_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("", "data", "cache", *COMMANDS):
        result = CliRunner().invoke(app, [*name.split(), "--help"])
        assert result.exit_code == 0
        assert "Usage" in result.output
        texts = result.output.split("\n\n", 1)[1]  # the first line has "[ARGS]..."
        assert "..." not in texts.replace(",...", "") and "…" not in texts, name


def test_the_device_is_auto_everywhere():
    for name, options in COMMANDS.items():
        if "--device" in options:
            told = " ".join(CliRunner().invoke(app, [name, "--help"]).output.split())
            assert "cpu, cuda, mps or auto (default)" in told, name


def test_version():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"saddle {version('saddle')}\n")
