"""fp32 or int8: what a bundle has, what was asked for, and which of the two is faster here.

Either gives valid latents and valid pictures, so speed decides: the two forms of a graph are timed
once, in turn, on a small made input, and the choice is kept in the user's cache folder for this
graph, processor, provider, version of onnxruntime and number of threads. A provider without int8
kernels runs fp32 unless int8 is asked for. The hyper graphs have one form.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae import choices
from edgeae.bundle import FP32, INT8, QUANTIZED_GRAPHS, Bundle, graph_file
from edgeae.errors import BundleError, GraphError
from edgeae.graphs import SIGNATURES_OF, Graph, only_cpu, runtime_version
from edgeae.images.padding import padded_size
from edgeae.known_answer import known_values
from edgeae.processor import processor
from edgeae.providers import AUTO as AUTO_PROVIDER
from edgeae.providers import CPU, INT8_KERNELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

AUTO = "auto"
PRECISIONS = (AUTO, FP32, INT8)
INT8_GAIN = 0.9  # int8 must take less than this share of the time: it is a little less exact
MEASURE_S = 1.0  # of both forms together
MIN_PAIRS = 5
SIDE = 256  # pixels of the measured picture, before padding
_METHOD = 1  # part of the key; raise it when another way of measuring would choose otherwise
_QUALITY = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """All that the choice for a graph depends on."""

    graph: str
    fp32: str  # SHA-256 of the files
    int8: str
    processor: str
    onnxruntime: str  # version
    provider: str
    threads: int

    @property
    def key(self) -> str:
        """32 hexadecimal digits."""
        text = json.dumps([_METHOD, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class ChosenGraph:
    """A graph in the precision that was asked for, or in the one that is faster here.

    The choice is made when it is first needed and holds as long as the object lives. As `Graph`,
    it may be called from any thread.

    Parameters
    ----------
    forms : mapping
        The graph in each precision it may run in; one form leaves no choice.
    choose : callable
        Returns a key of ``forms``; called at most once, and only if there are several.
    recall : callable
        Returns what ``choose`` would, if that is known without measuring, else None.
    """

    def __init__(
        self,
        forms: Mapping[str, Graph],
        choose: Callable[[Mapping[str, Graph]], str],
        recall: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._forms = dict(forms)
        self._choose = choose
        self._recall = recall
        self._lock = threading.Lock()

    @property
    def precision(self) -> str:
        """Precision that runs, "fp32" or "int8"; measures if that is not known yet."""
        return self._chosen()[0]

    @property
    def provider(self) -> str:
        """Name of the provider that runs the graph; makes the session if there is none."""
        return self._chosen()[1].provider

    @property
    def nodes(self) -> dict[str, int]:
        """How many nodes each provider runs, as of `Graph.nodes`; makes the session."""
        return self._chosen()[1].nodes

    @property
    def file(self) -> str:
        """What errors call the graph."""
        return self._chosen()[1].file

    @property
    def takes_batches(self) -> bool:
        """Whether the graph takes several inputs at once; makes the session if there is none."""
        return self._chosen()[1].takes_batches

    def prepare(self) -> None:
        """Begin to make the session as `Graph.prepare` does, unless it must measure first."""
        forms = self._forms
        precision = next(iter(forms)) if len(forms) == 1 else self._recall()
        if precision is not None:
            forms[precision].prepare()

    def run(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Return the outputs as `Graph.run` does; the errors are the same."""
        return self._chosen()[1].run(**inputs)

    def run_all(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return all outputs as `Graph.run_all` does; the errors are the same."""
        return self._chosen()[1].run_all(**inputs)

    def _chosen(self) -> tuple[str, Graph]:
        with self._lock:
            if len(self._forms) > 1:
                precision = self._choose(self._forms)
                self._forms = {precision: self._forms[precision]}  # the other session is closed
            return next(iter(self._forms.items()))


def check_precision(bundle: Bundle, precision: str) -> None:
    """Raise unless ``bundle`` can run in ``precision``, "auto", "fp32" or "int8".

    Raises
    ------
    BundleError
        int8, and the bundle has no int8 graph.
    ValueError
        Another word.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not one of {list(PRECISIONS)}")
    if precision == INT8 and INT8 not in bundle.precisions:
        raise BundleError(
            f"{bundle.path}: bundle {bundle.manifest.name} has no int8 graph; make them with "
            f"`edgeae quantize`, or choose another precision"
        )


def open_graph(
    bundle: Bundle, name: str, *, precision: str, provider: str, threads: int
) -> ChosenGraph:
    """Return the encoder or the decoder of ``bundle``; nothing is read or measured yet.

    Asked for in int8, a graph without an int8 form runs in fp32.
    """
    forms = {
        form: graph_in(bundle, name, form, provider=provider, threads=threads)
        for form in _candidates(_forms(bundle, name), precision)
    }
    return ChosenGraph(
        forms,
        partial(_faster_here, bundle, name, provider=provider, threads=threads),
        partial(_known, bundle, name, provider=provider, threads=threads),
    )


def graph_in(bundle: Bundle, name: str, form: str, *, provider: str, threads: int) -> Graph:
    """Return the encoder or the decoder of ``bundle`` in the precision of one of its files."""
    return Graph(
        name,
        partial(bundle.read, graph_file(name, form)),
        signature=SIGNATURES_OF[bundle.manifest.input][name],
        file=graph_file(name, form),
        provider=provider,
        threads=threads,
        trial=partial(_inputs, bundle, name),
    )


def remembered(bundle: Bundle, *, threads: int) -> dict[str, str | None]:
    """Return what "auto" runs on the CPU by graph, None where it would have to measure."""
    return {
        name: _recall(_setting(bundle, name, threads, CPU))
        if len(_forms(bundle, name)) > 1
        else FP32
        for name in QUANTIZED_GRAPHS
    }


def faster(seconds: Mapping[str, float]) -> str:
    """Return "int8" if it takes clearly less time, else "fp32"."""
    return INT8 if seconds[INT8] < INT8_GAIN * seconds[FP32] else FP32


def median_seconds(
    runs: Mapping[str, Callable[[], object]], clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Return the median time of each run, taken in turn so that what disturbs one disturbs all.

    The first of each is not counted: memory is taken there. Ends after `MEASURE_S`, but not before
    `MIN_PAIRS`.
    """
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    order, end = list(runs), clock() + MEASURE_S
    while clock() < end or len(times[order[0]]) < MIN_PAIRS:
        for name in order:
            start = clock()
            runs[name]()
            times[name].append(clock() - start)
        order.reverse()
    return {name: statistics.median(of_run) for name, of_run in times.items()}


def _forms(bundle: Bundle, name: str) -> tuple[str, ...]:
    """Return the precisions in which a graph has a file."""
    return (FP32, INT8) if graph_file(name, INT8) in bundle.manifest.files else (FP32,)


def _candidates(forms: tuple[str, ...], precision: str) -> tuple[str, ...]:
    """Return the forms that may run when ``precision`` is asked for."""
    if precision == AUTO:
        return forms
    return (precision,) if precision in forms else (FP32,)


def _faster_here(
    bundle: Bundle, name: str, forms: Mapping[str, Graph], *, provider: str, threads: int
) -> str:
    """Return the precision to run: as remembered, else as measured; fp32 without int8 kernels."""
    runs_on = _runs_on(provider, forms)
    if runs_on not in INT8_KERNELS:
        return FP32
    setting = _setting(bundle, name, threads, runs_on)
    known = _recall(setting)
    if known is not None:
        return known
    inputs = _inputs(bundle, name)
    try:
        seconds = median_seconds({form: partial(forms[form].run, **inputs) for form in forms})
    except GraphError:  # this onnxruntime cannot run int8; if it is fp32, its next run will say so
        return FP32
    # Of several processes that measure at once, the first one has chosen for all of them.
    return _recall(setting) or _remember(setting, seconds)


def _runs_on(provider: str, forms: Mapping[str, Graph]) -> str:
    """Return the provider that was asked for, or that "auto" finds by making a session."""
    if only_cpu(provider):
        return CPU
    return forms[FP32].provider if provider == AUTO_PROVIDER else provider


def _known(bundle: Bundle, name: str, *, provider: str, threads: int) -> str | None:
    """Return the precision that was found to be faster, None if it is not known."""
    return _recall(_setting(bundle, name, threads, CPU)) if only_cpu(provider) else None


def _recall(setting: Setting) -> str | None:
    precision = choices.recall(setting.key).get("precision")
    return precision if isinstance(precision, str) and precision in (FP32, INT8) else None


def _remember(setting: Setting, seconds: Mapping[str, float]) -> str:
    precision = faster(seconds)
    milliseconds = {form: round(1e3 * of_form, 3) for form, of_form in seconds.items()}
    record = {"precision": precision, "milliseconds": milliseconds, **asdict(setting)}
    choices.remember(setting.key, record)
    return precision


def _setting(bundle: Bundle, name: str, threads: int, provider: str) -> Setting:
    files = bundle.manifest.files
    return Setting(
        graph=name,
        fp32=files[graph_file(name, FP32)],
        int8=files[graph_file(name, INT8)],
        processor=processor(),
        onnxruntime=runtime_version(),
        provider=provider,
        threads=threads,
    )


def _inputs(bundle: Bundle, name: str) -> dict[str, NDArray[Any]]:
    """Return what the graph takes for a made picture, `SIDE` pixels a side or as it must be."""
    manifest = bundle.manifest
    height, width = manifest.fixed_size or padded_size(SIDE, SIDE, manifest.multiple)
    if name == "encoder":
        values = known_values(0, (1, *manifest.pixels_shape(height, width)))
        # Arrays are float32 of any kind, pictures uint8.
        return {"pixels": (values + 128).astype(np.uint8 if manifest.shape is None else np.float32)}
    y_hat = known_values(0, (1, *manifest.latents_shape(height, width)))
    return {"y_hat": y_hat.astype(np.float32), "quality": np.asarray(_QUALITY, np.float32)}
