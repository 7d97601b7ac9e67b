from __future__ import annotations

import io

from saddle.base.progress import Lines


def test_the_last_batch_may_go_beyond_the_end():
    stream = io.StringIO()
    lines = Lines(stream)
    lines.start("training", 500, "images")
    lines.advance(4000)
    lines.status("D 0.7")
    assert "4,000 of 500 images" in stream.getvalue()
    assert "  0:00 left  D 0.7" in stream.getvalue()
