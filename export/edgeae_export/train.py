"""Training of a photo codec: one loop, read from top to bottom.

    pictures -> crops -> rate and distortion -> loss -> SOAP -> weight average -> checkpoint

The learning rate warms up, stays constant and falls to zero in the last part of the time. A run
is bounded by minutes, not steps; it writes ``checkpoint.safetensors`` every few minutes and goes
on from it after a kill. Just before the decay starts it keeps ``constant.safetensors``, from which
a longer run can go on.
"""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from edgeae.errors import BoundError, BundleError
from edgeae.paths import make_folder
from edgeae_export import context_start, klt
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.compiler import compiler_needed
from edgeae_export.distortion import measured_psnr
from edgeae_export.latent_growth import check_latents, grown
from edgeae_export.log import Log, Report, Window
from edgeae_export.networks.photo import ANCHOR_STEP, ANCHORS
from edgeae_export.pictures import CropSampler, load_pictures
from edgeae_export.starts import continued, origin
from edgeae_export.state import AVERAGE_EVERY, Run
from edgeae_export.tuning import Tuning
from edgeae_export.validation import central_crops, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from edgeae_export.budget import Budget
    from edgeae_export.processes import Processes
    from edgeae_export.rate_distortion import PhotoModel
    from edgeae_export.recipe import Recipe

GRADIENT_NORM = 1.0
LOG_EVERY = 20  # steps
CONTEXT = {"codec.hyper_decoder.mean.linear_step", "codec.hyper_decoder.scale.tail_step"}
CONTEXT_CROPS = 64
PLAIN = Tuning()
RANGES_SEED = 2**31  # apart from those of the crops that are trained on


