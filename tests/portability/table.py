"""Reports of `run.py` as the Markdown table of docs/portability.md.

    python tests/portability/table.py [FILE ...]

prints the table of the reports kept in ``results``, or puts it into files, between the two lines
that say ``portability``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cells import CELLS

RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- portability -->", "<!-- /portability -->"

HEAD = (
    "machine",
    "Python, numpy, onnxruntime",
    "symbols identical",
    "pixels fp32",
    "pixels int8",
    "ms/MP fp32",
    "ms/MP int8",
)


def table(reports: Iterable[Mapping[str, Any]]) -> str:
    """Return one row a report."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_row, reports)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(report: Mapping[str, Any]) -> tuple[str, ...]:
    versions, found = report["versions"], report["precisions"]
    parts = list(found.values())
    equal, files = (sum(part[key] for part in parts) for key in ("symbols_equal", "files"))
    precisions = ("fp32", "int8")
    return (
        _machine(report),
        f"{versions['python']}, {versions['numpy']}, {versions['onnxruntime']}",
        f"{equal} of {files}",
        *(_pixels(found[name]) if name in found else "" for name in precisions),
        *(_speed(found.get(name, {})) for name in precisions),
    )


def _machine(report: Mapping[str, Any]) -> str:
    """Return the cell's name; of a real x86 with what decides which int8 kernels run."""
    name = str(report["machine"])
    if report["emulated"]:
        return f"{name} (emulated)"
    return f"{name}, {_vectors(report['features'])}" if name.startswith("x86-64") else name


def _vectors(features: Sequence[str]) -> str:
    if {"avx512_vnni", "avx_vnni"} & set(features):
        return "VNNI"
    return "AVX2, no VNNI" if "avx2" in features else "no AVX2"


def _pixels(part: Mapping[str, Any]) -> str:
    if not part["differing_samples"]:
        return "identical"
    share = 100 * part["differing_samples"] / part["samples"]
    return f"at most {part['largest_difference']:g}, in {share:.2g} %"


def _speed(part: Mapping[str, Any]) -> str:
    return f"{part['ms_per_megapixel']:.0f}" if "ms_per_megapixel" in part else "-"


def kept(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the reports in a folder, in the order of the cells."""
    paths = (folder / f"{name}.json" for name in CELLS)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def main() -> None:
    """Print the table, or write it."""
    text = table(kept())
    if len(sys.argv) == 1:
        print(text)
    for name in sys.argv[1:]:
        path = Path(name)
        old = path.read_text(encoding="utf-8")
        new = re.sub(f"{BEGIN}.*?{END}", f"{BEGIN}\n{text}\n{END}", old, flags=re.DOTALL)
        path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
