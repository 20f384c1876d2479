"""compress: picture files, or arrays, to latent files."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from edgeae.cli import batch, output
from edgeae.cli.codecs import EXACT, CodecOptions, on_provider, open_encoder, report_fields
from edgeae.cli.jobs import Job, plan
from edgeae.cli.load import Load, run
from edgeae.cli.options import (
    MAX_PIXELS,
    AsJson,
    BppTarget,
    Effort,
    Force,
    Inputs,
    MaxPixels,
    Model,
    Output,
    Precision,
    PrecisionChoice,
    Provider,
    ProviderChoice,
    PsnrTarget,
    Quality,
    Quiet,
    Recursive,
    SizeTarget,
    SkipExisting,
    Strip,
    Threads,
    Workers,
)
from edgeae.cli.sizes import readable_bytes
from edgeae.cli.sources import (
    ARRAY_SUFFIX,
    LATENT_SUFFIX,
    PICTURE_SUFFIXES,
    source_files,
)
from edgeae.cli.stream import Work
from edgeae.errors import ImageError
from edgeae.rate_control import TargetBpp, TargetPsnr, TargetSize

if TYPE_CHECKING:
    from edgeae.cli.sources import SourceFiles
    from edgeae.codec import Codec
    from edgeae.encoding import Encoding
    from edgeae.inputs import Source
    from edgeae.rate_control import Target

_NOTABLE_METADATA = 0.25  # share of a file, from which on it is said
_SAMPLE_BYTES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "F": 4}  # of a pixel, or a value


def compress(
    inputs: Inputs,
    output_to: Output = None,
    quality: Quality = None,
    target_size: SizeTarget = None,
    target_bpp: BppTarget = None,
    target_psnr: PsnrTarget = None,
    effort: Effort = 1,
    model: Model = "photo",
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    strip: Strip = False,
    recursive: Recursive = False,
    workers: Workers = 1,
    skip_existing: SkipExisting = False,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compress pictures, or arrays of floats, to .eae files, or to latents in .npy files.

    A bundle of arrays (its `input`) takes .npy files of floats.

    Says for each: size in pixels, bits per pixel of the file, its size, how many times smaller it
    is than the raw 8-bit samples, and the time from reading to writing. With a target also the
    quality that was found. Of latents, the target is the size of the .eae file they would make.

    Lines and JSON objects come in the order of the inputs, also with -j; those of skipped inputs
    come first. A run that was stopped goes on with --skip-existing: outputs appear only when whole.

    \b
    Examples:
      edgeae compress img.png
      edgeae compress -r photos -o small -q 30
      edgeae compress -r photos -o small --target-size 200kB
      edgeae compress -r photos -o small -j 8 --skip-existing
      edgeae compress img.png -o z.npy
      edgeae compress - -o - <img.png >img.eae
    """  # noqa: D301 click keeps the lines after this mark as they are
    goal = _goal(quality, target_size, target_bpp, target_psnr)
    files = source_files(model)
    jobs = plan(
        inputs,
        output_to,
        suffix=LATENT_SUFFIX,
        suffixes=files.suffixes,
        recursive=recursive,
        missing=ImageError,
    )
    batch.check_stdout([job.target for job in jobs], as_json=as_json)
    for job in jobs:
        _check_latent_suffix(job)

    load = Load.of(jobs, workers, skip_existing=skip_existing, force=force)
    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    make = functools.partial(
        compression,
        model,
        options.among(load.workers),
        files,
        goal,
        effort=effort,
        max_pixels=max_pixels,
        strip=strip,
        force=force,
    )
    run(load, make, as_json=as_json, quiet=quiet)


def compression(
    model: str,
    options: CodecOptions,
    files: SourceFiles,
    goal: float | Target,
    *,
    effort: int,
    max_pixels: int,
    strip: bool,
    force: bool,
) -> Work[_Taken, Encoding]:
    """Return the work of `compress`, in the process that does it."""
    from edgeae.encoding import latents_of
    from edgeae.npy import latents_to_npy

    codec = options.load(model)

    def read(job: Job) -> _Taken:
        output.check_target(job.target, force=force or job.again)
        source = files.read(job, max_pixels)
        return _Taken(source.without_metadata() if strip else source)

    def code(several: Sequence[_Taken]) -> list[Encoding]:
        # The only one is not asked for again: its pixels need not outlive the encoder.
        sources = (taken.source(last=len(several) == 1) for taken in several)
        if isinstance(goal, float):
            return codec.reach_many(sources, goal, effort=effort)
        return [codec.reach(source, goal, effort=effort) for source in sources]

    def write(job: Job, source: _Taken, encoding: Encoding, seconds: float) -> batch.Report:
        start = time.perf_counter()
        if job.target is not None and job.target.suffix.lower() == ARRAY_SUFFIX:
            data = latents_to_npy(latents_of(encoding, goal))
            encoding = replace(encoding, colours=None)  # of latents alone is reported below
        else:
            data = codec.file_of(encoding)
        output.write_in_folder(data, job.target, force=force or job.again)
        seconds += time.perf_counter() - start
        report = _compress_report(source, len(data), seconds, encoding, codec)
        return report if isinstance(goal, float) else _with_target(report, encoding)

    open_encoder(codec)
    return Work(read, code, write, isinstance(goal, float) and codec.takes_batches)


