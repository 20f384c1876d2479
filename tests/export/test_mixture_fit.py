from __future__ import annotations

import numpy as np
import pytest

from edgeae.errors import BoundError
from edgeae_export.plain.mixture_fit import LATENTS_A_COMPONENT, fit_mixture

pytestmark = pytest.mark.torch


def test_samples_lie_where_the_latents_do() -> None:
    random = np.random.default_rng(1)
    angles = random.uniform(0, 2 * np.pi, 3000)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 2
    latents = (ring + random.normal(0, 0.05, ring.shape)).astype(np.float32)
    samples = fit_mixture(latents).sample(1000, seed=1, truncation=1.0)
    # N(0, 1) would have half of its samples within 1.2 of the centre.
    distances = np.linalg.norm(samples, axis=1)
    assert 1.8 < np.quantile(distances, 0.02) < np.quantile(distances, 0.98) < 2.2


def test_few_latents_get_few_components() -> None:
    latents = np.random.default_rng(1).normal(size=(3 * LATENTS_A_COMPONENT, 2))
    assert len(fit_mixture(latents.astype(np.float32)).weights) == 3
    with pytest.raises(BoundError, match="at least 20 inputs"):
        fit_mixture(latents[:5].astype(np.float32))


def test_many_dimensions_need_more_latents() -> None:
    latents = np.random.default_rng(1).normal(size=(200, 30)).astype(np.float32)
    assert len(fit_mixture(latents).weights) == 2
