"""Training of a photo codec: one loop, read from top to bottom.

    pictures -> crops -> rate and distortion -> loss -> AdamW -> weight average -> checkpoint

The learning rate warms up, stays constant and falls to zero in the last part of the time. A run
is bounded by minutes, not steps; it writes ``checkpoint.safetensors`` every few minutes and goes
on from it after a kill. Just before the decay starts it keeps ``constant.safetensors``, from which
a longer run can go on.
"""

from __future__ import annotations

import json
import math
import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TextIO

import torch

from edgeae.errors import GraphError
from edgeae_export import klt
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.networks.photo import ANCHORS, PhotoCodec
from edgeae_export.pictures import CropSampler, load_pictures
from edgeae_export.rate_distortion import PhotoModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from edgeae_export.recipe import Recipe

LINEAR = ("encoder.linear", "decoder.linear", "decoder.linear_overlap", "decoder.linear_bias")
AVERAGE_EVERY = 8  # steps
LOSS_MOMENTUM = 0.98  # of the running mean of each anchor's loss
GRADIENT_NORM = 1.0
LOG_EVERY = 20  # steps
ANCHOR_STEP = 100 / (ANCHORS - 1)  # of quality, from anchor to anchor


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may use and where it writes."""

    out: Path
    minutes: float  # of training in all, earlier parts of a resumed run included
    checkpoint_minutes: float
    threads: int
    device: str


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log; averages over the steps since the last one."""

    step: int
    minutes: float
    loss: float
    bpp: float
    hyper_bpp: float
    psnr_db: float
    megapixels_per_second: float
    learning_rate: float
    remaining_minutes: float


class Run:
    """The moving parts of a run: model, average, moments, running losses, progress."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.model = PhotoModel(PhotoCodec(recipe.shape), training_dtype(device)).to(device)
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

    def to_checkpoint(self, history: dict[str, str]) -> Checkpoint:
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

    def adopt(self, checkpoint: Checkpoint) -> None:
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


def choose_device(name: str) -> str:
    """``auto`` is cuda where there is one, else cpu.

    Raises
    ------
    GraphError
        The device asked for is absent.
    """
    if name not in {"auto", "cpu", "cuda"}:
        raise GraphError(f"device {name!r} is none of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise GraphError("device cuda: torch finds none on this machine; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def training_dtype(device: str) -> torch.dtype:
    """bfloat16 where the device multiplies it natively; elsewhere it is many times slower."""
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def loss_of(
    model: PhotoModel, pixels: Tensor, quality: Tensor, lmbda: Tensor, noise: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``bpp + lambda * MSE`` of each crop [N]; bpp of y and z, and MSE, detached."""
    y_bpp, z_bpp, error = model(pixels, quality, *noise)
    cost = y_bpp + z_bpp + lmbda * error
    return cost, y_bpp.detach(), z_bpp.detach(), error.detach()


def learning_rate(recipe: Recipe, progress: Progress, minutes: float) -> float:
    """Warm-up by steps, then constant, then linear to zero over the last ``decay`` of the time."""
    left = 1 - progress.seconds / (60 * minutes)
    falling = min(1.0, left / recipe.decay) if recipe.decay > 0 else 1.0
    warming = min(1.0, (progress.step + 1) / recipe.warmup_steps)
    return recipe.learning_rate * max(0.0, min(falling, warming))


