"""The way back: graphs to the state dict that they were written from.

Exact but for half precision, which the kernels went through, and for the rounding of the scale
path, which its training does anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch

from edgeae.bundle import GRAPHS, Bundle, graph_file
from edgeae.errors import BundleError
from edgeae_export.card import identity
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.graph_builder import initializers, is_depthwise
from edgeae_export.layouts import (
    from_depthwise_kernel,
    from_kernel,
    from_patch_matrix,
    from_step_kernels,
)
from edgeae_export.networks.photo import PhotoCodec
from edgeae_export.photo_graphs import (
    DECODER_LINEAR,
    ENCODER_LINEAR,
    NEARBY_LINEAR,
    fractional_bits,
    is_kernel,
)
from edgeae_export.prior_fit import prior_of
from edgeae_export.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto
    from torch import Tensor

BUNDLE = "bundle"  # key of a checkpoint's history: what it was read from


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict of the `PhotoCodec` in bundle folder ``path``.

    Raises
    ------
    BundleError
        The bundle is damaged, not of a photo codec, or was not written by this exporter.
    """
    bundle = Bundle.load(path)
    if bundle.manifest.plain:
        raise BundleError(
            f"{path}: no photo codec, and weights of other networks are not read from bundles; "
            "name a checkpoint of its training"
        )
    try:
        recipe: Any = bundle.manifest.training["recipe"]
        codec = PhotoCodec(Recipe(**recipe).shape)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{path}: its manifest has no recipe of this version ({error}); train from the start"
        ) from error
    graphs = {name: onnx.load_from_string(bundle.read(graph_file(name))) for name in GRAPHS}
    return weights_of(graphs, codec)


def checkpoint_of_bundle(path: Path) -> Checkpoint[Recipe]:
    """Return the weights of bundle folder ``path`` as a checkpoint from which training can start.

    It has no moments, which a bundle does not carry; the prior of z is fitted to its tables. Its
    progress is that of the training that the bundle came from.

    Raises
    ------
    BundleError
        As of `read_weights`, or its manifest does not say how long it was trained.
    """
    weights = {f"codec.{key}": value for key, value in read_weights(path).items()}
    bundle = Bundle.load(path)
    prior = prior_of(bundle.channel_tables).state_dict()
    weights |= {f"prior.{key}": value for key, value in prior.items()}
    training: Any = bundle.manifest.training
    tensors = {f"{group}.{k}": v for group in ("model", "average") for k, v in weights.items()}
    try:
        progress = Progress(
            step=int(training["steps"]),
            seconds=60 * float(training["minutes"]),
            megapixels=float(training["megapixels"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{path}: its manifest does not say how long it was trained ({error!r}); export "
            "it again"
        ) from error
    history = {BUNDLE: identity(bundle.manifest)}
    return Checkpoint(Recipe(**training["recipe"]), progress, tensors, history)


def weights_of(graphs: Mapping[str, ModelProto], codec: PhotoCodec) -> dict[str, Tensor]:
    """Return the state dict in ``graphs``; ``codec`` gives keys and shapes, not values.

    Raises
    ------
    BundleError
        A weight is missing or of another shape.
    """
    stored: dict[str, NDArray[Any]] = {}
    for model in graphs.values():
        stored |= initializers(model)
    bits = fractional_bits(codec)
    weights = {}
    for key, expected in codec.state_dict().items():
        if key not in stored:
            raise BundleError(f"graphs: no initializer {key!r}; export the checkpoint again")
        array = stored[key].astype(np.float32)
        matrix = _from_layout(key, array) if is_kernel(key) else array.reshape(expected.shape)
        if matrix.shape != expected.shape:
            raise BundleError(
                f"graphs: {key} is {matrix.shape}, the recipe's is {tuple(expected.shape)}"
            )
        weights[key] = torch.from_numpy(np.array(matrix * 2.0 ** -bits.get(key, 0), order="C"))
    return weights


def _from_layout(key: str, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    if key == ENCODER_LINEAR:
        return from_patch_matrix(kernel)
    if key == DECODER_LINEAR:
        return kernel
    if key == NEARBY_LINEAR:
        return from_step_kernels(kernel)
    if is_depthwise(key):
        return from_depthwise_kernel(kernel)
    return from_kernel(kernel)
