"""A float network made ready for 8 bits: centred, rescaled, its ranges and integers found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae_export.quantize import qdq, rescale
from edgeae_export.quantize.centre import centred
from edgeae_export.quantize.kinds import kinds
from edgeae_export.quantize.network import attribute, output_axis
from edgeae_export.quantize.observe import float_values, observed
from edgeae_export.quantize.qdq import Exit, Range
from edgeae_export.quantize.ranges import extremes, histograms, least_error
from edgeae_export.quantize.weights import input_products, sums_err_least

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

    from edgeae_export.quantize.network import Network
    from edgeae_export.quantize.observe import Feeds
    from edgeae_export.quantize.ranges import Extremes

# Fewer say too little of where a channel's middle is: what they lack is clipped (decisions/0019).
CENTRING_RUNS = 16
UNEVEN = 4.0  # largest channel over the median, from which on channels get factors of their own


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A network that `qdq.write` can turn into integers, layer by layer as chosen.

    The sums of a residual stream count as one more layer.
    """

    network: Network
    layers: tuple[str, ...]  # that have integer kernels, and `sums`
    kinds: tuple[tuple[str, ...], ...]  # all of them, those together that are alike
    sums: Mapping[str, tuple[str, ...]]  # layer -> Add nodes of a stream
    linear: tuple[str, ...]  # those of them between float values on both sides
    ranges: Mapping[str, Range]
    weights: Mapping[str, NDArray[np.int8]]
    exits: Mapping[str, Exit]  # of convolutions' outputs, by value
    work: Mapping[str, float]  # multiplications a pixel, by layer
    elements: Mapping[str, float]  # values a pixel, by name of float values

    def integer(self, layers: Collection[str]) -> Network:
        """Return the network with ``layers`` in integers."""
        sums = self._float_sums(layers)
        return qdq.write(self.network, layers, self.ranges, self.weights, sums, self.exits)

    def conversions(self, layers: Collection[str]) -> float:
        """Return how many values a pixel become integers or floats, ``layers`` in integers."""
        plan = qdq.plan(self.network, layers, self._float_sums(layers))
        return sum(self.elements.get(v, 0.0) for v in qdq.converted(self.network, plan))

    def _float_sums(self, layers: Collection[str]) -> list[str]:
        return [n for name, nodes in self.sums.items() if name not in layers for n in nodes]

    def output(self, layer: str) -> str:
        """Return the value that ``layer`` computes; of a stream's sums, the last one's."""
        if layer in self.sums:
            names = self.sums[layer]
            return str(next(n.output[0] for n in self.network.nodes if n.name == names[-1]))
        return str(self.network.layer(layer).output[0])


def prepared(network: Network, feeds: Feeds, pixels: int) -> Prepared:
    """Return the network, computing what it did, ready to be quantized.

    Parameters
    ----------
    network : Network
        In float.
    feeds : sequence of mappings
        Its inputs on real pictures, at all qualities.
    pixels : int
        Of all pictures in ``feeds``.
    """
    if len(feeds) >= CENTRING_RUNS:
        network = centred(network, _sizes(network, feeds))
    found = _sizes(network, feeds)
    network = rescale.entered(network, _entries(network, found))
    network = rescale.equalized(network, found)
    values = float_values(network)
    layers = qdq.quantizable(network)
    found = extremes(observed(network, values, feeds))
    ends = {value: found[value].ends for value in values}
    counts = histograms(observed(network, values, feeds), ends)
    entering = _entering(network, layers)
    ranges = {
        value: Range.of(*ends[value])
        if value in entering
        else least_error(counts[value], *ends[value])
        for value in values
    }
    inputs = list(dict.fromkeys(network.layer(name).input[0] for name in layers))
    products = input_products(network, layers, observed(network, inputs, feeds))
    elements = {value: int(counts[value].sum()) for value in values}
    sums = _sums(network, layers)
    work = {name: _work(network, name, elements) / pixels for name in layers}
    all_layers = (*layers, *sums)
    return Prepared(
        network,
        all_layers,
        kinds(network, all_layers),
        sums,
        _linear(network, layers),
        ranges,
        sums_err_least(network, layers, products),
        _exits(network, layers, found, feeds),
        work | dict.fromkeys(sums, 0.0),
        {value: count / pixels for value, count in elements.items()},
    )


