"""Providers that are not here, pretended: what they are asked for, and what counts as running."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pretended_providers import Pretended
from typer.testing import CliRunner

from edgeae import graphs
from edgeae.cli.app import app
from edgeae.codec import Codec
from edgeae.errors import GraphError
from edgeae.graphs import Graph
from edgeae.providers import PROVIDERS, fallback

PIXELS = np.zeros((1, 64, 64, 3), np.uint8)


@pytest.mark.parametrize("provider", ["cuda", "openvino", "coreml"])
def test_large_graphs_run_on_the_provider_and_the_hyper_decoder_on_the_cpu(
    tiny_bundle: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    expected = Codec.load(tiny_bundle).compress(photo)
    pretended = Pretended(monkeypatch, provider)
    codec = Codec.load(tiny_bundle, provider=provider, threads=2)

    assert codec.compress(photo) == expected
    codec.decompress(expected)

    assert codec.encoder_provider == codec.decoder_provider == provider
    assert codec.nodes["decoder"] == {PROVIDERS[provider]: 3}
    assert sorted(pretended.first_choices()) == sorted(["cpu", *[provider] * 3])
    assert [("cpu", {})] in pretended.asked  # the hyper-decoder's session, with no other choice


@pytest.mark.parametrize(
    ("provider", "options"),
    [
        ("cuda", {"use_tf32": "0"}),
        ("openvino", {"precision": "FP32", "device_type": "CPU", "num_of_threads": "2"}),
        ("coreml", {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"}),
    ],
)
def test_no_provider_may_lower_the_precision(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, provider: str, options: dict[str, str]
) -> None:
    pretended = Pretended(monkeypatch, provider)
    assert Codec.load(tiny_bundle, provider=provider, threads=2).encoder_provider == provider
    first, last = pretended.asked[0]
    assert first[0] == provider
    assert options.items() <= first[1].items()
    assert last == ("cpu", {})


def test_cuda_libraries_are_loaded_once_and_nothing_is_printed(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pretended = Pretended(monkeypatch, "cuda")
    codec = Codec.load(tiny_bundle, provider="cuda")
    assert codec.encoder_provider == codec.decoder_provider == "cuda"
    assert pretended.preloads == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("lost", r"encoder\.onnx: asked for CUDAExecutionProvider, onnxruntime fell back"),
        ("idle", r"encoder\.onnx: CUDAExecutionProvider is there but runs none of .* 3 nodes"),
    ],
)
def test_provider_that_does_not_run_the_graph_is_a_graph_error(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, trouble: str, message: str
) -> None:
    Pretended(monkeypatch, "cuda", **{trouble: ["cuda"]})  # type: ignore[arg-type]  # a name each
    with pytest.raises(GraphError, match=message + ".*edgeae doctor.*--provider"):
        Codec.load(tiny_bundle, provider="cuda").encoder_provider  # noqa: B018


def test_auto_takes_the_first_provider_that_runs(
    tiny_bundle: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = ("cuda", "openvino", "coreml")
    for trouble in ("lost", "failing", "idle"):
        Pretended(monkeypatch, *built, **{trouble: ["cuda"]})  # type: ignore[arg-type]
        codec = Codec.load(tiny_bundle, provider="auto")
        codec.decompress(codec.compress(photo))
        assert codec.encoder_provider == codec.decoder_provider == "openvino"
    Pretended(monkeypatch, *built, lost=built)
    assert Codec.load(tiny_bundle, provider="auto").encoder_provider == "cpu"


def test_auto_ends_with_an_error_if_the_cpu_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    Pretended(monkeypatch, "cuda")
    with pytest.raises(GraphError, match=r"encoder\.onnx: no session on 'cpu'"):
        Graph("encoder", bytes, provider="auto").run(pixels=PIXELS)


def test_fallback_believes_an_onnxruntime_that_does_not_count_nodes() -> None:
    assert fallback("cuda", [PROVIDERS["cuda"], PROVIDERS["cpu"]], {}) is None
    assert fallback("cpu", [PROVIDERS["cpu"]], {}) is None
    assert fallback("cuda", [], {}) is not None


def test_half_an_onnxruntime_is_a_graph_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    with pytest.raises(GraphError, match=r"in part.*edgeae doctor"):
        graphs._onnxruntime.__wrapped__()


def test_line_of_each_picture_says_what_ran_it(
    tiny_bundle: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Pretended(monkeypatch, "cuda", "openvino", failing=["cuda"])
    Image.fromarray(photo).save(tmp_path / "a.png")
    for provider, ending in [("auto", "on openvino"), ("cpu", "ms")]:
        for command, name in [("compress", "a.png"), ("decompress", "a.eae")]:
            arguments = [command, str(tmp_path / name), "-m", "tiny", "--provider", provider, "-f"]
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0
            assert result.stderr.rstrip().endswith(ending)


@pytest.mark.parametrize("provider", ["cuda", "openvino", "coreml"])
def test_files_of_a_provider_that_is_here_decode_on_the_cpu_and_back(
    tiny_bundle: Path, photo: NDArray[np.uint8], provider: str
) -> None:
    if provider not in graphs.available_providers():
        pytest.skip(f"onnxruntime was built without {provider}; one with it takes its place")
    codecs = [Codec.load(tiny_bundle, provider=name, threads=1) for name in (provider, "cpu")]
    for file in (codec.compress(photo) for codec in codecs):
        one, other = (codec.from_bytes(file) for codec in codecs)
        assert np.array_equal(one.symbols, other.symbols)
        assert np.array_equal(one.z, other.z)
        pixels = [codec.decompress(file).astype(int) for codec in codecs]
        assert abs(pixels[0] - pixels[1]).max() <= 2
