"""CPU time of a bundle's encoder and decoder graphs in fp32 and int8, one thread, ms a megapixel.

    python benchmarks/graphs.py BUNDLE PICTURE
    python benchmarks/graphs.py BUNDLE PICTURE --json > graphs.json

A square tile from the middle of the picture goes through all graphs in turn, so that a busy machine
slows all alike; times are medians of the process's CPU time. Says which instructions the processor
offers: int8 gains most where it multiplies and sums bytes at once (VNNI, ARM dot product).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edgeae.bundle import FP32, INT8, QUANTIZED_GRAPHS, Bundle, find_bundle, graph_file
from edgeae.graphs import Graph
from edgeae_export.quantize.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

QUALITY = 50.0
FLAGS = ("sse4_1", "avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp")


def tile_of(picture: Path, side: int) -> NDArray[np.uint8]:
    """Return a square (side, side, 3) from the middle of a picture, mirrored if it is small."""
    with Image.open(picture) as image:
        whole = np.asarray(image.convert("RGB"))
    missing = [max(0, side - length) for length in whole.shape[:2]]
    whole = np.pad(whole, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")
    top, left = ((length - side) // 2 for length in whole.shape[:2])
    return np.ascontiguousarray(whole[top : top + side, left : left + side])


def measured(bundle: Bundle, tile: NDArray[np.uint8], rounds: int) -> dict[tuple[str, str], float]:
    """Return for (graph, precision) the median CPU time in ms a megapixel."""
    (coding,) = Judge(bundle, [tile], [QUALITY]).codings
    feeds: Mapping[str, Mapping[str, NDArray[Any]]] = {
        "encoder": {"pixels": coding.pixels},
        "decoder": {"y_hat": coding.y_hat, "quality": coding.quality},
    }
    graphs = {}
    for name in QUANTIZED_GRAPHS:
        for precision in (FP32, INT8):
            file = graph_file(name, precision)
            if file in bundle.manifest.files:
                data = bundle.read(file)
                graphs[name, precision] = Graph(name, lambda data=data: data)  # type: ignore[misc]
    times: dict[tuple[str, str], list[float]] = {key: [] for key in graphs}
    for number in range(rounds + 1):  # the first makes sessions and warms up
        for (name, precision), graph in graphs.items():
            start = time.process_time()
            graph.run(**feeds[name])
            if number > 0:
                times[name, precision].append(time.process_time() - start)
    megapixels = tile.shape[0] * tile.shape[1] / 1e6
    return {key: 1e3 * statistics.median(found) / megapixels for key, found in times.items()}


def processor_flags() -> list[str]:
    """Return which of `FLAGS` the system names; none where it does not say."""
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text(encoding="utf-8").split()) if cpuinfo.exists() else set()
    return [flag for flag in FLAGS if flag in words]


def main() -> None:
    """Print a line a graph, or all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--side", type=int, default=512, help="pixels, a multiple of 64")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bundle = Bundle.load(find_bundle(arguments.bundle))
    tile = tile_of(arguments.picture, arguments.side)
    found = measured(bundle, tile, arguments.rounds)
    rows = []
    for name in QUANTIZED_GRAPHS:
        exact, integer = found[name, FP32], found.get((name, INT8))
        times = None if integer is None else round(exact / integer, 2)
        shown = None if integer is None else round(integer, 1)
        rows.append({"graph": name, "fp32_ms": round(exact, 1), "int8_ms": shown, "times": times})
    if arguments.json:
        print(json.dumps({"processor_flags": processor_flags(), "graphs": rows}, indent=2))
        return
    print("graph      fp32 ms/MP  int8 ms/MP  times faster")
    for row in rows:
        print(f"{row['graph']:10s} {row['fp32_ms']!s:>10s} {row['int8_ms']!s:>11s} {row['times']}")
    print(f"processor: {', '.join(processor_flags()) or 'unknown'}")


if __name__ == "__main__":
    main()
