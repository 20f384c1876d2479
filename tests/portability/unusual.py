"""Legal files that edgeae's encoder would not write, made with the writer of `by_hand`.

    python tests/portability/unusual.py FOLDER

Other numbers of lanes, symbols that no picture gives, values at the limits, sections that today's
readers skip, each way to write an alpha plane.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from by_hand import Picture, correction, eae, npy
from hand_bundle import Bundle
from numpy.typing import NDArray
from sources import ROOT, noise, slope

OWN = Path(__file__).parent / "bundles"
BUNDLES = {
    "tiny": ROOT / "tests" / "bundles" / "tiny",
    **{name: OWN / name for name in ("filter", "series", "steps")},
    "vae-8x8": OWN / "vae",
}
EXIF = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\0\0\0\0\0"  # a TIFF structure without entries

ALSO_NPY = ("limits", "sections", "alpha-filter-1", "positions", "array")


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """What a file shall hold; where the scale index is 0, the symbol becomes 0."""

    name: str
    what: str
    z: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 0, 0), np.int16))
    symbols: NDArray[np.int16]
    lanes_log2: int = 0
    bundle: str = "tiny"
    width: int = 60
    height: int = 40
    mode: str = "RGB"
    quality: float = 50
    further: dict[int, bytes] | None = None

    @property
    def picture(self) -> Picture:
        return Picture(
            bundle=Bundle(BUNDLES[self.bundle]),
            width=self.width,
            height=self.height,
            mode=self.mode,
            quality=self.quality,
            further=self.further,
        )


@dataclass(frozen=True, eq=False)
class Unusual:
    """A file, and the symbols that must come out of it."""

    plan: Plan
    form: str  # eae or npy
    data: bytes
    symbols: NDArray[np.int16]

    @property
    def name(self) -> str:
        return f"hand-{self.plan.name}"


def unusual_files() -> Iterator[Unusual]:
    """Each file as `.eae`, some as `.npy` too."""
    for plan in (*_lanes(), *_values(), *_headers(), *_alphas(), *_steps(), *_plain()):
        data, symbols = eae(plan.picture, plan.z, plan.symbols, plan.lanes_log2)
        yield Unusual(plan, "eae", data, symbols)
        if plan.name in ALSO_NPY:
            alpha = slope(plan.height, plan.width) if "A" in plan.mode else None
            yield Unusual(plan, "npy", npy(plan.picture, plan.z, symbols, alpha), symbols)


def _noise(spread: int, width: int = 60, height: int = 40) -> dict[str, Any]:
    """Noise for bundle tiny: z (4, hz, wz) and symbols (8, h, w) of a picture of this size."""
    columns, rows = -(-width // 64), -(-height // 64)
    z = noise(5, (4, rows, columns), -3, 3)
    return {"z": z, "symbols": noise(6, (8, 4 * rows, 4 * columns), -spread, spread)}


def _lanes() -> Iterator[Plan]:
    for h in range(11):
        yield Plan(name=f"lanes-{1 << h}", what=f"{1 << h} lanes", **_noise(3), lanes_log2=h)


def _values() -> Iterator[Plan]:
    z, symbols = np.zeros((4, 1, 1), np.int16), np.zeros((8, 4, 4), np.int16)
    yield Plan(name="zeros", what="every value 0", z=z, symbols=symbols)
    yield Plan(name="zeros-32", what="every value 0, 32 lanes", z=z, symbols=symbols, lanes_log2=5)
    one = symbols.copy()
    one[3, 1, 2] = -1
    yield Plan(name="one", what="one symbol is -1, all others 0", z=z, symbols=one, lanes_log2=2)
    yield Plan(name="escapes", what="nearly all escape", **_noise(900), lanes_log2=4)
    far = _noise(3)
    far["symbols"][0, 0, :2], far["symbols"][7, 3, 2:] = (32767, -32767), (-32766, 32766)
    far["z"][:2, 0, 0] = 32000, -32000
    yield Plan(name="limits", what="values at the limits of section 5.1", **far, lanes_log2=1)


def _headers() -> Iterator[Plan]:
    noisy = _noise(3)
    yield Plan(name="quality-99.99", what="quality of two bytes", **noisy, quality=99.99)
    yield Plan(name="quality-0.01", what="the lowest above 0", **noisy, quality=0.01)
    further = {0x80: b"skip", 0x81: b"no profile", 0x82: EXIF, 0x84: bytes(200)}
    further |= {kind: bytes([kind]) for kind in range(0xF5, 0x100)}
    yield Plan(name="sections", what="15 sections, 13 unknown", **noisy, further=further)
    for mode, planes in (("L", 1), ("RGB", 3)):
        weights = noise(9, (13 * planes - 1, planes), -4, 4)
        weights[0, 0], weights[-1, -1] = 60, 0
        yield Plan(
            name=f"correction-{mode}",
            what="a correction with weights of all signs",
            **noisy,
            mode=mode,
            further={0x83: correction(weights)},
        )


def _alphas() -> Iterator[Plan]:
    width, height = 9, 70
    alpha, noisy = slope(height, width), noise(7, (height, width), 0, 255).astype(np.uint8)
    bodies = {"constant": bytes([0, 77]), "stored": plane(noisy, 1, level=0)}
    bodies |= {f"filter-{code}": plane(alpha, code) for code in (1, 2, 3, 4)}
    for h, (name, body) in enumerate(bodies.items()):
        yield Plan(
            name=f"alpha-{name}",
            what=f"alpha plane, {name}; an unknown section behind it",
            **_noise(2, width, height),
            lanes_log2=h,
            width=width,
            height=height,
            mode=("RGBA", "LA")[h % 2],
            quality=30,
            further={0x01: body, 0xC0: b"unknown"},
        )


def _steps() -> Iterator[Plan]:
    """Bundle steps says its scale indexes by z: some or all sections may be empty."""
    for name, what, first, slope_of_step, h in (
        ("no-symbols", "15 empty sections after z", -20, 0, 0),
        ("first-empty", "the first sections are empty, 16 lanes", -7, 1, 4),
        ("last-empty", "the last sections are empty, so z seeds nothing", 6, -1, 0),
        ("context", "tables that known symbols choose, 4 lanes", 0, 3, 2),
        ("short-table", "a table of 2 symbols: every value but 0 escapes", 1, 0, 1),
        ("long-table", "a table of 256 symbols, and values beyond it", 2, 0, 3),
        ("beyond", "sum beyond the tables, clipped to the last", 32000, 32000, 0),
    ):
        z = np.tile(np.array([first, slope_of_step], np.int16).reshape(2, 1, 1), (1, 3, 4))
        yield Plan(
            name=f"steps-{name}",
            what=what,
            bundle="steps",
            width=15,
            height=10,
            mode="L",
            z=z,
            symbols=noise(13, (4, 6, 8), -300, 300) if h == 3 else noise(14, (4, 6, 8), -5, 5),
            lanes_log2=h,
        )


def _plain() -> Iterator[Plan]:
    small: dict[str, Any] = {"bundle": "filter", "width": 16, "height": 16}
    values = noise(8, (12, 8, 8), 90, 110)
    yield Plan(name="positions", what="a table a latent", **small, symbols=values, lanes_log2=3)
    values = noise(9, (12, 8, 8), -32000, 32000)
    yield Plan(name="positions-escapes", what="a table a latent, escapes", **small, symbols=values)
    yield Plan(
        name="channels",
        what="another size than that of the position tables: a table a channel; grey, 64 lanes",
        bundle="filter",
        width=33,
        height=2,
        mode="L",
        quality=0,
        symbols=noise(10, (12, 1, 17), 0, 255),
        lanes_log2=6,
    )
    yield Plan(
        name="digit",
        what="four latents, two lanes",
        bundle="vae-8x8",
        width=8,
        height=8,
        mode="L",
        quality=100,
        symbols=noise(11, (4, 1, 1), -9, 9),
        lanes_log2=1,
    )
    yield Plan(
        name="array",
        what="an array of floats, escapes, 16 lanes",
        bundle="series",
        width=6,
        height=4,
        mode="F",
        symbols=noise(12, (4, 1, 6), -32000, 32000),
        lanes_log2=4,
    )


def plane(alpha: NDArray[np.uint8], code: int, level: int = 6) -> bytes:
    """Return an alpha section with filter ``code``, 1..4; level 0 stores and does not deflate."""
    residual = alpha.astype(np.int64)
    for axis in {1: (), 2: (1,), 3: (0,), 4: (0, 1)}[code]:
        residual = np.diff(residual, axis=axis, prepend=0)
    coder = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = coder.compress((residual % 256).astype(np.uint8).tobytes())
    return bytes([code]) + body + coder.flush()


def main() -> None:
    """Write the files into a folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file in unusual_files():
        (folder / f"{file.name}.{file.form}").write_bytes(file.data)


if __name__ == "__main__":
    main()
