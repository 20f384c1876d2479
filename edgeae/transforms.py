"""The two networks of a bundle with what stands before and after them: pictures to floats and back.

encoder: picture -> padded samples -> y; decoder: y_hat -> samples -> picture, of the size it had
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.batches import alike, windows
from edgeae.crops import Crop
from edgeae.errors import GraphError
from edgeae.graphs import only_cpu
from edgeae.images.padding import extend
from edgeae.images.picture import Picture
from edgeae.images.strips import Strips
from edgeae.inputs import INPUTS, picture_in, with_channels
from edgeae.precision import check_precision, open_graph
from edgeae.tile_graphs import GraphPair
from edgeae.tiles import (
    RESTORE_SIDE,
    needs_tiles,
    run_all,
    run_in_tiles,
    run_rows,
    tiles_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.inputs import ImageLike, Input, Label, Source
    from edgeae.latents import Latents
    from edgeae.precision import ChosenGraph
    from edgeae.tiles import Tile

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
        self._encoders, self._decoders = (
            _open_pair(bundle, name, precision, provider, threads)
            for name in ("encoder", "decoder")
        )
        self.encoder, self.decoder = self._encoders.whole, self._decoders.whole
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

    def is_large(self, height: int, width: int) -> bool:
        """Return whether a picture of this size is run in tiles."""
        return self._takes_tiles and needs_tiles(*self.input.padded(height, width))

    def analyse_large(self, source: Source, dtype: type[np.floating]) -> NDArray[np.floating]:
        """Return the latents (C, h, w) of a large picture before rounding."""
        return self._analyse_tiles(picture_in(source).pixels, dtype)

    def reanalyse(self, samples: NDArray[Any], label: Label) -> NDArray[np.float32]:
        """Return the latents (C, h, w) of samples that were decoded, before rounding."""
        source = self.input.finish(samples, label)
        if self.is_large(label.height, label.width):
            return self.analyse_large(source, np.float32).astype(np.float32, copy=False)
        return self.analyse([source])[0]

    def synthesize(
        self,
        y_hats: Sequence[NDArray[np.float32]],
        qualities: Sequence[float],
        beside: Sequence[Latents | Source],
    ) -> list[Source]:
        """Return what each of ``y_hats`` (C, h, w) decodes to; ``beside`` say all but that."""
        found: dict[int, Source] = {}
        for equal in alike(y_hats, together=self.decoder.takes_batches):
            first = equal[0]
            if self.is_large(beside[first].height, beside[first].width):
                for position in equal:
                    of = beside[position]
                    pixels = self.synthesize_samples(
                        y_hats[position], qualities[position], of.height, of.width, of.mode
                    )
                    found[position] = self.input.finish(pixels, of)
                continue
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
        self, y_hat: NDArray[np.floating], quality: float, height: int, width: int, mode: str
    ) -> NDArray[Any]:
        """Return the samples that ``y_hat`` (C, h, w) decodes to, of a size that may be made up."""
        if self.is_large(height, width):
            rows = self.strips(y_hat, quality, Crop(0, 0, width, height), mode)
            return Strips(width, height, "L" if mode.startswith("L") else "RGB", rows).array()
        pixels = self._decode(y_hat[np.newaxis], quality, height, width)[0]
        return self.input.cut(pixels, height, width, mode)

    def strips(
        self, y_hat: NDArray[np.floating], quality: float, crop: Crop, mode: str
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the rows of a part of a picture, some at a time, from the top.

        Only the tiles that have a share in it are decoded. The picture is a large one: each pixel
        depends on its size and ``y_hat`` alone, not on the part that was asked for.

        Parameters
        ----------
        y_hat : (C, h, w) floats
            Of the whole picture.
        quality : float
        crop : Crop
            Within the picture.
        mode : str
            Of the picture.

        Yields
        ------
        (n, crop.width) or (n, crop.width, 3) uint8
        """
        for rows in self._strips(y_hat, quality, crop):
            yield self.input.cut(rows, len(rows), crop.width, mode)

    def restore(self, sources: Sequence[Source]) -> Iterator[Source]:
        """Yield decoder(encoder(x)) of each, large ones in tiles if the bundle has a halo."""
        large = [self._restores_in_tiles(source) for source in sources]
        small = [source for source, tiled in zip(sources, large, strict=True) if not tiled]
        at_once = iter(self._restore_whole(small))
        for source, tiled in zip(sources, large, strict=True):
            yield self._restore_in_tiles(source) if tiled else next(at_once)

    def _restores_in_tiles(self, source: Source) -> bool:
        return self._takes_tiles and max(source.height, source.width) > RESTORE_SIDE

    @property
    def _takes_tiles(self) -> bool:
        """Whether pictures may be of any size, and it is known how far the networks see."""
        return self.manifest.halo is not None and self.manifest.fixed_size is None

    def _restore_whole(self, sources: Sequence[Source]) -> list[Source]:
        return self.synthesize(self.analyse(sources), [ONE_QUALITY] * len(sources), sources)

    def _restore_in_tiles(self, source: Source) -> Source:
        picture = picture_in(source)

        def work(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return picture_in(self._restore_whole([Picture(pixels)])[0]).pixels

        multiple, halo = self.manifest.multiple, self.manifest.halo or 0
        pixels = run_in_tiles(picture.pixels, work, multiple=multiple, halo=halo, side=RESTORE_SIDE)
        return replace(picture, pixels=pixels, notes=())

    def _tiles(self, height: int, width: int) -> list[list[Tile]]:
        """Return the tiles of a large padded picture."""
        of = self.manifest
        return tiles_of(height, width, multiple=of.multiple, stride=of.stride, halo=of.halo or 0)

    def _analyse_tiles(
        self, pixels: NDArray[np.uint8], dtype: type[np.floating]
    ) -> NDArray[np.floating]:
        """Return the latents (C, h, w) of (H, W) or (H, W, 3) pixels, which are padded here."""
        height, width = self.input.padded(*pixels.shape[:2])
        y = np.empty(self.manifest.latents_shape(height, width), dtype)
        tiles = self._tiles(height, width)
        graph, workers = self._encoders.for_tiles(tiles)

        def work(tile: Tile) -> None:
            rows, columns = tile.seen
            seen = extend(
                pixels[rows, columns], rows.stop - rows.start, columns.stop - columns.start
            )
            samples = with_channels(seen, self.manifest)[np.newaxis]
            (found,) = graph.run(pixels=np.ascontiguousarray(samples))
            latents = tile.over(self.manifest.stride)
            expected = (1, *y[:, *latents.seen].shape)
            if found.shape != expected:
                raise _wrong_shape(graph, found, samples, expected)
            y[:, *latents.kept] = found[0][:, *latents.inside]

        run_all(tiles, work, workers)
        return y

    def _strips(
        self, y_hat: NDArray[np.floating], quality: float, crop: Crop
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the decoder's output for the rows of a part of a large picture."""
        stride = self.manifest.stride
        tiles = crop.of(self._tiles(*(length * stride for length in y_hat.shape[1:])))
        graph, workers = self._decoders.for_tiles(tiles)
        level = np.asarray(quality, np.float32)

        def work(tile: Tile) -> NDArray[np.uint8]:
            seen = y_hat[np.newaxis, :, *tile.over(stride).seen]
            seen = np.ascontiguousarray(seen, np.float32)
            (pixels,) = graph.run(y_hat=seen, quality=level)
            sides = (side.stop - side.start for side in tile.seen)
            expected = (1, *self.manifest.pixels_shape(*sides))
            if pixels.shape != expected:
                raise _wrong_shape(graph, pixels, seen, expected)
            inside: NDArray[np.uint8] = pixels[0][tile.inside].copy()  # not the surroundings too
            return inside

        for row, found in run_rows(tiles, work, workers):
            yield crop.cut(row, found)

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


def _open_pair(
    bundle: Bundle, name: str, precision: str, provider: str, threads: int
) -> GraphPair[ChosenGraph]:
    whole = open_graph(bundle, name, precision=precision, provider=provider, threads=threads)

    def tiled(threads: int) -> ChosenGraph:  # in the precision of the other, chosen once
        return open_graph(
            bundle, name, precision=whole.precision, provider=provider, threads=threads
        )

    return GraphPair(whole, tiled, threads=threads if only_cpu(provider) else 1)


def _wrong_shape(
    graph: ChosenGraph, found: NDArray[Any], given: NDArray[Any], expected: tuple[int, ...]
) -> GraphError:
    return GraphError(
        f"{graph.file}: gives {found.shape} for {given.shape}, not {expected}; "
        f"export the bundle again"
    )


def _of_one_quality(qualities: Sequence[float], positions: Sequence[int]) -> Iterable[list[int]]:
    """Return positions apart by quality: the decoder takes one for a whole batch."""
    groups: dict[float, list[int]] = {}
    for position in positions:
        groups.setdefault(qualities[position], []).append(position)
    return groups.values()
