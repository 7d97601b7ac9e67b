"""What ``saddle data inspect`` tells."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from math import ceil
from shlex import quote

import numpy as np

from saddle.base.progress import Progress, Silent
from saddle.config.schema import DataConfig
from saddle.data.formats.images import commonest, extensions
from saddle.data.formats.pixels import Size, wanted_size
from saddle.data.formats.reading import looking
from saddle.data.formats.survey import Survey, survey_images
from saddle.data.held_out import held_out_count, held_out_rows, holds_out_last, why_nothing
from saddle.data.sources import images_at, open_data
from saddle.data.store import TRANSPARENT, Skipped, Store
from saddle.errors import NoSuchSplit

_PREVIEW = 64  # images that a preview shows

Fact = tuple[str, str]


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Args:
        preview: the data, or enough of them for a preview.
        facts: (name, value) rows to print.
        class_counts: samples of each class, in class order; empty without labels.
        skipped: files left out, and why.
        needs: what a training on these data would need, as (name, value) rows.
    """

    preview: Store
    facts: tuple[Fact, ...]
    class_counts: tuple[tuple[str, int], ...]
    skipped: tuple[Skipped, ...]
    needs: tuple[Fact, ...]


def inspect_data(config: DataConfig, *, progress: Progress | None = None) -> Inspection:
    """Describe the data of ``config``, held-out samples included, however different or unreadable they are.

    A folder or zip of images is only looked at: nothing of it goes to the cache. Pairs are opened as for a training.

    Raises:
        DataError: nothing is there, or it cannot be used.
        TooLarge: it would not fit in memory.
    """
    progress = progress or Silent()
    with looking(config.source):
        if config.pairs == "none" and (root := images_at(config.source)):
            return _inspect_images(survey_images(root, config, progress), config)
    whole = config.model_copy(update={"held_out": 0.0})
    try:
        return _inspect_store(open_data(whole, progress=progress), config)
    except NoSuchSplit:  # the held-out samples are asked for
        return _inspect_store(open_data(config, progress=progress), config)


def _inspect_images(survey: Survey, config: DataConfig) -> Inspection:
    found, sizes, repeats = survey.readable, survey.sizes, survey.repeats()
    size = wanted_size(config) or survey.suggested_size()
    channels = config.channels or survey.channels
    counts = Counter(survey.classes.values())
    classes = sorted(counts)
    if survey.test is None:
        rows = held_out_rows(len(found), config.held_out, [*survey.classes.values()] or None)
        held_out = _held_out(len(rows), len(found), config)
    else:
        held_out = f"the test split, {survey.test:,} images" if config.split == "train" else "this is the test split"
    facts = [
        ("name", survey.name),
        ("images", f"{len(found):,}"),
        ("sizes (height x width)", _sizes(sizes)),
        ("modes", commonest(one.mode for one in found.values())),
        (TRANSPARENT, f"{survey.transparent:,} of {len(found):,} images" if survey.transparent else "none"),
        ("duplicates", _duplicates(len(repeats), "files", repeats)),
        ("skipped", f"{len(survey.skipped):,} of {len(survey.outcomes):,} files with an image's extension"),
        ("held out", held_out),
    ]
    if dropped := sorted(set(survey.listing.classes) - set(classes) - {""}):
        facts.append(("classes without a readable image", ", ".join(dropped)))
    if survey.listing.ignored:
        facts.append(("ignored, no image's extension", extensions(survey.listing.ignored)))
    facts.append(("classes", f"{len(classes):,}" if classes else "none"))
    class_counts = tuple((name, counts[name]) for name in classes)
    needs = _needs_of_images(survey, config, size, channels)
    return Inspection(_preview(survey, config, size, channels), tuple(facts), class_counts, survey.skipped, needs)


def _needs_of_images(survey: Survey, config: DataConfig, size: Size, channels: int) -> tuple[Fact, ...]:
    setting = _size_setting(size)
    sizes = survey.sizes
    largest = max(map(max, sizes))
    if config.size is not None:
        need = f"{_by(size)}, as you set it"
    elif len(sizes) > 1:
        need = f"--set {setting}, since the images differ in size"
    elif size in sizes:
        need = f"{_by(size)}, as they are"
    else:
        need = f"--set {setting}; without it they stay {_by(next(iter(sizes)))}"
    if config.size is None and largest > max(size):
        need += ". Larger is possible and takes longer"
    settings = [setting]
    needs = [("size", need), _labels_need(len(set(survey.classes.values())))]
    if survey.transparent:
        kept = "kept" if channels == 4 else "shown on white; --set data.channels=4 keeps it"
        needs.append(("transparency", kept))
    share = len(survey.skipped) / len(survey.outcomes)
    if share > config.max_unreadable:
        allowed = f"data.max_unreadable={ceil(share * 100) / 100:g}"
        settings.append(allowed)
        needs.append(("skipped files", f"repair or remove them, or --set {allowed}"))
    return (*needs, _example(config, settings))


