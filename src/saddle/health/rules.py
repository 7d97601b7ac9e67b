"""What the log of a run says of its health: a verdict after each look at samples.

A look (``saddle.scoring.look``) is an entry of the log that holds ``variety`` and its companions. Every verdict is a
function of the entries up to it and of the run's length, so it can be found again from ``log.jsonl`` alone: while the
run is trained, when it is resumed, and long after.

The numbers in the rules were chosen on the part ``rules`` of the labelled runs of ``benchmarks/alarm.py``; how often
they are right, ``docs/health.md`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from statistics import median
from typing import Any, Literal, NamedTuple

Kind = Literal[
    "unknown",
    "learning",
    "done",
    "past its best",
    "memorising",
    "partly collapsed",
    "collapsed",
    "D has won",
    "G oscillates",
    "diverging",
]
# Those that a user has to be told, while there is something to save.
ALARMS: tuple[Kind, ...] = ("collapsed", "partly collapsed", "D has won", "G oscillates", "memorising", "diverging")

# Those from which a run rarely recovers by itself.
FAILED: tuple[Kind, ...] = ("collapsed", "D has won", "diverging")


@dataclass(frozen=True)
class Verdict:
    """What the log says after ``images`` images seen.

    Args:
        kind: the verdict.
        images: of the entry that it is based on.
        since: images seen when it was first told without a break.
        evidence: the figures that it is based on, by their names in the log.
        words: the verdict in a sentence.
        advice: what to try; empty where nothing is wrong.
    """

    kind: Kind
    images: int
    since: int
    evidence: Mapping[str, float] = field(default_factory=dict[str, float])
    words: str = ""
    advice: str = ""

    @property
    def is_alarm(self) -> bool:
        return self.kind in ALARMS


# What a look gives that the rules cannot do without.
FIGURES = ("variety", "kinds", "nearest", "spread", "inside", "coverage", "distance")


def is_look(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a log tells what a look at samples gave."""
    return all(entry.get(name) is not None and isfinite(entry[name]) for name in FIGURES)


class _Look(NamedTuple):
    """A look, with D's figures as means since the look before."""

    images: int
    share: float  # of the run
    variety: float
    kinds: float
    nearest: float
    spread: float
    inside: float
    coverage: float
    distance: float
    change: float | None
    copies: float | None
    d_real: float | None  # these two only where they are probabilities
    d_fake: float | None
    loss: float | None  # the larger one of both players

    def evidence(self, *names: str) -> dict[str, float]:
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


# At the beginning every generator makes one kind of sample: so long a run may take to begin.
_GRACE = 0.05
_ALARM_AFTER = 2  # looks in a row that show the same
_CALMER = 0.9  # of the change two looks before: samples that move less and less settle, and do not oscillate
_NO_DISTANCE = 0.1  # of a look: what is less is chance


