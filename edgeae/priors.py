"""How symbols follow from latents and which table codes each: the two kinds of bundle.

`Hyperprior` predicts means and table rows from hyper-latents and from the steps already known;
`ChannelPrior`, for plain autoencoders, has mean 0 and one row a channel. The codec uses either
through the same four methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from edgeae.entropy.rans import Section
from edgeae.errors import GraphError
from edgeae.known_answer import index_sha256
from edgeae.latents import NO_HYPER_LATENTS
from edgeae.masks import gather, scatter
from edgeae.rounding import cheapest, nearest, thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.entropy.rans import Decoder
    from edgeae.entropy.tables import ChannelTables, ScaleTables
    from edgeae.graphs import Graph, Run

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


class Prior(Protocol):
    """What the codec asks of either kind."""

    def quantize(self, y: NDArray[np.float32], quality: NDArray[np.float32]) -> Coded:
        """Return the rounded latents of ``y`` (C, h, w)."""

    def decode(self, decoder: Decoder, height: int, width: int) -> Coded:
        """Return what ``decoder`` holds of a padded picture of this size in pixels."""

    def restore(self, symbols: NDArray[np.int16], z: NDArray[np.int16]) -> Coded:
        """Return what follows from known symbols."""

    def shapes(self, height: int, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of symbols and z for a padded picture of this size in pixels."""


class ChannelPrior:
    """Mean 0 and one table a channel: the prior of a plain autoencoder."""

    def __init__(self, bundle: Bundle) -> None:
        self._tables = bundle.channel_tables
        self._channels = bundle.manifest.latent_channels
        self._stride = bundle.manifest.stride

    def quantize(self, y: NDArray[np.float32], quality: NDArray[np.float32]) -> Coded:
        """Return ``y`` rounded."""
        return self.restore(nearest(y, self._tables.VALUE_LIMIT), NO_HYPER_LATENTS)

    def decode(self, decoder: Decoder, height: int, width: int) -> Coded:
        """Return the latents in the one section there is."""
        shape, _ = self.shapes(height, width)
        flat = decoder.decode(_channel_indexes(shape), self._tables, last=True)
        return self.restore(flat.astype(np.int16).reshape(shape), NO_HYPER_LATENTS)

    def restore(self, symbols: NDArray[np.int16], z: NDArray[np.int16]) -> Coded:
        """Return the symbols as they are: nothing predicts them."""
        section = _channel_section(symbols, self._tables)
        return Coded(symbols, z, symbols.astype(np.float32), (section,))

    def shapes(self, height: int, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the latents' shape, and (0, 0, 0)."""
        latents = (self._channels, height // self._stride, width // self._stride)
        return latents, NO_HYPER_LATENTS.shape


class Hyperprior:
    """Means and table rows from hyper-latents and from the steps already known."""

    def __init__(self, bundle: Bundle, tables: ScaleTables, encoder: Graph, decoder: Graph) -> None:
        self._manifest = bundle.manifest
        self._masks = bundle.masks
        self._channel_tables = bundle.channel_tables
        self._scale_tables = tables
        self._thresholds = thresholds(tables)
        self._hyper_encoder = encoder
        self._hyper_decoder = decoder

    def quantize(self, y: NDArray[np.float32], quality: NDArray[np.float32]) -> Coded:
        """Return ``y`` at the quality's step size, rounded around the predicted means."""
        scaled, z = self._hyper_encoder.run(y=y[np.newaxis], quality=quality)
        _, hyper = self.shapes(*(length * self._manifest.stride for length in y.shape[1:]))
        _check_shapes("hyper_encoder", (scaled.shape, z.shape), ((1, *y.shape), (1, *hyper)))
        limit = self._scale_tables.VALUE_LIMIT

        def fill(
            _: int,
            mask: NDArray[np.bool_],
            mean: NDArray[np.float32],
            rows: NDArray[np.uint8],
        ) -> NDArray[np.int16]:
            return cheapest(gather(scaled[0], mask) - mean, rows, self._thresholds, limit)

        return self._steps(z[0], fill)

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
        latents = (of.latent_channels, height // of.stride, width // of.stride)
        hyper = (of.hyper_channels, height // of.hyper_stride, width // of.hyper_stride)
        return latents, hyper

    def _steps(self, z: NDArray[np.int16], fill: Fill) -> Coded:
        _, height, width = z.shape
        of = self._manifest
        scale = of.hyper_stride // of.stride
        shape = (of.latent_channels, height * scale, width * scale)
        symbols = np.zeros(shape, np.int16)
        y_hat = np.empty(shape, np.float32)
        sections = [_channel_section(z, self._channel_tables)]
        for step, mask in enumerate(self._masks):
            mean, index = self._hyper_decoder.run(
                z=z[np.newaxis], symbols=symbols[np.newaxis], step=np.asarray(step, np.int64)
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
