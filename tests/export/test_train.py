from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from edgeae.errors import BoundError, BundleError, GraphError, MissingExtraError, OutputError
from edgeae_export.average import average
from edgeae_export.budget import Budget, choose_device
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.compiler import compiler_needed
from edgeae_export.log import Log, Report, Window
from edgeae_export.networks.photo import ANCHORS
from edgeae_export.processes import ALONE, Processes
from edgeae_export.recipe import Recipe
from edgeae_export.recipe_table import load_recipe
from edgeae_export.starts import origin
from edgeae_export.state import Run
from edgeae_export.train import anchors_in_turn, learning_rate, train
from export.made_pictures import write_pictures
from export.recipes import TINY, photo_recipe

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _eager() -> None:
    torch.compiler.set_stance("force_eager")
    torch.set_num_threads(1)


def budget(out: Path, minutes: float) -> Budget:
    return Budget(
        out=out, minutes=minutes, checkpoint_minutes=0.02, threads=1, device="cpu", processes=ALONE
    )


def train_on(
    photos: Path,
    run: Budget,
    recipe: Recipe | None = None,
    *,
    init: Checkpoint | None = None,
    resume: bool = False,
    show: Callable[[Report], None] = lambda report: None,
) -> Checkpoint:
    recipe = recipe or photo_recipe()
    path = train(recipe, [photos], [photos], run, init=init, resume=resume, show=show)
    return Checkpoint.load(path)


def run_training(
    folder: Path, minutes: float, *, resume: bool = False, init: Checkpoint | None = None
) -> tuple[Checkpoint, list[Report]]:
    photos = folder / "photos"
    if not photos.exists():
        write_pictures(photos, 6)
    reports: list[Report] = []
    run = budget(folder / "run", minutes)
    return train_on(photos, run, init=init, resume=resume, show=reports.append), reports


def test_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    recipe = photo_recipe()

    def at(step: int, share: float) -> float:
        progress = Progress(step=step, seconds=600 * share, megapixels=0)
        return learning_rate(recipe, progress, minutes=10) / recipe.learning_rate

    assert at(0, 0.0) == pytest.approx(0.25)
    assert at(100, 0.3) == 1.0
    assert at(100, 0.8) == pytest.approx(0.5)
    assert at(100, 1.0) == 0.0


@pytest.mark.parametrize("batch", [1, 3, 8, 12])
def test_every_anchor_has_as_many_crops_as_any_other(batch: int) -> None:
    turns = torch.cat([anchors_in_turn(step, batch) for step in range(2 * ANCHORS)])
    assert turns.bincount().tolist() == [2 * batch] * ANCHORS


def test_training_lowers_the_cost_and_logs_json_lines(tmp_path: Path) -> None:
    checkpoint, reports = run_training(tmp_path, 0.15)
    assert reports[-1].loss < reports[0].loss
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    scores = [row["score"] for row in rows if "score" in row]
    assert len([r for r in rows if "validation" in r][-1]["validation"]) == ANCHORS
    assert scores[-1] < scores[0]
    assert checkpoint.progress.step == reports[-1].step + checkpoint.progress.step % 20


def test_resume_goes_on_from_the_step_of_the_checkpoint(tmp_path: Path) -> None:
    first, _ = run_training(tmp_path, 0.04)
    again, _ = run_training(tmp_path, 0.08, resume=True)
    assert again.progress.step > first.progress.step
    assert again.progress.seconds >= first.progress.seconds
    assert any(key.startswith("second.") for key in again.tensors)


def test_resume_with_the_recipe_of_another_network_is_refused(tmp_path: Path) -> None:
    first, _ = run_training(tmp_path, 0.03)
    path = tmp_path / "run" / "checkpoint.safetensors"
    data = path.read_bytes()
    deeper = replace(first.recipe, name="deeper", encoder_blocks8=2)
    with pytest.raises(BundleError, match="made with recipe tiny, a network of another shape"):
        train_on(tmp_path / "photos", budget(tmp_path / "run", 0.04), deeper, resume=True)
    assert path.read_bytes() == data


