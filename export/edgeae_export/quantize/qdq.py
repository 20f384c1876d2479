"""The writer: a float network and ranges in, the same network with QuantizeLinear pairs out.

Only the forms that onnxruntime turns into integer kernels (QLinearConv, QLinearAdd, QGemm, ..):
activations uint8 per tensor, weights int8 per output channel within +-63 (wider ones saturate on
AVX2 without VNNI), biases int32 of exactly the scale of the sums, scales without an axis, one
pair for each value. A ReLU disappears into the zero point 0 of what follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from edgeae_export.quantize.network import attribute, copied, output_axis

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

    from edgeae_export.quantize.network import Network

WEIGHT_LIMIT = 63
LEVELS = 255
SMALLEST_SCALE = 1e-9  # of the largest channel's; the weights of channels next to dead stay finite
QUANTIZABLE = {"Conv", "Gemm", "MatMul"}  # ConvTranspose has no integer kernel
MOVES = {  # values go through unchanged, so the quantization does too
    "DepthToSpace",
    "Flatten",
    "MaxPool",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
COMBINES = {"Add", "Concat", "LeakyRelu", "Mul", "Sigmoid"}


@dataclass(frozen=True, slots=True)
class Range:
    """Quantization of one value: real = scale * (integer - zero_point), integers 0..255."""

    scale: float
    zero_point: int

    @classmethod
    def of(cls, low: float, high: float) -> Range:
        """Return the quantization that covers ``low``..``high``, widened to hold 0 exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = np.float32((high - low) / LEVELS)
        if not scale > np.finfo(np.float32).tiny:  # a constant 0
            return cls(1.0, 0)
        return cls(float(scale), int(np.clip(np.rint(-low / scale), 0, LEVELS)))

    def apply(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``x`` quantized and back."""
        whole = np.clip(np.rint(x / np.float32(self.scale)) + self.zero_point, 0, LEVELS)
        restored: NDArray[np.float32] = (whole - self.zero_point) * np.float32(self.scale)
        return restored.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Exit:
    """Quantization by channel of what a convolution gives: real = scales * (integer - zero_points).

    Integer kernels have one scale for all channels. But if floats alone read a value, the layer can
    give the integers themselves, in units of each channel's own, and a BatchNormalization, one
    product and sum, makes them real.
    """

    scales: NDArray[np.float32]  # (channels,)
    zero_points: NDArray[np.float32]  # (channels,), whole

    @classmethod
    def of(cls, ranges: Sequence[Range]) -> Exit:
        """Return the quantization of channels with these ranges."""
        scales = np.array([r.scale for r in ranges], np.float32)
        smallest = SMALLEST_SCALE * scales.max()
        zero_points = np.array([r.zero_point for r in ranges], np.float32)
        return cls(np.maximum(scales, smallest), zero_points)


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs in integers: `quantized` values, and for some the one whose range they share."""

    integer_nodes: frozenset[str]  # names
    quantized: tuple[str, ...]  # values with a range of their own
    shares: Mapping[str, str]  # value -> value of `quantized`


def quantizable(network: Network) -> tuple[str, ...]:
    """Return the names of the layers that have integer kernels and see the picture.

    A gain that depends on the quality alone is a vector; it costs nothing and stays float.
    """
    seen = {v.name for v in network.inputs if v.type.tensor_type.shape.dim}
    for node in network.nodes:
        if seen.intersection(node.input):
            seen.update(node.output)
    return tuple(
        node.name
        for node in network.layers
        if node.op_type in QUANTIZABLE and node.input[0] in seen and _plain_gemm(node)
    )


def plan(network: Network, layers: Collection[str], float_sums: Collection[str] = ()) -> Plan:
    """Return what follows from running ``layers`` (names) in integers.

    Between two such layers, moves and sums of integers stay integers, but for ``float_sums``
    (names); a sum that a float node reads besides, other than a layer, is float.
    """
    integer = _integer_nodes(network, layers, float_sums)
    own: list[str] = []
    shares: dict[str, str] = {}
    for node in network.nodes:
        if node.name not in integer:
            continue
        for value in _data_inputs(network, node):
            producer = network.producers.get(value)
            if value not in shares and (producer is None or producer.name not in integer):
                shares[value] = value
                own.append(value)
        value = node.output[0]
        if _absorbing_relu(network, value) is not None:
            continue
        if node.op_type in MOVES or network.is_copy(node):
            shares[value] = shares[node.input[0]]
        else:
            shares[value] = value
            own.append(value)
    return Plan(frozenset(integer), tuple(own), shares)


def converted(network: Network, chosen: Plan) -> list[str]:
    """Return the values that go from float to integer or back, in a fixed order."""
    into: set[str] = set()
    back = {v.name for v in network.outputs}
    for node in network.nodes:
        (into if node.name in chosen.integer_nodes else back).update(_data_inputs(network, node))
    integer = {v for n in network.nodes if n.name in chosen.integer_nodes for v in n.output}
    return sorted((into - integer) | (back & integer))


def weight_scales(network: Network, node: NodeProto) -> NDArray[np.float32]:
    """Return the scale of each output's weights: its largest becomes 63."""
    weights = network.constants[node.input[1]].astype(np.float32)
    axis = output_axis(node, weights.ndim)
    largest = np.abs(weights).max(axis=tuple(a for a in range(weights.ndim) if a != axis))
    return np.where(largest > 0, largest / WEIGHT_LIMIT, 1).astype(np.float32)


def nearest_weights(network: Network, node: NodeProto) -> NDArray[np.int8]:
    """Return a layer's weights in units of `weight_scales`, rounded to the nearest integer."""
    weights = network.constants[node.input[1]].astype(np.float32)
    axis = output_axis(node, weights.ndim)
    shape = [-1 if a == axis else 1 for a in range(weights.ndim)]
    whole = np.rint(weights / weight_scales(network, node).reshape(shape))
    integers: NDArray[np.int8] = np.clip(whole, -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
    return integers


def write(
    network: Network,
    layers: Collection[str],
    ranges: Mapping[str, Range],
    weights: Mapping[str, NDArray[np.int8]] | None = None,
    float_sums: Collection[str] = (),
    exits: Mapping[str, Exit] | None = None,
) -> Network:
    """Return the network with the pairs that make ``layers`` run in integers.

    Parameters
    ----------
    network : Network
        In float.
    layers : collection of str
        Names out of `quantizable`.
    ranges : mapping
        Of each value in `Plan.quantized`.
    weights : mapping, optional
        Integers in place of a layer's `nearest_weights`.
    float_sums : collection of str
        Names of Add nodes that stay float.
    exits : mapping, optional
        By `shown` value of a convolution; used where no integer node reads it.
    """
    chosen = plan(network, layers, float_sums)
    writer = _Writer(network, chosen, ranges, weights or {}, exits or {})
    for node in network.nodes:
        writer.add(node)
    return network.rewritten(writer.nodes, writer.constants)


def shown(network: Network, value: str) -> str:
    """Return ``value``, or what the ReLU that it disappears into makes of it."""
    relu = _absorbing_relu(network, value)
    return value if relu is None else str(relu.output[0])


class _Writer:
    def __init__(
        self,
        network: Network,
        chosen: Plan,
        ranges: Mapping[str, Range],
        weights: Mapping[str, NDArray[np.int8]],
        exits: Mapping[str, Exit],
    ) -> None:
        self.network = network
        self.originals = {node.name: node for node in network.nodes}
        self.plan = chosen
        self.ranges = ranges
        self.weights = weights
        self.exits = exits
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = dict(network.constants)
        self._read: dict[str, str] = {}  # float value -> its quantized form, for integer readers

    def add(self, node: NodeProto) -> None:
        node = copied(node)
        if node.name not in self.plan.integer_nodes:
            if node.op_type in QUANTIZABLE:
                self._keep_float(node)
            self.nodes.append(node)
            return
        data = _data_inputs(self.network, node)
        node.input[:] = [self._quantized(v) if v in data else v for v in node.input]
        if node.op_type in QUANTIZABLE:
            self._weights(node, self._range(data[0]))
        value = node.output[0]
        if _absorbing_relu(self.network, value) is None:
            node.output[0] = f"{value}/float"
            self.nodes.append(node)
            self._pair(f"{value}/float", value, value)
        else:
            self.nodes.append(node)

    def _keep_float(self, node: NodeProto) -> None:
        """Hide that a float layer's input comes from integers.

        Between DequantizeLinear and QuantizeLinear onnxruntime quantizes a layer's weights on its
        own account, to 8 bits a tensor. A maximum that changes nothing is in its way.
        """
        producer = self.network.producers.get(node.input[0])
        if producer is None or producer.name not in self.plan.integer_nodes:
            return
        self.constants["lowest"] = np.array(np.finfo(np.float32).min, np.float32)
        hidden = f"{node.name}/hidden"
        self.nodes.append(helper.make_node("Max", [node.input[0], "lowest"], [hidden], name=hidden))
        node.input[0] = hidden

    def _exit(self, value: str) -> Exit | None:
        """Return how ``value`` leaves the integers by channel, None if it stays or has no way."""
        producer, readers = self.network.producers.get(value), self.network.consumers.get(value, ())
        nodes = self.plan.integer_nodes
        if producer is None or producer.name not in nodes or any(r.name in nodes for r in readers):
            return None
        return self.exits.get(value)

    def _range(self, value: str) -> Range:
        return _bytes_range(self.network, value) or self.ranges[self.plan.shares[value]]

    def _quantized(self, value: str) -> str:
        producer = self.network.producers.get(value)
        if producer is not None and producer.name in self.plan.integer_nodes:
            return value
        if value not in self._read:
            self._read[value] = f"{value}/quantized"
            if _bytes_range(self.network, value):
                assert producer is not None  # noqa: S101  # a Cast
                self._scalars(value, Range(1.0, 0))
                self._dequantize(producer.input[0], self._read[value], value)
            else:
                self._pair(value, self._read[value], value)
        return self._read[value]

    def _pair(self, source: str, target: str, value: str) -> None:
        leaving = self._exit(value)
        self._scalars(value, self._range(value) if leaving is None else Range(1.0, 0))
        names = [f"{value}/scale", f"{value}/zero_point"]
        self.nodes.append(
            helper.make_node("QuantizeLinear", [source, *names], [f"{value}/integer"])
        )
        if leaving is None:
            self._dequantize(f"{value}/integer", target, value)
        else:
            self._dequantize(f"{value}/integer", f"{value}/whole", value)
            self._restore(f"{value}/whole", target, leaving)

    def _restore(self, source: str, target: str, leaving: Exit) -> None:
        arrays = {
            "scales": leaving.scales,
            "offsets": -leaving.scales * leaving.zero_points,
            "means": np.zeros_like(leaving.scales),
            "variances": np.ones_like(leaving.scales),
        }
        names = [f"{target}/{part}" for part in arrays]
        self.constants.update(zip(names, arrays.values(), strict=True))
        name = f"{target}/restored"
        self.nodes.append(
            helper.make_node("BatchNormalization", [source, *names], [target], name, epsilon=0.0)
        )

    def _dequantize(self, source: str, target: str, value: str) -> None:
        names = [f"{value}/scale", f"{value}/zero_point"]
        self.nodes.append(helper.make_node("DequantizeLinear", [source, *names], [target]))

    def _scalars(self, value: str, chosen: Range) -> None:
        self.constants[f"{value}/scale"] = np.array(chosen.scale, np.float32)
        self.constants[f"{value}/zero_point"] = np.array(chosen.zero_point, np.uint8)

    def _weights(self, node: NodeProto, entering: Range) -> None:
        original = self.originals[node.name]
        scale = weight_scales(self.network, original)
        bias = np.zeros(1)
        if len(original.input) > 2 and original.input[2]:
            bias = self.network.constants[original.input[2]].astype(np.float64)
        leaving = self._exit(shown(self.network, original.output[0]))
        if leaving is not None:
            scale = scale / leaving.scales
            bias = bias / leaving.scales + leaving.zero_points
        whole = self.weights.get(node.name)
        if whole is None:
            whole = nearest_weights(self.network, original)
        axis = output_axis(original, whole.ndim)
        node.input[1:] = [self._stored(f"{node.name}/weight", whole, scale, axis)]
        if bias.any():
            sums = np.float32(entering.scale) * scale
            limits = np.iinfo(np.int32)
            integers = np.clip(np.rint(bias / sums), limits.min, limits.max).astype(np.int32)
            node.input.append(self._stored(f"{node.name}/bias", integers, sums, 0))

    def _stored(
        self, name: str, integers: NDArray[Any], scale: NDArray[np.float32], axis: int
    ) -> str:
        self.constants[f"{name}/integer"] = integers
        self.constants[f"{name}/scale"] = scale
        self.constants[f"{name}/zero_point"] = np.zeros(scale.shape, integers.dtype)
        inputs = [f"{name}/{kind}" for kind in ("integer", "scale", "zero_point")]
        value = f"{name}/float"
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [value], axis=axis))
        return value


