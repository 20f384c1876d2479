from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeae import graphs
from edgeae.errors import GraphError
from edgeae.graphs import Graph, available_providers, default_threads


@pytest.fixture
def encoder(tiny_bundle: Path) -> Callable[..., Graph]:
    """Makes graphs of the fixture bundle's encoder."""

    def make(**options: Any) -> Graph:
        return Graph("encoder", (tiny_bundle / "encoder.onnx").read_bytes, **options)

    return make


PIXELS = np.zeros((1, 64, 64, 3), np.uint8)


def test_graph_runs_and_names_its_provider(encoder: Callable[..., Graph]) -> None:
    graph = encoder()
    (y,) = graph.run(pixels=PIXELS)
    assert y.dtype == np.float32
    assert y.shape[2:] == (4, 4)
    assert graph.provider == "cpu"


def test_model_is_read_at_the_first_run_and_once() -> None:
    def refuse() -> bytes:
        raise GraphError("read")

    graph = Graph("encoder", refuse)
    with pytest.raises(GraphError, match=r"^read$"):
        graph.run(pixels=PIXELS)


def test_threads_share_one_session(tiny_bundle: Path) -> None:
    reads = []

    def model() -> bytes:
        reads.append(threading.get_ident())
        return (tiny_bundle / "encoder.onnx").read_bytes()

    graph = Graph("encoder", model)
    pool = [threading.Thread(target=graph.run, kwargs={"pixels": PIXELS}) for _ in range(4)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    assert len(reads) == 1


def test_prepared_session_is_made_in_another_thread(tiny_bundle: Path) -> None:
    makers = []

    def model() -> bytes:
        makers.append(threading.current_thread().name)
        return (tiny_bundle / "encoder.onnx").read_bytes()

    graph = Graph("encoder", model, threads=2)
    graph.prepare()
    graph.run(pixels=PIXELS)
    graph.prepare()
    assert makers == ["prepare encoder"]


def test_one_thread_is_not_made_two(encoder: Callable[..., Graph]) -> None:
    graph = encoder(threads=1)
    graph.prepare()
    assert graph._session is None


def test_what_fails_while_preparing_is_said_at_the_first_run() -> None:
    graph = Graph("encoder", lambda: b"no graph", threads=2)
    graph.prepare()
    with pytest.raises(GraphError, match=r"encoder\.onnx: no session"):
        graph.run(pixels=PIXELS)


def test_another_process_makes_its_own_session(
    encoder: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = encoder()
    graph.run(pixels=PIXELS)
    first = graph._session
    monkeypatch.setattr(os, "getpid", lambda: -1)
    graph.run(pixels=PIXELS)
    assert graph._session is not first


@pytest.mark.parametrize(
    "inputs",
    [
        {"pixels": np.zeros((1, 64, 64, 3), np.float32)},
        {"pixels": np.zeros((1, 64, 64), np.uint8)},
        {"picture": PIXELS},
        {},
    ],
)
def test_wrong_inputs_are_a_graph_error(
    encoder: Callable[..., Graph], inputs: dict[str, np.ndarray]
) -> None:
    with pytest.raises(GraphError, match=r"encoder\.onnx: onnxruntime cannot run it on"):
        encoder().run(**inputs)


@pytest.mark.parametrize("data", [b"", b"not a graph", bytes(1000)])
def test_bytes_that_are_no_graph_are_a_graph_error(data: bytes) -> None:
    with pytest.raises(GraphError, match=r"decoder\.onnx: "):
        Graph("decoder", lambda: data).run(y_hat=PIXELS)


def test_errors_name_the_file_if_it_is_given() -> None:
    with pytest.raises(GraphError, match=r"^decoder\.int8\.onnx: no session on 'cpu'"):
        Graph("decoder", bytes, file="decoder.int8.onnx").run(y_hat=PIXELS)


def test_cpu_is_the_only_provider_where_no_other_is_built_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graphs, "available_providers", lambda: ("cpu",))
    assert graphs.only_cpu("cpu")
    assert graphs.only_cpu("auto")
    assert not graphs.only_cpu("cuda")
    monkeypatch.setattr(graphs, "available_providers", lambda: ("cuda", "cpu"))
    assert graphs.only_cpu("cpu")
    assert not graphs.only_cpu("auto")


def test_graph_with_another_signature_is_refused(tiny_bundle: Path) -> None:
    graph = Graph("decoder", (tiny_bundle / "encoder.onnx").read_bytes)
    with pytest.raises(GraphError, match=r"takes {'pixels': 'tensor\(uint8\)'} and gives"):
        graph.run(pixels=PIXELS)


def test_provider_that_is_not_built_in_is_a_graph_error(encoder: Callable[..., Graph]) -> None:
    absent = next(name for name in graphs.PROVIDERS if name not in available_providers())
    with pytest.raises(GraphError, match=f"provider '{absent}' is not among .*'cpu'.*--provider"):
        encoder(provider=absent).run(pixels=PIXELS)


def test_failed_self_test_refuses_the_session_each_time(encoder: Callable[..., Graph]) -> None:
    def refuse(run: graphs.Run) -> None:
        run(pixels=PIXELS)
        raise GraphError("other indexes")

    graph = encoder(self_test=refuse)
    for _ in range(2):
        with pytest.raises(GraphError, match="other indexes"):
            graph.run(pixels=PIXELS)


@pytest.mark.parametrize("options", [{"provider": "gpu"}, {"threads": 0}])
def test_wrong_arguments_are_value_errors(
    encoder: Callable[..., Graph], options: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        encoder(**options)


def test_default_threads_are_the_processors_of_this_process() -> None:
    assert 1 <= default_threads() <= (os.cpu_count() or 1)
