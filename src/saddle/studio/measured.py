"""What a service counts, as Prometheus reads it."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Measured:
    """Counts of requests, and of the time that they took."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._within = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def count(self, path: str, status: int, seconds: float) -> None:
        """A request was answered.

        Args:
            path: one of the service's own, since each makes a series: what a request asked for in vain is none.
            status: of the answer; 0: the client left before.
            seconds: from the request's headers to the end of the answer.
        """
        self._requests[path, status] += 1
        self._seconds += seconds
        self._within[next((at for at, bound in enumerate(_BOUNDS) if seconds <= bound), len(_BOUNDS))] += 1

    def text(self, **figures: tuple[str, str, float]) -> str:
        """All figures in Prometheus's text format.

        Args:
            figures: further ones by name: kind (``counter`` or ``gauge``), help, value.
        """
        lines = ["# HELP saddle_requests_total Requests answered.", "# TYPE saddle_requests_total counter"]
        for (path, status), number in sorted(self._requests.items()):
            lines.append(f'saddle_requests_total{{path="{path}",status="{status}"}} {number}')
        name = "saddle_request_seconds"
        lines += [f"# HELP {name} Time from a request to the end of its answer.", f"# TYPE {name} histogram"]
        bounds = [*map(str, _BOUNDS), "+Inf"]
        for bound, number in zip(bounds, accumulate(self._within), strict=True):
            lines.append(f'{name}_bucket{{le="{bound}"}} {number}')
        lines += [f"{name}_sum {self._seconds:.6f}", f"{name}_count {sum(self._within)}"]
        for each, (kind, about, value) in figures.items():
            lines += [f"# HELP saddle_{each} {about}", f"# TYPE saddle_{each} {kind}", f"saddle_{each} {value:g}"]
        return "\n".join(lines) + "\n"
