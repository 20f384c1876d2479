"""Time of whole processes, from start to exit: imports, loading of the model, one photo.

    python benchmarks/cold_start.py PICTURE
    python benchmarks/cold_start.py PICTURE --json > cold_start.json

The commands run in turn, so that a busy machine slows all alike; times are medians. Wall time and
processor time (user and system, children included) are apart: with nothing else on the machine they
are about equal. The middle of the picture is used, 768x512. Exits with 1 if a bound is missed in
processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

SIZE = (768, 512)  # pixels
BOUND_S = {"edgeae --help": 0.25, "compress fp32": 0.8, "compress int8": 0.8}


@dataclass(frozen=True, slots=True)
class Row:
    """What a command takes, in seconds."""

    command: str
    wall_s: float
    cpu_s: float
    bound_s: float | None


def commands(folder: Path, model: str) -> dict[str, list[str]]:
    """Return the measured commands by name; decompress follows the compress it needs."""
    python, edgeae = [sys.executable, "-c"], [sys.executable, "-m", "edgeae"]
    found = {
        "python -c pass": [*python, "pass"],
        "import onnxruntime, numpy, PIL.Image": [
            *python,
            "import onnxruntime, numpy, PIL.Image",
        ],
        "edgeae --help": [*edgeae, "--help"],
        "edgeae compress --help": [*edgeae, "compress", "--help"],
    }
    picture, latents, back = (folder / name for name in ("a.png", "a.eae", "b.png"))
    for precision in ("fp32", "int8"):
        options = ["-m", model, "-f", "--precision", precision, "--threads", "1"]
        for command, source, target in (
            ("compress", picture, latents),
            ("decompress", latents, back),
        ):
            found[f"{command} {precision}"] = [
                *(*edgeae, command, str(source), "-o", str(target)),
                *options,
            ]
    return found


def seconds(command: list[str]) -> tuple[float, float]:
    """Return wall and processor time of a process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # Installed packages have their bytecode; a checkout gets it in the first, uncounted round.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(picture: Path, model: str, runs: int) -> list[Row]:
    """Return a row for each command."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Image.open(picture) as image:
            left, top = (
                (length - side) // 2 for length, side in zip(image.size, SIZE, strict=True)
            )
            box = (left, top, left + SIZE[0], top + SIZE[1])
            image.convert("RGB").crop(box).save(folder / "a.png")
        table = commands(folder, model)
        times: dict[str, list[tuple[float, float]]] = {command: [] for command in table}
        for number in range(runs + 1):
            for command, arguments in table.items():
                taken = seconds(arguments)
                if number > 0:
                    times[command].append(taken)
    rows = []
    for command, taken_by in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*taken_by, strict=True))
        rows.append(Row(command, round(wall, 3), round(cpu, 3), BOUND_S.get(command)))
    return rows


def main() -> None:
    """Print a line a command, or all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("-m", "--model", default="photo")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measured(arguments.picture, arguments.model, arguments.runs)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(f"{'command':38s} {'wall s':>7s} {'CPU s':>7s} {'bound s':>8s}")
        for row in rows:
            bound = "" if row.bound_s is None else f"{row.bound_s:.2f}"
            print(f"{row.command:38s} {row.wall_s:7.3f} {row.cpu_s:7.3f} {bound:>8s}")
    missed = [row.command for row in rows if row.bound_s is not None and row.cpu_s > row.bound_s]
    if missed:
        raise SystemExit(f"bound missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
