"""Options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import typer

from edgeae.cli.sizes import parse_bytes


class Provider(StrEnum):
    """What can run the large graphs; edgeae.graphs has the long names."""

    CPU = "cpu"
    CUDA = "cuda"
    OPENVINO = "openvino"
    COREML = "coreml"
    AUTO = "auto"


class Precision(StrEnum):
    """Numbers that the large graphs compute with; see edgeae.precision."""

    AUTO = "auto"
    FP32 = "fp32"
    INT8 = "int8"


def finite(value: float | None) -> float | None:
    """Refuse NaN and infinities, which pass a comparison with a least value."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


Inputs = Annotated[
    list[str], typer.Argument(help="Files, folders (with -r), quoted patterns, or - for stdin.")
]
Output = Annotated[
    str | None, typer.Option("-o", "--output", help="File, folder, or - for stdout.")
]


def _region(text: str | None) -> str | None:
    """Refuse what is not four numbers that name a part of a picture."""
    if text is not None:
        region_of(text)
    return text


def region_of(text: str) -> tuple[int, int, int, int]:
    """Return the four numbers of ``--region``.

    Raises
    ------
    typer.BadParameter
        Not X,Y,W,H with X and Y from 0 and W and H from 1.
    """
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise typer.BadParameter(f"{text!r} is not X,Y,W,H: four whole numbers of pixels")
    x, y, width, height = map(int, parts)
    if 0 in (width, height):
        raise typer.BadParameter(f"{text!r} has no pixels; W and H are at least 1")
    return x, y, width, height


def _bytes(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Model = Annotated[str, typer.Option("-m", "--model", help="Name of a bundle, or its folder.")]
Format = Annotated[
    str | None,
    typer.Option("--format", help="png, jpg, webp, ..; by default as -o ends, else png."),
]
Strip = Annotated[bool, typer.Option("--strip", help="Leave out colour profile and Exif.")]
Region = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="X,Y,W,H",
        callback=_region,
        help="Only this part: left, top, width, height in pixels.",
    ),
]
OneOutput = Annotated[str, typer.Option("-o", "--output", help="File, or - for stdout.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal pictures.")]
Quality = Annotated[
    float | None,
    typer.Option(
        "-q",
        "--quality",
        min=0,
        max=100,
        callback=finite,
        help="Higher is better and larger; 50 if nothing is said.",
    ),
]
SizeTarget = Annotated[
    int | None,
    typer.Option(
        "--target-size",
        parser=_bytes,
        metavar="SIZE",
        help="Instead of -q: the largest file of at most this: 20kB, 1.5MB, 20000.",
    ),
]
BppTarget = Annotated[
    float | None,
    typer.Option("--target-bpp", help="Instead of -q: the same in bits per pixel."),
]
PsnrTarget = Annotated[
    float | None,
    typer.Option("--target-psnr", help="Instead of -q: this PSNR in dB, within 0.1."),
]
Effort = Annotated[
    int,
    typer.Option(
        "--effort",
        min=0,
        max=2,
        help="0 is fast, 2 slow: nearer to the original, so a smaller file at equal PSNR.",
    ),
]
ProviderChoice = Annotated[
    Provider, typer.Option("--provider", help="What runs the encoder and the decoder.")
]
PrecisionChoice = Annotated[
    Precision, typer.Option("--precision", help="Numbers they compute with; auto: the faster.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads; by default all processors.")
]
Workers = Annotated[
    int,
    typer.Option("-j", "--jobs", min=1, help="Processes, which share the threads; for many files."),
]
SkipExisting = Annotated[
    bool,
    typer.Option("--skip-existing", help="Leave out inputs whose output exists, as after a stop."),
]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", min=1, help="Refuse pictures with more pixels.")
]
Recursive = Annotated[
    bool, typer.Option("-r", "--recursive", help="Take folders, and mirror them under -o.")
]
InFolders = Annotated[bool, typer.Option("-r", "--recursive", help="Take the files of folders.")]
Force = Annotated[bool, typer.Option("-f", "--force", help="Overwrite existing outputs.")]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON object for each input on stdout.")]
AsOneJson = Annotated[bool, typer.Option("--json", help="A JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]

MAX_PIXELS = 268_435_456  # edgeae.container.MAX_PIXELS, without the import
