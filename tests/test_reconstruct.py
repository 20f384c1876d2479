"""Codec.posterior, Codec.reconstruct and Codec.decode_like: latents without rounding."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from array_bundle import SHAPE, write_array_bundle
from numpy.typing import NDArray
from plain_bundles import VAE_LOG_VARIANCE, VAE_SIDE, write_filter_bundle, write_vae_bundle

from edgeae.arrays import FloatArray
from edgeae.batches import WINDOW_ITEMS, windows_of
from edgeae.codec import Codec
from edgeae.errors import BundleError, GraphError, ImageError
from edgeae.graphs import Graph
from edgeae.images.picture import Picture
from edgeae.inputs import Source
from edgeae.latent_space import sample_prior

pytestmark = pytest.mark.torch  # the bundles are written with onnx

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    folder = write_vae_bundle(tmp_path_factory.mktemp("bundles") / "vae")
    return Codec.load(folder, threads=1)


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    folder = write_filter_bundle(tmp_path_factory.mktemp("bundles") / "filters")
    return Codec.load(folder, threads=1)


def noise(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def pixels_of(source: Source) -> Pixels:
    assert isinstance(source, Picture)
    return source.pixels


def filtered(codec: Codec, pixels: Pixels) -> Pixels:
    """decoder(encoder(x)) in one piece, by the graphs themselves."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    read = codec.bundle.read
    (y,) = Graph("encoder", partial(read, "encoder.onnx")).run(pixels=padded[np.newaxis])
    level = np.asarray(100, np.float32)
    (found,) = Graph("decoder", partial(read, "decoder.onnx")).run(y_hat=y, quality=level)
    cut: Pixels = found[0, :height, :width]
    return cut


def test_posterior_is_mean_and_deviation(vae: Codec) -> None:
    pictures = vae.generate(sample_prior(5, (4, 1, 1), seed=1))[..., 0]
    for (mean, deviation), expected in zip(
        vae.posterior(pictures), vae.embed(pictures), strict=True
    ):
        np.testing.assert_array_equal(mean, expected)
        assert deviation is not None
        np.testing.assert_allclose(deviation, np.full((4, 1, 1), np.exp(VAE_LOG_VARIANCE / 2)))


def test_plain_encoder_has_no_deviation(filters: Codec) -> None:
    ((mean, deviation),) = filters.posterior([noise(6, 4, 3)])
    assert (mean.shape, deviation) == ((12, 3, 2), None)


def test_samples_survive_the_way_back(vae: Codec) -> None:
    latents = sample_prior(6, (4, 1, 1), seed=2)
    found = np.stack(list(vae.embed(vae.generate(latents)[..., 0])))
    np.testing.assert_allclose(found, latents, atol=0.05)  # pixels are rounded to levels


@pytest.mark.parametrize("size", [(530, 700), (1025, 40), (1, 777), (513, 512)])
def test_tiles_leave_no_seams(filters: Codec, size: tuple[int, int]) -> None:
    pixels = noise(*size, 3)
    found = pixels_of(next(filters.reconstruct([pixels]))).astype(int)
    assert np.abs(found - filtered(filters, pixels)).max() <= 1


def test_wrong_halo_would_leave_seams(tmp_path: Path) -> None:
    codec = Codec.load(write_filter_bundle(tmp_path / "wrong", halo=0), threads=1)
    pixels = noise(530, 20, 3)
    found = pixels_of(next(codec.reconstruct([pixels]))).astype(int)
    assert np.abs(found - filtered(codec, pixels)).max() > 9


def test_large_and_small_come_in_order(filters: Codec) -> None:
    pictures = [
        noise(*size, 3, seed=k) for k, size in enumerate([(5, 4), (600, 8), (5, 4), (9, 9)])
    ]
    found = list(filters.reconstruct(pictures))
    for source, pixels in zip(found, pictures, strict=True):
        expected = filtered(filters, pixels).astype(int)
        assert np.abs(pixels_of(source) - expected).max() <= 1


@pytest.mark.parametrize("height", [5, 600])
def test_alpha_and_metadata_stay(filters: Codec, height: int) -> None:
    alpha = noise(height, 7)
    picture = Picture(noise(height, 7), alpha, b"profile", b"Exif\0\0x", ("a note",))
    (found,) = filters.reconstruct([picture])
    assert isinstance(found, Picture)
    assert found.pixels.shape == (height, 7)
    assert found.alpha is not None
    np.testing.assert_array_equal(found.alpha, alpha)
    assert (found.icc, found.exif) == (b"profile", b"Exif\0\0x")


