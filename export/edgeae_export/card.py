"""card.md: what a bundle is, what it was trained on, how well it does, how to make it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgeae.manifest import Manifest

# keys of the provenance: the bundle whose tables were kept, and a latent space that is not its
ENTROPY_OF, LATENT_SPACE = "entropy of", "latent space"
# and of averaged weights: what else they were made of, and the share of each, its own first
OTHERS, SHARES = "averaged with", "shares"


def card(
    name: str,
    description: str,
    training: Mapping[str, Any],
    rate_distortion: Sequence[tuple[float, float, float]],
) -> str:
    """Return the text of card.md.

    Parameters
    ----------
    name, description : str
        Of the bundle.
    training : mapping
        The manifest's: provenance, ``recipe``, ``bounds`` and ``minutes``.
    rate_distortion : sequence of (quality, bits per pixel, PSNR in dB)
        Means over the held-out pictures; may be empty.
    """
    facts = {k: v for k, v in training.items() if k not in ("recipe", "bounds")}
    sections = [
        f"# {name}\n\n{description}",
        "## Training\n\n" + table(("what", "value"), facts.items()),
    ]
    if rate_distortion:
        rows = [(f"{q:g}", f"{bpp:.4f}", f"{psnr:.2f}") for q, bpp, psnr in rate_distortion]
        sections.append(
            "## Rate and distortion\n\nMeans over the held-out pictures; the rate is of whole "
            "files.\n\n" + table(("quality", "bpp", "PSNR (dB)"), rows)
        )
    sections.append(
        "## Checked at export\n\nGraphs against the networks they were made from.\n\n"
        + table(("bound", "measured"), [(k, f"{v:.6g}") for k, v in training["bounds"].items()])
    )
    sections.append(
        f"## Make it again\n\n{_commands(name, training)}\n"
        "recipe.toml, with every number:\n\n```toml\n" + _toml(training["recipe"]) + "```"
    )
    return "\n\n".join(sections) + "\n"


def identity(manifest: Manifest) -> str:
    """Return how provenance names a bundle: names are given again, coding ids are not."""
    return f"bundle {manifest.name}, coding id {manifest.coding_id}"


def _commands(name: str, training: Mapping[str, Any]) -> str:
    """Return the commands from pictures to the bundle, and what the words in capitals are."""
    start = "--init START " if "init" in training else ""
    start += "".join(f"--{word} " for word in training.get("tuning", "").split())
    tables = "--entropy-of BUNDLE" if ENTROPY_OF in training else "--data PICTURES"
    tables += f" --latent-space {training[LATENT_SPACE]}" if LATENT_SPACE in training else ""
    trained = "run/checkpoint.safetensors"
    lines = [
        f"    edgeae train PICTURES --val HELD_OUT --recipe recipe.toml {start}"
        f"--minutes {training['minutes']:g} -o run"
    ]
    if SHARES in training:
        shares = "".join(f"--share {share} " for share in training[SHARES].split())
        lines.append(f"    edgeae average {trained} OTHER {shares}-o averaged.safetensors")
        trained = "averaged.safetensors"
    lines += [f"    edgeae export {trained} {tables} --val HELD_OUT -o {name}", ""]
    if "init" in training:
        lines += [f"START is a checkpoint of {training['init']}.", ""]
    if ENTROPY_OF in training:
        lines += [f"BUNDLE is {training[ENTROPY_OF]}.", ""]
    if OTHERS in training:
        lines += [f"OTHER is, or are in this order: {training[OTHERS]}.", ""]
    return "\n".join(lines)


def _toml(recipe: Mapping[str, Any]) -> str:
    # words, numbers and lists of them are written alike in JSON and TOML
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in recipe.items())


def table(head: Sequence[str], rows: Any) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
