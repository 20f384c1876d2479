from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgeae
from edgeae.errors import ImageError, MissingExtraError
from edgeae.evaluation import bd_rate as bd_rate_module
from edgeae.evaluation.bd_rate import bd_rate, bd_rates
from edgeae.evaluation.compare import Comparison, compare, mean
from edgeae.evaluation.peers import ANCHOR, FORMATS, PEERS, Peer
from edgeae.evaluation.rate_distortion import EdgeaeCoder, Point, mean_curve, measure
from edgeae.evaluation.results import Results, StoredPoints, file_digest, versions
from edgeae.images.picture import Picture, picture_from_array
from edgeae.metrics import ms_ssim, psnr_db

PUBLISHED = Path(__file__).parents[1] / "benchmarks" / "results" / "kodak.json"
ANCHOR_CURVE = [(0.1, 25.0), (0.2, 28.0), (0.4, 31.5), (0.9, 36.0), (1.7, 40.0)]


@pytest.fixture(scope="module")
def large() -> NDArray[np.uint8]:
    """(170, 200, 3) uint8: large enough for MS-SSIM."""
    y, x = np.mgrid[:170, :200]
    return np.stack([x, y, (x + 2 * y) // 3], axis=-1).astype(np.uint8)


def test_comparison_is_rate_and_both_metrics(large: NDArray[np.uint8]) -> None:
    other = large // 8 * 8
    found = compare(Picture(large), Picture(other), byte_count=425)
    assert found == Comparison(0.1, psnr_db(large, other), ms_ssim(large, other))


def test_small_pictures_have_no_ms_ssim(large: NDArray[np.uint8]) -> None:
    for height, expected in ((160, None), (161, 1.0)):
        strip = Picture(large[:height])
        assert compare(strip, strip, 1).ms_ssim == expected


def test_alpha_and_profiles_are_ignored(large: NDArray[np.uint8]) -> None:
    alpha = np.full(large.shape[:2], 9, np.uint8)
    found = compare(Picture(large, alpha, icc=b"one"), Picture(large, None, icc=b"two"), 1)
    assert found.psnr_db == math.inf


def test_pictures_of_two_sizes_or_modes_are_refused_with_both_named() -> None:
    grey = picture_from_array(np.zeros((4, 6), np.uint8))
    with pytest.raises(ImageError, match="6x5 pixels, but the original has 6x4"):
        compare(grey, picture_from_array(np.zeros((5, 6), np.uint8)), 1)
    with pytest.raises(ImageError, match="RGBA, but the original is L"):
        compare(grey, picture_from_array(np.zeros((4, 6, 4), np.uint8)), 1)


def test_mean_counts_equal_pictures_as_100_db_and_leaves_out_absent_ms_ssim() -> None:
    found = mean([Comparison(1.0, math.inf, 0.9), Comparison(2.0, 40.0, None)])
    assert found == Comparison(1.5, 70.0, 0.9)


def test_bd_rate_of_a_fifth_fewer_bits_is_minus_20_percent() -> None:
    cheaper = [(0.8 * bpp, decibels) for bpp, decibels in ANCHOR_CURVE]
    assert bd_rate(ANCHOR_CURVE, cheaper) == pytest.approx(-20)
    assert bd_rate(cheaper, ANCHOR_CURVE) == pytest.approx(25)
    assert bd_rate(ANCHOR_CURVE, ANCHOR_CURVE) == pytest.approx(0)


@pytest.mark.parametrize(
    "curve",
    [
        ANCHOR_CURVE[:1],
        [(bpp, decibels + 20) for bpp, decibels in ANCHOR_CURVE],
        [*ANCHOR_CURVE, (2.0, 39.0)],
    ],
    ids=["one point", "no overlap", "quality falls"],
)
def test_bd_rate_that_would_mean_nothing_is_none(curve: list[tuple[float, float]]) -> None:
    assert bd_rate(ANCHOR_CURVE, curve) is None


def test_bd_rate_without_ms_ssim_is_none_for_it_alone() -> None:
    curve = [Point(q, bpp, decibels, None) for q, (bpp, decibels) in enumerate(ANCHOR_CURVE)]
    assert bd_rates(curve, curve) == {"psnr": pytest.approx(0), "ms_ssim": None}


def test_bd_rate_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bd_rate_module, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeae\[plot\]'"):
        bd_rate(ANCHOR_CURVE, ANCHOR_CURVE)


def test_published_figures_follow_from_their_points() -> None:
    published = json.loads(PUBLISHED.read_text("utf-8"))
    labels = {name: codec["label"] for name, codec in published["codecs"].items()}
    points = StoredPoints.from_json(PUBLISHED.read_text("utf-8")).points
    results = Results(published["folder"], published["files"], labels, points, {})
    again = json.loads(results.to_json())
    assert again["files"] == published["files"]
    assert again["codecs"].keys() == published["codecs"].keys()
    for name, codec in published["codecs"].items():
        for found, expected in zip(again["codecs"][name]["points"], codec["points"], strict=True):
            assert found == pytest.approx(expected, rel=1e-12)
        assert again["codecs"][name]["bd_rate"] == pytest.approx(codec["bd_rate"], abs=1e-6)
        assert again["codecs"][name]["pictures"] == codec["pictures"]


def test_results_without_jpeg_have_no_bd_rates() -> None:
    points = {"webp": {"00": [Point(1, 0.1, 30.0, None)]}}
    assert Results("folder", {}, {"webp": "WebP"}, points, {}).bd_rates() == {"webp": {}}


@pytest.mark.parametrize("name", [name for name in PEERS if PEERS[name].available])
@pytest.mark.parametrize("channels", [1, 3])
def test_peer_gives_back_the_picture_at_its_file_size(
    name: str, channels: int, large: NDArray[np.uint8]
) -> None:
    peer = PEERS[name]
    peer.load()
    pixels = large if channels == 3 else large[:, :, 2]
    (point,) = measure(_at(peer, peer.qualities[-1]), pixels)
    data = peer.compress(pixels, peer.qualities[-1])
    assert point.bpp == 8 * len(data) / (170 * 200)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == peer.format
        assert image.size == (200, 170)
    assert point.psnr_db > 33
    assert point.ms_ssim is not None
    assert point.ms_ssim > 0.97


def test_peer_names_a_picture_it_cannot_hold() -> None:
    with pytest.raises(ImageError, match="WebP, method 6 cannot code this 16384x1 picture"):
        PEERS["webp"].compress(np.zeros((1, 16384, 3), np.uint8), 50)


def test_peer_that_is_absent_names_its_package() -> None:
    absent = Peer("JPEG 2000+", "JP3", (1,), plugin="no_such_plugin", requirement="no-such-plugin")
    assert not absent.available
    with pytest.raises(MissingExtraError, match="pip install -U no-such-plugin"):
        absent.load()


def test_each_format_has_its_peer_and_jpeg_is_the_anchor() -> None:
    assert set(FORMATS.values()) <= PEERS.keys()
    assert FORMATS["jpeg"] == ANCHOR


@pytest.mark.parametrize("channels", [1, 3])
def test_edgeae_is_measured_as_users_would(
    channels: int, photo: NDArray[np.uint8], tiny_bundle: Path
) -> None:
    pixels = photo if channels == 3 else photo[:, :, 0]
    codec = edgeae.Codec.load(tiny_bundle)
    points = measure(EdgeaeCoder("tiny", codec, (20, 80), effort=0), pixels)
    for point, quality in zip(points, (20, 80), strict=True):
        data = codec.compress(pixels, quality, effort=0)
        decoded = codec.decompress(data)
        assert point == Point(quality, 8 * len(data) / 15_000, psnr_db(pixels, decoded), None)


def test_mean_curve_has_ms_ssim_only_if_every_picture_has() -> None:
    first = [Point(10, 0.2, 30.0, 0.9), Point(20, 0.4, 34.0, 0.95)]
    second = [Point(10, 0.4, 20.0, None), Point(20, 0.6, 26.0, 0.85)]
    assert mean_curve([first, second]) == [
        Point(10, pytest.approx(0.3), 25.0, None),
        Point(20, 0.5, 30.0, pytest.approx(0.9)),
    ]


def test_point_goes_through_json() -> None:
    point = Point(10, 0.25, 31.5, None)
    assert Point.from_json(json.loads(json.dumps(point.to_json()))) == point
    with pytest.raises(ValueError, match="needs quality, bpp and PSNR"):
        Point.from_json([10, None, 30.0, None])


def test_versions_name_what_the_bytes_depend_on() -> None:
    assert {"edgeae", "onnxruntime", "numpy", "Pillow", "Python"} <= versions().keys()


def test_digest_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert file_digest(path).startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize(
    ("format", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_plot_is_a_file_of_its_format(format: str, magic: bytes) -> None:
    from edgeae.evaluation.plot import Series, plot

    curve = [Point(q, bpp, decibels, None) for q, (bpp, decibels) in enumerate(ANCHOR_CURVE)]
    similar = [Point(q, 2 * bpp, d, 1 - 0.5 ** (q + 2)) for q, (bpp, d) in enumerate(ANCHOR_CURVE)]
    series = [
        Series("edgeae photo", curve, "edgeae"),
        Series("JPEG", similar, "peer"),
        Series("a paper's", curve, "published"),
    ]
    assert plot(series, "three curves", format).startswith(magic)


def _at(peer: Peer, quality: int) -> Peer:
    return Peer(peer.label, peer.format, (quality,), peer.options, peer.plugin)
