from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from edgeae.errors import BoundError
from edgeae_export.graph_builder import initializers
from edgeae_export.integer_bound import LIMIT, prove_integer_bound
from edgeae_export.networks.photo import HYPER_CLIP
from edgeae_export.photo_graphs import photo_graphs
from export.random_codec import SMALL, WIDE, random_model, steepen_scale_path

pytestmark = pytest.mark.torch

SCALE = "hyper_decoder.scale"


@pytest.fixture
def hyper_decoder() -> ModelProto:
    return photo_graphs(random_model().codec)["hyper_decoder"]


def rewrite(
    model: ModelProto, name: str, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> ModelProto:
    """``model`` with another value in initializer ``name``."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            array = change(numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(numpy_helper.from_array(array, name))
            return model
    raise KeyError(name)


def node_of(model: ModelProto, layer: str) -> Any:
    """The Conv of ``layer``."""
    casts = {n.input[0]: n.output[0] for n in model.graph.node if n.op_type == "Cast"}
    weight = casts[f"{layer}.weight"]
    return next(n for n in model.graph.node if weight in n.input)


def test_sums_are_those_of_the_exported_integers(hyper_decoder: ModelProto) -> None:
    sums = prove_integer_bound(hyper_decoder)
    stored = {k: v.astype(np.int64) for k, v in initializers(hyper_decoder).items() if SCALE in k}
    head = np.abs(stored[f"{SCALE}.head.weight"]).sum(axis=(1, 2, 3)) * HYPER_CLIP
    head += np.abs(stored[f"{SCALE}.head.bias"])
    assert sums[f"{SCALE}.head"] == head.max()
    names = ("mix", "context")
    mixed = sum(
        np.abs(stored[f"{SCALE}.{name}.weight"]).sum(axis=(1, 2, 3)) * most
        + np.abs(stored[f"{SCALE}.{name}.bias"])
        for name, most in zip(names, (255, 8 * 32), strict=True)
    )
    mixed = mixed + np.abs(stored[f"{SCALE}.step"]).max(axis=0).reshape(-1)
    joint = f"{SCALE}.mix + {SCALE}.context + {SCALE}.step"
    # A trunk channel that no input can lift to 255 makes the proven sum smaller than this one.
    assert 0.5 * mixed.max() < sums[joint] <= mixed.max()
    layers = {layer for key in sums for layer in key.split(" + ")}
    assert {key.rpartition(".")[0] for key in stored if key.endswith(".weight")} <= layers


def test_product_width_stays_below_the_limit_with_the_largest_weights() -> None:
    codec = random_model(WIDE).codec
    steepen_scale_path(codec, 1.0)
    with torch.no_grad():
        for name, parameter in codec.hyper_decoder.scale.named_parameters():
            if name.endswith("weight"):
                parameter.copy_(parameter.sign() * 2)
    assert max(prove_integer_bound(photo_graphs(codec)["hyper_decoder"]).values()) < LIMIT


def test_too_many_channels_are_refused_with_layer_channel_and_sum() -> None:
    codec = random_model(replace(SMALL, latent_channels=520)).codec
    codec.hyper_decoder.scale.context.weight[5] = 1.0
    with pytest.raises(BoundError, match=r"scale\.context: channel 5 may sum to 169\d{5}, but"):
        prove_integer_bound(photo_graphs(codec)["hyper_decoder"])


def test_a_large_step_bias_is_refused(hyper_decoder: ModelProto) -> None:
    def raise_one(table: NDArray[Any]) -> NDArray[Any]:
        table[1, 3] = LIMIT - 1
        return table

    model = rewrite(hyper_decoder, f"{SCALE}.step", raise_one)
    with pytest.raises(BoundError, match=r"mix \+ .*scale\.step: channel 3 may sum to 16\d{6}"):
        prove_integer_bound(model)


@pytest.mark.parametrize("name", ["up32.weight", "depthwise16.bias", "step"])
def test_values_that_are_no_integers_are_refused(hyper_decoder: ModelProto, name: str) -> None:
    model = rewrite(hyper_decoder, f"{SCALE}.{name}", lambda array: array + array.dtype.type(0.25))
    with pytest.raises(BoundError, match=rf"scale\.{name}: not all integers"):
        prove_integer_bound(model)


def test_a_dense_spatial_kernel_is_refused(hyper_decoder: ModelProto) -> None:
    model = rewrite(hyper_decoder, f"{SCALE}.mix.weight", lambda k: np.tile(k, (1, 1, 3, 3)))
    with pytest.raises(BoundError, match=r"scale\.mix\.weight: a dense 3x3 kernel"):
        prove_integer_bound(model)


def test_a_factor_that_is_no_power_of_two_is_refused(hyper_decoder: ModelProto) -> None:
    conv = node_of(hyper_decoder, f"{SCALE}.project")
    shift = next(n for n in hyper_decoder.graph.node if conv.output[0] in n.input)
    model = rewrite(hyper_decoder, shift.input[1], lambda factor: factor * np.float32(0.75))
    with pytest.raises(BoundError, match=r"multiplied by 0\.0\d+, which is no power of two"):
        prove_integer_bound(model)


def test_an_unknown_operator_is_refused(hyper_decoder: ModelProto) -> None:
    conv = node_of(hyper_decoder, f"{SCALE}.tail")
    clip = next(n for n in hyper_decoder.graph.node if conv.input[0] in n.output)
    del clip.input[1:]
    clip.op_type = "Sigmoid"
    with pytest.raises(BoundError, match="Sigmoid is not known to be exact on every machine"):
        prove_integer_bound(hyper_decoder)


def test_a_missing_floor_is_refused(hyper_decoder: ModelProto) -> None:
    conv = node_of(hyper_decoder, f"{SCALE}.up32")
    clip = next(n for n in hyper_decoder.graph.node if conv.input[0] in n.output)
    while clip.op_type != "Clip":
        clip = next(n for n in hyper_decoder.graph.node if clip.input[0] in n.output)
    floor = next(n for n in hyper_decoder.graph.node if clip.input[0] in n.output)
    clip.input[0] = floor.input[0]
    with pytest.raises(BoundError, match=r"scale\.up32\.weight: its input is in steps of 0\.5"):
        prove_integer_bound(hyper_decoder)


def test_an_index_beyond_its_type_is_refused(hyper_decoder: ModelProto) -> None:
    cast = next(n for n in hyper_decoder.graph.node if "index" in n.output)
    clip = next(n for n in hyper_decoder.graph.node if cast.input[0] in n.output)
    model = rewrite(hyper_decoder, clip.input[1], lambda low: low - np.float32(3))
    with pytest.raises(BoundError, match=r"index: -3\.\.\d+ is beyond uint8"):
        prove_integer_bound(model)
