"""sample and interpolate: new pictures out of an autoencoder's latents."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.cli import batch, output
from edgeae.cli.codecs import CodecOptions
from edgeae.cli.jobs import Job, names_folder, target_of
from edgeae.cli.options import (
    MAX_PIXELS,
    AsOneJson,
    Force,
    MaxPixels,
    Model,
    OneOutput,
    Precision,
    PrecisionChoice,
    Provider,
    ProviderChoice,
    Quiet,
    Seed,
    Threads,
    finite,
)
from edgeae.cli.sizes import readable_bytes
from edgeae.cli.sources import ARRAY_SUFFIX, source_bytes, source_files
from edgeae.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from edgeae.codec import Codec
    from edgeae.inputs import Source

VAE = "vae"
ANIMATION_SUFFIX = ".gif"
FRAME_MS = 100
_ZOOM_HELP = "Pixels a side that each pixel becomes."
_FOLDER_DIGITS = 4
_MANY = 1 << 20
_AT_ONCE = 256  # pictures held before they are written

Zoom = Annotated[int, typer.Option("--zoom", min=1, max=64, help=_ZOOM_HELP)]


def sample(
    model: Model = VAE,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, max=_MANY, help="How many pictures.")
    ] = 64,
    seed: Seed = 0,
    truncation: Annotated[
        float,
        typer.Option(
            min=0, callback=finite, help="Below 1: more typical and less varied pictures."
        ),
    ] = 1.0,
    output_to: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="Picture of all, .npy file, - for stdout, or folder/ for a file each.",
        ),
    ] = "samples.png",
    zoom: Zoom = 1,
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    force: Force = False,
    as_json: AsOneJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw pictures that a variational autoencoder makes of random latents.

    By default handwritten digits. The bundle must have a prior. With equal seeds the first pictures
    of more are those of fewer.

    \b
    Examples:
      edgeae sample
      edgeae sample -m vae -n 100 --seed 7 --truncation 0.8 -o digits.png --zoom 2
      edgeae sample -m vae -n 1000 -o made/
    """  # noqa: D301 click keeps the lines after this mark as they are
    targets = _sample_targets(output_to, number, model)
    batch.check_stdout(targets, as_json=as_json)
    for target in targets:
        output.check_target(target, force=force)

    from edgeae.sampling import sample_latents

    start = time.perf_counter()
    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    codec = options.load(model)
    latents = sample_latents(codec.bundle, number, seed=seed, truncation=truncation)
    if names_folder(output_to):
        size = _write_each(codec, latents, targets, zoom=zoom, force=force)
    else:
        pictures = codec.generate(latents)
        size = _write_all(pictures, targets[0], columns=None, zoom=zoom, force=force)
    line = f"{number} samples, seed {seed}"
    fields = {"number": number, "seed": seed, "truncation": truncation}
    _report(output_to, line, fields, size, start, codec, as_json=as_json, quiet=quiet)


