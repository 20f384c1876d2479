from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from edgeae.cli.app import app
from edgeae_export.checkpoint import Checkpoint
from export.made_digits import made_digits, write_idx
from export.made_pictures import made_picture, write_pictures
from export.recipes import TINY

pytestmark = [pytest.mark.torch, pytest.mark.slow]


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_train_export_compress_decompress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.compiler.set_stance("force_eager")
    photos = write_pictures(tmp_path / "photos", 6)
    out, bundle = tmp_path / "run", tmp_path / "bundle"
    trained = ("train", photos, "--val", photos, "-o", out, "--recipe", TINY, "--minutes", "0.05")
    assert run(*trained, "--quiet")[0] == 0
    assert run(*trained)[0] == 7  # neither overwritten nor gone on from unasked
    checkpoint = out / "checkpoint.safetensors"
    exported = ("export", checkpoint, "--data", photos, "--val", photos, "-o", bundle)
    code, output = run(*exported)
    assert code == 0, output
    assert run(*exported)[0] == 7
    picture, packed, again = (tmp_path / name for name in ("p.png", "p.eae", "again.png"))
    pixels = made_picture(99)
    Image.fromarray(pixels).save(picture)
    assert run("compress", "-m", bundle, "-q", "90", picture)[0] == 0
    assert run("decompress", "-m", bundle, packed, "-o", again)[0] == 0
    error = np.asarray(Image.open(again)).astype(float) - pixels
    assert np.square(error).mean() < 100
    restarted = ("train", photos, "--val", photos, "-o", tmp_path / "again", "--recipe", TINY)
    monkeypatch.setenv("EDGEAE_MODELS", str(tmp_path))
    assert run(*restarted, "--minutes", "0.02", "--init", bundle.name, "--quiet")[0] == 0
    first = Checkpoint.load(checkpoint).progress
    start = Checkpoint.load(tmp_path / "again/checkpoint.safetensors").history["init"]
    assert f" {first.step} steps" in start

    tuned, other = tmp_path / "tuned", tmp_path / "other"
    started = ("train", photos, "--val", photos, "-o", tuned, "--recipe", TINY, "--quiet")
    code, output = run(*started, "--minutes", "0.02", "--init", checkpoint, "--freeze-entropy")
    assert code == 0, output
    exported = ("export", tuned / "checkpoint.safetensors", "--val", photos, "-o", other)
    code, output = run(*exported)
    assert code == 8
    assert "--entropy-of" in output
    code, output = run(*exported, "--entropy-of", bundle, "--pictures", "3")
    assert code == 8
    assert "leave out" in output
    code, output = run(*exported, "--entropy-of", bundle)
    assert code == 0, output
    assert run("decompress", "-m", other, packed, "-o", tmp_path / "other.png")[0] == 0
    apart = tmp_path / "apart"
    exported = (*exported[:-1], apart, "--entropy-of", bundle, "--latent-space", "apart")
    assert run(*exported)[0] == 0
    assert run("decompress", "-m", apart, packed, "-o", tmp_path / "apart.png")[0] == 5


@pytest.mark.parametrize(
    ("start", "what"),
    [
        ("nowhere", "neither a bundle of"),
        ("conv-ae", "no photo codec"),
        ("absent.safetensors", "cannot be read as a checkpoint"),
    ],
)
def test_start_that_has_no_weights_is_exit_5(tmp_path: Path, start: str, what: str) -> None:
    asked = ("train", tmp_path, "--val", tmp_path, "-o", tmp_path / "run", "--recipe", TINY)
    code, output = run(*asked, "--init", start)
    assert code == 5
    assert what in " ".join(output.split())


def test_training_without_pictures_is_exit_6(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    code, output = run(
        "train", tmp_path / "photos", "--val", tmp_path, "-o", tmp_path / "run", "--recipe", TINY
    )
    assert code == 6
    assert "no picture" in output


def test_train_export_compress_decompress_a_digit(tmp_path: Path) -> None:
    data = write_idx(tmp_path / "train-images-idx3-ubyte", made_digits(600))
    out, bundle = tmp_path / "run", tmp_path / "bundle"
    trained = ("train", data, "--val", data, "-o", out, "--recipe", "conv-ae")
    code, output = run(*trained, "--epochs", "25", "--quiet")
    assert code == 0, output
    checkpoint = out / "checkpoint.safetensors"
    code, output = run("export", checkpoint, "--data", data, "--val", data, "-o", bundle)
    assert code == 0, output
    picture, packed, again = (tmp_path / name for name in ("p.png", "p.eae", "again.png"))
    Image.fromarray(made_digits(1, seed=9)[0]).save(picture)
    assert run("compress", "-m", bundle, picture)[0] == 0
    assert run("decompress", "-m", bundle, packed, "-o", again)[0] == 0
    restored = np.asarray(Image.open(again))
    assert restored.shape == (28, 28)
    assert np.square(restored.astype(float) - made_digits(1, seed=9)[0]).mean() < 2000


def test_options_of_another_network_are_refused(tmp_path: Path) -> None:
    data = write_idx(tmp_path / "a-ubyte", made_digits(8))
    start = ("train", data, "--val", data, "-o", tmp_path / "run")
    code, output = run(*start, "--recipe", "photo-s", "--epochs", "2")
    assert code == 8
    assert "photo-s has no epochs" in " ".join(output.split())
    assert run(*start, "--recipe", "conv-ae", "--epochs", "0.1", "--quiet")[0] == 0
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    start = ("train", data, "--val", data, "-o", tmp_path / "other", "--recipe", "vae")
    code, output = run(*start, "--init", checkpoint)
    assert code == 5
    assert "of network conv-ae" in " ".join(output.split())
