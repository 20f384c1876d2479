"""Many pictures on actors of Ray, on this machine; in a process of its own, which Ray may fill."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgeae
from edgeae.bulk import compress_dataset
from edgeae.errors import MissingExtraError

PROGRAM = """
import json, os, sys
from dataclasses import asdict
import ray
from edgeae.bulk import compress_dataset

def main(pictures, out):
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000
    )
    found = [
        asdict(compress_dataset(pictures, out, model="tiny", workers=2)),
        asdict(compress_dataset(pictures, out, model="tiny", workers=2, skip_existing=True)),
    ]
    print(json.dumps([*found, os.environ["RAY_USAGE_STATS_ENABLED"]]))

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.skipif(
    find_spec("ray") is None,
    reason="ray, an extra of some 700 MB, is no part of dev: pip install 'edgeae[ray]'",
)
@pytest.mark.slow
def test_pictures_are_compressed_by_actors_and_failures_collected(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    pictures, out = tmp_path / "in", tmp_path / "out"
    (pictures / "sub").mkdir(parents=True)
    for number in range(4):
        Image.fromarray(photo[number:]).save(pictures / "sub" / f"{number}.png")
    (pictures / "bad.png").write_text("no picture")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, pictures, out], capture_output=True, text=True, check=True
    )
    first, second, statistics = json.loads(run.stdout.splitlines()[-1])
    assert (first["done"], first["skipped"]) == (4, 0)
    (failure,) = first["failures"]
    assert failure["path"] == str(pictures / "bad.png")
    assert failure["exit_code"] == 6
    assert (second["done"], second["skipped"], len(second["failures"])) == (0, 4, 1)
    assert statistics == "0"
    written = sorted(path for path in out.rglob("*") if path.is_file())
    assert [path.name for path in written] == [f"{number}.eae" for number in range(4)]
    assert first["bytes"] == sum(path.stat().st_size for path in written)
    for number, path in enumerate(written):
        assert edgeae.decompress(path.read_bytes()).shape == photo[number:].shape


def test_absent_ray_is_said_with_its_cure(
    tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # whether it is there or not
    Image.fromarray(photo).save(tmp_path / "a.png")
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeae\[ray\]'"):
        compress_dataset([tmp_path / "a.png"], tmp_path / "out", model="tiny")


def test_contradictions_are_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        compress_dataset(tmp_path, tmp_path, skip_existing=True, force=True)
    with pytest.raises(ValueError, match="1 or more"):
        compress_dataset(tmp_path, tmp_path, workers=0)
