"""Weights as integers: to the nearest, or, knowing the inputs, so that the sums err least.

Neighbouring pixels and channels are alike, so the errors of a row of weights need not add up: the
error of each weight is made good by those that are still to be rounded (Frantar 2023,
arXiv:2210.17323, algorithm 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae_export.quantize.network import attribute, output_axis
from edgeae_export.quantize.qdq import WEIGHT_LIMIT, weight_scales

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

    from edgeae_export.quantize.network import Network
    from edgeae_export.quantize.ranges import Values

DAMPING = 0.01  # of the mean diagonal, so that inputs which never vary do not matter
ROWS = 1024  # of each run, evenly spaced; enough for the products of channels
MOST_INPUTS = 2048  # of a sum; wider layers are rounded to the nearest


def sums_err_least(
    network: Network, layers: Sequence[str], products: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.int8]]:
    """Return the integers of those of ``layers`` that have `input_products`."""
    result = {}
    for name in layers:
        if name not in products:
            continue
        node = network.layer(name)
        weights = network.constants[node.input[1]].astype(np.float64)
        axis = output_axis(node, weights.ndim)
        rows = np.moveaxis(weights, axis, 0)
        scales = weight_scales(network, node).astype(np.float64)
        flat = rows.reshape(len(rows), -1) / scales[:, np.newaxis]
        whole = _rounded(flat, products[name]).reshape(rows.shape)
        result[name] = np.ascontiguousarray(np.moveaxis(whole, 0, axis)).astype(np.int8)
    return result


def input_products(
    network: Network, layers: Sequence[str], runs: Iterator[Values]
) -> dict[str, NDArray[np.float64]]:
    """Return the second moments [inputs, inputs] of what each layer sums over.

    Depthwise and grouped convolutions are left out, as are very wide layers.
    """
    totals: dict[str, NDArray[np.float64]] = {}
    nodes = [network.layer(name) for name in layers]
    for values in runs:
        for node in nodes:
            weights = network.constants[node.input[1]]
            inputs = weights.size // weights.shape[output_axis(node, weights.ndim)]
            if inputs > MOST_INPUTS or attribute(node, "group", 1) != 1:
                continue
            patches = _patches(node, weights, values[node.input[0]]).astype(np.float64)
            product = patches.T @ patches
            totals[node.name] = totals.get(node.name, 0) + product
    return totals


def _rounded(weights: NDArray[np.float64], products: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = weights.copy()
    damping = DAMPING * max(float(np.diag(products).mean()), 1e-12)
    inverse = np.linalg.inv(products + damping * np.eye(len(products)))
    upper = np.linalg.cholesky((inverse + inverse.T) / 2).T
    whole = np.empty_like(weights)
    for column in range(weights.shape[1]):
        rounded = np.clip(np.rint(weights[:, column]), -WEIGHT_LIMIT, WEIGHT_LIMIT)
        whole[:, column] = rounded
        error = (weights[:, column] - rounded) / upper[column, column]
        weights[:, column + 1 :] -= np.outer(error, upper[column, column + 1 :])
    return whole


def _patches(node: NodeProto, weights: NDArray[Any], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of inputs in the order of the flattened weights, [<= ROWS, inputs]."""
    if node.op_type == "Conv" and weights.ndim == 4:
        height, width = weights.shape[2:]
        top, left, bottom, right = attribute(node, "pads", [0] * 4)
        down, across = attribute(node, "strides", [1, 1])
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        windows = windows[:, :, ::down, ::across]  # (1, C, h, w, height, width)
        n, _, rows, columns = windows.shape[:4]
        chosen = np.unique(np.linspace(0, rows * columns - 1, ROWS).astype(int))
        i, j = np.divmod(chosen, columns)
        picked = windows[:, :, i, j]  # (1, C, rows, height, width)
        patches: NDArray[np.float32] = picked.transpose(0, 2, 1, 3, 4).reshape(n * len(chosen), -1)
        return patches
    flat = x.reshape(-1, x.shape[-1])
    spaced: NDArray[np.float32] = flat[np.unique(np.linspace(0, len(flat) - 1, ROWS).astype(int))]
    return spaced
