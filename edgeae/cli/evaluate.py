"""eval: how far pictures are from their originals, and what a bundle gains over other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeae.cli.codecs import CodecOptions
from edgeae.cli.options import (
    MAX_PIXELS,
    Force,
    MaxPixels,
    Precision,
    PrecisionChoice,
    Provider,
    ProviderChoice,
    Threads,
)
from edgeae.cli.pairs import find_pairs

_CODEC_ONLY = "with --codec: "


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(help="An original and a picture, or two folders; --codec: any number."),
    ],
    codec: Annotated[
        bool, typer.Option("--codec", help="Measure bundles and other formats on the inputs.")
    ] = False,
    model: Annotated[
        list[str] | None,
        typer.Option("-m", "--model", help="Name of a bundle, or its folder; may be repeated."),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(
            help=_CODEC_ONLY + "jpeg, webp, avif, jxl, heic with commas, or none; by default all."
        ),
    ] = None,
    qualities: Annotated[
        str | None,
        typer.Option(help=_CODEC_ONLY + "qualities of the bundles; by default 0,10,..,100."),
    ] = None,
    effort: Annotated[
        int | None,
        typer.Option(min=0, max=2, help=_CODEC_ONLY + "effort of the bundles, by default 1."),
    ] = None,
    output_to: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=_CODEC_ONLY + "JSON file for every picture's points."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help=_CODEC_ONLY + "file for the curves, .png, .svg or .pdf.")
    ] = None,
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Take files in sub-folders too.")
    ] = False,
    force: Force = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Objects on stdout, one a line, and a last one for all.")
    ] = False,
) -> None:
    """Compare pictures with their originals, or measure a bundle on pictures of your own.

    Two inputs: bits per pixel of the second, its PSNR and MS-SSIM against the first. In folders,
    pictures of the same name belong together, whatever their suffix: photo.png and photo.eae;
    if the first folder has both, photo.png is the original.
    Alpha and colour profiles are ignored. MS-SSIM needs 161 pixels a side.

    --codec: compresses the inputs with bundles and with other formats, and prints size and both
    metrics at each quality, and how many percent more bits than JPEG each needs for equal PSNR
    and equal MS-SSIM (BD-rate; negative is better).

    In means each picture counts the same, and equal pictures have 100 dB.

    \b
    Examples:
      edgeae eval photo.png photo.eae
      edgeae eval -r photos small
      edgeae eval --codec photos
      edgeae eval --codec photos -m photo -m my-model --peers jpeg,avif --plot rd.png
    """  # noqa: D301 click keeps the lines after this mark as they are
    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    if codec:
        from edgeae.cli.eval_codecs import Request, measure_codecs

        request = Request(
            inputs=inputs,
            models=model or ["photo"],
            peers=peers,
            qualities=qualities,
            effort=1 if effort is None else effort,
            options=options,
            max_pixels=max_pixels,
            recursive=recursive,
        )
        measure_codecs(request, output_to=output_to, plot_to=plot, force=force, as_json=as_json)
        return
    for_codecs = {
        "--peers": peers,
        "--qualities": qualities,
        "--effort": effort,
        "--output": output_to,
        "--plot": plot,
    }
    if given := [name for name, value in for_codecs.items() if value is not None]:
        raise typer.BadParameter(f"{', '.join(given)}: for --codec alone")
    if len(inputs) != 2:
        raise typer.BadParameter(
            f"got {len(inputs)} inputs; give an original and a picture, or two folders; "
            "--codec takes any number"
        )
    from edgeae.cli.eval_pairs import compare_pairs

    pairs, unmatched = find_pairs(*map(Path, inputs), recursive=recursive)
    compare_pairs(
        pairs,
        unmatched,
        models=model or [],
        options=options,
        max_pixels=max_pixels,
        as_json=as_json,
    )
