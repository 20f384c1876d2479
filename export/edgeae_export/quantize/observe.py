"""Values inside a network, on real inputs: the one door of the exporter to onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx import TensorProto, shape_inference

from edgeae.graphs import available_providers
from edgeae_export.graph_builder import serialized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto

    from edgeae_export.quantize.network import Network

    Feeds = Sequence[Mapping[str, NDArray[Any]]]  # inputs by name, of several runs


def observed(
    network: Network, values: Sequence[str], feeds: Feeds
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield float values of the network, inputs too, by name, for each of ``feeds``."""
    inputs = {v.name for v in network.inputs}
    computed = [value for value in values if value not in inputs]
    outputs = {output.name for output in network.outputs}
    session = _session(network.to_model([v for v in computed if v not in outputs]))
    for feed in feeds:
        found = session.run(computed, dict(feed)) if computed else []
        yield {v: feed[v] for v in values if v in inputs} | dict(zip(computed, found, strict=True))


def float_values(network: Network) -> tuple[str, ...]:
    """Return the names of all values of floats from the picture or latents on, these included.

    Vectors that depend on the quality alone are left out.
    """
    inferred = shape_inference.infer_shapes(network.to_model()).graph
    kinds = {v.name: v.type.tensor_type for v in (*inferred.value_info, *inferred.output)}
    seen = {v.name for v in network.inputs if v.type.tensor_type.shape.dim}
    result = [
        v.name
        for v in network.inputs
        if v.name in seen and v.type.tensor_type.elem_type == TensorProto.FLOAT
    ]
    for node in network.nodes:
        if not seen.intersection(node.input):
            continue
        seen.update(node.output)
        floats = (v for v in node.output if v in kinds and kinds[v].elem_type == TensorProto.FLOAT)
        result.extend(floats)
    return tuple(result)


def _session(model: ModelProto) -> Any:
    available_providers()  # loads onnxruntime the way the product does, telemetry off
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        serialized(model), options, providers=["CPUExecutionProvider"]
    )
