"""An ONNX graph made elsewhere: checked, and callable with arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, version_converter

from edgeae.errors import GraphError
from edgeae.graphs import Graph, Signature
from edgeae_export.graph_builder import OPSET, needed_nodes, serialized

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

OLDEST_OPSET = 13  # from here on the operators that are put around a graph are as in 17
TYPES: dict[
    int, str
] = {  # element types that a network may take and give, as onnxruntime spells them
    TensorProto.FLOAT: "tensor(float)",
    TensorProto.UINT8: "tensor(uint8)",
    TensorProto.FLOAT16: "tensor(float16)",
    TensorProto.DOUBLE: "tensor(double)",
}
RANDOM = ("RandomNormal", "RandomUniform", "Bernoulli", "Multinomial")  # and what begins like these


class RawGraph:
    """One input, one or more outputs, a batch along the first axis.

    Parameters
    ----------
    model : ModelProto
        Operators of version 13 or newer; older ones are converted.
    name : str
        What errors call it: a file name.
    outputs : sequence of str
        Those to use; by default the first one.

    Raises
    ------
    GraphError
        Not one input, an output that is not there, types that are no numbers, or a random operator.
    """

    def __init__(self, model: ModelProto, name: str, outputs: tuple[str, ...] = ()) -> None:
        self.model = _modern(model, name)
        self.name = name
        stored = {tensor.name for tensor in self.model.graph.initializer}
        inputs = [value for value in self.model.graph.input if value.name not in stored]
        if len(inputs) != 1:
            names = [value.name for value in inputs]
            raise GraphError(f"{name}: takes {names}, not one input; cut the graph at its input")
        self.input = inputs[0].name
        self.input_kind = _kind(inputs[0], name)
        self.shape = _shape(inputs[0])  # of the input, None for dynamic lengths
        self.takes_batches = bool(self.shape) and self.shape[0] is None
        there = {value.name: value for value in self.model.graph.output}
        self.outputs = outputs or tuple(there)[:1]
        missing = [output for output in self.outputs if output not in there]
        if missing or not self.outputs:
            raise GraphError(f"{name}: gives {list(there)}, not {missing}; name one of them")
        self.output_kinds = tuple(_kind(there[output], name) for output in self.outputs)
        self._refuse_random()
        data = serialized(self.model)
        signature = Signature(
            {self.input: TYPES[self.input_kind]},
            dict(zip(self.outputs, (TYPES[kind] for kind in self.output_kinds), strict=True)),
        )
        self._graph = Graph("encoder", lambda: data, signature=signature, file=name)

    @classmethod
    def load(cls, path: Path, outputs: tuple[str, ...] = ()) -> RawGraph:
        """Read an ONNX file, with its external data if there is any; GraphError if it is none."""
        try:
            model = onnx.load(path)
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise GraphError(f"{path}: no ONNX file ({text}); export it again") from error
        return cls(model, str(path), outputs)

    def run(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs for float32 values, which are rounded if the graph takes bytes."""
        dtype = helper.tensor_dtype_to_np_dtype(self.input_kind)
        cast = (
            np.rint(values).clip(0, 255).astype(dtype)
            if dtype == np.uint8
            else values.astype(dtype)
        )
        pieces = [cast] if self.takes_batches else np.split(cast, len(cast))
        found = [self._graph.run(**{self.input: np.ascontiguousarray(piece)}) for piece in pieces]
        return [np.concatenate(parts).astype(np.float32) for parts in zip(*found, strict=True)]

    def _refuse_random(self) -> None:
        nodes, _ = needed_nodes(self.model.graph.node, self.outputs)
        found = sorted({node.op_type for node in nodes if node.op_type.startswith(RANDOM)})
        if found:
            raise GraphError(
                f"{self.name}: {self.outputs[0]} depends on {found}; a bundle's graphs have no "
                f"random operator, name the output before it (a mean)"
            )


def _modern(model: ModelProto, name: str) -> ModelProto:
    version = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    if version >= OLDEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:
        raise GraphError(
            f"{name}: operators of version {version} cannot be converted to {OPSET} "
            f"({' '.join(str(error).split())}); export it with opset {OLDEST_OPSET} or newer"
        ) from error


def _kind(value: Any, name: str) -> int:
    kind = int(value.type.tensor_type.elem_type)
    if kind not in TYPES:
        spelled = TensorProto.DataType.Name(kind)
        raise GraphError(f"{name}: {value.name} is {spelled}, not one of {sorted(TYPES.values())}")
    return kind


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(
        axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else None
        for axis in value.type.tensor_type.shape.dim
    )
