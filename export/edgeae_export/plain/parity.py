"""The graphs of a bundle against the networks they were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeae.errors import BoundError
from edgeae.graphs import SIGNATURES_OF, Graph
from edgeae_export.graph_builder import serialized

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto

    from edgeae_export.plain.geometry import Geometry
    from edgeae_export.plain.pair import Floats, Pair

LARGEST_DIFFERENCE = 1e-4  # of pixels in 0..1, of other numbers a share of the largest
WHITE = 255
QUALITY = np.array(50, np.float32)  # plain decoders have one


def difference(expected: Floats, found: Floats) -> float:
    """Return the largest difference as a share of the largest value, if that is above 1."""
    if expected.shape != found.shape:
        return float("inf")
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return float(np.abs(expected - found).max(initial=0)) / scale


class PlainGraphs:
    """Encoder and decoder of a plain bundle, in memory."""

    def __init__(self, graphs: Mapping[str, ModelProto], geometry: Geometry) -> None:
        self._geometry = geometry
        self._graphs = {
            name: _graph(name, serialized(model), geometry.input) for name, model in graphs.items()
        }

    def encode(self, inputs: NDArray[np.generic]) -> Floats:
        """Return y (n, C, h, w) of uint8 (n, H, W, C) or of arrays."""
        pieces = [inputs] if self._geometry.batches else np.split(inputs, len(inputs))
        return np.concatenate([self._graphs["encoder"].run(pixels=piece)[0] for piece in pieces])

    def decode(self, y: Floats) -> NDArray[np.generic]:
        """Return pixels or arrays of y."""
        pieces = [y] if self._geometry.batches else np.split(y, len(y))
        run = self._graphs["decoder"].run
        return np.concatenate([run(y_hat=piece, quality=QUALITY)[0] for piece in pieces])


def check_parity(
    pair: Pair,
    graphs: PlainGraphs,
    geometry: Geometry,
    step: NDArray[np.float32],
    batches: Sequence[NDArray[np.generic]],
) -> dict[str, float]:
    """Return the largest differences of latents and of pixels, for real inputs.

    Parameters
    ----------
    pair : Pair
        The networks.
    graphs : PlainGraphs
        With ``step`` inside.
    geometry : Geometry
        Sizes.
    step : (C,) float32
        Of the latent quantizer.
    batches : sequence of (n, H, W, C) uint8, or of float32 arrays
        Real ones, padded.

    Raises
    ------
    BoundError
        A difference is above 1e-4.
    """
    worst = {"latents": 0.0, "pixels": 0.0}
    units = step.reshape(1, -1, 1, 1)
    for inputs in batches:
        y = graphs.encode(inputs)
        expected = pair.encode(unit(inputs))
        worst["latents"] = max(worst["latents"], difference(expected, y * units))
        y_hat = np.rint(y)
        decoded = pair.decode(y_hat * units, inputs.shape[1:])
        off = _off(decoded, graphs.decode(y_hat), geometry.input)
        worst["pixels"] = max(worst["pixels"], off)
    for name, found in worst.items():
        if not found <= LARGEST_DIFFERENCE:
            raise BoundError(
                f"{name}: the graphs are off by {found:g} from the networks, at most "
                f"{LARGEST_DIFFERENCE:g}"
            )
    return worst


def unit(inputs: NDArray[np.generic]) -> Floats:
    """Return uint8 pictures in 0..1; arrays as they are."""
    return inputs.astype(np.float32) / WHITE if inputs.dtype == np.uint8 else inputs  # type: ignore[return-value]  # float32 by contract


def _off(expected: Floats, found: NDArray[np.generic], kind: str) -> float:
    if kind == "array":
        return difference(expected, found.astype(np.float32))
    if expected.shape != found.shape:
        return float("inf")
    wanted = WHITE * expected.clip(0, 1).astype(np.float64)
    levels = np.abs(wanted - found.astype(np.float64)).max(initial=0)
    return max(0.0, float(levels) - 0.5) / WHITE  # rounding to whole levels is meant


def _graph(name: str, data: bytes, kind: str) -> Graph:
    return Graph(name, lambda: data, signature=SIGNATURES_OF[kind][name])
