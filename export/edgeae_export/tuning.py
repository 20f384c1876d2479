"""What sets a tuning apart from plain training: trunks as in int8, or a frozen entropy side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from edgeae_export.activation_ranges import ActivationRanges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgeae_export.pictures import CropSampler
    from edgeae_export.processes import Processes
    from edgeae_export.state import Run

KEY = "tuning"  # of a checkpoint's history
QUANTIZATION_AWARE, FREEZE_ENTROPY = "quantization-aware", "freeze-entropy"
TRUNKS = ("codec.encoder.", "codec.decoder.", "codec.inverse_gain.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Plain training unless told otherwise."""

    quantization_aware: bool = False  # encoder and decoder compute as their int8 graphs will
    freeze_entropy: bool = False  # latents' statistics stay as the hyper networks know them

    def continued(self, history: Mapping[str, str]) -> Self:
        """Return the tuning of a resumed run: as it began, and what is asked for now."""
        words = history.get(KEY, "").split()
        return type(self)(
            quantization_aware=self.quantization_aware or QUANTIZATION_AWARE in words,
            freeze_entropy=self.freeze_entropy or FREEZE_ENTROPY in words,
        )

    def history(self) -> dict[str, str]:
        """Return the entry for a checkpoint's history, none for plain training."""
        words = [QUANTIZATION_AWARE] * self.quantization_aware
        words += [FREEZE_ENTROPY] * self.freeze_entropy
        return {KEY: " ".join(words)} if words else {}

    def prepare(
        self, run: Run, sampler: CropSampler, processes: Processes
    ) -> Callable[[int], None]:
        """Change the model; return what is to be done before each step, given its number."""
        if self.freeze_entropy:
            freeze(run)
        if not self.quantization_aware:
            return lambda _: None
        return ActivationRanges(run.model, sampler, run.recipe.crop, processes).follow


def freeze(run: Run) -> None:
    """Train the trunks only; everything else stays at its average, which is what is exported."""
    for name, parameter in run.model.named_parameters():
        if not name.startswith(TRUNKS):
            parameter.detach().copy_(run.average[name])
            parameter.requires_grad = False