def loss_of(
    model: PhotoModel, pixels: Tensor, quality: Tensor, lmbda: Tensor, noise: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``bpp + lambda * error`` of each crop [N]; bpp of y and z, and the error, detached.

    The PSNR in the log is made of that error: with other terms than the squared one it is only near
    the PSNR; that of the held-out pictures is the real one.
    """
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
    init: Checkpoint[Recipe] | None,
    resume: bool,
    show: Callable[[Report], None],
    tuning: Tuning = PLAIN,
) -> Path:
    """Train for ``budget.minutes`` and return the path of the last checkpoint.

    Raises
    ------
    ImageError
        Pictures are missing or unreadable.
    BundleError
        ``resume`` finds a damaged checkpoint, or one of another network.
    BoundError
        ``init`` has more latents than the recipe, or fewer and its entropy networks are frozen, or
        other widths; or the batch cannot be divided among the processes.
    MissingExtraError
        torch finds no C++ compiler.
    OutputError
        ``budget.out`` cannot be made or written to.
    """
    if init is not None:
        check_latents(init.recipe, recipe, frozen=tuning.freeze_entropy)
    processes = budget.processes
    check_batch(recipe, processes)
    make_folder(budget.out)
    torch.set_num_threads(budget.threads)
    path = budget.out / "checkpoint.safetensors"
    pictures = load_pictures(data, smallest_side=recipe.crop)
    held_out = central_crops(load_pictures(validation, smallest_side=recipe.crop), recipe)
    held_out = held_out.to(budget.device)

    torch.manual_seed(recipe.seed)
    run = Run(recipe, budget.device, processes)
    history = {
        "data": " ".join(p.name for p in data),
        "pictures": str(len(pictures)),
        "device": f"{budget.device} {platform.machine()}",
        "threads": f"{processes.count} x {budget.threads}",
        "torch": version("torch"),
        "edgeae": version("edgeae"),
    }
    if resume and path.exists():
        earlier = Checkpoint.load(path)
        check_resumable(path, earlier, recipe)
        run.adopt(earlier)
        run.progress = earlier.progress
        tuning = tuning.continued(earlier.history)
        history = continued(earlier, recipe, history)
    elif init is not None:
        start_from(init, run, CropSampler(pictures, recipe.seed))
        history["init"] = origin(init)
    else:
        sampler = CropSampler(pictures, recipe.seed)
        klt.start(run.model.codec, sampler, recipe.lambdas(), recipe.crop)
        run.average = {k: v.detach().clone() for k, v in run.model.named_parameters()}
        start_context(run, sampler)
    seed = recipe.seed + processes.count * run.progress.step + processes.rank
    torch.manual_seed(seed)
    sampler = CropSampler(pictures, seed)
    processes.share([*run.model.state_dict().values(), *run.average.values()])
    history |= tuning.history()
    before_step = tuning.prepare(run, CropSampler(pictures, seed + RANGES_SEED), processes)

    compiled = torch.compile(loss_of, dynamic=False)
    log = Log(budget.out / "log.jsonl" if processes.rank == 0 else None)
    log.write({"start": run.progress.step, "recipe": asdict(recipe), **history})
    last_saved = run.progress.seconds
    window = Window()
    compiling = True  # in the first step, which is not counted as training
    while run.progress.seconds < 60 * budget.minutes:
        started = time.perf_counter()
        rate = learning_rate(recipe, run.progress, budget.minutes)
        before_step(run.progress.step)
        with compiler_needed():
            window.add(step_once(run, compiled, sampler, rate, processes))
        seconds = torch.tensor([0.0 if compiling else time.perf_counter() - started])
        processes.share([seconds])  # so that all stop at the same step
        compiling = False
        run.progress = Progress(
            step=run.progress.step + 1,
            seconds=run.progress.seconds + float(seconds),
            megapixels=run.progress.megapixels + recipe.batch * recipe.crop**2 / 1e6,
        )
        if run.progress.step % LOG_EVERY == 0:
            report = window.report(run.progress, rate, budget.minutes, recipe)
            log.write(asdict(report))
            show(report)
            window = Window()
        if run.progress.seconds - last_saved >= 60 * budget.checkpoint_minutes:
            last_saved = run.progress.seconds
            snapshot = run.to_checkpoint(history)
            if processes.rank == 0:
                snapshot.save(path)
                if run.progress.seconds < 60 * budget.minutes * (1 - recipe.decay):
                    snapshot.save(budget.out / "constant.safetensors")
            log.write(validate(run, held_out, recipe))
    snapshot = run.to_checkpoint(history)
    if processes.rank == 0:
        snapshot.save(path)
    log.write(validate(run, held_out, recipe))
    return path


def check_resumable(path: Path, earlier: Checkpoint[Recipe], recipe: Recipe) -> None:
    """Raise BundleError unless a checkpoint is of the network that the recipe describes."""
    if earlier.recipe.network != recipe.network or earlier.recipe.shape != recipe.shape:
        raise BundleError(
            f"{path}: made with recipe {earlier.recipe.name}, a network of another shape than "
            f"that of {recipe.name}; name the same --recipe, or start from it with --init and "
            "another --out"
        )


def check_batch(recipe: Recipe, processes: Processes) -> None:
    """Raise BoundError unless every process has as many crops of a batch as any other."""
    if recipe.batch % processes.count:
        raise BoundError(
            f"recipe {recipe.name}: a batch of {recipe.batch} cannot be divided among "
            f"{processes.count} processes; start as many as divide it"
        )


def start_from(init: Checkpoint[Recipe], run: Run, sampler: CropSampler) -> None:
    """Take the weights of ``init``, and what it lacks from crops: latents, the context's start."""
    if init.recipe.latent_channels < run.recipe.latent_channels:
        init = grown(init, run.recipe, sampler)
    lacking = run.adopt(init)
    if other := sorted(name for name in lacking - CONTEXT if ".blocks" not in name):
        raise BoundError(
            f"--init: {init.recipe.name} has {other[0]} of another width than {run.recipe.name}; "
            "only the numbers of blocks and latents may differ"
        )
    if CONTEXT & lacking:
        start_context(run, sampler)


def start_context(run: Run, sampler: CropSampler) -> None:
    """Solve for what the context begins with, behind transforms that work."""
    crops = torch.from_numpy(sampler.crops(CONTEXT_CROPS, run.recipe.crop)).float()
    context_start.start(run.model.codec, crops.to(run.mean_loss.device))
    for name, parameter in run.model.named_parameters():
        if name in CONTEXT:
            run.average[name].copy_(parameter.detach())


def anchors_in_turn(step: int, batch: int) -> Tensor:
    """Return the rate anchors int64 [batch] of a step's crops; the turn goes on at the next."""
    return torch.arange(step * batch, (step + 1) * batch) % ANCHORS


def step_once(
    run: Run, compiled: Any, sampler: CropSampler, rate: float, processes: Processes
) -> tuple[float, float, float, float]:
    """Update the weights once; return mean log cost, bpp of y and of z, and PSNR of the batch."""
    recipe, device = run.recipe, run.mean_loss.device
    turn = anchors_in_turn(run.progress.step, recipe.batch)
    anchors = turn[processes.rank :: processes.count].to(device)
    count = len(anchors)
    pixels = torch.from_numpy(sampler.crops(count, recipe.crop)).to(device).float()
    position = (anchors + torch.rand(count, device=device) - 0.5).clamp(0, ANCHORS - 1)
    lmbda = recipe.lambda_min * recipe.lambda_ratio**position
    side = recipe.crop // 16
    noise = (
        torch.rand(count, side, side, recipe.latent_channels, device=device) - 0.5,
        torch.rand(count, side // 4, side // 4, recipe.hyper_channels, device=device) - 0.5,
    )
    cost, y_bpp, z_bpp, error = compiled(run.model, pixels, position * ANCHOR_STEP, lmbda, noise)

    costs = torch.zeros(recipe.batch, device=device)  # each process fills in its own
    costs[processes.rank :: processes.count] = cost.detach() * processes.count
    processes.average([costs])
    means = run.update_mean_loss(turn.to(device), costs)[processes.rank :: processes.count]
    loss = (cost / means).mean()
    run.model.zero_grad(set_to_none=False)
    loss.backward()
    processes.average([p.grad for p in run.model.parameters() if p.grad is not None])
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), GRADIENT_NORM)
    run.update(rate)
    if run.progress.step % AVERAGE_EVERY == 0:
        run.average_weights()
    psnr = measured_psnr(error)
    # The logarithm of the cost, not the normalized loss (always near 1), shows the progress.
    means = torch.stack([cost.detach().log(), y_bpp, z_bpp, psnr]).mean(dim=1)
    processes.average([means])
    loss, y_mean, z_mean, psnr_mean = means.tolist()
    return loss, y_mean, z_mean, psnr_mean
