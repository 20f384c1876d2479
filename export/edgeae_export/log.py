"""The log of a training: JSON lines of means over the steps since the last one."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeae.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from edgeae_export.checkpoint import Progress
    from edgeae_export.recipe import Recipe


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

    @property
    def share(self) -> float:
        """How much of the training is done, 0..1; both times may be rounded to nothing."""
        whole = self.minutes + self.remaining_minutes
        return self.minutes / whole if whole > 0 else 1.0

    def line(self) -> str:
        """Return what the progress bar shows."""
        return (
            f"step {self.step}  loss {self.loss:.3f}  {self.bpp:.3f} bpp  "
            f"{self.psnr_db:.2f} dB  {self.megapixels_per_second:.2f} MP/s"
        )


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
            remaining_minutes=round(max(minutes - progress.seconds / 60, 0), 2),
        )


class Log:
    """A file of JSON lines, each on the disk at once: a kill loses no line."""

    def __init__(self, path: Path | None) -> None:
        self.path = path  # None in the processes that write nothing

    def write(self, row: dict[str, object]) -> None:
        """Append one object; OutputError if the machine refuses."""
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror or error})"
            ) from error
