"""A small writer of ONNX graphs: one method call, one operator.

Values are named by strings. Kernels are stored in half precision and cast once, when the session
folds constants; everything else keeps its precision. An initializer that is a trained weight has
the name of its state-dict key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, checker, compose, helper, inliner, numpy_helper

from edgeae.errors import BoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto

OPSET, IR_VERSION = 17, 8  # what onnxruntime 1.23 and everything newer reads
PADDED_SIDE = 3  # of the kernels that look at neighbours; the others tile their input
_SPLICED = "network/"  # before every name of a graph that was made elsewhere
UINT8, INT16, INT64, FLOAT = (
    TensorProto.UINT8,
    TensorProto.INT16,
    TensorProto.INT64,
    TensorProto.FLOAT,
)


class GraphBuilder:
    """Nodes in the order in which they are added; `model` gives the finished graph.

    Parameters
    ----------
    name : str
        Of the graph.
    weights : mapping
        Kernels and vectors by state-dict key, kernels in ONNX's layout.
    """

    def __init__(self, name: str, weights: Mapping[str, NDArray[Any]]) -> None:
        self.name = name
        self.weights = weights
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._opsets = {"": OPSET}

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        """Declare an input; strings in ``shape`` are dynamic lengths."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, value: str, name: str, dtype: int, shape: Sequence[int | str]) -> None:
        """Declare ``value`` as the output ``name``."""
        for node in self._nodes:
            node.input[:] = [name if v == value else v for v in node.input]
            node.output[:] = [name if v == value else v for v in node.output]
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        value = f"{operator.lower()}_{len(self._nodes)}"
        node = helper.make_node(operator, inputs, [value], name=value, **attributes)
        self._nodes.append(node)
        return value

    def constant(self, array: NDArray[Any]) -> str:
        """Store a constant that is no weight; equal ones are stored once."""
        text = "_".join(str(v) for v in array.reshape(-1)[:4])
        name = f"constant.{array.dtype}.{'x'.join(map(str, array.shape))}.{text}"
        if array.size > 4:
            name += f".{len(self._initializers)}"
        self._store(name, array)
        return name

    def scalar(self, value: float) -> str:
        """Store a float32 scalar."""
        return self.constant(np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        """Store a list of int64, as Reshape, Slice and Squeeze take it."""
        return self.constant(np.array(values, np.int64))

    def vector(self, key: str, shape: Sequence[int] | None = None) -> str:
        """Store a weight in float32, as it is or reshaped."""
        array = self.weights[key].astype(np.float32)
        self._store(key, array if shape is None else array.reshape(shape))
        return key

    def kernel(self, key: str) -> str:
        """Store a kernel in half precision; returns the float32 of it.

        Raises
        ------
        BoundError
            A weight is beyond the range of half precision.
        """
        half = half_precision(key, self.weights[key])
        self._store(key, half)
        return self.add("Cast", key, to=FLOAT)

    def conv(
        self,
        x: str,
        key: str,
        *,
        stride: int = 1,
        bias: str | None = None,
        input_scale: float = 1.0,
        output_scale: float = 1.0,
    ) -> str:
        """Append a convolution with weights ``key``.weight and ``key``.bias.

        3x3 is padded by zeros. ``bias`` names another value in place of ``key``.bias, or is empty
        for none; the scales, of input and output, are folded into the weights at load.
        """
        weight_key = f"{key}.weight" if f"{key}.weight" in self.weights else key
        outputs, _, side, _ = self.weights[weight_key].shape
        weight = self.kernel(weight_key)
        if bias is None:
            bias = self.vector(f"{key}.bias")
        if input_scale * output_scale != 1:
            weight = self.add("Mul", weight, self.scalar(input_scale * output_scale))
        if output_scale != 1:
            bias = self.add("Mul", bias, self.scalar(output_scale))
        attributes: dict[str, Any] = {"kernel_shape": [side, side]}
        if stride > 1:
            attributes["strides"] = [stride, stride]
        if side == PADDED_SIDE:
            attributes["pads"] = [1] * 4
        if is_depthwise(weight_key):
            attributes["group"] = outputs
        return self.add("Conv", x, weight, *([bias] if bias else []), **attributes)

    def blocked(self, x: str, channels: int) -> str:
        """Append a convolution that changes nothing, which keeps a residual stream fast.

        onnxruntime keeps values in blocked layout from one convolution to the next, and merges
        a residual's addition into a convolution only if the stream began with one.
        """
        ones = self.constant(np.ones((channels, 1, 1, 1), np.float32))
        return self.add("Conv", x, ones, kernel_shape=[1, 1], group=channels)

    def clip(self, x: str, low: float, high: float) -> str:
        """Append a Clip to ``low``..``high``."""
        return self.add("Clip", x, self.scalar(low), self.scalar(high))

    def depth_to_space(self, x: str, block: int) -> str:
        """Append the unfolding of channels in the order (dy, dx, c)."""
        return self.add("DepthToSpace", x, blocksize=block, mode="DCR")

    def splice(
        self, model: ModelProto, inputs: Mapping[str, str], outputs: Sequence[str]
    ) -> list[str]:
        """Append what ``outputs`` need of a finished graph; return their names here.

        The graph's version of the operators becomes that of the whole.

        Parameters
        ----------
        model : ModelProto
            Is not changed.
        inputs : mapping
            Value of this graph for each input of ``model``.
        outputs : sequence of str
            Names of outputs of ``model``.
        """
        if model.functions:
            model = inliner.inline_local_functions(model)
        copy = compose.add_prefix(model, _SPLICED)
        graph = copy.graph
        for name, value in inputs.items():
            node = helper.make_node("Identity", [value], [_SPLICED + name], name=_SPLICED + name)
            self._nodes.append(node)
        wanted = [_SPLICED + name for name in outputs]
        nodes, needed = needed_nodes(graph.node, wanted)
        self._nodes += nodes
        self._initializers |= {t.name: t for t in graph.initializer if t.name in needed}
        self._opsets |= {opset.domain: opset.version for opset in copy.opset_import}
        return wanted

    def model(self, description: str) -> ModelProto:
        """Return the checked model."""
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, list(self._initializers.values())
        )
        opsets = [helper.make_opsetid(*opset) for opset in self._opsets.items()]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=ir_version(opsets),
            producer_name="edgeae",
            doc_string=description,
        )
        checker.check_model(model, full_check=True)
        return model

    def _store(self, name: str, array: NDArray[Any]) -> None:
        # ascontiguousarray would turn scalars into [1]
        contiguous = np.array(array, order="C")
        self._initializers[name] = numpy_helper.from_array(contiguous, name)


