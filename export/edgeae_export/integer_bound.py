"""Proof that the scale indexes are the same on every machine, from the exported graph itself.

float32 adds integers without error, in any order and however fused, as long as no partial sum
reaches 2**24. Interval arithmetic follows every value from the inputs, which may be any int16, to
the index. Operators that are not listed here, dense spatial kernels and weights that are no
integers are refused: nothing else is known to be exact everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from edgeae.errors import BoundError
from edgeae_export.graph_builder import initializers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    Floats = NDArray[np.float64]  # every number here is an integer below 2**53, times a power of 2

LIMIT = 2**24  # of float32's integers
INDEX_LIMIT = 255  # of uint8


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """What is known of a tensor, by channel."""

    layer: str  # weights that its sums come from
    low: Floats  # (C,)
    high: Floats  # (C,)
    worst: Floats  # (C,) largest magnitude of any partial sum on the way, however fused
    unit: float  # power of two; every value is a multiple of it

    @property
    def magnitude(self) -> Floats:
        """Largest magnitude, (C,)."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def prove_integer_bound(hyper_decoder: ModelProto) -> dict[str, int]:
    """Return the worst partial sum of each layer on the way to the scale index.

    Raises
    ------
    BoundError
        A partial sum may reach 2**24, or an operator is not known to be exact.
    """
    proof = _Proof(hyper_decoder)
    index = proof.interval("index")
    if index.low.min() < 0 or index.high.max() > INDEX_LIMIT:
        raise BoundError(
            f"index: {index.low.min():g}..{index.high.max():g} is beyond uint8; clip it"
        )
    return proof.sums


class _Proof:
    """Walks from a value to the inputs, once for each value."""

    def __init__(self, model: ModelProto) -> None:
        self.sums: dict[str, int] = {}
        self._constants = initializers(model)
        self._nodes = {name: node for node in model.graph.node for name in node.output}
        self._channels = {
            i.name: i.type.tensor_type.shape.dim[1].dim_value
            for i in model.graph.input
            if len(i.type.tensor_type.shape.dim) == 4
        }
        self._known: dict[str, Interval] = {}

    def interval(self, value: str) -> Interval:
        """Return what is known of ``value``."""
        if value not in self._known:
            self._known[value] = self._derive(value)
        return self._known[value]

    def constant(self, value: str) -> tuple[str, Floats]:
        """Return name and contents of an initializer, behind a Cast or not."""
        node = self._nodes.get(value)
        name = node.input[0] if node is not None and node.op_type == "Cast" else value
        if name not in self._constants:
            raise BoundError(f"{value}: not a constant, so nothing can be proved of it")
        return name, self._constants[name].astype(np.float64)

    def _derive(self, value: str) -> Interval:
        if value in self._channels:
            shape = self._channels[value]
            low, high = np.full(shape, -(2.0**15)), np.full(shape, 2.0**15 - 1)
            return Interval(value, low, high, -low, 1.0)
        node = self._nodes.get(value)
        if node is None or node.op_type not in OPERATORS:
            operator = "an input" if node is None else node.op_type
            raise BoundError(
                f"{value}: {operator} is not known to be exact on every machine; "
                f"use {', '.join(sorted(OPERATORS))}"
            )
        return OPERATORS[node.op_type](self, node)

    def sum_checked(self, total: Interval) -> Interval:
        """Return ``total`` if no partial sum of it reaches the limit."""
        sums = total.worst / total.unit
        channel = int(np.argmax(sums))
        worst = float(sums[channel])
        if not worst < LIMIT:
            raise BoundError(
                f"{total.layer}: channel {channel} may sum to {worst:.0f}, but float32 is exact "
                f"below {LIMIT} only; train with fewer channels or smaller weights"
            )
        self.sums[total.layer] = math.ceil(worst)
        return total


def _cast(proof: _Proof, node: NodeProto) -> Interval:
    return proof.interval(node.input[0])  # int16 to float, or the index to uint8


def _clip(proof: _Proof, node: NodeProto) -> Interval:
    x = proof.interval(node.input[0])
    bounds = [proof.constant(name)[1] for name in node.input[1:]]
    if len(bounds) != 2 or any(math.fmod(float(b), x.unit) for b in bounds):
        raise BoundError(f"{x.layer}: clip to {bounds} must have two bounds in steps of {x.unit}")
    low, high = (np.clip(side, *bounds) for side in (x.low, x.high))
    return _fresh(x.layer, low, high, x.unit)


