"""How symbols follow from latents and which table codes each: the two kinds of bundle.

`Hyperprior` predicts means and table rows from hyper-latents and from the steps already known;
`ChannelPrior`, for plain autoencoders, has mean 0 and one row a channel. The codec uses either
through the same four methods.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from edgeae.bundle import graph_file
from edgeae.coded import NO_Y_HAT, Coded, StepSections
from edgeae.entropy.rans import Section
from edgeae.errors import GraphError
from edgeae.graphs import Graph, only_cpu
from edgeae.known_answer import index_sha256, known_values
from edgeae.latents import NO_HYPER_LATENTS
from edgeae.masks import gather, none_known, overlay, scatter, scatter_pieces
from edgeae.rounding import REFINED_BITS_PER_SQUARE, cheapest, nearest, thresholds
from edgeae.tile_graphs import GraphPair
from edgeae.tiles import Tile, needs_tiles, run_all, tiles_of, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.entropy.rans import Decoder
    from edgeae.entropy.tables import ChannelTables, ScaleTables
    from edgeae.graphs import Run

    Scaled: TypeAlias = Callable[[Tile], NDArray[np.float32]]  # latents of a tile, in steps

HYPER_HALO = 1  # hyper-latents around that either hyper graph sees; edgeae_export checks it
_TRIAL_QUALITY = 50.0


class Prior(Protocol):
    """What the codec asks of either kind."""

    def prepare(self) -> None:
        """Begin to make the sessions that encoding needs."""

    def quantize(self, y: NDArray[np.floating], quality: NDArray[np.float32]) -> Coded:
        """Return the rounded latents of ``y`` (C, h, w).

        With y_hat if ``y`` is float32; of large pictures it may be float16.
        """

    def requantize(self, target: NDArray[np.float32], z: NDArray[np.int16]) -> Coded:
        """Return latents rounded around a target (C, h, w) in steps, under known hyper-latents."""

    def gains(self, quality: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (C,) what a latent of 1 becomes before it is rounded: 1 / step size."""

    def decode(self, decoder: Decoder, height: int, width: int) -> Coded:
        """Return what ``decoder`` holds of a padded picture of this size in pixels."""

    def restore(self, symbols: NDArray[np.int16], z: NDArray[np.int16]) -> Coded:
        """Return what follows from known symbols."""

    def shapes(self, height: int, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of symbols and z for a padded picture of this size in pixels."""


class ChannelPrior:
    """Mean 0 and one table a channel: the prior of a plain autoencoder.

    Latents of the size that a bundle has position tables for have one table each.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._tables = bundle.channel_tables
        self._positions = bundle.position_tables
        self._manifest = bundle.manifest

    def prepare(self) -> None:
        """Do nothing: there are no graphs here."""

    def quantize(self, y: NDArray[np.floating], quality: NDArray[np.float32]) -> Coded:
        """Return ``y`` rounded to the nearest."""
        return self.requantize(y.astype(np.float32, copy=False), NO_HYPER_LATENTS)

    def requantize(self, target: NDArray[np.float32], z: NDArray[np.int16]) -> Coded:
        """Return the target rounded to the nearest."""
        return self.restore(nearest(target, self._tables.VALUE_LIMIT), z)

    def gains(self, quality: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ones: there is one step size."""
        return np.ones(self._manifest.latent_channels, np.float32)

    def decode(self, decoder: Decoder, height: int, width: int) -> Coded:
        """Return the latents in the one section there is."""
        shape, _ = self.shapes(height, width)
        tables, indexes = self._rows(shape)
        flat = decoder.decode(indexes, tables, last=True)
        return self.restore(flat.reshape(shape), NO_HYPER_LATENTS)

    def restore(self, symbols: NDArray[np.int16], z: NDArray[np.int16]) -> Coded:
        """Return the symbols as they are: nothing predicts them."""
        tables, indexes = self._rows(symbols.shape)
        section = Section(symbols.reshape(-1), indexes, tables)
        return Coded(symbols, z, symbols.astype(np.float32), (section,))

    def shapes(self, height: int, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the latents' shape, and (0, 0, 0)."""
        return self._manifest.latents_shape(height, width), NO_HYPER_LATENTS.shape

    def _rows(self, shape: tuple[int, ...]) -> tuple[ChannelTables, NDArray[np.uint16]]:
        """Return the tables of latents of a shape, and the row of each latent."""
        positions = self._positions
        if positions is None or positions.size != shape[1:]:
            return self._tables, _channel_indexes(shape)
        return positions.tables, np.arange(len(positions.tables), dtype=np.uint16)


class Hyperprior:
    """Means and table rows from hyper-latents and from the steps already known.

    Both graphs run on tiles of large pictures: they see no farther than `HYPER_HALO`, so that
    tiles give what the whole gives.
    """

    def __init__(
        self,
        bundle: Bundle,
        tables: ScaleTables,
        encoders: GraphPair[Graph],
        decoders: GraphPair[Graph],
    ) -> None:
        self._manifest = bundle.manifest
        self._masks = bundle.masks
        self._channel_tables = bundle.channel_tables
        self._scale_tables = tables
        self._encoders = encoders
        self._decoders = decoders

    def prepare(self) -> None:
        """Begin to make both sessions."""
        self._encoders.whole.prepare()
        self._decoders.whole.prepare()

    @cached_property  # decoding needs neither of these
    def _thresholds(self) -> NDArray[np.float32]:
        return thresholds(self._scale_tables)

    @cached_property
    def _refined_thresholds(self) -> NDArray[np.float32]:
        return thresholds(self._scale_tables, REFINED_BITS_PER_SQUARE)

    def quantize(self, y: NDArray[np.floating], quality: NDArray[np.float32]) -> Coded:
        """Return ``y`` at the quality's step size, rounded around the predicted means."""
        z = self._hyper_latents(y, quality)
        gains = self.gains(quality)[:, np.newaxis, np.newaxis]

        def scaled(tile: Tile) -> NDArray[np.float32]:
            in_steps: NDArray[np.float32] = np.multiply(y[:, *tile.kept], gains, dtype=np.float32)
            return in_steps

        return self._rounded(scaled, z, self._thresholds, keep=y.dtype == np.float32)

    def requantize(self, target: NDArray[np.float32], z: NDArray[np.int16]) -> Coded:
        """Return latents rounded around a target that knows what the picture wants of each."""
        bounds = self._refined_thresholds
        return self._rounded(lambda tile: target[:, *tile.kept], z, bounds, keep=True)

    def gains(self, quality: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how much the hyper-encoder scales each channel, found on the smallest picture."""
        shape, _ = self.shapes(self._manifest.multiple, self._manifest.multiple)
        y = np.ones((1, *shape), np.float32)
        scaled, z = self._encoders.whole.run(y=y, quality=quality)
        expected = (self._manifest.hyper_channels, 1, 1)
        _check_shapes("hyper_encoder", (scaled.shape, z.shape), (y.shape, (1, *expected)))
        gains: NDArray[np.float32] = scaled[0, :, 0, 0]
        return gains

    def decode(self, decoder: Decoder, height: int, width: int) -> Coded:
        """Return the latents in the sections of hyper-latents and steps."""
        shape, hyper = self.shapes(height, width)
        flat = decoder.decode(_channel_indexes(hyper), self._channel_tables, last=False)
        z = flat.reshape(hyper)
        symbols = np.zeros(shape, np.int16)
        y_hat = self._means_of(symbols)
        last_step = len(self._masks) - 1
        for step, mask in enumerate(self._masks):
            # The rows of all latents take much memory: they go before those of this step are used.
            rows = gather(self._means(z, symbols, y_hat, step), mask)
            pieces = decoder.decode_pieces(rows, self._scale_tables, last=step == last_step)
            scatter_pieces(symbols, mask, pieces)
        _add(y_hat, symbols)
        return Coded(symbols, z, y_hat, ())

    def restore(self, symbols: NDArray[np.int16], z: NDArray[np.int16]) -> Coded:
        """Return means and table rows for known symbols."""
        y_hat = self._means_of(symbols)
        index = np.empty(symbols.shape, np.uint8)
        for step, mask in enumerate(self._masks):
            overlay(index, self._means(z, symbols, y_hat, step), mask)
        _add(y_hat, symbols)
        return Coded(symbols, z, y_hat, self._sections(z, symbols, index))

    def shapes(self, height: int, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of latents and hyper-latents."""
        of = self._manifest
        latents = of.latents_shape(height, width)
        hyper = (of.hyper_channels, height // of.hyper_stride, width // of.hyper_stride)
        return latents, hyper

    def _hyper_latents(
        self, y: NDArray[np.floating], quality: NDArray[np.float32]
    ) -> NDArray[np.int16]:
        of = self._manifest
        height, width = (length * of.stride for length in y.shape[1:])
        _, shape = self.shapes(height, width)
        z = np.empty(shape, np.int16)
        tiles = self._tiles(height, width)
        graph, workers = self._encoders.for_tiles(tiles)

        def work(tile: Tile) -> None:
            seen = y[np.newaxis, :, *tile.over(of.stride).seen].astype(np.float32, copy=False)
            scaled, found = graph.run(y=seen, quality=quality)
            hyper = tile.over(of.hyper_stride)
            expected = (1, *z[:, *hyper.seen].shape)
            _check_shapes("hyper_encoder", (scaled.shape, found.shape), (seen.shape, expected))
            z[:, *hyper.kept] = found[0][:, *hyper.inside]

        run_all(tiles, work, workers)
        return z

    def _rounded(
        self,
        scaled: Scaled,
        z: NDArray[np.int16],
        bounds: NDArray[np.float32],
        *,
        keep: bool,
    ) -> Coded:
        """Return latents rounded tile by tile by `thresholds`; ``keep``: with y_hat."""
        of, limit = self._manifest, self._scale_tables.VALUE_LIMIT
        height, width = (length * of.hyper_stride for length in z.shape[1:])
        shape, _ = self.shapes(height, width)
        tiles = self._tiles(height, width)
        symbols, index = np.zeros(shape, np.int16), np.empty(shape, np.uint8)
        y_hat = np.empty(shape, np.float32) if keep else NO_Y_HAT
        graph, workers = self._decoders.for_tiles(tiles)
        for step, mask in enumerate(self._masks):

            def work(tile: Tile, step: int = step, mask: NDArray[np.bool_] = mask) -> None:
                mean, found = self._predict(graph, z, symbols, step, tile)
                latents = tile.over(of.stride)
                rows, means = gather(found, mask), gather(mean, mask)
                residual = gather(scaled(latents), mask) - means
                values = cheapest(residual, rows, bounds, limit)
                local = np.empty(mean.shape, np.int16)
                scatter(local, mask, values)
                overlay(symbols[:, *latents.kept], local, mask)
                overlay(index[:, *latents.kept], found, mask)
                if keep:
                    overlay(y_hat[:, *latents.kept], mean + local, mask)

            run_all(tiles, work, workers)
        return Coded(symbols, z, y_hat, self._sections(z, symbols, index))

    def _means_of(self, symbols: NDArray[np.int16]) -> NDArray[np.floating]:
        """Return room for the means of all latents.

        Of large pictures they are float16: a mean of 100 steps is off by 0.03, which no one sees.
        """
        tiles = self._tiles(*(length * self._manifest.stride for length in symbols.shape[1:]))
        large = len(tiles) * len(tiles[0]) > 1
        return np.empty(symbols.shape, np.float16 if large else np.float32)

    def _means(
        self,
        z: NDArray[np.int16],
        symbols: NDArray[np.int16],
        y_hat: NDArray[np.floating],
        step: int,
    ) -> NDArray[np.uint8]:
        """Write the means of a step into ``y_hat``; return its table rows, (C, h, w)."""
        of, mask = self._manifest, self._masks[step]
        tiles = self._tiles(*(length * of.stride for length in symbols.shape[1:]))
        graph, workers = self._decoders.for_tiles(tiles)
        index = np.empty(symbols.shape, np.uint8)

        def work(tile: Tile) -> None:
            mean, found = self._predict(graph, z, symbols, step, tile)
            latents = tile.over(of.stride)
            index[:, *latents.kept] = found
            overlay(y_hat[:, *latents.kept], mean, mask)

        run_all(tiles, work, workers)
        return index

    def _predict(
        self,
        graph: Graph,
        z: NDArray[np.int16],
        symbols: NDArray[np.int16],
        step: int,
        tile: Tile,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return the means and table rows of a tile's latents, (C, h, w) each."""
        of = self._manifest
        hyper, latents = tile.over(of.hyper_stride), tile.over(of.stride)
        seen = symbols[:, *latents.seen]
        known = none_known(len(seen)) if step == 0 else np.zeros((1, *seen.shape), np.int16)
        for earlier in self._masks[:step]:  # not those of this step that are there already
            overlay(known[0], seen, earlier)
        mean, index = graph.run(
            z=np.ascontiguousarray(z[np.newaxis, :, *hyper.seen]),
            symbols=known,
            step=np.asarray(step, np.int64),
        )
        _check_shapes("hyper_decoder", (mean.shape, index.shape), ((1, *seen.shape),) * 2)
        mean, index = mean[0][:, *latents.inside], index[0][:, *latents.inside]
        if (top := int(index.max(initial=0))) >= len(self._scale_tables):
            raise GraphError(
                f"hyper_decoder.onnx: gives scale index {top}, there are "
                f"{len(self._scale_tables)} tables; export the bundle again"
            )
        return mean, index

    def _tiles(self, height: int, width: int) -> list[list[Tile]]:
        """Return the tiles of a padded picture; one if it is small or the bundle has no halo."""
        of = self._manifest
        if of.halo is None or not needs_tiles(height, width):
            return whole(height, width)
        halo = HYPER_HALO * of.hyper_stride
        return tiles_of(height, width, multiple=of.multiple, stride=of.hyper_stride, halo=halo)

    def _sections(
        self, z: NDArray[np.int16], symbols: NDArray[np.int16], index: NDArray[np.uint8]
    ) -> StepSections:
        hyper = _channel_section(z, self._channel_tables)
        return StepSections(hyper, symbols, index, self._masks, self._scale_tables)


def open_prior(bundle: Bundle, *, provider: str, threads: int) -> Prior:
    """Return the prior of ``bundle``; no session is made yet.

    The hyper-decoder runs on the CPU whatever the provider, so that every machine decodes the same
    symbols.
    """
    if bundle.scale_tables is None:
        return ChannelPrior(bundle)

    def encoder(threads: int) -> Graph:
        return Graph(
            "hyper_encoder",
            partial(bundle.read, graph_file("hyper_encoder")),
            provider=provider,
            threads=threads,
            trial=partial(_made_latents, bundle),
        )

    def decoder(threads: int) -> Graph:
        return Graph(
            "hyper_decoder",
            partial(bundle.read, graph_file("hyper_decoder")),
            threads=threads,
            self_test=partial(check_known_answer, bundle),
        )

    encoders = GraphPair(encoder(threads), encoder, threads=threads if only_cpu(provider) else 1)
    decoders = GraphPair(decoder(threads), decoder, threads=threads)
    return Hyperprior(bundle, bundle.scale_tables, encoders, decoders)


def check_known_answer(bundle: Bundle, run: Run) -> None:
    """Raise GraphError unless this machine's hyper-decoder gives the indexes of the manifest."""
    answer = bundle.manifest.known_answer
    if answer is None:
        return

    def scale_indexes(
        z: NDArray[np.int16], symbols: NDArray[np.int16], step: int
    ) -> NDArray[np.uint8]:
        index: NDArray[np.uint8] = run(z=z, symbols=symbols, step=np.asarray(step, np.int64))[1]
        return index

    scale = bundle.manifest.hyper_stride // bundle.manifest.stride
    found = index_sha256(scale_indexes, bundle.masks, answer.z_seed, answer.shape, scale)
    if found != answer.index_sha256:
        raise GraphError(
            f"hyper_decoder.onnx of {bundle.manifest.name}: known answer has SHA-256 {found}, the "
            f"manifest says {answer.index_sha256}; this onnxruntime would decode noise, install "
            f"another version of it"
        )


def _made_latents(bundle: Bundle) -> dict[str, NDArray[np.float32]]:
    """Return what the hyper-encoder takes, for the smallest picture."""
    manifest = bundle.manifest
    shape = manifest.latents_shape(manifest.multiple, manifest.multiple)
    y = known_values(0, (1, *shape)).astype(np.float32)
    return {"y": y, "quality": np.asarray(_TRIAL_QUALITY, np.float32)}


def _add(y_hat: NDArray[np.floating], symbols: NDArray[np.int16]) -> None:
    """Add symbols to their means, channel by channel: in between all would be float32."""
    for means, values in zip(y_hat, symbols, strict=True):
        np.add(means, values, out=means, casting="same_kind")


def _check_shapes(
    graph: str, found: tuple[tuple[int, ...], ...], expected: tuple[tuple[int, ...], ...]
) -> None:
    if found != expected:
        raise GraphError(
            f"{graph}.onnx: gives outputs of {found}, not {expected}; export the bundle again"
        )


def _channel_section(values: NDArray[np.int16], tables: ChannelTables) -> Section:
    return Section(values.reshape(-1), _channel_indexes(values.shape), tables)


def _channel_indexes(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    channels, height, width = shape
    return np.repeat(np.arange(channels, dtype=np.uint16), height * width)
