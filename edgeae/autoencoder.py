"""What a plain autoencoder's latents are for without rounding: embed, generate, restore pictures.

Points between the two networks, and what can be done with them, are in `edgeae.latent_space`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.batches import windows_of
from edgeae.errors import BundleError, GraphError
from edgeae.transforms import ONE_QUALITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edgeae.inputs import ImageLike, Source
    from edgeae.manifest import Manifest
    from edgeae.transforms import Transforms


class Autoencoder:
    """The transforms of a bundle in the network's own units, nothing rounded."""

    def __init__(self, transforms: Transforms) -> None:
        self._transforms = transforms
        self._manifest = transforms.manifest
        self._units = _units(transforms.manifest)

    def embed(self, images: Iterable[ImageLike]) -> Iterator[NDArray[np.float32]]:
        """Yield the latents (C, h, w) of each picture."""
        for window in self._transforms.read(images):
            for y in self._transforms.analyse(window):
                yield y * self._units

    def posterior(
        self, images: Iterable[ImageLike]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
        """Yield the latents (C, h, w) of each picture, and their standard deviations if any."""
        for window in self._transforms.read(images):
            for y, log_variance in self._transforms.posteriors(window):
                deviation = None if log_variance is None else np.exp(0.5 * log_variance)
                yield y * self._units, deviation

    def reconstruct(self, images: Iterable[ImageLike]) -> Iterator[Source]:
        """Yield decoder(encoder(x)) of each; the errors are those of `check_plain`."""
        self.check_plain()
        for window in self._transforms.read(images):
            yield from self._transforms.restore(window)

    def generate(self, latents: NDArray[np.float32]) -> NDArray[Any]:
        """Return the decoder's output for latents (n, C, h, w).

        Raises
        ------
        BundleError
            As of `check_plain`.
        GraphError
            The latents are of another shape.
        """
        self.check_plain()
        channels = self._manifest.latent_channels
        latents = np.asarray(latents)
        if latents.ndim != 4 or latents.shape[1] != channels or 0 in latents.shape:
            raise GraphError(
                f"latents of {latents.shape}: bundle {self._manifest.name} decodes "
                f"(n, {channels}, h, w) of at least one picture"
            )
        y_hat = np.asarray(latents / self._units, np.float32)
        level = np.asarray(ONE_QUALITY, np.float32)
        values = math.prod(self._manifest.fixed_size or y_hat.shape[2:])
        if self._manifest.fixed_size is None:
            values *= self._manifest.stride**2
        decoder = self._transforms.decoder
        pieces = windows_of(y_hat, values, together=decoder.takes_batches)
        return np.concatenate([decoder.run(y_hat=y, quality=level)[0] for y in pieces])

    def decode_like(self, latents: NDArray[np.float32], source: Source) -> list[Source]:
        """Return what `generate` does as pictures with the size, mode and metadata of another."""
        height, width, mode = source.height, source.width, source.mode
        input = self._transforms.input
        return [
            input.finish(input.cut(pixels, height, width, mode), source)
            for pixels in self.generate(latents)
        ]

    def check_plain(self) -> None:
        """Raise BundleError unless latents can be decoded by themselves, in a plain autoencoder."""
        if not self._manifest.plain:
            raise BundleError(
                f"bundle {self._manifest.name} has hyper-latents, without which its latents "
                f"cannot be decoded; choose a plain autoencoder"
            )


def _units(manifest: Manifest) -> NDArray[np.float32]:
    """Return one step of each channel of y in the network's own units, (C, 1, 1)."""
    steps = manifest.latent_step or [1.0] * manifest.latent_channels
    return np.array(steps, np.float32).reshape(-1, 1, 1)
