"""restore: pictures through a denoiser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgeae.cli import batch, output
from edgeae.cli.codecs import CodecOptions, open_encoder, report_fields
from edgeae.cli.jobs import plan
from edgeae.cli.options import (
    MAX_PIXELS,
    AsJson,
    Force,
    Format,
    Inputs,
    MaxPixels,
    Model,
    Output,
    Precision,
    PrecisionChoice,
    Provider,
    ProviderChoice,
    Quiet,
    Recursive,
    Strip,
    Threads,
)
from edgeae.cli.sizes import readable_bytes
from edgeae.cli.sources import ARRAY_SUFFIX, ending_of, source_bytes, source_files
from edgeae.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeae.cli.jobs import Job
    from edgeae.inputs import Source

DENOISER = "denoise-photo"
RESTORED = ".restored"  # what the stems of results without -o end in


def restore(
    inputs: Inputs,
    output_to: Output = None,
    format: Format = None,
    model: Model = DENOISER,
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    strip: Strip = False,
    recursive: Recursive = False,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Restore noisy or damaged pictures with an autoencoder that was trained to.

    Latents are not rounded. Pictures of any size are run in tiles that leave no seams, if the
    bundle says how far it sees. Alpha, colour profile and Exif stay as they are. Without -o, the
    result of noisy.png is noisy.restored.png beside it.

    \b
    Examples:
      edgeae restore noisy.png
      edgeae restore noisy.jpg -o clean.png
      edgeae restore -r scans -o clean -m denoise
    """  # noqa: D301 click keeps the lines after this mark as they are
    files = source_files(model)
    suffix = files.suffix if format is None else f".{format.lstrip('.').lower()}"
    if suffix != ARRAY_SUFFIX:
        _check_formats([suffix])
    jobs = plan(
        inputs,
        output_to,
        suffix=suffix if output_to else f"{RESTORED}{suffix}",
        suffixes=files.suffixes,
        recursive=recursive,
        missing=ImageError,
        earlier=None if output_to else RESTORED,
    )
    batch.check_stdout([job.target for job in jobs], as_json=as_json)
    endings = {job: ending_of(job, None if format is None else suffix, suffix) for job in jobs}
    if files.suffix != ARRAY_SUFFIX:
        _check_formats(endings.values())

    from edgeae.cli.stream import Work, run

    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    codec = options.load(model)
    codec.check_plain()
    open_encoder(codec)

    def read(job: Job) -> Source:
        output.check_target(job.target, force=force)
        source = codec.read(files.read(job, max_pixels))
        return source.without_metadata() if strip else source

    def code(pictures: Sequence[Source]) -> list[Source]:
        return list(codec.reconstruct(pictures))

    def write(job: Job, source: Source, restored: Source, seconds: float) -> batch.Report:
        start = time.perf_counter()
        data = source_bytes(restored, endings[job])
        output.write_in_folder(data, job.target, force=force)
        milliseconds = (seconds + time.perf_counter() - start) * 1e3
        size = f"{source.width}x{source.height}"
        fields = {
            "bytes": len(data),
            **report_fields(source, milliseconds, codec),
            "provider": codec.decoder_provider,
            "precision": codec.precision,
        }
        line = f"{size}  {readable_bytes(len(data))}  {milliseconds:.0f} ms"
        return batch.Report(line, fields, source.notes)

    run(jobs, Work(read, code, write, codec.takes_batches), as_json=as_json, quiet=quiet)


def _check_formats(endings: Iterable[str]) -> None:
    """Raise ImageError unless all can be written: before any work."""
    from edgeae.images.files import format_for

    for ending in set(endings):
        format_for(Path(f"picture{ending}"))