def train(
    recipe: Recipe,
    data: Sequence[Path],
    validation: Sequence[Path],
    budget: Budget,
    *,
    init: Checkpoint | None,
    resume: bool,
    show: Callable[[Report], None],
) -> Path:
    """Train for ``budget.minutes`` and return the path of the last checkpoint.

    Raises
    ------
    ImageError
        Pictures are missing or unreadable.
    BundleError
        ``resume`` finds a damaged checkpoint.
    """
    torch.set_num_threads(budget.threads)
    budget.out.mkdir(parents=True, exist_ok=True)
    path = budget.out / "checkpoint.safetensors"
    sampler = CropSampler(load_pictures(data, smallest_side=recipe.crop), recipe.seed)
    held_out = central_crops(load_pictures(validation, smallest_side=recipe.crop), recipe)
    held_out = held_out.to(budget.device)

    run = Run(recipe, budget.device)
    history = {
        "data": " ".join(p.name for p in data),
        "pictures": str(len(sampler.pictures)),
        "device": f"{budget.device}, {budget.threads} threads, {platform.machine()}",
        "torch": version("torch"),
        "edgeae": version("edgeae"),
    }
    if resume and path.exists():
        earlier = Checkpoint.load(path)
        run.adopt(earlier)
        run.progress = earlier.progress
        sampler = CropSampler(sampler.pictures, recipe.seed + earlier.progress.step)
    elif init is not None:
        run.adopt(init)
        history["init"] = f"{init.recipe.name}, {init.progress.step} steps, " + (
            f"{init.progress.seconds / 60:.0f} minutes"
        )
    else:
        klt.start(run.model.codec, sampler, recipe.lambdas(), recipe.crop)
        run.average = {k: v.detach().clone() for k, v in run.model.named_parameters()}

    compiled = torch.compile(loss_of, dynamic=False)
    with (budget.out / "log.jsonl").open("a", encoding="utf-8") as log:
        write_line(log, {"start": run.progress.step, "recipe": asdict(recipe), **history})
        last_saved = run.progress.seconds
        window = Window()
        compiling = True  # in the first step, which is not counted as training
        while run.progress.seconds < 60 * budget.minutes:
            started = time.perf_counter()
            rate = learning_rate(recipe, run.progress, budget.minutes)
            window.add(step_once(run, compiled, sampler, rate, budget.device))
            seconds = time.perf_counter() - started
            run.progress = Progress(
                step=run.progress.step + 1,
                seconds=run.progress.seconds + (0.0 if compiling else seconds),
                megapixels=run.progress.megapixels + recipe.batch * recipe.crop**2 / 1e6,
            )
            compiling = False
            if run.progress.step % LOG_EVERY == 0:
                report = window.report(run.progress, rate, budget.minutes, recipe)
                write_line(log, asdict(report))
                show(report)
                window = Window()
            if run.progress.seconds - last_saved >= 60 * budget.checkpoint_minutes:
                last_saved = run.progress.seconds
                snapshot = run.to_checkpoint(history)
                snapshot.save(path)
                if run.progress.seconds < 60 * budget.minutes * (1 - recipe.decay):
                    snapshot.save(budget.out / "constant.safetensors")
                write_line(log, validate(run, held_out, recipe))
        run.to_checkpoint(history).save(path)
        write_line(log, validate(run, held_out, recipe))
    return path


def step_once(
    run: Run, compiled: Any, sampler: CropSampler, rate: float, device: str
) -> tuple[float, float, float, float]:
    """One update; mean loss (relative), bpp of y and z, and PSNR of the batch."""
    recipe = run.recipe
    crops = sampler.crops(recipe.batch, recipe.crop)
    pixels = torch.from_numpy(crops).to(device).float()
    anchors = torch.arange(recipe.batch, device=device) % ANCHORS
    position = (anchors + torch.rand(recipe.batch, device=device) - 0.5).clamp(0, ANCHORS - 1)
    lmbda = recipe.lambda_min * recipe.lambda_ratio**position
    side = recipe.crop // 16
    noise = (
        torch.rand(recipe.batch, side, side, recipe.latent_channels, device=device) - 0.5,
        torch.rand(recipe.batch, side // 4, side // 4, recipe.hyper_channels, device=device) - 0.5,
    )
    cost, y_bpp, z_bpp, error = compiled(run.model, pixels, position * ANCHOR_STEP, lmbda, noise)

    observed = torch.zeros_like(run.mean_loss).index_add_(0, anchors, cost.detach())
    observed /= torch.bincount(anchors, minlength=ANCHORS).clamp(min=1)
    fresh = run.mean_loss == 0
    seen = torch.bincount(anchors, minlength=ANCHORS) > 0
    moved = LOSS_MOMENTUM * run.mean_loss + (1 - LOSS_MOMENTUM) * observed
    run.mean_loss = torch.where(seen, torch.where(fresh, observed, moved), run.mean_loss)
    loss = (cost / run.mean_loss[anchors]).mean()

    for group in run.optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    run.optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), GRADIENT_NORM)
    run.optimizer.step()
    if run.progress.step % AVERAGE_EVERY == 0:
        run.average_weights()
    psnr = (10 * torch.log10(255**2 / error)).mean()
    # The logarithm of the cost, not the normalized loss (always near 1), shows the progress.
    return float(cost.detach().log().mean()), float(y_bpp.mean()), float(z_bpp.mean()), float(psnr)


