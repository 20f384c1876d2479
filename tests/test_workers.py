"""Several processes at one batch: the same files, in order, whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_cli import Result, files, run

import edgeae
from edgeae.cli import output
from edgeae.cli.batch import Report
from edgeae.cli.jobs import Job
from edgeae.cli.stream import Work
from edgeae.cli.workers import done_by_workers
from edgeae.errors import BatchError, BundleError, EdgeaeError, ImageError

BAD = 3  # of the pictures of `folder`


@pytest.fixture
def folder(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """Eight pictures of three sizes, one of them none."""
    found = tmp_path / "in"
    (found / "sub").mkdir(parents=True)
    for number in range(8):
        size = (150, 100) if number % 2 else (20 + number % 3, 30)
        name = f"sub/{number}.png" if number > 5 else f"{number}.png"
        Image.fromarray(photo).resize(size).save(found / name)
    (found / f"{BAD}.png").write_text("no picture")
    return found


def compress(folder: Path, out: Path, *options: str) -> Result:
    return run("compress", "-r", folder, "-o", out, "-m", "tiny", *options)


def test_workers_write_the_same_files_and_say_the_same_in_the_same_order(
    folder: Path, tmp_path: Path
) -> None:
    options = ["--precision", "fp32", "--json", "--threads", "2"]
    alone = compress(folder, tmp_path / "alone", *options)
    shared = compress(folder, tmp_path / "shared", *options, "-j", "2")
    assert (alone.code, shared.code) == (9, 9)
    assert shared.err == alone.err
    assert files(tmp_path / "shared") == files(tmp_path / "alone")
    for name in files(tmp_path / "alone"):
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert [line["input"] for line in shared.lines()] == [line["input"] for line in alone.lines()]
    assert [line.get("exit") for line in shared.lines()] == [
        6 if k == BAD else None for k in range(8)
    ]
    assert {line.get("threads") for line in alone.lines()} == {2, None}
    assert {line.get("threads") for line in shared.lines()} == {1, None}

    back = run("decompress", "-r", tmp_path / "shared", "-o", tmp_path / "back", "-j", "2")
    assert back.code == 0
    assert back.err.count(" -> ") == len(files(tmp_path / "back")) == 7


def test_failures_are_listed_again_after_lines_of_others(folder: Path, tmp_path: Path) -> None:
    result = compress(folder, tmp_path / "out", "-j", "2")
    lines = result.err.splitlines()
    complaint = next(line for line in lines if line.startswith("edgeae: "))
    assert f"{BAD}.png: " in complaint
    assert lines[-3:] == [
        "failed:",
        complaint.replace("edgeae: ", "  "),
        "edgeae: 1 of 8 inputs failed, the others are done",
    ]


def test_what_exists_is_skipped_and_the_rest_done(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    compress(folder, out)
    whole = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    (out / "5.eae").unlink()
    result = compress(folder, out, "--skip-existing", "-j", "2")
    assert result.code == 9
    assert "6 skipped: the output exists" in result.err
    assert result.err.count(" -> ") == 1
    assert files(out) == whole.keys()
    del whole["5.eae"]
    assert whole == {name: (out / name).stat().st_mtime_ns for name in whole}

    (folder / f"{BAD}.png").unlink()
    result = compress(folder, out, "--skip-existing", "--json")
    assert result.code == 0
    assert [line["skipped"] for line in result.lines()] == [True] * 7


def test_empty_output_is_not_taken_for_a_whole_one(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1.eae").touch()
    result = run("compress", folder / "1.png", "-o", tmp_path / "out/", "--skip-existing")
    assert result.code == 7
    assert "1.eae: exists" in result.err


def test_skipping_and_overwriting_exclude_each_other(folder: Path, tmp_path: Path) -> None:
    assert compress(folder, tmp_path / "out", "--skip-existing", "-f").code == 2


def test_absent_bundle_is_one_error(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bundle"
    bad.mkdir()
    result = run("compress", "-r", folder, "-m", bad, "-j", "2")
    assert result.code == 5
    assert result.err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX has these signals")
@pytest.mark.parametrize(
    ("number", "code", "to_all"),
    [
        (signal.SIGTERM, 143, False),
        (getattr(signal, "SIGHUP", 1), 129, True),
        (signal.SIGINT, 130, True),
    ],
    ids=["kill", "closed terminal", "ctrl-c"],
)
def test_stop_ends_all_processes_with_its_own_code(
    photo: NDArray[np.uint8], tmp_path: Path, number: int, code: int, to_all: bool
) -> None:
    pictures, out = tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    Image.fromarray(photo).resize((600, 400)).save(pictures / "00.png")
    for position in range(1, 60):
        (pictures / f"{position:02}.png").hardlink_to(pictures / "00.png")
    command = ["compress", "-r", pictures, "-o", out, "-m", "tiny", "-j", "2", "--threads", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeae", *map(str, command)],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    process.stderr.readline()
    (os.killpg if to_all else os.kill)(process.pid, number)
    rest = process.communicate()[1].decode()
    assert process.returncode == code
    assert "Traceback" not in rest
    written = list(out.iterdir())
    assert 1 <= len(written) < 60
    for path in written:
        assert edgeae.decompress(path.read_bytes()).shape == (400, 600, 3)
    assert ends_soon(process.pid)


def ends_soon(group: int) -> bool:
    """Return whether all processes of a group end within some seconds."""
    for _ in range(100):
        if not runs(group):
            return True
        time.sleep(0.05)
    return False


def runs(group: int) -> bool:
    """Return whether a process of a group runs: one that nobody has waited for yet does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    states = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, _, of, *_ = path.read_text().rpartition(")")[2].split()
            states += [state] * (int(of) == group)
    return not states or set(states) != {"Z"}


