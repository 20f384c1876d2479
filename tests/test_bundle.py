from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeae.bundle import (
    MANIFEST,
    TABLES,
    Bundle,
    coding_id,
    find_bundle,
    find_by_coding_id,
    graph_file,
    list_bundles,
    precisions,
    read_manifest,
)
from edgeae.errors import BundleError


def test_fixture_bundle_opens_and_every_file_verifies(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    bundle.verify()
    assert bundle.coding_id.hex() == bundle.manifest.coding_id
    assert bundle.masks.shape[1:] == (bundle.manifest.latent_channels, 2, 2)
    assert bundle.graphs == ("encoder", "hyper_encoder", "hyper_decoder", "decoder")


def test_plain_bundle_has_neither_masks_nor_scale_tables(plain_bundle: Path) -> None:
    bundle = Bundle.load(plain_bundle)
    assert len(bundle.masks) == 0
    assert bundle.scale_tables is None
    assert bundle.graphs == ("encoder", "decoder")


def test_coding_id_is_the_hash_that_the_format_describes() -> None:
    arrays = {"b": np.array([1, -2], ">i2"), "a": np.array([[True]])}
    parts = [b"graph", b"a", b"|b1", b"(1, 1)", b"\x01", b"b", b"<i2", b"(2,)", b"\x01\0\xfe\xff"]
    expected = hashlib.sha256(b"".join(parts) + b"space").digest()[:8]
    assert coding_id(b"graph", arrays, "space") == expected


def test_coding_id_keeps_scalars_scalar() -> None:
    expected = hashlib.sha256(b"p|u1()\x0e").digest()[:8]
    assert coding_id(b"", {"p": np.array(14, np.uint8)}, "") == expected


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "hyper_encoder.onnx"])
def test_changed_graph_is_found_when_it_is_read(bundle_copy: Path, name: str) -> None:
    flip_last_byte(bundle_copy / name)
    bundle = Bundle.load(bundle_copy)
    with pytest.raises(BundleError, match=rf"{name}: SHA-256 is [0-9a-f]{{64}}, the manifest says"):
        bundle.read(name)
    with pytest.raises(BundleError, match=name):
        bundle.verify()


@pytest.mark.parametrize("name", [TABLES, "hyper_decoder.onnx"])
def test_changed_arithmetic_is_found_on_load(bundle_copy: Path, name: str) -> None:
    flip_last_byte(bundle_copy / name)
    with pytest.raises(BundleError, match=rf"{name}: SHA-256"):
        Bundle.load(bundle_copy)


@pytest.mark.parametrize("name", [MANIFEST, TABLES, "hyper_decoder.onnx"])
def test_missing_file_is_named(bundle_copy: Path, name: str) -> None:
    (bundle_copy / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: No such file"):
        Bundle.load(bundle_copy)


def test_other_latent_space_is_another_coding_id(bundle_copy: Path) -> None:
    edit_manifest(bundle_copy, latent_space="another run")
    with pytest.raises(BundleError, match=r"coding id is [0-9a-f]{16}, the manifest says"):
        Bundle.load(bundle_copy)


def test_manifest_that_lists_no_decoder_is_refused(bundle_copy: Path) -> None:
    files = dict(read_manifest(bundle_copy).files)
    del files["decoder.onnx"]
    edit_manifest(bundle_copy, files=files)
    with pytest.raises(BundleError, match=r"files lacks \['decoder.onnx'\]"):
        Bundle.load(bundle_copy)


def test_manifest_that_is_no_text_is_refused(bundle_copy: Path) -> None:
    (bundle_copy / MANIFEST).write_bytes(b"\xff\xfe{")
    with pytest.raises(BundleError, match="not UTF-8"):
        Bundle.load(bundle_copy)


def test_huge_manifest_is_not_read(bundle_copy: Path) -> None:
    (bundle_copy / MANIFEST).write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(BundleError, match="more than 1048576 bytes"):
        Bundle.load(bundle_copy)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"x" * 100])
def test_tables_that_are_no_archive_are_refused(bundle_copy: Path, data: bytes) -> None:
    (bundle_copy / TABLES).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    edit_manifest(bundle_copy, files={**read_manifest(bundle_copy).files, TABLES: digest})
    with pytest.raises(BundleError, match="no NumPy archive"):
        Bundle.load(bundle_copy)


@pytest.mark.parametrize(
    "member", [b"hello", b"\x93NUMPY\x01\x00\x0b\x00{'descr': (", b"\x93NUMPY\x01\x00\x01\x00{"]
)
def test_members_of_the_tables_that_are_no_arrays_are_refused(
    bundle_copy: Path, member: bytes
) -> None:
    with zipfile.ZipFile(bundle_copy / TABLES, "w") as archive:
        archive.writestr("masks.npy", member)
    digest = hashlib.sha256((bundle_copy / TABLES).read_bytes()).hexdigest()
    edit_manifest(bundle_copy, files={**read_manifest(bundle_copy).files, TABLES: digest})
    with pytest.raises(BundleError, match=r"no NumPy archive|is no array"):
        Bundle.load(bundle_copy)


