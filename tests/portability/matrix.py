"""Decode the golden files in the cells of the matrix and keep what each reports.

    python tests/portability/matrix.py native oldest newest
    python tests/portability/matrix.py --all

The first line takes a minute and PyPI; emulated cells take minutes each, Debian's archive and the
package qemu-user. A cell is `run.py` in an environment that is made once and kept in ``--work``;
reports go to ``--results``, one file a cell. Exit code 1 if a cell gives other symbols or fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cells import CELLS, Cell
from environments import Command, unpack
from table import RESULTS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FAILED = 1


def command(cell: Cell, work: Path) -> Command:
    """Return how to start the cell's Python; makes its environment if there is none yet."""
    start = Command((sys.executable,))
    if cell.environment is not None:
        start = cell.environment.prepare(work / cell.environment.name)
    return Command((*_emulator(cell, work), *start.words), start.variables)


def _emulator(cell: Cell, work: Path) -> tuple[str, ...]:
    if cell.emulator_suite is None:
        return cell.emulator
    root = work / f"qemu-{cell.emulator_suite}" / "root"
    program = root / "usr" / "bin" / cell.emulator[0]
    if not program.exists():
        unpack(root, cell.emulator_suite, "amd64", ("qemu-user",))
    return (str(program), *cell.emulator[1:])


def report(name: str, cell: Cell, work: Path) -> tuple[dict[str, Any], int]:
    """Return what `run.py` says in a cell, and its exit code."""
    start = command(cell, work)
    path = os.pathsep.join(filter(None, (str(ROOT), start.variables.get("PYTHONPATH"))))
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", **start.variables}
    environment["PYTHONPATH"] = path
    environment.pop("OPENBLAS_CORETYPE", None)  # names this processor; a cell's may be another
    words = [*start.words, str(HERE / "run.py"), *cell.arguments]
    begun = time.monotonic()
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise RuntimeError(f"run.py ended with {done.returncode}: {done.stderr[-2000:]}") from None
    about = {"cell": name, "machine": cell.machine, "emulated": bool(cell.emulator)}
    return {**about, "seconds": round(time.monotonic() - begun), **found}, done.returncode


def main() -> None:
    """Run cells and keep their reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--all", action="store_true", help="every cell")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "edgeae-portability"
    )
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.cells) - CELLS.keys()):
        parser.error(f"{unknown} are not among {list(CELLS)}")
    arguments.results.mkdir(parents=True, exist_ok=True)
    worst = 0
    for name in list(CELLS) if arguments.all else arguments.cells:
        try:
            found, code = report(name, CELLS[name], arguments.work.absolute())
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            print(f"{name}: failed: {error}", file=sys.stderr)
            worst = FAILED
            continue
        text = json.dumps(found, indent=1) + "\n"
        (arguments.results / f"{name}.json").write_text(text, encoding="utf-8")
        equal = [
            f"{part['symbols_equal']}/{part['files']}" for part in found["precisions"].values()
        ]
        print(
            f"{name}: symbols equal in {', '.join(equal)} files, {found['seconds']} s", flush=True
        )
        worst = max(worst, code)
    sys.exit(worst)


if __name__ == "__main__":
    main()
