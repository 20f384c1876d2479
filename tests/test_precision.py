from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import add_files
from numpy.typing import NDArray
from pretended_providers import Pretended

import edgeae
from edgeae import choices, precision
from edgeae.bundle import FP32, INT8, Bundle, graph_file, read_manifest
from edgeae.codec import Codec
from edgeae.errors import BundleError, GraphError
from edgeae.graphs import Graph
from edgeae.npy import latents_to_npy
from edgeae.precision import ChosenGraph, Setting, faster, median_seconds, remembered

SETTING = Setting(
    graph="decoder",
    fp32="0" * 64,
    int8="1" * 64,
    processor="a processor",
    onnxruntime="1.32.0",
    provider="cpu",
    threads=1,
)


@pytest.fixture(autouse=True)
def folder(clean_cache: Path) -> Path:
    """Where choices are kept during a test; not made yet."""
    return clean_cache / "edgeae" / "choices"


class Stopwatch:
    """Takes the place of a measurement: says the times it was made with, and counts."""

    def __init__(self, fp32: float, int8: float) -> None:
        self.seconds = {FP32: fp32, INT8: int8}
        self.measured = 0

    def __call__(self, runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
        for run in runs.values():
            run()  # the inputs must be those that the graphs take
        self.measured += 1
        return self.seconds


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """int8 is three times as fast."""
    watch = Stopwatch(0.03, 0.01)
    monkeypatch.setattr(precision, "median_seconds", watch)
    return watch


# The choice


@pytest.mark.parametrize(
    ("fp32", "int8", "expected"),
    [(3, 1, INT8), (1, 3, FP32), (1, 1, FP32), (1, 0.95, FP32), (1, 0.89, INT8)],
)
def test_int8_runs_if_it_is_clearly_faster(fp32: float, int8: float, expected: str) -> None:
    assert faster({FP32: fp32, INT8: int8}) == expected


def simulated(
    seconds: Mapping[str, Callable[[int], float]],
) -> tuple[dict[str, float], list[str]]:
    """Return the medians of runs that take so long by their number, and the order they ran in."""
    now, order = [0.0], list[str]()

    def run(name: str) -> None:
        now[0] += seconds[name](order.count(name))
        order.append(name)

    runs = {name: lambda name=name: run(name) for name in seconds}
    return median_seconds(runs, lambda: now[0]), order


def test_medians_do_not_count_the_first_run_and_ignore_a_disturbance() -> None:
    medians, order = simulated(
        {
            FP32: lambda number: [9.0, 0.03, 0.9][min(number, 2)] if number < 3 else 0.03,
            INT8: lambda number: 9.0 if number == 0 else 0.01,
        }
    )
    assert medians == pytest.approx({FP32: 0.03, INT8: 0.01})
    assert order[2:6] == [FP32, INT8, INT8, FP32]


@pytest.mark.parametrize(("seconds", "pairs"), [(1e-3, 500), (0.05, 10), (5, precision.MIN_PAIRS)])
def test_measuring_takes_about_a_second(seconds: float, pairs: int) -> None:
    _, order = simulated({name: lambda number: seconds for name in (FP32, INT8)})
    assert abs(len(order) // 2 - 1 - pairs) <= 1


@pytest.mark.parametrize(
    "change",
    [
        {"graph": "encoder"},
        {"fp32": "2" * 64},
        {"int8": "2" * 64},
        {"processor": "another"},
        {"onnxruntime": "1.33.0"},
        {"provider": "openvino"},
        {"threads": 2},
    ],
)
def test_key_depends_on_everything_in_the_setting(change: dict[str, object]) -> None:
    assert len(SETTING.key) == 32
    assert SETTING.key == dataclasses.replace(SETTING).key
    assert dataclasses.replace(SETTING, **change).key != SETTING.key  # type: ignore[arg-type]


def test_threads_that_share_a_graph_choose_once() -> None:
    chosen, begin = itertools.count(), threading.Barrier(4)

    def choose(forms: Mapping[str, Graph]) -> str:
        next(chosen)
        return INT8

    graph = ChosenGraph({name: Graph("decoder", bytes) for name in (FP32, INT8)}, choose)

    def ask(_: int) -> str:
        begin.wait()
        return graph.precision

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {INT8}
    assert next(chosen) == 1


# What was asked for


@pytest.mark.parametrize("asked", [FP32, INT8])
def test_precision_asked_for_runs_and_nothing_is_measured(
    two_precisions: Path, photo: NDArray[np.uint8], stopwatch: Stopwatch, asked: str
) -> None:
    codec = Codec.load(two_precisions, precision=asked)
    assert codec.decompress(codec.compress(photo)).shape == photo.shape
    assert (codec.precision, codec.encoder_precision, codec.decoder_precision) == (asked,) * 3
    assert stopwatch.measured == 0


@pytest.mark.parametrize("asked", [FP32, INT8])
def test_only_the_files_of_the_precision_are_read(
    two_precisions: Path, photo: NDArray[np.uint8], asked: str
) -> None:
    other = INT8 if asked == FP32 else FP32
    for name in ("encoder", "decoder"):
        (two_precisions / graph_file(name, other)).unlink()
    codec = Codec.load(two_precisions, precision=asked)
    assert codec.decompress(codec.compress(photo)).shape == photo.shape
    with pytest.raises(BundleError, match=rf"{graph_file('encoder', other)}: No such file"):
        Codec.load(two_precisions, precision=other).compress(photo)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_graph_without_an_int8_form_runs_in_fp32(
    two_precisions: Path, photo: NDArray[np.uint8], stopwatch: Stopwatch, name: str
) -> None:
    remove_files(two_precisions, graph_file(name, INT8))
    for asked in ("auto", INT8):
        codec = Codec.load(two_precisions, precision=asked)
        assert codec.decompress(codec.compress(photo)).shape == photo.shape
        chosen = {"encoder": codec.encoder_precision, "decoder": codec.decoder_precision}
        assert chosen == {"encoder": INT8, "decoder": INT8, name: FP32}
        assert codec.precision == INT8
    assert stopwatch.measured == 1


def test_int8_of_a_bundle_without_it_names_the_command_that_makes_it(tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"tiny has no int8 graph; .*`edgeae quantize`"):
        Codec.load(tiny_bundle, precision=INT8)


@pytest.mark.parametrize("word", ["int4", "", "FP32", "fp16"])
def test_unknown_precision_is_a_value_error(tiny_bundle: Path, word: str) -> None:
    with pytest.raises(ValueError, match=r"is not one of \['auto', 'fp32', 'int8'\]"):
        Codec.load(tiny_bundle, precision=word)


def test_int8_form_of_a_hyper_graph_is_not_looked_at(
    bundle_copy: Path, photo: NDArray[np.uint8]
) -> None:
    (bundle_copy / "hyper_decoder.int8.onnx").write_bytes(b"no graph")
    add_files(bundle_copy, ["hyper_decoder.int8.onnx"])
    assert Bundle.load(bundle_copy).precisions == (FP32,)
    assert Codec.load(bundle_copy).compress(photo)


def test_pickled_codec_keeps_what_was_asked_for(
    two_precisions: Path, photo: NDArray[np.uint8], stopwatch: Stopwatch
) -> None:
    fixed = pickle.loads(pickle.dumps(Codec.load(two_precisions, precision=INT8)))
    assert fixed.precision == INT8
    assert stopwatch.measured == 0
    codec = Codec.load(two_precisions)
    assert codec.precision == INT8
    stopwatch.seconds = {FP32: 1, INT8: 2}
    for path in cached():
        path.unlink()
    assert pickle.loads(pickle.dumps(codec)).precision == FP32  # another machine, another choice


def test_errors_name_the_file_that_ran(
    two_precisions: Path, photo: NDArray[np.uint8], tiny_bundle: Path
) -> None:
    (two_precisions / "encoder.int8.onnx").write_bytes((tiny_bundle / "decoder.onnx").read_bytes())
    add_files(two_precisions, ["encoder.int8.onnx"])
    with pytest.raises(GraphError, match=r"^encoder\.int8\.onnx: takes"):
        Codec.load(two_precisions, precision=INT8).compress(photo)


# auto


def test_faster_form_is_measured_once_and_remembered(
    two_precisions: Path, photo: NDArray[np.uint8], stopwatch: Stopwatch
) -> None:
    data = Codec.load(two_precisions).compress(photo, effort=0)
    assert stopwatch.measured == 1  # the decoder has not been needed yet
    Codec.load(two_precisions).decompress(data)
    assert stopwatch.measured == 2
    stopwatch.seconds = {FP32: 1, INT8: 2}
    again = Codec.load(two_precisions)
    again.decompress(again.compress(photo))
    assert (again.encoder_precision, again.decoder_precision) == (INT8, INT8)
    assert stopwatch.measured == 2
    records = [json.loads(path.read_text()) for path in cached()]
    assert {record["graph"] for record in records} == {"encoder", "decoder"}
    assert records[0]["precision"] == INT8
    assert records[0]["milliseconds"] == {FP32: 30, INT8: 10}


def test_real_measurement_is_kept_with_what_it_chose(two_precisions: Path) -> None:
    codec = Codec.load(two_precisions, threads=1)
    assert codec.decoder_precision in (FP32, INT8)
    (record,) = [json.loads(path.read_text()) for path in cached()]
    assert record["precision"] == codec.decoder_precision == faster(record["milliseconds"])
    assert all(milliseconds > 0 for milliseconds in record["milliseconds"].values())


def test_sessions_of_the_measurement_are_those_that_run(
    two_precisions: Path,
    photo: NDArray[np.uint8],
    stopwatch: Stopwatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    real = Graph._create

    def create(self: Graph, model: bytes, provider: str) -> object:
        made.append(self.file)
        return real(self, model, provider)

    monkeypatch.setattr(Graph, "_create", create)
    Codec.load(two_precisions).compress(photo, effort=0)
    assert sorted(name for name in made if name.startswith("encoder")) == [
        "encoder.int8.onnx",
        "encoder.onnx",
    ]
    assert "decoder.onnx" not in made
    made.clear()
    Codec.load(two_precisions).compress(photo)
    assert [name for name in made if name.startswith("encoder")] == ["encoder.int8.onnx"]


def test_other_threads_or_another_file_are_measured_anew(
    two_precisions: Path, stopwatch: Stopwatch
) -> None:
    for threads in (1, 2, 1, 2):
        assert Codec.load(two_precisions, threads=threads).decoder_precision == INT8
    assert stopwatch.measured == 2
    with (two_precisions / "decoder.int8.onnx").open("ab") as file:
        file.write(b"\x32\x01!")
    add_files(two_precisions, ["decoder.int8.onnx"])
    assert Codec.load(two_precisions, threads=1).decoder_precision == INT8
    assert stopwatch.measured == 3


@pytest.mark.parametrize("text", ["", "{}", '{"precision": "int4"}', '{"precision": 8}', "[]"])
def test_damaged_choice_is_measured_anew(
    two_precisions: Path, stopwatch: Stopwatch, text: str
) -> None:
    assert Codec.load(two_precisions).decoder_precision == INT8
    (path,) = cached()
    path.write_text(text)
    assert Codec.load(two_precisions).decoder_precision == INT8
    assert stopwatch.measured == 2
    assert Codec.load(two_precisions).decoder_precision == INT8
    assert stopwatch.measured == 2


def test_cache_that_cannot_be_written_is_measured_each_time(
    two_precisions: Path, folder: Path, stopwatch: Stopwatch
) -> None:
    folder.parent.parent.mkdir()
    folder.parent.write_text("a file where the folder should be")
    for count in (1, 2):
        codec = Codec.load(two_precisions)
        assert (codec.decoder_precision, codec.decoder_precision) == (INT8, INT8)
        assert stopwatch.measured == count


def test_interrupted_measurement_leaves_no_choice(
    two_precisions: Path, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(runs: object) -> dict[str, float]:
        raise KeyboardInterrupt

    codec = Codec.load(two_precisions)
    with monkeypatch.context() as patch:
        patch.setattr(precision, "median_seconds", interrupt)
        with pytest.raises(KeyboardInterrupt):
            codec.decoder_precision  # noqa: B018
    assert cached() == []
    assert codec.decoder_precision == INT8


def test_of_two_that_measure_at_once_the_first_chooses(
    two_precisions: Path, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def while_another_chooses(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
        monkeypatch.setattr(precision, "median_seconds", stopwatch)
        assert Codec.load(two_precisions).decoder_precision == INT8
        return {FP32: 1, INT8: 2}

    monkeypatch.setattr(precision, "median_seconds", while_another_chooses)
    assert Codec.load(two_precisions).decoder_precision == INT8
    assert stopwatch.measured == 1


def test_int8_form_that_cannot_run_here_leaves_fp32(
    two_precisions: Path, photo: NDArray[np.uint8], stopwatch: Stopwatch
) -> None:
    (two_precisions / "decoder.int8.onnx").write_bytes(b"operators of the future")
    add_files(two_precisions, ["decoder.int8.onnx"])
    codec = Codec.load(two_precisions)
    assert codec.decompress(codec.compress(photo)).shape == photo.shape
    assert (codec.encoder_precision, codec.decoder_precision) == (INT8, FP32)
    assert len(cached()) == 1  # that of the encoder


def test_changed_int8_file_is_a_bundle_error(two_precisions: Path, stopwatch: Stopwatch) -> None:
    (two_precisions / "decoder.int8.onnx").write_bytes(b"changed")
    with pytest.raises(BundleError, match=r"decoder\.int8\.onnx: SHA-256 is"):
        Codec.load(two_precisions).decoder_precision  # noqa: B018


def test_bundle_without_a_choice_measures_and_writes_nothing(
    tiny_bundle: Path, photo: NDArray[np.uint8], stopwatch: Stopwatch
) -> None:
    codec = Codec.load(tiny_bundle)
    codec.decompress(codec.compress(photo))
    assert codec.precision == FP32
    assert stopwatch.measured == 0
    assert cached() == []


@pytest.mark.parametrize("provider", ["cuda", "coreml"])
def test_providers_without_int8_kernels_run_fp32_unless_int8_is_asked_for(
    two_precisions: Path, stopwatch: Stopwatch, provider: str
) -> None:
    assert Codec.load(two_precisions, provider=provider).precision == FP32
    assert Codec.load(two_precisions, provider=provider, precision=INT8).precision == INT8
    assert stopwatch.measured == 0


def test_choice_is_remembered_for_each_provider(
    two_precisions: Path, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pretended(monkeypatch, "openvino")
    for provider, measured in [("cpu", 1), ("openvino", 2), ("auto", 2)]:
        assert Codec.load(two_precisions, provider=provider).decoder_precision == INT8
        assert stopwatch.measured == measured
    found = {json.loads(path.read_text())["provider"] for path in cached()}
    assert found == {"cpu", "openvino"}


@pytest.mark.parametrize(
    ("built", "expected"), [((), INT8), (("openvino",), INT8), (("cuda", "openvino"), FP32)]
)
def test_auto_provider_chooses_for_the_one_that_runs(
    two_precisions: Path,
    stopwatch: Stopwatch,
    monkeypatch: pytest.MonkeyPatch,
    built: tuple[str, ...],
    expected: str,
) -> None:
    Pretended(monkeypatch, *built)
    assert Codec.load(two_precisions, provider="auto").decoder_precision == expected


def test_what_is_remembered_is_said_without_measuring(
    two_precisions: Path, tiny_bundle: Path, stopwatch: Stopwatch
) -> None:
    bundle = Bundle.load(two_precisions)
    assert remembered(bundle, threads=1) == {"encoder": None, "decoder": None}
    assert Codec.load(two_precisions, threads=1).decoder_precision == INT8
    assert remembered(bundle, threads=1) == {"encoder": None, "decoder": INT8}
    assert remembered(bundle, threads=2) == {"encoder": None, "decoder": None}
    assert remembered(Bundle.load(tiny_bundle), threads=1) == {"encoder": FP32, "decoder": FP32}
    assert stopwatch.measured == 1


def test_one_call_takes_the_precision(
    two_precisions: Path, tiny_bundle: Path, photo: NDArray[np.uint8], stopwatch: Stopwatch
) -> None:
    data = edgeae.compress(photo, model=two_precisions, precision=INT8)
    assert edgeae.decompress(data, two_precisions, precision=FP32).shape == photo.shape
    assert stopwatch.measured == 0
    edgeae.compress(photo, model=two_precisions)
    assert stopwatch.measured == 2  # the decoder runs too
    with pytest.raises(BundleError, match="edgeae quantize"):
        edgeae.compress(photo, model=tiny_bundle, precision=INT8)


@pytest.mark.slow
def test_processes_that_start_at_once_leave_one_whole_choice(two_precisions: Path) -> None:
    code = (
        "import sys; from edgeae.codec import Codec; "
        "print(Codec.load(sys.argv[1], threads=1).decoder_precision)"
    )
    command = [sys.executable, "-c", code, str(two_precisions)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert {error for _, error in outputs} == {""}
    (path,) = cached()
    assert json.loads(path.read_text())["precision"] in {out.strip() for out, _ in outputs}


# Files of one precision in the other


@pytest.fixture(scope="module")
def rounded_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture bundle with int8 forms that compute something else: latents in U8 steps."""
    import shutil

    import onnx
    from onnx import helper, numpy_helper

    folder = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("bundles") / "rounded"))
    for name, tensor in (("encoder", "y"), ("decoder", "y_hat")):
        model = onnx.load(folder / graph_file(name))
        for node in model.graph.node:
            for ports in (node.input, node.output):
                ports[:] = ["exact" if port == tensor else port for port in ports]
        source, target = ("exact", "y") if name == "encoder" else ("y_hat", "exact")
        for constant, key in ((np.array(0.75, np.float32), "step"), (np.array(0, np.int8), "zero")):
            model.graph.initializer.append(numpy_helper.from_array(constant, key))
        pair = [
            helper.make_node("QuantizeLinear", [source, "step", "zero"], ["rounded"]),
            helper.make_node("DequantizeLinear", ["rounded", "step", "zero"], [target]),
        ]
        nodes = [*model.graph.node, *pair] if name == "encoder" else [*pair, *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        onnx.checker.check_model(model, full_check=True)
        (folder / graph_file(name, INT8)).write_bytes(model.SerializeToString())
    add_files(folder, [graph_file(name, INT8) for name in ("encoder", "decoder")])
    return folder


@pytest.mark.torch
@pytest.mark.parametrize(("writer", "reader"), [(FP32, INT8), (INT8, FP32)])
def test_file_of_one_precision_has_the_same_symbols_in_the_other(
    rounded_bundle: Path, photo: NDArray[np.uint8], writer: str, reader: str
) -> None:
    writing = Codec.load(rounded_bundle, precision=writer)
    reading = Codec.load(rounded_bundle, precision=reader)
    assert (writing.encode(photo).symbols != reading.encode(photo).symbols).any()
    latents, data = writing.encode(photo), writing.compress(photo)
    assert latents_to_npy(reading.from_bytes(data)) == latents_to_npy(latents)
    assert reading.to_bytes(latents) == data
    here, there = writing.decompress(data), reading.decompress(data)
    assert here.shape == there.shape == photo.shape
    assert (here != there).any()
    assert np.abs(here.astype(int) - there).mean() < 8
    assert (reading.decode(latents).pixels == there).all()


def cached() -> list[Path]:
    folder = choices.cache_folder()
    assert folder is not None
    return sorted(folder.iterdir()) if folder.exists() else []


def remove_files(folder: Path, name: str) -> None:
    manifest = read_manifest(folder)
    files = {key: digest for key, digest in manifest.files.items() if key != name}
    (folder / "manifest.json").write_text(dataclasses.replace(manifest, files=files).to_json())
    (folder / name).unlink()