def test_tables_that_unpack_to_gigabytes_are_not_unpacked(bundle_copy: Path) -> None:
    with zipfile.ZipFile(bundle_copy / TABLES, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("masks.npy", bytes((1 << 26) + 1))
    digest = hashlib.sha256((bundle_copy / TABLES).read_bytes()).hexdigest()
    edit_manifest(bundle_copy, files={**read_manifest(bundle_copy).files, TABLES: digest})
    with pytest.raises(BundleError, match="67108865 bytes unpacked, at most 67108864"):
        Bundle.load(bundle_copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("masks"), "masks"),
        (lambda arrays: arrays.update(masks=arrays["masks"][:1]), "exactly once"),
        (lambda arrays: arrays.update(masks=arrays["masks"][:0]), "no masks: True"),
        (lambda arrays: arrays.update(masks=arrays["masks"][:, :1]), "for .* channels"),
        (lambda arrays: arrays.pop("scale.lengths"), "lengths"),
        (lambda arrays: arrays.update({"channel.more": np.zeros(1)}), "more"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    bundle_copy: Path,
    rewrite_manifest: Callable[[Path], None],
    change: Callable[[dict[str, np.ndarray]], object],
    message: str,
) -> None:
    with np.load(bundle_copy / TABLES) as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(bundle_copy / TABLES, **arrays)
    rewrite_manifest(bundle_copy)
    with pytest.raises(BundleError, match=message):
        Bundle.load(bundle_copy)


def test_pickled_table_is_refused(
    bundle_copy: Path, rewrite_manifest: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite_manifest(bundle_copy)
    np.savez(bundle_copy / TABLES, masks=np.array([{}], object))
    digest = hashlib.sha256((bundle_copy / TABLES).read_bytes()).hexdigest()
    edit_manifest(bundle_copy, files={**read_manifest(bundle_copy).files, TABLES: digest})
    with pytest.raises(BundleError, match="allow_pickle"):
        Bundle.load(bundle_copy)


def test_bundle_is_found_by_name_and_by_path(tiny_bundle: Path) -> None:
    assert find_bundle("tiny") == tiny_bundle
    assert find_bundle(tiny_bundle) == tiny_bundle
    assert tiny_bundle in list_bundles()


def test_user_folder_is_searched_after_the_variable(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name in ("tiny", "mine"):
        shutil.copytree(tiny_bundle, tmp_path / "edgeae" / "models" / name)
    assert find_bundle("tiny") == tiny_bundle
    assert find_bundle("mine") == tmp_path / "edgeae" / "models" / "mine"


def test_without_a_home_folder_bundles_are_found_in_the_others(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_data_path", refuse)
    assert find_bundle("tiny") == tiny_bundle
    assert find_bundle("photo").name == "photo"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ("fp32",)),
        (["decoder.int8.onnx"], ("fp32", "int8")),
        (["encoder.int8.onnx"], ("fp32", "int8")),
        (["hyper_decoder.int8.onnx", "encoder.int4.onnx"], ("fp32",)),
    ],
)
def test_precisions_are_those_of_encoder_and_decoder(
    tiny_bundle: Path, names: list[str], expected: tuple[str, ...]
) -> None:
    manifest = read_manifest(tiny_bundle)
    more = dataclasses.replace(manifest, files={**manifest.files, **dict.fromkeys(names, "0" * 64)})
    assert precisions(more) == expected


def test_file_of_a_graph_is_named_by_its_precision() -> None:
    assert graph_file("encoder") == graph_file("encoder", "fp32") == "encoder.onnx"
    assert graph_file("encoder", "int8") == "encoder.int8.onnx"


def test_name_is_not_taken_for_a_folder_of_pictures(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_bundle("tiny") == tiny_bundle


def test_relative_path_is_found_where_no_bundle_has_that_name(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle_copy.parent)
    assert find_bundle("copy") == Path("copy")


@pytest.mark.parametrize("model", ["absent", "../tiny/..", "", "/"])
def test_unknown_model_lists_the_known_ones(model: str) -> None:
    with pytest.raises(BundleError, match=r"is neither a bundle of \[.*'tiny'.*\]"):
        find_bundle(model)


def test_bundle_is_found_by_its_coding_id(tiny_bundle: Path) -> None:
    identity = bytes.fromhex(read_manifest(tiny_bundle).coding_id)
    assert find_by_coding_id(identity) == tiny_bundle


def test_default_model_comes_before_others_with_its_coding_id(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "photo"):
        shutil.copytree(tiny_bundle, tmp_path / name)
    monkeypatch.setenv("EDGEAE_MODELS", str(tmp_path))
    identity = bytes.fromhex(read_manifest(tiny_bundle).coding_id)
    assert find_by_coding_id(identity) == tmp_path / "photo"


def test_unknown_coding_id_lists_the_known_ones(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle_copy / MANIFEST).write_text("{}")
    monkeypatch.setenv("EDGEAE_MODELS", str(bundle_copy.parent))
    with pytest.raises(BundleError, match="coding id 0001020304050607, not with one of"):
        find_by_coding_id(bytes(range(8)))


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def edit_manifest(folder: Path, **changes: object) -> None:
    record = dataclasses.asdict(read_manifest(folder)) | changes
    (folder / MANIFEST).write_text(json.dumps(record))
