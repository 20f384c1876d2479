"""reconstruct: what an autoencoder makes of pictures, and which of them it has never seen alike."""

from __future__ import annotations

import csv
import heapq
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.cli import batch, output
from edgeae.cli.codecs import CodecOptions, open_encoder
from edgeae.cli.jobs import PIPE, sources, target_of
from edgeae.cli.options import (
    MAX_PIXELS,
    AsJson,
    Force,
    InFolders,
    Inputs,
    MaxPixels,
    Model,
    Precision,
    PrecisionChoice,
    Provider,
    ProviderChoice,
    Quiet,
    Threads,
)
from edgeae.cli.sources import ARRAY_SUFFIX, source_bytes, source_files
from edgeae.cli.table import print_table
from edgeae.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeae.cli.jobs import Job
    from edgeae.images.grids import Comparison
    from edgeae.inputs import Source

SHOWN_SIDE = 384  # pixels; larger pictures are shrunk in the grid
HEADINGS = ("input", "MSE", "PSNR dB")


@dataclass(frozen=True, slots=True)
class Score:
    """How far one input is from its reconstruction."""

    name: str
    width: int
    height: int
    mse: float  # of pixels in 0..1, or of an array's values
    psnr_db: float | None  # None for arrays, and where nothing differs

    def fields(self) -> dict[str, object]:
        """Return the fields of the JSON object."""
        psnr = None if self.psnr_db is None else round(self.psnr_db, 3)
        size = {"width": self.width, "height": self.height}
        return {"input": self.name, "mse": _rounded(self.mse), "psnr_db": psnr, **size}

    def row(self) -> list[str]:
        """Return the row of the table and of the CSV file."""
        psnr = "" if self.psnr_db is None else f"{self.psnr_db:.2f}"
        return [self.name, f"{_rounded(self.mse):g}", psnr]


@dataclass(slots=True)
class _Worst:
    """The comparisons with the largest errors, and no more of them than are shown."""

    count: int
    _heap: list[tuple[float, int, str, Comparison]] = field(default_factory=list)

    def add(self, position: int, score: Score, original: Source, made: Source) -> None:
        from edgeae.images.grids import compare
        from edgeae.images.picture import Picture

        if not (isinstance(original, Picture) and isinstance(made, Picture)):
            return
        if len(self._heap) == self.count and score.mse <= self._heap[0][0]:
            return
        shown = compare(original.pixels, made.pixels, side=SHOWN_SIDE)
        entry = (score.mse, -position, f"{score.mse:.3g} {Path(score.name).name}", shown)
        add = heapq.heappush if len(self._heap) < self.count else heapq.heappushpop
        add(self._heap, entry)

    def in_order(self) -> tuple[list[Comparison], list[str]]:
        """Return them with their captions, the largest error first."""
        entries = sorted(self._heap, key=lambda entry: entry[:2], reverse=True)
        return [entry[3] for entry in entries], [entry[2] for entry in entries]


def reconstruct(
    inputs: Inputs,
    model: Model,
    output_to: Annotated[
        str | None,
        typer.Option("-o", "--output", help="Picture of the -n with the largest errors."),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--csv", help="File for the errors, or - for stdout.")
    ] = None,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, max=1000, help="How many are in the picture.")
    ] = 16,
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    recursive: InFolders = False,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Send pictures through an autoencoder and back, and list them by their error.

    What it has not been trained for comes back worst and stands first: the error is an anomaly
    score. It is the mean squared error of pixels in 0..1, before latents are rounded. Arrays are
    scored too, in their own units, but not drawn. Alpha is ignored.

    -o draws those with the largest errors: original, reconstruction and difference, brightened for
    all alike so that the largest difference is white, over error and name.

    \b
    Examples:
      edgeae reconstruct *.png -m vae -o grid.png
      edgeae reconstruct -r parts -m conv-ae --csv errors.csv
      edgeae reconstruct -r parts -m conv-ae --json | head -n 10
    """  # noqa: D301 click keeps the lines after this mark as they are
    files = source_files(model)
    jobs = sources(inputs, suffixes=files.suffixes, recursive=recursive, missing=ImageError)
    _check_outputs(output_to, table, arrays=files.suffix == ARRAY_SUFFIX, as_json=as_json)
    targets = [target_of(to) for to in (output_to, table) if to is not None]
    for target in targets:
        output.check_target(target, force=force)

    from edgeae.cli.collect import Collection, check_apart

    check_apart(targets, jobs)
    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    codec = options.load(model)
    codec.check_plain()
    open_encoder(codec)
    scores: list[Score] = []
    worst = _Worst(number)

    def use(job: Job, original: Source, made: Source) -> None:
        score = _score(job.source_name, original, made)
        if output_to is not None:
            worst.add(len(scores), score, original, made)
        scores.append(score)

    collection = Collection(
        read=lambda job: codec.read(files.read(job, max_pixels)),
        code=lambda pictures: list(codec.reconstruct(pictures)),
        use=use,
        together=codec.takes_batches,
    )
    failed = collection.run(jobs, as_json=as_json, quiet=quiet)
    scores.sort(key=lambda score: score.mse, reverse=True)  # stable: equal ones in their order
    if output_to is not None:
        data = _drawn(worst, ".png" if output_to == PIPE else Path(output_to).suffix)
        output.write_in_folder(data, target_of(output_to), force=force)
    if table is not None:
        output.write_in_folder(_csv(scores), target_of(table), force=force)
    _print(scores, as_json=as_json, quiet=quiet or PIPE in (output_to, table))
    batch.check_failures(failed, jobs)


def _print(scores: Sequence[Score], *, as_json: bool, quiet: bool) -> None:
    if as_json:
        for score in scores:
            output.print_line(json.dumps(score.fields()))
    elif not quiet:
        print_table(HEADINGS, [score.row() for score in scores])


def _check_outputs(
    output_to: str | None, table: str | None, *, arrays: bool, as_json: bool
) -> None:
    if [output_to, table, PIPE if as_json else None].count(PIPE) > 1:
        raise typer.BadParameter("one stdout for two outputs; give a file")
    if output_to is None:
        return
    if arrays:
        raise ImageError(f"{output_to}: arrays are not drawn; leave -o out, or take --csv")
    from edgeae.images.files import format_for

    if output_to != PIPE:
        format_for(Path(output_to))


def _score(name: str, original: Source, made: Source) -> Score:
    import numpy as np

    from edgeae.images.picture import Picture
    from edgeae.metrics import psnr_db

    if isinstance(original, Picture) and isinstance(made, Picture):
        psnr = psnr_db(original.pixels, made.pixels)
        known = None if math.isinf(psnr) else psnr
        return Score(name, original.width, original.height, 10 ** (-psnr / 10), known)
    difference = original.values.astype(np.float64) - made.values  # type: ignore[union-attr]  # both are arrays
    return Score(name, original.width, original.height, float((difference**2).mean()), None)


def _drawn(worst: _Worst, suffix: str) -> bytes:
    from edgeae.images.drawing import caption
    from edgeae.images.grids import comparison_grid
    from edgeae.images.picture import Picture

    comparisons, captions = worst.in_order()
    return source_bytes(Picture(comparison_grid(comparisons, [*map(caption, captions)])), suffix)


def _csv(scores: Sequence[Score]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("input", "mse", "psnr_db"))
    writer.writerows(score.row() for score in scores)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _rounded(mse: float) -> float:
    """Return six significant digits."""
    return float(f"{mse:.6g}")
