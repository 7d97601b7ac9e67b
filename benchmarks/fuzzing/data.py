"""Data of every form to begin from, and how they are read."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzzing.files import Files, all_of, files_in

PIXELS = np.random.default_rng(0).integers(0, 256, (260, 8, 8, 3), np.uint8)


def look_at(source: str, **settings: Any) -> None:
    """Open and inspect; every value is touched, since a file that is mapped may be shorter than it seemed."""
    from saddle.config.resolve import data_config
    from saddle.data import inspect_data, open_data
    from saddle.data.formats import entry

    def touch() -> None:
        store = open_data(config)
        store.values[:].sum()

    entry._checked.clear()  # as in a new process
    config = data_config(source, {"data": {"max_unreadable": 1, **settings}})
    all_of(touch, lambda: inspect_data(config))


def read(folder: Path, name: str = "", **settings: Any) -> None:
    look_at(str(folder / name), **settings)


def picture(form: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS[0]).convert(mode).save(file, form, **options)
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    turned = Image.Exif()
    turned[274] = 6
    more = [Image.fromarray(pixels) for pixels in PIXELS[1:3]]
    found = {
        "png": picture("PNG"), "p.png": picture("PNG", "P"), "la.png": picture("PNG", "LA"),
        "16.png": picture("PNG", "I;16"), "jpg": picture("JPEG", exif=turned), "cmyk.jpg": picture("JPEG", "CMYK"),
        "gif": picture("GIF", save_all=True, append_images=more), "bmp": picture("BMP"), "tif": picture("TIFF"),
        "lzw.tif": picture("TIFF", compression="tiff_lzw"), "f.tif": picture("TIFF", "F"), "ppm": picture("PPM"),
        "tga": picture("TGA", compression="tga_rle"), "ico": picture("ICO", sizes=[(8, 8)]),
        "webp": picture("WEBP", save_all=True, append_images=more),
    }  # fmt: skip
    for suffix, form in (("jp2", "JPEG2000"), ("avif", "AVIF"), ("mpo", "MPO"), ("qoi", "QOI")):
        with suppress(OSError, KeyError):  # Pillow was built without it
            found[suffix] = picture(form)
    return found


def image_folders(_: Path) -> list[Files]:
    return [{f"a/x.{kind}": content, "b/y.png": picture("PNG")} for kind, content in pictures().items()]


def read_folder(folder: Path) -> None:
    from saddle.data.formats.decoding import read_image

    (path,) = (folder / "a").iterdir()
    all_of(lambda: read(folder, size=8), lambda: read(folder), lambda: read_image(path, (3, 8, 8)))


def zipped(parts: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name)  # of a fixed date
            info.compress_type = method
            archive.writestr(info, content)
    return file.getvalue()


def image_zips(_: Path) -> list[Files]:
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    packed = [zipped({"a/1.png": picture("PNG"), "b/2.jpg": picture("JPEG")}, method) for method in methods]
    return [{"x.zip": content} for content in packed]


def saved(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy_files(_: Path) -> list[Files]:
    return [{"x.npy": saved(array)} for array in arrays()]


def arrays() -> list[np.ndarray[Any, Any]]:
    grey = PIXELS[:12, :, :, 0]
    points = np.arange(12.0).reshape(6, 2)
    return [grey, grey / 255, points, np.asfortranarray(grey), (grey / 255).astype(">f4"), PIXELS[:5], points > 3]


def npz_files(_: Path) -> list[Files]:
    labels = [np.arange(12) % 3, np.array(list("abcabcabcabc"))]
    parts = [{"images.npy": saved(arrays()[0]), "labels.npy": saved(each)} for each in labels]
    packed = [zipped(part, method) for part in parts for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    return [{"x.npz": content} for content in packed]


def tables(_: Path) -> list[Files]:
    texts = (b"x,y\n1,2\n3,4\n5.5,-6e1\n", b'"a";"b\n c"\n1;2\n', b"\xef\xbb\xbf1\t2\n\n3\t4\n", b"1\n" * 300)
    return [{"x.csv": text} for text in texts]


def idx_files(_: Path) -> list[Files]:
    images = struct.pack(">IIII", 0x803, 5, 8, 8) + bytes(320)
    labels = struct.pack(">II", 0x801, 5) + bytes(range(5))
    plain = {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels}
    return [plain, {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in plain.items()}]


def archives(_: Path) -> list[Files]:
    from saddle.data.named import cifar10

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in cifar10.FILES["train"]:
            info = tarfile.TarInfo(f"{'x' * 120}/{name}")
            info.size, info.pax_headers = cifar10.RECORD, {"a": "b"}
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return [{cifar10.ARCHIVE: gzip.compress(file.getvalue(), mtime=0)}]


def read_archive(folder: Path) -> None:
    from saddle.data.named import cifar10

    read(folder, cifar10.ARCHIVE)


def entries(work: Path) -> list[Files]:
    """A zip, and what the cache holds after it was read once."""
    parts: Files = {}
    for number, pixels in enumerate(PIXELS):
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0]).save(file, "BMP")
        parts[f"{'ab'[number % 2]}/{number}.bmp"] = file.getvalue()
    with tempfile.TemporaryDirectory(dir=work) as folder:
        place = Path(folder)
        (place / "x.zip").write_bytes(zipped(parts))
        os.environ["SADDLE_CACHE"] = str(place / "cache")
        read(place, "x.zip")
        return [files_in(place)]
