"""The programs of docs/autoencoders.md run as printed, and what they make works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeae.bundle import Bundle
from edgeae.cli.app import app

pytestmark = [pytest.mark.torch, pytest.mark.slow]

TEXT = (Path(__file__).parents[1] / "docs" / "autoencoders.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
MOST_LINES = 45


def run(program: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(program, "docs/autoencoders.md", "exec"), names)
    return names


def test_programs_are_short() -> None:
    assert len(PROGRAMS) == 2
    assert all(len(program.splitlines()) <= MOST_LINES for program in PROGRAMS)


def test_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(PROGRAMS[0])
    assert names["decoded"].shape == (28, 28)
    error = np.square(names["decoded"].astype(float) - names["pictures"][0]).mean()
    assert error < 0.2 * names["pictures"].astype(float).var()
    manifest = Bundle.load(tmp_path / "spots").manifest
    assert (manifest.input, manifest.size, manifest.stride) == ("grey", None, 4)
    assert manifest == names["manifest"]


def test_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(PROGRAMS[1])
    series, decoded = names["series"], names["decoded"]
    assert decoded.dtype == np.float32
    assert np.square(decoded - series).mean() < 0.5 * (series - series.mean()).var()
    assert sum(map(len, names["files"])) < series.nbytes / 10
    assert names["latents"].shape == (500, 4, 1, 16)
    np.save("one.npy", series[0])
    for command in (["compress", "one.npy"], ["decompress", "one.eae", "-o", "back.npy"]):
        result = CliRunner().invoke(app, [*command, "-m", "waves"])
        assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load("back.npy"), decoded[0])
