"""Targets through the codec, the command line and Pillow, on the fixture bundles."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import edgeae
import edgeae.pillow
from edgeae import BoundError, Codec, TargetBpp, TargetPsnr, TargetSize
from edgeae.cli.app import app
from edgeae.cli.sizes import parse_bytes
from edgeae.container import Container, fixed_bytes
from edgeae.entropy.rans import payload_bits
from edgeae.forecast import TYPICAL_ERROR
from edgeae.images.files import picture_from_array
from edgeae.metrics import psnr_db
from edgeae.npy import latents_from_npy, latents_to_npy
from edgeae.spots import choose_spots, large_spots


@pytest.fixture(scope="module")
def codec(tiny_bundle: Path) -> Codec:
    return Codec.load(tiny_bundle, threads=1)


@pytest.fixture(scope="module")
def plain(plain_bundle: Path) -> Codec:
    return Codec.load(plain_bundle, threads=1)


@pytest.fixture(scope="module")
def large(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(500, 600, 3) uint8: large enough for spots."""
    return np.ascontiguousarray(np.tile(photo, (5, 4, 1)))


def test_files_are_never_above_the_target_and_within_three_percent(
    codec: Codec, large: NDArray[np.uint8]
) -> None:
    smallest, largest = (len(codec.compress(large, quality)) for quality in (0, 100))
    for limit in np.linspace(smallest + 1, largest, 9).astype(int).tolist():
        data = codec.compress(large, TargetSize(limit))
        assert len(data) <= limit
        if len(data) < 0.97 * limit:
            quality = edgeae.probe(data).quality / 100
            assert len(codec.compress(large, quality + 0.01)) > limit


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_search_ends_where_costs_are_misjudged(
    codec: Codec, large: NDArray[np.uint8], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = len(codec.compress(large, 50))
    monkeypatch.setattr("edgeae.trials.payload_bits", lambda parts: share * payload_bits(parts))
    for size in (limit, limit + 3):
        assert 0.85 * size < len(codec.compress(large, TargetSize(size))) <= size


@pytest.mark.parametrize("effort", [0, 1, 2])
def test_file_for_a_target_is_that_of_its_quality(
    codec: Codec, large: NDArray[np.uint8], effort: int
) -> None:
    limit = (len(codec.compress(large, 20)) + len(codec.compress(large, 60))) // 2
    data = codec.compress(large, TargetSize(limit), effort=effort)
    assert 0.9 * limit < len(data) <= limit
    quality = edgeae.probe(data).quality / 100
    assert data == codec.compress(large, quality, effort=effort)


def test_bits_per_pixel_are_those_of_the_whole_file(codec: Codec, large: NDArray[np.uint8]) -> None:
    size = len(codec.compress(large, 50))
    bpp = 8 * size / (500 * 600)
    assert codec.compress(large, TargetBpp(bpp)) == codec.compress(large, TargetSize(size))


def test_alpha_profile_and_exif_count(codec: Codec, photo: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (*photo.shape[:2], 1), np.uint8)
    picture = picture_from_array(np.dstack((photo, noise)), icc=b"p" * 900, exif=b"Exif\0\0" * 50)
    limit = len(codec.compress(picture, 60))
    data = codec.compress(picture, TargetSize(limit))
    assert 0.97 * limit <= len(data) <= limit
    with pytest.raises(BoundError, match=r"at quality 0 the file has \d{5} bytes"):
        codec.compress(picture, TargetSize(15_000))


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_fixed_bytes_are_those_of_a_file_but_for_one(codec: Codec, mode: str) -> None:
    shape = (130, 20, len(mode)) if len(mode) > 1 else (130, 20)
    pixels = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    icc = b"p" * 200 if mode == "RGBA" else None
    data = codec.compress(picture_from_array(pixels, icc=icc), 33.33)
    container = Container.from_bytes(data)
    further = [body for body in (container.alpha, container.icc) if body]
    fixed = fixed_bytes(20, 130, len(container.latents), further)
    assert abs(len(data) - len(container.latents) - fixed) <= 1


@pytest.mark.parametrize(("effort", "most"), [(0, 1), (1, 3)])
def test_encoder_runs_once_and_for_few_rounds(
    codec: Codec,
    large: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    effort: int,
    most: int,
) -> None:
    runs: list[int] = []
    run = codec._transforms.encoder.run_all

    def counted(**inputs: Any) -> Any:
        runs.append(1)
        return run(**inputs)

    limit = len(codec.compress(large, 40, effort=effort))
    monkeypatch.setattr(codec._transforms.encoder, "run_all", counted)
    codec.compress(large, TargetSize(limit), effort=effort)
    assert 1 <= len(runs) <= most


@pytest.mark.parametrize("quality", [5, 30])
@pytest.mark.parametrize("grey", [False, True])
def test_psnr_is_within_a_tenth_of_a_decibel(
    codec: Codec, large: NDArray[np.uint8], quality: float, grey: bool
) -> None:
    pixels = np.ascontiguousarray(large[..., 1]) if grey else large
    target = psnr_db(pixels, codec.decompress(codec.compress(pixels, quality)))
    encoding = codec.reach(pixels, TargetPsnr(target))
    reached = psnr_db(pixels, codec.decompress(codec.file_of(encoding)))
    assert abs(reached - target) <= 0.1
    assert encoding.psnr_db == pytest.approx(reached, abs=0.1)


def test_psnr_of_a_picture_too_small_for_spots(codec: Codec, photo: NDArray[np.uint8]) -> None:
    target = psnr_db(photo, codec.decompress(codec.compress(photo, 25)))
    data = codec.compress(photo, TargetPsnr(target))
    assert abs(psnr_db(photo, codec.decompress(data)) - target) <= 0.1


def test_out_of_reach_says_what_is_nearest(codec: Codec, photo: NDArray[np.uint8]) -> None:
    smallest = len(codec.compress(photo, 0))
    with pytest.raises(BoundError, match=rf"at quality 0 the file has {smallest} bytes"):
        codec.compress(photo, TargetSize(smallest - 1))
    best = psnr_db(photo, codec.decompress(codec.compress(photo, 100)))
    with pytest.raises(BoundError, match=rf"at quality 100 the decoded picture has {best:.2f} dB"):
        codec.compress(photo, TargetPsnr(60))
    least = psnr_db(photo, codec.decompress(codec.compress(photo, 0)))
    with pytest.raises(BoundError, match=rf"at quality 0 the decoded picture has {least:.2f} dB"):
        codec.compress(photo, TargetPsnr(5))


def test_target_above_the_largest_file_is_met_and_said(
    codec: Codec, photo: NDArray[np.uint8]
) -> None:
    encoding = codec.reach(photo, TargetSize(1_000_000))
    largest = codec.compress(photo, 100)
    assert codec.file_of(encoding) == largest
    assert encoding.note == f"no quality gives more than {len(largest)} bytes"


def test_bundle_whose_quality_does_nothing_meets_sizes_or_says_so(plain: Codec) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (28, 28), np.uint8)
    size = len(plain.compress(pixels))
    for limit in (size, 3 * size):
        assert len(plain.compress(pixels, TargetSize(limit))) == size
    with pytest.raises(BoundError, match=f"at quality 0 the file has {size} bytes"):
        plain.compress(pixels, TargetSize(size - 1))


