"""The mixture that a bundle is sampled from: its draws, its file, what a damaged one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_bundles import VAE_LATENTS, write_vae_bundle

from edgeae.bundle import MANIFEST, PRIOR, Bundle, file_sha256
from edgeae.codec import Codec
from edgeae.errors import BundleError
from edgeae.mixture import Mixture
from edgeae.sampling import sample_latents

TWO = Mixture(
    np.array([0.25, 0.75], np.float32),
    np.array([[-5, 0], [5, 1]], np.float32),
    np.array([[[1, 0], [0, 1]], [[0.5, 0], [0.4, 0.3]]], np.float32),
)


def write_mixture_bundle(folder: Path, **arrays: Any) -> Path:
    """Write a bundle of four latents whose prior is two spikes, with ``arrays`` in their place."""
    spikes = {
        "weights": np.array([0.5, 0.5], np.float32),
        "means": np.stack([np.full(VAE_LATENTS, v, np.float32) for v in (-1, 2)]),
        "factors": np.zeros((2, VAE_LATENTS, VAE_LATENTS), np.float32),
    }
    bundle = write_vae_bundle(folder, prior="mixture")
    np.savez(bundle / PRIOR, **{**spikes, **arrays})
    text = (bundle / MANIFEST).read_text()
    entry = f'"{PRIOR}": "{file_sha256(bundle / PRIOR)}", '
    (bundle / MANIFEST).write_text(text.replace('"files": {', '"files": {' + entry, 1))
    return bundle


def test_samples_have_the_mixture_s_weights_means_and_covariances() -> None:
    samples = TWO.sample(20_000, seed=3, truncation=1.0)
    assert samples.dtype == np.float32
    second = samples[samples[:, 0] > 0]
    assert len(second) / len(samples) == pytest.approx(0.75, abs=0.01)
    np.testing.assert_allclose(second.mean(axis=0), TWO.means[1], atol=0.02)
    covariance = TWO.factors[1] @ TWO.factors[1].T
    np.testing.assert_allclose(np.cov(second.T), covariance, atol=0.01)


def test_first_samples_are_those_of_fewer_and_truncation_goes_to_the_means() -> None:
    samples = TWO.sample(50, seed=1, truncation=1.0)
    np.testing.assert_array_equal(samples[:7], TWO.sample(7, seed=1, truncation=1.0))
    assert (samples != TWO.sample(50, seed=2, truncation=1.0)).any()
    centres = TWO.sample(50, seed=1, truncation=0.0)
    assert {tuple(row) for row in centres.tolist()} == {(-5.0, 0.0), (5.0, 1.0)}
    half = TWO.sample(50, seed=1, truncation=0.5)
    np.testing.assert_allclose(half - centres, 0.5 * (samples - centres), atol=1e-5)


def test_bundle_is_sampled_from_its_mixture(tmp_path: Path) -> None:
    bundle = write_mixture_bundle(tmp_path / "vae")
    latents = sample_latents(Bundle.load(bundle), 40, seed=5)
    assert latents.shape == (40, VAE_LATENTS, 1, 1)
    assert set(latents.ravel().tolist()) == {-1.0, 2.0}
    codec = Codec.load(bundle, threads=1)
    np.testing.assert_array_equal(codec.sample(40, seed=5), codec.generate(latents))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": np.array([0.9, 0.5], np.float32)}, "weights are no probabilities"),
        ({"means": np.zeros((2, 3), np.float32)}, "mixture of shapes"),
        ({"factors": np.full((2, 4, 4), np.nan, np.float32)}, "other numbers than finite float32"),
    ],
)
def test_damaged_mixture_is_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    bundle = write_mixture_bundle(tmp_path / "vae", **arrays)
    with pytest.raises(BundleError, match=message):
        sample_latents(Bundle.load(bundle), 1)
