"""Pictures that lie in a run folder, for pages that show them."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from saddle.runs.reading import Say, read_file

_FILE_SIZE = 2**26  # bytes


@dataclass(frozen=True)
class PictureFile:
    """A whole PNG file: its bytes, and its size in pixels, width first."""

    content: bytes
    size: tuple[int, int]

    def decode(self) -> Image.Image:
        """The picture."""
        with warnings.catch_warnings(), Image.open(io.BytesIO(self.content), formats=("PNG",)) as file:
            warnings.simplefilter("ignore")  # of odd metadata
            return file.copy()


def read_picture(path: Path, say: Say) -> PictureFile | None:
    """The PNG file at ``path``; None where it is missing, damaged or too large, which ``say`` is told."""
    content = read_file(path, _FILE_SIZE, say)
    if content is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG",)) as file:
                file.load()  # to the end, which may be missing
                return PictureFile(content, file.size)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        say(f"{path} is left out: it has more than {Image.MAX_IMAGE_PIXELS:,} pixels")
    except Exception:  # noqa: BLE001  Pillow raises errors of many kinds on damaged files
        say(f"{path} is left out: it is damaged, or no PNG picture")
    return None
