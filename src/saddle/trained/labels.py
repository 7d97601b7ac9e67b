"""The classes that a conditional generator is asked for, by name or by index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from saddle.base.suggest import suggest
from saddle.errors import ConfigError

# A class by its name or index.
Label = str | int
# One class, or several that take turns; None: all classes in turn, or no class where there are none.
Labels = Label | Sequence[Label] | None


def find_class(label: Label, names: Sequence[str]) -> int:
    """The index of a class given by name or by index; names come first, where a name is a number, too.

    Args:
        label: the class.
        names: of all classes; empty for a generator that takes no labels.

    Raises:
        ConfigError: there are no classes, or not this one.
    """
    if not names:
        raise takes_no_labels()
    if isinstance(label, str) and label in names:
        return names.index(label)
    if str(label).isdecimal() and int(label) < len(names):
        return int(label)
    known = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    raise ConfigError(
        f"there is no class {label!r}",
        expected=f"an index below {len(names)}, or one of {known}",
        remedy=suggest(str(label), names),
    )


def find_classes(labels: Labels, names: Sequence[str]) -> Tensor | None:
    """The indices (k,) of one class or of several; of all where none is given; None without classes.

    Raises:
        ConfigError: as ``find_class``, or an empty list.
    """
    if labels is None:
        return torch.arange(len(names)) if names else None
    several = [labels] if isinstance(labels, str | int | np.integer) else labels
    chosen = [find_class(label, names) for label in several]
    if not chosen:
        raise ConfigError("the list of classes is empty", expected="at least one class")
    return torch.tensor(chosen)


def parse_classes(text: str, names: Sequence[str]) -> list[int]:
    """The classes that a text names: ``0,3,cat``, or ``balanced`` for all of them.

    Raises:
        ConfigError: as ``find_class``.
    """
    if text == "balanced" and names:
        return list(range(len(names)))
    return [find_class(name.strip(), names) for name in text.split(",")]


def check_labels(labels: Tensor | None, count: int, classes: int) -> Tensor | None:
    """Labels as a network takes them: int64 indices, or float32 mixtures.

    Args:
        labels: class indices (count,), or the share of each class (count, classes); None where there are no classes.
        count: how many latents they belong to.
        classes: how many classes there are.

    Raises:
        ConfigError: they are missing, not asked for, of another shape, or name a class that is not there.
    """
    if labels is None:
        if classes:
            raise ConfigError("this generator needs labels", expected=f"one of {classes} classes for each latent")
        return None
    if not classes:
        raise takes_no_labels()
    mixture = labels.is_floating_point()
    if labels.shape != ((count, classes) if mixture else (count,)):
        raise ConfigError(
            "the labels do not fit the latents",
            expected=f"class indices of shape ({count},), or mixtures of classes of shape ({count}, {classes})",
            got=tuple(labels.shape),
        )
    if mixture:
        return labels.float()
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ConfigError(
            "there is no such class",
            expected=f"class indices from 0 to {classes - 1}",
            got=f"{int(labels.min())} to {int(labels.max())}",
        )
    return labels.long()


def takes_no_labels() -> ConfigError:
    return ConfigError("this generator takes no labels", remedy="leave out the label")
