"""Whether targets of size and PSNR are met, and what looking for them costs.

    python benchmarks/targets.py FOLDER
    python benchmarks/targets.py FOLDER --precision fp32 --effort 2 --every 3

Met means: a size within 3 % below the target, a PSNR of the decoded file within 0.1 dB. Times are
CPU time, one thread, against a plain compress at the quality that was found.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from edgeae.cli.pairs import pictures_of
from edgeae.codec import Codec
from edgeae.errors import BoundError
from edgeae.images.files import read_picture
from edgeae.metrics import psnr_db
from edgeae.rate_control import PSNR_TOLERANCE_DB, SIZE_TOLERANCE, TargetPsnr, TargetSize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TARGETS = (*map(TargetSize, (5_000, 20_000, 60_000)), *map(TargetPsnr, (30.0, 35.0)))


def outcome(
    codec: Codec, pixels: NDArray[np.uint8], target: TargetSize | TargetPsnr, effort: int
) -> tuple[str, float | None]:
    """Return what came of a target, and how many times a plain compress it took."""
    start = time.process_time()
    try:
        encoding = codec.reach(pixels, target, effort=effort)
        data = codec.file_of(encoding)
    except BoundError:
        return "out of reach", None
    seconds = time.process_time() - start
    start = time.process_time()
    codec.compress(pixels, encoding.latents.quality, effort=effort)
    ratio = seconds / (time.process_time() - start)
    if isinstance(target, TargetPsnr):
        error = abs(psnr_db(pixels, codec.decompress(data)) - target.psnr_db)
        return ("met" if error <= PSNR_TOLERANCE_DB else "MISSED"), ratio
    if len(data) > target.size_bytes:
        return "ABOVE", ratio
    if len(data) >= (1 - SIZE_TOLERANCE) * target.size_bytes:
        return "met", ratio
    return ("largest file there is" if encoding.note else "MISSED"), ratio


def main() -> None:
    """Print a line a target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="photo")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="take every so many pictures")
    options = parser.parse_args()
    codec = Codec.load(options.model, precision=options.precision, threads=1)
    paths = pictures_of([options.folder], recursive=False)[:: options.every]
    pictures = [read_picture(path).pixels for path in paths]
    codec.decompress(codec.compress(pictures[0]))  # makes the sessions
    for target in TARGETS:
        found = [outcome(codec, pixels, target, options.effort) for pixels in pictures]
        ratios = sorted(ratio for _, ratio in found if ratio is not None) or [float("nan")]
        counts = ", ".join(f"{n} {what}" for what, n in Counter(w for w, _ in found).items())
        print(
            f"{target}: {counts}; time median {statistics.median(ratios):.2f}, "
            f"nine of ten {ratios[int(0.9 * (len(ratios) - 1))]:.2f}, most {ratios[-1]:.2f}"
        )


if __name__ == "__main__":
    main()