def test_plain_bundle_meets_a_psnr_or_says_so(plain: Codec) -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (28, 28), np.uint8)
    target = psnr_db(pixels, plain.decompress(plain.compress(pixels, 40)))
    assert plain.reach(pixels, TargetPsnr(target)).psnr_db == pytest.approx(target, abs=0.1)
    with pytest.raises(BoundError, match=r"picture has \d\.\d\d dB"):
        plain.compress(pixels, TargetPsnr(50))


def test_unknown_effort_is_a_value_error(codec: Codec, photo: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="effort 3 is not one of"):
        codec.compress(photo, effort=3)


def test_efforts_give_files_of_their_own(codec: Codec, large: NDArray[np.uint8]) -> None:
    once, again, twice = (codec.compress(large, 20, effort=effort) for effort in (0, 1, 2))
    assert len({once, again, twice}) == 3
    assert codec.compress(large, 20) == again


def test_one_call_takes_target_and_effort(codec: Codec, large: NDArray[np.uint8]) -> None:
    target = TargetSize(len(codec.compress(large, 50)))
    assert edgeae.compress(large, target, "tiny", effort=0) == codec.compress(
        large, target, effort=0
    )


def test_latents_for_a_target_are_those_of_the_file(codec: Codec, large: NDArray[np.uint8]) -> None:
    target = TargetSize(len(codec.compress(large, 50)))
    latents = latents_from_npy(latents_to_npy(codec.encode(large, target)))
    assert codec.to_bytes(latents) == codec.compress(large, target)


@pytest.mark.parametrize("shortest", [63, 64, 65, 128])
@pytest.mark.parametrize("stride", [16, 32])
def test_large_spots_have_an_inside(shortest: int, stride: int) -> None:
    spots = large_spots(shortest, 10_000, stride, 64)
    assert spots is None or spots.inside.side > 0
    assert (spots is None) == (shortest < 64 or (stride == 32 and shortest < 128))


def test_spots_of_a_mosaic_are_those_of_the_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)
    spots = choose_spots(500, 700, 16, 64)
    assert spots is not None
    mosaic = spots.mosaic(pixels)
    assert mosaic.shape == (spots.side, spots.side * len(spots.corners), 3)
    inner = spots.inside.mosaic(pixels)
    np.testing.assert_array_equal(spots.in_mosaic.inside.mosaic(mosaic), inner)
    assert all(top % 16 == left % 16 == 0 for top, left in spots.corners)


@pytest.mark.parametrize("shape", [(300, 400), (100, 9000)])
def test_picture_without_room_for_spots_has_none(shape: tuple[int, int]) -> None:
    assert choose_spots(*shape, 16, 64) is None