def test_what_a_run_went_on_with_is_in_its_provenance(tmp_path: Path) -> None:
    first, _ = run_training(tmp_path, 0.03)
    others, recipe = write_pictures(tmp_path / "others", 4), replace(first.recipe, lambda_min=0.01)
    again = train_on(others, budget(tmp_path / "run", 0.05), recipe, resume=True)
    changed = again.history["changed"]
    assert changed.startswith(f"at step {first.progress.step}: ")
    assert f"lambda_min from {first.recipe.lambda_min}" in changed
    assert "data from photos" in changed


def test_an_average_is_started_from_and_not_gone_on_with(tmp_path: Path) -> None:
    first, _ = run_training(tmp_path, 0.03)
    average([first, first], [0.5, 0.5]).save(tmp_path / "run" / "checkpoint.safetensors")
    with pytest.raises(BoundError, match="is an average; start from it with --init"):
        run_training(tmp_path, 0.05, resume=True)
    assert "averaged with tiny" in origin(average([first, first], [0.5, 0.5]))


def test_a_start_of_other_widths_is_refused(tmp_path: Path) -> None:
    first, _ = run_training(tmp_path, 0.03)
    wide = replace(first.recipe, name="wide", hyper_width=first.recipe.hyper_width + 4)
    with pytest.raises(BoundError, match=r"of another width than wide; only the numbers of blocks"):
        train_on(tmp_path / "photos", budget(tmp_path / "wide", 0.03), wide, init=first)


@pytest.mark.parametrize("out", ["file", "file/in"])
def test_a_folder_that_cannot_be_made_is_said_first(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        train_on(tmp_path / "absent", budget(tmp_path / out, 0.03))


def test_a_batch_must_be_divided_among_the_processes(tmp_path: Path) -> None:
    run = replace(budget(tmp_path / "run", 0.03), processes=Processes(rank=0, count=3))
    with pytest.raises(BoundError, match="a batch of 8 cannot be divided among 3 processes"):
        train_on(tmp_path, run)


def test_a_log_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        Log(tmp_path).write({"step": 1})


@pytest.mark.parametrize(
    ("seconds", "minutes", "share"), [(0.1, 0.003, 1), (15, 1, 0.25), (60, 1, 1), (90, 1, 1)]
)
def test_report_tells_how_much_is_done(seconds: float, minutes: float, share: float) -> None:
    window = Window()
    window.add((1.0, 0.5, 0.1, 30.0))
    progress = Progress(step=20, seconds=seconds, megapixels=1.0)
    assert window.report(progress, 1e-3, minutes, photo_recipe()).share == share


def test_a_missing_compiler_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"install one \(g\+\+"), compiler_needed():
        raise TorchDynamoException("InvalidCxxCompiler: No working C++ compiler found")
    with pytest.raises(TorchDynamoException, match="else"), compiler_needed():
        raise TorchDynamoException("something else")


def test_stops_while_saving_leave_one_partial_file_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    checkpoint = Checkpoint(photo_recipe(), Progress(1, 1.0, 1.0), {"a": torch.ones(9)}, {})
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path / "checkpoint.safetensors")
    assert {path.name for path in tmp_path.iterdir()} <= {"checkpoint.safetensors.partial"}


