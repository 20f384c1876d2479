from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from reference_scales import scale_indexes

from edgeae.errors import BoundError, BundleError
from edgeae.graphs import SIGNATURES, Graph
from edgeae.masks import none_known
from edgeae_export.graph_builder import FLOAT, UINT8, GraphBuilder, initializers, serialized
from edgeae_export.layouts import (
    from_depthwise_kernel,
    from_kernel,
    from_patch_matrix,
    from_step_kernels,
    to_depthwise_kernel,
    to_kernel,
    to_patch_matrix,
    to_step_kernels,
)
from edgeae_export.networks.layers import depth_to_space
from edgeae_export.networks.photo import PhotoShape
from edgeae_export.photo_graphs import (
    _to_pixels,
    exported_weights,
    fractional_bits,
    photo_graphs,
)
from edgeae_export.read_weights import weights_of
from export.random_codec import SMALL, WIDE, random_model, steepen_scale_path

pytestmark = pytest.mark.torch

LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


@pytest.fixture(scope="module")
def graphs() -> Mapping[str, ModelProto]:
    return photo_graphs(random_model().codec)


def session(model: ModelProto, level: str = LEVELS[-1], threads: int = 1) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(serialized(model), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", SIGNATURES)
def test_graph_is_portable_and_self_contained(graphs: Mapping[str, ModelProto], name: str) -> None:
    model = graphs[name]
    assert [(i.domain, i.version) for i in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert model.graph.name == name
    assert not any(t.external_data for t in model.graph.initializer)
    assert Graph(name, lambda: serialized(model)).provider == "cpu"  # checks the signature
    for value in (*model.graph.input, *model.graph.output):
        sides = value.type.tensor_type.shape.dim[-2 if value.name != "pixels" else 1 :][:2]
        assert all(side.dim_param for side in sides)


def test_every_weight_is_an_initializer_named_by_its_key(
    graphs: Mapping[str, ModelProto],
) -> None:
    stored: dict[str, NDArray[Any]] = {}
    for model in graphs.values():
        stored |= initializers(model)
    state = random_model().codec.state_dict()
    assert state.keys() <= stored.keys()
    assert {str(stored[key].dtype) for key in state} == {"float16", "float32"}
    large = [key for key in state if stored[key].size > 1000]
    assert all(stored[key].dtype == np.float16 for key in large)


def test_weights_come_back_from_the_graphs() -> None:
    codec = random_model().codec
    codec.load_state_dict(weights_of(photo_graphs(codec), codec))
    expected = random_model().codec
    integers, bits = exported_weights(expected), fractional_bits(codec)
    for key, value in codec.state_dict().items():
        before = expected.state_dict()[key]
        if key in bits:  # weights beyond +-127 of their unit are clipped
            assert torch.equal(value * 2.0 ** bits[key], torch.from_numpy(integers[key]))
        else:
            assert torch.equal(value, before), key
    again = photo_graphs(codec)
    assert serialized(again["hyper_decoder"]) == serialized(photo_graphs(expected)["hyper_decoder"])


def test_weights_of_another_shape_are_refused(graphs: Mapping[str, ModelProto]) -> None:
    with pytest.raises(BundleError, match=r"is \(\d+, \d+\), the recipe's is"):
        weights_of(graphs, random_model(WIDE).codec)
    with pytest.raises(BundleError, match=r"no initializer 'encoder\.linear'"):
        weights_of({"decoder": graphs["decoder"]}, random_model().codec)


def test_layouts_invert_each_other() -> None:
    random = np.random.default_rng(0)
    matrix, taps = random.normal(size=(5, 4 * 7)), random.normal(size=(9, 6))
    patch = random.normal(size=(5, 768))
    assert (from_kernel(to_kernel(matrix, 2)) == matrix).all()
    assert (from_depthwise_kernel(to_depthwise_kernel(taps)) == taps).all()
    assert (from_patch_matrix(to_patch_matrix(patch)) == patch).all()
    steps = random.normal(size=(3, 2, 25 * 2))
    kernels = to_step_kernels(steps, 5)
    assert (kernels[2] == to_kernel(steps[2], 5)).all()
    assert (from_step_kernels(kernels) == steps).all()


def test_a_weight_beyond_half_precision_is_refused() -> None:
    codec = random_model().codec
    codec.encoder.tail.weight[3, 1] = 1e5
    with pytest.raises(BoundError, match=r"encoder\.tail\.weight: a weight of 100000 does not fit"):
        photo_graphs(codec)


def test_pixels_are_rounded_half_to_even_and_clipped() -> None:
    builder = GraphBuilder("tail", {})
    x = builder.input("x", FLOAT, [1, 192, "h", "w"])
    builder.output(_to_pixels(builder, x), "pixels", UINT8, [1, "H", "W", 3])
    random = np.random.default_rng(0)
    values = random.integers(-300, 300, (1, 3, 5, 192)).astype(np.float32) / 2  # many ties
    values.reshape(-1)[:6] = [-1e9, 1e9, -128.5, 127.5, -127.5, 126.5]
    (found,) = session(builder.model("")).run(None, {"x": values.transpose(0, 3, 1, 2)})
    expected = (depth_to_space(torch.from_numpy(values), 8) + 128).round().clamp(0, 255)
    assert found.dtype == np.uint8
    assert (found == expected.numpy()).all()


@pytest.mark.parametrize("quality", [0.0, 3.7, 100 / 7, 50.0, 99.99, 100.0])
def test_gain_is_interpolated_as_in_training(
    graphs: Mapping[str, ModelProto], quality: float
) -> None:
    y = np.ones((1, 8, 4, 4), np.float32)
    run = session(graphs["hyper_encoder"]).run
    scaled, _ = run(None, {"y": y, "quality": np.array(quality, np.float32)})
    expected = random_model().codec.gain(torch.tensor([quality]))[0, 0, 0].numpy()
    np.testing.assert_allclose(scaled[0, :, 0, 0], expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("shape", "factor"), [(SMALL, 1.0), (SMALL, 6.0), (WIDE, 1.0), (WIDE, 3.0)]
)
def test_scale_indexes_are_exact_whatever_the_runtime_does(
    shape: PhotoShape, factor: float
) -> None:
    codec = random_model(shape).codec
    steepen_scale_path(codec, factor)
    model = photo_graphs(codec)["hyper_decoder"]
    stored = initializers(model)
    inputs = list(hyper_inputs(shape))
    expected = [scale_indexes(stored, z, s, step) for z, s, step in inputs]
    assert len(np.unique(np.concatenate([e.reshape(-1) for e in expected]))) > 20
    for level in LEVELS:
        for threads in (1, 2):
            run = session(model, level, threads).run
            for (z, symbols, step), wanted in zip(inputs, expected, strict=True):
                feed = {"z": z[None], "symbols": symbols[None], "step": np.array(step)}
                _, found = run(None, feed)
                assert (found[0] == wanted).all(), (level, threads, step)


@pytest.mark.parametrize("level", LEVELS)
def test_one_position_stands_for_all_while_no_symbol_is_known(level: str) -> None:
    run = session(photo_graphs(random_model(WIDE).codec)["hyper_decoder"], level).run
    z = np.random.default_rng(5).integers(-9, 10, (1, WIDE.hyper_channels, 3, 2)).astype(np.int16)
    everywhere = np.zeros((1, WIDE.latent_channels, 12, 8), np.int16)
    step = np.array(0)
    expected = run(None, {"z": z, "symbols": everywhere, "step": step})
    found = run(None, {"z": z, "symbols": none_known(WIDE.latent_channels), "step": step})
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def hyper_inputs(shape: PhotoShape) -> Any:
    """Usual, large, extreme and damaged inputs."""
    random = np.random.default_rng(1)
    for height, width, spread, step in (
        (2, 3, 3, 0),
        (3, 1, 12, 1),
        (1, 2, 127, 0),
        (2, 2, 32767, 1),
    ):
        z = random.integers(-spread, spread + 1, (shape.hyper_channels, height, width))
        symbols = random.integers(
            -spread, spread + 1, (shape.latent_channels, 4 * height, 4 * width)
        )
        yield z.astype(np.int16), symbols.astype(np.int16), step
    for value in (-32768, -127, 127, 32767):
        z = np.full((shape.hyper_channels, 1, 1), value, np.int16)
        yield z, np.full((shape.latent_channels, 4, 4), value, np.int16), 1


@pytest.mark.parametrize("step", [3, 100])
def test_a_step_that_does_not_exist_is_an_error(
    graphs: Mapping[str, ModelProto], step: int
) -> None:
    feed = {
        "z": np.zeros((1, 4, 1, 1), np.int16),
        "symbols": np.zeros((1, 8, 4, 4), np.int16),
        "step": np.array(step),
    }
    with pytest.raises(Exception, match=r"out of (data )?bounds"):
        session(graphs["hyper_decoder"]).run(None, feed)
