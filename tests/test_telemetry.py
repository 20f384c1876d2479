"""onnxruntime's wheels phone home unless told not to before their import; here they are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRIVATE = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
CODE = """
import sys, numpy, edgeae, os
data = edgeae.compress(numpy.zeros((64, 64, 3), numpy.uint8), model=sys.argv[1])
edgeae.decompress(data, sys.argv[1])
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment outside of continuous integration, with every user folder empty."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"CI", "ORT_DISABLE_TELEMETRY", "GITHUB_ACTIONS", "TF_BUILD"}
    }
    return kept | dict.fromkeys(PRIVATE, str(tmp_path))


def test_coding_a_picture_leaves_no_file_in_the_users_folders(
    tiny_bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    assert run(environment, tiny_bundle) == "1"
    assert list(tmp_path.rglob("*")) == []


def test_users_own_choice_about_telemetry_stays(
    tiny_bundle: Path, environment: dict[str, str]
) -> None:
    environment["ORT_DISABLE_TELEMETRY"] = "yes"
    assert run(environment, tiny_bundle) == "yes"


def run(environment: dict[str, str], bundle: Path) -> str:
    process = subprocess.run(
        [sys.executable, "-c", CODE, str(bundle)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.strip()
