"""How a network takes its pictures or arrays: order of the axes, and what black and white are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae_export.graph_builder import FLOAT, UINT8

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae_export.graph_builder import GraphBuilder

WHITE = 255.0
LAYOUTS = ("nchw", "nhwc", "nhw", "flat", "array")


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """The form of a network's input and output, which are alike.

    "nchw" and "nhwc" are pictures with an axis of channels; "nhw" is grey without one; "flat" is a
    picture as one vector, row by row, channels last; "array" is no picture but float32 as it is.
    Pictures here are (n, H, W, C) float32 in 0..1, or uint8 in the graphs.
    """

    layout: str  # one of LAYOUTS
    low: float = 0.0  # black in the network's numbers
    high: float = 1.0  # white

    def to_network(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return (n, H, W, C) pictures, or arrays, as the network takes them, in float32."""
        if self.layout == "array":
            return inputs
        scaled = inputs * np.float32(self.high - self.low) + np.float32(self.low)
        if self.layout == "nchw":
            return np.moveaxis(scaled, -1, 1)
        if self.layout == "nhw":
            return scaled[..., 0]
        return scaled.reshape(len(scaled), -1) if self.layout == "flat" else scaled

    def from_network(self, outputs: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the network's output as pictures or arrays; ``shape`` is that of one.

        Of "flat" alone is the shape needed: the others say it themselves.
        """
        if self.layout == "array":
            return outputs
        if self.layout == "nchw":
            outputs = np.moveaxis(outputs, 1, -1)
        elif self.layout == "nhw":
            outputs = outputs[..., np.newaxis]
        elif self.layout == "flat":
            outputs = outputs.reshape(len(outputs), *shape)
        scale = np.float32(1 / (self.high - self.low))
        return (outputs.astype(np.float32) - np.float32(self.low)) * scale

    def add_to_network(self, b: GraphBuilder, pixels: str, kind: int) -> str:
        """Append the way from uint8 [N, H, W, C], or float32, to the network's numbers ``kind``."""
        if self.layout == "array":
            return _cast(b, pixels, FLOAT, kind)
        if self.layout == "nchw":
            pixels = b.add("Transpose", pixels, perm=[0, 3, 1, 2])
        elif self.layout == "nhw":
            pixels = b.add("Squeeze", pixels, b.integers(3))
        elif self.layout == "flat":
            pixels = b.add("Flatten", pixels, axis=1)
        if kind == UINT8:
            return pixels
        x = b.add("Cast", pixels, to=FLOAT)
        x = b.add("Mul", x, b.scalar((self.high - self.low) / WHITE))
        x = b.add("Add", x, b.scalar(self.low)) if self.low else x
        return _cast(b, x, FLOAT, kind)

    def add_from_network(
        self, b: GraphBuilder, outputs: str, shape: tuple[int, ...], kind: int
    ) -> str:
        """Append the way from the network's numbers ``kind`` to uint8 [N, H, W, C], or float32."""
        if self.layout == "array":
            return _cast(b, outputs, kind, FLOAT)
        if kind != UINT8:
            x = _cast(b, outputs, kind, FLOAT)
            x = b.add("Sub", x, b.scalar(self.low)) if self.low else x
            x = b.add("Mul", x, b.scalar(WHITE / (self.high - self.low)))
            outputs = b.add("Cast", b.clip(b.add("Round", x), 0, WHITE), to=UINT8)
        if self.layout == "nchw":
            return b.add("Transpose", outputs, perm=[0, 2, 3, 1])
        if self.layout == "nhw":
            return b.add("Unsqueeze", outputs, b.integers(3))
        if self.layout == "flat":
            return b.add("Reshape", outputs, b.integers(-1, *shape))
        return outputs


def _cast(b: GraphBuilder, value: str, kind: int, wanted: int) -> str:
    return value if kind == wanted else b.add("Cast", value, to=wanted)
