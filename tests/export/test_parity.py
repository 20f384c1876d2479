from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeae.errors import BoundError
from edgeae_export.networks.photo import PhotoCodec
from edgeae_export.parity import BOUNDS, check_parity, half_precision_loss
from edgeae_export.photo_graphs import photo_graphs
from export.made_pictures import made_picture
from export.random_codec import random_model

pytestmark = pytest.mark.torch

PICTURES = [made_picture(0, 128, 64), made_picture(1, 70, 130)]


def brighten(codec: PhotoCodec) -> None:
    codec.decoder.linear_bias.add_(1)


def shift_latents(codec: PhotoCodec) -> None:
    codec.encoder.tail.bias[2] += 0.01


def shift_means(codec: PhotoCodec) -> None:
    codec.hyper_decoder.mean.step[1] += 0.05


def shift_indexes(codec: PhotoCodec) -> None:
    codec.hyper_decoder.scale.tail.bias.add_(1 / 16)


def shift_hyper_latents(codec: PhotoCodec) -> None:
    codec.hyper_encoder.tail.bias.add_(0.3)


def raise_gain(codec: PhotoCodec) -> None:
    codec.gain.log[-1] += 0.01


def test_graphs_equal_their_networks() -> None:
    codec = random_model().codec
    worst = check_parity(photo_graphs(codec), codec, PICTURES)
    assert worst.keys() == BOUNDS.keys()
    assert worst["index"] == 0
    assert all(worst[name] < BOUNDS[name] / 5 for name in BOUNDS if BOUNDS[name])


@pytest.mark.parametrize(
    ("change", "output"),
    [
        (brighten, "pixels"),
        (shift_latents, "y"),
        (shift_means, "mean"),
        (shift_indexes, "index"),
        (shift_hyper_latents, "z"),
        (raise_gain, "scaled"),
    ],
)
def test_a_graph_that_departs_is_named(change: Callable[[PhotoCodec], None], output: str) -> None:
    codec = random_model().codec
    graphs = photo_graphs(codec)
    change(codec)
    with pytest.raises(BoundError, match=rf"^{output}: the graph is off by \d"):
        check_parity(graphs, codec, PICTURES)


def test_half_precision_loss_of_equal_models_is_nothing() -> None:
    loss = half_precision_loss(random_model(), random_model(), PICTURES)
    assert set(loss.values()) == {0.0}
