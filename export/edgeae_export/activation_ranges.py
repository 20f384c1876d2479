"""Ranges of the fake-quantized trunks, measured now and then on crops while training.

A range is the running mean of each channel's extremes over batches, hence blind to rare outliers.
It is measured on the network without rounded activations, as ``edgeae quantize`` calibrates. The
steps in between take it as it is, and so need no reductions over activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgeae_export.networks.fake_quantization import (
    ACTIVATION_LEVELS,
    ActivationQuantizer,
    Group,
    quantize_trunks,
)
from edgeae_export.networks.photo import ANCHOR_STEP, ANCHORS

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.pictures import CropSampler
    from edgeae_export.processes import Processes
    from edgeae_export.rate_distortion import PhotoModel

MEASURE_EVERY = 100  # steps
FIRST_BATCHES = 8  # measured before the first step
MOMENTUM = 0.8  # of the running means, from batch to batch
SMALLEST_FACTOR = 1e-3  # of a group's largest; channels that hardly occur are not blown up further


class ActivationRanges:
    """The quantizers of a model, whose trunks are replaced by fake-quantized ones."""

    def __init__(
        self, model: PhotoModel, sampler: CropSampler, crop: int, processes: Processes
    ) -> None:
        self.model = model
        self.sampler = sampler
        self.crop = crop
        self.processes = processes
        self.groups = quantize_trunks(model.codec)
        model.to(model.codec.masks.device)  # the new quantizers as well
        self.quantizers = [m for m in model.modules() if isinstance(m, ActivationQuantizer)]
        self.batches = 0

    def follow(self, step: int) -> None:
        """Measure anew, if it is time to; every process comes to the same ranges."""
        if self.batches and step % MEASURE_EVERY:
            return
        for _ in range(1 if self.batches else FIRST_BATCHES):
            self._measure()
        self.processes.average([t for q in self.quantizers for t in (q.low, q.high)])
        for group in self.groups:
            fit(group)

    def _measure(self) -> None:
        """Move the running means by a batch, one crop for each anchor."""
        device = self.model.codec.masks.device
        pixels = torch.from_numpy(self.sampler.crops(ANCHORS, self.crop)).to(device).float()
        weight = max(1 - MOMENTUM, 1 / (self.batches + 1))

        def watch(quantizer: ActivationQuantizer, args: tuple[Tensor, ...], _: object) -> Tensor:
            exact = quantizer.exact(args[0])
            rows = exact.reshape(-1, exact.shape[-1])
            quantizer.low.lerp_(rows.amin(0), weight)
            quantizer.high.lerp_(rows.amax(0), weight)
            return exact  # instead of the rounded one

        hooks = [quantizer.register_forward_hook(watch) for quantizer in self.quantizers]
        try:
            self.model.evaluate(pixels, torch.arange(ANCHORS, device=device) * ANCHOR_STEP)
        finally:
            for hook in hooks:
                hook.remove()
        self.batches += 1


def fit(group: Group) -> None:
    """Set factors, scales and zero points of a group to its ranges."""
    quantizers = [q for q in group.quantizers if q is not None]
    extremes = [t.view(-1, group.channels).abs() for q in quantizers for t in (q.low, q.high)]
    largest = torch.cat(extremes).amax(0)
    floor = (SMALLEST_FACTOR * largest.amax()).clamp(min=torch.finfo(largest.dtype).tiny)
    factor = largest.maximum(floor) ** group.exponent
    for quantizer in quantizers:
        quantizer.factor.copy_(factor.repeat(len(quantizer.low) // group.channels))
        low = (quantizer.low / quantizer.factor).amin().clamp(max=0)
        high = (quantizer.high / quantizer.factor).amax().clamp(min=0)
        step = (high - low) / ACTIVATION_LEVELS
        step = torch.where(step > 0, step, 1.0)
        quantizer.zero_point.copy_((-low / step).round())
        quantizer.scale.copy_(step * quantizer.factor)
