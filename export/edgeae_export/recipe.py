"""Recipes: flat, frozen descriptions of a network and its training, read from TOML files."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from edgeae.errors import BoundError
from edgeae.metrics import MS_SSIM_MIN_SIDE
from edgeae_export.networks.photo import ANCHORS, ORDERS, PhotoShape
from edgeae_export.recipe_ranges import (
    COUNT,
    MAYBE_NONE,
    POSITIVE,
    SHARE,
    check_order,
    check_ranges,
    check_types,
)

SMALLEST_SIDE = 64  # pixels of a crop: one hyper-latent
_RANGES = {
    **dict.fromkeys(("latent_channels", "hyper_channels", "width8", "width16"), COUNT),
    **dict.fromkeys(("overlap", "hyper_width", "context_width", "predicted"), COUNT),
    **dict.fromkeys(("encoder_blocks8", "encoder_blocks16"), MAYBE_NONE),
    **dict.fromkeys(("decoder_blocks8", "decoder_blocks16"), MAYBE_NONE),
    "steps": (min(ORDERS), max(ORDERS)),
    **dict.fromkeys(("crop", "batch", "warmup_steps"), COUNT),
    **dict.fromkeys(("learning_rate", "linear_learning_rate", "lambda_min"), POSITIVE),
    "lambda_ratio": COUNT,
    **dict.fromkeys(("decay", "averaging", "structure_share"), SHARE),
    **dict.fromkeys(("border_weight", "seed"), MAYBE_NONE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One photo codec: its shape, as ``PhotoShape`` names it, and how it is trained."""

    name: str
    latent_channels: int
    hyper_channels: int
    width8: int
    width16: int
    encoder_blocks8: int
    encoder_blocks16: int
    decoder_blocks8: int
    decoder_blocks16: int
    overlap: int
    hyper_width: int
    context_width: int
    steps: int
    predicted: int
    crop: int  # pixels a side, a multiple of 64
    batch: int  # crops a step, spread evenly over the rate anchors
    learning_rate: float
    linear_learning_rate: float  # of the linear paths; Adam's noise on the KLT caps high rates
    warmup_steps: int
    decay: float  # share of the time, at its end, in which the learning rate falls to zero
    averaging: float  # decay of the weight average per step
    lambda_min: float  # of bpp + lambda * error in squared grey levels, at quality 0
    lambda_ratio: float  # from one anchor to the next
    seed: int
    border_weight: float = 0.0  # of the error at block borders in smooth places, beside the rest
    structure_share: float = 0.0  # of MS-SSIM in the error, the rest is the squared error
    network: str = "photo"

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self, _RANGES)
        check_order(self, "overlap", "latent_channels")
        check_order(self, "predicted", "latent_channels")
        if self.crop % SMALLEST_SIDE:
            raise ValueError(f"crop is {self.crop}, not a multiple of {SMALLEST_SIDE}")
        if self.structure_share > 0 and self.crop < MS_SSIM_MIN_SIDE:
            raise BoundError(
                f"recipe {self.name}: MS-SSIM needs crops of {MS_SSIM_MIN_SIDE} pixels, not "
                f"{self.crop}; make crop larger or structure_share 0"
            )

    @property
    def shape(self) -> PhotoShape:
        """The network's widths and depths."""
        return PhotoShape(**{f.name: getattr(self, f.name) for f in fields(PhotoShape)})

    def lambdas(self) -> list[float]:
        """Weight of the squared error at each anchor."""
        return [self.lambda_min * self.lambda_ratio**k for k in range(ANCHORS)]


def recipe_values(name: str) -> tuple[dict[str, Any], str]:
    """Keys and values of a recipe of the package or of a TOML file, and what errors call it.

    Raises
    ------
    BoundError
        No such recipe, or the file is not TOML.
    """
    folder = resources.files("edgeae_export") / "recipes"
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        text, where = path.read_text(encoding="utf-8"), name
    else:
        known = sorted(r.name.removesuffix(".toml") for r in folder.iterdir())
        if name not in known:
            raise BoundError(f"recipe {name!r} is none of {', '.join(known)} nor a .toml file")
        where = f"recipe {name}"
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return tomllib.loads(text), where
    except tomllib.TOMLDecodeError as error:
        raise BoundError(f"{where}: {error}; compare it with one of the package") from error
