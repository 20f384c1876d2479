"""Graphs that this project did not make become bundles, or errors that name the option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image
from typer.testing import CliRunner

from edgeae.bundle import Bundle
from edgeae.codec import Codec
from edgeae.errors import GraphError, ImageError
from edgeae_export import adopt_autoencoder
from edgeae_export.adopt_command import adopt
from edgeae_export.plain.detect import RANGES, clearly_best
from export import foreign_graphs
from export.made_inputs import blobs, waves

pytestmark = [pytest.mark.torch, pytest.mark.slow]


def components(latents: int = 8) -> np.ndarray:
    """Principal components of blobs (144, latents)."""
    flat = blobs(200).reshape(200, -1) / 255
    return np.linalg.svd(flat, full_matrices=False)[2][:latents].T.astype(np.float32)


@pytest.mark.parametrize("batch", ["unk__1", 1])
def test_keras_pair_with_channels_last(tmp_path: Path, batch: str | int) -> None:
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.keras_convolutional(batch=batch))
    manifest = adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60))
    assert (manifest.input, manifest.size, manifest.latent_size) == ("grey", (12, 12), (3, 3))
    assert manifest.latent_channels == 16
    assert manifest.training["black and white"] == "0..1"
    codec = Codec.load(tmp_path / "b", threads=1)
    assert codec.takes_batches == (batch != 1)
    pictures = blobs(4, seed=6)
    files = list(codec.compress_many(pictures))
    assert files == [codec.compress(picture) for picture in pictures]
    decoded = np.stack(list(codec.decompress_many(files))).astype(float)
    assert np.square(decoded - pictures).mean() < 4


def test_latents_are_laid_out_by_channel(tmp_path: Path) -> None:
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.keras_convolutional())
    adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60))
    codec = Codec.load(tmp_path / "b", threads=1)
    basis = foreign_graphs.orthonormal(16, 16).T.reshape(16, 4, 4)
    picture = blobs(1, seed=2)[0]
    patches = picture.reshape(3, 4, 3, 4).transpose(0, 2, 1, 3) / 255
    expected = np.einsum("ijab,cab->cij", patches, basis)
    steps = np.array(codec.bundle.manifest.latent_step).reshape(-1, 1, 1)
    np.testing.assert_allclose(
        codec.encode(picture).symbols * steps, expected, atol=steps.max() / 2 + 1e-4
    )


@pytest.mark.parametrize(("low", "named", "found"), [(0, None, "0..1"), (-1, None, "-1..1")])
def test_range_is_shown_by_the_data(
    tmp_path: Path, low: int, named: str | None, found: str
) -> None:
    basis = components()
    encoder, decoder = foreign_graphs.dense(basis)
    black = np.full(144, low, np.float32)
    (bias,) = (tensor for tensor in decoder.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(black - (black @ basis) @ basis.T, "bias"))
    pair = foreign_graphs.save(tmp_path, encoder, decoder)
    adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60), layout="flat", value_range=named)
    manifest = Bundle.load(tmp_path / "b").manifest
    assert manifest.training["black and white"] == found
    assert manifest.rate_distortion[0][2] > 20


def test_named_range_is_taken(tmp_path: Path) -> None:
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.dense(components()))
    manifest = adopt_autoencoder(
        *pair, tmp_path / "b", data=blobs(60), layout="flat", value_range="0..255"
    )
    assert manifest.training["black and white"] == "0..255"
    assert manifest.rate_distortion[0][2] > 20


@pytest.mark.parametrize(
    ("errors", "best"),
    [
        ((0.01, 0.021, 0.5), "0..1"),
        ((0.5, 0.01, 0.021), "-1..1"),
        ((0.01, 0.0101, 0.5), "0..1"),
        ((0.5, 0.0101, 0.01), "-1..1"),
        ((1e-15, 1e-14, 1e-13), "0..1"),
        ((0.01, 0.015, 0.5), None),
        ((0.5, 0.4, 0.3), None),
    ],
)
def test_range_is_taken_only_where_it_is_clear(
    errors: tuple[float, float, float], best: str | None
) -> None:
    assert clearly_best(dict(zip(RANGES, errors, strict=True))) == best


def test_doubt_asks_for_the_range(tmp_path: Path) -> None:
    encoder, decoder = foreign_graphs.dense(components(1))
    (bias,) = (tensor for tensor in decoder.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(144, 0.1, np.float32), "bias"))
    pair = foreign_graphs.save(tmp_path, encoder, decoder)
    with pytest.raises(GraphError, match=r"do not show what black and white are .* \(--range\)"):
        adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60), layout="flat")


@pytest.mark.parametrize(("end", "name"), [("Sigmoid", "0..1"), ("Tanh", "-1..1")])
def test_range_is_said_by_the_last_operator(tmp_path: Path, end: str, name: str) -> None:
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.dense(components(), end=end))
    manifest = adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60), layout="flat")
    assert manifest.training["black and white"] == name


def test_graphs_of_bytes_of_any_size(tmp_path: Path) -> None:
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.bytes_in_and_out())
    pictures = [np.repeat(p[..., None], 3, axis=2) for p in blobs(30, 20)]
    manifest = adopt_autoencoder(*pair, tmp_path / "b", data=pictures)
    assert (manifest.input, manifest.size, manifest.stride, manifest.halo) == ("rgb", None, 2, 1)
    codec = Codec.load(tmp_path / "b", threads=1)
    picture = np.full((7, 9, 3), 77, np.uint8)
    decoded = codec.decompress(codec.compress(picture)).astype(int)
    assert decoded.shape == picture.shape
    assert np.abs(decoded - 77).max() <= 8


def test_old_operators_are_converted(tmp_path: Path) -> None:
    pair = foreign_graphs.save(
        tmp_path, *foreign_graphs.dense(components(), end="Sigmoid", opset=9)
    )
    adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60), layout="flat")
    model = onnx.load(tmp_path / "b" / "encoder.onnx")
    assert model.opset_import[0].version == 17


def test_variational_pair_gives_mean_and_log_variance(tmp_path: Path) -> None:
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.variational(components()))
    options = {"layout": "flat", "value_range": "0..1"}
    with pytest.raises(GraphError, match=r"z depends on \['RandomNormalLike'\]"):
        adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60), latents="z", **options)  # type: ignore[arg-type]
    manifest = adopt_autoencoder(
        *pair,
        tmp_path / "b",
        data=blobs(60),
        log_variance="z_log_var",
        prior="normal",
        **options,  # type: ignore[arg-type]
    )
    assert manifest.prior == "normal"
    model = onnx.load(tmp_path / "b" / "encoder.onnx")
    assert [output.name for output in model.graph.output] == ["y", "log_variance"]
    assert "RandomNormalLike" not in {node.op_type for node in model.graph.node}


def test_arrays(tmp_path: Path) -> None:
    series = waves(80).reshape(80, 48)
    basis = np.linalg.svd(series, full_matrices=False)[2][:6].T.astype(np.float32).copy()
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.dense(basis))
    manifest = adopt_autoencoder(*pair, tmp_path / "b", data=series)
    assert (manifest.input, manifest.shape, manifest.latent_channels) == ("array", (48,), 6)
    codec = Codec.load(tmp_path / "b", threads=1)
    decoded = codec.decompress(codec.compress(series[0]))
    assert np.square(decoded - series[0]).mean() < 2e-4 * np.square(series).mean()


def test_axes_that_are_not_clear_ask_for_the_layout(tmp_path: Path) -> None:
    encoder, decoder = foreign_graphs.keras_convolutional()
    for dim, value in zip(
        encoder.graph.input[0].type.tensor_type.shape.dim, (1, 1, 12, 1), strict=True
    ):
        dim.dim_value = value
    pair = foreign_graphs.save(tmp_path, encoder, decoder)
    with pytest.raises(GraphError, match=r"does not say where the channels are.*\(--layout\)"):
        adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60))


def test_what_is_no_pair_is_an_error(tmp_path: Path) -> None:
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.dense(components(), end="Sigmoid"))
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(GraphError, match=r"text\.onnx: no ONNX file"):
        adopt_autoencoder(tmp_path / "text.onnx", pair[1], tmp_path / "b", data=blobs(60))
    with pytest.raises(GraphError, match=r"gives \['dense'\], not \['mean'\]"):
        adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60), layout="flat", latents="mean")
    with pytest.raises(GraphError, match="cannot run it on"):
        adopt_autoencoder(pair[0], pair[0], tmp_path / "b", data=blobs(60), layout="flat")
    with pytest.raises((GraphError, ImageError)):
        adopt_autoencoder(*pair, tmp_path / "b", data=blobs(60, 13), layout="flat")
    both = onnx.load(pair[0])
    both.graph.input.append(helper.make_tensor_value_info("two", 1, [1]))
    (tmp_path / "two.onnx").write_bytes(both.SerializeToString())
    with pytest.raises(GraphError, match=r"takes \['flat', 'two'\], not one input"):
        adopt_autoencoder(tmp_path / "two.onnx", pair[1], tmp_path / "b", data=blobs(60))
    assert not (tmp_path / "b").exists()


def run(*arguments: str | Path) -> tuple[int, str]:
    import typer

    from edgeae.cli.app import Commands

    app = typer.Typer(rich_markup_mode=None)
    app.command("adopt")(adopt)
    app.callback(cls=Commands)(lambda: None)
    result = CliRunner().invoke(app, ["adopt", *map(str, arguments)])
    return result.exit_code, result.output


def test_command_reads_pictures_and_arrays(tmp_path: Path) -> None:
    pair = foreign_graphs.save(tmp_path, *foreign_graphs.keras_convolutional())
    (tmp_path / "data").mkdir()
    for number, picture in enumerate(blobs(30)):
        Image.fromarray(picture).save(tmp_path / "data" / f"{number:02}.png")
    code, output = run(*pair, "--data", tmp_path / "data", "-o", tmp_path / "b")
    assert code == 0, output
    assert "dB" in output
    assert run(*pair, "--data", tmp_path / "data", "-o", tmp_path / "b")[0] == 7
    series = waves(40, 25).reshape(40, 50)
    np.save(tmp_path / "series.npy", series)
    basis = np.linalg.svd(series, full_matrices=False)[2][:6].T.astype(np.float32).copy()
    pair = foreign_graphs.save(tmp_path / "dense", *foreign_graphs.dense(basis))
    code, output = run(*pair, "--data", tmp_path / "series.npy", "-o", tmp_path / "a")
    assert code == 0, output
    assert "bits a value" in output
    code, output = run(*pair, "--data", tmp_path / "data", "-o", tmp_path / "c", "--layout", "flat")
    assert code == 4
    assert "(--size HxW)" in output
    code, output = run(*pair, "--data", tmp_path / "none", "-o", tmp_path / "c", "--size", "6*8")
    assert code == 2