def _abs(proof: _Proof, node: NodeProto) -> Interval:
    x = proof.interval(node.input[0])
    return _fresh(x.layer, np.zeros_like(x.low), x.magnitude, x.unit)


def _mul(proof: _Proof, node: NodeProto) -> Interval:
    x = proof.interval(node.input[0])
    _, factor = proof.constant(node.input[1])
    scale = float(factor)
    if scale <= 0 or math.frexp(scale)[0] != 0.5:
        raise BoundError(f"{x.layer}: multiplied by {scale}, which is no power of two")
    return Interval(x.layer, x.low * scale, x.high * scale, x.worst * scale, x.unit * scale)


def _floor(proof: _Proof, node: NodeProto) -> Interval:
    x = proof.interval(node.input[0])
    return _fresh(x.layer, np.floor(x.low), np.floor(x.high), max(1.0, x.unit))


def _add(proof: _Proof, node: NodeProto) -> Interval:
    a, b = (proof.interval(name) for name in node.input)
    layer = a.layer if a.layer == b.layer else f"{a.layer} + {b.layer}"
    unit = min(a.unit, b.unit)
    total = Interval(layer, a.low + b.low, a.high + b.high, a.worst + b.worst, unit)
    return proof.sum_checked(total)


def _gather(proof: _Proof, node: NodeProto) -> Interval:
    """One row of a constant table, whichever is asked for."""
    name, table = proof.constant(node.input[0])
    rows = table.reshape(len(table), -1)
    _check_integers(name, rows)
    return _fresh(name, rows.min(axis=0), rows.max(axis=0), 1.0)


def _depth_to_space(proof: _Proof, node: NodeProto) -> Interval:
    x = proof.interval(node.input[0])
    attributes = _attributes(node)
    if attributes.get("mode", b"DCR") != b"DCR":
        raise BoundError(f"{x.layer}: DepthToSpace of mode {attributes['mode']!r}; use DCR")
    squares = attributes["blocksize"] ** 2
    low = x.low.reshape(squares, -1).min(axis=0)
    return _fresh(x.layer, low, x.high.reshape(squares, -1).max(axis=0), x.unit)


def _conv(proof: _Proof, node: NodeProto) -> Interval:
    x = proof.interval(node.input[0])
    name, kernel = proof.constant(node.input[1])
    bias_name, bias = proof.constant(node.input[2])
    _check_integers(name, kernel)
    _check_integers(bias_name, bias)
    if x.unit < 1:
        raise BoundError(f"{name}: its input is in steps of {x.unit}; Floor it before")
    groups = _attributes(node).get("group", 1)
    outputs, inputs, *sides = kernel.shape
    if sides != [1, 1] and not (inputs == 1 and groups == outputs):
        raise BoundError(
            f"{name}: a dense {sides[0]}x{sides[1]} kernel, which a library may turn into an "
            f"inexact Winograd transform; use 1x1 and depthwise ones"
        )
    taps = kernel.reshape(outputs, -1)
    if sides != [1, 1]:  # beyond the border there are zeros
        low, high = np.minimum(x.low, 0)[:, None], np.maximum(x.high, 0)[:, None]
    else:
        low, high = x.low, x.high
    ends = taps * low, taps * high
    total = Interval(
        layer=name.removesuffix(".weight"),
        low=np.minimum(*ends).sum(axis=1) + bias,
        high=np.maximum(*ends).sum(axis=1) + bias,
        worst=np.maximum(*np.abs(ends)).sum(axis=1) + np.abs(bias),
        unit=1.0,
    )
    return proof.sum_checked(total)


OPERATORS: dict[str, Callable[[_Proof, NodeProto], Interval]] = {
    "Abs": _abs,
    "Add": _add,
    "Cast": _cast,
    "Clip": _clip,
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "Floor": _floor,
    "Gather": _gather,
    "Mul": _mul,
}


def _fresh(layer: str, low: Floats, high: Floats, unit: float) -> Interval:
    """Return an interval that no fusion can carry sums across."""
    return Interval(layer, low, high, np.maximum(np.abs(low), np.abs(high)), unit)


def _check_integers(name: str, values: Floats) -> None:
    if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise BoundError(f"{name}: not all integers; export the integers of the scale path")


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}
