"""The command ``edgeae adopt``: a pair of ONNX graphs made elsewhere becomes a bundle."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeae_export.extra import export_extra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Layout(StrEnum):
    """edgeae_export.plain.convention.LAYOUTS, without the import."""

    NCHW = "nchw"
    NHWC = "nhwc"
    NHW = "nhw"
    FLAT = "flat"
    ARRAY = "array"


class Range(StrEnum):
    """edgeae_export.plain.detect.RANGES, without the import."""

    UNIT = "0..1"
    SYMMETRIC = "-1..1"
    BYTES = "0..255"


class Axis(StrEnum):
    """Where the channels of latents are."""

    FIRST = "first"
    LAST = "last"


class Prior(StrEnum):
    """edgeae.manifest.NORMAL and MIXTURE, without the import."""

    NORMAL = "normal"
    MIXTURE = "mixture"


def adopt(
    encoder: Annotated[Path, typer.Argument(help="ONNX file: pictures or arrays to latents.")],
    decoder: Annotated[Path, typer.Argument(help="ONNX file: latents back.")],
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Real inputs: images, IDX, .npy or .npz; may be repeated."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the bundle; a new one.")],
    layout: Annotated[
        Layout | None, typer.Option(help="Axes of the encoder's input, if its shape is not clear.")
    ] = None,
    value_range: Annotated[
        Range | None,
        typer.Option("--range", help="What black and white are, if the data do not show it."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="HxW of pictures that are one vector; else square.")
    ] = None,
    latents: Annotated[
        str | None, typer.Option(help="The encoder's output that is coded; by default the first.")
    ] = None,
    log_variance: Annotated[
        str | None, typer.Option(help="The encoder's output with the logarithm of the variance.")
    ] = None,
    latent_channels: Annotated[
        Axis | None, typer.Option(help="Axis of the latents' channels; by default as the pixels'.")
    ] = None,
    prior: Annotated[
        Prior | None,
        typer.Option(help="What edgeae sample draws: N(0, 1), or a mixture fitted to --data."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle; by default that of its folder.")
    ] = None,
    description: Annotated[str, typer.Option(help="One line for people.")] = "",
    latent_space: Annotated[
        str | None, typer.Option(help="Names the training run whose latents these are.")
    ] = None,
) -> None:
    """Make a bundle of two ONNX graphs made elsewhere, as of Keras through tf2onnx.

    The layout and the range of the numbers are found from the graphs and the data where that is
    certain. The bundle's graphs are compared with those given before it appears.

    \b
    Examples:
      edgeae adopt encoder.onnx decoder.onnx --data photos/ -o bundle/
      edgeae adopt enc.onnx dec.onnx --data t10k-images-idx3-ubyte -o digits/ --layout flat
    """  # noqa: D301 click keeps the lines after this mark as they are
    with export_extra():
        from edgeae_export.plain.adopt import adopt_autoencoder, what_it_takes

        found, shape = what_it_takes(encoder, layout, _size(size))
        manifest = adopt_autoencoder(
            encoder,
            decoder,
            out,
            data=_load(data, found, shape),
            layout=found,
            value_range=value_range,
            latents=latents,
            log_variance=log_variance,
            channels_last=None if latent_channels is None else latent_channels is Axis.LAST,
            name=name,
            description=description,
            latent_space=latent_space,
            prior=prior,
            training={"encoder": encoder.name, "decoder": decoder.name},
        )
    for _, bits, decibels in manifest.rate_distortion:
        unit = "bits a value" if manifest.input == "array" else "bpp"
        typer.echo(f"{bits:.4f} {unit}  {decibels:.2f} dB", err=True)
    typer.echo(f"{out}: use it with: edgeae compress -m {out} FILE", err=True)


def _load(data: list[Path], layout: str, shape: tuple[int | None, ...]) -> Sequence[NDArray[Any]]:
    if layout == Layout.ARRAY:
        from edgeae_export.plain.array_files import load_arrays

        return load_arrays(data, shape)
    height, width, channels = shape
    if height is not None and width is not None and channels is not None:
        from edgeae_export.datasets import load_examples

        return list(load_examples(data, height, width, channels))
    from edgeae_export.pictures import load_pictures

    pictures = load_pictures(data)
    return [_grey(picture) for picture in pictures] if channels == 1 else pictures


def _grey(picture: NDArray[Any]) -> NDArray[Any]:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(picture).convert("L"))


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise typer.BadParameter(f"{text} is not HEIGHTxWIDTH, as in 28x28")
    return int(match[1]), int(match[2])
