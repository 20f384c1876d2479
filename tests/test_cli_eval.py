from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_cli import files, run

import edgeae
from edgeae.bundle import file_sha256
from edgeae.cli.table import plain_lines, print_table
from edgeae.metrics import ms_ssim, psnr_db

HEADINGS = ["picture", "pixels", "size", "bpp", "PSNR", "dB", "MS-SSIM"]
CODEC = ("eval", "--codec", "-m", "tiny", "--qualities", "30,70")


@pytest.fixture
def folders(tmp_path: Path, photo: NDArray[np.uint8]) -> tuple[Path, Path]:
    """Originals a.png, b.png (grey), sub/c.png; and a.jpg, b.jpg, sub/c.eae of them."""
    originals, coded = tmp_path / "originals", tmp_path / "coded"
    for folder in (originals, coded):
        (folder / "sub").mkdir(parents=True)
    image = Image.fromarray(photo)
    image.save(originals / "a.png")
    image.save(coded / "a.jpg", quality=80)
    image.convert("L").save(originals / "b.png")
    image.convert("L").save(coded / "b.jpg", quality=80)
    image.save(originals / "sub" / "c.png")
    data = edgeae.compress(photo, 60, "tiny")
    (coded / "sub" / "c.eae").write_bytes(data)
    return originals, coded


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A folder with x.png, 200x170: large enough for MS-SSIM."""
    y, x = np.mgrid[:170, :200]
    waves = 128 + 60 * np.sin(x / 9) * np.cos(y / 13) + 40 * np.sin((x + y) / 31)
    folder = tmp_path / "large"
    folder.mkdir()
    pixels = np.stack([waves, 50 + waves / 3, waves / 2], axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "x.png")
    return folder


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_two_pictures_give_a_line_of_figures(folders: tuple[Path, Path]) -> None:
    a, b = folders[0] / "a.png", folders[1] / "a.jpg"
    result = run("eval", a, b)
    assert (result.code, result.err) == (0, "")
    headings, row = (line.split() for line in result.out.decode().splitlines())
    assert headings == HEADINGS
    psnr = psnr_db(pixels_of(a), pixels_of(b))
    size = b.stat().st_size
    assert row == [
        *(str(b), "150x100", f"{size / 1000:.1f}", "kB"),
        *(f"{8 * size / 15_000:.3f}", f"{psnr:.2f}", "-"),
    ]


def test_json_of_two_pictures_is_an_object_and_a_summary(large: Path) -> None:
    jpeg = large / "x.jpg"
    Image.open(large / "x.png").save(jpeg, quality=40)
    result = run("eval", large / "x.png", jpeg, "--json")
    pair, summary = result.lines()
    original, picture = pixels_of(large / "x.png"), pixels_of(jpeg)
    figures = {
        "bpp": round(8 * jpeg.stat().st_size / 34_000, 6),
        "psnr_db": round(psnr_db(original, picture), 4),
        "ms_ssim": round(ms_ssim(original, picture), 6),
    }
    assert pair == {
        "reference": str(large / "x.png"),
        "picture": str(jpeg),
        "width": 200,
        "height": 170,
        "bytes": jpeg.stat().st_size,
        **figures,
        "equal": False,
        "notes": [],
    }
    assert summary == {"pairs": 1, "failed": 0, "mean": figures, "with_ms_ssim": 1}


def test_equal_pictures_are_called_so_and_json_has_no_infinity(large: Path) -> None:
    assert " equal " in run("eval", large / "x.png", large / "x.png").out.decode()
    pair, summary = run("eval", large / "x.png", large / "x.png", "--json").lines()
    assert (pair["psnr_db"], pair["equal"], pair["ms_ssim"]) == (None, True, 1.0)
    assert summary["mean"] == {"bpp": pair["bpp"], "psnr_db": 100.0, "ms_ssim": 1.0}


@pytest.mark.parametrize("swapped", [False, True])
def test_latent_file_may_stand_on_either_side(
    folders: tuple[Path, Path], photo: NDArray[np.uint8], swapped: bool
) -> None:
    sides = [folders[0] / "sub" / "c.png", folders[1] / "sub" / "c.eae"]
    pair, _ = run("eval", *(reversed(sides) if swapped else sides), "--json").lines()
    decoded = edgeae.decompress(sides[1].read_bytes())
    assert pair["psnr_db"] == round(psnr_db(photo, decoded), 4)
    assert pair["bytes"] == (sides[0] if swapped else sides[1]).stat().st_size


def test_latent_file_is_decoded_by_the_bundle_that_is_named(
    folders: tuple[Path, Path], bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEAE_MODELS", str(folders[0]))
    sides = [folders[0] / "sub" / "c.png", folders[1] / "sub" / "c.eae"]
    unknown = run("eval", *sides)
    assert unknown.code == 5
    assert unknown.err.startswith(f"edgeae: {sides[1]}: ")
    assert run("eval", *sides, "-m", bundle_copy).code == 0


def test_folders_are_matched_by_name_without_suffix(folders: tuple[Path, Path]) -> None:
    result = run("eval", "-r", *folders)
    assert (result.code, result.err) == (0, "")
    lines = result.out.decode().splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["a.jpg", "b.jpg", "sub/c.eae", "mean"]
    assert run("eval", *folders, "--json").lines()[-1]["pairs"] == 2


def test_mean_is_over_pictures(folders: tuple[Path, Path]) -> None:
    *pairs, summary = run("eval", "-r", *folders, "--json").lines()
    expected = np.mean([float(str(pair["psnr_db"])) for pair in pairs])
    assert isinstance(summary["mean"], dict)
    assert summary["mean"]["psnr_db"] == pytest.approx(expected, abs=1e-4)
    assert (summary["pairs"], summary["with_ms_ssim"]) == (3, 0)


def test_what_cannot_be_compared_is_reported_and_the_rest_is_done(
    folders: tuple[Path, Path], photo: NDArray[np.uint8]
) -> None:
    originals, coded = folders
    image = Image.fromarray(photo)
    image.save(originals / "alone.png")
    image.save(coded / "other.png")
    image.save(originals / "size.png")
    image.resize((140, 100)).save(coded / "size.png")
    image.convert("L").save(originals / "mode.png")
    image.save(coded / "mode.jpg")
    image.save(originals / "bad.png")
    (coded / "bad.png").write_bytes(b"no picture")
    for suffix in ("bmp", "png"):
        image.save(originals / f"twice.{suffix}")
    image.save(coded / "twice.webp")
    result = run("eval", "-r", originals, coded, "--json")
    assert result.code == 9
    assert result.err.endswith("6 of 9 pictures were not compared\n")
    *lines, summary = result.lines()
    errors = {Path(str(e["picture"])).name: str(e["error"]) for e in lines if "error" in e}
    assert errors.keys() == {
        *("alone.png", "other.png", "size.png", "mode.jpg", "bad.png", "twice.webp")
    }
    assert f"no picture of this name in {coded}" in errors["alone.png"]
    assert f"no picture of this name in {originals}" in errors["other.png"]
    assert "140x100 pixels, but the original has 150x100" in errors["size.png"]
    assert "RGB, but the original is L" in errors["mode.jpg"]
    assert "not a picture" in errors["bad.png"]
    assert "which of twice.bmp, twice.png" in errors["twice.webp"]
    assert (summary["pairs"], summary["failed"]) == (3, 6)
    plain = run("eval", "-r", originals, coded)
    assert plain.code == 9
    assert all(message in plain.err for message in errors.values())
    assert plain.out.decode().splitlines()[-1].startswith("mean of 3")


def test_of_a_picture_and_a_file_made_of_it_the_picture_is_the_original(
    folders: tuple[Path, Path],
) -> None:
    originals, coded = folders
    (originals / "sub" / "c.eae").write_bytes((coded / "sub" / "c.eae").read_bytes())
    lines = run("eval", "-r", originals, coded, "--json").lines()
    assert originals / "sub" / "c.png" in [Path(str(line.get("reference"))) for line in lines]


def test_original_of_the_same_suffix_is_taken_of_two(
    folders: tuple[Path, Path], photo: NDArray[np.uint8]
) -> None:
    originals, coded = folders
    Image.fromarray(photo).save(originals / "a.webp", lossless=True)
    Image.fromarray(photo).save(coded / "a.webp", quality=30)
    by_name = {Path(str(p.get("picture"))).name: p for p in run("eval", *folders, "--json").lines()}
    assert Path(str(by_name["a.webp"]["reference"])).name == "a.webp"
    assert by_name["a.jpg"]["exit"] == 6


def test_alpha_is_ignored_and_said(folders: tuple[Path, Path]) -> None:
    with_alpha = folders[0] / "alpha.png"
    Image.open(folders[0] / "a.png").convert("RGBA").save(with_alpha)
    result = run("eval", with_alpha, folders[1] / "a.jpg")
    assert result.code == 0
    assert "alpha ignored" in result.err
    plain = run("eval", folders[0] / "a.png", folders[1] / "a.jpg")
    assert result.out == plain.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{a}/a.png", "{b}"], 2, "give two pictures, or two folders"),
        (["{a}"], 2, "got 1 inputs"),
        (["{a}", "{b}", "{b}"], 2, "got 3 inputs"),
        (["{a}", "{b}", "--peers", "webp"], 2, "--peers: for --codec alone"),
        (["{a}", "{b}", "--effort", "1", "--plot", "x.png"], 2, "--effort, --plot: for"),
        (["{a}", "nothing"], 6, "nothing: no such file or folder"),
        (["{a}", "{a}/sub", "-r"], 6, "no picture of one has the name"),
        (["{a}/a.png", "{b}/b.jpg"], 6, "L, but the original is RGB"),
        (["{a}/a.png", "{b}/bad.eae"], 3, "bad.eae: "),
        (["{a}", "{b}", "-m", "absent"], 5, "absent"),
        (["--codec", "nothing"], 6, "nothing: no such file or folder"),
        (["--codec", "{a}/deep"], 6, "no file in it ends in"),
        (["--codec", "{a}", "--peers", "gif"], 2, "no gif; there are jpeg, webp"),
        (["--codec", "{a}", "--qualities", "50,x"], 2, "'50,x' is not whole numbers"),
        (["--codec", "{a}", "--qualities", "50,101"], 2, "is not whole numbers of 0..100"),
        (["--codec", "{a}", "--effort", "3"], 2, "--effort"),
        (["--codec", "{a}", "--plot", "rd.txt"], 2, "rd.txt does not end in png, svg, pdf"),
        (["--codec", "{a}", "-o", "{a}/a.png"], 7, "a.png: exists"),
        (["--codec", "{a}", "--plot", "{a}/a.png"], 7, "a.png: exists"),
        (["--codec", "{a}", "-m", "absent"], 5, "'absent' is neither"),
        (["--codec", "{b}/bad.eae", "-m", "tiny"], 6, "not a picture"),
    ],
)
def test_each_failure_has_its_exit_code_and_names_its_cause(
    folders: tuple[Path, Path], arguments: list[str], code: int, message: str
) -> None:
    a, b = folders
    (a / "deep").mkdir()
    (b / "bad.eae").write_bytes(b"damaged")
    filled = [text.replace("{a}", str(a)).replace("{b}", str(b)) for text in arguments]
    before = files(a)
    result = run("eval", *filled)
    assert result.code == code
    assert message in re.sub(r"\s+", " ", result.err)
    assert result.out == b""
    assert files(a) == before


def test_codec_prints_a_point_for_each_quality_and_bd_rates(large: Path) -> None:
    result = run(*CODEC, large, "--peers", "jpeg,webp", "--effort", "0")
    assert (result.code, result.err) == (0, "")
    points, rates = result.out.decode().split("\n\n")
    rows = [re.split(r"  +", line) for line in points.splitlines()]
    assert rows[0] == ["codec", "quality", "bpp", "PSNR dB", "MS-SSIM"]
    assert [row[1] for row in rows if row[0] == "edgeae tiny"] == ["30", "70"]
    assert [row[0] for row in rows].count("JPEG 4:2:0") == 11
    pixels = pixels_of(large / "x.png")
    codec = edgeae.Codec.load("tiny")
    data = codec.compress(pixels, 30, effort=0)
    decoded = codec.decompress(data)
    (ours,) = (row for row in rows if row[:2] == ["edgeae tiny", "30"])
    assert ours[2:] == [
        f"{8 * len(data) / 34_000:.3f}",
        f"{psnr_db(pixels, decoded):.2f}",
        f"{ms_ssim(pixels, decoded):.4f}",
    ]
    assert re.search(r"^JPEG 4:2:0 +\+0\.0 % +\+0\.0 %$", rates, re.MULTILINE)
    assert re.search(r"^WebP, method 6 +[+-]\d+\.\d % ", rates, re.MULTILINE)


def test_codec_writes_json_lines_result_file_and_plot(
    large: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    target, plot = tmp_path / "new" / "results.json", tmp_path / "new" / "rd.png"
    result = run(*CODEC, large, "--peers", "jpeg", "--json", "-o", target, "--plot", plot)
    assert result.code == 0
    jpeg, ours, summary = result.lines()
    assert (jpeg["codec"], ours["codec"]) == ("jpeg420", "edgeae-tiny")
    assert jpeg["bd_rate"] == {"psnr": pytest.approx(0), "ms_ssim": pytest.approx(0)}
    assert (summary["pictures"], summary["failed"], summary["anchor"]) == (1, 0, "jpeg420")
    manifest = file_sha256(tiny_bundle / "manifest.json")
    expected = {"effort": 1, "precision": "fp32", "bundle": manifest}
    assert summary["settings"] == {"edgeae-tiny": expected}
    stored = json.loads(target.read_text())
    assert stored["files"].keys() == {"x.png"}
    rows = stored["codecs"]["edgeae-tiny"]["points"]
    assert [dict(zip(stored["columns"], row, strict=True)) for row in rows] == ours["points"]
    with Image.open(io.BytesIO(plot.read_bytes())) as image:
        assert image.format == "PNG"
        assert len(np.unique(np.asarray(image))) > 10
    assert run(*CODEC, large, "--peers", "none", "-o", target).code == 7
    assert run(*CODEC, large, "--peers", "none", "-o", target, "-f").code == 0
    assert json.loads(target.read_text())["codecs"].keys() == {"edgeae-tiny"}


def test_codec_measures_several_bundles(
    large: Path, bundle_copy: Path, tiny_bundle: Path, plain_bundle: Path
) -> None:
    twin = bundle_copy.rename(bundle_copy.with_name("tiny"))
    models = [part for model in (tiny_bundle, twin, plain_bundle) for part in ("-m", model)]
    result = run(
        "eval", large, "--codec", "--peers", "none", "--qualities", "50", *models, "--json"
    )
    *codecs, _ = result.lines()
    assert [codec["codec"] for codec in codecs] == ["edgeae-tiny", f"edgeae-{twin}", "edgeae-plain"]
    assert codecs[0]["points"] == codecs[1]["points"]
    assert codecs[0]["bd_rate"] == {}


def test_codec_takes_small_grey_and_transparent_pictures(
    tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    folder = tmp_path / "mixed"
    (folder / "sub").mkdir(parents=True)
    image = Image.fromarray(photo)
    image.convert("L").save(folder / "grey.png")
    image.convert("RGBA").save(folder / "alpha.png")
    image.save(folder / "sub" / "deep.png")
    result = run(*CODEC, "--json", folder, "--peers", "jpeg,webp")
    assert result.code == 0
    jpeg, _, ours, summary = result.lines()
    assert summary["pictures"] == 2
    assert [point["ms_ssim"] for point in ours["points"]] == [None, None]  # type: ignore[attr-defined]
    assert jpeg["bd_rate"] == {"psnr": pytest.approx(0), "ms_ssim": None}
    assert run(*CODEC, "--json", "-r", folder, "--peers", "none").lines()[-1]["pictures"] == 3


def test_codec_reports_a_bad_picture_and_measures_the_others(
    large: Path, photo: NDArray[np.uint8]
) -> None:
    (large / "bad.png").write_bytes(b"no picture")
    result = run(*CODEC, large, "--peers", "none", "--json")
    assert result.code == 9
    assert "1 of 2 pictures failed" in result.err
    error, ours, summary = result.lines()
    assert (error["picture"], error["exit"]) == (str(large / "bad.png"), 6)
    assert (summary["pictures"], summary["failed"]) == (1, 1)
    (large / "bad.png").unlink()
    assert run(*CODEC, large, "--peers", "none", "--json").lines()[0] == ours


def test_codec_without_bjontegaard_prints_the_table_and_says_how_to_get_bd_rates(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeae.evaluation.bd_rate.find_spec", lambda _: None)
    result = run(*CODEC, large, "--peers", "jpeg")
    assert result.code == 0
    assert "edgeae tiny" in result.out.decode()
    assert "BD-rate" not in result.out.decode()
    assert result.err == "no BD-rates: pip install 'edgeae[plot]'\n"


def test_plot_without_matplotlib_is_10_before_anything_is_measured(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "edgeae.evaluation.plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("edgeae.codec.Codec.compress", lambda *_: 1 / 0)
    result = run(*CODEC, large, "--plot", large / "rd.png")
    assert result.code == 10
    assert "pip install 'edgeae[plot]'" in result.err
    assert files(large) == {"x.png"}


def test_peer_that_is_asked_for_and_absent_is_10_and_one_that_is_not_is_left_out(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeae.evaluation.peers.find_spec", lambda _: None)
    result = run(*CODEC, large, "--peers", "jxl")
    assert result.code == 10
    assert "pip install -U pillow-jxl-plugin" in result.err
    defaults = run(*CODEC, large, "--json")
    assert defaults.code == 0
    assert "HEIC 4:2:0: left out; pip install pillow-heif" in defaults.err
    assert [line.get("codec") for line in defaults.lines()][:3] == ["jpeg420", "webp", "avif444"]


def test_table_is_aligned() -> None:
    assert plain_lines(("name", "n"), [("a", "10"), ("long name", "5")]) == [
        "name        n",
        "a          10",
        "long name   5",
    ]


def test_table_is_drawn_on_a_terminal_and_holds_any_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_table(("name", "n"), [("[red]a", "1")])
    shown = capsys.readouterr().out
    assert "[red]a" in shown
    assert "─" in shown
