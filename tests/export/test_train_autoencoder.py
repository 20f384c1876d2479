from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeae.errors import BoundError, BundleError
from edgeae_export.autoencoder_recipes import (
    AutoencoderRecipe,
    ConvAutoencoderRecipe,
    DenoiseRecipe,
    VaeRecipe,
)
from edgeae_export.autoencoder_state import trained_network
from edgeae_export.budget import Budget
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.processes import ALONE, Processes
from edgeae_export.recipe_table import load_recipe
from edgeae_export.train_autoencoder import learning_rate, share_done, train
from export.made_digits import made_digits, write_idx
from export.made_pictures import write_pictures

pytestmark = pytest.mark.torch

QUICK = {"batch": 16, "warmup_steps": 5, "learning_rate": 5e-3, "averaging": 0.9}


def conv_ae() -> ConvAutoencoderRecipe:
    recipe = load_recipe("conv-ae")
    assert isinstance(recipe, ConvAutoencoderRecipe)
    return replace(recipe, **QUICK)


def vae() -> VaeRecipe:
    recipe = load_recipe("vae")
    assert isinstance(recipe, VaeRecipe)
    small = replace(recipe, filters=(8, 16), dense_channels=8, hidden=32, latents=3)
    return replace(small, **QUICK)


def denoise() -> DenoiseRecipe:
    recipe = load_recipe("denoise")
    assert isinstance(recipe, DenoiseRecipe)
    return replace(recipe, filters2=4, filters4=8, blocks4=1, latents=16, **QUICK)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("discs")
    return write_idx(folder / "train-images-idx3-ubyte", made_digits(320))


def run(
    recipe: AutoencoderRecipe,
    data: Path,
    out: Path,
    *,
    minutes: float = math.inf,
    checkpoint_minutes: float = math.inf,
    resume: bool = False,
    init: Checkpoint[AutoencoderRecipe] | None = None,
    processes: Processes = ALONE,
) -> Checkpoint[AutoencoderRecipe]:
    budget = Budget(
        out=out,
        minutes=minutes,
        checkpoint_minutes=checkpoint_minutes,
        threads=1,
        device="cpu",
        processes=processes,
    )
    path = train(recipe, [data], [data], budget, init=init, resume=resume, show=lambda report: None)
    return Checkpoint.load(path)


def figures(out: Path) -> dict[str, float]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    found: dict[str, float] = [row for row in rows if "validation" in row][-1]["validation"]
    return found


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        (vae(), {"deviation": 0.0}, "deviation is 0.0, not at least"),
        (vae(), {"filters": ()}, "filters is"),
        (vae(), {"latents": 2.5}, "latents is 2.5, not of type int"),
        (conv_ae(), {"filters": 0}, "filters is 0, not at least 1"),
        (conv_ae(), {"alpha": 3.0}, "alpha is 3.0, not within 0..1"),
        (denoise(), {"noise_low": 140.0}, "noise_low is 140.0, above noise_high"),
        (denoise(), {"jpeg_share": -0.5}, "jpeg_share is -0.5, not within 0..1"),
    ],
)
def test_values_out_of_range_are_named(
    recipe: AutoencoderRecipe, changes: dict[str, object], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        replace(recipe, **changes)  # type: ignore[arg-type]


def test_several_processes_are_refused_before_anything_is_written(
    discs: Path, tmp_path: Path
) -> None:
    with pytest.raises(BoundError, match="one process"):
        run(vae(), discs, tmp_path / "run", processes=Processes(rank=0, count=2))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("loss", ["mse", "bce", "weighted"])
def test_a_few_seconds_of_training_lower_the_error(discs: Path, tmp_path: Path, loss: str) -> None:
    recipe = replace(conv_ae(), loss=loss, alpha=0.1)
    run(replace(recipe, epochs=0.05), discs, tmp_path / "start")
    run(replace(recipe, epochs=6), discs, tmp_path / "end")
    before, after = figures(tmp_path / "start"), figures(tmp_path / "end")
    assert after["mse"] < 0.5 * before["mse"]
    assert loss != "bce" or after["bce"] < 0.5 * before["bce"]
    assert after["psnr_db"] == pytest.approx(-10 * math.log10(after["mse"]), abs=1e-3)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_vae_lowers_its_negative_elbo(discs: Path, tmp_path: Path, likelihood: str) -> None:
    recipe = replace(vae(), likelihood=likelihood)
    run(replace(recipe, epochs=0.05), discs, tmp_path / "start")
    run(replace(recipe, epochs=8), discs, tmp_path / "end")
    before, after = figures(tmp_path / "start"), figures(tmp_path / "end")
    assert after["negative_elbo"] < before["negative_elbo"] - 50
    assert after["negative_elbo"] == pytest.approx(after["reconstruction"] + after["kl"], rel=1e-4)
    assert after["active_units"] == 3


def test_a_denoiser_restores_what_noise_took(discs: Path, tmp_path: Path) -> None:
    run(replace(denoise(), epochs=4), discs, tmp_path)
    found = figures(tmp_path)
    assert found["noise_130"] > found["noise_130_before"] + 2
    assert {"noise_10", "noise_70", "jpeg_5", "patches"} < set(found)


def test_a_photo_denoiser_trains_on_crops(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 3)
    recipe = replace(
        denoise(), network="denoise-photo", channels=3, latents=48, height=32, width=32
    )
    run(replace(recipe, epochs=40, noise_low=40, noise_high=60), photos, tmp_path / "run")
    found = figures(tmp_path / "run")
    assert found["noise_60"] > found["noise_60_before"] + 1


@pytest.mark.parametrize("recipe", [conv_ae(), vae(), denoise()], ids=lambda r: r.network)
def test_a_resumed_run_ends_as_one_without_a_break(
    discs: Path, tmp_path: Path, recipe: AutoencoderRecipe
) -> None:
    recipe = replace(recipe, epochs=1.2, decay=0.0)
    whole = run(recipe, discs, tmp_path / "whole")
    run(replace(recipe, epochs=0.7), discs, tmp_path / "parts")
    resumed = run(recipe, discs, tmp_path / "parts", resume=True)
    assert resumed.progress.step == whole.progress.step == 24
    for name, tensor in whole.tensors.items():
        torch.testing.assert_close(resumed.tensors[name], tensor, atol=0, rtol=0)


def test_a_killed_run_goes_on_from_its_checkpoint(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "edgeae", "train", str(discs), "--val", str(discs)]
    command += ["-o", str(out), "--recipe", "conv-ae", "--epochs", "1000", "--quiet"]
    path = out / "checkpoint.safetensors"
    with subprocess.Popen([*command, "--checkpoint-minutes", "0.01"]) as process:
        try:
            deadline = time.monotonic() + 120
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(1)  # into the writing of one checkpoint or another
        finally:
            process.send_signal(signal.SIGKILL)
    saved = Checkpoint.load(path)
    limit = saved.progress.seconds / 60 + 0.01
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--resume", "--minutes", str(limit)], check=True, env=environment)
    again = Checkpoint.load(path)
    assert again.progress.step > saved.progress.step
    assert again.recipe == replace(load_recipe("conv-ae"), epochs=1000)


def test_the_trained_network_has_the_weight_average(discs: Path, tmp_path: Path) -> None:
    checkpoint = run(replace(vae(), epochs=0.5), discs, tmp_path)
    network = trained_network(checkpoint)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, checkpoint.tensors[f"average.{name}"])
    assert any(
        not torch.equal(checkpoint.tensors[f"average.{k}"], checkpoint.tensors[f"model.{k}"])
        for k, _ in network.named_parameters()
    )


