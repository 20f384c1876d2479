"""The moving parts of an autoencoder's training, and their way into a checkpoint and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgeae.errors import BundleError
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.tasks import TASKS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgeae_export.autoencoder_recipes import AutoencoderRecipe


class Run:
    """Network, weight average, Adam's moments, progress."""

    def __init__(self, recipe: AutoencoderRecipe, device: str) -> None:
        self.recipe = recipe
        self.network = _build(recipe, torch.device(device))
        self.average = {k: v.detach().clone() for k, v in self.network.named_parameters()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        self.progress = Progress(step=0, seconds=0.0, megapixels=0.0)

    def average_weights(self) -> None:
        """Move the average towards the weights; a short memory while the run is young."""
        step = self.progress.step
        decay = min(self.recipe.averaging, step / (step + 10))
        weights = [p.detach() for p in self.network.parameters()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    def averaged(self) -> nn.Module:
        """Return a copy of the network that has the weight average."""
        network = _build(self.recipe, next(self.network.parameters()).device)
        network.load_state_dict(self.average)
        return network.eval().requires_grad_(requires_grad=False)

    def to_checkpoint(self, history: dict[str, str]) -> Checkpoint[AutoencoderRecipe]:
        """Return a snapshot on the CPU."""
        tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in self.network.named_parameters()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for name, parameter in self.network.named_parameters():
            if state := self.optimizer.state.get(parameter):
                tensors[f"first.{name}"] = state["exp_avg"]
                tensors[f"second.{name}"] = state["exp_avg_sq"]
        copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        return Checkpoint(self.recipe, self.progress, copies, history)

    def adopt(self, checkpoint: Checkpoint[AutoencoderRecipe]) -> None:
        """Take weights, average and moments.

        Raises
        ------
        BundleError
            The checkpoint is of another network or of other widths.
        """
        groups = {g: checkpoint.group(g) for g in ("model", "average", "first", "second")}
        parameters = dict(self.network.named_parameters())
        shapes = {k: v.shape for k, v in parameters.items()}
        if {k: v.shape for k, v in groups["average"].items()} != shapes:
            raise BundleError(
                f"checkpoint of recipe {checkpoint.recipe.name}: its weights do not fit recipe "
                f"{self.recipe.name}; train with the recipe it was made with"
            )
        step = checkpoint.progress.step
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(groups["model"][name])
                self.average[name].copy_(groups["average"][name])
                if name in groups["first"]:
                    self.optimizer.state[parameter] = {
                        "step": torch.tensor(float(step), device=parameter.device),
                        "exp_avg": _like(groups["first"][name], parameter),
                        "exp_avg_sq": _like(groups["second"][name], parameter),
                    }


def trained_network(checkpoint: Checkpoint[AutoencoderRecipe]) -> nn.Module:
    """Return the network of a checkpoint with its weight average, for inference."""
    run = Run(checkpoint.recipe, "cpu")
    run.adopt(checkpoint)
    return run.averaged()


def _build(recipe: AutoencoderRecipe, device: torch.device) -> nn.Module:
    network = TASKS[recipe.network].network(recipe).to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:  # of a convolution
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def _like(moment: Tensor, parameter: Tensor) -> Tensor:
    return torch.empty_like(parameter).copy_(moment)
