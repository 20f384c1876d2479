"""Run a bundle's int8 graphs on emulated processors; compare latents and pixels with this one's.

    python benchmarks/int8_emulated.py BUNDLE PICTURE --cpu Haswell --cpu Nehalem > differences.json

Needs qemu-x86_64 (Debian: qemu-user) and takes the processors of ``qemu-x86_64 -cpu help``. A
square from the middle of the picture goes through the fp32 encoder and hyperprior once; then both
int8 graphs run on the same inputs here and emulated. Printed, as JSON: for each processor and graph
how many values differ, and the largest difference. Haswell has AVX2 without VNNI: it sums products
of bytes in 16 bits, where weights beyond +-63 would saturate. Nehalem has SSE only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edgeae.bundle import INT8, QUANTIZED_GRAPHS, Bundle, find_bundle, graph_file
from edgeae.graphs import Graph
from edgeae_export.quantize.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

QUALITY = 60.0


def inputs_of(bundle: Bundle, picture: Path, side: int) -> dict[str, NDArray[Any]]:
    """Return pixels, y_hat and quality: what encoder and decoder are given."""
    with Image.open(picture) as image:
        whole = np.asarray(image.convert("RGB"))
    top, left = ((length - side) // 2 for length in whole.shape[:2])
    pixels = np.ascontiguousarray(whole[top : top + side, left : left + side])
    (coding,) = Judge(bundle, [pixels], [QUALITY]).codings
    return {"pixels": coding.pixels, "y_hat": coding.y_hat, "quality": coding.quality}


def outputs_of(bundle: Bundle, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """Return y of the int8 encoder and pixels of the int8 decoder; of those there are."""
    given = {"encoder": ("pixels",), "decoder": ("y_hat", "quality")}
    result = {}
    for name in QUANTIZED_GRAPHS:
        file = graph_file(name, INT8)
        if file in bundle.manifest.files:
            graph = Graph(name, lambda file=file: bundle.read(file))  # type: ignore[misc]
            (result[name],) = graph.run(**{key: inputs[key] for key in given[name]})
    return result


def emulated(cpu: str, bundle: Path, inputs: Path, outputs: Path) -> dict[str, NDArray[Any]]:
    """Return `outputs_of` as computed by this script under qemu."""
    script = [sys.executable, str(Path(__file__).resolve()), str(bundle)]
    files = ["--inputs", str(inputs), "--outputs", str(outputs)]
    subprocess.run(["qemu-x86_64", "-cpu", cpu, *script, *files], check=True)
    with np.load(outputs) as stored:
        return dict(stored)


def compared(here: Arrays, there: Arrays) -> dict[str, dict[str, float]]:
    """Return for each graph how its outputs differ."""
    rows = {}
    for name, exact in here.items():
        difference = np.abs(exact.astype(np.float64) - there[name])
        rows[name] = {
            "values": exact.size,
            "differing": int((difference > 0).sum()),
            "largest_difference": float(difference.max()),
            "largest_value": float(np.abs(exact).max()),
        }
    return rows


def main() -> None:
    """Print differences as JSON; under qemu, store outputs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--cpu", action="append", default=[], help="may be repeated")
    parser.add_argument("--side", type=int, default=128, help="pixels, a multiple of 64")
    parser.add_argument("--inputs", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--outputs", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    bundle = Bundle.load(find_bundle(arguments.bundle))
    if arguments.inputs is not None:
        with np.load(arguments.inputs) as stored:
            found: dict[str, Any] = outputs_of(bundle, dict(stored))
        np.savez(arguments.outputs, **found)
        return
    inputs: dict[str, Any] = inputs_of(bundle, arguments.picture, arguments.side)
    here = outputs_of(bundle, inputs)
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "inputs.npz"
        np.savez(stored, **inputs)
        for cpu in arguments.cpu:
            start = time.perf_counter()
            there = emulated(cpu, bundle.path, stored, Path(folder) / f"{cpu}.npz")
            seconds = round(time.perf_counter() - start, 1)
            report[cpu] = {"seconds": seconds, **compared(here, there)}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