def interpolate(
    a: Annotated[Path, typer.Argument(help="The first picture.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="The last picture.", metavar="B")],
    model: Model,
    output_to: OneOutput,
    number: Annotated[
        int, typer.Option("-n", "--number", min=2, max=10_000, help="Pictures, with both ends.")
    ] = 9,
    spherical: Annotated[
        bool, typer.Option("--spherical", help="On an arc, better between latents of a VAE.")
    ] = False,
    zoom: Zoom = 1,
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    force: Force = False,
    as_json: AsOneJson = False,
    quiet: Quiet = False,
) -> None:
    """Walk from one picture to another through an autoencoder's latents.

    Writes a strip of pictures, an animation if the output ends in .gif, or an array if it ends in
    .npy. The ends are the reconstructions of A and B. Alpha is ignored.

    \b
    Examples:
      edgeae interpolate three.png eight.png -m vae -o strip.png
      edgeae interpolate three.png eight.png -m vae --spherical -n 30 -o walk.gif
    """  # noqa: D301 click keeps the lines after this mark as they are
    target = target_of(output_to)
    batch.check_stdout([target], as_json=as_json)
    if target is None or target.suffix.lower() != ANIMATION_SUFFIX:
        _check_format(target, model)
    elif source_files(model).suffix == ARRAY_SUFFIX:
        raise ImageError(f"{target}: arrays are not animated; write a .npy file")
    output.check_target(target, force=force)

    import numpy as np

    from edgeae.latent_space import interpolate_linear, interpolate_spherical

    start = time.perf_counter()
    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    codec = options.load(model)
    codec.check_plain()
    read = source_files(model).read
    ends = [_read(codec, read, path, max_pixels) for path in (a, b)]
    sizes = [(end.width, end.height) for end in ends]
    if sizes[0] != sizes[1]:
        raise ImageError(
            f"{a} is {sizes[0][0]}x{sizes[0][1]}, {b} is {sizes[1][0]}x{sizes[1][1]}; give two "
            f"pictures of one size"
        )
    way = interpolate_spherical if spherical else interpolate_linear
    first, last = codec.embed(ends)
    latents = way(first, last, number)
    colour = next((end for end in ends if end.mode.startswith("RGB")), ends[0])
    frames = np.stack([_samples(one) for one in codec.decode_like(latents, colour)])
    if target is not None and target.suffix.lower() == ANIMATION_SUFFIX:
        size = _write_animation(frames, target, zoom=zoom, force=force)
    else:
        size = _write_all(frames, target, columns=number, zoom=zoom, force=force)
    line = f"{number} steps, {'spherical' if spherical else 'linear'}"
    fields = {"number": number, "spherical": spherical}
    _report(output_to, line, fields, size, start, codec, as_json=as_json, quiet=quiet)


def _read(codec: Codec, read: Callable[[Job, int], Source], path: Path, max_pixels: int) -> Source:
    """Return what is in a file; ImageError with its name if the bundle cannot take it."""
    try:
        return codec.read(read(Job(path, None), max_pixels))
    except ImageError as error:
        text = str(error)
        raise ImageError(text if text.startswith(f"{path}: ") else f"{path}: {text}") from error


def _check_format(target: Path | None, model: str) -> None:
    """Raise ImageError unless the target can be written; stdout gets PNG, or an array."""
    if target is None or target.suffix.lower() == ARRAY_SUFFIX:
        return
    from edgeae.images.files import format_for

    if source_files(model).suffix == ARRAY_SUFFIX:
        raise ImageError(f"{target}: bundle {model} makes arrays; write a .npy file")
    format_for(target)


def _samples(source: Source) -> NDArray[Any]:
    from edgeae.images.picture import Picture

    return source.pixels if isinstance(source, Picture) else source.values


def _source(generated: NDArray[Any], zoom: int) -> Source:
    """Return one of those that `Codec.generate` gives as a picture, or as an array."""
    import numpy as np

    from edgeae.arrays import FloatArray
    from edgeae.images.grids import enlarge
    from edgeae.images.picture import picture_from_array

    if generated.dtype != np.uint8:
        return FloatArray(generated)
    return picture_from_array(enlarge(generated, zoom))


def _sample_targets(output_to: str, number: int, model: str) -> list[Path | None]:
    """Return the file for all samples, or one for each."""
    if not names_folder(output_to):
        target = target_of(output_to)
        _check_format(target, model)
        return [target]
    suffix = source_files(model).suffix
    digits = max(_FOLDER_DIGITS, len(str(number - 1)))
    return [Path(output_to, f"{index:0{digits}}{suffix}") for index in range(number)]


def _write_each(
    codec: Codec,
    latents: NDArray[Any],
    targets: Sequence[Path | None],
    *,
    zoom: int,
    force: bool,
) -> int:
    """Write a file for each of latents (n, C, h, w) and return the bytes of all."""
    size = 0
    for start in range(0, len(latents), _AT_ONCE):
        pictures = codec.generate(latents[start : start + _AT_ONCE])
        for target, picture in zip(targets[start:], pictures):  # noqa: B905 a window of the targets
            data = source_bytes(_source(picture, zoom), "" if target is None else target.suffix)
            output.write_in_folder(data, target, force=force)
            size += len(data)
    return size


def _write_all(
    pictures: NDArray[Any], target: Path | None, *, columns: int | None, zoom: int, force: bool
) -> int:
    """Write (n, ...) pictures or arrays as one file and return its bytes."""
    import numpy as np

    from edgeae.array_files import array_to_npy
    from edgeae.images.grids import grid
    from edgeae.images.picture import Picture

    suffix = ".png" if target is None else target.suffix
    if pictures.dtype != np.uint8 or suffix.lower() == ARRAY_SUFFIX:
        data = array_to_npy(pictures)
    else:
        cells = [_samples(_source(picture, zoom)) for picture in pictures]
        data = source_bytes(Picture(grid(cells, columns=columns)), suffix)
    output.write_in_folder(data, target, force=force)
    return len(data)


def _write_animation(
    frames: Sequence[NDArray[Any]] | NDArray[Any], target: Path, *, zoom: int, force: bool
) -> int:
    from edgeae.images.drawing import animation
    from edgeae.images.grids import enlarge

    data = animation([enlarge(frame, zoom) for frame in frames], milliseconds=FRAME_MS)
    output.write_in_folder(data, target, force=force)
    return len(data)


def _report(
    name: str,
    line: str,
    fields: Mapping[str, object],
    size: int,
    start: float,
    codec: Codec,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    milliseconds = (time.perf_counter() - start) * 1e3
    if as_json:
        common = {
            "bytes": size,
            "ms": round(milliseconds, 1),
            "model": codec.bundle.manifest.name,
            "provider": codec.decoder_provider,
            "precision": codec.decoder_precision,
        }
        output.print_line(json.dumps({"output": name, **fields, **common}))
    elif not quiet:
        output.say(f"{name}  {line}  {readable_bytes(size)}  {milliseconds:.0f} ms")