class TestDeaths:
    """Workers that end before their work does; what they do is made up here."""

    @pytest.fixture
    def jobs(self, tmp_path: Path) -> list[Job]:
        return [Job(Path(f"{number}"), tmp_path / f"{number}.out") for number in range(12)]

    def outcomes(
        self, jobs: list[Job], make: Callable[[], Work[Named, bytes]]
    ) -> list[Report | EdgeaeError]:
        found = list(done_by_workers(iter(jobs), make, 2))
        assert [job.source for job, _ in found] == [job.source for job in jobs]
        return [result for _, result in found]

    @pytest.mark.parametrize("together", [True, False])
    def test_only_the_input_that_kills_is_lost(self, jobs: list[Job], together: bool) -> None:
        results = self.outcomes(jobs, partial(killed_by, {"4", "9"}, together))
        for number, result in enumerate(results):
            if number in (4, 9):
                assert isinstance(result, ImageError)
                assert "that had it was killed by SIGKILL" in str(result)
            else:
                assert isinstance(result, Report)
                target = jobs[number].target
                assert target is not None
                assert target.read_bytes() == b"made"
        left = {path.name for path in Path(str(jobs[0].target)).parent.iterdir()}
        assert left == {f"{number}.out" for number in range(12) if number not in (4, 9)}

    def test_output_of_somebody_else_survives_a_death(self, jobs: list[Job]) -> None:
        theirs = Path(str(jobs[6].target))
        theirs.write_bytes(b"theirs")
        results = self.outcomes(jobs, partial(killed_by, {"4"}, together=True))
        assert theirs.read_bytes() == b"theirs"
        assert "exists" in str(results[6])

    def test_worker_that_cannot_start_is_one_error(self, jobs: list[Job]) -> None:
        with pytest.raises(BundleError, match="no such"):
            self.outcomes(jobs, raises)
        with pytest.raises(BatchError, match="the last ended with code 3"):
            self.outcomes(jobs, dies)

    def test_bug_is_shown_and_costs_its_input(
        self, jobs: list[Job], capfd: pytest.CaptureFixture[str]
    ) -> None:
        jobs[1] = Job(Path("bug"), jobs[1].target)
        results = self.outcomes(jobs[:3], partial(killed_by, frozenset(), together=True))
        assert [isinstance(result, Report) for result in results] == [True, False, True]
        assert "that had it ended with code 1" in str(results[1])
        assert "ZeroDivisionError" in capfd.readouterr().err


class Named:
    """What is read: a name with the size of a picture."""

    width = height = 1

    def __init__(self, name: str) -> None:
        self.name = name


def killed_by(names: AbstractSet[str], together: bool) -> Work[Named, bytes]:
    """Return work that is killed by some inputs, after it left a part of their outputs."""

    def read(job: Job) -> Named:
        output.check_target(job.target, force=job.again)
        return Named(job.source_name)

    def write(job: Job, read: Named, data: bytes, seconds: float) -> Report:
        if read.name in names:
            assert job.target is not None
            job.target.with_name(output._partial(job.target, "0123abcd")).write_bytes(b"ma")
            os.kill(os.getpid(), signal.SIGKILL)
        if read.name == "bug":
            raise ZeroDivisionError
        output.write(data, job.target, force=job.again)
        return Report("", {})

    return Work(read, lambda several: [b"made"] * len(several), write, together)


def raises() -> Work[Named, bytes]:
    raise BundleError("no such bundle")


def dies() -> Work[Named, bytes]:
    os._exit(3)