def ir_version(opsets: Sequence[Any]) -> int:
    """Return the IR version of a model with these opsets: 8, or what a newer opset needs."""
    return max(IR_VERSION, int(helper.find_min_ir_version_for(opsets, ignore_unknown=True)))


def needed_nodes(nodes: Sequence[Any], outputs: Sequence[str]) -> tuple[list[Any], set[str]]:
    """Return the nodes that ``outputs`` depend on, in order, and all values they use."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= _used(node)
    return kept[::-1], needed


def _used(node: Any) -> set[str]:
    """Return what a node reads, inside its branches and loops as well."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names |= _used(inner)
            names.update(output.name for output in graph.output)
    return names


def is_depthwise(key: str) -> bool:
    """Whether a state-dict key is that of a depthwise layer."""
    return ".depthwise" in key


def half_precision(key: str, weights: NDArray[Any]) -> NDArray[np.float16]:
    """Return ``weights`` rounded to float16.

    Raises
    ------
    BoundError
        A weight is beyond its range, or not a number.
    """
    worst = float(np.abs(weights).max(initial=0))
    if not worst <= float(np.finfo(np.float16).max):
        raise BoundError(
            f"{key}: a weight of {worst:g} does not fit half precision; train with a lower rate"
        )
    return weights.astype(np.float16)


def initializers(model: ModelProto) -> dict[str, NDArray[Any]]:
    """Return the stored tensors of a model by name."""
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def serialized(model: ModelProto) -> bytes:
    """Return the bytes of a model, the same at every call."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data
