"""An ONNX graph in a form that passes can rewrite: nodes in order, constants as arrays.

Constants are folded on the way in, so that a layer's weights are one array of its own, whatever
casts and products they were stored behind; layers are called by the names of their weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeae_export.graph_builder import ir_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ValueInfoProto

LINEAR = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
HALF_SIZE = 1024  # elements; a Cast is not worth less


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A graph; `nodes` are in an order in which they can run."""

    name: str
    description: str
    opset: int
    nodes: tuple[NodeProto, ...]
    constants: Mapping[str, NDArray[Any]]
    inputs: tuple[ValueInfoProto, ...]
    outputs: tuple[ValueInfoProto, ...]
    producers: Mapping[str, NodeProto] = field(init=False)
    consumers: Mapping[str, tuple[NodeProto, ...]] = field(init=False)

    def __post_init__(self) -> None:
        consumers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.input):
                consumers.setdefault(value, []).append(node)
        producers = {value: node for node in self.nodes for value in node.output}
        object.__setattr__(self, "producers", producers)
        object.__setattr__(self, "consumers", {v: tuple(n) for v, n in consumers.items()})

    @classmethod
    def from_model(cls, model: ModelProto) -> Self:
        """Return the graph of ``model`` with its constants folded and its layers named."""
        graph = model.graph
        opset = max(i.version for i in model.opset_import if i.domain in ("", "ai.onnx"))
        stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        nodes, constants, origins = _fold(graph.node, stored, opset)
        nodes, constants = _own_weights(_without_identities(nodes, graph), constants, origins)
        return cls(
            graph.name,
            model.doc_string,
            opset,
            tuple(nodes),
            _used(nodes, constants),
            tuple(v for v in graph.input if v.name not in stored),
            tuple(graph.output),
        )

    def to_model(self, extra_outputs: Sequence[str] = ()) -> ModelProto:
        """Return the ONNX model; ``extra_outputs`` are values of floats to expose besides."""
        exposed = [helper.make_tensor_value_info(v, TensorProto.FLOAT, None) for v in extra_outputs]
        halves = {f"{n}/half": a for n, a in self.constants.items() if _fits_half(a)}
        casts = [
            helper.make_node("Cast", [name], [name.removesuffix("/half")], to=TensorProto.FLOAT)
            for name in halves
        ]
        stored = {n: _plain(a) for n, a in self.constants.items() if f"{n}/half" not in halves}
        stored |= {name: array.astype(np.float16) for name, array in halves.items()}
        graph = helper.make_graph(
            [*casts, *self.nodes],
            self.name,
            self.inputs,
            [*self.outputs, *exposed],
            [numpy_helper.from_array(array, name) for name, array in stored.items()],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=ir_version(opsets),
            producer_name="edgeae",
            doc_string=self.description,
        )

    def rewritten(
        self, nodes: Sequence[NodeProto], constants: Mapping[str, NDArray[Any]]
    ) -> Network:
        """Return the graph of these nodes with the constants that they use."""
        return replace(self, nodes=tuple(nodes), constants=_used(nodes, constants))

    @property
    def layers(self) -> tuple[NodeProto, ...]:
        """Convolutions and matrix products with stored weights, in order."""
        return tuple(
            node
            for node in self.nodes
            if node.op_type in LINEAR and len(node.input) > 1 and node.input[1] in self.constants
            if not self.is_copy(node)
        )

    def is_copy(self, node: NodeProto) -> bool:
        """Whether ``node`` is a depthwise convolution by 1, there to set a fast layout."""
        if node.op_type != "Conv" or len(node.input) > 2 or node.input[1] not in self.constants:
            return False
        weights = self.constants[node.input[1]]
        depthwise = weights.shape == (attribute(node, "group", 1), 1, 1, 1)
        strides = set(attribute(node, "strides", [1]))
        return depthwise and strides == {1} and bool((weights == 1).all())

    def layer(self, name: str) -> NodeProto:
        """Return the layer of this name; KeyError if there is none."""
        for node in self.layers:
            if node.name == name:
                return node
        raise KeyError(name)

    def is_output(self, value: str) -> bool:
        """Whether ``value`` is an output of the graph."""
        return any(value == output.name for output in self.outputs)


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Return an attribute's value, or ``default``."""
    for candidate in node.attribute:
        if candidate.name == name:
            value = helper.get_attribute_value(candidate)
            return value.decode() if isinstance(value, bytes) else value
    return default


