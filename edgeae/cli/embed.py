"""embed: the latents of many pictures in one array."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.cli import batch, output
from edgeae.cli.codecs import CodecOptions, open_encoder
from edgeae.cli.jobs import sources, target_of
from edgeae.cli.options import (
    MAX_PIXELS,
    AsOneJson,
    Force,
    InFolders,
    Inputs,
    MaxPixels,
    Model,
    OneOutput,
    Precision,
    PrecisionChoice,
    Provider,
    ProviderChoice,
    Quiet,
    Threads,
)
from edgeae.cli.sizes import readable_bytes
from edgeae.cli.sources import source_files
from edgeae.errors import ImageError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgeae.cli.jobs import Job
    from edgeae.inputs import Source

_ARCHIVE = ".npz"
_SUFFIXES = (".npy", _ARCHIVE)


def embed(
    inputs: Inputs,
    model: Model,
    output_to: OneOutput,
    mean: Annotated[
        bool, typer.Option("--mean", help="Means over positions: C numbers for any size.")
    ] = False,
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    recursive: InFolders = False,
    force: Force = False,
    as_json: AsOneJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the latents of pictures into one array, for search or clustering.

    Latents are not rounded, float32, and in the network's own units. The array is (N, C, h, w), a
    row for each picture in the order of the inputs; (N, C) with --mean. A .npz file holds it as
    `latents`, and the inputs as `names`. Pictures that cannot be read have no row.

    \b
    Examples:
      edgeae embed -r photos -m vae -o latents.npz
      edgeae embed *.png -m vae -o latents.npy
    """  # noqa: D301 click keeps the lines after this mark as they are
    target = target_of(output_to)
    batch.check_stdout([target], as_json=as_json)
    if target is not None and target.suffix.lower() not in _SUFFIXES:
        raise OutputError(f"{target}: latents are written to {' or '.join(_SUFFIXES)} files")
    output.check_target(target, force=force)
    files = source_files(model)
    jobs = sources(inputs, suffixes=files.suffixes, recursive=recursive, missing=ImageError)

    from edgeae.cli.collect import Collection, check_apart

    check_apart([target], jobs)
    start = time.perf_counter()
    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    codec = options.load(model)
    open_encoder(codec)
    names: list[str] = []
    rows: list[NDArray[np.float32]] = []

    def use(job: Job, _: Source, latents: NDArray[np.float32]) -> None:
        row = latents.mean(axis=(1, 2)) if mean else latents
        if rows and row.shape != rows[0].shape:
            raise ImageError(
                f"its latents are {row.shape}, those of {names[0]} are {rows[0].shape}; give "
                f"pictures of one size, or take their means over positions with --mean"
            )
        names.append(job.source_name)
        rows.append(row)

    collection = Collection(
        read=lambda job: codec.read(files.read(job, max_pixels)),
        code=lambda pictures: list(codec.embed(pictures)),
        use=use,
        together=codec.takes_batches,
    )
    failed = collection.run(jobs, as_json=as_json, quiet=quiet)
    data = _file_of(rows, names, target)
    output.write_in_folder(data, target, force=force)
    shape = [len(rows), *rows[0].shape]
    milliseconds = (time.perf_counter() - start) * 1e3
    if as_json:
        fields = {"output": output_to, "shape": shape, "bytes": len(data)}
        about = {"ms": round(milliseconds, 1), "model": codec.bundle.manifest.name}
        runs = {"provider": codec.encoder_provider, "precision": codec.encoder_precision}
        output.print_line(json.dumps({**fields, **about, **runs}))
    elif not quiet:
        across = "x".join(map(str, shape))
        output.say(f"{output_to}  {across}  {readable_bytes(len(data))}  {milliseconds:.0f} ms")
    batch.check_failures(failed, jobs)


def _file_of(
    rows: Sequence[NDArray[np.float32]], names: Sequence[str], target: Path | None
) -> bytes:
    """Return a .npz file with names, or a .npy file without; stdout gets the latter."""
    import numpy as np

    from edgeae.array_files import array_to_npy

    latents = np.stack(rows)
    if target is None or target.suffix.lower() != _ARCHIVE:
        return array_to_npy(latents)
    # Names that are not text on this system are written as Python shows them, never as pickles.
    shown = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    file = io.BytesIO()
    np.savez(file, latents=latents, names=np.array(shown, np.str_))
    return file.getvalue()
