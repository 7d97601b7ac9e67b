"""How often the alarm is right: a set of runs with known outcomes, and what the rules say of their logs.

    SADDLE_DATA=DIR python benchmarks/alarm.py make FOLDER [--part rules|held-out] [--match TEXT]
    python benchmarks/alarm.py collect FOLDER
    python benchmarks/alarm.py judge [--part rules|held-out]

``make`` trains the runs that are missing in FOLDER, one by one, and measures what became of each: at 25 positions 1,000
samples are drawn from the generator of that moment, and held against real samples by the classifier that the data have,
or by the modes of points. ``collect`` brings logs and measurements into ``results/alarm.json``, and ``judge`` applies
the rules to that file alone.

The labels are made from the measurements, never from what the alarm looks at; see ``label``. The rules were made with
the part ``rules``. The data sets of the part ``held-out`` are others, and most of its recipes.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from summary import machine, table

RESULTS = Path(__file__).parent / "results" / "alarm.json"
LIBRARY = Path(__file__).parent.parent / "src" / "saddle" / "health" / "curves.json"
IN_LIBRARY = 5
POSITIONS, SAMPLES, REAL = 25, 1_000, 2_000
RATES = ("generator.optimizer.learning_rate", "discriminator.optimizer.learning_rate")


class Planned(NamedTuple):
    """A run of the set.

    Args:
        name: of its folder.
        part: ``rules`` or ``held-out``.
        recipe, data: what is trained on what; no data: the recipe's own.
        settings: beside those of the recipe.
    """

    name: str
    part: str
    recipe: str
    data: str | None
    settings: dict[str, Any]


def planned() -> Iterator[Planned]:
    """All runs of the set."""

    def runs(
        part: str,
        recipe: str,
        images: int,
        variants: Mapping[str, Mapping[str, Any]],
        seeds: int,
        data: str | None = None,
    ) -> Iterator[Planned]:
        for variant, settings in variants.items():
            for seed in range(seeds):
                name = "-".join(filter(None, (recipe, data, variant, str(seed))))
                yield Planned(name, part, recipe, data, {"images": images, "seed": seed, **settings})

    def rates(generator: float, discriminator: float) -> dict[str, Any]:
        return dict(zip(RATES, (generator, discriminator), strict=True))

    def rising(begin: float, end: float) -> dict[str, Any]:
        schedule = {"value": begin, "to": end, "start": "40%", "end": "60%"}
        return dict.fromkeys(RATES, schedule)

    plain: dict[str, Any] = {"game.r1": 0, "game.r2": 0}
    # Rules: the images of digits, and eight modes of points.
    yield from runs("rules", "digits", 300_000, {
        "": {},
        "slow": rates(5e-4, 1e-4),
        "fast": rates(8e-3, 2e-3),
        "faster": rates(2e-2, 5e-3),
        "wild": rates(5e-2, 2e-2),
        "free": plain,
        "free-fast": plain | rates(8e-3, 2e-3),
        "hinge": {"game.loss": "hinge"},
        "least": {"game.loss": "least_squares"},
        "saturating": {"game.loss": "saturating"} | plain,
        "strong-d": plain | rates(5e-4, 8e-3),
        "relativistic": {"game.loss": "relativistic", "game.r2": 1.0},
        "rising": plain | rising(2e-3, 0.3),
    }, 3)  # fmt: skip
    penalised = {"game.r1": 1.0}
    yield from runs("rules", "mlp-tanh", 600_000, {
        "": {},
        "fast": rates(8e-4, 8e-4),
        "faster": rates(3e-3, 3e-3),
        "slow": rates(1e-4, 1e-4),
        "r1": penalised,
        "strong-d": rates(1e-4, 2e-3),
    }, 2, "digits")  # fmt: skip
    faster = {"": {}, "fast": rates(8e-4, 8e-4), "faster": rates(3e-3, 3e-3)}
    yield from runs("rules", "mlp-dropout", 500_000, faster, 2, "digits")
    few = {"": {}, "fast": rates(8e-4, 8e-4), "r1": penalised}
    yield from runs("rules", "mlp-sigmoid", 600_000, few, 2, "digits")
    yield from runs("rules", "ring8", 2_000_000, {
        "": {},
        "free": plain,
        "fast": rates(4e-3, 4e-3),
        "faster": rates(1.6e-2, 1.6e-2),
        "slow": rates(2.5e-4, 2.5e-4),
        "plain": plain | {"game.loss": "non_saturating"},
        "least": {"game.loss": "least_squares"} | plain,
        "rising": plain | rising(1e-3, 0.1),
    }, 3)  # fmt: skip
    # Held out: MNIST, 25 modes, one number; recipes with batch norm, convolutions, labels, SGD.
    narrow = {"generator.network.width": 8, "discriminator.network.width": 8}
    yield from runs("held-out", "mlp-batchnorm", 600_000, {"": {}}, 2)
    yield from runs("held-out", "mlp-batchnorm", 600_000, {"fast": rates(8e-4, 8e-4), "r1": penalised}, 1)
    yield from runs("held-out", "mlp-tanh", 700_000, {"": {}, "fast": rates(1.6e-3, 1.6e-3)}, 2)
    yield from runs("held-out", "mlp-sigmoid", 700_000, {"": {}}, 2)
    yield from runs("held-out", "mlp-dropout", 500_000, {"": {}}, 1)
    yield from runs("held-out", "goodfellow2014", 150_000, {"": {}}, 1)
    yield from runs("held-out", "dcgan-failing", 200_000, {"": {}}, 1)
    yield from runs("held-out", "dcgan", 100_000, {"narrow": narrow}, 1)
    yield from runs("held-out", "cgan", 100_000, {
        "": {},
        "fast": rates(8e-3, 2e-3),
        "free": plain | rates(2e-3, 2e-3),
        "rising": rising(2e-3, 0.3),
    }, 1)  # fmt: skip
    yield from runs("held-out", "mnist", 100_000, {
        "narrow": narrow,
        "narrow-free": narrow | plain | {"game.penalty_every": 1},
        "narrow-rising": narrow | rising(2e-3, 0.3),
    }, 1)  # fmt: skip
    yield from runs("held-out", "grid25", 1_500_000, {
        "": {},
        "free": plain,
        "fast": rates(4e-3, 4e-3),
        "faster": rates(1.6e-2, 1.6e-2),
        "plain": plain | {"game.loss": "non_saturating"},
        "hinge": plain | {"game.loss": "hinge"},
        "rising": plain | rising(1e-3, 0.1),
    }, 2)  # fmt: skip
    yield from runs("held-out", "gaussian", 2_000_000, {"": {}, "free": plain, "fast": rates(1.6e-2, 1.6e-2)}, 2)
    yield from runs("held-out", "gaussian-packed", 1_000_000, {"": {}}, 2)


def make(folder: Path, part: str | None, match: str) -> None:
    """Train and measure the runs that are missing."""
    import saddle
    from saddle.errors import Diverged

    for run in planned():
        path = folder / run.name
        if (path / "truth.json").is_file() or part not in (None, run.part) or match not in run.name:
            continue
        shutil.rmtree(path, ignore_errors=True)
        images = run.settings["images"]
        intervals = {"log.every": images // 50, "samples.every": images // POSITIONS}
        intervals |= {"checkpoint.every": images // POSITIONS, "checkpoint.keep": 1_000}
        settings = {**run.settings, **intervals, "device": "cpu", "threads": 1, "precision": "float32"}
        if run.data == "digits":
            settings["data.first"] = None
        outcome = "finished"
        try:
            saddle.train(run.recipe, data=run.data, out=path, settings=settings)
        except Diverged:
            outcome = "diverged"
        truth = {"outcome": outcome, "truth": list(measured(path))}
        (path / "truth.json").write_text(json.dumps(truth))
        shutil.rmtree(path / "checkpoints")
        last = truth["truth"][-1] if truth["truth"] else {}
        print(run.name, outcome, {name: round(value, 3) for name, value in last.items()}, flush=True)


def measured(path: Path) -> Iterator[dict[str, float]]:
    """What the generator of each checkpoint is like."""
    import torch

    from saddle.base.tensors import load_tensors
    from saddle.config import load_config
    from saddle.data.named.distributions import Mixture
    from saddle.data.sources import open_data
    from saddle.features.extractors import find_extractor
    from saddle.metrics.manifold import precision_recall
    from saddle.metrics.nearest import neighbour_distances
    from saddle.runs.folder import RunFolder
    from saddle.trained.draw import as_saved
    from saddle.trained.generator import load

    run = RunFolder(path)
    config = load_config(run.config)
    store = open_data(config.data)
    if not run.generator.is_file():
        return
    generator = load(run.generator, device="cpu")
    extractor = find_extractor(None, store)
    real = store.spread(REAL)
    reference = extractor(torch.from_numpy(real.values.copy()))
    neighbours = neighbour_distances(reference.features, 3)
    own = None
    if reference.probabilities is not None:
        own = classes_of(reference.probabilities)
    chosen = store.spread(SAMPLES)
    labels = torch.from_numpy(chosen.labels) if config.conditional and chosen.labels is not None else None
    for position, file in run.all_checkpoints():
        tensors, _ = load_tensors(file)
        prefix = "averaged." if any(name.startswith("averaged.") for name in tensors) else "generator.network."
        state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        generator.network.load_state_dict(state)
        samples = as_saved(generator(generator.latents(len(chosen), 12345), labels))
        output = extractor(samples)
        precision, recall = precision_recall(
            output.features.double(), reference.features.double(), neighbours=neighbours
        )
        found = {"images": float(position), "precision": precision, "recall": recall}
        if output.probabilities is not None and own is not None:
            found["classes"] = classes_of(output.probabilities) / own
        if isinstance(store.distribution, Mixture):
            found |= modes_of(samples, store.distribution.centres, store.distribution.sigma)
        yield found


def classes_of(probabilities: Any) -> float:
    """The effective number of classes, exp of the entropy of how often each is the most probable one."""
    import torch

    found = probabilities.argmax(-1).flatten()
    return torch.special.entr(torch.bincount(found).double() / len(found)).sum().exp().item()


def modes_of(samples: Any, centres: Any, sigma: float) -> dict[str, float]:
    """``modes``: share of modes that have a tenth of their samples at least; ``near``: of samples within 3 σ of one."""
    import torch

    nearest = torch.cdist(samples.double(), torch.from_numpy(centres).double()).min(1)
    near = nearest.values <= 3 * sigma
    counts = torch.bincount(nearest.indices[near], minlength=len(centres)) / len(samples)
    return {"modes": (counts >= 0.1 / len(centres)).double().mean().item(), "near": near.double().mean().item()}


class Outcome(NamedTuple):
    """What became of a run, by its measurements.

    Args:
        name: ``healthy``, ``fell``, ``never learnt`` or ``unclear``.
        onset: of a run that fell, the share of it at which it was bad for the first time.
    """

    name: str
    onset: float = 0.0

    @property
    def is_collapse(self) -> bool:
        return self.name in COLLAPSES


COLLAPSES = ("fell", "never learnt")


def label(run: Mapping[str, Any]) -> Outcome:
    """The outcome of a run of the set.

    A position is *bad* where the effective number of classes is below half of that of real images or recall is below a
    tenth, and of points where recall is below three tenths. It is *good* where there are eight tenths of the classes
    and recall is at least three tenths, and of points where it is at least six tenths.

    *Fell*: three positions in a row, 12 % of the run, are bad after one that was not, or the run diverged. *Never
    learnt*: all positions are bad, but for a tenth of them at most. *Healthy*: no position beyond a tenth is bad, and
    nine tenths of those beyond three tenths are good. All others are *unclear*, such as runs that learn late.
    """
    points = run["truth"]
    shares = [point["images"] / run["total"] for point in points]
    bad, good = [_is_bad(point) for point in points], [_is_good(point) for point in points]
    if sum(bad) >= 0.9 * len(bad):
        return Outcome("never learnt")
    for place in range(bad.index(False), len(points) - 2):
        if all(bad[place : place + 3]):
            return Outcome("fell", shares[place])
    if run["outcome"] == "diverged":
        return Outcome("fell", shares[-1])
    late = [each for share, each in zip(shares, good, strict=True) if share > 0.3]
    if not any(each for share, each in zip(shares, bad, strict=True) if share > 0.1) and sum(late) >= 0.9 * len(late):
        return Outcome("healthy")
    return Outcome("unclear")


def _is_bad(point: Mapping[str, float]) -> bool:
    return point["classes"] < 0.5 or point["recall"] < 0.1 if "classes" in point else point["recall"] < 0.3


def _is_good(point: Mapping[str, float]) -> bool:
    return point["classes"] >= 0.8 and point["recall"] >= 0.3 if "classes" in point else point["recall"] >= 0.6


def collect(folder: Path) -> None:
    """Bring the logs and the measurements of all runs in FOLDER into one file."""
    runs: list[dict[str, Any]] = []
    keys = ("images", "discriminator_loss", "generator_loss", "d_real", "d_fake", *LOOK)
    for run in planned():
        path = folder / run.name
        if not (path / "truth.json").is_file():
            continue
        truth = json.loads((path / "truth.json").read_text())
        log = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
        columns = {key: [_short(entry.get(key)) for entry in log] for key in keys if any(key in entry for entry in log)}
        points = [{name: _short(value) for name, value in point.items()} for point in truth["truth"]]
        runs.append(
            {
                **run._asdict(),
                "outcome": truth["outcome"],
                "total": run.settings["images"],
                "truth": points,
                "log": columns,
            }
        )
    write_library(folder, runs)
    RESULTS.write_text(json.dumps({"machine": machine(), "runs": runs}, separators=(",", ":")) + "\n")
    print(f"{len(runs)} runs, {RESULTS.stat().st_size / 1e6:.1f} MB")


def write_library(folder: Path, runs: list[dict[str, Any]]) -> None:
    """The curves that ``saddle diagnose`` holds others beside: of each recipe at most so many of each outcome."""
    from saddle.config import load_config
    from saddle.health.library import compact

    counts: dict[tuple[str, str], int] = {}
    lines: list[str] = []
    for run in runs:
        outcome = label(run).name
        counts[run["recipe"], outcome] = counts.get((run["recipe"], outcome), 0) + 1
        if outcome == "unclear" or counts[run["recipe"], outcome] > IN_LIBRARY:
            continue
        path = folder / run["name"]
        log = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
        share, figures = compact(log, run["total"])
        loss, went_well = load_config(path / "config.toml").game.loss, outcome == "healthy"
        known = {"name": run["name"], "recipe": run["recipe"], "loss": loss, "went_well": went_well}
        lines.append(json.dumps({**known, "share": share, "figures": figures}, separators=(",", ":")))
    LIBRARY.write_text("[\n" + ",\n".join(lines) + "\n]\n")


LOOK = ("spread", "nearest", "kinds", "variety", "inside", "coverage", "distance", "change", "copies")


def _short(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) and math.isfinite(value) and abs(value) < 1e4 else value


class Judged(NamedTuple):
    """A run with what the rules say of it.

    Args:
        run: its name.
        part: of the set.
        outcome: by its measurements.
        alarms: what was told, and at which share of the run.
        told: of a collapsed run, the share at which an alarm was first in force, from one position before the onset on;
            or None.
        said_past: whether it was said to be past its best, which is no alarm.
    """

    run: str
    part: str
    outcome: Outcome
    alarms: tuple[tuple[float, str], ...]
    told: float | None
    said_past: bool

    @property
    def delay(self) -> float | None:
        """Of a collapsed run, the share of the run from the onset until it was told."""
        return None if self.told is None else self.told - self.outcome.onset

    @property
    def is_hit(self) -> bool:
        return self.delay is not None and self.delay <= WITHIN


WITHIN = 0.1  # of the run, after the onset


def judged(runs: list[dict[str, Any]]) -> Iterator[Judged]:
    """The runs of the collected file, judged by the rules."""
    from saddle.health.rules import Watch

    for run in runs:
        outcome, watch = label(run), Watch(run["total"])
        alarms: list[tuple[float, str]] = []
        told, said_past = None, False
        for values in zip(*run["log"].values(), strict=True):
            entry = {key: value for key, value in zip(run["log"], values, strict=True) if value is not None}
            before, share = watch.verdict.kind, entry["images"] / run["total"]
            verdict = watch.add(entry)
            said_past |= verdict.kind == "past its best"
            if verdict.is_alarm and verdict.kind != before:
                alarms.append((round(share, 2), verdict.kind))
            if verdict.is_alarm and outcome.is_collapse and share >= outcome.onset - 1 / POSITIONS and told is None:
                told = share
        yield Judged(run["name"], run["part"], outcome, tuple(alarms), told, said_past)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def judge(part: str | None) -> None:
    """Print how often the rules are right, as the tables of docs/health.md, and each case that is not."""
    runs = json.loads(RESULTS.read_text())["runs"]
    found = list(judged(runs))
    print(table(("part", "outcome", "runs", "told", "delay"), summary(found)))
    healthy = [
        case
        for run, case in zip(runs, found, strict=True)
        if case.outcome.name == "healthy" and "classes" in run["truth"][0]
    ]
    past = sum(case.said_past for case in healthy)
    print(f"{past} of {len(healthy)} healthy runs on images were said to be past their best")
    print(f"by the losses alone, it would find fault with {by_losses(runs, found)}")
    for case in found:
        if part in (None, case.part) and (words := mistake(case)):
            print(f"{case.part}: {case.run}: {words}")


def summary(found: list[Judged]) -> list[tuple[str, ...]]:
    """For each part: its runs, hits and false alarms with their intervals, and delays as shares of the run."""
    rows: list[tuple[str, ...]] = []
    for part in ("rules", "held-out"):
        for name in (*COLLAPSES, "healthy", "unclear"):
            mine = [case for case in found if case.part == part and case.outcome.name == name]
            told = sum(case.is_hit if case.outcome.is_collapse else bool(case.alarms) for case in mine)
            delays = sorted(max(case.delay, 0.0) for case in mine if case.delay is not None)
            delay = f"median {delays[len(delays) // 2]:.0%}, longest {delays[-1]:.0%}" if delays else "–"
            rows.append((part, name, str(len(mine)), _share(told, len(mine)), delay))
    return rows


def mistake(case: Judged) -> str:
    """What the rules got wrong, in words; empty where they were right, or where nobody can tell."""
    alarms = ", ".join(f"{kind} at {share:.0%}" for share, kind in case.alarms) or "nothing"
    if case.outcome.is_collapse and not case.is_hit:
        return f"missed; {case.outcome.name} at {case.outcome.onset:.0%}, told: {alarms}"
    return f"false alarm: {alarms}" if case.outcome.name == "healthy" and case.alarms else ""


def _share(hits: int, count: int) -> str:
    low, high = wilson(hits, count)
    return f"{hits} of {count} ({low:.0%} to {high:.0%})" if count else "–"


def by_losses(runs: list[dict[str, Any]], found: list[Judged]) -> str:
    """How many collapsed and healthy runs a verdict on their losses alone, at their end, finds fault with."""
    from saddle.health.losses import Losses, judge_losses

    counts = {"collapsed": [0, 0], "healthy": [0, 0]}
    names = {"fell": "collapsed", "never learnt": "collapsed", "healthy": "healthy"}
    for run, case in zip(runs, found, strict=True):
        if case.outcome.name not in names or "generator_loss" not in run["log"]:
            continue
        log = run["log"]
        d, g = ([float(value) for value in log[f"{name}_loss"]] for name in ("discriminator", "generator"))
        kind, *_ = judge_losses(Losses(d, g))
        counts[names[case.outcome.name]][0] += kind is not None
        counts[names[case.outcome.name]][1] += 1
    return ", and ".join(f"{told} of {count} {name} runs" for name, (told, count) in counts.items())


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "collect", "judge", "list"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--part", choices=["rules", "held-out"])
    parser.add_argument("--match", default="")
    given = parser.parse_args()
    if given.what == "list":
        runs = [run for run in planned() if given.part in (None, run.part) and given.match in run.name]
        print(*(f"{run.part:9}{run.name}" for run in runs), sep="\n")
        print(len(runs))
    elif given.what == "make":
        make(given.folder, given.part, given.match)
    elif given.what == "collect":
        collect(given.folder)
    else:
        judge(given.part)


if __name__ == "__main__":
    main()
