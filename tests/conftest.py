"""Fixtures shared by all tests: the fixture bundle, found as a user's would be, and a picture."""

from __future__ import annotations

import dataclasses
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeae.bundle import (
    INT8,
    MANIFEST,
    QUANTIZED_GRAPHS,
    TABLES,
    coding_id,
    file_sha256,
    graph_file,
    read_manifest,
    tables_arrays,
)
from edgeae.codec import Codec
from edgeae.entropy.tables import ChannelTables
from edgeae.kernel.build import build, compiler
from edgeae.kernel.library import load

BUNDLES = Path(__file__).parent / "bundles"


@pytest.fixture(autouse=True, scope="session")
def _private_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let nothing of the machine's user take part: no bundle, no remembered choice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEAE_MODELS", str(BUNDLES))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _interrupts_arrive() -> None:
    """Let processes that tests start and stop be stopped, also where a shell runs the tests behind.

    Such a shell ignores ctrl-c for all it starts, as nohup does hang-ups, and they for what they
    start; what Python handles itself they do not inherit.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_IGN:
        signal.signal(hangup, lambda number, frame: None)


@pytest.fixture(scope="session")
def c_compiler() -> None:
    """Where a compiler is, the kernel has to build; where none is, there is nothing to test."""
    if shutil.which(compiler()[0]) is None:
        pytest.skip("no C compiler here; the kernel is optional, numpy is tested")


@pytest.fixture(scope="module", params=["numpy", "kernel"])
def kernel_or_numpy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Any | None:
    """What ``kernel()`` returns: None, and then the library of C functions, built anew."""
    if request.param == "numpy":
        return None
    request.getfixturevalue("c_compiler")
    built = build(tmp_path_factory.mktemp("kernel"))
    assert built is not None
    library = load(built)
    assert library is not None
    return library


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    """Folder of the fixture bundle, made by make_tiny_bundle.py; do not write to it."""
    return BUNDLES / "tiny"


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the fixture bundle that a test may break."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


@pytest.fixture
def correcting(bundle_copy: Path) -> Codec:
    """A codec whose manifest asks for corrections; bundle tiny has much to correct."""
    manifest = dataclasses.replace(read_manifest(bundle_copy), correction=True)
    (bundle_copy / MANIFEST).write_text(manifest.to_json())
    return Codec.load(bundle_copy, threads=1)


@pytest.fixture
def clean_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder during a test; nothing is remembered, it is not even made yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def two_precisions(bundle_copy: Path, clean_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the fixture bundle whose encoder and decoder have an int8 form.

    It computes what the fp32 form does: only its file is another one, by a comment in it. Which
    one is faster is measured in no time, and anew.
    """
    monkeypatch.setattr("edgeae.precision.MEASURE_S", 0.01)
    for name in QUANTIZED_GRAPHS:
        data = (bundle_copy / graph_file(name)).read_bytes()
        comment = b"\x32\x04twin"  # field 6 of ONNX' ModelProto, doc_string; protobuf concatenates
        (bundle_copy / graph_file(name, INT8)).write_bytes(data + comment)
    add_files(bundle_copy, [graph_file(name, INT8) for name in QUANTIZED_GRAPHS])
    return bundle_copy


def add_files(folder: Path, names: list[str]) -> None:
    """Enter files of a bundle into its manifest."""
    manifest = read_manifest(folder)
    files = {**manifest.files, **{name: file_sha256(folder / name) for name in names}}
    (folder / MANIFEST).write_text(dataclasses.replace(manifest, files=files).to_json())


@pytest.fixture(scope="session")
def plain_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain autoencoder: encoder and decoder of the fixture bundle, a table a channel."""
    folder = tmp_path_factory.mktemp("bundles") / "plain"
    folder.mkdir()
    for name in ("encoder.onnx", "decoder.onnx"):
        shutil.copy(tiny_bundle / name, folder / name)
    manifest = read_manifest(tiny_bundle)
    channels = manifest.latent_channels
    row = np.full(129, 126, np.uint16)
    row[0] += (1 << 14) - int(row.sum())
    tables = ChannelTables((row,) * channels, np.full(channels, -64, np.int16))
    arrays = tables_arrays(np.zeros((0, channels, 2, 2), np.bool_), tables, None)
    np.savez_compressed(folder / TABLES, **arrays)  # type: ignore[arg-type]  # numpy 2 stub
    plain = dataclasses.replace(
        manifest,
        name="plain",
        hyper_stride=0,
        hyper_channels=0,
        known_answer=None,
        latent_space="plain-test",
        coding_id=coding_id(b"", arrays, "plain-test").hex(),
        files={path.name: file_sha256(path) for path in folder.iterdir()},
    )
    (folder / MANIFEST).write_text(plain.to_json())
    return folder


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """(100, 150, 3) uint8: smooth colours, an edge, some noise; neither side fits the stride."""
    y, x = np.mgrid[0:100, 0:150]
    channels = [128 + 90 * np.sin(x / 25 + k) + 30 * np.cos(y / (9 + k)) for k in range(3)]
    pixels = np.stack(channels, axis=-1)
    pixels[30:60, 40:110] = (200, 40, 90)
    pixels += np.random.default_rng(5).normal(0, 3, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture
def rewrite_manifest() -> Callable[[Path], None]:
    """Return a function that makes hashes and coding id of a changed bundle right again."""
    return _rewrite_manifest


def _rewrite_manifest(folder: Path) -> None:
    manifest = read_manifest(folder)
    with np.load(folder / TABLES) as archive:
        arrays = dict(archive)
    identity = coding_id(
        (folder / "hyper_decoder.onnx").read_bytes(), arrays, manifest.latent_space
    )
    files = {name: file_sha256(folder / name) for name in manifest.files}
    renewed = dataclasses.replace(manifest, files=files, coding_id=identity.hex())
    (folder / MANIFEST).write_text(renewed.to_json())
