"""Any graph in 8 bits: what is integer after onnxruntime's optimizer, and what stays exact."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edgeae.bundle import MANIFEST, Bundle, read_manifest
from edgeae.cli.app import app
from edgeae.codec import Codec
from edgeae.errors import BoundError, BundleError, ImageError, OutputError
from edgeae.graphs import Graph
from edgeae.metrics import psnr_db
from edgeae_export.quantize import qdq, rescale
from edgeae_export.quantize.centre import centred
from edgeae_export.quantize.choose import Candidate, choose
from edgeae_export.quantize.judge import Judge
from edgeae_export.quantize.kinds import kinds
from edgeae_export.quantize.network import Network
from edgeae_export.quantize.observe import observed
from edgeae_export.quantize.prepare import Prepared, prepared
from edgeae_export.quantize.quantize import quantize
from edgeae_export.quantize.ranges import BINS, extremes, histograms, least_error
from export.made_pictures import made_picture, write_pictures
from export.optimized import optimized_operators

pytestmark = [pytest.mark.torch, pytest.mark.slow]

SMALL = [made_picture(seed, 128, 160) for seed in range(8)]
PADDED = [made_picture(seed, 128, 192) for seed in range(2)]  # as the encoder takes them


@pytest.fixture(scope="module")
def quantized(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture bundle with int8 graphs."""
    out = tmp_path_factory.mktemp("quantized") / "tiny"
    run(tiny_bundle, out, budget=5.0)
    return out


def run(source: Path, out: Path, *, budget: float) -> list[str]:
    lines: list[str] = []
    bundle = Bundle.load(source)
    quantize(bundle, SMALL, out, budget=budget, seed=1, threads=1, show=lines.append)
    return lines


def random_feeds(shape: tuple[int, ...], name: str = "x", count: int = 4) -> list[dict[str, Any]]:
    random = np.random.default_rng(3)
    return [{name: random.normal(0, 1, shape).astype(np.float32)} for _ in range(count)]


