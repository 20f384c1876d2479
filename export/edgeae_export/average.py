"""The weights between those of several trainings, often better than each of them.

Trainings that began from one model end in one basin, and an average lies deeper in it than its
parts (Wortsman 2022, arXiv:2203.05482); it lies also between what they were trained for.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from edgeae.errors import BoundError, BundleError
from edgeae_export.card import OTHERS, SHARES
from edgeae_export.starts import origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance
    from torch import Tensor

    from edgeae_export.checkpoint import Checkpoint

    R = TypeVar("R", bound=DataclassInstance)

WEIGHTS = ("model.", "average.")


def average(checkpoints: Sequence[Checkpoint[R]], shares: Sequence[float]) -> Checkpoint[R]:
    """Return the first checkpoint with weights, and averages of weights, that are those of all.

    Its recipe, progress and moments are kept, so that it can be exported and trained on.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
        Two or more of one network and shape.
    shares : sequence of float
        Of each, with a sum of 1. Outside 0..1 the weights lie beyond those of the checkpoints.

    Raises
    ------
    BoundError
        Fewer than two checkpoints, shares of another number or sum, or the first is an average.
    BundleError
        The checkpoints are of different networks or shapes.
    """
    if len(checkpoints) < 2 or len(shares) != len(checkpoints):
        raise BoundError(
            f"{len(checkpoints)} checkpoints and {len(shares)} shares; give two checkpoints or "
            "more, and a share for each"
        )
    if not math.isclose(math.fsum(shares), 1, abs_tol=1e-6):
        raise BoundError(f"shares {_listed(shares)} do not add up to 1")
    first = checkpoints[0]
    if OTHERS in first.history:
        raise BoundError("the first checkpoint is an average already; name its parts instead")
    parts = [_weights(checkpoint) for checkpoint in checkpoints]
    for there, here in pairwise(parts):
        _check_alike(there, here)
    tensors = {
        name: sum((share * part[name] for share, part in zip(shares, parts, strict=True)), 0 * own)
        for name, own in parts[0].items()
    }
    others = "; ".join(origin(checkpoint) for checkpoint in checkpoints[1:])
    history = first.history | {OTHERS: others, SHARES: _listed(shares)}
    return replace(first, tensors=first.tensors | tensors, history=history)


def _weights(checkpoint: Checkpoint[R]) -> dict[str, Tensor]:
    return {k: t for k, t in checkpoint.tensors.items() if k.startswith(WEIGHTS)}


def _check_alike(there: dict[str, Tensor], here: dict[str, Tensor]) -> None:
    shapes = [{k: tuple(t.shape) for k, t in part.items()} for part in (there, here)]
    for name in sorted(there.keys() | here.keys()):
        one, other = (shape.get(name) for shape in shapes)
        if one != other:
            raise BundleError(
                f"{name} is {one} in one checkpoint and {other} in the next; name checkpoints of "
                "one network and shape"
            )


def _listed(shares: Sequence[float]) -> str:
    return " ".join(f"{share:.9g}" for share in shares)
