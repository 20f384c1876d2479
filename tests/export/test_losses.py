from __future__ import annotations

import math

import pytest
import torch

from edgeae_export import losses
from edgeae_export.networks.vae import sample_posterior

pytestmark = pytest.mark.torch


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def picture(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 2, 2)


def test_squared_error_and_cross_entropy_of_four_pixels() -> None:
    target = picture(0.0, 1.0, 0.5, 0.25)
    logits = torch.tensor([logit(0.5), logit(0.9), logit(0.5), logit(0.75)]).view(1, 1, 2, 2)
    code = torch.zeros(1, 8, 1, 1)
    expected = (0.25 + 0.01 + 0.0 + 0.25) / 4
    assert losses.squared_error(target, code, logits).item() == pytest.approx(expected)
    nats = [
        -math.log(0.5),
        -math.log(0.9),
        -math.log(0.5),
        -(0.25 * math.log(0.75) + 0.75 * math.log(0.25)),
    ]
    assert losses.cross_entropy(target, code, logits).item() == pytest.approx(sum(nats) / 4)
    assert losses.bernoulli_nats(target, logits).tolist() == pytest.approx([sum(nats)])


def test_code_as_picture_is_the_mean_of_channels_enlarged() -> None:
    code = torch.tensor([[[[1.0, 2.0]], [[3.0, 8.0]]]])  # [1, 2, 1, 2]
    enlarged = losses.code_as_picture(code, 2, 4)
    assert enlarged.tolist() == [[[[2, 2, 5, 5], [2, 2, 5, 5]]]]


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, 0.25), (1.0, 0.09), (0.5, 0.17)])
def test_weighted_error_is_a_mean_of_both_parts(alpha: float, expected: float) -> None:
    target = picture(1.0, 1.0, 1.0, 1.0)
    logits = torch.zeros(1, 1, 2, 2)  # 0.5: decoder error 0.25
    code = torch.tensor([0.5, 0.9]).view(1, 2, 1, 1)  # mean 0.7: encoder error 0.09
    assert losses.weighted_error(target, code, logits, alpha=alpha).item() == pytest.approx(
        expected
    )


def test_gaussian_nats_are_those_of_the_normal_density() -> None:
    target = picture(0.5, 0.7, 0.5, 0.4)
    density = torch.distributions.Normal(0.5, 0.1)
    expected = -density.log_prob(target).sum().item()
    found = losses.gaussian_nats(target, torch.zeros(1, 1, 2, 2), deviation=0.1)
    assert found.tolist() == pytest.approx([expected], rel=1e-5)


def test_kl_equals_its_monte_carlo_estimate() -> None:
    mean, log_variance = torch.tensor([[0.7, -1.5, 0.0]]), torch.tensor([[-1.0, 0.3, 0.0]])
    torch.manual_seed(3)
    noise = torch.randn(200_000, 3)
    z = sample_posterior(mean, log_variance, noise)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    log_ratio = posterior.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z)
    found = losses.kl_to_standard_normal(mean, log_variance)
    torch.testing.assert_close(found[0], log_ratio.mean(dim=0), atol=0.01, rtol=0)
    assert found[0, 2] == 0


def test_active_units_are_those_whose_mean_varies() -> None:
    torch.manual_seed(0)
    means = torch.randn(1000, 4) * torch.tensor([1.0, 0.09, 0.11, 0.0]) + 5
    assert losses.active_units(means) == 2
