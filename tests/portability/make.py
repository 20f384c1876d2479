"""Make the golden set anew: after a new bundle, or a change of the format.

    python tests/portability/make.py [FOLDER] [--bundle tiny]

fp32, one thread: on one machine and version of onnxruntime the same bytes again. Symbols of files
from the encoder may differ elsewhere, as rounding does; those of files `by_hand` may not.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from golden import GOLDEN, Golden, GoldenSet, save_pixels, sha256
from shipped import BUNDLES, Encoded, encoded
from sources import ROOT, SOURCES
from unusual import unusual_files

from edgeae.bundle import FP32, INT8
from edgeae.codec import Codec
from edgeae.latents import Latents
from edgeae.npy import latents_from_npy, latents_to_npy


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file and where it comes from."""

    name: str
    form: str
    bundle: str
    what: str
    data: bytes
    latents: Latents
    source: str | None = None
    effort: int | None = None
    int8: bool = False  # keep pixels of int8 too


@cache
def codec(bundle: str, precision: str = FP32) -> Codec:
    """Return the codec of a bundle of the set."""
    return Codec.load(ROOT / BUNDLES[bundle], precision=precision, threads=1)


def from_encoder(plan: Encoded) -> Iterator[Made]:
    """Yield the files of a picture."""
    of = codec(plan.bundle)
    latents = of.encode(SOURCES[plan.source](), plan.quality, effort=plan.effort)
    for form in plan.forms:
        yield Made(
            name=plan.name,
            form=form,
            bundle=plan.bundle,
            what=plan.what,
            data=of.to_bytes(latents) if form == "eae" else latents_to_npy(latents),
            latents=latents,
            source=plan.source,
            effort=plan.effort,
            int8=plan.int8,
        )


def by_hand() -> Iterator[Made]:
    """Yield the files of `unusual`; edgeae must find just the symbols that went in."""
    for file in unusual_files():
        bundle = file.plan.bundle
        latents = read(bundle, file.form, file.data)
        if sha256(latents.symbols) != sha256(file.symbols) or sha256(latents.z) != sha256(
            file.plan.z
        ):
            raise SystemExit(f"{file.name}.{file.form}: decodes to other symbols than were written")
        yield Made(
            name=file.name,
            form=file.form,
            bundle=bundle,
            what=file.plan.what,
            data=file.data,
            latents=latents,
        )


def read(bundle: str, form: str, data: bytes) -> Latents:
    """Return the latents in a file of either form."""
    return codec(bundle).from_bytes(data) if form == "eae" else latents_from_npy(data)


class Writer:
    """Writes files into a folder and keeps equal pictures once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pixels: dict[tuple[str, bytes], str] = {}

    def write(self, made: Made) -> Golden:
        """Write a file with its pixels, and return its line of the index."""
        file, latents = f"{made.name}.{made.form}", made.latents
        (self._folder / file).write_bytes(made.data)
        pixels = {FP32: self._picture(made, FP32)}
        if made.int8 and INT8 in codec(made.bundle).bundle.precisions:
            pixels[INT8] = self._picture(made, INT8)
        return Golden(
            name=made.name,
            file=file,
            form=made.form,
            bundle=made.bundle,
            what=made.what,
            width=latents.width,
            height=latents.height,
            mode=latents.mode,
            quality=latents.quality,
            symbols_shape=latents.symbols.shape,
            symbols_sha256=sha256(latents.symbols),
            z_shape=latents.z.shape,
            z_sha256=sha256(latents.z),
            pixels=pixels,
            source=made.source,
            effort=made.effort,
        )

    def _picture(self, made: Made, precision: str) -> str:
        pixels = codec(made.bundle, precision).decode_array(made.latents)
        key = (str(pixels.shape), pixels.tobytes())
        if key not in self._pixels:
            path = self._folder / "pixels" / f"{made.name}.{precision}.x"
            self._pixels[key] = save_pixels(path, pixels).relative_to(self._folder).as_posix()
        return self._pixels[key]


def make(folder: Path, bundles: list[str]) -> GoldenSet:
    """Write the set of these bundles into the new folder."""
    (folder / "pixels").mkdir(parents=True)
    writer = Writer(folder)
    made = [file for plan in encoded() if plan.bundle in bundles for file in from_encoder(plan)]
    made += [file for file in by_hand() if file.bundle in bundles]
    files = tuple(writer.write(file) for file in made)
    paths = {
        name: {"path": BUNDLES[name], "coding_id": codec(name).bundle.coding_id.hex()}
        for name in sorted({file.bundle for file in files})
    }
    golden = GoldenSet(folder=folder, bundles=paths, files=files)
    golden.write()
    return golden


def _replace(folder: Path, new: Path) -> None:
    """Put ``new`` in the place of ``folder`` at once: someone may be reading it."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """Make the set and say what it weighs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=GOLDEN)
    parser.add_argument("--bundle", action="append", help="of these only; may be repeated")
    arguments = parser.parse_args()
    new = arguments.folder.with_name(f"{arguments.folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    golden = make(new, arguments.bundle or list(BUNDLES))
    size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    _replace(arguments.folder, new)
    print(f"{len(golden.files)} files, {size} bytes with their pixels")


if __name__ == "__main__":
    main()
