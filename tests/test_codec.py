from __future__ import annotations

import dataclasses
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeae.bundle import (
    MANIFEST,
    TABLES,
    coding_id,
    file_sha256,
    read_manifest,
    tables_arrays,
)
from edgeae.codec import Codec
from edgeae.container import Container
from edgeae.entropy.tables import ChannelTables
from edgeae.errors import (
    BundleError,
    ContainerError,
    DesyncError,
    EdgeaeError,
    GraphError,
    ImageError,
)
from edgeae.graphs import Graph
from edgeae.images.files import Picture, picture_from_array
from edgeae.manifest import Manifest
from edgeae.npy import latents_from_npy, latents_to_npy

SHAPES = [
    (1, 1),
    (7, 3),
    (28, 28),
    (1, 65),
    (64, 64),
    (20, 9, 2),
    (1, 1, 3),
    (63, 65, 3),
    (5, 6, 4),
]


@pytest.fixture(scope="module")
def codec(tiny_bundle: Path) -> Codec:
    return Codec.load(tiny_bundle, threads=1)


@pytest.fixture(scope="module")
def plain(plain_bundle: Path) -> Codec:
    return Codec.load(plain_bundle, threads=1)


@pytest.fixture(params=["codec", "plain"])
def either(request: pytest.FixtureRequest) -> Codec:
    """The codec of a bundle with hyper-latents, and of one without."""
    codec: Codec = request.getfixturevalue(request.param)
    return codec


