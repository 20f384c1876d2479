"""An autoencoder that can be asked: floats in, floats out, a batch along the first axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeae_export.plain.convention import Convention
    from edgeae_export.plain.latent_form import LatentForm
    from edgeae_export.plain.raw_graph import RawGraph

    Floats = NDArray[np.float32]


class Pair(Protocol):
    """What is measured and compared, whether its networks are modules or graphs.

    Pictures are (n, H, W, C) in 0..1, arrays (n, ...); latents are (n, C, h, w) in the network's
    own units. Either raises RuntimeError, ValueError or GraphError for a size that it cannot take.
    """

    def encode(self, inputs: Floats) -> Floats:
        """Return the latents; of a variational encoder the mean."""
        ...

    def decode(self, latents: Floats, shape: tuple[int, ...]) -> Floats:
        """Return what the decoder makes of latents; ``shape`` is that of one input."""
        ...


class GraphPair:
    """Two ONNX graphs and how they take what they take."""

    def __init__(
        self, encoder: RawGraph, decoder: RawGraph, convention: Convention, form: LatentForm
    ) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.convention, self.form = convention, form

    def encode(self, inputs: Floats) -> Floats:
        """Return the latents."""
        return self.form.arrange(self.encoder.run(self.convention.to_network(inputs))[0])

    def decode(self, latents: Floats, shape: tuple[int, ...]) -> Floats:
        """Return pictures or arrays."""
        return self.convention.from_network(self.decoder.run(self.form.restore(latents))[0], shape)
