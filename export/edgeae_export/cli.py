"""The commands ``edgeae train`` and ``edgeae export``; torch is imported inside them only."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeae_export.checkpoint import Checkpoint
    from edgeae_export.recipe import Recipe


@contextmanager
def _export_extra() -> Iterator[None]:
    """Turn an absent torch, onnx or safetensors into the command that installs them."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"torch", "onnx", "safetensors"}:
            raise
        raise MissingExtraError(
            f"{error.name} is not installed; run: pip install 'edgeae[export]'"
        ) from error


def train(
    data: Annotated[
        list[Path], typer.Argument(help="Folders, .tar shards or files of training pictures.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoint and log.")],
    validation: Annotated[
        list[Path], typer.Option("--val", help="Held-out pictures; may be given several times.")
    ],
    recipe: Annotated[
        str,
        typer.Option(help="A recipe of the package (photo-s, photo-m) or a .toml file."),
    ] = "photo-m",
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Training time in all, earlier parts included.")
    ] = 60.0,
    decay: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of the time with falling learning rate."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out, if there is one.")
    ] = False,
    init: Annotated[
        Path | None, typer.Option(help="Start from this checkpoint, or from this bundle's weights.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0.01, help="Minutes between checkpoints: what a kill can cost.")
    ] = 5.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train a photo codec on pictures of your own.

    Example: edgeae train photos/ --val held-out/ -o runs/m --minutes 600
    """
    with _export_extra():
        from edgeae_export.progress import progress_bar
        from edgeae_export.recipe import Recipe
        from edgeae_export.train import Budget, choose_device
        from edgeae_export.train import train as run

        chosen = _with_decay(Recipe.load(recipe), decay)
        path = out / "checkpoint.safetensors"
        if path.exists() and not resume:
            raise OutputError(f"{path}: exists; go on from it with --resume, or choose another -o")
        budget = Budget(
            out=out,
            minutes=minutes,
            checkpoint_minutes=checkpoint_minutes,
            threads=threads,
            device=choose_device(device),
        )
        with progress_bar(minutes, hidden=quiet or not sys.stderr.isatty()) as show:
            run(
                chosen,
                data,
                validation,
                budget,
                init=_starting_weights(init) if init else None,
                resume=resume,
                show=show,
            )
    typer.echo(f"{path}: export it with: edgeae export {path} -o bundle/", err=True)


def _with_decay(recipe: Recipe, decay: float | None) -> Recipe:
    from dataclasses import replace

    return recipe if decay is None else replace(recipe, decay=decay)


def _starting_weights(path: Path) -> Checkpoint:
    from edgeae_export.checkpoint import Checkpoint

    return Checkpoint.load(path)
