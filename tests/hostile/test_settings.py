"""Settings within their ranges and beyond: a valid config, or an error that is meant for the user."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saddle.config import load_recipe, parse_settings, resolve, to_toml
from saddle.config.keys import all_keys
from saddle.config.resolve import inline_toml, load_config
from saddle.config.schema import Config
from saddle.errors import ConfigError

DIGITS = load_recipe("digits")
KEYS = sorted({key.path for key in all_keys()})


def settled(*assignments: str) -> Config | None:
    """The config with these settings, which its own text gives again; or None where they are refused."""
    try:
        config = resolve(DIGITS, parse_settings(assignments))
    except ConfigError as error:
        assert "Traceback" not in str(error)
        return None
    assert Config.model_validate(tomllib.loads(to_toml(config))) == config
    return config


# Texts that look much like TOML, and some that do not.
PIECES = st.sampled_from(
    [
        *(
            "[",
            "]",
            "{",
            "}",
            "=",
            ",",
            ".",
            "'",
            '"',
            "\n",
            " ",
            "#",
            "\\",
            "\\u12",
            "-",
            "+",
            "_",
            ":",
            "e",
            "0x",
            "\x1b",
        ),
        *("1", "0", "999999999999999999999", "1e400", "nan", "inf", "true", "none", "auto", "50%", "2020-01-01"),
        *("kind", "family", "value", "to", "linear", "mlp", "dcgan", "\udcff", "é", "10:00:00", "[[", '"""', "{a="),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join), st.text(st.characters(exclude_categories=()), max_size=30)
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-3, 3),
    st.sampled_from([s * 10**n for n in (6, 12, 18, 30) for s in (-1, 1)]),
    st.floats(),
)
NAMES = st.sampled_from(["kind", "family", "value", "to", "start", "end", "every", "divisor", "minimum", "low", "size"])
VALUES = st.recursive(
    NUMBERS | st.booleans() | st.text(max_size=5) | st.sampled_from(["auto", "dcgan", "linear", "exponential", "50%"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(NAMES, inside, max_size=4),
    max_leaves=6,
)


@given(st.lists(TEXTS, max_size=3))
@example(["a=" + "[" * 5000])
@example(["a=" + "{a=" * 5000])
@example([f"a{'.a' * 5000}=1"])
@example(["a=" + "1" * 5000])
@example(["a=0x" + "f" * 5000])
@example(["a=1\nb=2"])
def test_any_text_is_read_or_refused(assignments: list[str]):
    settled(*assignments)


@given(st.sampled_from(KEYS), TEXTS)
def test_any_text_for_any_setting(key: str, text: str):
    settled(f"{key}={text}")


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3))
@example([("game", {"kind": [1]}), ("generator.network", {"family": {}})])
@example([("generator.optimizer.kind", [1]), ("latent.kind", {})])
@example([("game.r1", {"kind": [], "value": 1})])
@example([("game.r1", {"value": 1, "to": 2, "start": "50% of 1" + "0" * 30})])
@example([("epochs", 1e300)])
def test_any_value_for_any_setting(pairs: list[tuple[str, Any]]):
    settled(*(f"{key}={inline_toml(value)}" for key, value in pairs))


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3))
def test_any_value_from_python(pairs: list[tuple[str, Any]]):
    layers: list[dict[str, Any]] = []
    for key, value in pairs:
        *above, last = key.split(".")
        layer: dict[str, Any] = {last: value}
        for name in reversed(above):
            layer = {name: layer}
        layers.append(layer)
    with suppress(ConfigError):
        resolve(DIGITS, *layers)


@given(st.binary(max_size=200) | TEXTS.map(lambda text: text.encode(errors="surrogatepass")))
@example(b"a=" + b"[" * 50_000)
@example(b"\xff")
@example(b"")
@example(b"recipe = 1\n" + b"x = 1\n" * 1000)
@example(b"".join(b"x%d = 1\n" % n for n in range(1000)))
def test_a_recorded_config_of_any_bytes(content: bytes):
    path = Path("config.toml")
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert len(str(caught.value)) < 20_000


@pytest.fixture(autouse=True)
def _in_a_fresh_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("seed=-1", "seed: expected greater than or equal to 0"),
        (f"seed={2**63 - 1}", None),
        (f"seed={2**63}", "more than 64 bits"),
        ("latent.size=1" + "0" * 30, "more than 64 bits"),
        ("latent.size=" + "[" * 5000, "nested too deeply"),
        ("latent.size=1000000000", "latent.size: expected less than or equal to"),
        ("generator.network.widths=[1000000000]", "generator.network.widths: expected less than or equal to"),
        ("generator.network.widths=[" + "1," * 1001 + "]", "generator.network.widths: expected "),
        ("batch_size=1000000000000", "batch_size: expected less than or equal to"),
        ("samples.count=1000000000000", "samples.count: expected less than or equal to"),
        ("data.size=100000", "data.size: expected less than or equal to"),
        ("threads=10000000000", "threads: expected less than or equal to 1024"),
        ("threads=²", "threads: expected"),
        ("epochs=1e300", "epochs: expected less than or equal to"),
        ("images=1000000000000", "images: expected less than"),
        ("images=999999999999", None),
        ("checkpoint.every=1e18", "checkpoint.every: expected less than"),
        ("data.columns=[1000000000000]", "data.columns: expected"),
        ("generator.optimizer.learning_rate=nan", "generator.optimizer.learning_rate: expected"),
        ("generator.optimizer.kind=[1]", "generator.optimizer: expected one of 'adam', 'sgd', got '[1]'"),
        ("data.source=\udcff", r"expected text in UTF-8, got '\udcff'"),
    ],
)
def test_numbers_at_the_ends_of_their_ranges(setting: str, said: str | None):
    if said is None:
        assert settled(setting) is not None
        return
    with pytest.raises(ConfigError) as caught:
        resolve(DIGITS, parse_settings([setting]))
    assert said in str(caught.value)


def test_many_wrong_settings_are_not_all_told():
    with pytest.raises(ConfigError) as caught:
        resolve(DIGITS, {f"wrong{number}": 1 for number in range(2_000)})
    assert len(caught.value.details) == 21
    assert caught.value.details[-1] == "and 1,980 more"
