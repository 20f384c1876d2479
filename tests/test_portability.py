"""The golden files decoded here, by the commands that decode them elsewhere; how they are made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "portability"
GOLDEN = HERE / "golden"
INDEX: dict[str, Any] = json.loads((GOLDEN / "index.json").read_text(encoding="utf-8"))
QUICK = ("--no-encode", "--no-speed", "--max-pixels", "13000")
LEVELS = 2  # of 255: kernels sum floats in another order elsewhere
INT8_PSNR_DB = 45.0  # to fp32, of all pixels together; a kernel that saturates falls below 30


def call(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, str(HERE / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
def test_golden_files_decode_to_the_same_symbols_here() -> None:
    done = call("run.py", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    precisions = json.loads(done.stdout)["precisions"]
    assert precisions["fp32"]["files"] > 60
    for found in precisions.values():
        assert found["symbols_equal"] == found["files"]
        assert found["unequal"] == []
    assert precisions["fp32"]["largest_difference"] <= LEVELS
    if "int8" in precisions:
        assert precisions["int8"]["psnr_to_fp32_db"] > INT8_PSNR_DB


@pytest.mark.slow
def test_other_symbols_are_named_and_end_with_1(tmp_path: Path) -> None:
    golden = shutil.copytree(GOLDEN, tmp_path / "golden")
    index = json.loads((golden / "index.json").read_text(encoding="utf-8"))
    (changed,) = [file for file in index["files"] if file["file"] == "hand-lanes-8.eae"]
    changed["symbols_sha256"] = "0" * 64
    (golden / "index.json").write_text(json.dumps({**index, "files": [changed]}), encoding="utf-8")
    done = call("run.py", *QUICK, "--golden", golden)
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)["precisions"]["fp32"]["unequal"]
    assert row["file"] == "hand-lanes-8.eae"


@pytest.mark.slow
def test_files_written_from_the_document_alone_are_in_the_set(tmp_path: Path) -> None:
    done = call("unusual.py", tmp_path)
    assert done.returncode == 0, done.stderr
    written = contents(tmp_path)
    assert len(written) > 40
    for name, data in written.items():
        if "alpha" not in name:  # zlib may deflate otherwise elsewhere
            assert data == (GOLDEN / name).read_bytes(), name


@pytest.mark.slow
def test_the_set_is_made_the_same_twice(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        done = call("make.py", tmp_path / folder, "--bundle", "tiny", "--bundle", "vae-8x8")
        assert done.returncode == 0, done.stderr
    first = contents(tmp_path / "first")
    assert first == contents(tmp_path / "second")
    assert {"index.json", "tiny-eye-50.eae", "hand-digit.eae"} <= first.keys()


def test_set_is_complete_and_small() -> None:
    on_disk = contents(GOLDEN)
    named = {"index.json"}
    for file in INDEX["files"]:
        named |= {file["file"], *file["pixels"].values()}
    assert on_disk.keys() == named
    assert sum(map(len, on_disk.values())) < 1_500_000


@pytest.mark.parametrize("name", sorted(INDEX["bundles"]))
def test_set_was_made_with_the_bundles_there_are(name: str) -> None:
    bundle = INDEX["bundles"][name]
    manifest = HERE.parents[1] / bundle["path"] / "manifest.json"
    found = json.loads(manifest.read_text(encoding="utf-8"))["coding_id"]
    assert found == bundle["coding_id"], "run tests/portability/make.py"
