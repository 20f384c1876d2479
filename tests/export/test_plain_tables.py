"""Tables of a plain autoencoder: one a channel, and one a latent where that pays."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeae.bundle import MANIFEST, TABLES, Bundle, coding_id, file_sha256, read_manifest
from edgeae.codec import Codec
from edgeae.errors import BundleError
from edgeae_export import export_autoencoder
from edgeae_export.plain.tables import channel_tables, position_tables
from export.made_inputs import blobs
from export.test_plain_export import patches

pytestmark = [pytest.mark.torch, pytest.mark.slow]


def symbols(
    count: int, seed: int, *, shape: tuple[int, int, int] = (2, 3, 3), quiet: bool = True
) -> NDArray[np.int16]:
    """Latents of spread 4; with ``quiet``, those of the first row are nearly always 1."""
    random = np.random.default_rng(seed)
    values = np.rint(random.normal(0, 4, (count, *shape)))
    if quiet:
        values[:, :, 0] = 1 + (random.random(values[:, :, 0].shape) < 0.02)
    return values.astype(np.int16)


def with_border(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Black around, as around digits."""
    return np.pad(pictures, ((0, 0), (4, 4), (4, 4)))


@pytest.fixture(scope="module")
def bordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bordered"
    data = with_border(blobs(150))
    export_autoencoder(*patches(), data[0], folder, data=data)
    return folder


def test_position_tables_learn_what_is_quiet() -> None:
    fitted, held_out = symbols(400, 1), symbols(200, 2)
    channels = channel_tables([fitted], 2)
    found = position_tables([fitted[:300], fitted[300:]], channels, [held_out])
    assert found is not None
    assert found.size == (3, 3)
    assert len(found.tables) == 18
    rows = np.tile(np.arange(18), len(held_out))
    bits = found.tables.cost_bits(held_out.reshape(-1), rows).reshape(-1, 2, 3, 3)
    assert bits[:, :, 0].mean() < 0.4
    spread = np.log2(4 * np.sqrt(2 * np.pi * np.e))
    assert abs(bits[:, :, 1:].mean() - spread) < 0.1


def test_position_tables_are_left_out_where_they_do_not_pay() -> None:
    alike = symbols(400, 1, quiet=False)
    channels = channel_tables([alike], 2)
    assert position_tables([alike], channels, [symbols(200, 2, quiet=False)]) is None
    assert position_tables([symbols(9, 1), symbols(9, 1, shape=(2, 3, 4))], channels, []) is None
    vectors = symbols(99, 1, shape=(2, 1, 1))
    assert position_tables([vectors], channels, [vectors]) is None
    large = symbols(3, 1, shape=(2, 32, 32))
    assert position_tables([large], channels, [large]) is None


def test_values_never_seen_can_be_coded() -> None:
    fitted = symbols(100, 1)
    channels = channel_tables([fitted], 2)
    found = position_tables([fitted], channels, [fitted])
    assert found is not None
    wild = np.array([-32_000, -300, 300, 32_000])
    for tables in (channels, found.tables):
        assert np.isfinite(tables.cost_bits(wild, np.zeros(4, np.uint8))).all()


def test_pictures_of_the_fitted_size_are_smaller_and_others_work(bordered: Path) -> None:
    codec = Codec.load(bordered, threads=1)
    positions = codec.bundle.position_tables
    assert positions is not None
    assert positions.size == (5, 5)
    pictures = with_border(blobs(30, seed=7))
    coded = [codec.encode(picture).symbols for picture in pictures]
    rows = np.repeat(np.arange(16), 25)
    by_channel = sum(
        codec.bundle.channel_tables.cost_bits(one.reshape(-1), rows).sum() for one in coded
    )
    size = 8 * sum(len(codec.compress(picture)) - 33 for picture in pictures)
    assert size < by_channel
    large = blobs(1, 40)[0]
    decoded = codec.decompress(codec.compress(large)).astype(int)
    assert np.square(decoded - large).mean() < 4


@pytest.mark.parametrize(
    ("positions", "message"),
    [([5, 4], "400 position tables for"), ([3], r"positions are uint16 \(1,\)")],
)
def test_tables_that_do_not_fit_are_a_bundle_error(
    bordered: Path, tmp_path: Path, positions: list[int], message: str
) -> None:
    copy = Path(shutil.copytree(bordered, tmp_path / "copy"))
    with np.load(copy / TABLES) as archive:
        arrays = dict(archive)
    arrays["positions"] = np.array(positions, np.uint16)
    np.savez(copy / TABLES, **arrays)  # type: ignore[arg-type]  # numpy 2 stub
    manifest = read_manifest(copy)
    renewed = dataclasses.replace(
        manifest,
        files={name: file_sha256(copy / name) for name in manifest.files},
        coding_id=coding_id(b"", arrays, manifest.latent_space).hex(),
    )
    (copy / MANIFEST).write_text(renewed.to_json())
    with pytest.raises(BundleError, match=message):
        Bundle.load(copy)
