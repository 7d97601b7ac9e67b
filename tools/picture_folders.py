"""Two folders of pictures that are not from a benchmark, made from packages of Debian: icons in classes, and emoji.

    apt-get download gnome-icon-theme oxygen-icon-theme fonts-noto-color-emoji
    for package in *.deb; do dpkg-deb -x $package unpacked; done
    python tools/picture_folders.py icons unpacked/usr/share/icons icons
    python tools/picture_folders.py emoji unpacked/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf emoji

Icons are copied as they are, of differing sizes and with transparency: each in its largest size, one class for each
kind of icon. Emoji are drawn from the font, one for each code point that it has, on white.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

THEMES = {"gnome": "gnome", "oxygen/base": "oxygen"}  # the folder of the theme: what its files are called
KINDS = ("actions", "apps", "categories", "devices", "emblems", "mimetypes", "places", "status")
SMALLEST = 32  # pixels: smaller icons are other, simpler drawings
BITMAPS = 109  # the only size that this font has, in points
CANVAS = (136, 128)  # width and height of its bitmaps, pixels
CODE_POINTS = range(0x203C, 0x1FB00)  # from the double exclamation mark to the end of the last block of pictographs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["icons", "emoji"])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    if asked.out.exists():
        sys.exit(f"{asked.out} exists already. Name a new folder")
    if not asked.source.exists():
        sys.exit(f"there is no {asked.source}. Unpack the packages first, as above")
    count = (icons if asked.what == "icons" else emoji)(asked.source, asked.out)
    if not count:
        sys.exit(f"there are no {asked.what} in {asked.source}")
    print(f"{count} pictures in {asked.out}")


def icons(themes: Path, out: Path) -> int:
    """Copies each icon in its largest size to OUT/KIND/THEME-NAME.png; returns how many there are."""
    largest: dict[tuple[str, str], tuple[int, Path]] = {}
    for folder, theme in THEMES.items():
        for path in sorted((themes / folder).glob("*x*/*/*.png")):
            size, kind = path.parts[-3], path.parts[-2]
            side = int(size.partition("x")[0])
            name = (kind, f"{theme}-{path.name}")
            if path.is_file() and kind in KINDS and side >= SMALLEST and side > largest.get(name, (0, path))[0]:
                largest[name] = (side, path)
    for (kind, name), (_, path) in largest.items():
        (out / kind).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / kind / name)
    return len(largest)


def emoji(font_file: Path, out: Path) -> int:
    """Draws each code point that the font has a picture of to OUT/CODE_POINT.png; returns how many there are."""
    font = ImageFont.truetype(str(font_file), BITMAPS)
    missing = drawn(font, "\U000f0000").tobytes()
    count = 0
    for code_point in CODE_POINTS:
        image = drawn(font, chr(code_point))
        if image.getbbox() and image.tobytes() != missing:
            out.mkdir(parents=True, exist_ok=True)
            white = Image.new("RGBA", image.size, "white")
            Image.alpha_composite(white, image).convert("RGB").save(out / f"{code_point:05x}.png")
            count += 1
    return count


def drawn(font: ImageFont.FreeTypeFont, text: str) -> Image.Image:
    image = Image.new("RGBA", CANVAS)
    ImageDraw.Draw(image).text((0, 0), text, font=font, embedded_color=True)
    return image


if __name__ == "__main__":
    main()
