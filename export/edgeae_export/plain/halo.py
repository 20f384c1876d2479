"""How far an output pixel sees: measured by changing pixels and looking where it can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae_export.plain.geometry import Geometry
    from edgeae_export.plain.pair import Floats, Pair

    Lines = NDArray[np.bool_]

LONGEST = 512  # pixels of a strip; what sees farther than a half of it has no halo
VISIBLE = 1e-6  # of pixels in 0..1, a four-thousandth of a grey level; below is rounding
SEED = 3


def measure_halo(pair: Pair, geometry: Geometry) -> int | None:
    """Return the pixels on each side that an output pixel may depend on.

    Strips of noise are changed up to, or from, a certain pixel on; then all latents that differ
    are exchanged, and the farthest output pixel that differs shows the halo. (Changed pixels alone
    would not show what rounded latents carry.) Every position relative to the stride is tried, in
    both directions of both axes.

    Returns
    -------
    int or None
        None if there is no such bound below 256 pixels, or the pair takes one size only.
    """
    if not geometry.any_size:
        return None
    length = 16 * geometry.stride
    while length <= max(LONGEST, 16 * geometry.stride):
        found = [_along(pair, geometry, length, axis) for axis in (1, 2)]
        if all(halo is not None for halo in found):
            return max(halo for halo in found if halo is not None)
        length *= 2
    return None


def _along(pair: Pair, geometry: Geometry, length: int, axis: int) -> int | None:
    """Return the halo along an axis of (n, H, W, C); None if the strip is too short for it."""
    stride = geometry.stride
    sides = [4 * stride, 4 * stride]
    sides[axis - 1] = length
    random = np.random.default_rng(SEED)
    clean, other = random.random((2, *sides, geometry.shape[-1]), np.float32)
    y_clean, y_other = pair.encode(np.stack([clean, other]))
    middle = length // 2
    farthest = 0
    for border in range(middle, middle + stride):
        before = np.arange(length) < border
        for changed in (before, ~before):
            y = pair.encode(np.where(_lines(changed, axis), other, clean)[np.newaxis])[0]
            touched = _differs(y_clean, y, axis)
            mixed = np.where(_lines(touched, axis)[np.newaxis, ..., 0], y_other, y_clean)
            decoded = pair.decode(np.stack([y_clean, mixed]), clean.shape)
            one, two = np.moveaxis(decoded, 3, 1)
            seen = np.flatnonzero(_differs(one, two, axis) & ~changed)
            if seen.size == 0:
                continue
            if seen[0] == 0 or seen[-1] == length - 1:
                return None
            farthest = max(farthest, int(np.abs(seen - border + 0.5).max() + 0.5))
    return farthest


def _lines(chosen: Lines, axis: int) -> Lines:
    """Return rows or columns as what selects them in (H, W, C)."""
    return chosen[:, None, None] if axis == 1 else chosen[None, :, None]


def _differs(one: Floats, two: Floats, axis: int) -> Lines:
    """Return which rows or columns of (C, H, W) differ by more than rounding does."""
    change = np.abs(one - two).max(axis=(0, 3 - axis))
    visible: Lines = change > VISIBLE * max(1.0, float(np.abs(one).max()))
    return visible
