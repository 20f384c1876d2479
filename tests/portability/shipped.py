"""Which pictures, coded by edgeae's encoder with which bundle, are part of the golden set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sources import ROOT

MODELS = "edgeae/models"
OWN = "tests/portability/bundles"


def _shipped() -> dict[str, str]:
    """Return the bundles of the package, path by name."""
    return {
        path.parent.name: path.parent.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / MODELS).glob("*/manifest.json"))
    }


BUNDLES = {
    **_shipped(),
    "tiny": "tests/bundles/tiny",
    **{name: f"{OWN}/{name}" for name in ("filter", "series", "steps")},
    "vae-8x8": f"{OWN}/vae",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A picture to be coded."""

    name: str
    bundle: str
    what: str
    source: str
    quality: float = 50
    effort: int = 1
    forms: tuple[str, ...] = ("eae",)
    int8: bool = False


BOTH = ("eae", "npy")


def encoded() -> Iterator[Encoded]:
    """Yield what the encoder makes of the set."""
    yield from _photos()
    yield from _tiny()
    yield from _plain()


def _photos() -> Iterator[Encoded]:
    for source, quality, what, more in (
        ("photo", 30, "768x512, the largest; speed is measured on it", {}),
        ("face", 50, "a photo", {"forms": BOTH, "int8": True}),
        ("eye", 0, "lowest quality: most scale indexes are 0", {"int8": True}),
        ("face", 100, "highest quality; 64 lanes by the encoder's rule", {"int8": True}),
        ("fur", 75.25, "effort 2, a quality in hundredths", {"effort": 2}),
        ("pixel", 50, "1x1", {"forms": BOTH}),
        ("strip", 60, "17x3 with alpha", {"forms": BOTH}),
        ("column", 40, "3x17, grey", {}),
        ("grey", 50, "grey", {}),
        ("grey-alpha", 50, "grey with alpha", {"forms": BOTH}),
        ("opaque", 30, "alpha plane of one value", {}),
        ("flat", 20, "one colour", {}),
        ("graphic", 70, "edges and slopes", {"int8": True}),
    ):
        name = f"photo-{source}-{quality:g}"
        yield Encoded(name=name, bundle="photo", what=what, source=source, quality=quality, **more)
    for bundle, source, quality, what in (
        ("photo-s", "face", 50, "a photo"),
        ("photo-s", "grey-alpha", 30, "grey with alpha"),
        ("photo-vivid", "face", 50, "a photo"),
        ("photo-vivid", "graphic", 70, "edges and slopes"),
    ):
        yield Encoded(
            name=f"{bundle}-{source}-{quality}",
            bundle=bundle,
            what=what,
            source=source,
            quality=quality,
            int8=True,
        )


def _tiny() -> Iterator[Encoded]:
    for bundle, source, quality, forms in (
        ("tiny", "eye", 50, BOTH),
        ("tiny", "graphic-alpha", 100, BOTH),
        ("tiny", "pixel", 0, ("eae",)),
        ("tiny", "column", 33.33, ("eae",)),
        ("steps", "grey", 50, BOTH),
    ):
        what = "a bundle of 8 channels" if bundle == "tiny" else "15 masks"
        yield Encoded(
            name=f"{bundle}-{source}-{quality:g}",
            bundle=bundle,
            what=what,
            source=source,
            quality=quality,
            forms=forms,
        )


def _plain() -> Iterator[Encoded]:
    for name, bundle, source, what in (
        ("filter", "filter", "graphic-wide", "plain autoencoder, a table a latent"),
        ("filter", "filter", "graphic-small", "plain autoencoder, a table a channel, 21x7"),
        ("series", "series", "series", "an array of floats"),
        ("vae", "vae-8x8", "ring-8", "four latents"),
    ):
        yield Encoded(name=f"{name}-{source}", bundle=bundle, what=what, source=source, forms=BOTH)
    for bundle, path in _shipped().items():
        manifest = json.loads((ROOT / path / "manifest.json").read_text(encoding="utf-8"))
        if manifest["hyper_stride"] == 0:
            yield from _of_the_package(bundle, manifest)


def _of_the_package(bundle: str, manifest: dict[str, Any]) -> Iterator[Encoded]:
    """Yield digits, or a photo, and a picture of odd size where any size will do."""
    sources = ["ring", "bar", "cross"] if manifest["input"] == "grey" else ["fur"]
    if manifest["size"] is None:
        sources.append("column" if manifest["input"] == "grey" else "graphic-small")
    for source in sources:
        name, what = f"{bundle}-{source}", "plain autoencoder of the package"
        yield Encoded(name=name, bundle=bundle, what=what, source=source, forms=BOTH, int8=True)
