from __future__ import annotations

import subprocess
import sys

import pytest

import saddle
from saddle import metrics
from saddle.metrics import frechet


def test_metrics_are_there_after_import_saddle_and_torch_only_then():
    script = (
        "import sys, saddle\n"
        "assert 'torch' not in sys.modules\n"
        "saddle.metrics\n"
        "assert 'torch' not in sys.modules\n"
        "distance = saddle.metrics.frechet.frechet_distance\n"
        "import torch\n"
        "moments = saddle.metrics.Moments.of(torch.eye(4))\n"
        "assert distance(moments, moments) < 1e-9\n"
        "saddle.metrics.kernel.kernel_distance, saddle.metrics.parzen.parzen, saddle.metrics.points.wasserstein\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)


def test_every_listed_name_is_there():
    assert dir(metrics) == sorted(metrics.__all__) == metrics.__all__
    for name in metrics.__all__:
        assert getattr(saddle.metrics, name) is not None
    assert metrics.frechet_distance is frechet.frechet_distance
    with pytest.raises(AttributeError, match="no attribute 'fid'"):
        _ = metrics.fid  # pyright: ignore[reportAttributeAccessIssue]
