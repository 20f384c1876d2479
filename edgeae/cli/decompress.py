"""decompress: latent files to pictures, or to arrays."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.cli import batch, output
from edgeae.cli.codecs import EXACT, CodecOptions, on_provider, report_fields
from edgeae.cli.jobs import Job, plan
from edgeae.cli.load import Load, run
from edgeae.cli.options import (
    MAX_PIXELS,
    AsJson,
    Force,
    Format,
    Inputs,
    MaxPixels,
    Output,
    Precision,
    PrecisionChoice,
    Provider,
    ProviderChoice,
    Quiet,
    Recursive,
    Region,
    SkipExisting,
    Strip,
    Threads,
    Workers,
    region_of,
)
from edgeae.cli.packed import Packed, holds_array, read_packed
from edgeae.cli.sizes import readable_bytes
from edgeae.cli.sources import ARRAY_SUFFIX, LATENT_SUFFIX, ending_of, source_pieces
from edgeae.cli.stream import Work
from edgeae.errors import ContainerError, ImageError

if TYPE_CHECKING:
    from edgeae.codec import Codec
    from edgeae.images.strips import Strips
    from edgeae.inputs import Source


def decompress(
    inputs: Inputs,
    output_to: Output = None,
    format: Format = None,
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", help="Bundle; by default the one the file names."),
    ] = None,
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    region: Region = None,
    strip: Strip = False,
    recursive: Recursive = False,
    workers: Workers = 1,
    skip_existing: SkipExisting = False,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Decompress .eae files, or latents in .npy files, to pictures, or to arrays in .npy files.

    A region is exactly what the whole picture has there; of a large picture only the tiles that
    it meets are decoded.

    \b
    Examples:
      edgeae decompress img.eae
      edgeae decompress big.eae -o part.png --region 4000,3000,800,600
      edgeae decompress img.eae -o img.jpg
      edgeae decompress -r small -o photos
      edgeae decompress - -o - --format png <img.eae
    """  # noqa: D301 click keeps the lines after this mark as they are
    suffix = f".{(format or 'png').lstrip('.').lower()}"
    if suffix != ARRAY_SUFFIX:
        from edgeae.images.files import format_for

        format_for(Path(f"picture{suffix}"))
    part = None if region is None else region_of(region)
    jobs = plan(
        inputs,
        output_to,
        suffix=suffix,
        suffixes=frozenset({LATENT_SUFFIX}),
        recursive=recursive,
        missing=ContainerError,
    )
    batch.check_stdout([job.target for job in jobs], as_json=as_json)
    if format is None:
        jobs = [_named_for_arrays(job, output_to) for job in jobs]

    load = Load.of(jobs, workers, skip_existing=skip_existing, force=force)
    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    make = functools.partial(
        _decompression,
        model,
        options.among(load.workers),
        None if format is None else suffix,
        suffix,
        part,
        max_pixels=max_pixels,
        strip=strip,
        force=force,
    )
    run(load, make, as_json=as_json, quiet=quiet)


def _decompression(
    model: str | None,
    options: CodecOptions,
    chosen: str | None,
    default: str,
    part: tuple[int, int, int, int] | None,
    *,
    max_pixels: int,
    strip: bool,
    force: bool,
) -> Work[Packed, tuple[Source | Strips, Codec | None]]:
    """Return the work of `decompress`, in the process that does it.

    ``chosen`` and ``default`` are the suffixes of `ending_of`; ``part`` is what is decoded.
    """
    from edgeae.bundle import find_bundle, find_by_coding_id

    @functools.lru_cache(maxsize=4)
    def codec_in(folder: Path) -> Codec:
        codec = options.load(folder)
        codec.prepare_decoding()
        return codec

    @functools.lru_cache(maxsize=64)
    def codec_for(coding_id: bytes) -> Codec:
        return codec_in(find_bundle(model) if model else find_by_coding_id(coding_id))

    def ending(job: Job) -> str:
        return ending_of(job, chosen, default)

    def read(job: Job) -> Packed:
        output.check_target(job.target, force=force or job.again)
        packed = read_packed(job, max_pixels)
        _check_ending(packed, ending(job), chosen=job.target is not None or chosen is not None)
        return packed

    def decode(several: Sequence[Packed]) -> list[tuple[Source | Strips, Codec | None]]:
        return [packed.decode(codec_for, max_pixels, part) for packed in several]

    def write(
        job: Job, packed: Packed, decoded: tuple[Source | Strips, Codec | None], seconds: float
    ) -> batch.Report:
        start = time.perf_counter()
        source, codec = decoded
        data = source_pieces(
            source.without_metadata() if strip else source,
            ARRAY_SUFFIX if packed.is_array else ending(job),
        )
        written = output.write_in_folder(data, job.target, force=force or job.again)
        seconds += time.perf_counter() - start
        return _decompress_report(source, packed.size, written, seconds, codec)

    return Work(read, decode, write, True)


def _check_ending(packed: Packed, ending: str, *, chosen: bool) -> None:
    """Raise ImageError unless an output that ends like this can hold what the file holds.

    ``chosen``: somebody chose the ending; an array goes to stdout without one.
    """
    from edgeae.images.files import format_for

    if not packed.is_array:
        format_for(Path(f"picture{ending}"))
    elif ending.lower() != ARRAY_SUFFIX and chosen:
        raise ImageError("the file holds an array and no picture; write a .npy file")


def _named_for_arrays(job: Job, output_to: str | None) -> Job:
    """Return the job with a target that ends in .npy if its source holds an array.

    A target that the user named stays.
    """
    named = output_to is not None and Path(output_to) == job.target
    if job.target is None or named or not holds_array(job):
        return job
    return Job(job.source, job.target.with_suffix(ARRAY_SUFFIX))


def _decompress_report(
    picture: Source | Strips, read: int, written: int, seconds: float, codec: Codec | None
) -> batch.Report:
    milliseconds = seconds * 1e3
    ran = EXACT if codec is None else on_provider(codec, codec.decoder_provider)
    line = (
        f"{picture.width}x{picture.height}  {readable_bytes(read)} to {readable_bytes(written)}  "
        f"{milliseconds:.0f} ms{ran}"
    )
    fields = {
        "bytes": written,
        **report_fields(picture, milliseconds, codec),
        "provider": None if codec is None else codec.decoder_provider,
        "precision": None if codec is None else codec.decoder_precision,
        "exact": codec is None,
    }
    return batch.Report(line, fields, picture.notes)