class Watch:
    """Reads the entries of a log one by one.

    Args:
        total: the run's length in images seen.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._looks: list[_Look] = []
        self._since = {name: _Mean() for name in _BETWEEN}  # of the entries after the last look
        self.sound_until = 0  # images seen at the last look that showed nothing wrong
        self.verdict = Verdict("unknown", 0, 0, words="There has been no look at samples yet.")

    def add(self, entry: Mapping[str, Any]) -> Verdict:
        """The verdict after this entry, which follows those added before."""
        for name, mean in self._since.items():
            if name in entry:
                mean.add(float(entry[name]))
        if is_look(entry):
            self._looks.append(_look(entry, self._since, self._total))
            self._since = {name: _Mean() for name in _BETWEEN}
            kind, evidence = self._judge()
            if self.verdict.is_alarm and kind not in ALARMS and not all(map(_is_sound, self._looks[-_ALARM_AFTER:])):
                self.verdict = replace(self.verdict, images=int(entry["images"]))  # it is not well yet
                return self.verdict
            if kind not in ALARMS and _is_sound(self._looks[-1]):
                self.sound_until = int(entry["images"])
            self._tell(kind, int(entry["images"]), evidence)
        return self.verdict

    def _tell(self, kind: Kind, images: int, evidence: dict[str, float]) -> None:
        since = self.verdict.since if self.verdict.kind == kind else images
        self.verdict = Verdict(kind, images, since, evidence, _sentence(kind, evidence), ADVICE.get(kind, ""))

    def _judge(self) -> tuple[Kind, dict[str, float]]:
        for kind, rule in _RULES:
            if (evidence := rule(self._looks)) is not None:
                return kind, evidence
        return "learning", self._looks[-1].evidence("variety", "coverage", "inside", "distance")


_BETWEEN = ("d_real", "d_fake", "discriminator_loss", "generator_loss")


class _Mean:
    """The mean of numbers, and whether all of them are probabilities."""

    def __init__(self) -> None:
        self._sum, self._count, self._within = 0.0, 0, True

    def add(self, value: float) -> None:
        self._sum, self._count = self._sum + value, self._count + 1
        self._within = self._within and 0 <= value <= 1

    @property
    def value(self) -> float | None:
        return self._sum / self._count if self._count else None

    @property
    def probability(self) -> float | None:
        return self.value if self._within else None


def _look(entry: Mapping[str, Any], since: Mapping[str, _Mean], total: int) -> _Look:
    """The look that an entry tells of, with the means since the one before."""
    images = int(entry["images"])
    losses = [since[name].value for name in ("discriminator_loss", "generator_loss")]
    means = {name: since[name].probability for name in ("d_real", "d_fake")}
    means["loss"] = max((abs(loss) for loss in losses if loss is not None), default=None)
    known: dict[str, Any] = {name: entry.get(name) for name in (*FIGURES, "change", "copies")}
    return _Look(images=images, share=images / total, **means, **known)


Rule = Callable[[list[_Look]], dict[str, float] | None]


def _collapsed(looks: list[_Look]) -> dict[str, float] | None:
    last = looks[-_ALARM_AFTER:]
    if len(last) < _ALARM_AFTER or not all(_is_few(look) for look in last):
        return None
    has_begun = _has_begun(looks[:-_ALARM_AFTER])
    if last[-1].share < _GRACE and not has_begun:
        return None
    return last[-1].evidence("kinds", "variety", "nearest", "spread") | {"varied_before": float(has_begun)}


def _d_has_won(looks: list[_Look]) -> dict[str, float] | None:
    last = looks[-_ALARM_AFTER:]
    if len(last) < _ALARM_AFTER or last[-1].share < _GRACE:
        return None
    for look in last:
        if look.d_real is None or look.d_fake is None or not (look.d_real > 0.9 and look.d_fake < 0.1):
            return None
        if look.coverage > 0.3:
            return None
    return last[-1].evidence("d_real", "d_fake", "inside", "coverage")


def _partly(looks: list[_Look]) -> dict[str, float] | None:
    last = looks[-3:]
    if len(last) < 3 or last[-1].share < 2 * _GRACE:
        return None
    if any(_is_sound(look) or not _are_alike(look) for look in last) or _improves(looks):
        return None
    return last[-1].evidence("variety", "coverage", "kinds")


def _oscillates(looks: list[_Look]) -> dict[str, float] | None:
    last = looks[-3:]
    if len(last) < 3 or last[-1].share < 3 * _GRACE:
        return None
    changes = [look.change for look in last if look.change is not None]
    if len(changes) < len(last) or min(changes) < 0.5 or any(look.coverage > 0.8 for look in last):
        return None
    if changes[-1] < _CALMER * changes[0] or _improves(looks):
        return None
    return last[-1].evidence("change", "coverage", "variety")


def _memorising(looks: list[_Look]) -> dict[str, float] | None:
    last = looks[-_ALARM_AFTER:]
    if len(last) < _ALARM_AFTER or any(look.copies is None or look.copies < 0.3 for look in last):
        return None
    return last[-1].evidence("copies")


def _diverging(looks: list[_Look]) -> dict[str, float] | None:
    losses = [look.loss for look in looks if look.loss is not None]
    if len(losses) < 2 * _ALARM_AFTER:
        return None
    usual = median(losses[:-_ALARM_AFTER])
    if any(loss < max(100.0, 100 * usual) for loss in losses[-_ALARM_AFTER:]):
        return None
    return {"loss": losses[-1], "usual": usual}


def _past(looks: list[_Look]) -> dict[str, float] | None:
    best = min(looks, key=lambda look: look.distance)
    now = min(look.distance for look in looks[-3:])
    if looks[-1].share - best.share < 0.15 or now < 1.5 * max(best.distance, _NO_DISTANCE):
        return None
    return {"distance": looks[-1].distance, "best": best.distance, "best_at": best.images}


def _done(looks: list[_Look]) -> dict[str, float] | None:
    before = [look.distance for look in looks if look.share <= looks[-1].share - 0.3]
    if not before or min(look.distance for look in looks) < 0.97 * min(before):
        return None
    return {"distance": looks[-1].distance}


def _are_alike(look: _Look) -> bool:
    """Samples nearer to each other than real ones are, or within a smaller space."""
    return look.nearest < 0.8 or look.spread < 0.7


def _is_few(look: _Look) -> bool:
    return (look.variety < 0.25 and _are_alike(look)) or look.nearest < 0.1


def _improves(looks: list[_Look]) -> bool:
    """Whether samples have come to lie near clearly more of the real ones over the last looks."""
    return len(looks) > 3 and looks[-1].coverage > 1.15 * max(looks[-4].coverage, 0.1)


def _is_sound(look: _Look) -> bool:
    return look.variety > 0.6 and look.coverage > 0.6


def _has_begun(looks: Iterable[_Look]) -> bool:
    """Whether samples once were of many kinds."""
    return any(look.variety > 0.4 for look in looks)


_RULES: tuple[tuple[Kind, Rule], ...] = (
    ("diverging", _diverging),
    ("D has won", _d_has_won),
    ("collapsed", _collapsed),
    ("G oscillates", _oscillates),
    ("partly collapsed", _partly),
    ("memorising", _memorising),
    ("past its best", _past),
    ("done", _done),
)

# What each verdict means, with its evidence, and what to try.
_SENTENCES: dict[Kind, str] = {
    "collapsed": "G has collapsed: its samples are near only {kinds:.0f} of the real ones. As many real samples are "
    "near {real:.0f}.",
    "partly collapsed": "G has partly collapsed: its samples have {variety:.0%} of the variety of real ones, and lie "
    "near {coverage:.0%} of them.",
    "D has won": "D has won: it tells real from generated samples nearly without error (D(x) {d_real:.2f}, D(G(z)) "
    "{d_fake:.2f}), and G's samples come near {coverage:.0%} of the real ones.",
    "G oscillates": "G oscillates: since the last look, its samples have moved by {change:.0%} of the distance between "
    "two real ones, and they lie near {coverage:.0%} of these.",
    "memorising": "G repeats its training images: {copies:.0%} of its samples are copies. Of images that it has not "
    "seen, 1 % would count as such.",
    "diverging": "The losses grow without bound: {loss:.3g}, after {usual:.3g} before.",
    "past its best": "The run is past its best, which was after {best_at:,.0f} images: since then, the distance from "
    "real samples has grown from {best:.3g} to {distance:.3g}.",
    "done": "Nothing has improved over the last 30 % of the run: the distance from real samples stays at "
    "{distance:.3g}.",
    "learning": "G is learning: its samples have {variety:.0%} of the variety of real ones, and lie near "
    "{coverage:.0%} of them.",
}  # fmt: skip
_NOT_BEGUN = (
    "G makes nearly one kind of sample, as it has since the run began: its samples are near only {kinds:.0f} of the "
    "real ones. As many real samples are near {real:.0f}."
)
ADVICE: dict[Kind, str] = {
    "collapsed": "Try a penalty on D's gradient (game.r1 = 1) and learning rates a quarter as large.",
    "partly collapsed": "Try a penalty on D's gradient (game.r1 = 1), or smaller learning rates.",
    "D has won": "Try a penalty on D's gradient (game.r1 = 1), or a smaller learning rate for D.",
    "G oscillates": "Try smaller learning rates, and an averaged generator (average.half_life = 10_000).",
    "memorising": "Try game.augment.kind = diffaugment, more images, or a shorter run.",
    "diverging": "Try smaller learning rates, or a penalty on D's gradient (game.r1 = 1).",
    "past its best": "Take best.safetensors, or let the learning rates fall towards the end.",
}


def _sentence(kind: Kind, evidence: Mapping[str, float]) -> str:
    if kind != "collapsed":
        return _SENTENCES[kind].format(**evidence)
    real = evidence["kinds"] / max(evidence["variety"], 1e-9)
    sentence = _SENTENCES[kind] if evidence["varied_before"] else _NOT_BEGUN
    return sentence.format(**evidence, real=real)
