"""The surfaces that others rely on. A failure here is a decision to take, not a test to adjust."""

from __future__ import annotations

import subprocess
import sys

import typer.main
from typer.testing import CliRunner

import saddle
from saddle.cli import app

COMMANDS = {
    "recipes": [],
    "train": ["RECIPE", "--data", "--out", "--seed", "--device", "--threads", "--set", "--dry-run"],
    "sample": ["RUN", "--count", "--seed", "--out", "--label", "--labels", "--truncation", "--device"],
    "interpolate": ["RUN", "--from", "--to", "--steps", "--space", "--out", "--label", "--to-label", "--device"],
    "walk": ["RUN", "--seeds", "--steps", "--grid", "--space", "--out", "--label", "--device"],
    "arithmetic": ["RUN", "SUM", "--out", "--label", "--device"],
    "invert": ["RUN", "--image", "--steps", "--restarts", "--seed", "--out", "--label", "--device"],
    "nearest": ["RUN", "--count", "--seed", "--neighbours", "--data", "--out", "--label", "--device"],
    "classify": ["RUN", "--data", "--out", "--set", "--device"],
    "evaluate": ["RUN", "--metric", "--count", "--seeds", "--extractor", "--weights", "--data", "--device"],
    "compare": ["RUN", "--out"],
    "reproduce": ["TABLE", "--out", "--row", "--seeds", "--length", "--quick", "--set"],
    "report": ["RUN"],
    "data inspect": ["PATH", "--out", "--set"],
}
PUBLIC = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "Diverged",
    "Evaluation",
    "Generator",
    "Interrupted",
    "MetricError",
    "Run",
    "RunError",
    "SaddleError",
    "evaluate",
    "load",
    "recipes",
    "report",
    "train",
]

GENERATOR = [
    "class_grid",
    "class_list",
    "class_names",
    "decode",
    "interpolate",
    "invert",
    "label",
    "labels",
    "latent",
    "latents",
    "mean_latent",
    "sample",
    "shape",
    "stream",
    "walk",
]
RUN = ["generator", "log", "path", "report", "sample"]


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


def test_recipes_can_be_listed_again_and_again():
    assert "digits" in saddle.recipes()
    assert saddle.recipes() == saddle.recipes()


def test_help_and_recipes_do_not_import_torch():
    script = (
        "import sys\nfrom saddle.cli import app\n"
        "for words in (['--help'], ['train', '--help'], ['recipes'], ['train', 'mlp-tanh', '--dry-run']):\n"
        "    app(words, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_data_room_does_not_import_torch():
    subprocess.run([sys.executable, "-c", "import saddle.data, sys; assert 'torch' not in sys.modules"], check=True)


def test_every_command_explains_itself():
    for name in COMMANDS:
        result = CliRunner().invoke(app, [*name.split(), "--help"])
        assert result.exit_code == 0
        assert "Usage" in result.output
