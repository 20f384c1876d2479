"""Layers of one kind: those at the same place in the blocks of a residual stream.

What one layer of twenty adds to the noise is less than what the measurement of a cost is uncertain
by; what all of a kind add is not. And layers that are float side by side need no conversions in
between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeae_export.quantize import rescale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import NodeProto

    from edgeae_export.quantize.network import Network
    from edgeae_export.quantize.rescale import Group


def kinds(network: Network, layers: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return ``layers`` (names) by kind, in order; one that is in no block is a kind of its own."""
    places: dict[str, tuple[str, int]] = {}
    for group in rescale.groups(network):
        for writer in group.writers:
            for place, name in enumerate(_branch(network, group, writer)):
                places[name] = (group.writers[0].name, place)
    found: dict[tuple[str, int] | str, list[str]] = {}
    for name in layers:
        found.setdefault(places.get(name, name), []).append(name)
    return tuple(tuple(names) for names in found.values())


def _branch(network: Network, stream: Group, writer: NodeProto) -> tuple[str, ...]:
    """Return the layers from ``stream`` to one that adds to it, that one first; else nothing."""
    names = {node.name for node in network.layers}
    found = []
    node: NodeProto | None = writer
    while node is not None:
        if node.name in names:
            found.append(node.name)
        data = [v for v in node.input if v and v not in network.constants]
        if len(data) != 1:
            return ()
        if data[0] in stream.copies:
            return tuple(found)
        node = network.producers.get(data[0])
    return ()