@pytest.mark.parametrize("shape", SHAPES)
def test_every_size_and_mode_keeps_its_shape_and_its_alpha(
    either: Codec, shape: tuple[int, ...]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    decoded = either.decompress(either.compress(pixels))
    assert decoded.shape == shape
    assert decoded.dtype == np.uint8
    if shape[2:] in ((2,), (4,)):
        assert (decoded[..., -1] == pixels[..., -1]).all()


def test_file_decodes_to_the_latents_that_were_encoded(
    either: Codec, photo: NDArray[np.uint8]
) -> None:
    latents = either.encode(photo, 37.5)
    data = either.to_bytes(latents)
    assert data == either.compress(photo, 37.5)
    decoded = either.from_bytes(data)
    assert (decoded.symbols == latents.symbols).all()
    assert (decoded.z == latents.z).all()
    assert (decoded.width, decoded.height, decoded.mode) == (150, 100, "RGB")
    assert decoded.quality == 37.5
    assert decoded.coding_id == either.bundle.coding_id


def test_all_ways_to_a_picture_give_the_same_pixels(
    either: Codec, photo: NDArray[np.uint8]
) -> None:
    data = either.compress(photo)
    pixels = either.decompress(data)
    latents = latents_from_npy(latents_to_npy(either.from_bytes(data)))
    assert (either.decompress_picture(data).pixels == pixels).all()
    assert (either.decode(latents).pixels == pixels).all()


def test_picture_keeps_its_metadata(either: Codec, photo: NDArray[np.uint8]) -> None:
    picture = picture_from_array(photo, icc=b"profile", exif=b"Exif\0\0II*\0")
    decoded = either.decompress_picture(either.compress(picture))
    assert (decoded.icc, decoded.exif) == (b"profile", b"Exif\0\0II*\0")


def test_empty_metadata_is_no_metadata(codec: Codec, photo: NDArray[np.uint8]) -> None:
    decoded = codec.decompress_picture(codec.compress(picture_from_array(photo, icc=b"", exif=b"")))
    assert decoded.icc is decoded.exif is None


def test_higher_quality_is_larger_and_the_steps_number_the_masks(
    codec: Codec, photo: NDArray[np.uint8]
) -> None:
    sizes = [len(codec.compress(photo, quality)) for quality in (0, 50, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    header = Container.from_bytes(codec.compress(photo, 50)).header
    assert header.steps == len(codec.bundle.masks)


@pytest.mark.parametrize("quality", [-0.01, 100.01, float("nan"), float("inf")])
def test_quality_outside_the_scale_is_a_value_error(
    codec: Codec, photo: NDArray[np.uint8], quality: float
) -> None:
    with pytest.raises(ValueError, match="quality"):
        codec.compress(photo, quality)


@pytest.mark.parametrize("image", [b"", [[1]], None, "img.png"])
def test_what_is_no_picture_is_a_type_error(codec: Codec, image: object) -> None:
    with pytest.raises(TypeError, match="array"):
        codec.compress(image)  # type: ignore[arg-type]


def test_flipped_bit_in_the_file_never_gives_a_picture(
    either: Codec, photo: NDArray[np.uint8]
) -> None:
    data = either.compress(photo, 30)
    for position in range(0, 8 * len(data), max(1, len(data) // 40)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(EdgeaeError):
            either.decompress(bytes(damaged))


def test_truncated_or_extended_file_is_a_container_error(
    either: Codec, photo: NDArray[np.uint8]
) -> None:
    data = either.compress(photo, 30)
    for end in range(0, len(data), max(1, len(data) // 60)):
        with pytest.raises(ContainerError):
            either.decompress(data[:end])
    with pytest.raises(ContainerError):
        either.decompress(data + b"\0")


@settings(max_examples=60)
@given(payload=st.binary(max_size=400), lanes_log2=st.integers(0, 10), crc=st.integers(0, 9))
def test_forged_payload_with_right_checksums_is_a_container_error(
    codec: Codec, payload: bytes, lanes_log2: int, crc: int
) -> None:
    header = Container.from_bytes(codec.compress(np.zeros((64, 64, 3), np.uint8))).header
    forged = Container(header=header, latents=payload, lanes_log2=lanes_log2, symbols_crc=crc)
    with pytest.raises(ContainerError):
        codec.decompress(forged.to_bytes())


def test_wrong_symbols_are_a_desync_error(either: Codec, photo: NDArray[np.uint8]) -> None:
    container = Container.from_bytes(either.compress(photo))
    forged = dataclasses.replace(container, symbols_crc=container.symbols_crc ^ 1)
    with pytest.raises(DesyncError, match=r"CRC-32 [0-9a-f]{8}, the file says [0-9a-f]{8}"):
        either.decompress(forged.to_bytes())


def test_other_number_of_steps_is_a_container_error(codec: Codec, photo: NDArray[np.uint8]) -> None:
    container = Container.from_bytes(codec.compress(photo))
    header = dataclasses.replace(container.header, steps=7)
    forged = dataclasses.replace(container, header=header)
    with pytest.raises(ContainerError, match=r"coded in 7 steps, bundle .* has"):
        codec.decompress(forged.to_bytes())


def test_file_of_another_bundle_names_both_coding_ids(
    codec: Codec, plain: Codec, photo: NDArray[np.uint8]
) -> None:
    data, latents = codec.compress(photo), codec.encode(photo)
    message = f"{codec.bundle.coding_id.hex()}, but plain has {plain.bundle.coding_id.hex()}"
    with pytest.raises(BundleError, match=message):
        plain.decompress(data)
    with pytest.raises(BundleError, match=message):
        plain.decode(latents)


def test_latents_of_another_size_are_a_container_error(
    either: Codec, photo: NDArray[np.uint8]
) -> None:
    latents = dataclasses.replace(either.encode(photo), width=1500)
    with pytest.raises(ContainerError, match="a picture of 1500x100 has"):
        either.decode(latents)
    with pytest.raises(ContainerError, match="a picture of 1500x100 has"):
        either.to_bytes(latents)


def test_file_over_the_limit_is_refused_before_it_is_decoded(
    codec: Codec, photo: NDArray[np.uint8]
) -> None:
    data = codec.compress(photo)
    with pytest.raises(ContainerError, match="14999"):
        codec.decompress(data, max_pixels=14_999)
    assert codec.decompress(data, max_pixels=15_000).shape == photo.shape


def test_decoding_never_reads_the_encoder(
    bundle_copy: Path, codec: Codec, photo: NDArray[np.uint8]
) -> None:
    data = codec.compress(photo)
    (bundle_copy / "encoder.onnx").unlink()
    (bundle_copy / "hyper_encoder.onnx").unlink()
    decoder = Codec.load(bundle_copy)
    assert (decoder.decompress(data) == codec.decompress(data)).all()
    with pytest.raises(BundleError, match=r"encoder\.onnx: No such file"):
        decoder.compress(photo)


def test_decoding_makes_no_session_of_the_encoder(
    tiny_bundle: Path, codec: Codec, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, made = codec.compress(photo), []
    create = Graph._create
    monkeypatch.setattr(Graph, "_create", lambda g, *a: made.append(g.name) or create(g, *a))
    decoder = Codec.load(tiny_bundle, threads=2)
    decoder.prepare_decoding()
    decoder.decompress(data)
    assert sorted(made) == ["decoder", "hyper_decoder"]
    made.clear()
    encoder = Codec.load(tiny_bundle, threads=2)
    encoder.prepare_encoding()
    assert encoder.compress(photo) == data
    assert sorted(made) == ["decoder", "encoder", "hyper_decoder", "hyper_encoder"]
    made.clear()
    Codec.load(tiny_bundle, threads=2).compress(photo, effort=0)
    assert sorted(made) == ["encoder", "hyper_decoder", "hyper_encoder"]


def test_other_known_answer_refuses_to_code(bundle_copy: Path, photo: NDArray[np.uint8]) -> None:
    manifest = read_manifest(bundle_copy)
    assert manifest.known_answer is not None
    answer = dataclasses.replace(manifest.known_answer, index_sha256="0" * 64)
    (bundle_copy / MANIFEST).write_text(
        dataclasses.replace(manifest, known_answer=answer).to_json()
    )
    with pytest.raises(GraphError, match=r"known answer has SHA-256 [0-9a-f]{64}, the manifest"):
        Codec.load(bundle_copy).compress(photo)


def test_too_few_scale_tables_are_a_graph_error(
    bundle_copy: Path, rewrite_manifest: Callable[[Path], None], photo: NDArray[np.uint8]
) -> None:
    with np.load(bundle_copy / TABLES) as archive:
        arrays = dict(archive)
    arrays["scale.frequencies"] = arrays["scale.frequencies"][: arrays["scale.lengths"][0]]
    arrays["scale.lengths"] = arrays["scale.lengths"][:1]
    np.savez(bundle_copy / TABLES, **arrays)
    rewrite_manifest(bundle_copy)
    with pytest.raises(GraphError, match=r"gives scale index .*, there are 1 tables"):
        Codec.load(bundle_copy).compress(photo)


def test_graphs_of_other_shapes_are_a_graph_error(
    bundle_copy: Path, rewrite_manifest: Callable[[Path], None], photo: NDArray[np.uint8]
) -> None:
    manifest = dataclasses.replace(read_manifest(bundle_copy), stride=8, hyper_stride=32)
    (bundle_copy / MANIFEST).write_text(manifest.to_json())
    rewrite_manifest(bundle_copy)
    with pytest.raises(GraphError, match=r"encoder\.onnx: gives .* for pixels"):
        Codec.load(bundle_copy).compress(photo)


def test_threads_share_a_codec(tiny_bundle: Path, photo: NDArray[np.uint8]) -> None:
    codec = Codec.load(tiny_bundle, threads=1)
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda quality: codec.compress(photo, quality), [10, 60] * 4))
        pictures = list(pool.map(codec.decompress, files))
    assert files == files[:2] * 4
    assert all((one == two).all() for one, two in zip(pictures, pictures[:2] * 4, strict=True))


def test_thread_count_does_not_change_the_file(
    tiny_bundle: Path, codec: Codec, photo: NDArray[np.uint8]
) -> None:
    assert Codec.load(tiny_bundle, threads=3).compress(photo) == codec.compress(photo)


def test_pickled_codec_opens_the_bundle_anew(
    tiny_bundle: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tiny_bundle.parent)
    codec = Codec.load("./" + tiny_bundle.name, threads=2)
    data = codec.compress(photo)
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(codec)
    copy = pickle.loads(pickled)
    assert len(pickled) < 500
    assert copy.threads == 2
    assert copy.compress(photo) == data


@pytest.mark.slow
def test_codec_works_in_a_spawned_process(codec: Codec, photo: NDArray[np.uint8]) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(codec.compress, (photo,)) == codec.compress(photo)


def test_grey_of_a_colour_bundle_is_the_mean_of_its_channels(
    codec: Codec, photo: NDArray[np.uint8]
) -> None:
    grey = codec.encode(photo[..., 0])
    colour = dataclasses.replace(grey, mode="RGB")
    rgb = codec.decode(colour).pixels.astype(int)
    assert (codec.decode(grey).pixels == (rgb.sum(axis=2) + 1) // 3).all()


def test_unknown_provider_is_a_value_error(tiny_bundle: Path) -> None:
    with pytest.raises(ValueError, match="'gpu' is not one of"):
        Codec.load(tiny_bundle, provider="gpu")


def test_pillow_image_and_array_give_the_same_file(
    codec: Codec, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    from PIL import Image

    assert codec.compress(Image.fromarray(photo)) == codec.compress(photo)


def test_picture_is_not_changed_by_compressing_it(codec: Codec) -> None:
    pixels = np.full((30, 30, 3), 7, np.uint8)
    codec.compress(Picture(pixels))
    assert (pixels == 7).all()


@pytest.fixture(scope="module")
def grey_codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    """A plain bundle for grey pictures: latents are the 4x4 pixels of each stride."""
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("bundles") / "grey"
    folder.mkdir()
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, "H", "W", 1])
    y, y_hat = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, "h", "w"])
        for name in ("y", "y_hat")
    )
    quality = helper.make_tensor_value_info("quality", TensorProto.FLOAT, [])
    encoder = [
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("SpaceToDepth", ["floats"], ["y"], blocksize=4),
    ]
    decoder = [
        helper.make_node("Mul", ["quality", "zero"], ["unused"]),
        helper.make_node("Add", ["y_hat", "unused"], ["latents"]),
        helper.make_node("DepthToSpace", ["latents"], ["floats"], blocksize=4),
        helper.make_node("Cast", ["floats"], ["planes"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["planes"], ["pixels"], perm=[0, 2, 3, 1]),
    ]
    graphs = {
        "encoder": helper.make_graph(encoder, "encoder", [pixels], [y]),
        "decoder": helper.make_graph(decoder, "decoder", [y_hat, quality], [pixels], [zero]),
    }
    for name, graph in graphs.items():
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    row = np.full(256, 64, np.uint16)
    tables = ChannelTables((row,) * 16, np.zeros(16, np.int16))
    arrays = tables_arrays(np.zeros((0, 16, 2, 2), np.bool_), tables, None)
    np.savez_compressed(folder / TABLES, **arrays)  # type: ignore[arg-type]  # numpy 2 stub
    manifest = Manifest(
        name="grey",
        description="grey pictures without loss",
        latent_space="grey-test",
        input="grey",
        size=None,
        shape=None,
        latent_size=None,
        stride=4,
        hyper_stride=0,
        latent_channels=16,
        hyper_channels=0,
        latent_step=None,
        prior=None,
        halo=None,
        coding_id=coding_id(b"", arrays, "grey-test").hex(),
        files={path.name: file_sha256(path) for path in folder.iterdir()},
        known_answer=None,
        training={},
        rate_distortion=(),
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return Codec.load(folder)


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (5, 9, 2)])
def test_grey_bundle_codes_grey_pictures(grey_codec: Codec, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    assert (grey_codec.decompress(grey_codec.compress(pixels)) == pixels).all()


@pytest.mark.torch
def test_grey_bundle_takes_colour_only_if_it_is_grey(grey_codec: Codec) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (5, 9, 1), np.uint8)
    grey = np.repeat(pixels, 3, axis=2)
    assert (grey_codec.decompress(grey_codec.compress(grey)) == grey).all()
    grey[0, 0, 1] ^= 1
    with pytest.raises(ImageError, match="a colour picture, but bundle grey is for grey ones"):
        grey_codec.compress(grey)
