"""card.md of a plain bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeae_export.card import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgeae_export.plain.geometry import Geometry


def plain_card(
    name: str,
    description: str,
    geometry: Geometry,
    training: Mapping[str, object],
    rate_distortion: Sequence[tuple[float, float, float]],
) -> str:
    """Return the text of card.md.

    Parameters
    ----------
    name, description : str
        Of the bundle.
    geometry : Geometry
        What it takes.
    training : mapping
        The manifest's; its mappings become tables of their own.
    rate_distortion : sequence of (quality, bits per value, dB)
        Means over the held-out inputs.
    """
    facts = {key: value for key, value in training.items() if not isinstance(value, dict)}
    sections = [
        f"# {name}\n\n{description}",
        "## What it takes\n\n" + table(("what", "value"), _takes(geometry)),
    ]
    if facts:
        sections.append("## Training\n\n" + table(("what", "value"), facts.items()))
    for key, value in training.items():
        if isinstance(value, dict):
            sections.append(f"## {key.capitalize()}\n\n" + table(("what", "value"), value.items()))
    unit = "bits per value" if geometry.input == "array" else "bpp"
    decibel = "SNR (dB)" if geometry.input == "array" else "PSNR (dB)"
    rows = [(f"{bpp:.4f}", f"{quality:.2f}") for _, bpp, quality in rate_distortion]
    sections.append(
        "## Rate and distortion\n\nMeans over the held-out inputs; the rate is of whole files.\n\n"
        + table((unit, decibel), rows)
    )
    return "\n\n".join(sections) + "\n"


def _takes(geometry: Geometry) -> list[tuple[str, str]]:
    shape = "x".join(map(str, geometry.shape))
    size = f"any, in steps of {geometry.stride} pixels" if geometry.any_size else shape
    channels, h, w = geometry.latents
    return [
        ("input", geometry.input),
        ("size", size),
        ("latents", f"{channels}x{h}x{w} of {shape}"),
        ("several at once", "yes" if geometry.batches else "no"),
    ]
