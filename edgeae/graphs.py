"""The one door to onnxruntime: a graph is a function from named arrays to arrays.

Sessions are made at the first run, one for each process, and the provider that really runs is
checked: nothing falls back to another one in silence.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from edgeae.errors import EdgeaeError, GraphError
from edgeae.providers import AUTO, CPU, CUDA, PROVIDERS, advice, fallback, requested

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    Run: TypeAlias = Callable[..., tuple[NDArray[Any], ...]]

_LOG_DEFAULT, _LOG_FATAL = 2, 4  # of onnxruntime's severity levels: errors are exceptions too
_PRELOADING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Signature:
    """Names and element types of a graph's inputs and outputs, as onnxruntime spells them."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


_UINT8, _INT16, _INT64, _FLOAT = (
    "tensor(uint8)",
    "tensor(int16)",
    "tensor(int64)",
    "tensor(float)",
)
SIGNATURES = {
    "encoder": Signature({"pixels": _UINT8}, {"y": _FLOAT}),
    "hyper_encoder": Signature({"y": _FLOAT, "quality": _FLOAT}, {"scaled": _FLOAT, "z": _INT16}),
    "hyper_decoder": Signature(
        {"z": _INT16, "symbols": _INT16, "step": _INT64}, {"mean": _FLOAT, "index": _UINT8}
    ),
    "decoder": Signature({"y_hat": _FLOAT, "quality": _FLOAT}, {"pixels": _UINT8}),
}
ARRAY_SIGNATURES = {
    "encoder": Signature({"pixels": _FLOAT}, {"y": _FLOAT}),
    "decoder": Signature({"y_hat": _FLOAT, "quality": _FLOAT}, {"pixels": _FLOAT}),
}
SIGNATURES_OF = {"rgb": SIGNATURES, "grey": SIGNATURES, "array": ARRAY_SIGNATURES}  # by `input`


