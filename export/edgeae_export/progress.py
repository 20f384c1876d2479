"""The progress bar of a training: loss, rate, PSNR, speed, time left."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeae_export.log import Report


@contextmanager
def progress_bar(minutes: float, *, hidden: bool) -> Iterator[Callable[[Report], None]]:
    """Yield a function that shows a report on stderr, or nothing at all when ``hidden``."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=hidden) as bar:
        task = bar.add_task("compiling", total=minutes)

        def show(report: Report) -> None:
            text = (
                f"step {report.step}  loss {report.loss:.3f}  {report.bpp:.3f} bpp  "
                f"{report.psnr_db:.2f} dB  {report.megapixels_per_second:.2f} MP/s"
            )
            bar.update(task, completed=report.minutes, description=text)

        yield show