def output_axis(node: NodeProto, rank: int) -> int:
    """Return the axis of a layer's weights along which its outputs lie."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return rank - 1  # MatMul


def copied(node: NodeProto) -> NodeProto:
    """Return a node that can be changed."""
    result = NodeProto()
    result.CopyFrom(node)
    return result


def _fold(
    nodes: Sequence[NodeProto], stored: Mapping[str, NDArray[Any]], opset: int
) -> tuple[list[NodeProto], dict[str, NDArray[Any]], dict[str, str]]:
    constants = dict(stored)
    origins = {name: name for name in stored}  # of a folded value: the first stored one behind it
    kept = []
    for node in nodes:
        read = [v for v in node.input if v]
        subgraphs = any(a.HasField("g") for a in node.attribute)
        if all(v in constants for v in read) and not subgraphs and "Random" not in node.op_type:
            values = _evaluate(node, {v: constants[v] for v in read}, opset)
            constants |= values
            origin = next((origins[v] for v in read if v in origins), node.output[0])
            origins |= dict.fromkeys(values, origin)
        else:
            kept.append(copied(node))
    return kept, constants, origins


def _evaluate(
    node: NodeProto, values: Mapping[str, NDArray[Any]], opset: int
) -> dict[str, NDArray[Any]]:
    wanted = [v for v in node.output if v]
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in values.items()
    ]
    outputs = [helper.make_tensor_value_info(v, TensorProto.UNDEFINED, None) for v in wanted]
    graph = helper.make_graph([node], "constant", infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    results: Any = ReferenceEvaluator(model).run(wanted, dict(values))
    return {v: np.asarray(r) for v, r in zip(wanted, results, strict=True)}


def _without_identities(nodes: Sequence[NodeProto], graph: Any) -> list[NodeProto]:
    """Leave out what changes no value; an output of the graph keeps its name and node."""
    outputs = {o.name for o in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in nodes:
        node.input[:] = [renamed.get(v, v) for v in node.input]
        if node.op_type in ("Identity", "Dropout") and node.output[0] not in outputs:
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    return kept


def _own_weights(
    nodes: Sequence[NodeProto], constants: Mapping[str, NDArray[Any]], origins: Mapping[str, str]
) -> tuple[list[NodeProto], dict[str, NDArray[Any]]]:
    """Give each layer a name of its own, weights that no other node reads, and a bias."""
    result = dict(constants)
    taken: set[str] = set()
    for number, node in enumerate(nodes):
        layer = node.op_type in LINEAR and len(node.input) > 1 and node.input[1] in constants
        wanted = node.name or f"{node.op_type.lower()}_{number}"
        if layer and constants[node.input[1]].size > constants[node.input[1]].shape[0]:
            wanted = origins.get(node.input[1], node.input[1]).removesuffix(".weight")
        node.name = next(n for n in _numbered(wanted) if n not in taken)
        taken.add(node.name)
        if not layer:
            continue
        for position, part in ((1, "weight"), (2, "bias")):
            if len(node.input) > position and node.input[position] in constants:
                result[f"{node.name}/{part}"] = constants[node.input[position]]
                node.input[position] = f"{node.name}/{part}"
    return list(nodes), result


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}.{number}"
        number += 1


def _used(
    nodes: Sequence[NodeProto], constants: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    read = {value for node in nodes for value in node.input}
    return {name: array for name, array in constants.items() if name in read}


def _fits_half(array: NDArray[Any]) -> bool:
    """Whether half precision holds a large array exactly, as it does exported weights."""
    if array.dtype != np.float32 or array.size < HALF_SIZE:
        return False
    with np.errstate(over="ignore"):
        return bool((array == array.astype(np.float16)).all())


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    return np.array(array, order="C")  # ascontiguousarray would turn scalars into [1]
