"""What quantization did, for the manifest and the card: a row a layer, and both curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae_export.card import table
from edgeae_export.quantize.observe import observed
from edgeae_export.quantize.qdq import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgeae_export.quantize.choose import Candidate, Choice
    from edgeae_export.quantize.judge import Point
    from edgeae_export.quantize.observe import Feeds

HEADING = "## int8"


def layer_rows(
    name: str, candidate: Candidate, choice: Choice, feeds: Feeds
) -> list[dict[str, Any]]:
    """Return for each layer its precision, work, signal-to-noise ratio and measured cost.

    The ratio is that of the layer's output in the quantized graph, with all the noise that
    reaches it, against the float graph.
    """
    prepared = candidate.prepared
    values = {layer: shown(prepared.network, prepared.output(layer)) for layer in prepared.layers}
    wanted = list(dict.fromkeys(values.values()))
    signal, noise = dict.fromkeys(wanted, 0.0), dict.fromkeys(wanted, 0.0)
    runs = zip(
        observed(prepared.network, wanted, feeds),
        observed(candidate.network(choice.floats[name]), wanted, feeds),
        strict=True,
    )
    for exact, found in runs:
        for value in wanted:
            signal[value] += float(np.square(exact[value], dtype=np.float64).sum())
            error = exact[value].astype(np.float64) - found[value]
            noise[value] += float(np.square(error).sum())
    return [
        {
            "graph": name,
            "layer": layer,
            "precision": "fp32" if layer in choice.floats[name] else "int8",
            "macs_per_pixel": round(prepared.work[layer], 1),
            "snr_db": _decibels(signal[value], noise[value]),
            "cost_if_float": round(choice.with_float[name][layer], 4),
        }
        for layer, value in values.items()
    ]


def curve_rows(
    qualities: Sequence[float], exact: Sequence[Point], found: Sequence[Point]
) -> list[list[float]]:
    """Return quality, bits per pixel and PSNR in float, and the same two in int8."""
    return [
        [float(q), round(a.bpp, 5), round(a.psnr, 3), round(b.bpp, 5), round(b.psnr, 3)]
        for q, a, b in zip(qualities, exact, found, strict=True)
    ]


def with_section(card: str, report: Mapping[str, Any]) -> str:
    """Return the card with its section on int8, in place of an older one."""
    parts = [part for part in card.split("\n## ") if not f"## {part}".startswith(HEADING)]
    text = "\n## ".join(parts).rstrip("\n")
    rows = [
        (
            r["graph"],
            r["layer"],
            r["precision"],
            r["macs_per_pixel"],
            r["snr_db"],
            r["cost_if_float"],
        )
        for r in report["layers"]
    ]
    head = ("graph", "layer", "precision", "MAC/px", "SNR (dB)", "% with its kind float")
    curve = [(f"{q:g}", *(f"{v:.3f}" for v in rest)) for q, *rest in report["rate_distortion"]]
    return (
        f"{text}\n\n{HEADING}\n\n"
        f"Costs {report['cost_percent']:.2f} % of rate at equal PSNR against fp32, encoder and "
        f"decoder together, on {report['check_pictures']} pictures that nothing was chosen by; the "
        f"budget is {report['budget_percent']:g} %. {report['method']}\n\n"
        + table(("quality", "fp32 bpp", "fp32 dB", "int8 bpp", "int8 dB"), curve)
        + f"\n\nBy layer, on {report['search_pictures']} other pictures. All in int8: "
        + _costs(report["all_int8_percent"])
        + ". Where the choice began: "
        + _costs(report["start_percent"])
        + "; the last column is what that becomes with this kind in float too. As chosen: "
        + _costs(report["chosen_percent"])
        + ".\n\n"
        + table(head, rows)
        + "\n"
    )


def _costs(percents: Mapping[str, float]) -> str:
    return ", ".join(f"{value:.2f} % ({name})" for name, value in percents.items())


def _decibels(signal: float, noise: float) -> float | None:
    return round(10 * float(np.log10(signal / noise)), 1) if signal > 0 and noise > 0 else None
