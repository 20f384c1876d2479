"""What a replaced encoder or decoder costs: rate and distortion against the float bundle.

To first order, in percent of rate at equal distortion: the change of the logarithm of the rate,
plus the loss in dB times the slope of the float bundle's rate-distortion curve at that quality.
Averaged over qualities this is the BD-rate of two curves that lie close together, and it can be
averaged over pictures and computed for one layer, one quality or one crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.bundle import graph_file
from edgeae.graphs import Graph
from edgeae.priors import ChannelPrior, Hyperprior
from edgeae.tile_graphs import GraphPair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.priors import Prior

DB_PER_BIT = 6.02  # a bit more a latent halves its step
PEAK = 255.0
GROUP = 4  # crops whose errors are pooled, as the parts of a picture are: skies with trees
LEAST_ERROR = 1e-3  # squared grey levels


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """A crop at a quality, through the float bundle."""

    pixels: NDArray[np.uint8]  # (1, H, W, 3)
    quality: NDArray[np.float32]  # ()
    y_hat: NDArray[np.float32]  # (1, C, h, w)
    bits: float


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A quality's bits per pixel, and its PSNR in dB as a mean over groups of crops."""

    bpp: float
    psnr: float


class Judge:
    """Holds crops coded by the float bundle, and compares."""

    def __init__(
        self,
        bundle: Bundle,
        crops: Sequence[NDArray[np.uint8]],
        qualities: Sequence[float],
        threads: int = 1,
    ) -> None:
        self.bundle = bundle
        self.qualities = tuple(np.array(q, np.float32) for q in qualities)
        self._threads = threads
        self._encoder, self._decoder = self._stored("encoder"), self._stored("decoder")
        self._prior = self._open_prior()
        self.crops = tuple(crop[np.newaxis] for crop in crops)
        self.codings = self._code([self._encoder.run(pixels=crop)[0] for crop in self.crops])
        self.float_points = self._points(self.codings, self._decoder)
        self._slopes = self._rate_slopes()

    def decoder_cost(self, model: bytes) -> float:
        """Return what this decoder costs in place of the float one, percent of rate."""
        return self.cost_of(self._points(self.codings, self._graph("decoder", model)))

    def encoder_cost(self, model: bytes) -> float:
        """Return what this encoder costs in place of the float one, percent of rate."""
        return self.cost_of(self._points(self._encoded(model), self._decoder))

    def points(self, encoder: bytes, decoder: bytes) -> tuple[Point, ...]:
        """Return rate and distortion of these graphs at each quality."""
        return self._points(self._encoded(encoder), self._graph("decoder", decoder))

    def cost_of(self, points: Sequence[Point]) -> float:
        """Return what graphs with these `points` cost, percent of rate."""
        costs = [
            np.log(found.bpp / float_.bpp) + slope * (float_.psnr - found.psnr)
            for found, float_, slope in zip(points, self.float_points, self._slopes, strict=True)
        ]
        return float(100 * np.mean(costs))

    def _encoded(self, model: bytes) -> list[Coding]:
        encoder = self._graph("encoder", model)
        return self._code([encoder.run(pixels=crop)[0] for crop in self.crops])

    def _code(self, latents: Sequence[NDArray[np.float32]]) -> list[Coding]:
        codings = []
        for quality in self.qualities:
            for pixels, y in zip(self.crops, latents, strict=True):
                coded = self._prior.quantize(y[0], quality)
                codings.append(Coding(pixels, quality, coded.y_hat[np.newaxis], coded.bits))
        return codings

    def _points(self, codings: Sequence[Coding], decoder: Graph) -> tuple[Point, ...]:
        points = []
        for quality in self.qualities:
            of = [c for c in codings if c.quality is quality]
            errors = np.array([_squared_error(coding, decoder) for coding in of])
            pixels = sum(c.pixels.shape[1] * c.pixels.shape[2] for c in of)
            groups = np.array_split(errors, -(-len(errors) // GROUP))
            psnr = np.mean([10 * np.log10(PEAK**2 / max(g.mean(), LEAST_ERROR)) for g in groups])
            points.append(Point(sum(c.bits for c in of) / pixels, float(psnr)))
        return tuple(points)

    def _rate_slopes(self) -> NDArray[np.float64]:
        """Return the slope of the logarithm of the rate over dB at each quality."""
        rates = np.log([p.bpp for p in self.float_points])
        psnrs = np.array([p.psnr for p in self.float_points])
        if len(rates) > 1 and np.all(np.diff(rates) > 0.01) and np.all(np.diff(psnrs) > 0.01):
            return np.gradient(rates, psnrs)
        # one rate only: every latent's step halves at a bit more
        manifest = self.bundle.manifest
        latents_per_pixel = manifest.latent_channels / manifest.stride**2
        return latents_per_pixel / DB_PER_BIT / np.exp(rates)

    def _open_prior(self) -> Prior:
        tables = self.bundle.scale_tables
        if tables is None:
            return ChannelPrior(self.bundle)
        pairs = [  # of one graph each: a crop is run whole
            GraphPair(graph, lambda _, graph=graph: graph, threads=1)  # type: ignore[misc]  # bound now
            for graph in map(self._stored, ("hyper_encoder", "hyper_decoder"))
        ]
        return Hyperprior(self.bundle, tables, pairs[0], pairs[1])

    def _stored(self, name: str) -> Graph:
        return self._graph(name, self.bundle.read(graph_file(name)))

    def _graph(self, name: str, model: bytes) -> Graph:
        return Graph(name, lambda: model, threads=self._threads)


def _squared_error(coding: Coding, decoder: Graph) -> float:
    (pixels,) = decoder.run(y_hat=coding.y_hat, quality=coding.quality)
    return float(np.square(pixels.astype(np.float64) - coding.pixels).mean())
