"""Each graph against the network it was written from, on real pictures.

Integers must be equal; floats may differ by what the order of summation does. The bounds are about
ten times what was measured on x86-64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeae.bundle import GRAPHS
from edgeae.errors import BoundError
from edgeae.graphs import Graph
from edgeae.images.padding import pad
from edgeae_export.distortion import LEAST_ERROR, squared_error
from edgeae_export.graph_builder import serialized
from edgeae_export.networks.photo import HYPER_CLIP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto
    from torch import Tensor

    from edgeae_export.networks.photo import PhotoCodec
    from edgeae_export.rate_distortion import PhotoModel

BOUNDS = {  # largest difference
    "y": 0.05,  # grey levels times 16, of up to 3500
    "scaled": 0.01,  # steps
    "z": 1e-3,  # steps, of the unrounded network's beyond half a step
    "mean": 1e-3,  # steps
    "index": 0.0,
    "pixels": 0.01,  # grey levels, of the unrounded network's beyond half a level
}
QUALITIES = (0.0, 37.0, 100.0)  # the ends, and one between two anchors


def check_parity(
    graphs: Mapping[str, ModelProto], codec: PhotoCodec, pictures: Sequence[NDArray[np.uint8]]
) -> dict[str, float]:
    """Return the largest difference of each output of ``graphs`` from ``codec``'s.

    Parameters
    ----------
    graphs : mapping
        As of `photo_graphs`.
    codec : PhotoCodec
        With the weights as exported: kernels through half precision.
    pictures : sequence of (H, W, 3) uint8
        Real ones.

    Raises
    ------
    BoundError
        A difference is above its bound, or an index differs.
    """
    sessions = {name: _session(name, graphs[name]) for name in GRAPHS}
    worst = dict.fromkeys(BOUNDS, 0.0)
    for picture in pictures:
        for quality in QUALITIES:
            for name, difference in _differences(sessions, codec, picture, quality).items():
                worst[name] = max(worst[name], difference)
    for name, difference in worst.items():
        if not difference <= BOUNDS[name]:
            raise BoundError(
                f"{name}: the graph is off by {difference:g} from the network, at most "
                f"{BOUNDS[name]:g}; compare photo_graphs.py with networks/photo.py"
            )
    return worst


@torch.no_grad()
def half_precision_loss(
    model: PhotoModel, exported: PhotoModel, pictures: Sequence[NDArray[np.uint8]]
) -> dict[str, float]:
    """Return what rounding the weights costs: rate in percent and PSNR in dB, worst quality."""
    rates, psnrs = [], []
    for quality in QUALITIES:
        before, after = (_rate_and_error(m, pictures, quality) for m in (model, exported))
        rates.append(100 * (after[0] / before[0] - 1))
        psnrs.append(10 * np.log10(after[1] / before[1]))
    return {
        "half precision, rate %": round(float(max(rates)), 4) + 0.0,  # no -0
        "half precision, loss dB": round(float(max(psnrs)), 4) + 0.0,
    }


def _rate_and_error(
    model: PhotoModel, pictures: Sequence[NDArray[np.uint8]], quality: float
) -> tuple[float, float]:
    rows = []
    for picture in pictures:
        pixels = _batch(picture).float()
        y_bpp, z_bpp, decoded = model.evaluate(pixels, torch.tensor([quality]))
        rows.append(torch.stack((y_bpp + z_bpp, squared_error(decoded, pixels))))
    rate, error = torch.cat(rows, dim=1).double().mean(dim=1).tolist()
    return rate, max(error, LEAST_ERROR)


def _session(name: str, model: ModelProto) -> Graph:
    data = serialized(model)
    return Graph(name, lambda: data)


@torch.no_grad()
def _differences(
    sessions: Mapping[str, Graph],
    codec: PhotoCodec,
    picture: NDArray[np.uint8],
    quality: float,
) -> dict[str, float]:
    pixels = _batch(picture)
    level, tensor_level = np.array(quality, np.float32), torch.tensor([quality])
    (y,) = sessions["encoder"].run(pixels=pixels.numpy())
    scaled, z = sessions["hyper_encoder"].run(y=y, quality=level)
    expected = codec.encoder(pixels.float())
    expected_scaled = _last(y) * codec.gain(tensor_level)
    expected_z = codec.hyper_encoder(_last(scaled)).clamp(-HYPER_CLIP, HYPER_CLIP)
    worst = {
        "y": _largest(_last(y) - expected),
        "scaled": _largest(_last(scaled) - expected_scaled),
        "z": _beyond_half(_last(z) - expected_z),
        "mean": 0.0,
        "index": 0.0,
    }
    symbols = np.zeros(scaled.shape, np.int16)
    y_hat = np.zeros_like(scaled)
    masks = codec.tiled_masks(*scaled.shape[2:])
    for step, mask in enumerate(masks):
        mean, index = sessions["hyper_decoder"].run(
            z=z, symbols=symbols, step=np.array(step, np.int64)
        )
        expected_mean, expected_index = codec.hyper_decoder(_last(z), _last(symbols), step)
        worst["mean"] = max(worst["mean"], _largest(_last(mean) - expected_mean))
        worst["index"] = max(worst["index"], _largest(_last(index) - expected_index))
        chosen = mask.permute(2, 0, 1)[None].numpy() > 0
        new = np.where(index > 0, np.rint(scaled - mean), 0).astype(np.int16)
        symbols = np.where(chosen, new, symbols)
        y_hat = np.where(chosen, symbols + mean, y_hat)
    (decoded,) = sessions["decoder"].run(y_hat=y_hat, quality=level)
    unrounded = codec.decoder(_last(y_hat) * codec.inverse_gain(tensor_level)).clamp(0, 255)
    worst["pixels"] = _beyond_half(torch.from_numpy(decoded).float() - unrounded)
    return worst


def _batch(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pad(picture).copy())[None]


def _last(array: NDArray[np.generic]) -> Tensor:
    """Channels last and float, as the networks take them."""
    return torch.from_numpy(np.ascontiguousarray(array)).float().permute(0, 2, 3, 1).contiguous()


def _largest(difference: Tensor) -> float:
    return float(difference.abs().max())


def _beyond_half(difference: Tensor) -> float:
    return max(0.0, _largest(difference) - 0.5)