class Graph:
    """One ONNX graph of a bundle, callable from any thread.

    Parameters
    ----------
    name : str
        Key of `SIGNATURES`.
    signature : Signature, optional
        By default that of the name.
    file : str, optional
        What errors call it; by default the name with ``.onnx``.
    model : callable
        Returns the bytes of the ONNX file; called once for each session, so that a graph that
        never runs is never read.
    provider : str
        Key of `PROVIDERS`, or "auto".
    threads : int
        Threads inside an operator.
    self_test : callable, optional
        Given the run function right after a session is made; raises to refuse it.
    trial : callable, optional
        Returns inputs that "auto" runs once before it settles for a provider: some make a session
        and fail only when they run.
    """

    def __init__(
        self,
        name: str,
        model: Callable[[], bytes],
        *,
        signature: Signature | None = None,
        file: str | None = None,
        provider: str = "cpu",
        threads: int = 1,
        self_test: Callable[[Run], None] | None = None,
        trial: Callable[[], Mapping[str, NDArray[Any]]] | None = None,
    ) -> None:
        if provider != AUTO and provider not in PROVIDERS:
            raise ValueError(f"provider {provider!r} is not one of {[AUTO, *PROVIDERS]}")
        if threads < 1:
            raise ValueError(f"threads {threads} is not at least 1")
        self.name = name
        self._signature = SIGNATURES[name] if signature is None else signature
        self.file = file or f"{name}.onnx"
        self._model = model
        self._requested = provider
        self._threads = threads
        self._self_test = self_test
        self._trial = trial
        self._lock = threading.Lock()
        self._session: tuple[int, str, Any] | None = None  # process, provider, session

    @property
    def provider(self) -> str:
        """Name of the provider that runs the graph; makes the session if there is none."""
        return self._open()[0]

    @property
    def nodes(self) -> dict[str, int]:
        """How many nodes of the graph each provider runs, by onnxruntime's name of it.

        Makes the session. Empty on the CPU, and where this onnxruntime does not say.
        """
        return _nodes(self._open()[1])

    @property
    def takes_batches(self) -> bool:
        """Whether the first axis of the first input is dynamic; makes the session."""
        shape = self._open()[1].get_inputs()[0].shape
        return bool(shape) and not isinstance(shape[0], int)

    def prepare(self) -> None:
        """Begin to make the session in a thread of its own, if more than one may be used.

        What goes wrong there goes wrong again at the first run, and is said then.
        """
        if self._threads > 1 and self._session is None:
            threading.Thread(target=self._prepare, name=f"prepare {self.name}").start()

    def run(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Return the outputs in the order of the signature.

        Raises
        ------
        GraphError
            The session cannot be made, or onnxruntime refuses the inputs.
        """
        return self._run(self._open()[1], inputs)

    def run_all(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return all outputs by name, also those that the signature does not ask for.

        The errors are those of `run`.
        """
        session = self._open()[1]
        names = [node.name for node in session.get_outputs()]
        return dict(zip(names, self._run(session, inputs, names), strict=True))

    def try_session(self) -> None:
        """Make a session on the provider that was asked for and throw it away, whatever comes."""
        with suppress(GraphError):
            self._create(self._model(), self._requested)

    def _prepare(self) -> None:
        with suppress(EdgeaeError):
            self._open()

    def _run(
        self,
        session: Any,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None = None,
    ) -> tuple[NDArray[Any], ...]:
        try:
            return tuple(session.run(list(outputs or self._signature.outputs), dict(inputs)))
        except _runtime_errors() as error:
            shapes = {name: array.shape for name, array in inputs.items()}
            raise GraphError(
                f"{self.file}: onnxruntime cannot run it on {shapes}: {_one_line(error)}"
            ) from error

    def _open(self) -> tuple[str, Any]:
        with self._lock:
            process = os.getpid()
            if self._session is None or self._session[0] != process:  # sessions die in a fork
                provider, session = self._new_session()
                if self._self_test is not None:
                    self._self_test(lambda **inputs: self._run(session, inputs))
                self._session = (process, provider, session)
            return self._session[1:]

    def _new_session(self) -> tuple[str, Any]:
        model = self._model()
        names = list(PROVIDERS) if self._requested == AUTO else [self._requested]
        available = available_providers()
        with contextlib.nullcontext() if self._requested == CPU else _without_log():
            for name in names[:-1]:
                if name not in available:
                    continue
                try:
                    session = self._create(model, name)
                    if self._trial is not None:
                        self._run(session, self._trial())
                except GraphError:  # "auto" asked for whatever works; the last one must
                    continue
                return name, session
            if names[-1] not in available:
                raise GraphError(
                    f"provider {names[-1]!r} is not among those of this onnxruntime, "
                    f"{list(available)}; {advice(names[-1])}"
                )
            return names[-1], self._create(model, names[-1])

    def _create(self, model: bytes, provider: str) -> Any:
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.enable_mem_pattern = False  # less memory with pictures of many sizes
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _LOG_FATAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if provider != CPU:
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        try:
            session = _session(model, options, provider, self._threads)
        except _runtime_errors() as error:
            raise GraphError(
                f"{self.file}: no session on {provider!r}: {_one_line(error)}"
            ) from error
        departs = fallback(provider, session.get_providers(), _nodes(session))
        if departs is not None:
            raise GraphError(f"{self.file}: {departs}; {advice(provider)}")
        self._check_signature(session)
        return session

    def _check_signature(self, session: Any) -> None:
        inputs = {node.name: node.type for node in session.get_inputs()}
        outputs = {node.name: node.type for node in session.get_outputs()}
        expected = self._signature
        if inputs != expected.inputs or not expected.outputs.items() <= outputs.items():
            raise GraphError(
                f"{self.file}: takes {inputs} and gives {outputs}, not "
                f"{dict(expected.inputs)} and {dict(expected.outputs)}; export the bundle again"
            )


def available_providers() -> tuple[str, ...]:
    """Return the keys of `PROVIDERS` that this onnxruntime was built with."""
    built = _onnxruntime().get_available_providers()
    return tuple(name for name, long_name in PROVIDERS.items() if long_name in built)


def only_cpu(provider: str) -> bool:
    """Return whether ``provider`` can mean nothing but the CPU here."""
    return provider == CPU or (provider == AUTO and available_providers() == (CPU,))


def runtime_version() -> str:
    """Return the version of onnxruntime."""
    return str(_onnxruntime().__version__)


def default_threads() -> int:
    """Return the number of processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _onnxruntime() -> ModuleType:
    # Wheels since 1.29 write a device id and a database at import and send both home; only the
    # environment, read at import, stops the first event. A user's own choice stays.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise GraphError(
            f"onnxruntime cannot be loaded: {_one_line(error)}; reinstall the package onnxruntime"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):  # one of two packages was uninstalled
        raise GraphError(
            "onnxruntime is there in part; `edgeae doctor` says which packages brought it, "
            "uninstall them all and install one"
        )
    module: ModuleType = onnxruntime
    return module


def _session(model: bytes, options: Any, provider: str, threads: int) -> Any:
    """Return a session on a provider, or on what onnxruntime takes in its place."""
    runtime = _onnxruntime()
    if provider == CUDA:
        with _PRELOADING:
            _preload_cuda()
    # With its own fallback, onnxruntime would print to stdout, where a picture may be going.
    return runtime.InferenceSession(
        model, options, providers=requested(provider, threads), enable_fallback=0
    )


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Keep onnxruntime from writing to stderr what comes as an exception too."""
    runtime = _onnxruntime()
    runtime.set_default_logger_severity(_LOG_FATAL)
    try:
        yield
    finally:
        runtime.set_default_logger_severity(_LOG_DEFAULT)


@functools.cache
def _preload_cuda() -> None:
    """Load the CUDA libraries that pip packages brought; where there are none, nothing happens."""
    runtime = _onnxruntime()
    if hasattr(runtime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it says there what it does not find
            runtime.preload_dlls()


def _nodes(session: Any) -> dict[str, int]:
    """Return how many nodes each provider runs, by its long name; empty if that is not known."""
    if not hasattr(session, "get_provider_graph_assignment_info"):  # before 1.24
        return {}
    try:
        parts = session.get_provider_graph_assignment_info()
    except _runtime_errors():  # on the CPU it is not asked to keep it
        return {}
    nodes: dict[str, int] = {}
    for part in parts:
        nodes[part.ep_name] = nodes.get(part.ep_name, 0) + len(part.get_nodes())
    return nodes


@functools.cache
def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return onnxruntime's exception classes, which have no base of their own."""
    _onnxruntime()
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return (*(kind for kind in kinds if issubclass(kind, Exception)), RuntimeError, ValueError)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
