"""sample, interpolate, reconstruct, embed, augment and restore, as users call them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from array_bundle import SHAPE, write_array_bundle
from numpy.typing import NDArray
from PIL import Image
from plain_bundles import VAE_LOG_VARIANCE, VAE_SIDE, write_filter_bundle, write_vae_bundle
from typer.testing import CliRunner

from edgeae.cli.app import app
from edgeae.codec import Codec
from edgeae.images.grids import GAP
from edgeae.latent_space import interpolate_linear, interpolate_spherical, sample_prior

pytestmark = pytest.mark.torch  # the bundles are written with onnx

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vae_bundle(tmp_path_factory.mktemp("bundles") / "vae")


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_filter_bundle(tmp_path_factory.mktemp("bundles") / "filters")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_array_bundle(tmp_path_factory.mktemp("bundles") / "series")


@pytest.fixture
def made(vae: Path, tmp_path: Path) -> Path:
    """A folder with 0.png, 1.png, sub/2.png that the autoencoder knows, and sub/odd.png."""
    pictures = Codec.load(vae, threads=1).generate(sample_prior(3, (4, 1, 1), seed=9))[..., 0]
    odd = np.random.default_rng(0).integers(0, 256, (VAE_SIDE, VAE_SIDE), np.uint8)
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name, pixels in zip(("0", "1", "sub/2", "sub/odd"), [*pictures, odd], strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def run(*arguments: str | Path, stdin: bytes | None = None) -> tuple[int, bytes, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout_bytes, result.stderr


def opened(path: Path | io.BytesIO) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def grid_size(rows: int, columns: int, side: int = VAE_SIDE) -> tuple[int, int]:
    return rows * (side + GAP) + GAP, columns * (side + GAP) + GAP


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["sample", "-n", "2", "-o", "{out}/all.png"], "all.png"),
        (["sample", "-n", "4", "-o", "{out}/"], "0003.png"),
        (["interpolate", "{in}/0.png", "{in}/1.png", "-o", "{out}/strip.png"], "strip.png"),
        (["interpolate", "{in}/0.png", "{in}/1.png", "-o", "{out}/walk.gif"], "walk.gif"),
        (["reconstruct", "{in}/0.png", "-o", "{out}/grid.png"], "grid.png"),
        (["reconstruct", "{in}/0.png", "--csv", "{out}/errors.csv"], "errors.csv"),
        (["embed", "{in}/0.png", "-o", "{out}/latents.npy"], "latents.npy"),
    ],
)
def test_what_is_there_stays_without_f(
    vae: Path, made: Path, tmp_path: Path, arguments: list[str], kept: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / kept).write_bytes(b"mine")
    filled = [text.replace("{in}", str(made)).replace("{out}", str(out)) for text in arguments]
    code, _, err = run(*filled, "-m", vae)
    assert (code, err.count("\n")) == (7, 1)
    assert f"{kept}: exists" in err
    assert files(out) == {kept}
    assert (out / kept).read_bytes() == b"mine"
    assert run(*filled, "-m", vae, "-f")[0] == 0
    assert (out / kept).read_bytes() != b"mine"


class TestSample:
    def test_grid_shows_what_the_decoder_makes_of_the_prior(
        self, vae: Path, tmp_path: Path
    ) -> None:
        code, out, err = run("sample", "-m", vae, "-n", "9", "-o", tmp_path / "s.png")
        assert (code, out) == (0, b"")
        assert "s.png  9 samples, seed 0  " in err
        sheet = opened(tmp_path / "s.png")
        assert sheet.shape == grid_size(3, 3)
        pictures = Codec.load(vae).generate(sample_prior(9, (4, 1, 1), seed=0))
        first = sheet[GAP : GAP + VAE_SIDE, GAP : GAP + VAE_SIDE]
        np.testing.assert_array_equal(first, pictures[0, ..., 0])

    def test_seed_and_truncation_decide(self, vae: Path, tmp_path: Path) -> None:
        def sampled(*options: str) -> bytes:
            code, out, _ = run("sample", "-m", vae, "-n", "4", "-o", "-", *options)
            assert code == 0
            return out

        assert sampled() == sampled("--seed", "0", "--truncation", "1")
        assert sampled() != sampled("--seed", "1")
        typical = opened(io.BytesIO(sampled("--truncation", "0")))
        assert (typical[GAP : GAP + VAE_SIDE, GAP : GAP + VAE_SIDE] == 128).all()

    def test_zoom_and_default_name(
        self, vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run("sample", "-m", vae, "--zoom", "3", "--quiet") == (0, b"", "")
        assert opened(tmp_path / "samples.png").shape == grid_size(8, 8, 3 * VAE_SIDE)

    def test_folder_gets_a_file_for_each(self, vae: Path, tmp_path: Path) -> None:
        code, out, _ = run("sample", "-m", vae, "-n", "5", "-o", f"{tmp_path}/made/", "--json")
        assert code == 0
        assert files(tmp_path / "made") == {f"000{k}.png" for k in range(5)}
        fields = json.loads(out)
        assert (fields["number"], fields["seed"], fields["model"]) == (5, 0, "vae")
        assert fields["bytes"] == sum(p.stat().st_size for p in (tmp_path / "made").iterdir())
        pictures = Codec.load(vae).generate(sample_prior(5, (4, 1, 1), seed=0))
        np.testing.assert_array_equal(opened(tmp_path / "made/0004.png"), pictures[4, ..., 0])

    def test_numpy_file_has_all(self, vae: Path, tmp_path: Path) -> None:
        assert run("sample", "-m", vae, "-n", "300", "-o", tmp_path / "s.npy")[0] == 0
        pictures = np.load(tmp_path / "s.npy")
        assert (pictures.shape, pictures.dtype) == ((300, 8, 8, 1), np.uint8)

    def test_bundle_without_a_prior_is_exit_5(self, filters: Path, tmp_path: Path) -> None:
        code, _, err = run("sample", "-m", filters, "-o", tmp_path / "s.png")
        assert code == 5
        assert "bundle filters has no prior" in err
        assert files(tmp_path) == set()

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["-n", "0"], 2),
            (["--truncation", "-1"], 2),
            (["--truncation", "nan"], 2),
            (["-o", "s.eae"], 6),
            (["-o", "-", "--json"], 2),
            (["-o", "there.png"], 7),
        ],
    )
    def test_wrong_use_has_its_exit_code(
        self,
        vae: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        options: list[str],
        expected: int,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "there.png").write_bytes(b"mine")
        assert run("sample", "-m", vae, *options)[0] == expected
        assert files(tmp_path) == {"there.png"}
        assert (tmp_path / "there.png").read_bytes() == b"mine"
        assert run("sample", "-m", vae, "-n", "1", "-o", "there.png", "-f")[0] == 0

    def test_without_a_model_there_are_digits(self, tmp_path: Path) -> None:
        assert run("sample", "-n", "4", "-o", tmp_path / "s.png")[0] == 0
        with Image.open(tmp_path / "s.png") as image:
            assert image.size == (62, 62)  # two by two of 28x28


class TestInterpolate:
    @pytest.mark.parametrize("spherical", [False, True])
    def test_strip_leads_from_one_to_the_other(
        self, vae: Path, made: Path, tmp_path: Path, spherical: bool
    ) -> None:
        target = tmp_path / "strip.png"
        options = ["--spherical"] if spherical else []
        code, _, err = run(
            "interpolate", made / "0.png", made / "1.png", "-m", vae, "-o", target, *options
        )
        assert code == 0
        assert f"9 steps, {'spherical' if spherical else 'linear'}" in err
        strip = opened(target)
        assert strip.shape == grid_size(1, 9)
        codec = Codec.load(vae)
        a, b = codec.embed([opened(made / f"{k}.png") for k in (0, 1)])
        way = interpolate_spherical if spherical else interpolate_linear
        expected = codec.generate(way(a, b, 9))[..., 0]
        for k in range(9):
            left = GAP + k * (VAE_SIDE + GAP)
            cell = strip[GAP : GAP + VAE_SIDE, left : left + VAE_SIDE]
            np.testing.assert_array_equal(cell, expected[k])

    def test_gif_has_as_many_frames(self, vae: Path, made: Path, tmp_path: Path) -> None:
        arguments: list[str | Path] = [
            "interpolate",
            made / "0.png",
            made / "1.png",
            "-m",
            vae,
            "-n",
            "12",
        ]
        assert run(*arguments, "-o", tmp_path / "w.gif", "--zoom", "2")[0] == 0
        with Image.open(tmp_path / "w.gif") as image:
            assert (image.n_frames, image.size) == (12, (16, 16))  # type: ignore[attr-defined]  # of a GIF

    def test_colours_of_any_size(self, filters: Path, tmp_path: Path) -> None:
        for name, value in (("a", 40), ("b", 200)):
            Image.new("RGBA", (21, 13), (value, 10, 90, 7)).save(tmp_path / f"{name}.png")
        arguments: list[str | Path] = [
            tmp_path / "a.png",
            tmp_path / "b.png",
            "-m",
            filters,
            "-n",
            "3",
        ]
        assert run("interpolate", *arguments, "-o", tmp_path / "s.png")[0] == 0
        strip = opened(tmp_path / "s.png")
        assert strip.shape == (13 + 2 * GAP, 3 * 21 + 4 * GAP, 3)
        middles: NDArray[np.uint8] = strip[8, GAP + 10 :: 21 + GAP]
        expected = np.array([[40, 10, 90], [120, 10, 90], [200, 10, 90]])
        np.testing.assert_allclose(middles, expected, atol=1)

    def test_arrays_are_written_as_arrays(self, series: Path, tmp_path: Path) -> None:
        a, b = np.zeros(SHAPE, np.float32), np.full(SHAPE, 4, np.float32)
        np.save(tmp_path / "a.npy", a)
        np.save(tmp_path / "b.npy", b)
        arguments: list[str | Path] = [
            "interpolate",
            tmp_path / "a.npy",
            tmp_path / "b.npy",
            "-m",
            series,
        ]
        assert run(*arguments, "-n", "3", "-o", tmp_path / "w.npy")[0] == 0
        np.testing.assert_allclose(np.load(tmp_path / "w.npy"), np.stack([a, (a + b) / 2, b]))
        for name in ("w.gif", "w.png"):
            assert run(*arguments, "-o", tmp_path / name)[0] == 6

    def test_pictures_of_two_sizes_are_exit_6(self, filters: Path, tmp_path: Path) -> None:
        for name, size in (("a", (8, 8)), ("b", (8, 10))):
            Image.new("RGB", size).save(tmp_path / f"{name}.png")
        code, _, err = run(
            "interpolate",
            tmp_path / "a.png",
            tmp_path / "b.png",
            "-m",
            filters,
            "-o",
            tmp_path / "s.png",
        )
        assert code == 6
        assert "a.png is 8x8" in err
        assert "b.png is 8x10" in err

    def test_damaged_end_is_named(self, vae: Path, made: Path, tmp_path: Path) -> None:
        (made / "bad.png").write_bytes((made / "0.png").read_bytes()[:40])
        target = tmp_path / "s.png"
        code, _, err = run("interpolate", made / "0.png", made / "bad.png", "-m", vae, "-o", target)
        assert code == 6
        assert err.count("bad.png: ") == 1
        assert not target.exists()

    def test_bundle_with_hyper_latents_is_exit_5(self, made: Path, tmp_path: Path) -> None:
        ends = [made / "0.png", made / "1.png"]
        code, _, err = run("interpolate", *ends, "-m", "tiny", "-o", tmp_path / "s.png")
        assert code == 5
        assert "plain autoencoder" in err


class TestReconstruct:
    def test_the_odd_one_stands_first(self, vae: Path, made: Path, tmp_path: Path) -> None:
        target = tmp_path / "errors.csv"
        code, out, _ = run("reconstruct", "-r", made, "-m", vae, "--json", "--csv", target)
        assert code == 0
        lines = [json.loads(line) for line in out.splitlines()]
        assert Path(str(lines[0]["input"])).name == "odd.png"
        errors = [line["mse"] for line in lines]
        assert errors == sorted(errors, reverse=True)
        assert errors[0] > 100 * errors[1]
        with target.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["input"], float(row["mse"])) for row in rows] == [
            (line["input"], line["mse"]) for line in lines
        ]

    def test_error_is_that_of_pixels_from_0_to_1(self, vae: Path, made: Path) -> None:
        _, out, _ = run("reconstruct", made / "sub/odd.png", "-m", vae, "--json")
        fields = json.loads(out)
        codec = Codec.load(vae)
        original = opened(made / "sub/odd.png")
        (decoded,) = codec.generate(np.stack(list(codec.embed([original]))))
        difference = (original.astype(float) - decoded[..., 0]) / 255
        assert fields["mse"] == pytest.approx((difference**2).mean(), rel=1e-5)
        assert fields["psnr_db"] == pytest.approx(-10 * np.log10(fields["mse"]), abs=1e-3)
        assert (fields["width"], fields["height"]) == (8, 8)

    def test_table_goes_to_stdout(self, vae: Path, made: Path) -> None:
        code, out, err = run("reconstruct", "-r", made, "-m", vae)
        assert (code, err) == (0, "")
        lines = out.decode().splitlines()
        assert lines[0].split() == ["input", "MSE", "PSNR", "dB"]
        assert len(lines) == 5
        assert lines[1].startswith(str(made / "sub/odd.png"))

    def test_grid_has_the_worst_as_threes(self, vae: Path, made: Path, tmp_path: Path) -> None:
        target = tmp_path / "g.png"
        code, _, _ = run("reconstruct", "-r", made, "-m", vae, "-o", target, "-n", "2", "--quiet")
        assert code == 0
        sheet = opened(target)
        row = (VAE_SIDE + 2 * GAP + 12, 3 * VAE_SIDE + 4 * GAP)
        wide, high = (row[0] + 2 * GAP, 2 * row[1] + 3 * GAP), (2 * row[0] + 3 * GAP, row[1] + 4)
        assert sheet.shape in (wide, high)
        top = 2 * GAP
        original = sheet[top : top + VAE_SIDE, 2 * GAP : 2 * GAP + VAE_SIDE]
        np.testing.assert_array_equal(original, opened(made / "sub/odd.png"))

    def test_large_pictures_are_shrunk_in_the_grid(self, filters: Path, tmp_path: Path) -> None:
        Image.new("RGB", (1000, 30), (9, 8, 7)).save(tmp_path / "wide.png")
        target = tmp_path / "g.png"
        assert run("reconstruct", tmp_path / "wide.png", "-m", filters, "-o", target)[0] == 0
        assert opened(target).shape == (10 + 12 + 4 * GAP, 3 * 333 + 6 * GAP, 3)

    def test_arrays_have_errors_and_no_picture(self, series: Path, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.ones(SHAPE, np.float32))
        code, out, _ = run("reconstruct", tmp_path / "a.npy", "-m", series, "--json")
        fields = json.loads(out)
        assert (code, fields["mse"], fields["psnr_db"]) == (0, 0, None)
        code, _, err = run(
            "reconstruct", tmp_path / "a.npy", "-m", series, "-o", tmp_path / "g.png"
        )
        assert code == 6
        assert "arrays are not drawn" in err

    def test_bad_file_stops_no_other(self, vae: Path, made: Path, tmp_path: Path) -> None:
        (made / "0a.png").write_bytes(b"no picture")
        Image.new("L", (9, 8)).save(made / "0b.png")
        target = tmp_path / "e.csv"
        code, out, err = run("reconstruct", "-r", made, "-m", vae, "--csv", target, "--json")
        assert code == 9
        assert "0a.png: not a picture" in err
        assert "0b.png: a picture of 9x8" in err
        assert "2 of 6 inputs failed" in err
        failed = [f for line in out.splitlines() if "error" in (f := json.loads(line))]
        assert [fields["exit"] for fields in failed] == [6, 6]
        assert len(target.read_text().splitlines()) == 1 + 4

    def test_only_input_has_its_own_exit_code(self, vae: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.png").write_bytes(b"no picture")
        target = tmp_path / "g.png"
        assert run("reconstruct", tmp_path / "bad.png", "-m", vae, "-o", target)[0] == 6
        assert not target.exists()

    def test_outputs_do_not_mix(self, vae: Path, made: Path) -> None:
        picture = made / "0.png"
        assert run("reconstruct", picture, "-m", vae, "-o", "-", "--json")[0] == 2
        assert run("reconstruct", picture, "-m", vae, "-o", "-", "--csv", "-")[0] == 2
        code, out, _ = run("reconstruct", picture, "-m", vae, "--csv", "-")
        assert (code, out[:18]) == (0, b"input,mse,psnr_db\n")
        assert run("reconstruct", picture, "-m", vae, "-o", picture, "-f")[0] == 7


class TestEmbed:
    def test_rows_are_in_the_order_of_the_inputs(
        self, vae: Path, made: Path, tmp_path: Path
    ) -> None:
        inputs = [made / "1.png", made / "sub/odd.png", made / "0.png"]
        code, _, err = run("embed", *inputs, "-m", vae, "-o", tmp_path / "l.npz")
        assert code == 0
        assert "l.npz  3x4x1x1  " in err
        with np.load(tmp_path / "l.npz") as archive:
            assert archive["names"].tolist() == [str(path) for path in inputs]
            latents = archive["latents"]
        expected = np.stack(list(Codec.load(vae).embed([opened(path) for path in inputs])))
        np.testing.assert_allclose(latents, expected, rtol=1e-6)
        assert latents.dtype == np.float32

    def test_bad_file_has_no_row(self, vae: Path, made: Path, tmp_path: Path) -> None:
        (made / "0a.png").write_bytes(b"")
        code, out, err = run("embed", "-r", made, "-m", vae, "-o", tmp_path / "l.npy", "--json")
        assert code == 9
        assert "0a.png: the file is empty" in err
        first, last = (json.loads(line) for line in out.splitlines())
        assert (first["exit"], last["shape"]) == (6, [4, 4, 1, 1])
        assert np.load(tmp_path / "l.npy").shape == (4, 4, 1, 1)

    def test_all_bad_files_write_nothing(self, vae: Path, tmp_path: Path) -> None:
        for name in ("a.png", "b.png"):
            (tmp_path / name).write_bytes(b"no picture")
        code, _, err = run("embed", "-r", tmp_path, "-m", vae, "-o", tmp_path / "l.npy")
        assert code == 9
        assert "all 2 inputs failed; nothing is written" in err
        assert files(tmp_path) == {"a.png", "b.png"}

    def test_pictures_of_several_sizes_need_means(self, filters: Path, tmp_path: Path) -> None:
        for name, side in (("a", 8), ("b", 12)):
            Image.new("RGB", (side, 8), (50, 60, 70)).save(tmp_path / f"{name}.png")
        inputs = [tmp_path / "a.png", tmp_path / "b.png"]
        code, _, err = run("embed", *inputs, "-m", filters, "-o", tmp_path / "l.npy")
        assert code == 9
        assert "b.png: its latents are (12, 4, 6), those of" in err
        code, out, _ = run("embed", *inputs, "-m", filters, "-o", "-", "--mean")
        means = np.load(io.BytesIO(out))
        assert (code, means.shape) == (0, (2, 12))
        whole = np.stack([z.mean((1, 2)) for z in Codec.load(filters).embed(map(opened, inputs))])
        np.testing.assert_allclose(means, whole, rtol=1e-6)

    @pytest.mark.parametrize(("name", "expected"), [("l.png", 7), ("there.npy", 7)])
    def test_output_is_checked_first(
        self, vae: Path, made: Path, tmp_path: Path, name: str, expected: int
    ) -> None:
        (tmp_path / "there.npy").write_bytes(b"mine")
        assert run("embed", made / "0.png", "-m", vae, "-o", tmp_path / name)[0] == expected
        assert (tmp_path / "there.npy").read_bytes() == b"mine"

    def test_stdin_is_a_picture(self, vae: Path, made: Path) -> None:
        data = (made / "0.png").read_bytes()
        code, out, _ = run("embed", "-", "-m", vae, "-o", "-", stdin=data)
        assert (code, np.load(io.BytesIO(out)).shape) == (0, (1, 4, 1, 1))

    def test_missing_file_and_folder_without_r(self, vae: Path, made: Path, tmp_path: Path) -> None:
        assert run("embed", made / "none.png", "-m", vae, "-o", tmp_path / "l.npy")[0] == 6
        assert run("embed", made, "-m", vae, "-o", tmp_path / "l.npy")[0] == 2


class TestAugment:
    def test_tree_is_mirrored(self, vae: Path, made: Path, tmp_path: Path) -> None:
        code, out, _ = run("augment", made, "-m", vae, "-o", tmp_path / "out", "--json")
        assert code == 0
        expected = {f"{n}-{k}.png" for n in ("0", "1", "sub/2", "sub/odd") for k in (1, 2)}
        assert files(tmp_path / "out") == expected
        lines = [json.loads(line) for line in out.splitlines()]
        assert {path for line in lines for path in line["outputs"]} == {
            str(tmp_path / "out" / name) for name in expected
        }

    def test_variants_depend_on_seed_and_path_alone(
        self, vae: Path, made: Path, tmp_path: Path
    ) -> None:
        def variants(name: str, *options: str) -> dict[str, bytes]:
            out = tmp_path / name
            assert run("augment", made, "-m", vae, "-o", out, "--quiet", *options)[0] == 0
            return {path: (out / path).read_bytes() for path in files(out)}

        first = variants("a")
        (made / "0.png").unlink()
        assert variants("b") == {k: v for k, v in first.items() if not k.startswith("0-")}
        other = variants("c", "--seed", "1")
        assert all(other[name] != first[name] for name in other)
        more = variants("d", "-n", "3")
        assert {name: more[name] for name in other} == {name: first[name] for name in other}
        assert first["1-1.png"] != first["1-2.png"]

    def test_noise_of_a_variational_encoder_is_that_of_its_posterior(
        self, vae: Path, made: Path, tmp_path: Path
    ) -> None:
        options = ["-n", "200", "--spread", "0.5", "--quiet"]
        assert run("augment", made / "sub", "-m", vae, "-o", tmp_path / "out", *options)[0] == 0
        codec = Codec.load(vae)
        (mean,) = codec.embed([opened(made / "sub/2.png")])
        paths = sorted((tmp_path / "out").glob("2-*.png"))
        latents = np.stack(list(codec.embed(map(opened, paths)))) - mean
        deviation = 0.5 * np.exp(0.5 * VAE_LOG_VARIANCE)
        assert latents.std() == pytest.approx(deviation, rel=0.05)
        assert np.abs(latents.mean(axis=0)).max() < 0.06

    def test_noise_of_other_encoders_is_that_of_the_folder(
        self, filters: Path, tmp_path: Path
    ) -> None:
        random = np.random.default_rng(0)
        (tmp_path / "in").mkdir()
        for k in range(4):
            pixels = random.integers(60, 190, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"in/{k}.png")
        arguments: list[str | Path] = [
            "augment",
            tmp_path / "in",
            "-m",
            filters,
            "-n",
            "1",
            "--quiet",
        ]
        for name, spread in (("none", "0"), ("some", "0.5")):
            assert run(*arguments, "-o", tmp_path / name, "--spread", spread)[0] == 0
        codec = Codec.load(filters)
        originals = [opened(tmp_path / f"in/{k}.png") for k in range(4)]
        for k, original in enumerate(originals):
            np.testing.assert_array_equal(opened(tmp_path / f"none/{k}-1.png"), original)
        # The filter of the decoder is a known sum: what the noise adds has a known deviation.
        latents = np.stack(list(codec.embed(originals)))
        deviation = 0.5 * latents.std(axis=(0, 2, 3)).mean()
        kernel = np.random.default_rng(2).uniform(0, 1, (3, 3, 3))  # as of write_filter_bundle
        gain = np.sqrt(np.square(kernel / kernel.sum(axis=(1, 2), keepdims=True)).sum((1, 2)))
        added = [
            opened(tmp_path / f"some/{k}-1.png").astype(int) - o for k, o in enumerate(originals)
        ]
        assert np.std(added) == pytest.approx(deviation * gain.mean(), rel=0.1)

    def test_detail_that_the_autoencoder_loses_stays(
        self, vae: Path, made: Path, tmp_path: Path
    ) -> None:
        assert run("augment", made, "-m", vae, "-o", tmp_path / "out")[0] == 0
        codec = Codec.load(vae)
        odd = opened(made / "sub/odd.png").astype(int)
        for k in (1, 2):
            variant = opened(tmp_path / f"out/sub/odd-{k}.png").astype(int)
            (lost,) = codec.reconstruct([odd.astype(np.uint8)])
            from_decoded = np.abs(variant - lost.pixels).mean()  # type: ignore[union-attr]  # a picture
            assert 1 < np.abs(variant - odd).mean() < from_decoded / 2

    def test_grey_and_alpha_stay(self, filters: Path, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        Image.new("L", (9, 7), 90).save(tmp_path / "in/grey.png")
        Image.new("RGBA", (9, 7), (90, 80, 70, 60)).save(tmp_path / "in/clear.png")
        assert run("augment", tmp_path / "in", "-m", filters, "-o", tmp_path / "out")[0] == 0
        assert opened(tmp_path / "out/grey-1.png").shape == (7, 9)
        assert (opened(tmp_path / "out/clear-2.png")[..., 3] == 60).all()

    def test_bad_file_stops_no_other(self, vae: Path, made: Path, tmp_path: Path) -> None:
        (made / "0a.png").write_bytes(b"no picture")
        Image.new("RGB", (VAE_SIDE, VAE_SIDE), (200, 9, 9)).save(made / "0.0.png")  # the first one
        code, _, err = run("augment", made, "-m", vae, "-o", tmp_path / "out")
        assert code == 9
        assert "0a.png: not a picture" in err
        assert "0.0.png: a colour picture" in err
        assert len(files(tmp_path / "out")) == 8

    def test_what_is_there_stays(self, vae: Path, made: Path, tmp_path: Path) -> None:
        (tmp_path / "out/sub").mkdir(parents=True)
        (tmp_path / "out/sub/2-2.png").write_bytes(b"mine")
        code, _, err = run("augment", made, "-m", vae, "-o", tmp_path / "out")
        assert code == 9
        assert "2-2.png: exists" in err
        assert (tmp_path / "out/sub/2-2.png").read_bytes() == b"mine"
        assert not (tmp_path / "out/sub/2-1.png").exists()
        assert run("augment", made, "-m", vae, "-o", tmp_path / "out", "-f")[0] == 0

    def test_arrays_too(self, series: Path, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        for k in range(3):
            np.save(tmp_path / f"in/{k}.npy", np.full(SHAPE, k, np.float32))
        assert run("augment", tmp_path / "in", "-m", series, "-o", tmp_path / "out")[0] == 0
        assert np.load(tmp_path / "out/1-2.npy").shape == SHAPE

    def test_folder_must_be_there(self, vae: Path, made: Path, tmp_path: Path) -> None:
        assert run("augment", tmp_path / "none", "-m", vae, "-o", tmp_path / "out")[0] == 6
        assert run("augment", made / "0.png", "-m", vae, "-o", tmp_path / "out")[0] == 6
        assert run("augment", made, "-m", vae, "-o", tmp_path / "out", "--spread", "inf")[0] == 2


class TestRestore:
    @pytest.fixture
    def noisy(self, tmp_path: Path) -> Path:
        path = tmp_path / "in" / "noisy.png"
        path.parent.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (31, 45, 4), np.uint8)
        exif = Image.Exif()
        exif[0x010E] = "a scene"
        Image.fromarray(pixels).save(path, icc_profile=b"a profile", exif=exif)
        return path

    def test_picture_is_restored_beside_itself(self, filters: Path, noisy: Path) -> None:
        code, out, err = run("restore", noisy, "-m", filters)
        assert (code, out) == (0, b"")
        assert "noisy.restored.png  45x31  " in err
        original = opened(noisy)
        (expected,) = Codec.load(filters).reconstruct([original])
        with Image.open(noisy.with_name("noisy.restored.png")) as image:
            restored = np.asarray(image)
            assert image.info["icc_profile"] == b"a profile"
            assert image.getexif()[0x010E] == "a scene"
        np.testing.assert_array_equal(restored[..., :3], expected.pixels)  # type: ignore[union-attr]  # a picture
        np.testing.assert_array_equal(restored[..., 3], original[..., 3])

    def test_outputs_have_the_names_they_are_given(
        self, filters: Path, noisy: Path, tmp_path: Path
    ) -> None:
        folder = noisy.parent
        assert (
            run("restore", "-r", folder, "-m", filters, "-o", tmp_path / "out", "--strip")[0] == 0
        )
        with Image.open(tmp_path / "out/noisy.png") as image:
            assert "icc_profile" not in image.info
        assert run("restore", noisy, "-m", filters, "-o", tmp_path / "a.webp")[0] == 0
        assert run("restore", noisy, "-m", filters, "--format", "tiff")[0] == 0
        assert files(tmp_path) == {
            "in/noisy.png",
            "out/noisy.png",
            "a.webp",
            "in/noisy.restored.tiff",
        }
        code, out, _ = run("restore", noisy, "-m", filters, "-o", "-")
        assert (code, opened(io.BytesIO(out)).shape) == (0, (31, 45, 4))

    def test_results_are_no_inputs(self, filters: Path, noisy: Path, tmp_path: Path) -> None:
        folder, nested = noisy.parent, noisy.parent / "out"
        assert run("restore", "-r", folder, "-m", filters)[0] == 0
        assert run("restore", "-r", folder, "-m", filters, "-f")[0] == 0
        assert files(folder) == {"noisy.png", "noisy.restored.png"}
        noisy.unlink()
        code, _, err = run("restore", "-r", folder, "-m", filters)
        assert (code, "nothing but files that end in .restored" in err) == (6, True)
        (folder / "noisy.restored.png").rename(noisy)
        assert run("restore", "-r", folder, "-m", filters, "-o", nested)[0] == 0
        code, _, err = run("restore", "-r", folder, "-m", filters, "-o", nested, "-f")
        assert code == 7
        assert "out/noisy.png: is an input as well; name another output" in err

    def test_json_says_what_was_done(self, filters: Path, noisy: Path) -> None:
        code, out, _ = run("restore", noisy, "-m", filters, "--json", "--threads", "1")
        fields = json.loads(out)
        assert code == 0
        assert (fields["width"], fields["height"], fields["mode"]) == (45, 31, "RGBA")
        assert fields["output"] == str(noisy.with_name("noisy.restored.png"))
        assert fields["bytes"] == noisy.with_name("noisy.restored.png").stat().st_size

    def test_default_model_is_the_denoiser_for_photos(
        self, noisy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_filter_bundle(tmp_path / "bundles" / "denoise-photo")
        monkeypatch.setenv("EDGEAE_MODELS", str(tmp_path / "bundles"))
        assert run("restore", noisy)[0] == 0
        monkeypatch.setenv("EDGEAE_MODELS", str(tmp_path))
        code, _, err = run("restore", noisy, "-m", "denoise-none", "-f")
        assert code == 5
        assert "'denoise-none' is neither a bundle" in err

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["-o", "a.eae"], 6),
            (["--format", "eae"], 6),
            (["-o", "-", "--json"], 2),
            (["--provider", "coreml"], 4),
            (["--precision", "int8"], 5),
        ],
    )
    def test_wrong_use_has_its_exit_code(
        self, filters: Path, noisy: Path, options: list[str], expected: int
    ) -> None:
        before = files(noisy.parent)
        assert run("restore", noisy, "-m", filters, *options)[0] == expected
        assert files(noisy.parent) == before

    def test_bad_file_stops_no_other(self, filters: Path, noisy: Path, tmp_path: Path) -> None:
        noisy.with_name("cut.png").write_bytes(noisy.read_bytes()[:300])
        code, _, err = run("restore", "-r", noisy.parent, "-m", filters, "-o", tmp_path / "out")
        assert code == 9
        assert "cut.png: " in err
        assert files(tmp_path / "out") == {"noisy.png"}
        assert run("restore", noisy.with_name("cut.png"), "-m", filters)[0] == 6

    def test_what_is_there_stays(self, filters: Path, noisy: Path) -> None:
        assert run("restore", noisy, "-m", filters, "--quiet") == (0, b"", "")
        assert run("restore", noisy, "-m", filters)[0] == 7
        assert run("restore", noisy, "-m", filters, "-f")[0] == 0
        assert run("restore", noisy, "-m", filters, "-o", noisy, "-f")[0] == 7

    @pytest.mark.slow
    @pytest.mark.skipif(
        not Path("/proc/self/status").exists(),
        reason="reads a process's peak memory from Linux's /proc",
    )
    def test_large_picture_takes_bounded_memory(self, filters: Path, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (2304, 2304, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "large.ppm")
        blind = write_filter_bundle(tmp_path / "blind", halo=None)
        tiled, whole = (
            _peak_mb("restore", tmp_path / "large.ppm", "-m", model, "-o", tmp_path / name)
            for model, name in ((filters, "tiled.ppm"), (blind, "whole.ppm"))
        )
        assert (tmp_path / "tiled.ppm").read_bytes() == (tmp_path / "whole.ppm").read_bytes()
        layer = pixels.size * 4 / 1e6  # 64 MB of floats; the whole has several at once
        assert tiled < whole - 2 * layer
        assert tiled < 130 + pixels.size * 5 / 1e6  # samples, result, and what Pillow copies


def _peak_mb(*arguments: str | Path) -> float:
    """Return the most memory that a command had, in MB, measured in its own process.

    Not as `getrusage` has it, which begins with what the parent had.
    """
    code = (
        "import re; from edgeae.cli.app import app; app(standalone_mode=False); "
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024)"
    )
    command = [sys.executable, "-c", code, *map(str, arguments), "--threads", "1"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("command", ["reconstruct", "augment", "restore"])
def test_bundle_with_hyper_latents_is_one_error(command: str, made: Path, tmp_path: Path) -> None:
    flags = [] if command == "augment" else ["-r"]
    code, _, err = run(command, *flags, made, "-m", "tiny", "-o", tmp_path / "out.png")
    assert (code, err.count("\n")) == (5, 1)
    assert "choose a plain autoencoder" in err
    assert files(tmp_path) == {f"in/{name}" for name in files(made)}
