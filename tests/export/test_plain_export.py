"""A user's own pair of modules: what the bundle is, does, refuses and says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeae.bundle import Bundle
from edgeae.codec import Codec
from edgeae.errors import BoundError, ImageError, OutputError
from edgeae.graphs import Graph
from edgeae_export import export_autoencoder
from edgeae_export.plain.geometry import find_geometry
from edgeae_export.plain.halo import measure_halo
from edgeae_export.plain.modules import ModulePair
from export.made_inputs import blobs, waves

pytestmark = [pytest.mark.torch, pytest.mark.slow]


def patches() -> tuple[nn.Module, nn.Module]:
    """A transform of 4x4 patches, without loss and for any size."""
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(16, 16))[0].view(16, 1, 4, 4)
    encoder, decoder = (
        nn.Conv2d(1, 16, 4, 4, bias=False),
        nn.ConvTranspose2d(16, 1, 4, 4, bias=False),
    )
    with torch.no_grad():
        encoder.weight.copy_(basis)
        decoder.weight.copy_(basis)
    return encoder, decoder


class Variational(nn.Module):
    """Principal components of blobs as means; a constant log-variance; one latent is not used."""

    def __init__(self, basis: Tensor) -> None:
        super().__init__()
        self.basis = nn.Parameter(basis)  # (144, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = x.flatten(1) @ self.basis
        mean = torch.cat([mean, 0.01 * mean[:, :1]], dim=1)
        return mean, torch.full_like(mean, -2.0)


class Components(nn.Module):
    def __init__(self, basis: Tensor) -> None:
        super().__init__()
        self.basis = nn.Parameter(basis)

    def forward(self, z: Tensor) -> Tensor:
        return (z[:, :5] @ self.basis.T).view(-1, 1, 12, 12)


@pytest.fixture(scope="module")
def any_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "patches"
    export_autoencoder(*patches(), blobs(1)[0], folder, data=blobs(60), training={"data": "blobs"})
    return folder


@pytest.fixture(scope="module")
def variational(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "vae"
    flat = blobs(200).reshape(200, -1) / 255
    basis = torch.from_numpy(np.linalg.svd(flat, full_matrices=False)[2][:5].T.copy()).float()
    export_autoencoder(
        Variational(basis),
        Components(basis),
        blobs(1)[0],
        folder,
        data=blobs(100),
        prior="normal",
        name="spots",
        description="Spots.",
    )
    return folder


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "waves"
    t = np.arange(24) / 24 * 2 * np.pi
    basis = torch.from_numpy(np.stack([np.sin(k * t) for k in (1, 2, 3)])).float() / 12**0.5
    encoder, decoder = nn.Linear(24, 3, bias=False), nn.Linear(3, 24, bias=False)
    with torch.no_grad():
        encoder.weight.copy_(basis)
        decoder.weight.copy_(basis.T)
    export_autoencoder(encoder, decoder, waves(1)[0], folder, data=waves(80))
    return folder


def test_manifest_says_what_was_found(any_size: Path, variational: Path, arrays: Path) -> None:
    manifest = Bundle.load(any_size).manifest
    assert (manifest.input, manifest.size, manifest.shape) == ("grey", None, None)
    assert (manifest.stride, manifest.latent_channels, manifest.prior) == (4, 16, None)
    assert manifest.halo == 3  # a pixel sees its patch alone
    assert manifest.training["data"] == "blobs"
    fixed = Bundle.load(variational).manifest
    assert (fixed.name, fixed.size, fixed.latent_size) == ("spots", (12, 12), (1, 1))
    assert (fixed.latent_channels, fixed.prior, fixed.halo) == (6, "normal", None)
    array = Bundle.load(arrays).manifest
    assert (array.input, array.shape, array.latent_size) == ("array", (2, 24), (1, 3))
    assert array.latent_channels == 2
    for found in (manifest, fixed, array):
        assert len(found.latent_step or ()) == found.latent_channels
        ((_, bits, decibels),) = found.rate_distortion
        assert bits > 0
        assert decibels > 15


@pytest.mark.parametrize("fixture", ["any_size", "variational", "arrays"])
def test_rounding_latents_hardly_adds_an_error(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    checked = Bundle.load(request.getfixturevalue(fixture)).manifest.training["checked"]
    assert isinstance(checked, dict)
    numbers = {name: float(str(value)) for name, value in checked.items()}
    error, rounded = (
        numbers[f"mean squared error{ending}"] for ending in ("", " with rounded latents")
    )
    variance = 1e-5 * {"any_size": 0.1, "arrays": 1e6}.get(fixture, 0)  # without loss: 50 dB below
    assert 0 < rounded - error <= max(0.02 * error, variance)
    assert numbers["latents, largest difference"] <= 1e-4
    assert numbers["pixels, largest difference"] <= 1e-4


def test_pictures_of_any_size_come_back(any_size: Path) -> None:
    codec = Codec.load(any_size, threads=1)
    for height, width in ((12, 12), (1, 1), (13, 30)):
        picture = blobs(1, 40)[0, :height, :width]
        decoded = codec.decompress(codec.compress(picture)).astype(int)
        assert decoded.shape == picture.shape
        assert np.square(decoded - picture).mean() < 4


def test_pictures_of_another_size_are_refused_where_it_is_fixed(variational: Path) -> None:
    codec = Codec.load(variational, threads=1)
    assert codec.decompress(codec.compress(blobs(1)[0])).shape == (12, 12)
    with pytest.raises(ImageError, match="a picture of 13x12, but bundle spots takes 12x12 only"):
        codec.compress(np.zeros((12, 13), np.uint8))


def test_arrays_come_back_and_others_are_refused(arrays: Path) -> None:
    codec = Codec.load(arrays, threads=1)
    series = waves(1, seed=9)[0]
    decoded = codec.decompress(codec.compress(series.astype(np.float64)))
    assert (decoded.dtype, decoded.shape) == (np.float32, (2, 24))
    assert np.square(decoded - series).mean() < 2e-4 * np.square(series).mean()
    with pytest.raises(ImageError, match=r"an array of \(24,\), but the bundle takes \(2, 24\)"):
        codec.compress(series[0])
    broken = series.copy()
    broken[1, 3] = np.nan
    with pytest.raises(ImageError, match="NaN"):
        codec.compress(broken)
    with pytest.raises(TypeError, match="takes arrays of floats, got uint8"):
        codec.compress(np.zeros((2, 24), np.uint8))


def test_latents_are_those_of_the_modules_in_steps(variational: Path) -> None:
    codec = Codec.load(variational, threads=1)
    steps = np.array(codec.bundle.manifest.latent_step)
    picture = blobs(1, seed=5)[0]
    flat = blobs(200).reshape(200, -1) / 255
    basis = np.linalg.svd(flat, full_matrices=False)[2][:5]
    expected = basis @ (picture.reshape(-1) / 255)
    symbols = codec.encode(picture).symbols[:5, 0, 0]
    np.testing.assert_allclose(symbols * steps[:5], expected, atol=steps.max() / 2 + 1e-4)


def test_embedded_pictures_are_the_latents_and_generate_the_pictures(variational: Path) -> None:
    codec = Codec.load(variational, threads=1)
    pictures = blobs(5, seed=5)
    flat = blobs(200).reshape(200, -1) / 255
    basis = np.linalg.svd(flat, full_matrices=False)[2][:5]
    found = np.stack(list(codec.embed(pictures)))
    assert found.shape == (5, 6, 1, 1)
    expected = pictures.reshape(5, -1) / 255 @ basis.T
    np.testing.assert_allclose(found[:, :5, 0, 0], expected, atol=1e-4)
    made = codec.generate(found)
    assert (made.dtype, made.shape) == (np.uint8, (5, 12, 12, 1))
    wanted = (255 * expected @ basis).clip(0, 255).reshape(made.shape)
    assert np.abs(made - wanted).max() <= 0.51


def test_unused_latent_costs_nothing(variational: Path) -> None:
    codec = Codec.load(variational, threads=1)
    symbols = np.stack([codec.encode(picture).symbols for picture in blobs(20, seed=3)])
    assert not symbols[:, 5].any()
    assert symbols[:, :5].any(axis=(0, 2, 3)).all()


def test_log_variance_is_the_second_output(variational: Path) -> None:
    import onnx

    model = onnx.load(variational / "encoder.onnx")
    assert [output.name for output in model.graph.output] == ["y", "log_variance"]
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    data = model.SerializeToString()
    from edgeae.graphs import Signature

    both = Signature(
        {"pixels": "tensor(uint8)"}, {"y": "tensor(float)", "log_variance": "tensor(float)"}
    )
    graph = Graph("encoder", lambda: data, signature=both)
    _, log_variance = graph.run(pixels=blobs(3)[..., None])
    np.testing.assert_allclose(log_variance, np.full((3, 6, 1, 1), -2.0))


@pytest.mark.parametrize("fixture", ["any_size", "variational"])
def test_many_at_once_are_the_same_files_and_pictures(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    codec = Codec.load(request.getfixturevalue(fixture), threads=1)
    pictures: list[NDArray[np.uint8]] = list(blobs(7, seed=4))
    if fixture == "any_size":
        pictures[2] = pictures[2][:, :7]
        pictures[5] = pictures[5][:9]
    files = list(codec.compress_many(iter(pictures)))
    assert files == [codec.compress(picture) for picture in pictures]
    decoded = list(codec.decompress_many(iter(files)))
    for one, data in zip(decoded, files, strict=True):
        np.testing.assert_array_equal(one, codec.decompress(data))


def test_many_files_of_several_qualities_come_back_in_order(any_size: Path) -> None:
    codec = Codec.load(any_size, threads=1)
    pictures = blobs(4, seed=8)
    files = [codec.compress(p, q) for p, q in zip(pictures, (10, 50, 10, 50), strict=True)]
    for one, data in zip(codec.decompress_many(files), files, strict=True):
        np.testing.assert_array_equal(one, codec.decompress(data))


def test_equal_modules_and_data_give_equal_files(any_size: Path, tmp_path: Path) -> None:
    again = tmp_path / "patches"
    export_autoencoder(*patches(), blobs(1)[0], again, data=blobs(60), training={"data": "blobs"})
    for path in sorted(any_size.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_halo_is_what_the_layers_say() -> None:
    torch.manual_seed(3)
    encoder = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
    decoder = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(6, 3, 3, padding=1))
    example = np.zeros((16, 16, 3), np.float32)
    pair = ModulePair(encoder, decoder, example, "rgb")
    geometry = find_geometry(pair, example, "rgb")
    assert (geometry.any_size, geometry.stride) == (True, 2)
    assert measure_halo(pair, geometry) == 3


def test_network_that_sees_everything_has_no_halo() -> None:
    torch.manual_seed(3)
    encoder = nn.Sequential(nn.Conv2d(1, 2, 2, stride=2), nn.InstanceNorm2d(2))
    decoder = nn.ConvTranspose2d(2, 1, 2, stride=2)
    example = np.zeros((16, 16, 1), np.float32)
    pair = ModulePair(encoder, decoder, example, "grey")
    geometry = find_geometry(pair, example, "grey")
    assert geometry.any_size
    assert measure_halo(pair, geometry) is None


def test_padding_inside_the_network_is_found() -> None:
    torch.manual_seed(3)
    encoder = nn.Sequential(*(nn.Conv2d(inputs, 2, 3, 2, 1) for inputs in (1, 2, 2)))
    decoder = nn.ConvTranspose2d(2, 1, 8, stride=8)
    example = np.zeros((28, 28, 1), np.float32)  # 28 -> 14 -> 7 -> 4: a stride of 8, not of 7
    pair = ModulePair(encoder, decoder, example, "grey")
    geometry = find_geometry(pair, example, "grey")
    assert (geometry.any_size, geometry.stride, geometry.shape) == (True, 8, (32, 32, 1))


def test_code_that_fixes_the_batch_gives_graphs_for_one(tmp_path: Path) -> None:
    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            count = int(x.shape[0])  # a number of Python is a constant in a trace
            return x.reshape(count, 16, 9)

    class Back(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.reshape(-1, 1, 12, 12)

    export_autoencoder(Stubborn(), Back(), blobs(1)[0], tmp_path / "b", data=blobs(25))
    codec = Codec.load(tmp_path / "b", threads=1)
    assert not codec.takes_batches
    files = list(codec.compress_many(blobs(3)))
    assert files == [codec.compress(picture) for picture in blobs(3)]


def test_decoder_that_gives_another_size_is_refused(tmp_path: Path) -> None:
    encoder, _ = patches()
    with pytest.raises(BoundError, match=r"decoder\(encoder\(x\)\) is \(6, 6, 1\)"):
        export_autoencoder(
            encoder,
            nn.ConvTranspose2d(16, 1, 2, 2),
            blobs(1)[0],
            tmp_path / "b",
            data=blobs(25),
        )
    assert list(tmp_path.iterdir()) == []


def test_encoder_that_cannot_take_the_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BoundError, match=r"cannot take an input of \(1, 3, 12, 12\)"):
        export_autoencoder(
            *patches(), np.zeros((12, 12, 3), np.uint8), tmp_path / "b", data=blobs(25)
        )


def test_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    data = [*blobs(3), np.zeros((12, 12, 3), np.uint8)]
    with pytest.raises(ImageError, match=r"input 3 is uint8 \(12, 12, 3\)"):
        export_autoencoder(*patches(), blobs(1)[0], tmp_path / "b", data=data)
    with pytest.raises(ImageError, match="neither a picture"):
        export_autoencoder(*patches(), np.zeros((12, 12), int), tmp_path / "b", data=data)
    with pytest.raises(ImageError, match="no data"):
        export_autoencoder(*patches(), blobs(1)[0], tmp_path / "b", data=[])


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        export_autoencoder(*patches(), blobs(1)[0], tmp_path, data=blobs(25))


def test_modules_are_not_changed(tmp_path: Path) -> None:
    encoder, decoder = patches()
    encoder = nn.Sequential(encoder, nn.Dropout(0.5)).train()
    export_autoencoder(encoder, decoder, blobs(1)[0], tmp_path / "b", data=blobs(25))
    assert encoder.training
    assert all(parameter.requires_grad for parameter in encoder.parameters())
