"""The golden set: what `golden/index.json` says of each file, and how symbols become a SHA-256."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN = Path(__file__).parent / "golden"
INDEX = "index.json"
ABOUT = (
    "symbols_sha256, z_sha256: SHA-256 of the int16 values, little-endian, in C order (channel, "
    "row, column); z_shape [0, 0, 0] if there are no hyper-latents. pixels: by precision, what the "
    "machine that wrote the file made of it, PNG of the file's mode, for mode F float32 in .npy. "
    "Paths of bundles are relative to the repository, those of files to this folder."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One file of the set and what must come out of it."""

    name: str
    file: str
    form: str  # eae or npy
    bundle: str  # key of the index's bundles
    what: str  # why it is here
    width: int
    height: int
    mode: str
    quality: float
    symbols_shape: tuple[int, ...]
    symbols_sha256: str
    z_shape: tuple[int, ...]
    z_sha256: str
    pixels: dict[str, str]  # file by precision, fp32 or int8
    source: str | None  # key of sources.SOURCES; None: not from an encoder
    effort: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenSet:
    """The index of a folder."""

    folder: Path
    bundles: dict[str, dict[str, str]]  # path and coding_id by name
    files: tuple[Golden, ...]

    def write(self) -> None:
        """Write the index."""
        text = {"format": 1, "about": ABOUT, "bundles": self.bundles}
        text["files"] = [asdict(file) for file in self.files]
        (self.folder / INDEX).write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


def read_golden(folder: Path = GOLDEN) -> GoldenSet:
    """Return the set in a folder."""
    text = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    files = tuple(Golden(**file) for file in text["files"])
    return GoldenSet(folder=folder, bundles=text["bundles"], files=files)


def sha256(values: NDArray[np.int16]) -> str:
    """Return the SHA-256 that the index has of symbols or hyper-latents."""
    return hashlib.sha256(values.astype("<i2").tobytes()).hexdigest()


def save_pixels(path: Path, pixels: NDArray[Any]) -> Path:
    """Write pixels beside ``path`` with the ending that suits them; return where."""
    if pixels.dtype == np.float32:
        np.save(path.with_suffix(".npy"), pixels)
        return path.with_suffix(".npy")
    from PIL import Image

    Image.fromarray(pixels).save(path.with_suffix(".png"), optimize=True)
    return path.with_suffix(".png")


def load_pixels(path: Path) -> NDArray[Any]:
    """Return what `save_pixels` wrote."""
    if path.suffix == ".npy":
        return np.asarray(np.load(path))
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)
