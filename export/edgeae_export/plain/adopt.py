"""A pair of ONNX graphs that were made elsewhere as a bundle."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.errors import GraphError
from edgeae_export.plain.bundle import Description, write_plain_bundle
from edgeae_export.plain.detect import find_layout, find_range, picture_shape
from edgeae_export.plain.geometry import NOT_THIS_SIZE, Geometry, find_geometry, input_kind
from edgeae_export.plain.inputs import split, standard
from edgeae_export.plain.latent_form import LatentForm
from edgeae_export.plain.pair import GraphPair
from edgeae_export.plain.parity import unit
from edgeae_export.plain.raw_graph import RawGraph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgeae.manifest import Json, Manifest
    from edgeae_export.plain.convention import Convention
    from edgeae_export.plain.pair import Floats

CHANNELS_LAST = ("nhwc", "nhw", "flat")  # layouts whose networks keep channels last inside too


def adopt_autoencoder(
    encoder: str | os.PathLike[str],
    decoder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    data: Sequence[NDArray[Any]],
    held_out: Sequence[NDArray[Any]] | None = None,
    layout: str | None = None,
    value_range: str | None = None,
    latents: str | None = None,
    log_variance: str | None = None,
    channels_last: bool | None = None,
    name: str | None = None,
    description: str = "",
    latent_space: str | None = None,
    prior: str | None = None,
    training: Mapping[str, Json] | None = None,
) -> Manifest:
    """Write the bundle of two ONNX graphs, and return its manifest.

    Parameters
    ----------
    encoder, decoder : path
        ONNX files with one input each.
    out : path
        Folder of the bundle; a new one.
    data, held_out : sequence of (H, W) or (H, W, 3) uint8, or of arrays of floats
        As of `export_autoencoder`; `what_it_takes` says which.
    layout : str, optional
        "nchw", "nhwc", "nhw", "flat" or "array"; by default what the encoder's shape says.
    value_range : str, optional
        "0..1", "-1..1" or "0..255": what black and white are; by default what the decoder's last
        operator says, else that of which the data are reproduced.
    latents, log_variance : str, optional
        Names of the encoder's outputs; by default the first one, and none.
    channels_last : bool, optional
        Whether the last axis of the latents is their channels; by default as in the pictures.
    name, description, latent_space, prior, training
        As of `export_autoencoder`.

    Raises
    ------
    OutputError
        ``out`` exists.
    GraphError
        A graph cannot be used, or what is to be detected is not certain; names the option.
    ImageError
        The data do not fit.
    BoundError
        The decoder gives back another size, or the bundle's graphs depart from those given.
    """
    folder = Path(out)
    outputs = (latents,) if latents else ()
    if log_variance:
        outputs = (*(outputs or RawGraph.load(Path(encoder)).outputs), log_variance)
    graphs = RawGraph.load(Path(encoder), outputs), RawGraph.load(Path(decoder))
    layout = layout or find_layout(graphs[0])
    example = standard(data[0])
    kind = "array" if layout == "array" else input_kind(example)
    convention = find_range(graphs, layout, kind, value_range, _some(data))
    form = _form(graphs[0], convention, unit(example), channels_last)
    pair = GraphPair(*graphs, convention, form)
    geometry = find_geometry(pair, _small(unit(example), kind), kind)
    geometry = _with_batches(pair, geometry)
    return write_plain_bundle(
        pair,
        pair,
        geometry,
        split(data, held_out),
        folder,
        Description(
            name=name or folder.name,
            description=description or f"Autoencoder for {geometry.takes}",
            latent_space=latent_space,
            prior=prior,
            training={
                **(training or {}),
                "layout": layout,
                "black and white": ""
                if kind == "array"
                else f"{convention.low:g}..{convention.high:g}",
            },
        ),
    )


def what_it_takes(
    encoder: str | os.PathLike[str],
    layout: str | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[str, tuple[int | None, ...]]:
    """Return the layout of an encoder, and (H, W, C) of its pictures or the shape of its arrays.

    Parameters
    ----------
    encoder : path
        An ONNX file.
    layout : str, optional
        As of `adopt_autoencoder`.
    size : (height, width), optional
        Of pictures that the encoder takes as one vector; by default they are square.

    Raises
    ------
    GraphError
        It takes something else, or its shape does not say what it takes.
    """
    graph = RawGraph.load(Path(encoder))
    found = layout or find_layout(graph)
    if found == "array":
        return found, graph.shape[1:]
    return found, picture_shape(graph, found, size)


def _some(data: Sequence[NDArray[Any]]) -> Floats:
    """Return a batch of real inputs of one size, at most 32."""
    first = standard(data[0])
    alike = [item for item in data[:64] if standard(item).shape == first.shape]
    return unit(np.stack([standard(item) for item in alike[:32]]))


def _small(example: Floats, kind: str) -> Floats:
    """Return the picture, or its corner: sizes are found by running the graphs."""
    return example if kind == "array" else example[:256, :256]


def _form(
    encoder: RawGraph, convention: Convention, example: Floats, channels_last: bool | None
) -> LatentForm:
    try:
        found = encoder.run(convention.to_network(example[np.newaxis]))[0]
    except NOT_THIS_SIZE as error:
        raise GraphError(
            f"{error}; name the layout or the size (--layout, --size) if they were not detected"
        ) from error
    last = convention.layout in CHANNELS_LAST if channels_last is None else channels_last
    return LatentForm(tuple(found.shape[1:]), last)


def _with_batches(pair: GraphPair, geometry: Geometry) -> Geometry:
    """Return the geometry with whether both graphs really take two inputs at once."""
    inputs = np.zeros((2, *geometry.shape), np.float32)
    if pair.encoder.takes_batches and pair.decoder.takes_batches:
        try:
            y = pair.encode(inputs)
            if pair.decode(y, geometry.shape).shape == inputs.shape:
                return geometry
        except NOT_THIS_SIZE:
            pass
    pair.encoder.takes_batches = pair.decoder.takes_batches = False
    return replace(geometry, batches=False)
