"""A thousand pictures of random sizes through one codec: memory must not grow.

    python benchmarks/soak.py [BUNDLE] [--pictures 1000] [--side 320]

Each is made up, compressed and decompressed; some are grey, some have alpha, some are run in tiles.
Prints resident memory after some pictures, and ends with 1 if it has grown by more than 5 % from
the first fifth to the end. Linux only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from edgeae import tiles
from edgeae.codec import Codec

GROWTH = 1.05
CHANNELS = ((), (2,), (3,), (4,))


def main() -> int:
    """Run the soak; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", default="photo")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--side", type=int, default=320, help="longest side in pixels")
    arguments = parser.parse_args()
    tiles.WHOLE_PIXELS = arguments.side**2 // 2  # the largest ones take the way of huge ones
    tiles.TILE_SIDE = arguments.side // 2
    codec = Codec.load(arguments.bundle)
    random = np.random.default_rng(1)
    base, megapixels = 0, 0.0
    for number in range(1, arguments.pictures + 1):
        height, width = random.integers(1, arguments.side + 1, 2)
        shape = (int(height), int(width), *CHANNELS[number % len(CHANNELS)])
        ramp = np.add.outer(np.arange(height), np.arange(width)).reshape(
            height, width, *(1,) * (len(shape) - 2)
        )
        pixels = (ramp + random.integers(0, 20, shape)).astype(np.uint8)
        decoded = codec.decompress(codec.compress(pixels, float(random.integers(0, 101))))
        if decoded.shape != pixels.shape:
            raise AssertionError(f"{decoded.shape} came back of {pixels.shape}")
        megapixels += height * width / 1e6
        if number in (1, arguments.pictures // 5, arguments.pictures):
            now = resident_mb()
            base = now if number <= arguments.pictures // 5 else base
            print(f"{number:5} pictures, {megapixels:5.1f} MP: {now} MB")
    return int(resident_mb() > GROWTH * base)


def resident_mb() -> int:
    """Return the resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    raise OSError("no VmRSS")


if __name__ == "__main__":
    sys.exit(main())
