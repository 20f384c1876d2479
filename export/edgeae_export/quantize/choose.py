"""Which layers stay float: as few milliseconds' worth as the budget allows, by measured cost.

If all layers in integers cost too much, the linear paths go first: layers between float values on
both sides, whose noise nothing that follows can hide and which gain least from integers. Then every
other layer's gain is measured, what the loss becomes if that layer is float too, and they are made
float one by one, those first that gained most for their time, until the loss is within bounds; one
that gains nothing by then stays integer. Sums of a residual stream count as a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeae_export.graph_builder import serialized

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgeae_export.quantize.network import Network
    from edgeae_export.quantize.prepare import Prepared

    Cost = Callable[[bytes], float]  # of a graph's file: percent of rate at equal distortion
    Show = Callable[[str], None]

FLOAT_TIME = 13.3  # ms a megapixel for 1000 multiplications a pixel in float, over int8's
CONVERSION_TIME = 0.26  # ms a megapixel for a value a pixel that is converted
SMALLEST_GAIN = 0.02  # of the budget; not worth a conversion
MARGIN = 0.8  # of the budget, since the final measurement is on other pictures


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One graph, prepared, and how its cost is measured."""

    prepared: Prepared
    cost: Cost

    def measured(self, floats: Sequence[str]) -> float:
        """Return the cost with ``floats`` in float and all other layers in integers."""
        return self.cost(serialized(self.network(floats).to_model()))

    def network(self, floats: Sequence[str]) -> Network:
        """Return the graph with ``floats`` in float and all other layers in integers."""
        return self.prepared.integer([n for n in self.prepared.layers if n not in floats])

    def extra_time(self, layer: str) -> float:
        """Return about how many ms a megapixel a layer takes longer in float."""
        work, traffic = self.prepared.work[layer], self.prepared.traffic[layer]
        return FLOAT_TIME * work / 1000 + CONVERSION_TIME * traffic


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was chosen, and on what grounds; percents of rate at equal distortion."""

    floats: Mapping[str, tuple[str, ...]]  # graph -> layers that stay float
    costs: Mapping[str, float]  # graph -> cost as chosen
    all_integer: Mapping[str, float]  # graph -> cost with no layer in float
    start: Mapping[str, float]  # graph -> cost with its linear paths in float, if they had to be
    with_float: Mapping[
        str, Mapping[str, float]
    ]  # graph -> layer -> as `start`, that one float too


def choose(candidates: Mapping[str, Candidate], budget: float, show: Show) -> Choice:
    """Return the layers that stay float so that the graphs together cost at most ``budget``.

    The costs of the graphs add up. If even all that gain are too few, all of these are float.
    """
    floats: dict[str, tuple[str, ...]] = dict.fromkeys(candidates, ())
    all_integer = {name: c.measured(()) for name, c in candidates.items()}
    costs = dict(all_integer)
    show(f"all layers in int8: {_sum(costs)}")
    if sum(costs.values()) > MARGIN * budget:
        floats = {name: c.prepared.linear for name, c in candidates.items()}
        costs |= {name: candidates[name].measured(f) for name, f in floats.items() if f}
        show(f"linear paths float: {_sum(costs)}")
    start = dict(costs)
    with_float = {
        name: _with_each_float(name, c, floats[name], start[name], show)
        for name, c in candidates.items()
    }
    gains = {
        (name, layer): (start[name] - cost) / candidates[name].extra_time(layer)
        for name, of in with_float.items()
        for layer, cost in of.items()
        if layer not in floats[name]
    }
    for name, layer in sorted(gains, key=lambda pair: gains[pair], reverse=True):
        if sum(costs.values()) <= MARGIN * budget:
            break
        trial = candidates[name].measured((*floats[name], layer))
        if costs[name] - trial >= SMALLEST_GAIN * budget:
            costs[name] = trial
            floats[name] = (*floats[name], layer)
            show(f"{name} {layer} stays float: {_sum(costs)}")
    return Choice(floats, costs, all_integer, start, with_float)


def _with_each_float(
    name: str, candidate: Candidate, floats: tuple[str, ...], start: float, show: Show
) -> dict[str, float]:
    """Return the graph's cost by layer, with that one in float besides ``floats``."""
    costs = {}
    for layer in candidate.prepared.layers:
        costs[layer] = start if layer in floats else candidate.measured((*floats, layer))
        show(f"{name} {layer}: {costs[layer]:.3f} % with it in float")
    return costs


def _sum(costs: Mapping[str, float]) -> str:
    parts = " + ".join(f"{cost:.3f} ({name})" for name, cost in costs.items())
    return f"{parts} = {sum(costs.values()):.3f} %"
