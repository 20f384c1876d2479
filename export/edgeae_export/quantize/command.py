"""The command ``edgeae quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeae_export.extra import export_extra


def quantize(
    bundle: Annotated[str, typer.Argument(help="Name or folder of a bundle.")],
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            help="Training pictures, as of edgeae train: ranges and layers are chosen by them.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the new bundle; by default in place."),
    ] = None,
    budget: Annotated[
        float,
        typer.Option(min=0.0, help="What int8 may cost: percent of rate at equal PSNR."),
    ] = 1.0,
    pictures: Annotated[
        int, typer.Option(min=3, help="How many of --data are used, chosen by the seed.")
    ] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Chooses pictures and crops.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No word on the layers.")] = False,
) -> None:
    """Add int8 forms of a bundle's encoder and decoder; only if they cost little enough.

    Example: edgeae quantize bundle/ --data photos/ -o bundle8/
    """
    from edgeae.bundle import Bundle, find_bundle

    with export_extra():
        from edgeae_export.datasets import sample_inputs
        from edgeae_export.quantize.quantize import quantize as run

    opened = Bundle.load(find_bundle(bundle))
    target = opened.path if out is None else out
    manifest = run(
        opened,
        sample_inputs(data, pictures, seed),
        target,
        budget=budget,
        seed=seed,
        threads=threads,
        show=(lambda _: None) if quiet else (lambda line: typer.echo(line, err=True)),
    )
    report = manifest.training["quantization"]
    assert isinstance(report, dict)  # noqa: S101  # it was just made
    typer.echo(
        f"{target}: int8 costs {report['cost_percent']} % of rate at equal PSNR; use it with: "
        f"edgeae compress -m {target} --precision int8 picture.png",
        err=True,
    )
