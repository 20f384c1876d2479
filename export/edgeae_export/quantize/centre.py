"""Channels moved to lie around zero before quantization, without changing what a network computes.

One range fits all channels of a value the better, the more alike they lie. A convolution of 1x1
sees what its inputs have been moved by everywhere alike, so its bias takes it back (Nagel 2019,
arXiv:1906.04721, section 4.1, does so for channels whose bias is high). Padding with zeros would
not move along, and a ReLU bends elsewhere: so other readers, and what lies in between, keep a value
where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae_export.quantize.network import attribute, copied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import NodeProto

    from edgeae_export.quantize.network import Network
    from edgeae_export.quantize.ranges import Extremes


def centred(network: Network, found: Mapping[str, Extremes]) -> Network:
    """Return the network with each channel between two convolutions in the middle of its range.

    Parameters
    ----------
    network : Network
        In float.
    found : mapping
        Extremes of its values.
    """
    constants: dict[str, NDArray[Any]] = dict(network.constants)
    nodes = {node.name: copied(node) for node in network.nodes}
    for writer in network.layers:
        value = writer.output[0]
        readers = network.consumers.get(value, ())
        moves = writer.op_type == "Conv" and value in found and not network.is_output(value)
        if not moves or not all(_sees_alike(network, node) for node in readers):
            continue
        middle = (found[value].low.astype(np.float64) + found[value].high) / 2
        _raise_bias(nodes[writer.name], constants, -middle)
        for reader in readers:
            weights = constants[reader.input[1]]
            _raise_bias(nodes[reader.name], constants, weights.reshape(len(weights), -1) @ middle)
    return network.rewritten(tuple(nodes.values()), constants)


def _sees_alike(network: Network, node: NodeProto) -> bool:
    """Whether what each input channel is moved by reaches all places of the outputs alike."""
    if node.op_type != "Conv" or node.input[1] not in network.constants:
        return False
    kernel = network.constants[node.input[1]].shape[2:]
    padded = any(attribute(node, "pads", ()))
    return set(kernel) == {1} and not padded and attribute(node, "group", 1) == 1


def _raise_bias(
    node: NodeProto, constants: dict[str, NDArray[Any]], by: NDArray[np.float64]
) -> None:
    if not any(node.input[2:]):  # none, or an empty name
        del node.input[2:]
        node.input.append(f"{node.name}/bias")
    name = node.input[2]
    constants[name] = (constants.get(name, np.zeros(1)) + by).astype(np.float32)
