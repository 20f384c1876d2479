"""Samples, ways and variants: what holds for all of them, in arrays alone."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgeae.bundle import read_manifest
from edgeae.errors import BundleError
from edgeae.latent_space import (
    Deviation,
    add_change,
    interpolate_linear,
    interpolate_spherical,
    sample_prior,
    sample_shape,
    vary,
)

SHAPE = (5, 2, 3)
A, B = np.random.default_rng(0).normal(0, 1, (2, *SHAPE)).astype(np.float32)


def norms(points: NDArray[np.float32]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.square(points.astype(np.float64)).sum(axis=(1, 2, 3))
    return np.sqrt(squares)


def test_samples_depend_on_the_seed_alone() -> None:
    samples = sample_prior(7, SHAPE, seed=4)
    assert samples.shape == (7, *SHAPE)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, sample_prior(7, SHAPE, seed=4))
    np.testing.assert_array_equal(samples[:3], sample_prior(3, SHAPE, seed=4))
    assert (samples != sample_prior(7, SHAPE, seed=5)).all()


def test_samples_are_normal_and_truncation_scales_them() -> None:
    samples = sample_prior(2000, (8, 1, 1), seed=0)
    assert abs(float(samples.mean())) < 0.03
    assert abs(float(samples.std()) - 1) < 0.03
    scaled = sample_prior(2000, (8, 1, 1), seed=0, truncation=0.5)
    np.testing.assert_allclose(scaled, 0.5 * samples, rtol=1e-6)


@pytest.mark.parametrize(
    ("count", "truncation"), [(0, 1.0), (-1, 1.0), (1, -0.1), (1, math.nan), (1, math.inf)]
)
def test_samples_that_make_no_sense_are_refused(count: int, truncation: float) -> None:
    with pytest.raises(ValueError, match=r"at least"):
        sample_prior(count, SHAPE, seed=0, truncation=truncation)


def test_only_a_prior_has_samples(plain_bundle: Path) -> None:
    manifest = read_manifest(plain_bundle)
    with pytest.raises(BundleError, match="bundle plain has no prior"):
        sample_shape(manifest)
    steps = (1.0,) * manifest.latent_channels
    variational = dataclasses.replace(manifest, prior="normal", latent_step=steps)
    channels, h, w = sample_shape(variational)
    assert channels == manifest.latent_channels
    assert h == w == 64 // manifest.stride  # 64 pixels a side where any size goes
    fixed = dataclasses.replace(variational, size=(28, 20), latent_size=(1, 2))
    assert sample_shape(fixed) == (channels, 1, 2)


@pytest.mark.parametrize("way", [interpolate_linear, interpolate_spherical])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_ways_begin_and_end_at_their_ends(way: type, count: int) -> None:
    points = way(A, B, count)
    assert (points.shape, points.dtype) == ((count, *SHAPE), np.float32)
    np.testing.assert_allclose(points[0], A, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(points[-1], B, rtol=1e-5, atol=1e-6)


def test_middle_of_the_straight_way_is_the_mean() -> None:
    np.testing.assert_allclose(interpolate_linear(A, B, 3)[1], (A + B) / 2, rtol=1e-5, atol=1e-6)


def test_norm_changes_evenly_on_the_arc() -> None:
    points = interpolate_spherical(A, 3 * B, 7)
    expected = np.linspace(np.linalg.norm(A), np.linalg.norm(3 * B), 7)
    np.testing.assert_allclose(norms(points), expected, rtol=1e-5)
    middle = norms(interpolate_linear(A, B, 3))[1]
    assert middle < 0.9 * min(np.linalg.norm(A), np.linalg.norm(B))  # what the arc avoids


def test_direction_turns_evenly_on_the_arc() -> None:
    points = interpolate_spherical(A, 3 * B, 7).reshape(7, -1).astype(np.float64)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    angles = np.arccos((unit[1:] * unit[:-1]).sum(axis=1))
    np.testing.assert_allclose(angles, angles.mean(), rtol=1e-4)


@pytest.mark.parametrize("end", [A, 2 * A, -A, np.zeros_like(A)], ids=["same", "far", "back", "0"])
def test_arc_that_is_none_is_straight(end: NDArray[np.float32]) -> None:
    for a, b in ((A, end), (end, A)):
        np.testing.assert_array_equal(interpolate_spherical(a, b, 5), interpolate_linear(a, b, 5))


def test_ways_need_two_ends_of_one_shape() -> None:
    with pytest.raises(ValueError, match=r"from latents \(5, 2, 3\) to \(4, 2, 3\)"):
        interpolate_linear(A, B[:4], 3)
    with pytest.raises(ValueError, match="1 points"):
        interpolate_spherical(A, B, 1)


def test_variants_spread_around_the_mean() -> None:
    deviation = np.array([0, 1, 2, 3, 4], np.float32).reshape(5, 1, 1)
    variants = vary(A, deviation, 4000, spread=0.5, seed=(1, 2))
    found = (variants - A).reshape(4000, 5, 6).transpose(1, 0, 2).reshape(5, -1)
    np.testing.assert_allclose(found.std(axis=1), [0, 0.5, 1, 1.5, 2], rtol=0.02)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=0.05)
    np.testing.assert_array_equal(variants, vary(A, deviation, 4000, spread=0.5, seed=(1, 2)))
    assert (vary(A, deviation, 1, spread=0, seed=(3,))[0] == A).all()
    one, two = (vary(A, np.ones_like(A), 1, spread=1, seed=(k, 7)) for k in (0, 1))
    assert (one != two).all()


def test_change_is_added_and_cut_off() -> None:
    original, before, after = np.array([[10, 250, 5], [200, 0, 99], [190, 40, 4]], np.uint8)
    found = add_change(original, before, after)
    assert found.tolist() == [0, 255, 0]
    assert found.dtype == np.uint8
    np.testing.assert_allclose(add_change(A, B, 3 * B), A + 2 * B, rtol=1e-5, atol=1e-6)
    assert add_change(A, B, B).dtype == np.float32


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(
            lambda size: hnp.arrays(np.float32, (2, *size), elements=st.floats(-99, 99, width=32))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_deviation_of_parts_is_that_of_all(parts: list[NDArray[np.float32]]) -> None:
    deviation = Deviation()
    for part in parts:
        deviation.add(part)
    together = np.concatenate([part.reshape(2, -1) for part in parts], axis=1)
    expected = together.astype(np.float64).std(axis=1)
    np.testing.assert_allclose(deviation.of_channels()[:, 0, 0], expected, rtol=1e-5, atol=1e-5)


def test_nothing_has_no_deviation() -> None:
    with pytest.raises(ValueError, match="no latents"):
        Deviation().of_channels()
