"""The progress bar of a training: what its report says, and the time left."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Shown(Protocol):
    """A report of any training."""

    @property
    def share(self) -> float:
        """How much of the training is done, 0..1."""
        ...

    def line(self) -> str:
        """Return the text beside the bar."""
        ...


@contextmanager
def progress_bar(*, hidden: bool) -> Iterator[Callable[[Shown], None]]:
    """Yield a function that shows a report on stderr, or nothing at all when ``hidden``."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=hidden) as bar:
        task = bar.add_task("starting", total=1.0)

        def show(report: Shown) -> None:
            bar.update(task, completed=report.share, description=report.line())

        yield show
