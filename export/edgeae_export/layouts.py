"""Layouts of weights: matrices as the networks train them, kernels as ONNX's Conv takes them.

The networks keep channels last, so a space-to-depth before a matrix product, or nine shifted views,
order the inputs (dy, dx, c); a convolution wants [out, c, dy, dx]. Each pair here is exact and
inverse, so that training can start again from a bundle.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)
PATCH_SIDE = 16  # of the linear analysis: squares of 8 pixels, then 2 x 2 of those
_PATCH_AXES = (1, 3, 2, 4, 5, 0)  # (out, dy2, dx2, dy8, dx8, c) -> (dy2, dy8, dx2, dx8, c, out)


def to_kernel(matrix: NDArray[_Scalar], side: int) -> NDArray[_Scalar]:
    """Return [out, in, side, side] of ``matrix`` [out, side * side * in], order (dy, dx, c)."""
    return matrix.reshape(len(matrix), side, side, -1).transpose(0, 3, 1, 2)


def from_kernel(kernel: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Invert `to_kernel`."""
    return kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1)


def to_step_kernels(matrices: NDArray[_Scalar], side: int) -> NDArray[_Scalar]:
    """Return [steps, out, in, side, side] of ``matrices`` [steps, out, side * side * in]."""
    steps, outputs, _ = matrices.shape
    kernels = to_kernel(matrices.reshape(steps * outputs, -1), side)
    return kernels.reshape(steps, outputs, -1, side, side)


def from_step_kernels(kernels: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Invert `to_step_kernels`."""
    steps, outputs = kernels.shape[:2]
    return from_kernel(kernels.reshape(-1, *kernels.shape[2:])).reshape(steps, outputs, -1)


def to_depthwise_kernel(taps: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Return [C, 1, 3, 3] of ``taps`` [9, C], row by row."""
    return taps.T.reshape(-1, 1, 3, 3)


def from_depthwise_kernel(kernel: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Invert `to_depthwise_kernel`."""
    return kernel.reshape(len(kernel), 9).T


def to_patch_matrix(matrix: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Return [768, out], order (dy, dx, c), of the linear analysis.

    That is [out, 768] in the order (dy2, dx2, dy8, dx8, c).
    """
    split = matrix.reshape(len(matrix), 2, 2, 8, 8, 3).transpose(_PATCH_AXES)
    return split.reshape(-1, len(matrix))


def from_patch_matrix(matrix: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Invert `to_patch_matrix`."""
    outputs = matrix.shape[1]
    inverse: Any = np.argsort(_PATCH_AXES)
    split = matrix.reshape(2, 8, 2, 8, 3, outputs).transpose(inverse)
    return split.reshape(outputs, -1)
