"""The README's commands and Python run as printed; every command is described somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from edgeae.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for line in README.splitlines()
    if re.match(r"    edgeae (compress|decompress|info)\b", line) and " -m " not in line
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    y, x = np.mgrid[:70, :90]
    pixels = np.stack([2 * x, 3 * y, x + y], axis=-1).astype(np.uint8)
    (tmp_path / "photos").mkdir()
    for name in ("img.png", "photos/a.png", "photos/b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_of_the_readme_run_in_order(folder: Path) -> None:
    assert len(COMMANDS) >= 6
    original = (folder / "img.png").read_bytes()
    decoded = []
    for command in COMMANDS:
        packed = folder / command.split()[-1]
        if command.startswith("edgeae decompress"):  # the README's reader is on another machine
            packed.with_suffix(".png").unlink(missing_ok=True)
        else:
            (folder / "img.png").write_bytes(original)
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, (command, result.output)
        if command.startswith("edgeae decompress") and "--region" not in command:
            decoded.append(np.asarray(Image.open(packed.with_suffix(".png"))))
    np.testing.assert_array_equal(*decoded)


def test_python_of_the_readme_runs(folder: Path) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    names = {"pixels": np.asarray(Image.open(folder / "img.png"))}
    exec(compile(code[1], "README.md", "exec"), names)
    assert names["pixels"].shape == (70, 90, 3)


def test_every_command_has_help_and_is_in_the_readme() -> None:
    listed = CliRunner().invoke(app, ["--help"]).output
    commands = re.findall(r"^  ([a-z]+)  +\S", listed.split("Commands:")[1], re.MULTILINE)
    assert {"compress", "decompress", "info", "models", "train", "export"} <= set(commands)
    for command in commands:
        assert f"edgeae {command}" in README, command


@pytest.mark.parametrize("document", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"])
def test_links_lead_to_files(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target