def _preview(survey: Survey, config: DataConfig, size: Size, channels: int) -> Store:
    names = list(survey.readable)
    names = [names[row] for row in np.unique(np.linspace(0, len(names) - 1, min(_PREVIEW, len(names))).astype(int))]
    class_names = tuple(sorted(set(survey.classes.values())))
    labels = np.asarray([class_names.index(survey.classes[name]) for name in names]) if class_names else None
    return Store(survey.name, survey.render(names, size, channels, config), labels, class_names, fingerprint="")


def _inspect_store(store: Store, config: DataConfig) -> Inspection:
    images = store.kind == "images"
    own = store.held_out is not None or store.nothing_held_out  # data without a test split of their own
    facts = [
        ("name", store.name),
        (store.kind, f"{len(store):,}"),
        ("shape", " x ".join(map(str, store.shape)) + (" (C x H x W)" if images else "")),
        ("range", f"{store.values.min():g} to {store.values.max():g}"),
        *_inputs(store, config),
        *(note for note in store.notes if note[0] != TRANSPARENT),
    ]
    if images:
        facts.append((TRANSPARENT, _transparent(store)))
    if store.draw is None:
        facts.append(("duplicates", _duplicates(_repeated_rows(store), store.kind)))
    facts.append(("skipped", f"{len(store.skipped):,}"))
    if own:
        facts.append(("held out", _held_out_of_store(store, config)))
    facts.append(("fingerprint", store.fingerprint))
    facts.append(("classes", f"{len(store.class_names):,}" if store.class_names else "none"))
    counts = np.bincount(store.labels, minlength=len(store.class_names)).tolist() if store.labels is not None else []
    class_counts = tuple(zip(store.class_names, counts, strict=False))
    return Inspection(store, tuple(facts), class_counts, store.skipped, _needs_of_store(store, config) if own else ())


def _inputs(store: Store, config: DataConfig) -> list[Fact]:
    if store.inputs is None:
        return []
    return [("inputs", f"{' x '.join(map(str, store.inputs.shape[1:]))}, data.pairs={config.pairs}")]


def _held_out_of_store(store: Store, config: DataConfig) -> str:
    if store.held_out is not None:
        return "these samples"
    if holds_out_last(store):
        count = held_out_count(len(store), config.held_out)
        return f"{_held_out(count, len(store), config)}, the last ones"
    return _held_out(len(held_out_rows(len(store), config.held_out, store.labels)), len(store), config)


def _needs_of_store(store: Store, config: DataConfig) -> tuple[Fact, ...]:
    needs = [_labels_need(len(store.class_names))]
    if store.kind == "points":
        return tuple(needs)
    size = (store.shape[1], store.shape[2])
    transparent = [("transparency", note) for name, note in store.notes if name == TRANSPARENT]
    return (("size", f"{_by(size)}, as they are"), *needs, *transparent, _example(config, [_size_setting(size)]))


def _example(config: DataConfig, settings: list[str]) -> Fact:
    """A command that trains on these data, with what was set for this look at them."""
    chosen = {key: getattr(config, key) for key in ("fit", "channels", "pairs", "inputs", "held_out")}
    default = DataConfig().model_dump()
    settings = [*settings, *(f"data.{key}={_plain(value)}" for key, value in chosen.items() if value != default[key])]
    words = " ".join(f"--set {quote(each)}" for each in settings)
    recipe = "images" if config.pairs == "none" else "pix2pix"
    return "for example", f"saddle train {recipe} --data {quote(config.source)} {words}"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _labels_need(classes: int) -> Fact:
    if classes:
        return "labels", f"there are {classes:,} classes, which a conditional recipe uses"
    return "labels", "there are none, so the recipe must not be conditional"


def _held_out(count: int, samples: int, config: DataConfig) -> str:
    if not count:
        return why_nothing(samples, config.held_out)
    return f"{count:,} of {samples:,} in a training (data.held_out={config.held_out:g})"


def _sizes(sizes: Counter[Size]) -> str:
    if len(sizes) == 1:
        return f"all {_by(next(iter(sizes)))}"
    smallest, largest = (choose(sizes, key=lambda size: (size[0] * size[1], size)) for choose in (min, max))
    return f"{commonest({_by(size): n for size, n in sizes.items()})}; smallest {_by(smallest)}, largest {_by(largest)}"


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _size_setting(size: Size) -> str:
    return f"data.size={size[0]}" if size[0] == size[1] else f"data.size=[{size[0]},{size[1]}]"


def _transparent(store: Store) -> str:
    if store.shape[0] == 4:
        count = int((store.values[:, 3].min((1, 2)) < 255).sum())
        return f"{count:,} of {len(store):,} images" if count else "none"
    return dict(store.notes).get(TRANSPARENT, "none")


def _repeated_rows(store: Store) -> int:
    rows = (hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in store.values)
    return len(store) - len(set(rows))


def _duplicates(count: int, what: str, pairs: list[tuple[str, str]] | None = None) -> str:
    if not count:
        return "none"
    some = f", such as {pairs[0][0]} and {pairs[0][1]}" if pairs else ""
    who = f"1 {what[:-1]} has" if count == 1 else f"{count:,} {what} have"
    return f"{who} the same content as another{some}"
