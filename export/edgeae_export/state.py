"""The moving parts of a training run, and their way into a checkpoint and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.networks.photo import ANCHORS, PhotoCodec
from edgeae_export.rate_distortion import PhotoModel

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.recipe import Recipe

LINEAR = ("encoder.linear", "decoder.linear", "decoder.linear_overlap", "decoder.linear_bias")
LOSS_MOMENTUM = 0.98  # of the running mean of each anchor's loss
AVERAGE_EVERY = 8  # steps


class Run:
    """The moving parts of a run: model, average, moments, running losses, progress."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        self.recipe = recipe
        self.model = PhotoModel(
            PhotoCodec(recipe.shape), training_dtype(device), border_weight=recipe.border_weight
        ).to(device)
        self.average = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        linear = [p for k, p in self.model.named_parameters() if k.endswith(LINEAR)]
        others = [p for k, p in self.model.named_parameters() if not k.endswith(LINEAR)]
        scale = recipe.linear_learning_rate / recipe.learning_rate
        groups = [{"params": others, "scale": 1.0}, {"params": linear, "scale": scale}]
        self.optimizer = torch.optim.AdamW(
            groups, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0, fused=True
        )
        self.mean_loss = torch.zeros(ANCHORS, device=device)
        self.progress = Progress(step=0, seconds=0.0, megapixels=0.0)

    def average_weights(self) -> None:
        """Move the average towards the weights; a short memory while the run is young."""
        decay = self.recipe.averaging**AVERAGE_EVERY
        decay = min(decay, self.progress.step / (self.progress.step + 10 * AVERAGE_EVERY))
        weights = [p.detach() for p in self.model.parameters()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    def update_mean_loss(self, anchors: Tensor, cost: Tensor) -> Tensor:
        """Move the running mean of each anchor's loss; return that of each crop [N]."""
        count = torch.bincount(anchors, minlength=ANCHORS)
        observed = torch.zeros_like(self.mean_loss).index_add_(0, anchors, cost) / count.clamp(
            min=1
        )
        moved = LOSS_MOMENTUM * self.mean_loss + (1 - LOSS_MOMENTUM) * observed
        moved = torch.where(self.mean_loss == 0, observed, moved)
        self.mean_loss = torch.where(count > 0, moved, self.mean_loss)
        return self.mean_loss[anchors]

    def to_checkpoint(self, history: dict[str, str]) -> Checkpoint[Recipe]:
        """Return a snapshot on the CPU."""
        tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in self.model.named_parameters()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for name, parameter in self.model.named_parameters():
            if state := self.optimizer.state.get(parameter):
                tensors[f"first.{name}"] = state["exp_avg"]
                tensors[f"second.{name}"] = state["exp_avg_sq"]
        tensors["loss.mean"] = self.mean_loss
        copies = {k: v.detach().cpu().clone() for k, v in tensors.items()}
        return Checkpoint(self.recipe, self.progress, copies, history)

    def adopt(self, checkpoint: Checkpoint[Recipe]) -> None:
        """Take weights, average and moments of equal name and shape; new blocks stay identities."""
        groups = {g: checkpoint.group(g) for g in ("model", "average", "first", "second")}
        for name, parameter in self.model.named_parameters():
            weights = groups["model"].get(name)
            if weights is None or weights.shape != parameter.shape:
                continue
            with torch.no_grad():
                parameter.copy_(weights)
            self.average[name].copy_(groups["average"][name])
            if name in groups["first"]:
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(checkpoint.progress.step)),
                    "exp_avg": groups["first"][name].to(parameter.device),
                    "exp_avg_sq": groups["second"][name].to(parameter.device),
                }
        if "loss.mean" in checkpoint.tensors:
            self.mean_loss.copy_(checkpoint.tensors["loss.mean"])


def training_dtype(device: str) -> torch.dtype:
    """bfloat16 where the device multiplies it natively; elsewhere it is many times slower."""
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32