@pytest.mark.parametrize("psnr", [20.0, 31.5, 60.0])
def test_error_model_passes_through_a_measurement(psnr: float) -> None:
    model = TYPICAL_ERROR.through(90.0, psnr)
    assert model.psnr_db(90.0) == pytest.approx(psnr)
    assert model.floor >= 0


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20000", 20_000),
        ("20kB", 20_000),
        ("20 KB", 20_000),
        ("20k", 20_000),
        ("4.1kb", 4_100),
        ("1.5MB", 1_500_000),
        (".5MB", 500_000),
        ("16KiB", 16_384),
        ("2MiB", 2_097_152),
        ("7B", 7),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "kB", "-5", "0", "0.1", "5 apples", "1e3", "20,000"])
def test_what_is_no_size_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a size|less than a byte"):
        parse_bytes(text)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def png(tmp_path: Path, large: NDArray[np.uint8]) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(large).save(path)
    return path


def test_command_line_reports_what_was_found(png: Path, codec: Codec) -> None:
    limit = len(codec.compress(np.asarray(Image.open(png)), 50))
    code, out, _ = run("compress", png, "-m", "tiny", "--target-size", f"{limit}B", "--json")
    fields = json.loads(out)
    assert code == 0
    assert 0.97 * limit <= fields["bytes"] == png.with_suffix(".eae").stat().st_size <= limit
    assert fields["quality"] == edgeae.probe(png.with_suffix(".eae").read_bytes()).quality / 100
    assert (fields["effort"], fields["notes"]) == (1, [])
    bpp = ["--target-bpp", str(8 * limit / 300_000)]
    code, _, err = run("compress", png, "-m", "tiny", *bpp, "-f", "--effort", "0")
    assert code == 0
    assert "  quality " in err


def test_command_line_reports_the_psnr(png: Path, codec: Codec) -> None:
    pixels = np.asarray(Image.open(png))
    target = round(psnr_db(pixels, codec.decompress(codec.compress(pixels, 20))), 2)
    code, out, _ = run("compress", png, "-m", "tiny", "--target-psnr", str(target), "--json")
    assert code == 0
    assert abs(json.loads(out)["psnr_db"] - target) <= 0.1
    _, _, err = run("compress", png, "-m", "tiny", "--target-psnr", str(target), "-f")
    assert err.rstrip().endswith(" dB")


def test_target_out_of_reach_is_exit_8_and_writes_nothing(png: Path) -> None:
    code, out, err = run("compress", png, "-m", "tiny", "--target-size", "200")
    assert (code, out) == (8, "")
    assert f"edgeae: {png}: 200 bytes are out of reach: at quality 0 the file has" in err
    assert not png.with_suffix(".eae").exists()


def test_batch_goes_on_after_a_target_out_of_reach(
    png: Path, codec: Codec, large: NDArray[np.uint8]
) -> None:
    small = png.with_name("b.png")
    Image.fromarray(large[:64, :64]).save(small)
    limit = len(codec.compress(large, 0)) - 1
    code, _, err = run("compress", png, small, "-m", "tiny", "--target-size", str(limit))
    assert code == 9
    assert "out of reach" in err
    assert small.with_suffix(".eae").stat().st_size <= limit
    assert not png.with_suffix(".eae").exists()


def test_size_of_latents_is_that_of_the_file_they_would_make(png: Path, codec: Codec) -> None:
    limit = len(codec.compress(np.asarray(Image.open(png)), 50))
    npy = png.with_suffix(".npy")
    assert run("compress", png, "-m", "tiny", "-o", npy, "--target-size", str(limit))[0] == 0
    size = len(codec.to_bytes(latents_from_npy(npy.read_bytes())))
    assert 0.97 * limit <= size <= limit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-q", "50", "--target-size", "9kB"], "-q and --target-size exclude each other"),
        (["--target-bpp", "1", "--target-psnr", "30"], "--target-bpp and --target-psnr exclude"),
        (["--target-size", "9 apples"], "not a size"),
        (["--target-size", "0"], "less than a byte"),
        (["--target-bpp", "0"], "not above 0"),
        (["--target-bpp", "nan"], "not above 0"),
        (["--target-psnr", "-3"], "not within"),
        (["--effort", "3"], "--effort"),
    ],
)
def test_contradicting_or_impossible_options_are_usage_errors(
    png: Path, options: list[str], message: str
) -> None:
    code, out, err = run("compress", png, "-m", "tiny", *options)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert not png.with_suffix(".eae").exists()


def test_pillow_saves_for_a_target(codec: Codec, large: NDArray[np.uint8]) -> None:
    limit = len(codec.compress(large, 50))
    buffer = io.BytesIO()
    image = Image.fromarray(large)
    image.save(buffer, "EAE", target_size=limit, model="tiny", effort=0)
    assert buffer.getvalue() == codec.compress(large, TargetSize(limit), effort=0)
    with pytest.raises(OSError, match="out of reach"):
        image.save(io.BytesIO(), "EAE", target_psnr=70, model="tiny")
    with pytest.raises(ValueError, match="exclude each other"):
        image.save(io.BytesIO(), "EAE", target_bpp=1, quality=50, model="tiny")
