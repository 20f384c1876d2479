from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from typer.testing import CliRunner

from edgeae.cli.app import app
from edgeae.errors import BoundError
from edgeae_export.activation_ranges import ActivationRanges, fit
from edgeae_export.budget import Budget
from edgeae_export.checkpoint import Checkpoint
from edgeae_export.export import averaged_model
from edgeae_export.networks.fake_quantization import (
    ActivationQuantizer,
    Group,
    RectifiedQuantizer,
    fake_quantize,
    fake_quantize_weight,
    quantize_trunks,
)
from edgeae_export.photo_graphs import photo_graphs
from edgeae_export.pictures import CropSampler
from edgeae_export.processes import ALONE
from edgeae_export.recipe import Recipe
from edgeae_export.state import Run
from edgeae_export.train import PLAIN, loss_of, step_once, train
from edgeae_export.tuning import Tuning
from export.made_pictures import made_picture, write_pictures
from export.random_codec import random_model
from export.recipes import TINY, photo_recipe

pytestmark = pytest.mark.torch

AWARE = Tuning(quantization_aware=True)


@pytest.fixture(autouse=True)
def _eager() -> None:
    torch.compiler.set_stance("force_eager")
    torch.set_num_threads(1)


def quantized_and_back(x: np.ndarray, scale: float, zero_point: int, kind: type) -> np.ndarray:
    """Return ``x`` through QuantizeLinear and DequantizeLinear of onnxruntime."""
    constants = [
        helper.make_tensor("s", TensorProto.FLOAT, [], [scale]),
        helper.make_tensor("z", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), [], [zero_point]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [x.size]) for n in "xy"]
    graph = helper.make_graph(nodes, "qdq", value[:1], value[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    result: np.ndarray = session.run(None, {"x": x.ravel()})[0]
    return result


@pytest.mark.parametrize(("scale", "zero_point"), [(0.5, 0), (0.25, 128), (0.037, 90), (3.0, 255)])
def test_activations_are_rounded_as_onnxruntime_rounds_them(scale: float, zero_point: int) -> None:
    ties = (np.arange(-300, 300) + 0.5) * np.float32(scale)
    others = np.random.default_rng(1).normal(0, 90 * scale, 2000)
    x = np.concatenate([ties, others]).astype(np.float32)  # both reach beyond the range
    y = fake_quantize(torch.from_numpy(x), torch.tensor(scale), torch.tensor(float(zero_point)))
    np.testing.assert_array_equal(y.numpy(), quantized_and_back(x, scale, zero_point, np.uint8))
    saturated = torch.tensor([0.0 - zero_point, 255.0 - zero_point]) * scale
    assert torch.equal(torch.stack([y.min(), y.max()]), saturated)


def test_weights_are_rounded_as_onnxruntime_rounds_them_within_63_levels() -> None:
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    weight[4] = 0
    rounded = fake_quantize_weight(weight, 1)
    for row, expected in zip(rounded[:4].numpy(), weight[:4].numpy(), strict=True):
        scale = np.abs(expected).max() / np.float32(63)
        np.testing.assert_array_equal(row, quantized_and_back(expected, scale, 0, np.int8))
        assert np.abs(row / scale).max().round() == 63
    assert not rounded[4].any()
    torch.testing.assert_close(fake_quantize_weight(weight.T, 0).T, rounded, rtol=0, atol=0)


def test_gradients_pass_inside_the_range_and_stop_outside() -> None:
    x = torch.tensor([-7.0, -1.3, 0.0, 2.2, 99.0], requires_grad=True)
    y = fake_quantize(x, torch.tensor(0.1), torch.tensor(20.0))
    (gradient,) = torch.autograd.grad(y, x, torch.full((5,), 3.0))
    assert gradient.tolist() == [0, 3, 3, 3, 0]
    weight = torch.randn(3, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(fake_quantize_weight(weight, 1).sum(), weight)
    assert torch.equal(gradient, torch.ones(3, 8))


def test_factors_of_a_group_bring_its_channels_to_one_range() -> None:
    narrow, wide = ActivationQuantizer(2), ActivationQuantizer(8)  # four copies of two channels
    narrow.low.copy_(torch.tensor([-1.0, -50.0]))
    narrow.high.copy_(torch.tensor([4.0, 100.0]))
    wide.high.copy_(torch.tensor([1.0, 25, 2, 50, 3, 75, 4, 100]))
    fit(Group(2, 1.0, (narrow, wide)))
    assert narrow.factor.tolist() == [4, 100]
    assert wide.factor.tolist() == [4, 100] * 4
    assert int(narrow.zero_point) == round(0.5 / 1.5 * 255)
    assert int(wide.zero_point) == 0
    levels = narrow.scale * (255 - narrow.zero_point)
    torch.testing.assert_close(levels, torch.tensor([4.0, 100.0]))


def test_quantized_trunks_keep_parameters_and_names_and_depart_little() -> None:
    model, plain = random_model(), random_model()
    before = dict(model.named_parameters())
    sampler = CropSampler([made_picture(seed) for seed in range(4)], 1)
    ActivationRanges(model, sampler, 64, ALONE).follow(0)
    after = dict(model.named_parameters())
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    assert model.state_dict().keys() == plain.state_dict().keys()
    pixels = torch.from_numpy(np.stack([made_picture(7, 64, 64)])).float()
    y, expected = model.codec.encoder(pixels), plain.codec.encoder(pixels)
    error = (y - expected).square().mean() / expected.square().mean()
    assert 1e-7 < error < 1e-3


def test_a_rectified_quantizer_is_a_relu_and_its_rounding() -> None:
    quantizer, x = RectifiedQuantizer(3), torch.linspace(-2, 2, 99).view(33, 3)
    quantizer.high.copy_(torch.tensor([1.0, 1.5, 1.9]))
    fit(Group(3, 0.0, (quantizer,)))
    exact = quantizer.exact(x)
    assert torch.equal(quantizer(x), quantizer(exact))
    error = (quantizer(x) - exact.clamp(max=1.9)).abs().max()
    assert 0 < error <= 1.9 / 255 / 2 + 1e-6


def test_every_layer_of_the_trunks_and_no_other_is_quantized() -> None:
    codec = random_model().codec
    quantize_trunks(codec)
    names = {name for name, m in codec.named_modules() if type(m).__name__.startswith("Quantized")}
    layers = {
        name.removesuffix(".weight")
        for name, _ in codec.named_parameters()
        if name.startswith(("encoder.", "decoder.")) and name.endswith(".weight")
    }
    blocks = {name for name in names if name.rpartition(".")[2].isdigit()}
    assert names - blocks == layers


def budget(out: Path, minutes: float) -> Budget:
    return Budget(
        out=out, minutes=minutes, checkpoint_minutes=0.02, threads=1, device="cpu", processes=ALONE
    )


def run_training(
    folder: Path,
    minutes: float,
    tuning: Tuning,
    *,
    resume: bool = False,
    init: Checkpoint[Recipe] | None = None,
) -> Checkpoint[Recipe]:
    photos = folder / "photos"
    if not photos.exists():
        write_pictures(photos, 6)
    path = train(
        photo_recipe(),
        [photos],
        [photos],
        budget(folder / "run", minutes),
        init=init,
        resume=resume,
        show=lambda _: None,
        tuning=tuning,
    )
    return Checkpoint.load(path)


def scores(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "run/log.jsonl").read_text().splitlines()]
    return [row["score"] for row in rows if "score" in row]


def test_a_quantization_aware_run_trains_and_its_checkpoint_is_a_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeae_export.activation_ranges.MEASURE_EVERY", 20)
    checkpoint = run_training(tmp_path, 0.4, AWARE)
    assert scores(tmp_path)[-1] < scores(tmp_path)[0]
    assert checkpoint.progress.step > 20  # ranges were measured twice
    assert checkpoint.history["tuning"] == "quantization-aware"
    plain = Run(checkpoint.recipe, "cpu")
    assert checkpoint.group("average").keys() == plain.average.keys()
    assert photo_graphs(averaged_model(checkpoint).codec).keys() >= {"encoder", "decoder"}
    (tmp_path / "plain").mkdir()
    again = run_training(tmp_path / "plain", 0.02, PLAIN, init=checkpoint)
    assert "tuning" not in again.history


def test_a_resumed_run_stays_quantization_aware(tmp_path: Path) -> None:
    first = run_training(tmp_path, 0.03, AWARE)
    again = run_training(tmp_path, 0.06, PLAIN, resume=True)
    assert again.progress.step > first.progress.step
    assert again.history["tuning"] == "quantization-aware"


def test_frozen_entropy_side_stays_bit_for_bit(tmp_path: Path) -> None:
    start = run_training(tmp_path, 0.03, PLAIN)
    (tmp_path / "tuned").mkdir()
    tuned = run_training(tmp_path / "tuned", 0.04, Tuning(freeze_entropy=True), init=start)
    before, after = start.group("average"), tuned.group("average")
    moved = {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"encoder", "decoder", "inverse_gain"}


@pytest.mark.parametrize(("tuning", "same"), [(PLAIN, True), (AWARE, False)])
def test_plain_training_is_untouched_bit_for_bit(tuning: Tuning, same: bool) -> None:
    pictures = [made_picture(seed) for seed in range(4)]
    results = []
    for prepared in (False, True):
        torch.manual_seed(3)
        run, sampler = Run(photo_recipe(), "cpu"), CropSampler(pictures, 3)
        before_step = (tuning if prepared else PLAIN).prepare(run, CropSampler(pictures, 9), ALONE)
        for step in range(4):
            before_step(step)
            step_once(run, loss_of, sampler, 1e-3, ALONE)
        results.append(run.to_checkpoint({}).tensors)
    assert all(torch.equal(results[0][k], v) for k, v in results[1].items()) == same


@pytest.mark.slow
def test_a_killed_quantization_aware_run_goes_on(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 6)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "edgeae", "train", str(photos), "--val", str(photos)]
    command += ["-o", str(out), "--recipe", TINY, "--minutes", "5", "--quiet"]
    command += ["--checkpoint-minutes", "0.02", "--quantization-aware"]
    path = out / "checkpoint.safetensors"
    with subprocess.Popen(command, env=os.environ | {"TORCHDYNAMO_DISABLE": "1"}) as process:
        try:
            deadline = time.monotonic() + 120
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGKILL)
    saved = Checkpoint.load(path)
    again = run_training(tmp_path, saved.progress.seconds / 60 + 0.02, AWARE, resume=True)
    assert again.progress.step > saved.progress.step


@pytest.mark.parametrize("option", ["--quantization-aware", "--freeze-entropy"])
def test_tuning_an_autoencoder_is_refused(tmp_path: Path, option: str) -> None:
    folders = [str(tmp_path), "--val", str(tmp_path), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, ["train", *folders, "--recipe", "conv-ae", option])
    assert result.exit_code == BoundError.exit_code
    assert f"leave out {option}" in result.output
    assert not (tmp_path / "run").exists()
