"""What a replaced encoder or decoder costs: rate and distortion against the float bundle.

To first order, in percent of rate at equal distortion: the change of the logarithm of the rate,
plus the loss in dB times the slope of the float bundle's rate-distortion curve at that quality.
Averaged over qualities this is the BD-rate of two curves that lie close together, and it can be
averaged over pictures and computed for one layer, one quality or one crop.

Crops are coded as users' pictures are, at the default effort and by the graphs that are judged: a
round of analysis by synthesis takes the encoder's errors for errors of the latents, and makes up
for some of the decoder's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from edgeae.bundle import FP32, Bundle, graph_file
from edgeae.codec import Codec
from edgeae.correction import corrected, section_bits
from edgeae.graphs import Graph
from edgeae.latents import round_quality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

DB_PER_BIT = 6.02  # a bit more a latent halves its step
PEAK = 255.0
GROUP = 4  # crops whose errors are pooled, as the parts of a picture are: skies with trees
LEAST_ERROR = 1e-3  # squared grey levels


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """A crop at a quality, decoded by whatever decoder is to be judged."""

    pixels: NDArray[np.uint8]  # (H, W, 3), or (H, W, 1) of grey
    quality: NDArray[np.float32]  # ()
    y_hat: NDArray[np.float32]  # (1, C, h, w)
    correction: NDArray[np.int8] | None
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
        self.qualities = tuple(np.array(round_quality(q), np.float32) for q in qualities)
        self._threads = threads
        self.crops = tuple(crops)
        self._decoder = bundle.read(graph_file("decoder"))
        self.codings = self._code({})
        self.float_points = self._points(self.codings, self._decoder)
        self._slopes = self._rate_slopes()

    def cost(self, graphs: Mapping[str, bytes]) -> float:
        """Return what ``graphs``, by name, cost in place of the float ones, percent of rate."""
        return self.cost_of(self.points(graphs))

    def points(self, graphs: Mapping[str, bytes]) -> tuple[Point, ...]:
        """Return rate and distortion at each quality with ``graphs`` in place of the float ones."""
        return self._points(self._code(graphs), graphs.get("decoder", self._decoder))

    def cost_of(self, points: Sequence[Point]) -> float:
        """Return what graphs with these `points` cost, percent of rate."""
        costs = [
            np.log(found.bpp / float_.bpp) + slope * (float_.psnr - found.psnr)
            for found, float_, slope in zip(points, self.float_points, self._slopes, strict=True)
        ]
        return float(100 * np.mean(costs))

    def _code(self, graphs: Mapping[str, bytes]) -> list[Coding]:
        values = {of.name: getattr(self.bundle, of.name) for of in fields(Bundle)}
        files = {graph_file(name): model for name, model in graphs.items()}
        codec = Codec(_Trial(**values, changed=files), precision=FP32, threads=self._threads)
        pictures = [crop[..., 0] if crop.shape[-1] == 1 else crop for crop in self.crops]
        codings = []
        for quality in self.qualities:
            encodings = codec.reach_many(pictures, float(quality))
            for pixels, coded in zip(self.crops, (e.coded for e in encodings), strict=True):
                bits = coded.bits + section_bits(coded.correction)
                y_hat = coded.y_hat[np.newaxis].astype(np.float32, copy=False)
                codings.append(Coding(pixels, quality, y_hat, coded.correction, bits))
        return codings

    def _points(self, codings: Sequence[Coding], model: bytes) -> tuple[Point, ...]:
        decoder = Graph("decoder", lambda: model, threads=self._threads)
        points = []
        for quality in self.qualities:
            of = [c for c in codings if c.quality is quality]
            errors = np.array([_squared_error(coding, decoder) for coding in of])
            pixels = sum(c.pixels.shape[0] * c.pixels.shape[1] for c in of)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Trial(Bundle):
    """A bundle with graphs that are not in its folder."""

    changed: Mapping[str, bytes]  # by name of file

    def read(self, name: str) -> bytes:
        return self.changed[name] if name in self.changed else Bundle.read(self, name)


def _squared_error(coding: Coding, decoder: Graph) -> float:
    (decoded,) = decoder.run(y_hat=coding.y_hat, quality=coding.quality)[0]
    if coding.correction is not None:
        decoded = corrected(decoded, coding.correction).reshape(decoded.shape)
    return float(np.square(decoded.astype(np.float64) - coding.pixels).mean())
