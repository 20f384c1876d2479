"""How symbols follow from latents and which table codes each: the two kinds of bundle.

`Hyperprior` predicts means and table rows from hyper-latents and from the steps already known;
`ChannelPrior`, for plain autoencoders, has mean 0 and one row a channel. The codec uses either
through the same four methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from edgeae.bundle import graph_file
from edgeae.entropy.rans import Section
from edgeae.errors import GraphError
from edgeae.graphs import Graph
from edgeae.known_answer import index_sha256
from edgeae.latents import NO_HYPER_LATENTS
from edgeae.masks import gather, none_known, scatter
from edgeae.refine import (
    REFINED_BITS_PER_SQUARE,
    TRIAL_CONTRAST,
    by_trial,
    cost_by_position,
    refined,
    worth_a_trial,
)
from edgeae.rounding import cheapest, nearest, thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.entropy.rans import Decoder
    from edgeae.entropy.tables import ChannelTables, ScaleTables
    from edgeae.graphs import Run
    from edgeae.refine import Reanalyse

    # (step, its mask, predicted means, table rows) -> symbols, all flat but the mask
    Fill: TypeAlias = Callable[
        [int, NDArray[np.bool_], NDArray[np.float32], NDArray[np.uint8]], NDArray[Any]
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Latents of one picture, rounded, and what the entropy coder needs to write them."""

    symbols: NDArray[np.int16]  # (C, h, w)
    z: NDArray[np.int16]  # (Cz, hz, wz), (0, 0, 0) without hyper-latents
    y_hat: NDArray[np.float32]  # (C, h, w), what the decoder network takes
    sections: tuple[Section, ...]  # in coding order

    @property
    def bits(self) -> float:
        """What the sections cost by the tables; lanes and container come on top."""
        return math.fsum(section.cost_bits for section in self.sections)


