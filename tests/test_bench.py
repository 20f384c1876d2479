"""bench: every part of a call belongs to a stage, and what a user sees of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_bundle import write_array_bundle
from PIL import Image
from typer.testing import CliRunner

from edgeae.benchmark.leaves import fitted, leaves
from edgeae.benchmark.race import enter
from edgeae.benchmark.rounds import Length, in_turn
from edgeae.benchmark.stages import compress, decompress, total
from edgeae.benchmark.stopwatch import RUN_METHODS, Mark, Recording, Seconds, recording
from edgeae.cli.app import app
from edgeae.codec import Codec
from edgeae.errors import GraphError
from edgeae.graphs import Graph
from edgeae.images.picture import picture_from_array
from edgeae.metrics import bits_per_pixel, psnr_db

QUICK = ["--size", "96x64", "--runs", "1", "--peers", "jpeg", "--no-memory", "--no-start"]


def bench(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["bench", *arguments])


def recorded(end: float, marks: Sequence[tuple[float, str, int]]) -> Recording:
    """Return what would have been seen from second 0 to ``end``, all processors busy."""
    seen = Recording()
    seen.begun, seen.ended = Seconds(), Seconds(end, end)
    seen.marks += [Mark(Seconds(at, at), graph, change) for at, graph, change in marks]
    return seen


def test_gaps_are_told_apart_by_what_runs_before_and_after() -> None:
    seen = recorded(10, [(1, "a", 1), (3, "a", -1), (6, "b", 1), (9, "b", -1)])
    parts = seen.split(lambda before, after: f"{before}-{after}")
    expected = {"None-a": 1, "a": 2, "a-b": 3, "b": 3, "b-None": 1}
    assert {name: took.wall for name, took in parts.items()} == expected


def test_graphs_that_run_at_once_share_the_time() -> None:
    marks = [(0, "a", 1), (2, "b", 1), (6, "a", -1), (8, "b", -1)]
    parts = recorded(8, marks).split(lambda before, after: "gap")
    assert {name: took.cpu for name, took in parts.items()} == {"gap": 0, "a": 4, "b": 4}


def test_graphs_run_as_before_after_a_recording_that_failed() -> None:
    before = [getattr(Graph, name) for name in RUN_METHODS]
    with pytest.raises(GraphError), recording():
        raise GraphError("it failed")
    assert [getattr(Graph, name) for name in RUN_METHODS] == before


@pytest.mark.parametrize("effort", [0, 1])
def test_stages_are_the_whole_call(tiny_bundle: Path, effort: int) -> None:
    codec = Codec.load(tiny_bundle, threads=1)
    picture = picture_from_array(leaves(96, 64))
    data, there = compress(codec, picture, 50, effort)
    pixels, back = decompress(codec, data)
    assert data == codec.compress(picture, 50, effort=effort)
    np.testing.assert_array_equal(pixels, codec.decompress(data))
    graphs = {"encoder", "hyper_encoder", "hyper_decoder"}
    assert there.keys() - {"decoder"} == graphs | {"rounding", "entropy"}
    assert ("decoder" in there) == (effort == 1)
    assert back.keys() == {"entropy", "hyper_decoder", "decoder", "other"}
    assert all(took.wall >= 0 for took in [*there.values(), *back.values()])


def test_plain_autoencoders_have_fewer_stages(plain_bundle: Path) -> None:
    codec = Codec.load(plain_bundle, threads=1)
    data, there = compress(codec, picture_from_array(leaves(96, 64)), 50, 1)
    _, back = decompress(codec, data)
    assert there.keys() == {"encoder", "rounding", "entropy"}
    assert back.keys() == {"entropy", "decoder", "other"}


def test_alternatives_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    def call(name: str) -> int:
        calls.append(name)
        return len(calls)

    runs = {name: partial(call, name) for name in "ab"}
    samples = in_turn(runs, Length(seconds=0, runs=2))
    assert "".join(calls) == "ababba"
    assert samples == {"a": [3, 6], "b": [4, 5]}


def test_length_is_three_runs_or_what_fits_into_the_seconds() -> None:
    length = Length(seconds=10)
    assert [length.enough(done, 4.0 * done) for done in (1, 2, 3)] == [False, False, True]
    assert [length.enough(done, 1.0 * done) for done in (8, 9, 10)] == [False, False, True]


def test_total_leaves_files_out() -> None:
    second = Seconds(1, 1)
    assert total({"read": second, "encoder": second, "entropy": second, "write": second}).wall == 2


def test_made_picture_costs_what_photos_cost() -> None:
    codec = Codec.load("photo", precision="fp32", threads=1)
    pixels = leaves(512, 512)
    data = codec.compress(pixels, 50)
    assert 0.4 < bits_per_pixel(len(data), 512, 512) < 0.65  # the mean of Kodak's is 0.52
    assert 31 < psnr_db(pixels, codec.decompress(data)) < 34  # 32.1 dB


@pytest.mark.parametrize("size", [(1, 1), (700, 30), (1100, 1)])
def test_pictures_of_any_size_are_cut_from_the_middle_or_mirrored(size: tuple[int, int]) -> None:
    width, height = size
    assert leaves(width, height).shape == (height, width, 3)
    row = np.arange(5, dtype=np.uint8).reshape(1, 5)
    assert fitted(row, 3, 1).tolist() == [[1, 2, 3]]
    assert fitted(row, 7, 2).tolist() == [[0, 1, 2, 3, 4, 4, 3]] * 2


@pytest.mark.parametrize("grey", [False, True])
def test_peers_come_near_the_psnr(grey: bool) -> None:
    pixels = leaves(128, 96)
    pixels = pixels[..., 0].copy() if grey else pixels
    noise = np.random.default_rng(0).normal(0, 6, pixels.shape)
    decoded = (pixels + noise).round().clip(0, 255).astype(np.uint8)
    wanted_db = psnr_db(pixels, decoded)
    for entry in enter(["jpeg", "webp"], pixels, decoded):
        assert abs(entry.psnr_db - wanted_db) < 1.5, entry.name


def test_json_has_every_stage_and_they_sum_up(tiny_bundle: Path) -> None:
    result = bench(str(tiny_bundle), *QUICK, "--threads", "1", "--threads", "2", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert str(tiny_bundle.parent) not in result.stdout
    assert {"versions", "processor", "processors", "settings", "sizes", "start"} <= set(document)
    (size,) = document["sizes"]
    assert [case["threads"] for case in size["cases"]] == [1, 2]
    (peer,) = size["peers"]
    for case in size["cases"]:
        assert case["model"] == "tiny"
        assert case["ran"]["decoder"] == {"precision": "fp32", "provider": "cpu"}
        for way in ("compress", "decompress"):
            stages, whole = case[way]["stages"], case[way]["total"]
            for clock in ("wall_ms", "cpu_ms"):
                inner = [
                    stages[name][clock]["median"] for name in stages.keys() - {"read", "write"}
                ]
                assert sum(inner) == pytest.approx(whole[clock]["median"], abs=0.01)
            shares = [stages[name]["share"]["wall"] for name in stages.keys() - {"read", "write"}]
            assert sum(shares) == pytest.approx(1, abs=0.01)
            assert stages["write"]["share"]["wall"] is None
            ratio = whole["wall_ms"]["median"] / peer[way]["total"]["wall_ms"]["median"]
            assert case[way]["times"]["jpeg"]["wall"] == pytest.approx(ratio, rel=0.05)


def test_two_precisions_are_two_columns(two_precisions: Path) -> None:
    result = bench(str(two_precisions), *QUICK, "--threads", "1")
    assert result.exit_code == 0, result.output
    heading = next(line for line in result.stdout.splitlines() if line.startswith("compress"))
    columns = re.split(" {2,}", heading)
    assert columns == ["compress", "fp32, 1 thread", "int8, 1 thread"]
    for text in ("96x64", "hyper_decoder", "in memory", "95th percentile", "per megapixel", "JPEG"):
        assert text in result.stdout


def test_bundles_of_two_kinds_are_side_by_side(tiny_bundle: Path, plain_bundle: Path) -> None:
    result = bench(str(tiny_bundle), str(plain_bundle), *QUICK, "--threads", "1")
    assert result.exit_code == 0, result.output
    assert re.search(
        r"^compress +tiny, fp32, 1 thread +plain, fp32, 1 thread$", result.stdout, re.M
    )
    assert re.search(r"^hyper_decoder +[\d.]+ +\d+% +-$", result.stdout, re.MULTILINE)


@pytest.mark.slow
def test_memory_and_cold_start_are_of_other_processes(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeae.benchmark.measure.START_ROUNDS", 1)
    plain = ["--size", "96x64", "--runs", "1", "--peers", "none", "--threads", "1", "--json"]
    result = bench(str(tiny_bundle), *plain)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    peaks = document["sizes"][0]["cases"][0]["memory_bytes"]
    assert min(peaks["compress"], peaks["decompress"]) > document["libraries_bytes"] > 10_000_000
    processes = document["start"]["processes"]
    assert {"edgeae --help", "edgeae compress", "edgeae decompress"} <= processes.keys()
    inside = {"import", "load", "first compress", "first decompress"}
    assert document["start"]["inside_wall_ms"].keys() == inside


def test_own_photo_is_measured_in_its_own_size_and_drawn(tiny_bundle: Path, tmp_path: Path) -> None:
    Image.fromarray(leaves(80, 50)).save(tmp_path / "mine.png")
    image, plot = str(tmp_path / "mine.png"), tmp_path / "bars" / "bench.png"
    arguments = [*QUICK[2:], "--image", image, "--threads", "1", "--plot", str(plot), "--json"]
    result = bench(str(tiny_bundle), *arguments)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["settings"]["picture"] == "mine.png"
    assert [(size["width"], size["height"]) for size in document["sizes"]] == [(80, 50)]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--size", "big"], 2, "--size: 'big' is not a width and a height"),
        (["--size", "0x5"], 2, "--size: '0x5'"),
        (["--size", "60000x60000"], 2, "--size: 60000x60000 has more than 268435456 pixels"),
        (["--threads", "0"], 2, "--threads"),
        (["--peers", "gif"], 2, "--peers: no gif; there are jpeg, webp"),
        (["--plot", "bench.txt"], 2, "--plot: bench.txt does not end in png"),
        (["--runs", "0"], 2, "--runs"),
        (["no-such-model"], 5, "no-such-model"),
        (["tiny", "--precision", "int8"], 5, "no int8 graph"),
        (["tiny", "--image", "no-such.png"], 6, "no-such.png: cannot be read"),
        (["tiny", "--provider", "coreml"], 4, "'coreml'"),
    ],
)
def test_errors_are_one_line(arguments: list[str], code: int, message: str) -> None:
    result = bench(*arguments)
    assert (result.exit_code, message in result.stderr) == (code, True), result.output
    if code != 2:
        assert len(result.stderr.splitlines()) == 1


def test_plot_that_is_there_stays_without_f(tmp_path: Path) -> None:
    plot = tmp_path / "kept.png"
    plot.write_bytes(b"mine")
    result = bench("tiny", *QUICK, "--plot", str(plot))
    assert (result.exit_code, len(result.stderr.splitlines())) == (7, 1)
    assert "kept.png: exists; overwrite it with -f" in result.stderr
    assert plot.read_bytes() == b"mine"


def test_bundles_for_arrays_are_refused(tmp_path: Path) -> None:
    result = bench(str(write_array_bundle(tmp_path / "arrays")), *QUICK)
    assert (result.exit_code, len(result.stderr.splitlines())) == (5, 1)
    assert "takes arrays" in result.stderr