def _integer_nodes(
    network: Network, layers: Collection[str], float_sums: Collection[str]
) -> set[str]:
    able: set[str] = set()  # those with an input that could be integer
    for node in network.nodes:
        if node.name in float_sums:
            continue
        if node.op_type in QUANTIZABLE and not network.is_copy(node):
            if node.name in layers:
                able.add(node.name)
        elif node.op_type in MOVES | COMBINES | {"Relu"} or network.is_copy(node):
            producers = [network.producers.get(v) for v in _data_inputs(network, node)]
            combines_constant = node.op_type in COMBINES and any(
                v in network.constants for v in node.input
            )
            integers = [p is not None and p.name in able for p in producers]
            # the other side of a sum is quantized for it, or a whole stream behind it were float
            if not combines_constant and any(integers):
                able.add(node.name)
    layers_there = {node.name for node in network.layers}
    wanted: set[str] = set()
    for node in reversed(network.nodes):
        if node.name not in able:
            continue
        value = node.output[0]
        readers = network.consumers.get(value, ())
        # a sum that some float node reads besides, other than a layer, needs its precision
        precise = any(r.name not in wanted and r.name not in layers_there for r in readers)
        read = any(r.name in wanted or r.name in layers_there for r in readers)
        absorbed = node.op_type == "Relu" and _absorbing_relu(network, node.input[0]) is node
        if node.name in layers or absorbed or (read and not precise):
            wanted.add(node.name)
    return wanted


