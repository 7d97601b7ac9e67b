from __future__ import annotations

import pytest

from saddle.base.suggest import suggest

NAMES = ["digits", "mnist", "cifar10", "gaussian", "GAN, ring of 8"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("digitz", "digits"),
        ("MNIST", "mnist"),
        ("cifar-10", "cifar10"),
        ("ring", "GAN, ring of 8"),  # a part of a longer name
        ("gan, ring of 9", "GAN, ring of 8"),
    ],
)
def test_the_nearest_name_is_suggested(name: str, nearest: str):
    assert suggest(name, NAMES) == f"did you mean {nearest!r}?"


@pytest.mark.parametrize("name", ["", "g", "cathedral"])
def test_nothing_is_suggested_where_nothing_is_near(name: str):
    assert suggest(name, NAMES) is None


def test_a_name_may_be_shown_by_another_text():
    shown = {"size": "data.size", "fit": "data.fit"}
    assert suggest("sise", shown, shown=shown) == "did you mean 'data.size'?"
    assert suggest("sise", shown) == "did you mean 'size'?"