def test_hyperprior_cannot_be_left_out(tiny_bundle: Path, photo: Pixels) -> None:
    codec = Codec.load(tiny_bundle, threads=1)
    with pytest.raises(BundleError, match="choose a plain autoencoder"):
        next(codec.reconstruct([photo]))
    ((mean, deviation),) = codec.posterior([photo])  # its latents can be had all the same
    assert (mean.shape, deviation) == (codec.encode(photo).symbols.shape, None)


def test_arrays_are_reconstructed(tmp_path: Path) -> None:
    codec = Codec.load(write_array_bundle(tmp_path / "series"), threads=1)
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    (found,) = codec.reconstruct([values])
    assert isinstance(found, FloatArray)
    np.testing.assert_allclose(found.values, values, rtol=1e-6)


def test_decoded_like_a_picture_has_its_size_and_alpha(filters: Codec) -> None:
    alpha = noise(5, 7)
    source = filters.read(Picture(noise(5, 7), alpha))
    (latents,) = filters.embed([source])
    one, two = filters.decode_like(np.stack([latents, 0 * latents]), source)
    (expected,) = filters.reconstruct([source])
    np.testing.assert_array_equal(pixels_of(one), pixels_of(expected))
    assert (pixels_of(two) == 0).all()
    assert isinstance(two, Picture)
    assert two.alpha is not None
    np.testing.assert_array_equal(two.alpha, alpha)


def test_picture_of_another_size_is_refused(vae: Codec) -> None:
    with pytest.raises(ImageError, match=r"9x8, but bundle vae takes 8x8"):
        next(vae.reconstruct([noise(8, 9)]))


def test_log_variance_of_another_shape_is_a_graph_error(
    vae: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = vae._transforms.encoder
    run_all = graph.run_all

    def fewer(**inputs: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        outputs = run_all(**inputs)
        return {**outputs, "log_variance": outputs["log_variance"][:, :3]}

    monkeypatch.setattr(graph, "run_all", fewer)
    with pytest.raises(GraphError, match=r"gives \(1, 3, 1, 1\) for pixels"):
        next(vae.posterior([noise(VAE_SIDE, VAE_SIDE)]))


def test_all_outputs_have_their_names(vae: Codec) -> None:
    graph = Graph("encoder", partial(vae.bundle.read, "encoder.onnx"))
    pixels = noise(2, VAE_SIDE, VAE_SIDE, 1)
    outputs = graph.run_all(pixels=pixels)
    assert set(outputs) == {"y", "log_variance"}
    np.testing.assert_array_equal(outputs["y"], graph.run(pixels=pixels)[0])
    with pytest.raises(GraphError, match="cannot run it on"):
        graph.run_all(pixels=pixels[0])


def test_batches_are_cut_into_pieces_of_bounded_size() -> None:
    batch = np.zeros((600, 1), np.float32)
    sizes = [len(piece) for piece in windows_of(batch, 1, together=True)]
    assert sizes == [WINDOW_ITEMS, WINDOW_ITEMS, 600 - 2 * WINDOW_ITEMS]
    assert len(windows_of(batch, 1 << 30, together=True)) == 600
    assert len(windows_of(batch, 1, together=False)) == 600


def test_generated_pictures_do_not_depend_on_their_number(vae: Codec) -> None:
    latents = sample_prior(300, (4, 1, 1), seed=0)
    all_at_once = vae.generate(latents)
    assert all_at_once.shape == (300, VAE_SIDE, VAE_SIDE, 1)
    difference = all_at_once[290:].astype(int) - vae.generate(latents[290:])
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    "shape", [(3, 1, 1, 1), (3, 5, 1, 1), (0, 4, 1, 1), (4, 1, 1), (1, 4, 0, 1)]
)
def test_latents_of_another_shape_are_a_graph_error(vae: Codec, shape: tuple[int, ...]) -> None:
    with pytest.raises(GraphError, match=r"decodes \(n, 4, h, w\)"):
        vae.generate(np.zeros(shape, np.float32))


def test_manifests_of_the_made_bundles_are_what_they_say(vae: Codec, filters: Codec) -> None:
    assert (vae.bundle.manifest.prior, vae.takes_batches) == ("normal", True)
    assert filters.bundle.manifest == dataclasses.replace(filters.bundle.manifest, halo=2)
