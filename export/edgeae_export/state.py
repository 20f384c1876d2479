"""The moving parts of a training run, and their way into a checkpoint and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pytorch_optimizer import SOAP

from edgeae.processor import features
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.distortion import Distortion
from edgeae_export.networks.photo import ANCHORS, PhotoCodec
from edgeae_export.processes import ALONE
from edgeae_export.rate_distortion import PhotoModel

if TYPE_CHECKING:
    from torch import Tensor

    from edgeae_export.processes import Processes
    from edgeae_export.recipe import Recipe

LINEAR = (".linear", ".linear_overlap", ".linear_bias", ".linear_step")
LOSS_MOMENTUM = 0.98  # of the running mean of each anchor's loss
AVERAGE_EVERY = 8  # steps
BETAS = (0.95, 0.95)
PRECONDITIONED = 200  # longest side of a weight that gets a basis of its own; others are as in Adam
MOMENTS = {"first": "exp_avg", "second": "exp_avg_sq"}  # prefix in a checkpoint -> name in SOAP
SIDES = {"covariance": "GG", "basis": "Q"}  # lists, with a matrix for each side that has one


class Run:
    """The moving parts of a run: model, average, optimizer, running losses, progress.

    The optimizer is SOAP, Adam in the eigenbasis of the gradients' covariance (Vyas 2024,
    arXiv:2409.11321): fewer steps than Adam by a third and more (docs/experiments.md). Of several
    processes each updates a share of the weights.
    """

    def __init__(self, recipe: Recipe, device: str, processes: Processes = ALONE) -> None:
        self.recipe = recipe
        self.processes = processes
        self.model = PhotoModel(
            PhotoCodec(recipe.shape),
            training_dtype(device),
            Distortion(recipe.border_weight, recipe.structure_share),
        ).to(device)
        self.average = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        named = list(self.model.named_parameters())
        self.owners = processes.divide([_work(name, parameter) for name, parameter in named])
        own = [pair for pair, owner in zip(named, self.owners, strict=True) if self._owns(owner)]
        linear = [p for k, p in own if k.endswith(LINEAR)]
        others = [p for k, p in own if not k.endswith(LINEAR)]
        scale = recipe.linear_learning_rate / recipe.learning_rate
        groups = [
            {"params": others, "scale": 1.0, "max_precondition_dim": PRECONDITIONED},
            {"params": linear, "scale": scale, "max_precondition_dim": 1},
        ]
        self.optimizer = SOAP(groups, lr=1.0, betas=BETAS, weight_decay=0.0)
        self.mean_loss = torch.zeros(ANCHORS, device=device)
        self.progress = Progress(step=0, seconds=0.0, megapixels=0.0)

    def _owns(self, owner: int) -> bool:
        return owner == self.processes.rank

    def update(self, rate: float) -> None:
        """Take a step along the gradients, which are the same in all processes."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.step()
        weights = [p.detach() for p in self.model.parameters()]
        self.processes.exchange(weights, self.owners)

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
        """Return a snapshot on the CPU; to be called in every process at once."""
        moments: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            if state := self.optimizer.state.get(parameter):
                moments |= {f"{prefix}.{name}": state[key] for prefix, key in MOMENTS.items()}
                for prefix, key in SIDES.items():
                    sides = enumerate(state[key])
                    moments |= {f"{prefix}{n}.{name}": m for n, m in sides if len(m) > 0}
        tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in self.model.named_parameters()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        tensors |= self.processes.gather(moments)
        tensors["loss.mean"] = self.mean_loss
        copies = {k: v.detach().cpu().clone() for k, v in tensors.items()}
        return Checkpoint(self.recipe, self.progress, copies, history)

    def adopt(self, checkpoint: Checkpoint[Recipe]) -> frozenset[str]:
        """Take weights, average and moments of equal name and shape; new blocks stay identities.

        Returns the names of parameters that the checkpoint lacks.
        """
        weights, average = checkpoint.group("model"), checkpoint.group("average")
        lacking = set()
        for (name, parameter), owner in zip(
            self.model.named_parameters(), self.owners, strict=True
        ):
            if name not in weights or weights[name].shape != parameter.shape:
                lacking.add(name)
                continue
            with torch.no_grad():
                parameter.copy_(weights[name])
            self.average[name].copy_(average[name])
            if self._owns(owner):
                self._adopt_moments(name, parameter, checkpoint)
        if "loss.mean" in checkpoint.tensors:
            self.mean_loss.copy_(checkpoint.tensors["loss.mean"])
        return frozenset(lacking)

    def _adopt_moments(self, name: str, parameter: Tensor, checkpoint: Checkpoint[Recipe]) -> None:
        if f"first.{name}" not in checkpoint.tensors:
            return

        def sides(prefix: str) -> list[Tensor | list[Tensor]]:
            names = [f"{prefix}{n}.{name}" for n in range(parameter.dim())]
            found = (checkpoint.tensors.get(name) for name in names)
            return [[] if m is None else m.to(parameter.device) for m in found]

        moments = {
            key: checkpoint.tensors[f"{prefix}.{name}"].to(parameter.device)
            for prefix, key in MOMENTS.items()
        }
        self.optimizer.state[parameter] = {
            **moments,
            **{key: sides(prefix) for prefix, key in SIDES.items()},
            "precondition_frequency": self.optimizer.defaults["precondition_frequency"],
            "shampoo_beta": BETAS[1],
        }
        for group in self.optimizer.param_groups:
            group["step"] = checkpoint.progress.step


def _work(name: str, parameter: Tensor) -> float:
    """Return about how many multiplications an update of a weight takes."""
    sides = [side for side in parameter.shape if side <= PRECONDITIONED]
    return parameter.numel() * (1 if name.endswith(LINEAR) else 1 + sum(sides))


def training_dtype(device: str) -> torch.dtype:
    """bfloat16 where the device multiplies it natively; elsewhere it is many times slower."""
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = "avx512_bf16" in features()
    return torch.bfloat16 if native else torch.float32
