"""The two graphs of a plain bundle around the graphs of a network.

    uint8 pixels -> the network's numbers -> encoder -> [N, C, h, w] -> / step -> y
    y_hat -> * step -> the network's latents -> decoder -> uint8 pixels

Arrays are float32 on both sides and are not scaled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeae_export.graph_builder import FLOAT, UINT8, GraphBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import ModelProto

    from edgeae_export.plain.geometry import Geometry
    from edgeae_export.plain.pair import GraphPair

MEAN, LOG_VARIANCE = "y", "log_variance"


def plain_graphs(
    pair: GraphPair, geometry: Geometry, step: NDArray[np.float32]
) -> Mapping[str, ModelProto]:
    """Return encoder and decoder of a bundle.

    Parameters
    ----------
    pair : GraphPair
        A second output of its encoder becomes ``log_variance``, in the network's units.
    geometry : Geometry
        Sizes; those that are None are dynamic.
    step : (C,) float32
        Of the latent quantizer.
    """
    return {
        "encoder": _encoder(pair, geometry, step),
        "decoder": _decoder(pair, geometry, step),
    }


def _encoder(pair: GraphPair, geometry: Geometry, step: NDArray[np.float32]) -> ModelProto:
    b = GraphBuilder("encoder", {})
    raw = pair.encoder
    pixels = b.input("pixels", _kind(geometry), [geometry.batch_axis, *geometry.pixel_axes])
    x = pair.convention.add_to_network(b, pixels, raw.input_kind)
    found = b.splice(raw.model, {raw.input: x}, raw.outputs)
    latent_axes = [geometry.batch_axis, *geometry.latent_axes]
    for name, value, kind in zip((MEAN, LOG_VARIANCE), found, raw.output_kinds, strict=False):
        y = b.add("Cast", value, to=FLOAT) if kind != FLOAT else value
        y = pair.form.add_arrange(b, y)
        scale = 1 / step if name == MEAN else np.ones_like(step)
        y = b.add("Mul", y, b.constant(scale.astype(np.float32).reshape(1, -1, 1, 1)))
        b.output(y, name, FLOAT, latent_axes)
    return b.model("Encoder of an autoencoder: pixels to latents in steps")


def _decoder(pair: GraphPair, geometry: Geometry, step: NDArray[np.float32]) -> ModelProto:
    b = GraphBuilder("decoder", {})
    raw = pair.decoder
    y_hat = b.input("y_hat", FLOAT, [geometry.batch_axis, *geometry.latent_axes])
    b.input("quality", FLOAT, [])  # every decoder takes it; this one has one quality
    latents = b.add("Mul", y_hat, b.constant(step.reshape(1, -1, 1, 1)))
    latents = pair.form.add_restore(b, latents)
    if raw.input_kind != FLOAT:
        latents = b.add("Cast", latents, to=raw.input_kind)
    (found,) = b.splice(raw.model, {raw.input: latents}, raw.outputs[:1])
    x = pair.convention.add_from_network(b, found, geometry.shape, raw.output_kinds[0])
    b.output(x, "pixels", _kind(geometry), [geometry.batch_axis, *geometry.pixel_axes])
    return b.model("Decoder of an autoencoder: latents in steps to pixels")


def _kind(geometry: Geometry) -> int:
    return FLOAT if geometry.input == "array" else UINT8