def _absorbing_relu(network: Network, value: str) -> NodeProto | None:
    """Return the ReLU that alone reads ``value``, if so."""
    readers = network.consumers.get(value, ())
    if len(readers) == 1 and readers[0].op_type == "Relu" and not network.is_output(value):
        return readers[0]
    return None


def _data_inputs(network: Network, node: NodeProto) -> list[str]:
    """Return the inputs that are activations, not weights, shapes or axes."""
    inputs = node.input if node.op_type in COMBINES else node.input[:1]
    return [v for v in inputs if v and v not in network.constants]


def _bytes_range(network: Network, value: str) -> Range | None:
    """Return scale 1 for a float value that is cast from the bytes of a picture."""
    producer = network.producers.get(value)
    if producer is None or producer.op_type != "Cast":
        return None
    source = producer.input[0]
    while source in network.producers and network.producers[source].op_type in MOVES:
        source = network.producers[source].input[0]
    types = {v.name: v.type.tensor_type.elem_type for v in network.inputs}
    return Range(1.0, 0) if types.get(source) == TensorProto.UINT8 else None


def _plain_gemm(node: NodeProto) -> bool:
    factors = [attribute(node, name, 1.0) for name in ("alpha", "beta")]
    return factors == [1.0, 1.0] and not attribute(node, "transA", 0)
