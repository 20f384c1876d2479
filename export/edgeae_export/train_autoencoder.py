"""Training of an autoencoder: one loop for the family, read from top to bottom.

    examples -> task's losses -> AdamW -> weight average -> checkpoint, figures of held-out data

A run is bounded by the recipe's epochs, by minutes, or by whichever ends first. Everything random
in a step is drawn from the seed and the number of the step, so a run that was killed and went on
makes the same steps as one that was not (equal weights, where no minutes bound it).
"""

from __future__ import annotations

import math
import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeae.errors import BoundError
from edgeae.paths import make_folder
from edgeae_export.autoencoder_recipes import SCHEDULES
from edgeae_export.autoencoder_state import Run
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.log import Log
from edgeae_export.starts import continued, origin
from edgeae_export.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from edgeae_export.autoencoder_recipes import AutoencoderRecipe
    from edgeae_export.budget import Budget
    from edgeae_export.datasets import Examples
    from edgeae_export.tasks import Pictures

LOG_SECONDS = 5.0  # between lines of the log


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the log; losses are means over the steps since the last one."""

    step: int
    minutes: float
    epoch: float
    share: float  # of the run that is done
    learning_rate: float
    examples_per_second: float
    losses: dict[str, float]

    def line(self) -> str:
        """Return what the progress bar shows."""
        losses = "  ".join(f"{name} {value:.5g}" for name, value in self.losses.items())
        return f"epoch {self.epoch:.2f}  {losses}  {self.examples_per_second:.0f}/s"


def learning_rate(recipe: AutoencoderRecipe, step: int, share: float) -> float:
    """Warm-up by steps, then constant, then falling over the last ``decay`` of the run."""
    left = min(1.0, (1 - share) / recipe.decay) if recipe.decay > 0 else 1.0
    warming = min(1.0, (step + 1) / recipe.warmup_steps)
    return recipe.learning_rate * warming * SCHEDULES[recipe.schedule](max(0.0, left))


def share_done(
    recipe: AutoencoderRecipe, progress: Progress, examples: int, minutes: float
) -> float:
    """How much of the run is done, 0..1: of its steps or of its minutes, whichever is more."""
    steps = math.ceil(recipe.epochs * examples / recipe.batch)
    return min(1.0, max(progress.step / steps, progress.seconds / (60 * minutes)))


def train(
    recipe: AutoencoderRecipe,
    data: Sequence[Path],
    validation: Sequence[Path],
    budget: Budget,
    *,
    init: Checkpoint[AutoencoderRecipe] | None,
    resume: bool,
    show: Callable[[Report], None],
) -> Path:
    """Train and return the path of the last checkpoint.

    Raises
    ------
    BoundError
        There are several processes.
    ImageError
        Data are missing, damaged, or of another size than the recipe's.
    BundleError
        ``resume`` finds a damaged checkpoint, or one of another network.
    OutputError
        ``budget.out`` cannot be made or written to.
    """
    if budget.processes.count > 1:
        raise BoundError(
            f"recipe {recipe.name} is trained in one process, not {budget.processes.count}; "
            "start it without torchrun"
        )
    torch.set_num_threads(budget.threads)
    make_folder(budget.out)
    path = budget.out / "checkpoint.safetensors"
    task = TASKS[recipe.network]
    examples = task.examples(data, recipe)
    held_out = task.held_out(validation, recipe)

    torch.manual_seed(recipe.seed)
    run = Run(recipe, budget.device)
    history = {
        "data": " ".join(p.name for p in data),
        "examples": str(examples.count),
        "device": f"{budget.device} {platform.machine()}",
        "threads": str(budget.threads),
        "torch": version("torch"),
        "edgeae": version("edgeae"),
    }
    if resume and path.exists():
        earlier = Checkpoint.load(path)
        run.adopt(earlier)
        run.progress = earlier.progress
        history = continued(earlier, recipe, history)
    elif init is not None:
        run.adopt(init)
        history["init"] = origin(init)

    log = Log(budget.out / "log.jsonl")
    log.write({"start": run.progress.step, "recipe": asdict(recipe), **history})
    window = Window(run.progress.step)
    last_saved = run.progress.seconds
    while (share := share_done(recipe, run.progress, examples.count, budget.minutes)) < 1:
        started = time.perf_counter()
        rate = learning_rate(recipe, run.progress.step, share)
        window.add(step_once(run, examples, rate))
        run.progress = Progress(
            step=run.progress.step + 1,
            seconds=run.progress.seconds + time.perf_counter() - started,
            megapixels=run.progress.megapixels + recipe.batch * recipe.height * recipe.width / 1e6,
        )
        if window.seconds() >= LOG_SECONDS:
            report = window.report(run, examples, share, rate)
            log.write(asdict(report))
            show(report)
            window = Window(run.progress.step)
        if run.progress.seconds - last_saved >= 60 * budget.checkpoint_minutes:
            last_saved = run.progress.seconds
            run.to_checkpoint(history).save(path)
            log.write(figures(run, held_out))
    run.to_checkpoint(history).save(path)
    log.write(figures(run, held_out))
    return path


def step_once(run: Run, examples: Examples, rate: float) -> dict[str, Tensor]:
    """Update the weights once; return the losses of the batch, detached."""
    recipe, step = run.recipe, run.progress.step
    random = np.random.default_rng((recipe.seed, step))
    batch = examples.batch(step, recipe.batch)
    epoch = step * recipe.batch / examples.count
    losses = TASKS[recipe.network].losses(run.network, recipe, batch, epoch, random)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    run.average_weights()
    return {name: loss.detach() for name, loss in losses.items()}


@torch.inference_mode()
def figures(run: Run, held_out: Sequence[Pictures]) -> dict[str, object]:
    """Return the figures of the weight average on held-out data, as a line of the log."""
    task = TASKS[run.recipe.network]
    found = task.figures(run.averaged(), run.recipe, held_out)
    rounded = {name: float(f"{value:.6g}") for name, value in found.items()}
    return {"step": run.progress.step, "validation": rounded}


class Window:
    """What the steps since the last report gave."""

    def __init__(self, step: int) -> None:
        self.first = step
        self.rows: list[dict[str, Tensor]] = []
        self.started = time.perf_counter()

    def add(self, row: dict[str, Tensor]) -> None:
        """Take in the losses of one step."""
        self.rows.append(row)

    def seconds(self) -> float:
        """Return the age of the window."""
        return time.perf_counter() - self.started

    def report(self, run: Run, examples: Examples, share: float, rate: float) -> Report:
        """Return the line for the log and the progress bar."""
        seen = (run.progress.step - self.first) * run.recipe.batch
        return Report(
            step=run.progress.step,
            minutes=round(run.progress.seconds / 60, 3),
            epoch=round(run.progress.step * run.recipe.batch / examples.count, 3),
            share=share,
            learning_rate=rate,
            examples_per_second=round(seen / self.seconds(), 1),
            losses={
                name: float(torch.stack([row[name] for row in self.rows]).mean())
                for name in self.rows[0]
            },
        )
