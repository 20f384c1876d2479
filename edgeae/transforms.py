"""The two networks of a bundle with what stands before and after them: pictures to floats and back.

encoder: picture -> padded samples -> y; decoder: y_hat -> samples -> picture, of the size it had
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.batches import alike, windows
from edgeae.errors import GraphError
from edgeae.images.picture import Picture
from edgeae.inputs import INPUTS, picture_in
from edgeae.precision import check_precision, open_graph
from edgeae.tiles import fits_one_tile, run_in_tiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.inputs import ImageLike, Input, Source
    from edgeae.latents import Latents

    # latents (C, h, w) before rounding, and their log-variances if the encoder gives them
    Posterior: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32] | None]

LOG_VARIANCE = "log_variance"  # a variational encoder's second output, in the network's units
ONE_QUALITY = 50.0  # what the decoder is told where nobody chose a quality


class Transforms:
    """Encoder and decoder of a bundle, and the form of what they take.

    Neither session is made before it is needed.

    Raises
    ------
    BundleError, ValueError
        Of `edgeae.precision.check_precision`.
    """

    def __init__(self, bundle: Bundle, *, provider: str, precision: str, threads: int) -> None:
        check_precision(bundle, precision)
        self.manifest = bundle.manifest
        self.encoder, self.decoder = (
            open_graph(bundle, name, precision=precision, provider=provider, threads=threads)
            for name in ("encoder", "decoder")
        )
        self.input: Input = INPUTS[bundle.manifest.input](bundle.manifest)

    def read(self, images: Iterable[ImageLike]) -> Iterator[list[Source]]:
        """Yield what ``images`` are, in order, as many at a time as the encoder should take."""
        sources = (self.input.read(image) for image in images)
        yield from windows(
            sources,
            lambda source: source.width * source.height,
            together=self.encoder.takes_batches,
        )

    def analyse(self, sources: Sequence[Source]) -> list[NDArray[np.float32]]:
        """Return the latents (C, h, w) of each before rounding."""
        return [y for y, _ in self.posteriors(sources)]

    def posteriors(self, sources: Sequence[Source]) -> list[Posterior]:
        """Return the latents (C, h, w) of each before rounding, and their log-variances if any."""
        samples = [self.input.samples(source) for source in sources]
        found: dict[int, Posterior] = {}
        for positions in alike(samples, together=self.encoder.takes_batches):
            pixels = np.stack([samples[position] for position in positions])
            outputs = self.encoder.run_all(pixels=pixels)
            first = sources[positions[0]]
            padded = self.input.padded(first.height, first.width)
            expected = (len(positions), *self.manifest.latents_shape(*padded))
            y, log_variance = outputs["y"], outputs.get(LOG_VARIANCE)
            for output in (y, log_variance):
                if output is not None and output.shape != expected:
                    raise GraphError(
                        f"{self.encoder.file}: gives {output.shape} for pixels {pixels.shape}, "
                        f"not {expected}; export the bundle again"
                    )
            for row, position in enumerate(positions):
                found[position] = (y[row], None if log_variance is None else log_variance[row])
        return [found[position] for position in range(len(sources))]

    def reanalyse(
        self, y_hat: NDArray[np.float32], quality: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the latents (C, h, w) of the picture that ``y_hat`` (C, h, w) decodes to."""
        (pixels,) = self.decoder.run(y_hat=y_hat[np.newaxis], quality=quality)
        (y,) = self.encoder.run(pixels=pixels)
        if y.shape[1:] != y_hat.shape:
            raise GraphError(
                f"{self.decoder.file}: gives {pixels.shape} for latents {y_hat.shape}, of which "
                f"the encoder makes {y.shape}; export the bundle again"
            )
        latents: NDArray[np.float32] = y[0]
        return latents

    def synthesize(
        self,
        y_hats: Sequence[NDArray[np.float32]],
        qualities: Sequence[float],
        beside: Sequence[Latents | Source],
    ) -> list[Source]:
        """Return what each of ``y_hats`` (C, h, w) decodes to; ``beside`` say all but that."""
        found: dict[int, Source] = {}
        for equal in alike(y_hats, together=self.decoder.takes_batches):
            for positions in _of_one_quality(qualities, equal):
                first = positions[0]
                batch = np.stack([y_hats[position] for position in positions])
                size = beside[first].height, beside[first].width
                pixels = self._decode(batch, qualities[first], *size)
                for position, one in zip(positions, pixels, strict=True):
                    of = beside[position]
                    cut = self.input.cut(one, of.height, of.width, of.mode)
                    found[position] = self.input.finish(cut, of)
        return [found[position] for position in range(len(beside))]

    def synthesize_samples(
        self, y_hat: NDArray[np.float32], quality: float, height: int, width: int, mode: str
    ) -> NDArray[Any]:
        """Return the samples that ``y_hat`` (C, h, w) decodes to, of a size that may be made up."""
        pixels = self._decode(y_hat[np.newaxis], quality, height, width)[0]
        return self.input.cut(pixels, height, width, mode)

    def restore(self, sources: Sequence[Source]) -> Iterator[Source]:
        """Yield decoder(encoder(x)) of each, large ones in tiles if the bundle has a halo."""
        large = [self._needs_tiles(source) for source in sources]
        small = [source for source, tiled in zip(sources, large, strict=True) if not tiled]
        at_once = iter(self._restore_whole(small))
        for source, tiled in zip(sources, large, strict=True):
            yield self._restore_in_tiles(source) if tiled else next(at_once)

    def _needs_tiles(self, source: Source) -> bool:
        known = self.manifest.halo is not None and self.manifest.fixed_size is None
        return known and not fits_one_tile(source.height, source.width)

    def _restore_whole(self, sources: Sequence[Source]) -> list[Source]:
        return self.synthesize(self.analyse(sources), [ONE_QUALITY] * len(sources), sources)

    def _restore_in_tiles(self, source: Source) -> Source:
        picture = picture_in(source)

        def work(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return picture_in(self._restore_whole([Picture(pixels)])[0]).pixels

        multiple, halo = self.manifest.multiple, self.manifest.halo or 0
        pixels = run_in_tiles(picture.pixels, work, multiple=multiple, halo=halo)
        return replace(picture, pixels=pixels, notes=())

    def _decode(
        self, y_hat: NDArray[np.float32], quality: float, height: int, width: int
    ) -> NDArray[Any]:
        """Return the decoder's output for y_hat (n, C, h, w), padded."""
        level = np.asarray(quality, np.float32)
        (pixels,) = self.decoder.run(y_hat=y_hat, quality=level)
        padded = self.input.padded(height, width)
        expected = (len(y_hat), *self.manifest.pixels_shape(*padded))
        if pixels.shape != expected:
            raise GraphError(
                f"{self.decoder.file}: gives {pixels.shape} for latents {y_hat.shape}, not "
                f"{expected}; export the bundle again"
            )
        return pixels


def _of_one_quality(qualities: Sequence[float], positions: Sequence[int]) -> Iterable[list[int]]:
    """Return positions apart by quality: the decoder takes one for a whole batch."""
    groups: dict[float, list[int]] = {}
    for position in positions:
        groups.setdefault(qualities[position], []).append(position)
    return groups.values()