def test_a_full_disk_leaves_the_checkpoint_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(photo_recipe(), Progress(1, 1.0, 1.0), {"a": torch.ones(3)}, {})
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path)
    data = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot be written \(.*No space left"):
        checkpoint.save(path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [data]


def test_a_checkpoint_reloads_as_saved(tmp_path: Path) -> None:
    first, _ = run_training(tmp_path, 0.03)
    first.save(tmp_path / "copy.safetensors")
    again = Checkpoint.load(tmp_path / "copy.safetensors")
    assert (again.recipe, again.progress, again.history) == (
        first.recipe,
        first.progress,
        first.history,
    )
    assert all(torch.equal(again.tensors[k], v) for k, v in first.tensors.items())


def test_blocks_added_at_init_change_nothing_at_first(tmp_path: Path) -> None:
    trained, _ = run_training(tmp_path, 0.03)
    deeper = replace(trained.recipe, encoder_blocks8=3, decoder_blocks16=2)
    run = Run(deeper, "cpu")
    run.adopt(trained)
    shallow = Run(trained.recipe, "cpu")
    shallow.adopt(trained)
    pixels = torch.rand(2, 64, 64, 3) * 255
    quality = torch.tensor([20.0, 80.0])
    for one, other in zip(
        run.model.evaluate(pixels, quality), shallow.model.evaluate(pixels, quality), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_a_resumed_run_takes_the_step_that_the_run_would_have_taken(tmp_path: Path) -> None:
    trained, _ = run_training(tmp_path, 0.03)
    assert any(key.startswith("basis0.") for key in trained.tensors)
    runs = [Run(trained.recipe, "cpu"), Run(trained.recipe, "cpu")]
    runs[0].adopt(trained)
    take_a_step(runs[0], 1)
    copy = replace(
        runs[0].to_checkpoint({}),
        progress=replace(trained.progress, step=trained.progress.step + 1),
    )
    runs[1].adopt(copy)
    for run in runs:
        for seed in range(2, 15):  # beyond a change of the bases
            take_a_step(run, seed)
    one, other = (dict(run.model.named_parameters()) for run in runs)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=1e-5, msg=name)


def take_a_step(run: Run, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in run.model.parameters():
        parameter.grad = torch.randn_like(parameter)
    run.update(1e-3)


def test_a_cut_checkpoint_is_named_in_the_error(tmp_path: Path) -> None:
    run_training(tmp_path, 0.03)
    path = tmp_path / "run/checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match=r"checkpoint\.safetensors: cannot be read"):
        run_training(tmp_path, 0.05, resume=True)


def test_sigkill_loses_at_most_one_checkpoint_interval(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 6)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "edgeae", "train", str(photos), "--val", str(photos)]
    command += ["-o", str(out), "--recipe", TINY, "--minutes", "5", "--quiet"]
    command += ["--checkpoint-minutes", "0.02"]
    environment = os.environ | {"TORCHDYNAMO_DISABLE": "1"}
    path = out / "checkpoint.safetensors"
    with subprocess.Popen(command, env=environment) as process:
        try:
            deadline = time.monotonic() + 120
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(2.5)  # into the writing of one checkpoint or another
        finally:
            process.send_signal(signal.SIGKILL)
    assert path.exists(), "no checkpoint within two minutes"
    saved = Checkpoint.load(path)
    logged = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    steps = [row for row in logged if "minutes" in row]
    assert steps[-1]["minutes"] - saved.progress.seconds / 60 <= 0.02 + 0.02  # a step beyond it
    again, _ = run_training(tmp_path, saved.progress.seconds / 60 + 0.02, resume=True)
    assert again.progress.step > saved.progress.step


def test_unknown_recipe_and_unknown_key_are_named(tmp_path: Path) -> None:
    with pytest.raises(BoundError, match="photo-m"):
        load_recipe("photo-xxl")
    text = Path(TINY).read_text().replace("width8", "widht8")
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(BoundError, match="widht8"):
        load_recipe(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 2", "steps = 4", "steps is 4, not within 1..3"),
        ("crop = 64", "crop = 100", "crop is 100, not a multiple of 64"),
        ("batch = 8", "batch = 0", "batch is 0, not at least 1"),
        ("warmup_steps = 4", "warmup_steps = 0", "warmup_steps is 0, not at least 1"),
        ("decay = 0.4", "decay = 4", "decay is 4, not within 0..1"),
        ("batch = 8", "batch = 8.5", "batch is 8.5, not of type int"),
        ("decay = 0.4", "decay = true", "decay is True, not of type float"),
        ("seed = 1", "seed = -1", "seed is -1, not at least 0"),
        ("predicted = 3", "predicted = 99", "predicted is 99, above latent_channels, which is 8"),
    ],
)
def test_value_out_of_range_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = Path(TINY).read_text()
    assert f"\n{old}\n" in text
    (tmp_path / "bad.toml").write_text(text.replace(f"\n{old}\n", f"\n{new}\n"))
    with pytest.raises(BoundError, match=f"{message}; compare"):
        load_recipe(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize("name", ["photo-s", "photo-m", "photo-vivid", "photo-l"])
def test_recipes_of_the_package_load(name: str) -> None:
    recipe = photo_recipe(name)
    assert recipe.name == name
    assert len(recipe.lambdas()) == ANCHORS
    assert math.isclose(recipe.lambdas()[0], recipe.lambda_min)


def test_an_absent_device_is_an_error() -> None:
    with pytest.raises(GraphError, match="auto, cpu, cuda"):
        choose_device("tpu")
