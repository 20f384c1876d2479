"""Which layers stay float: as few milliseconds' worth as the budget allows, by measured cost.

If all layers in integers cost too much, the linear paths go first: layers between float values on
both sides, whose noise nothing that follows can hide and which gain least from integers. Then every
other kind of layers is measured, what the loss becomes if they are float too, and the one that
gains most for its time is made float; then again, since the noise of one hides what another gains,
until the loss is within bounds or no kind gains anything. A residual stream's sums are a kind too.
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
CONVERSION_TIME = 0.26  # ms a megapixel for a value a pixel that is converted, there or back
LEAST_TIME = 1.0  # ms a megapixel; all that takes less counts as this
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
        return self.prepared.integer(self._integers(floats))

    def extra_time(self, floats: Sequence[str], kind: Sequence[str]) -> float:
        """Return about how many ms a megapixel it takes longer with ``kind`` in float besides."""
        before, after = (
            self.prepared.conversions(self._integers(f)) for f in (floats, (*floats, *kind))
        )
        work = sum(self.prepared.work[layer] for layer in kind)
        return max(FLOAT_TIME * work / 1000 + CONVERSION_TIME * (after - before), LEAST_TIME)

    def _integers(self, floats: Sequence[str]) -> list[str]:
        return [layer for layer in self.prepared.layers if layer not in floats]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was chosen, and on what grounds; percents of rate at equal distortion."""

    floats: Mapping[str, tuple[str, ...]]  # graph -> layers that stay float
    costs: Mapping[str, float]  # graph -> cost as chosen
    all_integer: Mapping[str, float]  # graph -> cost with no layer in float
    start: Mapping[str, float]  # graph -> cost with its linear paths in float, if they had to be
    with_float: Mapping[
        str, Mapping[str, float]
    ]  # graph -> layer -> as `start`, its kind float too


def choose(candidates: Mapping[str, Candidate], budget: float, show: Show) -> Choice:
    """Return the layers that stay float so that the graphs together cost at most ``budget``.

    The costs of the graphs add up. If all that gain are too few, all of these are float.
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
    measured = {
        name: _with_each_float(name, c, floats[name], show) for name, c in candidates.items()
    }
    with_float = {
        name: {
            layer: measured[name].get(kind, start[name])
            for kind in c.prepared.kinds
            for layer in kind
        }
        for name, c in candidates.items()
    }
    while sum(costs.values()) > MARGIN * budget:
        worth = {
            (name, kind): (costs[name] - cost) / candidates[name].extra_time(floats[name], kind)
            for name, found in measured.items()
            for kind, cost in found.items()
            if costs[name] - cost >= SMALLEST_GAIN * budget
        }
        if not worth:
            break
        name, kind = max(worth, key=worth.__getitem__)
        costs[name] = measured[name][kind]
        floats[name] = (*floats[name], *kind)
        show(f"{name} {_called(kind)} float: {_sum(costs)}")
        if sum(costs.values()) > MARGIN * budget:
            measured[name] = _with_each_float(name, candidates[name], floats[name], show)
    return Choice(floats, costs, all_integer, start, with_float)


def _with_each_float(
    name: str, candidate: Candidate, floats: tuple[str, ...], show: Show
) -> dict[tuple[str, ...], float]:
    """Return the graph's cost by kind with that in float besides ``floats``."""
    costs = {}
    for kind in candidate.prepared.kinds:
        if kind[0] not in floats:
            costs[kind] = candidate.measured((*floats, *kind))
            show(f"{name} {_called(kind)} float: {costs[kind]:.3f} %")
    return costs


def _called(kind: Sequence[str]) -> str:
    return kind[0] if len(kind) == 1 else f"{kind[0]} and {len(kind) - 1} alike"


def _sum(costs: Mapping[str, float]) -> str:
    parts = " + ".join(f"{cost:.3f} ({name})" for name, cost in costs.items())
    return f"{parts} = {sum(costs.values()):.3f} %"