def test_without_averaging_the_average_is_the_weights(discs: Path, tmp_path: Path) -> None:
    checkpoint = run(replace(conv_ae(), epochs=0.5, averaging=0.0), discs, tmp_path)
    for name, weights in checkpoint.group("model").items():
        torch.testing.assert_close(checkpoint.tensors[f"average.{name}"], weights)


def test_init_starts_from_other_weights_at_step_0(discs: Path, tmp_path: Path) -> None:
    first = run(replace(conv_ae(), epochs=4), discs, tmp_path / "first")
    run(replace(conv_ae(), epochs=0.05), discs, tmp_path / "again", init=first)
    run(replace(conv_ae(), epochs=0.05), discs, tmp_path / "bare")
    assert figures(tmp_path / "again")["mse"] < 0.5 * figures(tmp_path / "bare")["mse"]


def test_weights_of_other_widths_are_refused(discs: Path, tmp_path: Path) -> None:
    run(replace(conv_ae(), epochs=0.05), discs, tmp_path)
    wider = replace(conv_ae(), filters=17, epochs=0.1)
    with pytest.raises(BundleError, match="do not fit recipe conv-ae"):
        run(wider, discs, tmp_path, resume=True)


@pytest.mark.parametrize(("schedule", "middle"), [("linear", 0.25), ("cosine", 0.14645)])
def test_learning_rate_warms_up_stays_and_falls_to_zero(schedule: str, middle: float) -> None:
    recipe = replace(conv_ae(), decay=0.4, schedule=schedule, learning_rate=1.0)
    assert learning_rate(recipe, 0, 0.0) == pytest.approx(0.2)
    assert learning_rate(recipe, 100, 0.6) == 1.0
    assert learning_rate(recipe, 100, 0.9) == pytest.approx(middle, abs=1e-4)
    assert learning_rate(recipe, 100, 1.0) == pytest.approx(0.0, abs=1e-12)


def test_the_run_ends_with_its_epochs_or_its_minutes() -> None:
    recipe = replace(conv_ae(), epochs=2)
    progress = Progress(step=10, seconds=45.0, megapixels=0.0)
    assert share_done(recipe, progress, 160, math.inf) == 0.5
    assert share_done(recipe, progress, 160, 1.0) == 0.75


def test_figures_of_a_vae_count_units_in_use(discs: Path, tmp_path: Path) -> None:
    from edgeae_export.networks.vae import Vae
    from edgeae_export.objectives.vae import figures_of

    network = Vae(vae())
    batch = made_digits(64)[..., np.newaxis]
    with torch.inference_mode():
        network.encoder.mean.weight[1:] = 0
        network.encoder.mean.weight[0] *= 100
        assert figures_of(network, vae(), [batch[:40], batch[40:]])["active_units"] == 1
