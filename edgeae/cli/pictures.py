"""compress and decompress: picture files to latent files, and back."""

from __future__ import annotations

import functools
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from edgeae.cli import batch, output
from edgeae.cli.jobs import Job, plan
from edgeae.cli.options import (
    MAX_PIXELS,
    AsJson,
    Force,
    Inputs,
    MaxPixels,
    Output,
    Provider,
    ProviderChoice,
    Quality,
    Quiet,
    Recursive,
    Threads,
)
from edgeae.cli.sizes import readable_bytes
from edgeae.errors import ContainerError, ImageError

if TYPE_CHECKING:
    from edgeae.codec import Codec
    from edgeae.images.files import Picture

PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tga", ".tif", ".tiff", ".webp"}
)
LATENT_SUFFIX, ARRAY_SUFFIX = ".eae", ".npy"


def compress(
    inputs: Inputs,
    output_to: Output = None,
    quality: Quality = 50.0,
    model: Annotated[
        str, typer.Option("-m", "--model", help="Name of a bundle, or its folder.")
    ] = "photo",
    provider: ProviderChoice = Provider.CPU,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out colour profile and Exif.")
    ] = False,
    recursive: Recursive = False,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compress pictures to .eae files, or to latents in .npy files.

    Says for each: size in pixels, bits per pixel of the file, its size, how many times smaller it
    is than the raw 8-bit samples, and the time from reading to writing.

    \b
    Examples:
      edgeae compress img.png
      edgeae compress -r photos -o small -q 30
      edgeae compress img.png -o z.npy
      edgeae compress - -o - <img.png >img.eae
    """  # noqa: D301 click keeps the lines after this mark as they are
    jobs = plan(
        inputs,
        output_to,
        suffix=LATENT_SUFFIX,
        suffixes=PICTURE_SUFFIXES,
        recursive=recursive,
        missing=ImageError,
    )
    batch.check_stdout(jobs, as_json=as_json)
    for job in jobs:
        _check_latent_suffix(job)

    from edgeae.codec import Codec
    from edgeae.npy import latents_to_npy

    codec = Codec.load(model, provider=provider.value, threads=threads)

    def work(job: Job) -> batch.Report:
        start = time.perf_counter()
        picture = _read_picture(job, max_pixels)
        if strip:
            picture = picture.without_metadata()
        if job.target is not None and job.target.suffix.lower() == ARRAY_SUFFIX:
            data = latents_to_npy(codec.encode(picture, quality))
        else:
            data = codec.compress(picture, quality)
        _write(data, job, force=force)
        return _compress_report(picture, len(data), start, quality, codec)

    codec.encoder_provider  # noqa: B018 a provider that fails is one error, not one for each picture
    batch.run(jobs, work, force=force, as_json=as_json, quiet=quiet)


def decompress(
    inputs: Inputs,
    output_to: Output = None,
    format: Annotated[
        str | None,
        typer.Option("--format", help="png, jpg, webp, ..; by default as -o ends, else png."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", help="Bundle; by default the one the file names."),
    ] = None,
    provider: ProviderChoice = Provider.CPU,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out colour profile and Exif.")
    ] = False,
    recursive: Recursive = False,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Decompress .eae files, or latents in .npy files, to pictures.

    \b
    Examples:
      edgeae decompress img.eae
      edgeae decompress img.eae -o img.jpg
      edgeae decompress -r small -o photos
      edgeae decompress - -o - --format png <img.eae
    """  # noqa: D301 click keeps the lines after this mark as they are
    suffix = f".{(format or 'png').lstrip('.').lower()}"
    jobs = plan(
        inputs,
        output_to,
        suffix=suffix,
        suffixes=frozenset({LATENT_SUFFIX}),
        recursive=recursive,
        missing=ContainerError,
    )
    batch.check_stdout(jobs, as_json=as_json)

    from edgeae.bundle import find_bundle, find_by_coding_id
    from edgeae.codec import Codec
    from edgeae.images.files import format_for, write_picture

    @functools.lru_cache(maxsize=4)
    def codec_in(folder: Path) -> Codec:
        return Codec.load(folder, provider=provider.value, threads=threads)

    def codec_for(coding_id: bytes) -> Codec:
        return codec_in(find_bundle(model) if model else find_by_coding_id(coding_id))

    def work(job: Job) -> batch.Report:
        start = time.perf_counter()
        picture_format = format_for(_with_ending(job, format, suffix))
        data = _read_latents(job)
        picture, codec = _decode(data, codec_for, max_pixels)
        if strip:
            picture = picture.without_metadata()
        buffer = io.BytesIO()
        write_picture(picture, buffer, picture_format)
        _write(buffer.getvalue(), job, force=force)
        return _decompress_report(picture, len(data), buffer.tell(), start, codec)

    batch.run(jobs, work, force=force, as_json=as_json, quiet=quiet)


