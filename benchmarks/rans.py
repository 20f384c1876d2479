"""Size and CPU time of the entropy coder, a line a case.

Symbols are Laplace at 64 scales from 0.05 to 32 steps; 90, 80 or 60 % of them at scales where a
zero is all but certain, half of those at index 0. Indexes are independent of each other, the worst
case for the caches. Times are medians of the process's CPU time, including index handling; with the
kernel in C, where it was built, and with numpy alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgeae.entropy import lanes as machines
from edgeae.entropy.rans import Decoder, Section, encode
from edgeae.entropy.tables import PRECISION_BITS, ScaleTables
from edgeae.kernel.library import kernel

SCALES = np.geomspace(0.05, 32, 64)  # quantization steps
QUIET = {0.1: 0.9, 0.5: 0.8, 1.5: 0.6}  # bits per symbol: share of all but certain zeros
BOUND = (1_000_000, 0.5, 60.0)  # symbols, bits per symbol, decode CPU in ms


def laplace_row(scale: float) -> NDArray[np.int64]:
    """Return integer frequencies of magnitudes, the last for all beyond, (m,) int64."""
    size = int(np.clip(np.ceil(12 * scale), 2, 255))
    tail = np.exp(-(np.arange(size + 1) + 0.5) / scale)  # P(|v| > k)
    probabilities = -np.diff(np.concatenate([[1.0], tail[:-1], [0.0]]))
    frequencies: NDArray[np.int64] = np.round(probabilities * 2**PRECISION_BITS).astype(np.int64)
    frequencies = np.maximum(1, frequencies)
    frequencies[np.argmax(frequencies)] -= frequencies.sum() - 2**PRECISION_BITS
    return frequencies


def draw(symbols: int, bits: float, tables: ScaleTables) -> Section:
    """Return Laplace symbols whose mixture of scales costs about ``bits`` each."""
    rng = np.random.default_rng(7)
    certain = np.exp(-0.5 / SCALES) < 0.01  # P(not 0)
    quiet = np.flatnonzero(certain)[1:]  # index 0 is drawn apart
    loud = np.flatnonzero(~certain)
    # the loudest scales are left out until the mixture costs what the label says
    entropy_bits = np.array([_entropy_bits(scale) for scale in SCALES[loud]])
    mean_bits = np.cumsum(entropy_bits) / np.arange(1, loud.size + 1)
    loud = loud[(1 - QUIET[bits]) * mean_bits <= bits]
    hushed = rng.random(symbols) < QUIET[bits]
    indexes = np.where(hushed, rng.choice(quiet, symbols), rng.choice(loud, symbols))
    indexes[hushed & (rng.random(symbols) < 0.5)] = 0
    values = np.round(rng.laplace(0, SCALES[indexes])).astype(np.int32)
    values[indexes == 0] = 0
    return Section(values, indexes.astype(np.uint8), tables)


def _entropy_bits(scale: float) -> float:
    k = np.arange(1, 400)
    tail = np.exp(-(k - 0.5) / scale) * (1 - np.exp(-1 / scale)) / 2
    p = np.concatenate([[1 - np.exp(-0.5 / scale)], tail, tail])
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def median_ms(function: Callable[[], object], runs: int) -> float:
    """Return the median CPU time of ``function`` in milliseconds, after one run to warm up."""
    function()
    times = []
    for _ in range(runs):
        start = time.process_time()
        function()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def measure(section: Section, runs: int) -> tuple[int, float, int, float, float]:
    """Return payload bytes, ideal bytes, lanes, encode ms and decode ms."""
    payload, lanes_log2 = encode([section])
    ideal = float(section.tables.cost_bits(section.symbols, section.indexes).sum()) / 8

    def decode() -> NDArray[np.int32]:
        return Decoder(payload, lanes_log2).decode(section.indexes, section.tables, last=True)

    if not np.array_equal(decode(), section.symbols):
        raise SystemExit("decoded symbols differ")
    encode_ms = median_ms(lambda: encode([section]), runs)
    return len(payload), ideal, 1 << lanes_log2, encode_ms, median_ms(decode, runs)


def main() -> None:
    """Print one line a case; exit with 1 if the bound of the design is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--symbols", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000]
    )
    parser.add_argument("--runs", type=int, default=11)
    arguments = parser.parse_args()
    tables = ScaleTables(tuple(laplace_row(scale) for scale in SCALES))
    missed = False
    libraries = {"kernel": kernel(), "numpy": None}
    print("machine   symbols  bit/sym    bytes    ideal  lanes  encode ms  decode ms")
    for symbols in arguments.symbols:
        for bits in QUIET:
            section = draw(symbols, bits, tables)
            for machine, library in libraries.items():
                if machine == "kernel" and library is None:
                    continue
                machines.kernel = lambda library=library: library
                size, ideal, lanes, encode_ms, decode_ms = measure(section, arguments.runs)
                print(
                    f"{machine:7s} {symbols:9d} {8 * ideal / symbols:8.3f} {size:8d} {ideal:8.0f} "
                    f"{lanes:6d} {encode_ms:10.2f} {decode_ms:10.2f}"
                )
                missed |= (symbols, bits) == BOUND[:2] and decode_ms > BOUND[2]
    if missed:
        raise SystemExit(f"decode of {BOUND[0]} symbols took more than {BOUND[2]:.0f} ms")


if __name__ == "__main__":
    main()
