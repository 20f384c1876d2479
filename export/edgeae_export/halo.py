"""How far the photo codec's networks see: the sum of their layers, checked by running graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.bundle import GRAPHS
from edgeae.errors import BoundError
from edgeae.graphs import Graph
from edgeae.priors import HYPER_HALO
from edgeae_export.graph_builder import serialized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import ModelProto

    from edgeae_export.networks.photo import PhotoShape

STRIDE, HYPER_STRIDE = 16, 64
SIDE = 2 * HYPER_STRIDE  # pixels of the tile that is compared
BOUNDS = {"y": 0.05, "z": 0, "mean": 1e-3, "index": 0, "pixels": 1}  # floats: order of summation
QUALITY = 60.0
SEED = 7


def photo_halo(shape: PhotoShape) -> int:
    """Return the pixels around that a latent, or a decoded pixel, may depend on.

    Each block sees one position farther, and the overlapping synthesis one latent.
    """
    encoder = 8 * shape.encoder_blocks8 + 16 * shape.encoder_blocks16
    decoder = 8 * shape.decoder_blocks8 + 16 * max(shape.decoder_blocks16, min(shape.overlap, 1))
    return max(encoder, decoder)


def check_halo(graphs: Mapping[str, ModelProto], halo: int, steps: int) -> None:
    """Raise BoundError unless a tile of noise with its surroundings is what the whole gives.

    Parameters
    ----------
    graphs : mapping
        As of `photo_graphs`.
    halo : int
        Of encoder and decoder, in pixels; that of the hyper graphs is `HYPER_HALO`.
    steps : int
        In which the latents are coded; the last one is looked at.
    """
    sessions = {name: _session(name, graphs[name]) for name in GRAPHS}
    edge = -(-halo // HYPER_STRIDE) * HYPER_STRIDE + HYPER_STRIDE  # farther than is seen
    side = SIDE + 2 * edge
    pixels = np.random.default_rng(SEED).integers(0, 256, (1, side, side, 3), np.uint8)
    kept = slice(edge, edge + SIDE)
    seen = _around(kept, -(-halo // STRIDE) * STRIDE)
    hyper_seen = _around(kept, HYPER_HALO * HYPER_STRIDE)
    level = np.array(QUALITY, np.float32)

    def compare(name: str, whole: NDArray[Any], part: NDArray[Any]) -> None:
        difference = np.abs(whole.astype(np.float64) - part).max()
        if not difference <= BOUNDS[name]:
            raise BoundError(
                f"{name}: a tile with {halo} pixels around it is off by {difference:g} from the "
                f"whole; photo_halo and HYPER_HALO must say how far the networks see"
            )

    (y,) = sessions["encoder"].run(pixels=pixels)
    (part,) = sessions["encoder"].run(pixels=np.ascontiguousarray(pixels[:, seen, seen]))
    compare("y", _cut(y, kept, STRIDE), _cut(part, kept, STRIDE, seen))

    scaled, z = sessions["hyper_encoder"].run(y=y, quality=level)
    _, part = sessions["hyper_encoder"].run(y=_cut(y, hyper_seen, STRIDE), quality=level)
    compare("z", _cut(z, kept, HYPER_STRIDE), _cut(part, kept, HYPER_STRIDE, hyper_seen))

    symbols = np.rint(scaled).astype(np.int16)
    step = np.array(steps - 1, np.int64)
    mean, index = sessions["hyper_decoder"].run(z=z, symbols=symbols, step=step)
    mean_part, index_part = sessions["hyper_decoder"].run(
        z=_cut(z, hyper_seen, HYPER_STRIDE), symbols=_cut(symbols, hyper_seen, STRIDE), step=step
    )
    compare("mean", _cut(mean, kept, STRIDE), _cut(mean_part, kept, STRIDE, hyper_seen))
    compare("index", _cut(index, kept, STRIDE), _cut(index_part, kept, STRIDE, hyper_seen))

    (decoded,) = sessions["decoder"].run(y_hat=scaled, quality=level)
    (part,) = sessions["decoder"].run(y_hat=_cut(scaled, seen, STRIDE), quality=level)
    inside = slice(kept.start - seen.start, kept.stop - seen.start)
    compare("pixels", decoded[:, kept, kept], part[:, inside, inside])


def _around(kept: slice, halo: int) -> slice:
    return slice(kept.start - halo, kept.stop + halo)


def _cut(
    array: NDArray[Any], pixels: slice, stride: int, of: slice = slice(0, None)
) -> NDArray[Any]:
    """Return the part of (1, C, h, w) that stands for these rows and columns of pixels."""
    chosen = slice((pixels.start - of.start) // stride, (pixels.stop - of.start) // stride)
    return np.ascontiguousarray(array[:, :, chosen, chosen])


def _session(name: str, model: ModelProto) -> Graph:
    data = serialized(model)
    return Graph(name, lambda: data)
