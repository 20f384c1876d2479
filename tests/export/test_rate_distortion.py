from __future__ import annotations

import pytest
import torch

from export.random_codec import SMALL, random_model

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(("shade", "error"), [(255.0, 0.0), (200.0, 55.0**2)])
def test_whiter_than_white_is_white(shade: float, error: float) -> None:
    found, slope = error_of_overshooting(shade)
    assert found == pytest.approx(error)
    assert (slope > 0) == (error > 0)  # what is not white is pulled back


def error_of_overshooting(shade: float) -> tuple[float, float]:
    """Error of a decoder that makes any picture far too bright, and its slope in brightness."""
    model = random_model()
    bias = model.codec.decoder.linear_bias.add_(2000.0).requires_grad_()
    pixels, quality = torch.full((1, 64, 64, 3), shade), torch.tensor([50.0])
    noise = (
        torch.zeros(1, 4, 4, SMALL.latent_channels),
        torch.zeros(1, 1, 1, SMALL.hyper_channels),
    )
    *_, error = model(pixels, quality, *noise)
    error.sum().backward()
    assert bias.grad is not None
    return error.item(), bias.grad.sum().item()
