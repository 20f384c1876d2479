"""augment: variants of pictures, from around their latents."""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.cli import batch, output
from edgeae.cli.codecs import CodecOptions, open_encoder
from edgeae.cli.jobs import Job, plan
from edgeae.cli.options import (
    MAX_PIXELS,
    AsJson,
    Force,
    MaxPixels,
    Model,
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
from edgeae.cli.sources import source_bytes, source_files
from edgeae.errors import EdgeaeError, ImageError
from edgeae.paths import is_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgeae.cli.sources import SourceFiles
    from edgeae.codec import Codec
    from edgeae.inputs import Source


# On MNIST, 1000 digits and two variants of each: 2 raises a classifier's accuracy, 8 lowers it.
SPREAD_OF_POSTERIOR = 2.0
SPREAD_OF_FOLDER = 0.5


def augment(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures, with its sub-folders.")],
    model: Model,
    output_to: Annotated[Path, typer.Option("-o", "--output", help="Folder for the variants.")],
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, max=9999, help="Variants of each picture.")
    ] = 2,
    spread: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            help=f"How far from the picture; by default {SPREAD_OF_POSTERIOR:g} of the posterior's "
            f"deviation, or {SPREAD_OF_FOLDER:g} of the folder's.",
        ),
    ] = None,
    seed: Seed = 0,
    provider: ProviderChoice = Provider.CPU,
    precision: PrecisionChoice = Precision.AUTO,
    threads: Threads = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    force: Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make variants of the pictures in a folder, for more training data.

    Adds Gaussian noise to the latents of each picture, and adds to the picture what that changes in
    the decoded one: detail that the autoencoder loses stays. The noise has SPREAD times the
    deviation of the posterior if the encoder is a variational one, else SPREAD times that of each
    latent channel over the whole folder. Writes a-1.png, a-2.png, .. for a.png into the same place
    under OUTPUT, PNG or .npy as the bundle has it. What a picture's variants are depends on the
    seed and on its path in the folder, not on the other pictures (but for that deviation).

    \b
    Examples:
      edgeae augment train -m vae -o more
      edgeae augment train -m vae -o more -n 5 --spread 3 --seed 3
    """  # noqa: D301 click keeps the lines after this mark as they are
    files = source_files(model)
    if not is_folder(folder):
        raise ImageError(f"{folder}: no such folder")
    jobs = plan(
        [str(folder)],
        f"{output_to}/",
        suffix=files.suffix,
        suffixes=files.suffixes,
        recursive=True,
        missing=ImageError,
    )

    from edgeae.cli.stream import Work, run

    options = CodecOptions(precision=precision.value, provider=provider.value, threads=threads)
    codec = options.load(model)
    codec.check_plain()
    open_encoder(codec)
    maker = _Maker(codec, files, folder, number, spread, seed, max_pixels)
    maker.prepare(jobs)

    def read(job: Job) -> _Named:
        for target in _variants(job, number):
            output.check_target(target, force=force)
        return maker.read(job)

    def write(job: Job, _: _Named, made: Sequence[Source], seconds: float) -> batch.Report:
        start = time.perf_counter()
        written = 0
        for target, variant in zip(_variants(job, number), made, strict=True):
            data = source_bytes(variant, target.suffix)
            output.write_in_folder(data, target, force=force)
            written += len(data)
        milliseconds = (seconds + time.perf_counter() - start) * 1e3
        line = f"{number} variants  {readable_bytes(written)}  {milliseconds:.0f} ms"
        outputs = [str(target) for target in _variants(job, number)]
        about = {"ms": round(milliseconds, 1), "model": codec.bundle.manifest.name}
        return batch.Report(line, {"outputs": outputs, "bytes": written, **about})

    run(jobs, Work(read, maker.make, write, codec.takes_batches), as_json=as_json, quiet=quiet)


class _Named:
    """What is in a file, and which seed its noise has."""

    def __init__(self, source: Source, seed: tuple[int, int]) -> None:
        self.source = source
        self.seed = seed
        self.width, self.height = source.width, source.height


class _Maker:
    """Reads the pictures of a folder and makes their variants."""

    def __init__(
        self,
        codec: Codec,
        files: SourceFiles,
        folder: Path,
        number: int,
        spread: float | None,
        seed: int,
        max_pixels: int,
    ) -> None:
        self._codec = codec
        self._files = files
        self._folder = folder
        self._number = number
        self._spread = spread
        self._seed = seed
        self._max_pixels = max_pixels
        self._of_folder: NDArray[np.float32] | None = None

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Measure the latents' deviation over the folder, unless the encoder gives one itself."""
        from edgeae.latent_space import Deviation

        deviation = Deviation()
        for job in jobs:
            try:
                ((mean, of_posterior),) = self._codec.posterior([self.read(job).source])
            except EdgeaeError:
                continue  # is reported when its turn comes
            if of_posterior is not None:
                return
            deviation.add(mean)
        try:
            self._of_folder = deviation.of_channels()
        except ValueError:
            return  # nothing can be read, which is reported for each

    def read(self, job: Job) -> _Named:
        """Return the picture of a job; ImageError if there is none for this bundle."""
        source = self._codec.read(self._files.read(job, self._max_pixels))
        place = Path(job.source_name).relative_to(self._folder).as_posix()
        return _Named(source, (self._seed, zlib.crc32(place.encode("utf-8", "surrogateescape"))))

    def make(self, named: Sequence[_Named]) -> list[list[Source]]:
        """Return the variants of each picture."""
        posteriors = self._codec.posterior([one.source for one in named])
        return [self._vary(one, *of) for one, of in zip(named, posteriors, strict=True)]

    def _vary(
        self, named: _Named, mean: NDArray[np.float32], of_posterior: NDArray[np.float32] | None
    ) -> list[Source]:
        import numpy as np

        from edgeae.latent_space import vary

        if of_posterior is not None:
            deviation, spread = of_posterior, SPREAD_OF_POSTERIOR
        elif self._of_folder is not None:
            deviation, spread = self._of_folder, SPREAD_OF_FOLDER
        else:
            raise ImageError("no picture of the folder could be read")
        spread = spread if self._spread is None else self._spread
        around = vary(mean, deviation, self._number, spread=spread, seed=named.seed)
        latents = np.concatenate([mean[np.newaxis], around])
        before, *after = self._codec.decode_like(latents, named.source)
        return [_changed(named.source, before, one) for one in after]


def _changed(original: Source, before: Source, after: Source) -> Source:
    """Return the original with what differs between two reconstructions of it, without Exif."""
    from edgeae.arrays import FloatArray
    from edgeae.images.picture import Picture
    from edgeae.latent_space import add_change

    if isinstance(original, FloatArray):
        return FloatArray(add_change(original.values, before.values, after.values))  # type: ignore[union-attr]  # arrays as well
    pixels = add_change(original.pixels, before.pixels, after.pixels)  # type: ignore[union-attr]  # pictures as well
    return Picture(pixels, original.alpha, original.icc)


def _variants(job: Job, number: int) -> list[Path]:
    """Return the files for the variants of a job's picture."""
    target = Path(job.target_name)
    return [target.with_stem(f"{target.stem}-{index + 1}") for index in range(number)]
