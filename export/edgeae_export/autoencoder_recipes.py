"""Recipes of the autoencoders: what all of them have, and what each network adds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from edgeae_export.recipe_ranges import (
    COUNT,
    MAYBE_NONE,
    POSITIVE,
    SHARE,
    check_order,
    check_ranges,
    check_types,
)

SCHEDULES: dict[str, Callable[[float], float]] = {  # share of the fall that is left -> of the rate
    "linear": lambda left: left,
    "cosine": lambda left: 0.5 - 0.5 * math.cos(math.pi * left),
}
_RANGES = {
    **dict.fromkeys(("height", "width", "batch", "warmup_steps"), COUNT),
    **dict.fromkeys(("epochs", "learning_rate"), POSITIVE),
    "decay": SHARE,
    "seed": MAYBE_NONE,
}
_CONV_AE = {"filters": COUNT, "code_channels": COUNT, "alpha": SHARE}
_VAE = {
    **dict.fromkeys(("latents", "dense_channels", "hidden"), COUNT),
    "deviation": POSITIVE,
    **dict.fromkeys(("beta", "beta_warmup_epochs"), MAYBE_NONE),
}
_DENOISE = {
    **dict.fromkeys(("filters2", "filters4", "patches", "patch_side"), COUNT),
    **dict.fromkeys(("blocks2", "blocks4"), MAYBE_NONE),
    **dict.fromkeys(("noise_low", "noise_high"), (0, 255)),
    **dict.fromkeys(("jpeg_low", "jpeg_high"), (1, 95)),
    **dict.fromkeys(("jpeg_share", "patch_share"), SHARE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderRecipe:
    """The examples and the course of a training, alike for every autoencoder."""

    name: str
    network: str  # a key of ``edgeae_export.tasks.TASKS``
    channels: int  # 1: grey, 3: RGB
    height: int  # pixels of one example
    width: int
    batch: int  # examples a step
    epochs: float  # each example once; of crops: as many as tile the pictures once
    learning_rate: float
    warmup_steps: int
    decay: float  # share of the run, at its end, in which the learning rate falls to zero
    schedule: str  # how it falls: a key of `SCHEDULES`
    averaging: float  # decay of the weight average per step; 0: the weights themselves
    seed: int

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self, _RANGES)
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule {self.schedule!r} is none of {', '.join(SCHEDULES)}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}, not 1 (grey) or 3 (RGB)")
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging is {self.averaging}, not at least 0 and below 1")

    def must_divide(self, stride: int) -> None:
        """Raise ValueError unless pictures are a multiple of ``stride`` pixels on both sides."""
        if self.height % stride or self.width % stride:
            raise ValueError(f"{self.height}x{self.width} is not a multiple of {stride} pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvAutoencoderRecipe(AutoencoderRecipe):
    """The classic convolutional autoencoder."""

    filters: int  # of the outer convolutions
    code_channels: int
    loss: str  # mse, bce or weighted
    alpha: float  # of the weighted loss: share of the encoder's part

    def __post_init__(self) -> None:
        super(ConvAutoencoderRecipe, self).__post_init__()
        check_ranges(self, _CONV_AE)
        self.must_divide(4)
        if self.loss not in ("mse", "bce", "weighted"):
            raise ValueError(f"loss {self.loss!r} is none of mse, bce, weighted")


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeRecipe(AutoencoderRecipe):
    """The variational autoencoder."""

    latents: int  # D
    filters: tuple[int, ...]  # of the strided convolutions, from the finest on
    dense_channels: int  # of the coarsest grid, where the dense layers begin
    hidden: int  # units of the decoder's dense layer
    likelihood: str  # bernoulli (grey levels as probabilities) or gaussian
    deviation: float  # of the Gaussian likelihood, pixels 0..1
    beta: float  # weight of the KL divergence
    beta_warmup_epochs: float  # in which beta rises from 0

    def __post_init__(self) -> None:
        super(VaeRecipe, self).__post_init__()
        check_ranges(self, _VAE)
        object.__setattr__(self, "filters", tuple(self.filters))  # lists in TOML and JSON
        if not self.filters or not all(isinstance(n, int) and n >= 1 for n in self.filters):
            raise ValueError(f"filters is {list(self.filters)}, not one number or more, from 1 on")
        self.must_divide(2 ** len(self.filters))
        if self.likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"likelihood {self.likelihood!r} is none of bernoulli, gaussian")

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width behind the strided convolutions."""
        stride = 2 ** len(self.filters)
        return self.height // stride, self.width // stride


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiseRecipe(AutoencoderRecipe):
    """The denoiser: its widths and depths, and the damage that it learns to mend.

    Each example has one damage: a JPEG of random quality, missing patches, or else Gaussian noise.
    """

    filters2: int  # at 1/2 of the size
    filters4: int  # at 1/4
    blocks2: int  # residual blocks on each side
    blocks4: int
    latents: int  # L, at least 16 for each channel of the picture
    noise_low: float  # grey levels 0..255
    noise_high: float
    jpeg_share: float
    jpeg_low: int  # quality, 1..95
    jpeg_high: int
    patch_share: float
    patches: int  # at most, in one example
    patch_side: int  # pixels

    def __post_init__(self) -> None:
        super(DenoiseRecipe, self).__post_init__()
        check_ranges(self, _DENOISE)
        check_order(self, "noise_low", "noise_high")
        check_order(self, "jpeg_low", "jpeg_high")
        self.must_divide(4)
        if self.network == "denoise-photo" and (self.channels != 3 or self.height != self.width):
            raise ValueError(
                f"{self.height}x{self.width} of {self.channels} channels; photos are in RGB, and "
                "their crops squares"
            )
        if self.latents < 16 * self.channels:
            raise ValueError(f"latents is {self.latents}, below 16 x {self.channels} channels")
        if self.jpeg_share + self.patch_share > 1:
            raise ValueError("jpeg_share and patch_share exceed 1 together")