class Prior(Protocol):
    """What the codec asks of either kind."""

    def prepare(self) -> None:
        """Begin to make the sessions that encoding needs."""

    def quantize(self, y: NDArray[np.float32], quality: NDArray[np.float32], effort: int) -> Coded:
        """Return the rounded latents of ``y`` (C, h, w); ``effort`` is 0, 1 or 2."""

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

    def quantize(self, y: NDArray[np.float32], quality: NDArray[np.float32], effort: int) -> Coded:
        """Return ``y`` rounded to the nearest at every effort."""
        return self.restore(nearest(y, self._tables.VALUE_LIMIT), NO_HYPER_LATENTS)

    def gains(self, quality: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ones: there is one step size."""
        return np.ones(self._manifest.latent_channels, np.float32)

    def decode(self, decoder: Decoder, height: int, width: int) -> Coded:
        """Return the latents in the one section there is."""
        shape, _ = self.shapes(height, width)
        tables, indexes = self._rows(shape)
        flat = decoder.decode(indexes, tables, last=True)
        return self.restore(flat.astype(np.int16).reshape(shape), NO_HYPER_LATENTS)

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
    """Means and table rows from hyper-latents and from the steps already known."""

    def __init__(
        self,
        bundle: Bundle,
        tables: ScaleTables,
        encoder: Graph,
        decoder: Graph,
        reanalyse: Reanalyse,
    ) -> None:
        self._manifest = bundle.manifest
        self._masks = bundle.masks
        self._channel_tables = bundle.channel_tables
        self._scale_tables = tables
        self._reanalyse = reanalyse
        self._hyper_encoder = encoder
        self._hyper_decoder = decoder

    def prepare(self) -> None:
        """Begin to make both sessions."""
        self._hyper_encoder.prepare()
        self._hyper_decoder.prepare()

    @cached_property  # decoding needs neither of these
    def _thresholds(self) -> NDArray[np.float32]:
        return thresholds(self._scale_tables)

    @cached_property
    def _refined_thresholds(self) -> NDArray[np.float32]:
        return thresholds(self._scale_tables, REFINED_BITS_PER_SQUARE)

    def quantize(self, y: NDArray[np.float32], quality: NDArray[np.float32], effort: int) -> Coded:
        """Return ``y`` at the quality's step size, rounded around the predicted means."""
        scaled, z = self._hyper_encoder.run(y=y[np.newaxis], quality=quality)
        _, hyper = self.shapes(*(length * self._manifest.stride for length in y.shape[1:]))
        _check_shapes("hyper_encoder", (scaled.shape, z.shape), ((1, *y.shape), (1, *hyper)))
        if effort == 0:
            return self._nearest(scaled[0], z[0])
        coded = self._cheapest(scaled[0], z[0], self._thresholds)
        if effort == 1:
            return coded
        return self._refined(y, quality, coded)

    def gains(self, quality: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how much the hyper-encoder scales each channel, found on the smallest picture."""
        shape, _ = self.shapes(self._manifest.multiple, self._manifest.multiple)
        scaled, _ = self._hyper_encoder.run(y=np.ones((1, *shape), np.float32), quality=quality)
        gains: NDArray[np.float32] = scaled[0, :, 0, 0]
        return gains

    def decode(self, decoder: Decoder, height: int, width: int) -> Coded:
        """Return the latents in the sections of hyper-latents and steps."""
        _, shape = self.shapes(height, width)
        flat = decoder.decode(_channel_indexes(shape), self._channel_tables, last=False)
        last_step = len(self._masks) - 1

        def fill(
            step: int,
            _: NDArray[np.bool_],
            __: NDArray[np.float32],
            rows: NDArray[np.uint8],
        ) -> NDArray[np.int32]:
            return decoder.decode(rows, self._scale_tables, last=step == last_step)

        return self._steps(flat.astype(np.int16).reshape(shape), fill)

    def restore(self, symbols: NDArray[np.int16], z: NDArray[np.int16]) -> Coded:
        """Return means and table rows for known symbols."""
        return self._steps(z, lambda _step, mask, _mean, _rows: gather(symbols, mask))

    def shapes(self, height: int, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of latents and hyper-latents."""
        of = self._manifest
        latents = of.latents_shape(height, width)
        hyper = (of.hyper_channels, height // of.hyper_stride, width // of.hyper_stride)
        return latents, hyper

    def _refined(self, y: NDArray[np.float32], quality: NDArray[np.float32], first: Coded) -> Coded:
        gains = self.gains(quality)[:, np.newaxis, np.newaxis]

        def missing(y_hat: NDArray[np.float32]) -> NDArray[np.float32]:
            return (y - self._reanalyse(y_hat, quality)) * gains

        def round_to(target: NDArray[np.float32], z: NDArray[np.int16]) -> Coded:
            return self._cheapest(target, z, self._refined_thresholds)

        def round_by_trial(target: NDArray[np.float32]) -> Coded:
            if not worth_a_trial(first):
                return round_to(target, first.z)
            contrasted = (y * np.float32(TRIAL_CONTRAST))[np.newaxis]
            _, z = self._hyper_encoder.run(y=contrasted, quality=quality)
            return by_trial(
                (first.z, z[0]),
                partial(round_to, target),
                lambda coded: cost_by_position(coded, target, self._masks),
            )

        return refined(first, missing, (partial(round_to, z=first.z), round_by_trial))

    def _nearest(self, scaled: NDArray[np.float32], z: NDArray[np.int16]) -> Coded:
        def fill(
            _: int, mask: NDArray[np.bool_], mean: NDArray[np.float32], rows: NDArray[np.uint8]
        ) -> NDArray[np.int16]:
            symbols = nearest(gather(scaled, mask) - mean, self._scale_tables.VALUE_LIMIT)
            symbols[rows == 0] = 0
            return symbols

        return self._steps(z, fill)

    def _cheapest(
        self, scaled: NDArray[np.float32], z: NDArray[np.int16], bounds: NDArray[np.float32]
    ) -> Coded:
        def fill(
            _: int, mask: NDArray[np.bool_], mean: NDArray[np.float32], rows: NDArray[np.uint8]
        ) -> NDArray[np.int16]:
            residual = gather(scaled, mask) - mean
            return cheapest(residual, rows, bounds, self._scale_tables.VALUE_LIMIT)

        return self._steps(z, fill)

    def _steps(self, z: NDArray[np.int16], fill: Fill) -> Coded:
        _, height, width = z.shape
        of = self._manifest
        scale = of.hyper_stride // of.stride
        shape = (of.latent_channels, height * scale, width * scale)
        symbols = np.zeros(shape, np.int16)
        y_hat = np.empty(shape, np.float32)
        sections = [_channel_section(z, self._channel_tables)]
        for step, mask in enumerate(self._masks):
            known = symbols[np.newaxis] if step else none_known(of.latent_channels)
            mean, index = self._hyper_decoder.run(
                z=z[np.newaxis], symbols=known, step=np.asarray(step, np.int64)
            )
            _check_shapes("hyper_decoder", (mean.shape, index.shape), ((1, *shape),) * 2)
            step_mean, rows = gather(mean[0], mask), gather(index[0], mask)
            if (top := int(rows.max(initial=0))) >= len(self._scale_tables):
                raise GraphError(
                    f"hyper_decoder.onnx: gives scale index {top}, there are "
                    f"{len(self._scale_tables)} tables; export the bundle again"
                )
            values = fill(step, mask, step_mean, rows)
            scatter(symbols, mask, values)
            step_mean += values
            scatter(y_hat, mask, step_mean)
            sections.append(Section(values, rows, self._scale_tables))
        return Coded(symbols, z, y_hat, tuple(sections))


def open_prior(bundle: Bundle, *, provider: str, threads: int, reanalyse: Reanalyse) -> Prior:
    """Return the prior of ``bundle``; no session is made yet.

    The hyper-decoder runs on the CPU whatever the provider, so that every machine decodes the same
    symbols.
    """
    if bundle.scale_tables is None:
        return ChannelPrior(bundle)
    hyper_decoder = Graph(
        "hyper_decoder",
        partial(bundle.read, graph_file("hyper_decoder")),
        threads=threads,
        self_test=partial(check_known_answer, bundle),
    )
    read = partial(bundle.read, graph_file("hyper_encoder"))
    hyper_encoder = Graph("hyper_encoder", read, provider=provider, threads=threads)
    return Hyperprior(bundle, bundle.scale_tables, hyper_encoder, hyper_decoder, reanalyse)


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