class Window:
    """Means of what the steps since the last report gave."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, float, float]] = []
        self.started = time.perf_counter()

    def add(self, row: tuple[float, float, float, float]) -> None:
        """Take in one step."""
        self.rows.append(row)

    def report(self, progress: Progress, rate: float, minutes: float, recipe: Recipe) -> Report:
        """Return the line for the log and the progress bar."""
        loss, y_bpp, z_bpp, psnr = (
            math.fsum(c) / len(self.rows) for c in zip(*self.rows, strict=True)
        )
        seen = len(self.rows) * recipe.batch * recipe.crop**2 / 1e6
        return Report(
            step=progress.step,
            minutes=round(progress.seconds / 60, 2),
            loss=round(loss, 4),
            bpp=round(y_bpp + z_bpp, 4),
            hyper_bpp=round(z_bpp, 4),
            psnr_db=round(psnr, 3),
            megapixels_per_second=round(seen / (time.perf_counter() - self.started), 3),
            learning_rate=rate,
            remaining_minutes=round(minutes - progress.seconds / 60, 1),
        )


def central_crops(pictures: Sequence[NDArray[np.uint8]], recipe: Recipe) -> Tensor:
    """Cut the centres of the held-out pictures [N, crop, crop, 3], grey levels."""
    side = recipe.crop
    crops = []
    for picture in pictures:
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        crops.append(torch.from_numpy(picture[top : top + side, left : left + side].copy()))
    return torch.stack(crops).float()


def validate(run: Run, held_out: Tensor, recipe: Recipe) -> dict[str, object]:
    """Rate and PSNR at each anchor, averaged weights, everything rounded.

    ``score`` is the mean over anchors of log2(bpp + lambda * MSE): 0.1 less is 7 % less cost.
    """
    weights = {k: p.detach().clone() for k, p in run.model.named_parameters()}
    swap(run.model, run.average)
    points, score = [], 0.0
    for anchor, lmbda in enumerate(recipe.lambdas()):
        rows = []
        for crop in torch.split(held_out, recipe.batch):
            quality = torch.full((len(crop),), anchor * ANCHOR_STEP, device=crop.device)
            rows.append(torch.stack(run.model.evaluate(crop, quality)))
        y_bpp, z_bpp, error = torch.cat(rows, dim=1)
        psnr = float((10 * torch.log10(255**2 / error)).mean())
        points.append([round(float((y_bpp + z_bpp).mean()), 4), round(psnr, 3)])
        score += float((y_bpp + z_bpp + lmbda * error).log2().mean()) / ANCHORS
    swap(run.model, weights)
    return {"step": run.progress.step, "validation": points, "score": round(score, 4)}


def swap(model: PhotoModel, weights: dict[str, Tensor]) -> None:
    """Put ``weights`` into the model."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])


def write_line(log: TextIO, row: dict[str, object]) -> None:
    """One JSON object, on the disk at once: a kill loses no line."""
    log.write(json.dumps(row) + "\n")
    log.flush()
