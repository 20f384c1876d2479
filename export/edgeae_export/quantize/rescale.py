"""Channels brought to like size before quantization, without changing what a network computes.

A ReLU, a sum and a depth-to-space let a positive factor of each channel through. So the channels
of a value, or of a whole residual stream, may be divided by any factors if every layer that writes
them divides its outputs and every layer that reads them multiplies its inputs (Nagel 2019,
arXiv:1906.04721, section 4.1). One scale for the tensor then fits all channels. Writers lose
nothing: their weights have a scale for each output. Depthwise readers neither; other readers trade
finer activations for coarser weights, and the balance is that of Xiao 2023, arXiv:2211.10438,
equation 4, with the exponent of least predicted noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from edgeae_export.quantize.network import attribute, copied, output_axis
from edgeae_export.quantize.qdq import LEVELS, QUANTIZABLE, WEIGHT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import NodeProto

    from edgeae_export.quantize.network import Network
    from edgeae_export.quantize.ranges import Extremes

TRANSPARENT = {"Add", "MaxPool", "Relu"}
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
SMALLEST = 1e-3  # of the largest; channels that hardly occur are not blown up further
TYPICAL_POWER = 1 / 16  # mean square of a channel over its squared range, for predicted noise


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Values that share one factor for each channel; some hold several copies of the channels."""

    channels: int
    copies: Mapping[str, int]  # value -> how often its channels repeat, one block after another
    writers: tuple[NodeProto, ...]
    readers: tuple[NodeProto, ...]


def equalized(network: Network, found: Mapping[str, Extremes]) -> Network:
    """Return the network with every group of channels rescaled.

    Parameters
    ----------
    network : Network
        In float.
    found : mapping
        Extremes of the values to be quantized.
    """
    for group in groups(network):
        sizes = _sizes(group, found)
        if sizes is not None:
            network = rescaled(network, group, _factors(network, group, sizes))
    return network


def groups(network: Network) -> list[Group]:
    """Return all groups whose writers and readers are layers, in order."""
    result = []
    seen: set[str] = set()
    for node in network.layers:
        value = node.output[0]
        if value in seen:
            continue
        group = _spread(network, node) if node.op_type in QUANTIZABLE else None
        seen.update([value] if group is None else group.copies)
        if group is not None:
            result.append(group)
    return result


def rescaled(network: Network, group: Group, factors: NDArray[np.float64]) -> Network:
    """Return the network with the channels of ``group`` divided by ``factors`` [channels]."""
    constants: dict[str, NDArray[Any]] = dict(network.constants)
    for node in group.writers:
        _divide_outputs(node, constants, np.tile(factors, group.copies[node.output[0]]))
    for node in group.readers:
        weights = constants[node.input[1]]
        tiled = np.tile(factors, group.copies[node.input[0]])
        shape = [-1 if a == _input_axis(node, weights) else 1 for a in range(weights.ndim)]
        constants[node.input[1]] = (weights * tiled.reshape(shape)).astype(np.float32)
    return network.rewritten(network.nodes, constants)


def entered(network: Network, layers: Mapping[str, NDArray[np.float64]]) -> Network:
    """Return the network with a product by 1/factors before each of ``layers``, undone in it."""
    constants: dict[str, NDArray[Any]] = dict(network.constants)
    nodes = []
    for original in network.nodes:
        node = copied(original)
        if node.name in layers:
            factors = layers[node.name]
            weights = constants[node.input[1]]
            shape = [-1 if a == _input_axis(node, weights) else 1 for a in range(weights.ndim)]
            constants[node.input[1]] = (weights * factors.reshape(shape)).astype(np.float32)
            rank = weights.ndim  # of the activations as well
            inverse = (1 / factors).reshape([-1 if a == 1 else 1 for a in range(rank)])
            constants[f"{node.name}/entry"] = inverse.astype(np.float32)
            names = [node.input[0], f"{node.name}/entry"]
            scaled = f"{node.name}/scaled"
            nodes.append(helper.make_node("Mul", names, [scaled], name=scaled))
            node.input[0] = scaled
        nodes.append(node)
    return network.rewritten(nodes, constants)


def _divide_outputs(
    node: NodeProto, constants: dict[str, NDArray[Any]], factors: NDArray[np.float64]
) -> None:
    weights = constants[node.input[1]]
    shape = [-1 if a == output_axis(node, weights.ndim) else 1 for a in range(weights.ndim)]
    constants[node.input[1]] = (weights / factors.reshape(shape)).astype(np.float32)
    if len(node.input) > 2 and node.input[2]:
        constants[node.input[2]] = (constants[node.input[2]] / factors).astype(np.float32)