class _Taken:
    """A picture or an array that was read: its pixels may go before the report is made."""

    def __init__(self, source: Source) -> None:
        self.width, self.height, self.mode = source.width, source.height, source.mode
        self.notes = source.notes
        self._source: Source | None = source

    def source(self, *, last: bool) -> Source:
        """Return it; ``last``: it will not be asked for again."""
        if self._source is None:
            raise ValueError("the pixels were given away")
        source = self._source
        if last:
            self._source = None
        return source


def _goal(
    quality: float | None, size: int | None, bpp: float | None, psnr: float | None
) -> float | Target:
    """Return the one of these that was given, 50 if none was."""
    options = {
        "-q": quality,
        "--target-size": size,
        "--target-bpp": bpp,
        "--target-psnr": psnr,
    }
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given)} exclude each other; give one of them")
    try:
        if size is not None:
            return TargetSize(size)
        if bpp is not None:
            return TargetBpp(bpp)
        if psnr is not None:
            return TargetPsnr(psnr)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return 50.0 if quality is None else quality


def _check_latent_suffix(job: Job) -> None:
    """Refuse to write latents into what would look like a picture."""
    if job.target is not None and job.target.suffix.lower() in PICTURE_SUFFIXES:
        raise typer.BadParameter(
            f"{job.target}: compress writes {LATENT_SUFFIX} or {ARRAY_SUFFIX} files; "
            f"is decompress meant?"
        )


def _compress_report(
    picture: _Taken, size: int, seconds: float, encoding: Encoding, codec: Codec
) -> batch.Report:
    milliseconds = seconds * 1e3
    pixels = picture.width * picture.height
    bpp, ratio = 8 * size / pixels, pixels * _SAMPLE_BYTES[picture.mode] / size
    line = (
        f"{picture.width}x{picture.height}  {bpp:.3f} bpp  {readable_bytes(size)}  "
        f"{ratio:.3g}x smaller  {milliseconds:.0f} ms{on_provider(codec, codec.encoder_provider)}"
    )
    exact = encoding.colours is not None
    if exact:
        line += EXACT
    fields = {
        "bytes": size,
        "bpp": round(bpp, 6),
        "ratio": round(ratio, 4),
        "exact": exact,
        "quality": encoding.latents.quality,
        "effort": encoding.effort,
        **report_fields(picture, milliseconds, codec),
        "provider": codec.encoder_provider,
        "precision": codec.encoder_precision,
    }
    return batch.Report(line, fields, (*picture.notes, *_notes_on_metadata(encoding, size)))


def _notes_on_metadata(encoding: Encoding, size: int) -> tuple[str, ...]:
    """Return what to say of a file of ``size`` bytes whose profile and Exif take many of them."""
    bodies = {"colour profile": encoding.latents.icc, "Exif": encoding.latents.exif}
    taken = {name: len(body) for name, body in bodies.items() if body}
    if sum(taken.values()) < _NOTABLE_METADATA * size:
        return ()
    total = readable_bytes(sum(taken.values()))
    return (f"{total} of the file are {' and '.join(taken)}; --strip leaves that out",)


def _with_target(report: batch.Report, encoding: Encoding) -> batch.Report:
    """Return the report with what the search for a target found."""
    found = f"quality {encoding.latents.quality:g}"
    fields = dict(report.fields)
    if encoding.psnr_db is not None:
        exact = encoding.colours is not None  # infinite then, which JSON has no number for
        found += "" if exact else f"  {encoding.psnr_db:.2f} dB"
        fields["psnr_db"] = None if exact else round(encoding.psnr_db, 3)
    notes = report.notes if encoding.note is None else (*report.notes, encoding.note)
    return batch.Report(f"{report.line}  {found}", fields, notes)
