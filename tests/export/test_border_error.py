from __future__ import annotations

import pytest
import torch

from edgeae_export.distortion import border_error

pytestmark = pytest.mark.torch


def flat(level: float = 100.0) -> torch.Tensor:
    return torch.full((1, 32, 48, 3), level)


def test_no_step_at_borders_costs_nothing() -> None:
    brighter = flat(103.0)
    inside = flat()
    inside[:, :, 20:24] += 5  # a stripe within a block
    assert border_error(brighter, flat()).item() == 0
    assert border_error(inside, flat()).item() == 0


@pytest.mark.parametrize("axis", [1, 2])
def test_a_step_at_a_border_counts_by_its_square_and_length(axis: int) -> None:
    decoded = flat()
    decoded.narrow(axis, 16, decoded.shape[axis] - 16).add_(4)
    # One border of 48 or 32 pixels in a picture of 32 x 48.
    expected = 4**2 / decoded.shape[axis]
    assert border_error(decoded, flat()).item() == pytest.approx(expected)


def test_steps_count_little_where_the_original_varies() -> None:
    torch.manual_seed(0)
    rough = flat() + 40 * torch.randn(1, 32, 48, 3)
    step = torch.zeros_like(rough)
    step[:, :, 16:] = 4
    smooth = border_error(flat() + step, flat()).item()
    assert border_error(rough + step, rough).item() < 0.01 * smooth