def _entering(network: Network, layers: Sequence[str]) -> set[str]:
    """Return the values that go from float to integer: all that follows hangs on their extremes."""
    chosen = qdq.plan(network, layers)
    producers = {value: network.producers.get(value) for value in chosen.quantized}
    return {v for v, p in producers.items() if p is None or p.name not in chosen.integer_nodes}


def _sums(network: Network, layers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the integer sums of each residual stream, called after its first layer."""
    integer = qdq.plan(network, layers).integer_nodes
    result = {}
    for group in rescale.groups(network):
        producers = [network.producers[v] for v in group.copies if v in network.producers]
        adds = {p.name for p in producers if p.op_type == "Add" and p.name in integer}
        if adds:
            written = {node.name for node in group.writers}
            first = next(node.name for node in network.layers if node.name in written)
            result[f"sums after {first}"] = tuple(n.name for n in network.nodes if n.name in adds)
    return result


def _linear(network: Network, layers: Sequence[str]) -> tuple[str, ...]:
    nodes = {name: network.layer(name) for name in layers}
    return tuple(
        name
        for name, node in nodes.items()
        if (_begins_float(network, node) or _reads_bytes(network, node))
        and _ends_float(network, node)
    )


def _sizes(network: Network, feeds: Feeds) -> dict[str, Extremes]:
    return extremes(observed(network, float_values(network), feeds))


def _entries(network: Network, found: Mapping[str, Extremes]) -> dict[str, NDArray[np.float64]]:
    """Return factors for the inputs of layers that read uneven channels from float nodes."""
    result = {}
    for name in qdq.quantizable(network):
        node = network.layer(name)
        if not _begins_float(network, node) or attribute(node, "group", 1) != 1:
            continue
        # their range is not clipped, so the rarest values count
        sizes = found[node.input[0]].largest if node.input[0] in found else None
        if sizes is not None and node.op_type == "Conv" and _uneven(sizes):
            weights = network.constants[node.input[1]].astype(np.float64)
            flat = np.moveaxis(weights, 1, -1).reshape(-1, weights.shape[1])
            result[name] = rescale.balanced(sizes, [flat])
    return result


def _exits(
    network: Network, layers: Sequence[str], found: Mapping[str, Extremes], feeds: Feeds
) -> dict[str, Exit]:
    """Return the quantization by channel of what convolutions give to other nodes than layers."""
    names = {node.name for node in network.layers}
    convolutions = [node for node in map(network.layer, layers) if node.op_type == "Conv"]
    values = [
        value
        for value in (qdq.shown(network, node.output[0]) for node in convolutions)
        if all(reader.name not in names for reader in network.consumers.get(value, ()))
    ]
    ends = {
        _channel(value, c): (float(low), float(high))
        for value in values
        for c, (low, high) in enumerate(zip(found[value].low, found[value].high, strict=True))
    }
    counts = histograms((_channels(run) for run in observed(network, values, feeds)), ends)
    ranges = {channel: least_error(counts[channel], *ends[channel]) for channel in ends}
    return {
        value: Exit.of([ranges[_channel(value, c)] for c in range(len(found[value].low))])
        for value in values
    }


def _channel(value: str, number: int) -> str:
    return f"{value}/{number}"


def _channels(run: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    return {_channel(v, c): array[:, c] for v, array in run.items() for c in range(array.shape[1])}


def _uneven(sizes: NDArray[np.float64]) -> bool:
    return bool(sizes.max() > UNEVEN * max(float(np.median(sizes)), 1e-12))


def _begins_float(network: Network, node: NodeProto) -> bool:
    chosen = qdq.plan(network, qdq.quantizable(network))
    producer = network.producers.get(node.input[0])
    integer = producer is not None and producer.name in chosen.integer_nodes
    return not integer and not _reads_bytes(network, node)


def _reads_bytes(network: Network, node: NodeProto) -> bool:
    producer = network.producers.get(node.input[0])
    return producer is not None and producer.op_type == "Cast"  # exact as they are


def _ends_float(network: Network, node: NodeProto) -> bool:
    chosen = qdq.plan(network, qdq.quantizable(network))
    readers = network.consumers.get(node.output[0], ())
    return all(reader.name not in chosen.integer_nodes for reader in readers)


def _work(network: Network, name: str, elements: Mapping[str, int]) -> float:
    node = network.layer(name)
    weights = network.constants[node.input[1]]
    outputs = weights.shape[output_axis(node, weights.ndim)]
    return float(elements[node.output[0]] * weights.size / outputs)
