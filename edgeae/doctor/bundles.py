"""Bundles: every hash, and the known file of each on each provider and in each precision."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgeae.bundle import FP32, Bundle
from edgeae.codec import Codec
from edgeae.doctor.finding import ABSENT, BUNDLES, NOTE, OK, PROVIDERS, WRONG, Finding
from edgeae.doctor.log import causes_in, said_by_runtime
from edgeae.errors import EdgeaeError
from edgeae.graphs import available_providers
from edgeae.known_file import Comparison, compare, read_known_file
from edgeae.precision import graph_in
from edgeae.providers import CPU, PACKAGES
from edgeae.providers import PROVIDERS as LONG_NAMES

if TYPE_CHECKING:
    from edgeae.known_file import KnownFile

_REMEDIES = {
    "cuda": "needs a driver, CUDA and cuDNN: pip install 'onnxruntime-gpu[cuda,cudnn]'; "
    "or use --provider cpu",
    "openvino": "pip install --force-reinstall onnxruntime-openvino; or use --provider cpu",
}
_MAKE = "export it again, or: python -m edgeae_export.known_file"


def bundles(paths: Iterable[Path], providers: Sequence[str]) -> Iterator[Finding]:
    """Yield what there is to say of the bundles in these folders, and of what runs them.

    Parameters
    ----------
    paths : iterable of Path
        Folders with a manifest.
    providers : sequence of str
        Those to try, of `edgeae.providers.PROVIDERS`.
    """
    for path in paths:
        try:
            bundle = Bundle.load(path)
            bundle.verify()
            known = read_known_file(bundle)
        except EdgeaeError as error:
            what, _, remedy = str(error).partition("; ")
            yield Finding(BUNDLES, path.name, WRONG, what, remedy or "install the bundle again")
            continue
        yield _verified(bundle)
        if known is None:
            yield Finding(BUNDLES, path.name, NOTE, "has no known file", f"{_MAKE} {path}")
            continue
        for provider in providers:
            yield from _on_provider(bundle, known, provider)


def absent_providers() -> Iterator[Finding]:
    """Yield the providers that this onnxruntime does not have."""
    available = available_providers()
    for provider in LONG_NAMES:
        if provider not in available:
            package = PACKAGES[provider]
            text = "not in this onnxruntime"
            remedy = f"if wanted: package {package} in place of the present one"
            if package == PACKAGES[CPU]:
                remedy = f"{package} has it on macOS alone"
            yield Finding(PROVIDERS, provider, ABSENT, text, remedy)


def _verified(bundle: Bundle) -> Finding:
    manifest = bundle.manifest
    text = (
        f"{len(manifest.files)} files unchanged, coding id {manifest.coding_id}, "
        f"{'/'.join(bundle.precisions)}"
    )
    figures = {"path": str(bundle.path), "files": dict(manifest.files)}
    return Finding(BUNDLES, bundle.path.name, OK, text, figures=figures)


def _on_provider(bundle: Bundle, known: KnownFile, provider: str) -> Iterator[Finding]:
    for precision in bundle.precisions:
        name = f"{provider} {precision}"
        try:
            codec = Codec(bundle, provider=provider, precision=precision)
            comparison, nodes = compare(codec, known), codec.nodes
        except EdgeaeError as error:
            yield _fails(bundle, name, provider, error)
            return  # in the other precision it would fail as well
        yield _compared(bundle, name, comparison, nodes)


def _compared(
    bundle: Bundle, name: str, comparison: Comparison, nodes: dict[str, dict[str, int]]
) -> Finding:
    figures = {"bundle": str(bundle.path), **_finite(asdict(comparison)), "nodes": nodes}
    complaints = comparison.complaints()
    if complaints:
        text = f"{bundle.path.name}: {'; '.join(complaints)}"
        remedy = "use --provider cpu, install another version of onnxruntime, and report it"
        return Finding(PROVIDERS, name, WRONG, text, remedy, figures)
    levels = f"{comparison.levels:.2g} level{'s' if comparison.levels > 1 else ''}"
    pixels = f"within {levels}" if comparison.levels else "equal"
    text = (
        f"{bundle.path.name}: symbols exact, pixels {pixels}; encodes "
        f"{comparison.other_symbols} of {comparison.symbols} symbols otherwise"
    )
    return Finding(PROVIDERS, name, OK, text + _share(nodes), figures=figures)


def _finite(figures: Mapping[str, object]) -> dict[str, object]:
    """Return figures with None in place of infinities, which JSON does not have."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }


def _share(nodes: dict[str, dict[str, int]]) -> str:
    """Return how much of the graphs the first provider of each runs, if that is known."""
    counts = [list(of_graph.values()) for of_graph in nodes.values() if of_graph]
    if not counts:
        return ""
    first = sum(of_graph[0] for of_graph in counts)
    return f"; runs {first} of {sum(map(sum, counts))} nodes"


def _fails(bundle: Bundle, name: str, provider: str, error: EdgeaeError) -> Finding:
    what, _, remedy = str(error).partition("; ")
    if provider not in available_providers():
        return Finding(PROVIDERS, name, WRONG, what, remedy)
    encoder = graph_in(bundle, "encoder", FP32, provider=provider, threads=1)
    causes = causes_in(said_by_runtime(encoder))
    text = ": ".join([what, *causes[:1]])
    return Finding(PROVIDERS, name, WRONG, text, _REMEDIES.get(provider, remedy), {"log": causes})
