"""Options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import typer


class Provider(StrEnum):
    """What can run the large graphs; edgeae.graphs has the long names."""

    CPU = "cpu"
    CUDA = "cuda"
    OPENVINO = "openvino"
    COREML = "coreml"
    AUTO = "auto"


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number from 0 to 100")
    return value


Inputs = Annotated[
    list[str], typer.Argument(help="Files, folders (with -r), quoted patterns, or - for stdin.")
]
Output = Annotated[
    str | None, typer.Option("-o", "--output", help="File, folder, or - for stdout.")
]
Quality = Annotated[
    float,
    typer.Option(
        "-q", "--quality", min=0, max=100, callback=_finite, help="Higher is better and larger."
    ),
]
ProviderChoice = Annotated[
    Provider, typer.Option("--provider", help="What runs the encoder and the decoder.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads; by default all processors.")
]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", min=1, help="Refuse pictures with more pixels.")
]
Recursive = Annotated[
    bool, typer.Option("-r", "--recursive", help="Take folders, and mirror them under -o.")
]
Force = Annotated[bool, typer.Option("-f", "--force", help="Overwrite existing outputs.")]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON object for each input on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]

MAX_PIXELS = 268_435_456  # edgeae.container.MAX_PIXELS, without the import