def small_network(nodes: list[Any], weights: dict[str, NDArray[Any]], rank: int = 4) -> Network:
    """A network from x to y of these nodes."""
    shape: list[str | int | None] = [1, *(f"n{k}" for k in range(rank - 1))]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return Network.from_model(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def conv_network() -> Network:
    """Convolution, ReLU, maximum, convolution, sigmoid: an encoder as in many tutorials."""
    random = np.random.default_rng(4)
    weights: dict[str, NDArray[Any]] = {
        "a.weight": random.normal(0, 0.3, (16, 3, 3, 3)).astype(np.float16),
        "a.bias": random.normal(0, 0.3, 16).astype(np.float32),
        "b.weight": random.normal(0, 0.1, (8, 16, 3, 3)).astype(np.float32),
    }
    pads = [1, 1, 1, 1]
    nodes = [
        helper.make_node("Cast", ["a.weight"], ["a.float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "a.float", "a.bias"], ["1"], pads=pads, kernel_shape=[3, 3]),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("MaxPool", ["2"], ["3"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["3", "b.weight"], ["4"], pads=pads, kernel_shape=[3, 3]),
        helper.make_node("Sigmoid", ["4"], ["y"]),
    ]
    return small_network(nodes, weights)


def dense_network() -> Network:
    """Two dense layers with a ReLU between, one as Gemm, one as MatMul."""
    random = np.random.default_rng(5)
    weights = {
        "a.weight": random.normal(0, 0.2, (32, 24)).astype(np.float32),
        "a.bias": random.normal(0, 0.2, 32).astype(np.float32),
        "b.weight": random.normal(0, 0.2, (32, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "a.weight", "a.bias"], ["1"], transB=1),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("MatMul", ["2", "b.weight"], ["y"]),
    ]
    return small_network(nodes, weights, rank=2)


def signal_to_noise_db(exact: Network, found: Network, feeds: list[dict[str, Any]]) -> float:
    signal = noise = 0.0
    pairs = zip(observed(exact, ["y"], feeds), observed(found, ["y"], feeds), strict=True)
    for a, b in pairs:
        signal += float(np.square(a["y"]).sum())
        noise += float(np.square(a["y"] - b["y"]).sum())
    return 10 * float(np.log10(signal / max(noise, 1e-30)))


@pytest.mark.parametrize(
    ("network", "shape", "integer"),
    [
        (conv_network(), (1, 3, 32, 32), {"QLinearConv": 2}),
        (dense_network(), (1, 24), {"QGemm": 1, "QLinearMatMul": 1}),
    ],
    ids=["convolutions", "dense"],
)
def test_plain_networks_run_in_integers(
    network: Network, shape: tuple[int, ...], integer: dict[str, int]
) -> None:
    feeds = random_feeds(shape, count=32)
    ready = prepared(network, feeds, 32 * 32 * len(feeds))
    found = ready.integer(ready.layers)
    form = optimized_operators(found.to_model())
    assert {kind: form.get(kind) for kind in integer} == integer
    assert not form.keys() & {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "Relu"}
    assert signal_to_noise_db(network, found, feeds) > 28


def test_float_layer_between_integers_is_float() -> None:
    network, feeds = block_network(), random_feeds((1, 3, 24, 24))
    ready = prepared(network, feeds, 24 * 24 * 4)
    middle = network.layers[3].name
    found = ready.integer([name for name in ready.layers if name != middle])
    form = optimized_operators(found.to_model())
    assert form.get("Conv", 0) + form.get("FusedConv", 0) == 1
    assert form["QLinearConv"] == len(network.layers) - 1


def graph_of(folder: Path, file: str) -> ModelProto:
    return onnx.load_from_string((folder / file).read_bytes())


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_only_chosen_layers_stay_float_in_the_optimized_graph(quantized: Path, name: str) -> None:
    report: Any = read_manifest(quantized).training["quantization"]
    model = graph_of(quantized, f"{name}.int8.onnx")
    form = optimized_operators(model)
    rows = [row for row in report["layers"] if row["graph"] == name]
    layers = [row for row in rows if not row["layer"].startswith("sums after ")]
    floats = [row["layer"] for row in layers if row["precision"] == "fp32"]
    assert {"fp32", "int8"} >= {row["precision"] for row in rows}
    convolutions = form.get("Conv", 0) + form.get("FusedConv", 0)
    around = {"decoder.up", "decoder.pixels", "sums after decoder.up"}  # `blocked`, float then too
    copies = int(any(row["layer"] in around for row in rows if row["precision"] == "fp32"))
    assert len(floats) <= convolutions <= len(floats) + copies
    assert form["QLinearConv"] >= len(layers) - len(floats) > 0
    # one for the picture's float neighbours at most, one for each integer layer read by a sum
    assert form.get("DequantizeLinear", 0) <= 2 + len(floats)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_stored_weights_are_within_63(quantized: Path, name: str) -> None:
    arrays = {
        t.name: numpy_helper.to_array(t)
        for t in graph_of(quantized, f"{name}.int8.onnx").graph.initializer
    }
    integers = [a for n, a in arrays.items() if n.endswith("/weight/integer")]
    assert len(integers) > 3
    for array in integers:
        assert array.dtype == np.int8
        assert np.abs(array.astype(int)).max() <= 63
    per_tensor = [a for a in arrays.values() if a.dtype == np.uint8 and a.size == 1]
    assert len(per_tensor) > 3
    assert all(a.shape == () for a in per_tensor)


def test_files_cross_decode_with_the_same_symbols(
    quantized: Path, photo: NDArray[np.uint8]
) -> None:
    codecs = {p: Codec.load(quantized, precision=p) for p in ("fp32", "int8")}
    for writer, codec in codecs.items():
        data = codec.compress(photo, 60)
        read = {p: other.from_bytes(data) for p, other in codecs.items()}
        assert (read["fp32"].symbols == read["int8"].symbols).all()
        pictures = {p: other.decompress(data) for p, other in codecs.items()}
        assert psnr_db(pictures["fp32"], pictures["int8"]) > 35, writer
        assert (pictures["fp32"] != pictures["int8"]).any()


def test_integer_graphs_give_the_same_at_any_thread_count(
    quantized: Path, photo: NDArray[np.uint8]
) -> None:
    pixels = np.ascontiguousarray(photo[:64, :128])[np.newaxis]
    found = [encoded(quantized, pixels, threads) for threads in (1, 2, 3)]
    assert all((y == found[0]).all() for y in found)


def encoded(folder: Path, pixels: NDArray[np.uint8], threads: int) -> NDArray[np.float32]:
    data = (folder / "encoder.int8.onnx").read_bytes()
    y: NDArray[np.float32] = Graph("encoder", lambda: data, threads=threads).run(pixels=pixels)[0]
    return y


def test_float_graphs_and_coding_id_do_not_change(quantized: Path, tiny_bundle: Path) -> None:
    before, after = read_manifest(tiny_bundle), read_manifest(quantized)
    assert after.coding_id == before.coding_id
    for name in before.files:
        if name != "card.md":
            assert after.files[name] == before.files[name]
    assert {"encoder.int8.onnx", "decoder.int8.onnx"} <= after.files.keys()
    Bundle.load(quantized).verify()


def test_report_is_in_the_manifest_and_the_card(quantized: Path) -> None:
    report: Any = read_manifest(quantized).training["quantization"]
    assert 0 <= abs(report["cost_percent"]) <= report["budget_percent"] == 5.0
    rows = {(row["graph"], row["layer"]): row for row in report["layers"]}
    head = rows["encoder", "encoder.head"]
    assert head["precision"] in ("int8", "fp32")
    assert head["snr_db"] > 20
    card = (quantized / "card.md").read_text()
    assert card.count("## int8") == 1
    assert f"{head['snr_db']}" in card


def test_quantizing_in_place_again_replaces_the_section(quantized: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(quantized, tmp_path / "tiny"))
    run(again, again, budget=5.0)
    assert read_manifest(again).files == read_manifest(quantized).files
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_budget_out_of_reach_writes_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BoundError, match=r"budget of -100 %"):
        run(tiny_bundle, tmp_path / "out", budget=-100.0)
    assert list(tmp_path.iterdir()) == []


def test_command_writes_a_bundle_that_compresses(tiny_bundle: Path, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 3)
    out = tmp_path / "out"
    command = ["quantize", str(tiny_bundle), "--data", str(photos), "-o", str(out)]
    result = CliRunner().invoke(app, [*command, "--budget", "50", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert "% of rate at equal PSNR" in result.output
    assert Bundle.load(out).precisions == ("fp32", "int8")
    assert CliRunner().invoke(app, [*command, "--quiet"]).exit_code == 7  # it is there already


def test_existing_output_is_left_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        run(tiny_bundle, tmp_path, budget=5.0)


def test_judge_measures_the_files_that_users_get(tiny_bundle: Path) -> None:
    codec = Codec.load(tiny_bundle, precision="fp32", threads=1)
    for quality, point in zip((20, 70), judge_of(tiny_bundle, PADDED).float_points, strict=True):
        files = [codec.compress(crop, quality) for crop in PADDED]
        errors = [
            np.square(codec.decompress(f) - 1.0 * c) for f, c in zip(files, PADDED, strict=True)
        ]
        assert point.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(errors)))
        bits = 8 * sum(map(len, files))
        assert 0 < bits - point.bpp * sum(c.shape[0] * c.shape[1] for c in PADDED) < 8 * 2 * 80


def test_float_graphs_cost_nothing(tiny_bundle: Path) -> None:
    bundle, judge = Bundle.load(tiny_bundle), judge_of(tiny_bundle, PADDED)
    for name in ("encoder", "decoder"):
        assert judge.cost({name: bundle.read(f"{name}.onnx")}) == 0


def judge_of(bundle: Path, crops: list[NDArray[np.uint8]]) -> Judge:
    return Judge(Bundle.load(bundle), crops, (20.0, 70.0))


def test_plain_autoencoder_quantizes(plain_bundle: Path, tmp_path: Path) -> None:
    run(plain_bundle, tmp_path / "plain", budget=10.0)
    assert "encoder.int8.onnx" in read_manifest(tmp_path / "plain").files


def test_bundle_for_arrays_is_refused(plain_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(plain_bundle)
    arrays = dataclasses.replace(bundle.manifest, input="array", shape=(4, 4), latent_size=(1, 1))
    with pytest.raises(BundleError, match="only pictures"):
        quantize(
            dataclasses.replace(bundle, manifest=arrays),
            SMALL,
            tmp_path / "out",
            budget=1.0,
            seed=1,
            threads=1,
            show=print,
        )


def test_two_pictures_are_too_few_to_choose_check_and_calibrate(
    plain_bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match="2 pictures to quantize with; give three at least"):
        quantize(
            Bundle.load(plain_bundle),
            SMALL[:2],
            tmp_path / "out",
            budget=1.0,
            seed=1,
            threads=1,
            show=print,
        )


def block_network(channels: int = 16) -> Network:
    """Two residual blocks between two layers, with channels of very different sizes."""
    random = np.random.default_rng(6)
    sizes = 10 ** random.uniform(-1.5, 1.5, channels)
    weights = {"in": (random.normal(0, 1, (channels, 3, 1, 1)) * sizes[:, None, None, None])}
    nodes = [helper.make_node("Conv", ["x", "in"], ["s0"])]
    for k in range(2):
        weights[f"d{k}"] = random.normal(0, 0.5, (channels, 1, 3, 3))
        weights[f"e{k}"] = (
            random.normal(0, 0.3, (2 * channels, channels, 1, 1)) / sizes[:, None, None]
        )
        weights[f"p{k}"] = (
            random.normal(0, 0.2, (channels, 2 * channels, 1, 1)) * sizes[:, None, None, None]
        )
        nodes += [
            helper.make_node("Conv", [f"s{k}", f"d{k}"], [f"a{k}"], pads=[1] * 4, group=channels),
            helper.make_node("Conv", [f"a{k}", f"e{k}"], [f"b{k}"]),
            helper.make_node("Relu", [f"b{k}"], [f"c{k}"]),
            helper.make_node("Conv", [f"c{k}", f"p{k}"], [f"q{k}"]),
            helper.make_node("Add", [f"s{k}", f"q{k}"], [f"s{k + 1}"]),
        ]
    weights["out"] = random.normal(0, 0.3, (8, channels, 1, 1)) / sizes[:, None, None]
    nodes.append(helper.make_node("Conv", ["s2", "out"], ["y"]))
    return small_network(nodes, {k: a.astype(np.float32) for k, a in weights.items()})


def test_rescaling_changes_nothing_but_the_channels() -> None:
    network, feeds = block_network(), random_feeds((1, 3, 24, 24))
    groups = rescale.groups(network)
    assert sorted(group.channels for group in groups) == [16, 16, 16, 32, 32]
    assert max(len(group.copies) for group in groups) == 5  # the stream: three sums, two changes
    factors = 10 ** np.random.default_rng(7).uniform(-1, 1, 32)
    for group in groups:
        network = rescale.rescaled(network, group, factors[: group.channels])
    assert signal_to_noise_db(block_network(), network, feeds) > 100


def test_centring_moves_what_convolutions_of_one_pixel_read_and_nothing_else() -> None:
    network, feeds = block_network(), random_feeds((1, 3, 24, 24))
    moved = centred(network, extremes(observed(network, [f"a{k}" for k in range(2)], feeds)))
    assert signal_to_noise_db(network, moved, feeds) > 100
    everything = [v for v in (node.output[0] for node in network.nodes) if v != "y"]
    before, after = (extremes(observed(n, everything, feeds)) for n in (network, moved))
    for value in everything:
        if value in ("a0", "a1"):  # behind depthwise layers, before layers of 1x1
            assert np.abs(before[value].low + before[value].high).max() > 0.1
            assert after[value].low == pytest.approx(-after[value].high, rel=1e-4)
        else:
            assert after[value].low == pytest.approx(before[value].low, rel=1e-3, abs=1e-4)


def test_centring_leaves_what_is_padded_or_shown_where_it_is() -> None:
    random = np.random.default_rng(9)
    weights = {
        "a": random.normal(1, 1, (8, 3, 1, 1)).astype(np.float32),
        "b": random.normal(1, 1, (8, 8, 1, 1)).astype(np.float32),
        "c": random.normal(1, 1, (8, 8, 3, 3)).astype(np.float32),
        "d": random.normal(1, 1, (3, 8, 1, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["1"]),
        helper.make_node("Conv", ["1", "b"], ["2"], pads=[1] * 4),
        helper.make_node("Conv", ["2", "c"], ["3"]),
        helper.make_node("Conv", ["3", "d", ""], ["y"]),
    ]
    network, feeds = small_network(nodes, weights), random_feeds((1, 3, 24, 24))
    values = ["1", "2", "3", "y"]
    moved = centred(network, extremes(observed(network, values, feeds)))
    before, after = (extremes(observed(n, values, feeds)) for n in (network, moved))
    kept = [v for v in values if np.allclose(before[v].low, after[v].low, rtol=1e-3)]
    assert kept == ["1", "2", "y"]
    assert signal_to_noise_db(network, moved, feeds) > 100


def test_rescaling_makes_eight_bits_enough() -> None:
    network, feeds = block_network(), random_feeds((1, 3, 24, 24), count=8)
    ready = prepared(network, feeds, 24 * 24 * 8)
    as_it_is = dataclasses.replace(
        ready, network=network, ranges=ranges_of(network, feeds), weights={}
    )
    with_it = signal_to_noise_db(network, ready.integer(ready.layers), feeds)
    without = signal_to_noise_db(network, as_it_is.integer(ready.layers), feeds)
    assert with_it > 25
    assert with_it > without + 6
    assert optimized_operators(ready.integer(ready.layers).to_model()).get("QLinearAdd") == 2


def ranges_of(network: Network, feeds: list[dict[str, Any]]) -> dict[str, qdq.Range]:
    values = qdq.plan(network, qdq.quantizable(network)).quantized
    inner = [v for v in values if v != "x"]
    runs = [
        {**run_, **feed} for run_, feed in zip(observed(network, inner, feeds), feeds, strict=True)
    ]
    return {
        v: qdq.Range.of(min(float(r[v].min()) for r in runs), max(float(r[v].max()) for r in runs))
        for v in values
    }


def test_float_sums_carry_less_noise() -> None:
    network, feeds = block_network(), random_feeds((1, 3, 24, 24), count=8)
    ready = prepared(network, feeds, 24 * 24 * 8)
    assert ready.sums.keys() == {"sums after in"}
    found = ready.integer(
        network_layers := [name for name in ready.layers if name not in ready.sums]
    )
    form = optimized_operators(found.to_model())
    assert form["Add"] == 2
    assert "QLinearAdd" not in form
    assert form["QLinearConv"] == len(network_layers)
    whole = signal_to_noise_db(network, ready.integer(ready.layers), feeds)
    assert signal_to_noise_db(network, found, feeds) > whole


def test_what_floats_alone_read_has_a_scale_of_each_channel() -> None:
    network, feeds = block_network(), random_feeds((1, 3, 24, 24), count=8)
    ready = prepared(network, feeds, 24 * 24 * 8)
    layers = [name for name in ready.layers if name not in ready.sums]
    found = ready.integer(layers)
    form = optimized_operators(found.to_model())
    assert form["BatchNormalization"] == 3  # both changes of the stream, and the output
    assert form["QLinearConv"] == len(layers)
    whole = optimized_operators(ready.integer(ready.layers).to_model())
    assert whole["BatchNormalization"] == 1  # the sums are integers, and read the changes
    one_scale = dataclasses.replace(ready, exits={}).integer(layers)
    assert signal_to_noise_db(network, found, feeds) > signal_to_noise_db(network, one_scale, feeds)


def test_channels_next_to_dead_have_finite_weights() -> None:
    found = qdq.Exit.of([qdq.Range.of(-1e-30, 1e-30), qdq.Range.of(-1.0, 3.0), qdq.Range(1.0, 0)])
    assert found.scales == pytest.approx([1e-9, 4 / 255, 1.0])
    assert found.zero_points.tolist() == [128, 64, 0]


def test_outputs_of_very_different_sizes_are_all_exact() -> None:
    random = np.random.default_rng(8)
    sizes = np.array([1e-3, 1.0, 1e3], np.float32)
    weights = {
        "a": random.normal(0, 1, (8, 3, 1, 1)).astype(np.float32),
        "b": random.normal(0, 1, (3, 8, 1, 1)).astype(np.float32) * sizes.reshape(-1, 1, 1, 1),
    }
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["1"]),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("Conv", ["2", "b"], ["y"]),
    ]
    network, feeds = small_network(nodes, weights), random_feeds((1, 3, 24, 24))
    ready = prepared(network, feeds, 24 * 24 * 4)
    found = ready.integer(ready.layers)
    assert optimized_operators(found.to_model())["QLinearConv"] == 2
    for exact, real in zip(
        observed(network, ["y"], feeds), observed(found, ["y"], feeds), strict=True
    ):
        errors = np.abs(exact["y"] - real["y"]).mean(axis=(0, 2, 3))
        assert (errors < 0.1 * sizes).all()


def ignored(_: str) -> None:
    pass


@dataclass(frozen=True, eq=False)
class Additive(Candidate):
    """Costs what its integer layers cost, percent."""

    percents: dict[str, float] = field(default_factory=dict)

    def measured(self, floats: Sequence[str]) -> float:
        return sum(cost for layer, cost in self.percents.items() if layer not in floats)


def additive(percents: dict[str, float], linear: tuple[str, ...]) -> Additive:
    works = dict.fromkeys(percents, 100.0) | {"slow": 1000.0}
    layers = tuple(percents)
    each = tuple((layer,) for layer in layers)
    ready = Prepared(conv_network(), layers, each, {}, linear, {}, {}, {}, works, {})
    return Additive(ready, lambda _: 0.0, percents)


def test_layers_stay_float_by_what_they_gain_for_their_time() -> None:
    coder = additive(
        {"path": 5.0, "slow": 0.5, "quick": 0.4, "little": 0.3, "none": 0.0}, ("path",)
    )
    found = choose({"encoder": coder}, 1.0, ignored)
    assert found.all_integer == {"encoder": pytest.approx(6.2)}
    assert found.start == {"encoder": pytest.approx(1.2)}
    assert found.floats == {"encoder": ("path", "quick")}  # 0.8 of 1 % is what may be left
    assert found.costs == {"encoder": pytest.approx(0.8)}
    assert found.with_float["encoder"]["slow"] == pytest.approx(0.7)


def test_what_a_layer_gains_is_measured_again_behind_each_choice() -> None:
    left = {"": 3.0, "a": 1.5, "b": 2.7, "c": 2.9, "ab": 1.4, "ac": 0.7}  # of those in float

    @dataclass(frozen=True, eq=False)
    class Masking(Additive):
        def measured(self, floats: Sequence[str]) -> float:
            return left["".join(floats)]

    plain = additive(dict.fromkeys("abc", 1.0), ())
    found = choose({"encoder": Masking(plain.prepared, plain.cost)}, 1.0, ignored)
    assert found.floats == {"encoder": ("a", "c")}
    assert found.costs == {"encoder": 0.7}
    assert found.with_float == {"encoder": {"a": 1.5, "b": 2.7, "c": 2.9}}


def test_layers_of_one_kind_stay_float_together() -> None:
    coder = additive({"a0": 0.6, "a1": 0.6, "b": 0.5, "c": 0.1}, ())
    alike = (("a0", "a1"), ("b",), ("c",))
    coder = dataclasses.replace(coder, prepared=dataclasses.replace(coder.prepared, kinds=alike))
    found = choose({"decoder": coder}, 0.8, ignored)
    assert found.floats == {"decoder": ("a0", "a1")}
    assert found.with_float["decoder"]["a0"] == found.with_float["decoder"]["a1"]


def test_layers_at_the_same_place_of_every_block_are_of_one_kind() -> None:
    names = [node.name for node in block_network().layers]
    first, *blocks, last = names
    found = kinds(block_network(), [*names, "sums"])
    assert found == (
        (first,),
        *((blocks[place], blocks[place + 3]) for place in range(3)),
        (last,),
        ("sums",),
    )


def test_layers_of_a_chain_are_each_of_a_kind_of_its_own() -> None:
    names = [node.name for node in conv_network().layers]
    assert kinds(conv_network(), names) == tuple((name,) for name in names)


def test_layers_beside_float_sums_need_no_conversions_to_be_float() -> None:
    ready = prepared(block_network(), random_feeds((1, 3, 24, 24)), 24 * 24 * 4)
    coder = Candidate(ready, lambda _: 0.0)
    depthwise = next(kind for kind in ready.kinds if len(kind) == 2)
    inside = coder.extra_time((), depthwise)
    beside = coder.extra_time(tuple(ready.sums), depthwise)
    assert beside < inside / 2


def test_all_layers_are_integer_if_they_may_be() -> None:
    coders = {"encoder": additive({"path": 0.3}, ("path",)), "decoder": additive({"a": 0.2}, ())}
    assert choose(coders, 1.0, ignored).floats == {"encoder": (), "decoder": ()}


def test_layers_without_gain_stay_integer() -> None:
    coder = additive({"path": 5.0, "a": 2.0, "none": 0.0}, ("path",))
    assert choose({"decoder": coder}, 1.0, ignored).floats == {"decoder": ("path", "a")}


def test_values_that_enter_integers_are_never_clipped() -> None:
    network, feeds = block_network(), random_feeds((1, 3, 24, 24))
    feeds[0]["x"][0, 0, 0, 0] = 400.0
    feeds[1]["x"][0, 1, 2, 0] = -300.0
    chosen = prepared(network, feeds, 24 * 24 * 4).ranges["x"]
    assert chosen.apply(np.array([400.0, -300.0], np.float32)) == pytest.approx([400, -300], abs=2)


def test_values_of_a_dead_layer_are_counted() -> None:
    dead = np.full((1, 4, 8, 8), 0.25, np.float32)
    with np.errstate(all="raise"):
        counts = histograms(iter([{"x": dead}]), {"x": (0.25, 0.25)})
    assert counts["x"].sum() == dead.size


def test_range_of_least_error_clips_what_is_rare() -> None:
    counts = np.zeros(BINS, np.int64)
    counts[: BINS // 100] = 100_000
    counts[-1] = 1
    assert least_error(counts, 0.0, 1.0).scale * 255 < 0.6
    even = least_error(np.ones(BINS, np.int64), 0.0, 1.0)
    assert even.scale * 255 > 0.95
    assert even.zero_point == 0


@pytest.mark.parametrize(("low", "high"), [(-3.0, 1.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0)])
def test_zero_is_exact_in_every_range(low: float, high: float) -> None:
    chosen = qdq.Range.of(low, high)
    assert chosen.apply(np.zeros(1, np.float32))[0] == 0
    ends = np.array([low, high], np.float32)
    assert np.abs(chosen.apply(ends) - ends).max() <= chosen.scale


def test_manifest_names_every_file(quantized: Path) -> None:
    there = {path.name for path in quantized.iterdir()} - {MANIFEST}
    assert there == set(read_manifest(quantized).files)
