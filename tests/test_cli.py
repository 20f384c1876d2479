from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import edgeae
from edgeae.cli import output, stops
from edgeae.cli.app import app
from edgeae.cli.commands import COMMANDS, SUMMARIES, Place
from edgeae.cli.jobs import Job
from edgeae.errors import OutputError

RESULT = re.compile(
    r"^\S+ -> \S+  150x100  \d+\.\d{3} bpp  \d+(\.\d)? k?B  [\d.]+x smaller  \d+ ms$"
)


class Result:
    """What a command came to: its exit code and its two streams."""

    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(result.exit_code, result.stdout_bytes, result.stderr)


def run_text(*arguments: str | Path) -> str:
    return run(*arguments).out.decode()


@pytest.fixture
def pictures(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """A folder with a.png, sub/b.JPG, sub/deep/c.webp and notes.txt."""
    folder = tmp_path / "in"
    (folder / "sub" / "deep").mkdir(parents=True)
    image = Image.fromarray(photo)
    image.save(folder / "a.png")
    image.save(folder / "sub" / "b.JPG", quality=95)
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "sub" / "deep" / "c.webp")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def png(pictures: Path) -> Path:
    return pictures / "a.png"


@pytest.fixture
def eae(png: Path) -> Path:
    """A compressed picture, png's sibling."""
    assert run("compress", png, "-m", "tiny").code == 0
    return png.with_suffix(".eae")


def opened(path: Path) -> tuple[str | None, NDArray[np.uint8]]:
    """Return the format and the pixels of a picture file."""
    with Image.open(path) as image:
        return image.format, np.asarray(image)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_picture_is_compressed_beside_itself_and_said_on_stderr(png: Path) -> None:
    result = run("compress", png, "-m", "tiny")
    assert (result.code, result.out) == (0, b"")
    assert RESULT.match(result.err.rstrip("\n"))
    size = png.with_suffix(".eae").stat().st_size
    assert f"{8 * size / 15_000:.3f} bpp" in result.err
    assert f"  {45_000 / size:.3g}x smaller" in result.err


def test_command_line_and_python_give_the_same_file(png: Path, photo: NDArray[np.uint8]) -> None:
    run("compress", png, "-m", "tiny", "-q", "33.3")
    assert png.with_suffix(".eae").read_bytes() == edgeae.compress(photo, 33.3, "tiny")