def balanced(sizes: NDArray[np.float64], readers: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the factors of least predicted noise for channels of these ranges.

    Parameters
    ----------
    sizes : (C,) float64
        Largest usual magnitude of each channel.
    readers : list of (outputs, C) float64
        Weights of the layers that read them; empty if all are depthwise.
    """
    if not sizes.any():
        return np.ones_like(sizes)
    sizes = np.maximum(sizes, SMALLEST * sizes.max())
    weights = np.concatenate([*readers, np.zeros((1, len(sizes)))])
    strength = np.abs(weights).max(axis=0)
    if not strength.any():
        return _relative(sizes)
    strength = np.maximum(strength, SMALLEST * strength.max())
    candidates = [sizes**e / strength ** (1 - e) for e in EXPONENTS[1:]]
    candidates.append(np.full_like(sizes, 1.0))
    best = min(candidates, key=lambda factors: _noise(weights, sizes, factors))
    return _relative(best)


def _relative(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    relative: NDArray[np.float64] = factors / factors.max()
    return relative


def _noise(
    weights: NDArray[np.float64], sizes: NDArray[np.float64], factors: NDArray[np.float64]
) -> float:
    """Return the mean over outputs of noise over signal, up to a constant."""
    scaled, ranges = weights * factors, sizes / factors
    activation_step = 2 * ranges.max() / LEVELS
    weight_steps = np.abs(scaled).max(axis=1) / WEIGHT_LIMIT
    from_activations = np.square(scaled).sum(axis=1) * activation_step**2
    from_weights = weight_steps**2 * TYPICAL_POWER * np.square(ranges).sum()
    signal = TYPICAL_POWER * np.square(weights * sizes).sum(axis=1)
    used = signal > 0
    return float(((from_activations + from_weights)[used] / signal[used]).mean())


def _factors(network: Network, group: Group, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    readers = []
    for node in group.readers:
        weights = network.constants[node.input[1]].astype(np.float64)
        if not _is_depthwise(node, weights):
            moved = np.moveaxis(weights, _input_axis(node, weights), -1)
            flat = moved.reshape(-1, group.channels)  # copies and taps become outputs
            readers.append(flat)
    return balanced(sizes, readers)


def _sizes(group: Group, found: Mapping[str, Extremes]) -> NDArray[np.float64] | None:
    total = np.zeros(group.channels)
    for value, copies in group.copies.items():
        if value in found and len(found[value].typical) == copies * group.channels:
            total += found[value].typical.reshape(copies, -1).max(axis=0)
    return total if total.any() else None


def _spread(network: Network, start: NodeProto) -> Group | None:
    """Return the group that a layer writes, or None if something in it minds factors."""
    layers = {node.name for node in network.layers}
    first = start.output[0]
    channels = {first: _output_channels(network, start)}
    waiting, visited = [first], set()
    writers: list[NodeProto] = []
    readers: list[NodeProto] = []
    while waiting:
        value = waiting.pop()
        producer = network.producers.get(value)
        if producer is None or network.is_output(value):
            return None
        for node in (producer, *network.consumers.get(value, ())):
            if node.name in layers:
                (writers if node is producer else readers).append(node)
                if node is not producer and not _reads(network, node, value):
                    return None
            elif node.name not in visited:
                visited.add(node.name)
                tied = _tied(network, node, channels)
                if tied is None:
                    return None
                waiting += tied.keys() - channels.keys()
                channels |= tied
    base = min(channels.values())
    copies = {value: count // base for value, count in channels.items()}
    return Group(base, copies, tuple(writers), tuple(readers))


def _tied(network: Network, node: NodeProto, channels: Mapping[str, int]) -> dict[str, int] | None:
    """Return the channels of all values of a node through which factors pass; None if not."""
    values = [*node.input, node.output[0]]
    if node.op_type in TRANSPARENT or network.is_copy(node):
        values = [node.input[0], node.output[0]] if network.is_copy(node) else values
        if any(v in network.constants for v in values):
            return None
        return dict.fromkeys(values, next(channels[v] for v in values if v in channels))
    if node.op_type == "DepthToSpace" and attribute(node, "mode", "DCR") == "DCR":
        squares = attribute(node, "blocksize", 1) ** 2
        entering, leaving = node.input[0], node.output[0]
        if entering in channels:
            return {entering: channels[entering], leaving: channels[entering] // squares}
        return {entering: channels[leaving] * squares, leaving: channels[leaving]}
    return None


def _output_channels(network: Network, node: NodeProto) -> int:
    weights = network.constants[node.input[1]]
    return int(weights.shape[output_axis(node, weights.ndim)])


def _input_axis(node: NodeProto, weights: NDArray[Any]) -> int:
    if node.op_type == "Conv":
        return 0 if _is_depthwise(node, weights) else 1
    if node.op_type == "Gemm":
        return 1 if attribute(node, "transB", 0) else 0
    return weights.ndim - 2  # MatMul


def _is_depthwise(node: NodeProto, weights: NDArray[Any]) -> bool:
    return node.op_type == "Conv" and weights.shape[1] == 1 and attribute(node, "group", 1) > 1


def _reads(network: Network, node: NodeProto, value: str) -> bool:
    """Whether a layer takes ``value`` as its data, each output from all channels or from one."""
    weights = network.constants[node.input[1]]
    one_or_all = attribute(node, "group", 1) == 1 or _is_depthwise(node, weights)
    return one_or_all and node.op_type in QUANTIZABLE and value not in node.input[1:]
