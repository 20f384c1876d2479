"""Latency, memory and cold start of a bundle beside other formats: the figures that are quoted.

    taskset -c 0 python benchmarks/latency.py -m photo -m photo-s -o benchmarks/results/latency.json

With these models it has the settings of the committed results: one thread, 768x512 and one
megapixel, all precisions of the bundles, nine runs. It is `edgeae bench`; prints the tables too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeae.benchmark.cases import Request
from edgeae.benchmark.measure import Listener, measure
from edgeae.benchmark.race import available
from edgeae.benchmark.rounds import Length
from edgeae.cli.bench_tables import print_report

SIZES = ((768, 512), (1024, 1024))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", action="append", help="may be repeated; photo")
    parser.add_argument("--image", type=Path, help="a photo instead of the made picture")
    parser.add_argument("--threads", type=int, action="append", help="may be repeated; 1")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    request = Request(
        models=arguments.model or ["photo"],
        precisions=(),
        threads=arguments.threads or [1],
        providers=["cpu"],
        sizes=SIZES,
        image=arguments.image,
        peers=available(),
        quality=50.0,
        effort=1,
        length=Length(seconds=0, runs=arguments.runs),
        memory=True,
        start=True,
    )
    report = measure(request, Listener(part=print))
    print_report(report)
    arguments.out.write_text(report.to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
