"""What int8 and the efforts cost and save: BD-rate and CPU time of compress, against a base.

    python benchmarks/settings.py FOLDER
    python benchmarks/settings.py FOLDER --every 3 --json > settings.json

Each picture is coded with every setting in turn, one thread, so that a busy machine slows all
alike. int8 is compared with fp32 at effort 1, the efforts with effort 0 in fp32. BD-rates are of
the mean curves, PSNR, pchip; the ratio of times is the median over pictures and qualities.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeae.cli.pairs import pictures_of
from edgeae.codec import Codec
from edgeae.evaluation.bd_rate import bd_rates
from edgeae.evaluation.rate_distortion import EDGEAE_QUALITIES, EdgeaeCoder, mean_curve, measure
from edgeae.images.files import read_picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeae.evaluation.rate_distortion import Point

SETTINGS = {  # name: precision, effort, what it is compared with
    "effort 0": ("fp32", 0, "effort 0"),
    "effort 1": ("fp32", 1, "effort 0"),
    "effort 2": ("fp32", 2, "effort 0"),
    "int8, effort 1": ("int8", 1, "effort 1"),
}


@dataclass(frozen=True, slots=True)
class TimedCoder:
    """A coder that keeps the CPU time of each compress."""

    coder: EdgeaeCoder
    seconds: list[float]

    @property
    def label(self) -> str:
        """That of the coder."""
        return self.coder.label

    @property
    def qualities(self) -> tuple[int, ...]:
        """Those of the coder."""
        return self.coder.qualities

    def compress(self, pixels: NDArray[np.uint8], quality: int) -> bytes:
        """Return the file of (H, W) or (H, W, 3) uint8 pixels."""
        start = time.process_time()
        data = self.coder.compress(pixels, quality)
        self.seconds.append(time.process_time() - start)
        return data

    def decompress(self, data: bytes) -> NDArray[np.uint8]:
        """Return the pixels of a file."""
        return self.coder.decompress(data)


def measured(model: str, paths: list[Path]) -> dict[str, dict[str, float | None]]:
    """Return BD-rate in percent, largest loss in dB and ratio of times of each setting."""
    coders: dict[str, TimedCoder] = {}
    for name, (precision, effort, _) in SETTINGS.items():
        codec = Codec.load(model, precision=precision, threads=1)
        codec.decompress(codec.compress(read_picture(paths[0]).pixels, 50))  # makes its sessions
        coders[name] = TimedCoder(EdgeaeCoder(name, codec, EDGEAE_QUALITIES, effort), [])
    points: dict[str, list[list[Point]]] = {name: [] for name in coders}
    for path in paths:
        pixels = read_picture(path).pixels
        for name, coder in coders.items():
            points[name].append(measure(coder, pixels))
    curves = {name: mean_curve(of_pictures) for name, of_pictures in points.items()}
    found = {}
    for name, (_, _, base) in SETTINGS.items():
        pairs = zip(coders[name].seconds, coders[base].seconds, strict=True)
        losses = [b.psnr_db - p.psnr_db for b, p in zip(curves[base], curves[name], strict=True)]
        found[name] = {
            "bd_rate": bd_rates(curves[base], curves[name])["psnr"],
            "largest_loss_db": max(losses),
            "time": statistics.median(mine / its for mine, its in pairs),
        }
    return found


def main() -> None:
    """Print a line a setting, or all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="photo")
    parser.add_argument("--every", type=int, default=1, help="take every so many pictures")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    paths = pictures_of([options.folder], recursive=False)[:: options.every]
    found = measured(options.model, paths)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{len(paths)} pictures of {options.folder.name}, model {options.model}")
    for name, of in found.items():
        rate = "-" if of["bd_rate"] is None else f"{of['bd_rate']:+.2f} %"
        print(
            f"{name:15} {rate:>8}  {of['largest_loss_db']:+.3f} dB lost at most at a quality  "
            f"{of['time']:.2f} times the CPU time  (against {SETTINGS[name][2]})"
        )


if __name__ == "__main__":
    main()