def test_file_is_decompressed_beside_itself_as_png(
    pictures: Path, eae: Path, photo: NDArray[np.uint8]
) -> None:
    (pictures / "a.png").unlink()
    result = run("decompress", eae)
    assert (result.code, result.out) == (0, b"")
    pixels = opened(pictures / "a.png")[1]
    assert (pixels == edgeae.decompress(eae.read_bytes())).all()
    assert pixels.shape == photo.shape


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-o", "out.jpg"], "JPEG"),
        (["-o", "out.webp"], "WEBP"),
        (["-o", "out.jpg", "--format", "png"], "PNG"),
        (["-o", "out"], "PNG"),
        (["-o", "new/out.ppm"], "PPM"),
    ],
)
def test_picture_format_is_that_of_the_option_or_the_ending(
    eae: Path, options: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(eae.parent)
    assert run("decompress", "a.eae", *options).code == 0
    assert opened(Path(options[1]))[0] == expected


def test_unknown_picture_format_is_said_before_anything_is_decoded(eae: Path) -> None:
    result = run("decompress", eae, "-o", eae.with_suffix(".xyz"))
    assert result.code == 6
    assert ".xyz cannot be written" in result.err


def test_latents_go_through_npy(png: Path, eae: Path) -> None:
    npy = png.with_name("z.npy")
    assert run("compress", png, "-m", "tiny", "-o", npy).code == 0
    assert np.load(npy, allow_pickle=False).dtype.names is not None
    assert run("decompress", npy, "-o", png.with_name("z.png")).code == 0
    assert run("decompress", eae, "-o", png.with_name("e.png")).code == 0
    assert png.with_name("z.png").read_bytes() == png.with_name("e.png").read_bytes()


def test_pipes_carry_data_and_nothing_else(png: Path) -> None:
    compressed = run("compress", "-", "-m", "tiny", stdin=png.read_bytes())
    assert compressed.code == 0
    assert compressed.out == edgeae.compress(opened(png)[1], model="tiny")
    picture = run("decompress", "-", "-o", "-", "--format", "webp", stdin=compressed.out)
    assert Image.open(io.BytesIO(picture.out)).format == "WEBP"
    assert picture.err.startswith("- -> -  150x100")


def test_npy_is_told_by_its_content_on_a_pipe(png: Path) -> None:
    npy = png.with_name("z.npy")
    run("compress", png, "-m", "tiny", "-o", npy)
    assert run("decompress", "-", stdin=npy.read_bytes()).out.startswith(b"\x89PNG")


def test_folder_is_mirrored(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("compress", "-r", pictures, "-o", out, "-m", "tiny", "--quiet").err == ""
    assert files(out) == {"a.eae", "sub/b.eae", "sub/deep/c.eae"}
    back = tmp_path / "back"
    assert run("decompress", "-r", out, "-o", back, "--format", "jpg").code == 0
    assert files(back) == {"a.jpg", "sub/b.jpg", "sub/deep/c.jpg"}


def test_folder_without_output_keeps_files_beside_their_inputs(pictures: Path) -> None:
    assert run("compress", "-r", pictures, "-m", "tiny").code == 0
    assert {"a.eae", "sub/b.eae", "sub/deep/c.eae"} <= files(pictures)


def test_quoted_pattern_is_expanded(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pattern = str(pictures / "**" / "*.[wJ]*")
    assert run("compress", pattern, "-o", out, "-m", "tiny").code == 0
    assert files(out) == {"b.eae", "c.eae"}


def test_existing_file_with_brackets_is_no_pattern(png: Path) -> None:
    odd = png.rename(png.with_name("a[1].png"))
    assert run("compress", odd, "-m", "tiny").code == 0
    assert odd.with_suffix(".eae").exists()


def test_name_that_begins_with_a_dash_follows_two_dashes(
    png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(png.parent)
    png.rename("-x.png")
    assert run("compress", "-m", "tiny", "--", "-x.png").code == 0
    assert Path("-x.eae").exists()


def test_json_is_a_line_for_each_input(pictures: Path) -> None:
    (pictures / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run("compress", "-r", pictures, "-m", "tiny", "--json")
    by_name = {Path(str(line["input"])).name: line for line in result.lines()}
    assert result.code == 9
    assert set(by_name) == {"a.png", "b.JPG", "c.webp", "bad.png"}
    good = by_name["a.png"]
    size = (pictures / "a.eae").stat().st_size
    assert good["bytes"] == size
    assert good["bpp"] == round(8 * size / 15_000, 6)
    assert (good["width"], good["height"], good["mode"]) == (150, 100, "RGB")
    assert (good["model"], good["provider"], good["quality"]) == ("tiny", "cpu", 50)
    assert by_name["bad.png"]["exit"] == 6
    assert "bad.png" in str(by_name["bad.png"]["error"])


def test_json_and_data_cannot_share_stdout(png: Path) -> None:
    result = run("compress", png, "-o", "-", "--json")
    assert result.code == 2
    assert result.out == b""


def test_what_reading_reduced_is_said(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(path)
    assert "16 bit" in run("compress", path, "-m", "tiny").err
    assert "16 bit" in str(run("compress", path, "-m", "tiny", "-f", "--json").lines()[0]["notes"])


def test_strip_leaves_the_profile_out(png: Path) -> None:
    Image.fromarray(opened(png)[1]).save(png, icc_profile=b"x" * 200)
    run("compress", png, "-m", "tiny")
    assert b"x" * 100 in png.with_suffix(".eae").read_bytes()
    assert run("compress", png, "-m", "tiny", "--strip", "-f").code == 0
    assert b"x" * 100 not in png.with_suffix(".eae").read_bytes()


def test_metadata_that_take_much_of_a_file_are_named(png: Path) -> None:
    pixels, exif = opened(png)[1], Image.Exif()
    exif[270] = "description " * 20
    Image.fromarray(pixels).save(png, icc_profile=b"x" * 9000, exif=exif)
    said = run("compress", png, "-m", "tiny").err
    assert "9.3 kB of the file are colour profile and Exif; --strip leaves that out" in said
    assert "--strip" not in run("compress", png, "-m", "tiny", "-f", "--strip").err
    exif[270] = "d"
    Image.fromarray(pixels).save(png, exif=exif)
    assert "--strip" not in run("compress", png, "-m", "tiny", "-f", "-q", "100").err


def test_failed_inputs_are_listed_and_the_others_done(pictures: Path, tmp_path: Path) -> None:
    (pictures / "bad.png").write_text("no picture")
    out = tmp_path / "out"
    result = run("compress", "-r", pictures, "-o", out, "-m", "tiny")
    assert result.code == 9
    assert files(out) == {"a.eae", "sub/b.eae", "sub/deep/c.eae"}
    assert f"edgeae: {pictures / 'bad.png'}: not a picture" in result.err
    assert result.err.endswith("edgeae: 1 of 4 inputs failed, the others are done\n")


def test_quiet_batch_still_lists_failures(pictures: Path) -> None:
    result = run("compress", pictures / "a.png", pictures / "notes.txt", "-m", "tiny", "--quiet")
    assert result.code == 9
    assert result.err.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["compress", "{in}/absent.png"], 6, "absent.png: cannot be read: No such file"),
        (["compress", "{in}/notes.txt"], 6, "notes.txt: not a picture"),
        (["compress", f"{{in}}/{300 * 'n'}.png"], 6, "cannot be read: File name too long"),
        (["compress", "{in}/a.png", "-o", f"{{in}}/{300 * 'n'}/"], 7, "cannot be made: File name"),
        (["compress", "{in}/a.png", "-m", 300 * "n"], 5, "is neither a bundle"),
        (["decompress", f"{{in}}/{300 * 'n'}.eae"], 3, "cannot be read: File name too long"),
        (["decompress", "{in}/a.eae", "--format", "."], 6, "no extension says which format"),
        (["decompress", "{in}/a.eae", "--format", "a/b"], 6, "no extension says which format"),
        (["info", f"{{in}}/{300 * 'n'}.eae"], 3, "no such file"),
        (["eval", "{in}/a.png", f"{{in}}/{300 * 'n'}.png"], 6, "no such file or folder"),
        (["compress", "{in}/*.nothing"], 6, "no file matches this pattern"),
        (["compress", "-r", "{in}/empty"], 6, "no file in it ends in"),
        (["compress", "{in}/a.png", "--max-pixels", "9", "-f"], 6, "15000 pixels, the limit is 9"),
        (["compress", "{in}/a.png", "-m", "absent"], 5, "'absent' is neither a bundle"),
        (["compress", "{in}/a.png", "--provider", "coreml"], 4, "provider 'coreml'"),
        (["compress", "{in}/a.png", "-o", "{in}/a.eae"], 7, "a.eae: exists; overwrite it with -f"),
        (["compress", "{in}/a.png", "-o", "{in}/notes.txt/x.eae"], 7, "cannot be made"),
        (["compress", "{in}/a.png", "{in}/a.jpg", "-f"], 7, "a.eae: output of both"),
        (["decompress", "{in}/a.eae", "-o", "{in}/a.eae", "-f"], 7, "is the input itself"),
        (["decompress", "{in}/absent.eae"], 3, "absent.eae: cannot be read: No such file"),
        (["decompress", "{in}/notes.txt"], 3, "notes.txt: offset 0"),
        (["decompress", "{in}/a.eae", "--max-pixels", "9", "-f"], 3, "15000"),
        (["decompress", "{in}/a.eae", "-m", "{plain}", "-f"], 5, "made with a bundle of coding id"),
        (["info", "{in}/absent.eae"], 3, "no such file"),
        (["info", "{in}/notes.txt"], 3, "notes.txt: offset 0"),
        (["info", "absent"], 5, "'absent' is neither a bundle"),
        (["compress", "{in}"], 2, "add -r"),
        (["compress", "{in}/a.png", "-q", "101"], 2, "-q"),
        (["compress", "{in}/a.png", "-q", "nan"], 2, "-q"),
        (["compress", "{in}/a.png", "-o", "{in}/b.png"], 2, "is decompress meant"),
        (["compress", "{in}/a.png", "{in}/sub/b.JPG", "-o", "-"], 2, "name a folder"),
        (["compress", "-", "{in}/a.png"], 2, "stdin has no name"),
        (["compress"], 2, "Missing argument"),
        (["compres"], 2, "No such command"),
    ],
)
def test_each_failure_has_its_exit_code_and_names_its_cause(
    pictures: Path, eae: Path, plain_bundle: Path, arguments: list[str], code: int, message: str
) -> None:
    (pictures / "empty").mkdir()
    (pictures / "a.jpg").write_bytes((pictures / "sub" / "b.JPG").read_bytes())
    before = files(pictures)
    filled = [
        a.replace("{in}", str(pictures)).replace("{plain}", str(plain_bundle)) for a in arguments
    ]
    if filled[0] == "compress" and code not in (2, 5):
        filled += ["-m", "tiny"]
    result = run(*filled)
    assert result.code == code
    assert message in result.err
    assert result.out == b""
    assert files(pictures) == before
    if code != 2:
        assert re.fullmatch(r"edgeae: [^\n]+\n", result.err)


def test_folders_that_may_not_be_searched_hide_no_bundle(
    png: Path, tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / ("n" * 300)  # root may search any; names that are too long are no one's
    monkeypatch.setenv("EDGEAE_MODELS", f"{closed}{os.pathsep}{tiny_bundle.parent}")
    monkeypatch.setenv("XDG_DATA_HOME", str(closed))
    monkeypatch.setenv("XDG_CACHE_HOME", str(closed))
    assert run("compress", png, "-m", "tiny").code == 0
    assert f"{closed} is no folder" in run("doctor").out.decode()


def test_folder_that_may_not_be_looked_into_is_no_silence(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def closed(path: str) -> Iterator[os.DirEntry[str]]:
        if os.fspath(path).endswith("deep"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    for command in (
        ["compress", "-r", pictures, "-o", tmp_path / "out", "-m", "tiny"],
        ["eval", "-r", pictures, pictures],
    ):
        result = run(*command)
        assert result.code == 6
        assert "deep: cannot be looked into: Permission denied" in result.err
    assert not (tmp_path / "out").exists()


def test_damaged_file_leaves_no_picture(eae: Path) -> None:
    eae.write_bytes(eae.read_bytes()[:-3])
    result = run("decompress", eae, "-o", eae.with_name("new.png"))
    assert result.code == 3
    assert f"{eae}: " in result.err
    assert files(eae.parent).isdisjoint({"new.png"})


def test_force_overwrites(png: Path, eae: Path) -> None:
    eae.write_bytes(b"old")
    assert run("compress", png, "-m", "tiny", "-f").code == 0
    assert eae.read_bytes().startswith(b"\x89EAE")


def test_info_of_a_file_adds_up_to_its_size(eae: Path, tiny_bundle: Path) -> None:
    (fields,) = run("info", eae, "--json").lines()
    assert isinstance(fields["sections"], dict)
    assert sum(fields["sections"].values()) == fields["bytes"] == eae.stat().st_size
    assert (fields["width"], fields["height"], fields["mode"]) == (150, 100, "RGB")
    assert fields["model"] == str(tiny_bundle)
    text = run("info", eae).out.decode()
    assert "150" in text
    assert str(fields["coding_id"]) in text


def test_info_of_a_file_without_its_bundle_says_so(
    eae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEAE_MODELS", str(tmp_path / "nowhere"))
    assert run("info", eae, "--json").lines()[0]["model"] is None
    assert "none here" in run("info", eae).out.decode()


def test_info_of_latents_gives_their_shapes(png: Path) -> None:
    npy = png.with_name("z.npy")
    run("compress", png, "-m", "tiny", "-o", npy)
    (fields,) = run("info", npy, "--json").lines()
    assert fields["symbols"][1:] == [8, 12]  # type: ignore[index]


def test_info_of_a_bundle_verifies_its_files(bundle_copy: Path) -> None:
    (fields,) = run("info", bundle_copy, "--json").lines()
    assert fields["name"] == "tiny"
    assert "cpu" in fields["providers"]  # type: ignore[operator]
    assert "latent_space" in run("info", "tiny").out.decode()
    (bundle_copy / "encoder.onnx").write_bytes(b"changed")
    assert run("info", bundle_copy).code == 5


def test_info_of_a_bundle_leaves_long_tables_to_the_card(bundle_copy: Path) -> None:
    path = bundle_copy / "manifest.json"
    record = json.loads(path.read_text())
    record["training"]["layers"] = [{"layer": f"encoder.{k}", "snr_db": 20.0} for k in range(9)]
    path.write_text(json.dumps(record))
    text = run_text("info", bundle_copy)
    assert "9 rows; card.md" in text
    assert "encoder.3" not in text
    (fields,) = run("info", bundle_copy, "--json").lines()
    assert len(fields["training"]["layers"]) == 9  # type: ignore[index]


def test_info_of_a_bundle_says_the_precisions_and_what_auto_chose(two_precisions: Path) -> None:
    (fields,) = run("info", two_precisions, "--json").lines()
    assert fields["precisions"] == ["fp32", "int8"]
    assert fields["auto"] == {"encoder": None, "decoder": None}
    assert re.search(r"auto\n  encoder +not measured yet\n", run_text("info", two_precisions))
    chosen = edgeae.Codec.load(two_precisions).decoder_precision
    (fields,) = run("info", two_precisions, "--json").lines()
    assert fields["auto"] == {"encoder": None, "decoder": chosen}
    assert re.search(rf"\n  decoder +{chosen}\n", run_text("info", two_precisions))
    (fields,) = run("info", "tiny", "--json").lines()
    assert (fields["precisions"], fields["auto"]) == (
        ["fp32"],
        {"encoder": "fp32", "decoder": "fp32"},
    )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_precision_asked_for_is_in_the_json(
    png: Path, two_precisions: Path, precision: str
) -> None:
    options: list[str | Path] = ["-m", two_precisions, "--precision", precision, "--json"]
    (fields,) = run("compress", png, *options).lines()
    assert (fields["provider"], fields["precision"]) == ("cpu", precision)
    (fields,) = run("decompress", png.with_suffix(".eae"), "-f", *options).lines()
    assert (fields["provider"], fields["precision"]) == ("cpu", precision)


def test_auto_says_what_it_chose(png: Path, two_precisions: Path) -> None:
    (fields,) = run("compress", png, "-m", two_precisions, "--json").lines()
    (chosen,) = run("info", two_precisions, "--json").lines()
    assert chosen["auto"]["encoder"] == fields["precision"]
    assert chosen["auto"]["decoder"] in ("fp32", "int8")  # it ran as well


def test_int8_of_a_bundle_without_it_is_exit_5(png: Path) -> None:
    result = run("compress", png, "-m", "tiny", "--precision", "int8")
    assert result.code == 5
    assert "`edgeae quantize`" in result.err
    assert not png.with_suffix(".eae").exists()


def test_models_says_the_precisions(two_precisions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAE_MODELS", str(two_precisions.parent))
    by_name = {line["name"]: line for line in run("models", "--json").lines()}
    assert by_name["copy"]["precisions"] == ["fp32", "int8"]
    assert re.search(r"^copy .* fp32/int8 ", run_text("models"), re.MULTILINE)


def test_models_lists_bundles_and_those_that_are_broken(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = bundle_copy.parent / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{}")
    monkeypatch.setenv("EDGEAE_MODELS", str(bundle_copy.parent))
    by_name = {line["name"]: line for line in run("models", "--json").lines()}
    assert len(str(by_name["copy"]["coding_id"])) == 16
    assert "unknown keys" in str(by_name["broken"]["error"])
    assert "cannot be used" in run("models").out.decode()


def test_every_command_and_option_has_help() -> None:
    group: Any = typer.main.get_command(app)  # of click, or of typer's own copy of it
    with group.make_context("edgeae", ["info"]) as context:
        names = group.list_commands(context)
        assert set(COMMANDS) <= set(names)
        for name in names:
            command = group.get_command(context, name)
            silent = [p.name for p in command.params if not getattr(p, "help", None)]
            assert (command.help is not None, silent) == (True, []), name


def test_version_is_that_of_the_package() -> None:
    assert run("--version").out.decode() == f"edgeae {edgeae.__version__}\n"


def test_mounted_command_that_cannot_be_loaded_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place("edgeae_absent.cli", "grow")
    monkeypatch.setattr("edgeae.cli.app.mounted", lambda: {"grow": place})
    result = run("grow", "photos", "--fast")
    assert result.code == 10
    assert "pip install 'edgeae[export]'" in result.err
    assert "grow" in run("--help").out.decode()


def test_command_of_an_installed_package_runs_inside_the_error_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "garden-1.0.dist-info"
    installed.mkdir()
    (installed / "entry_points.txt").write_text(
        f"[console_scripts]\ngrow = a:b\n\n[edgeae.commands]\ngrow = {__name__}:grow [all]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = run("grow", "--count", "3")
    assert (result.code, result.err) == (8, "edgeae: 3 is out of reach\n")
    assert re.search(r"^  grow +Grow\.$", run("--help").out.decode(), re.MULTILINE)


def test_mistyped_command_is_told_what_may_be_meant() -> None:
    result = run("compres", "a.png")
    assert result.code == 2
    assert "'compress'" in result.err


def test_every_command_has_a_summary_that_fits_and_loads() -> None:
    listed = run("--help").out.decode().split("Commands:")[1]
    assert "..." not in listed
    assert set(COMMANDS) <= set(SUMMARIES)
    for place in COMMANDS.values():
        assert callable(place.load())


def grow(count: int = 1) -> None:
    """Grow."""
    raise edgeae.BoundError(f"{count} is out of reach")


def test_bug_is_shown_whole(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeae.codec.Codec.reach_many", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("compress", png, "-m", "tiny")


def test_lack_of_memory_is_an_image_error(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(*_: object, **__: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("edgeae.codec.Codec.reach_many", lack)
    result = run("compress", png, "-m", "tiny")
    assert result.code == 6
    assert "not enough memory" in result.err


def test_interrupt_is_130_and_leaves_nothing(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    before = files(png.parent)
    result = run("compress", png, "-m", "tiny")
    assert (result.code, result.err) == (130, "edgeae: interrupted\n")
    assert files(png.parent) == before


class TestOutput:
    """edgeae.cli.output: whole or not at all."""

    def test_write_leaves_the_file_and_nothing_else(self, tmp_path: Path) -> None:
        output.write(b"data", tmp_path / "x.eae", force=False)
        assert files(tmp_path) == {"x.eae"}
        assert (tmp_path / "x.eae").read_bytes() == b"data"
        mask = os.umask(0)
        os.umask(mask)
        assert (tmp_path / "x.eae").stat().st_mode & 0o777 == 0o666 & ~mask

    def test_full_disk_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        (tmp_path / "x.eae").write_bytes(b"old")
        with pytest.raises(OutputError, match=r"x\.eae: cannot be written: No space left"):
            output.write(b"data", tmp_path / "x.eae", force=True)
        assert files(tmp_path) == {"x.eae"}
        assert (tmp_path / "x.eae").read_bytes() == b"old"

    @pytest.mark.parametrize("force", [True, False])
    @pytest.mark.parametrize("stop", [SystemExit(143), KeyboardInterrupt()])
    def test_stop_between_two_pieces_leaves_what_was_there(
        self, tmp_path: Path, stop: BaseException, force: bool
    ) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"half"
            raise stop

        if force:
            (tmp_path / "x.eae").write_bytes(b"old")
        with pytest.raises(type(stop)):
            output.write(pieces(), tmp_path / "x.eae", force=force)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"] * force

    def test_private_file_stays_private(self, tmp_path: Path) -> None:
        (tmp_path / "x.eae").touch(0o600)
        output.write(b"data", tmp_path / "x.eae", force=True)
        assert (tmp_path / "x.eae").stat().st_mode & 0o777 == 0o600

    def test_partial_files_of_other_outputs_are_not_removed(self, tmp_path: Path) -> None:
        one, other = (tmp_path / f"{'long' * 20}-{number}.eae" for number in (1, 2))
        for path in (one, other):
            path.with_name(output._partial(path, "0123abcd")).touch()
        output.remove_partial(one)
        assert files(tmp_path) == {output._partial(other, "0123abcd")}

    def test_control_characters_do_not_reach_the_terminal(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output.print_line("a\x1b[31mred\x07\tb")
        assert capsys.readouterr().out == "a\\x1b[31mred\\x07\tb\n"

    @pytest.mark.parametrize("links", [True, False])
    def test_name_taken_meanwhile_is_not_overwritten(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
    ) -> None:
        (tmp_path / "x.eae").write_bytes(b"other's")
        if not links:
            monkeypatch.setattr(os, "link", without_links)
        with pytest.raises(OutputError, match="exists"):
            output.write(b"data", tmp_path / "x.eae", force=False)
        assert files(tmp_path) == {"x.eae"}
        assert (tmp_path / "x.eae").read_bytes() == b"other's"

    def test_file_system_without_links_still_works(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "link", without_links)
        output.write(b"data", tmp_path / "x.eae", force=False)
        assert files(tmp_path) == {"x.eae"}

    def test_link_keeps_pointing_at_its_target(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_bytes(b"old")
        (tmp_path / "link").symlink_to("real")
        with pytest.raises(OutputError, match="exists"):
            output.check_target(tmp_path / "link", force=False)
        output.write(b"data", tmp_path / "link", force=True)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_bytes() == b"data"

    def test_device_is_written_to_and_not_replaced(self) -> None:
        output.check_target(Path(os.devnull), force=False)
        output.write(b"data", Path(os.devnull), force=False)
        assert not Path(os.devnull).is_file()

    @pytest.mark.parametrize("name", ["n" * 250, "\u5b57" * 81])
    def test_long_name_leaves_room_for_the_temporary_one(self, tmp_path: Path, name: str) -> None:
        target = tmp_path / f"{name}.eae"
        output.write(b"data", target, force=False)
        assert target.read_bytes() == b"data"

    def test_pipe_behind_a_link_is_written_to(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to("pipe")
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit((tmp_path / "pipe").read_bytes)
            output.check_target(tmp_path / "link", force=False)
            output.write(b"data", tmp_path / "link", force=False)
            assert read.result() == b"data"

    def test_link_to_itself_is_an_output_error(self, tmp_path: Path) -> None:
        (tmp_path / "x").symlink_to("x")
        with pytest.raises(OutputError, match=r"x: exists"):
            output.check_target(tmp_path / "x", force=False)
        with pytest.raises(OutputError, match=r"x: cannot be written"):
            output.write(b"data", tmp_path / "x", force=True)

    def test_terminal_gets_no_binary_data(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        with pytest.raises(OutputError, match="stdout is a terminal"):
            output.check_target(None, force=False)

    def test_job_names_pipes_as_the_user_does(self) -> None:
        assert (Job(None, None).source_name, Job(None, None).target_name) == ("-", "-")


def without_links(*_: object) -> None:
    raise OSError(errno.EPERM, "no hard links")


def start(
    *arguments: str | Path,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    preexec_fn: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgeae", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        env=os.environ | (environment or {}),
        preexec_fn=preexec_fn,  # noqa: PLW1509 no other thread holds a lock here
    )


def test_inputs_and_outputs_are_the_same_however_they_are_spelled(
    pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(pictures)
    Image.open(pictures / "a.png").save(pictures / "a.bmp")
    inputs = (pictures / "a.png", tmp_path / "link" / "a.bmp")
    result = run("compress", *inputs, "-m", "tiny", "-f")
    assert result.code == 7
    assert "output of both" in result.err
    (pictures / "b.restored.png").write_bytes((pictures / "a.png").read_bytes())
    (pictures / "b.png").write_bytes((pictures / "a.png").read_bytes())
    inputs = (pictures / "b.png", tmp_path / "link" / "b.restored.png")
    result = run("restore", *inputs, "-f")
    assert result.code == 7
    assert "is an input as well" in result.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no mkfifo")
def test_pipe_that_has_a_name_is_described(eae: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        pool.submit((tmp_path / "pipe").write_bytes, eae.read_bytes())
        result = run("info", tmp_path / "pipe", "--json")
    assert result.code == 0
    assert result.lines()[0]["bytes"] == eae.stat().st_size


@pytest.mark.parametrize("command", [["info"], ["decompress", "-f"]])
def test_file_longer_than_it_says_is_not_read_whole(eae: Path, command: list[str]) -> None:
    size = eae.stat().st_size
    os.truncate(eae, 1 << 34)  # of holes: no memory would take it
    result = run(*command, eae)
    assert result.code == 3
    assert f"offset {size}: more bytes follow the last section" in result.err


def test_second_stop_ends_what_the_first_could_not(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[int] = []
    seconds = iter([0.0, 1.0, 3.0])
    monkeypatch.setattr(stops.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(stops.signal, "signal", lambda *_: None)
    monkeypatch.setattr(stops.signal, "raise_signal", raised.append)
    stop = stops._Stop()
    with pytest.raises(SystemExit, match="143"):
        stop(signal.SIGTERM, None)
    stop(signal.SIGTERM, None)
    assert raised == []
    stop(signal.SIGTERM, None)
    assert raised == [signal.SIGTERM]


class TestProcess:
    """What only a process of its own shows."""

    def test_file_size_limit_is_7_and_leaves_nothing(self, png: Path, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource", reason="Windows has no RLIMIT_FSIZE")
        out = tmp_path / "out"

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

        # modules compiled under that limit would be cut, and stay so in the checkout
        uncached = {"PYTHONDONTWRITEBYTECODE": "1"}
        arguments = ("compress", png, "-o", out / "x.eae", "-m", "tiny")
        process = start(*arguments, preexec_fn=limit, environment=uncached)
        _, err = process.communicate()
        assert process.returncode == 7
        assert b"x.eae: cannot be written: File too large" in err
        assert files(out) == set()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this device")
    def test_full_device_is_7(self, png: Path) -> None:
        process = start("compress", png, "-o", "/dev/full", "-m", "tiny")
        _, err = process.communicate()
        assert process.returncode == 7
        assert b"No space left on device" in err

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this device")
    @pytest.mark.parametrize(
        "arguments", [["models"], ["--help"], ["--version"], ["compress", "{png}", "-o", "-"]]
    )
    def test_full_stdout_is_7(self, png: Path, arguments: list[str]) -> None:
        filled = [argument.replace("{png}", str(png)) for argument in arguments]
        with Path("/dev/full").open("wb") as full:
            options = ["-m", "tiny"] if filled[0] == "compress" else []
            process = start(*filled, *options, stdout=full.fileno())
        _, err = process.communicate()
        assert process.returncode == 7
        assert err.endswith(b": No space left on device\n")
        assert err.count(b"\n") == 1

    def test_reader_that_leaves_early_is_not_a_traceback(self, png: Path) -> None:
        read, write = os.pipe()
        os.close(read)
        process = start("compress", png, "-o", "-", "-m", "tiny", "--quiet", stdout=write)
        os.close(write)
        _, err = process.communicate()
        assert (process.returncode, err) == (7, b"")

    @pytest.mark.parametrize(
        ("number", "code"),
        [(signal.SIGTERM, 143), (getattr(signal, "SIGHUP", 1), 129), (signal.SIGINT, 130)],
    )
    def test_stop_ends_a_batch_with_its_own_code(
        self, photo: NDArray[np.uint8], tmp_path: Path, number: int, code: int
    ) -> None:
        out = tmp_path / "out"
        Image.fromarray(photo).resize((600, 400)).save(tmp_path / "00.png")
        for position in range(1, 60):
            (tmp_path / f"{position:02}.png").hardlink_to(tmp_path / "00.png")
        process = start("compress", tmp_path / "*.png", "-o", out, "-m", "tiny")
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(number)
        process.communicate()
        assert process.returncode == code
        written = list(out.iterdir())
        assert 1 <= len(written) < 60
        for path in written:
            assert edgeae.decompress(path.read_bytes()).shape == (400, 600, 3)

    @pytest.mark.parametrize("force", [True, False])
    def test_kill_while_writing_leaves_what_was_there(self, tmp_path: Path, force: bool) -> None:
        target = tmp_path / "x.eae"
        if force:
            target.write_bytes(b"old")
        code = (
            "import sys, time; from pathlib import Path; from edgeae.cli import output\n"
            "def pieces():\n"
            "    yield b'half'\n"
            "    print('half', flush=True)\n"
            "    time.sleep(600)\n"
            f"output.write(pieces(), Path(sys.argv[1]), force={force})"
        )
        process = subprocess.Popen([sys.executable, "-c", code, target], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"half"
        process.kill()
        process.communicate()
        assert target.exists() == force
        assert not force or target.read_bytes() == b"old"

    def test_compress_is_done_in_a_second_and_a_half(self, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource", reason="Windows has no getrusage")
        path = tmp_path / "photo.png"
        Image.fromarray(np.zeros((512, 768, 3), np.uint8)).save(path)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = start("compress", path, "-m", "tiny")
        assert process.wait() == 0
        process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5

    def test_progress_bar_stays_out_of_the_json_on_stdout(self, pictures: Path) -> None:
        pty = pytest.importorskip("pty")
        terminal, end = pty.openpty()
        process = start("compress", "-r", pictures, "-m", "tiny", "--json", stderr=end)
        out, _ = process.communicate()
        os.close(end)
        shown = os.read(terminal, 1 << 16)
        os.close(terminal)
        assert [json.loads(line)["mode"] for line in out.splitlines()] == ["RGB"] * 3
        assert b"%" in shown

    def test_module_and_program_are_one(self) -> None:
        process = start("--version")
        out, _ = process.communicate()
        assert out.decode().strip() == f"edgeae {edgeae.__version__}"


def test_progress_is_shown_on_a_terminal_only(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeae.cli import batch

    jobs = [Job(None, None)] * 3
    with batch.progress(jobs, quiet=False) as (remaining, say):
        assert list(remaining) == jobs
        assert say is batch.say
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with batch.progress(jobs, quiet=False) as (remaining, say):
        say("[not markup]")
        assert list(remaining) == jobs
