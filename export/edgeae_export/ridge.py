"""Least squares with a ridge, from sums over the examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def solve(gram: Tensor, cross: Tensor, ridge: float) -> Tensor:
    """Return float64 weights [in, out] that best make outputs of inputs.

    Parameters
    ----------
    gram : [in, in] float64
        Sum of the products of inputs with inputs.
    cross : [in, out] float64
        Sum of the products of inputs with outputs.
    ridge : float
        Added to the diagonal, as a share of its mean: what inputs that are alike need.
    """
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    diagonal = ridge * gram.diagonal().mean() * identity
    weights: Tensor = torch.linalg.solve(gram + diagonal, cross)
    return weights
