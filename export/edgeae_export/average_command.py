"""The command ``edgeae average``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeae_export.extra import export_command, export_extra


def average(
    starts: Annotated[
        list[str],
        typer.Argument(
            help="Two or more checkpoints, or photo codecs' bundles by name or folder; the first "
            "also gives recipe and history.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new checkpoint, a .safetensors.")],
    share: Annotated[
        list[float] | None,
        typer.Option(help="Share of each, in their order; equal shares if none is given."),
    ] = None,
) -> None:
    """Average the weights of trainings that began from one model, for edgeae export or train.

    Example: edgeae average runs/m/checkpoint.safetensors photo -o m.safetensors
    """
    from edgeae.errors import OutputError

    with export_extra():
        from edgeae_export.average import average as run
        from edgeae_export.starts import load_start

        if out.exists():
            raise OutputError(f"{out}: exists; remove it, or choose another file")
        shares = share or [1 / len(starts)] * len(starts)
        run([load_start(start) for start in starts], shares).save(out)
    typer.echo(f"{out}: export it with: {export_command(out)}", err=True)