def _decode(
    data: bytes, codec_for: Callable[[bytes], Codec], max_pixels: int
) -> tuple[Picture, Codec]:
    from edgeae.container import read_header
    from edgeae.npy import is_npy, latents_from_npy

    if is_npy(data):
        latents = latents_from_npy(data, max_pixels=max_pixels)
        codec = codec_for(latents.coding_id)
        return codec.decode(latents), codec
    codec = codec_for(read_header(data).coding_id)
    return codec.decompress_picture(data, max_pixels=max_pixels), codec


def _read_picture(job: Job, max_pixels: int) -> Picture:
    from edgeae.images.files import read_picture

    return read_picture(job.source or sys.stdin.buffer, max_pixels=max_pixels)


def _read_latents(job: Job) -> bytes:
    if job.source is None:
        return _read_file(sys.stdin.buffer)
    try:
        with job.source.open("rb") as file:
            return _read_file(file)
    except OSError as error:
        raise ContainerError(f"cannot be read: {error.strerror or error}") from error


def _read_file(file: BinaryIO) -> bytes:
    """Return all of a file that begins like one of ours; a film dropped here is not read whole."""
    from edgeae.container import HEADER_BYTES_MAX, read_header
    from edgeae.npy import is_npy

    head = file.read(HEADER_BYTES_MAX)
    if not is_npy(head):
        read_header(head)
    return head + file.read()


def _with_ending(job: Job, format: str | None, suffix: str) -> Path:
    """Return a path that ends as the picture format to write does."""
    if format is None and job.target is not None and job.target.suffix:
        return job.target
    return Path(f"picture{suffix}")


def _write(data: bytes, job: Job, *, force: bool) -> None:
    if job.target is not None:
        output.make_folder(job.target.parent)
    output.write(data, job.target, force=force)


def _check_latent_suffix(job: Job) -> None:
    """Refuse to write latents into what would look like a picture."""
    if job.target is not None and job.target.suffix.lower() in PICTURE_SUFFIXES:
        raise typer.BadParameter(
            f"{job.target}: compress writes {LATENT_SUFFIX} or {ARRAY_SUFFIX} files; "
            f"is decompress meant?"
        )


def _compress_report(
    picture: Picture, size: int, start: float, quality: float, codec: Codec
) -> batch.Report:
    milliseconds = (time.perf_counter() - start) * 1e3
    pixels = picture.width * picture.height
    bpp, ratio = 8 * size / pixels, pixels * len(picture.mode) / size
    line = (
        f"{picture.width}x{picture.height}  {bpp:.3f} bpp  {readable_bytes(size)}  "
        f"{ratio:.3g}x smaller  {milliseconds:.0f} ms"
    )
    fields = {
        "bytes": size,
        "bpp": round(bpp, 6),
        "ratio": round(ratio, 4),
        "quality": quality,
        **_common_fields(picture, milliseconds, codec),
        "provider": codec.encoder_provider,
    }
    return batch.Report(line, fields, picture.notes)


def _decompress_report(
    picture: Picture, read: int, written: int, start: float, codec: Codec
) -> batch.Report:
    milliseconds = (time.perf_counter() - start) * 1e3
    line = (
        f"{picture.width}x{picture.height}  {readable_bytes(read)} to {readable_bytes(written)}  "
        f"{milliseconds:.0f} ms"
    )
    fields = {
        "bytes": written,
        **_common_fields(picture, milliseconds, codec),
        "provider": codec.decoder_provider,
    }
    return batch.Report(line, fields, picture.notes)


def _common_fields(picture: Picture, milliseconds: float, codec: Codec) -> dict[str, object]:
    return {
        "width": picture.width,
        "height": picture.height,
        "mode": picture.mode,
        "ms": round(milliseconds, 1),
        "model": codec.bundle.manifest.name,
        "threads": codec.threads,
    }
