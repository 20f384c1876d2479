"""What an ONNX graph from elsewhere takes: said by its shape and operators, or shown by data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from edgeae.errors import GraphError
from edgeae_export.plain.convention import LAYOUTS, Convention
from edgeae_export.plain.geometry import NOT_THIS_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeae_export.plain.pair import Floats
    from edgeae_export.plain.raw_graph import RawGraph

RANGES = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
ENDS = {"Sigmoid": "0..1", "HardSigmoid": "0..1", "Tanh": "-1..1"}  # a decoder's last operator
MOVES = ("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Cast")
CHANNELS = (1, 3)
ALIKE = 1.05  # ratio of errors up to which two ranges are as good: then the first is taken
WORSE = 2.0  # ratio from which a range is clearly another one
NOTHING = 1e-9  # an error of pixels in 0..1 that is rounding


def find_layout(encoder: RawGraph) -> str:
    """Return the layout that the shape of the encoder's input says; GraphError if it does not."""
    shape = encoder.shape
    if len(shape) == 4:
        first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
        if first != last:
            return "nchw" if first else "nhwc"
    elif shape and encoder.input_kind != TensorProto.UINT8:
        return "array"
    raise GraphError(
        f"{encoder.name}: an input of {list(shape)} does not say where the channels are; name the "
        f"layout, one of {', '.join(LAYOUTS)} (--layout)"
    )


def picture_shape(
    encoder: RawGraph, layout: str, size: tuple[int, int] | None
) -> tuple[int | None, ...]:
    """Return (H, W, C) of the pictures that the encoder takes, None for what is free.

    Raises
    ------
    GraphError
        The shape of the input contradicts the layout or the size.
    """
    ranks = {"nchw": 4, "nhwc": 4, "nhw": 3, "flat": 2}
    shape = encoder.shape
    if layout not in ranks or len(shape) != ranks[layout]:
        raise GraphError(
            f"{encoder.name}: an input of {list(shape)} is not {layout}; name another --layout"
        )
    if layout == "nchw":
        found = (*shape[2:], shape[1])
    elif layout == "flat":
        found = _of_vector(encoder, size)
    else:
        found = (*shape[1:3], 1 if layout == "nhw" else shape[3])
    if found[2] not in CHANNELS:
        raise GraphError(f"{encoder.name}: {found[2]} channels; pictures have 1 or 3")
    if size is not None and any(
        known not in (None, wanted) for known, wanted in zip(found, size, strict=False)
    ):
        raise GraphError(f"{encoder.name}: takes pictures of {found[:2]}, not of {size}")
    return (*(size or found[:2]), found[2])


def find_range(
    graphs: tuple[RawGraph, RawGraph],
    layout: str,
    kind: str,
    named: str | None,
    examples: Floats,
) -> Convention:
    """Return the convention: as named, else as the decoder ends, else as the data show.

    Parameters
    ----------
    graphs : encoder and decoder
        One range is looked for, that of both.
    layout : str
        Of the pictures.
    kind : str
        "rgb", "grey" or "array".
    named : str or None
        A key of RANGES.
    examples : (n, H, W, C) in 0..1
        Real pictures.

    Raises
    ------
    GraphError
        It is in doubt which range reproduces the examples best.
    """
    if kind == "array":
        return Convention(layout="array")
    encoder, decoder = graphs
    if encoder.input_kind == TensorProto.UINT8:
        named = named or "0..255"
    name = named or _end(decoder)
    if name is None:
        name = _shown(encoder, decoder, layout, examples)
    low, high = RANGES[name]
    return Convention(layout=layout, low=low, high=high)


def clearly_best(errors: Mapping[str, float]) -> str | None:
    """Return the range of least error, the first of those that do not differ; None if in doubt."""
    least = min(errors.values()) + NOTHING
    ratios = {name: (error + NOTHING) / least for name, error in errors.items()}
    if any(ALIKE < ratio < WORSE for ratio in ratios.values()):
        return None
    return next(name for name, ratio in ratios.items() if ratio <= ALIKE)


def _of_vector(encoder: RawGraph, size: tuple[int, int] | None) -> tuple[int | None, ...]:
    values = encoder.shape[1]
    if values is None:
        raise GraphError(f"{encoder.name}: a vector of any length; export it with its length")
    for channels in CHANNELS:
        side = math.isqrt(values // channels)
        height, width = size or (side, side)
        if height * width * channels == values:
            return height, width, channels
    raise GraphError(
        f"{encoder.name}: {values} values are no square picture; name its size (--size HxW)"
    )


def _end(decoder: RawGraph) -> str | None:
    """Return the range that the decoder's last operator has, if it has one."""
    if decoder.output_kinds[0] == TensorProto.UINT8:
        return "0..255"
    made_by = {output: node for node in decoder.model.graph.node for output in node.output}
    node = made_by.get(decoder.outputs[0])
    while node is not None and node.op_type in MOVES:
        node = made_by.get(node.input[0])
    return None if node is None else ENDS.get(node.op_type)


def _shown(encoder: RawGraph, decoder: RawGraph, layout: str, examples: Floats) -> str:
    """Return the range with which the pair reproduces the examples clearly best."""
    errors = {}
    for name, (low, high) in RANGES.items():
        convention = Convention(layout=layout, low=low, high=high)
        try:
            latents = encoder.run(convention.to_network(examples))[0]
            found = decoder.run(latents)[0]
        except NOT_THIS_SIZE as error:
            raise GraphError(
                f"{error}; name layout, size and range (--layout, --size, --range)"
            ) from error
        decoded = convention.from_network(found, examples.shape[1:])
        if decoded.shape != examples.shape:
            raise GraphError(
                f"{decoder.name}: gives {decoded.shape} for pictures {examples.shape}; a pair must "
                f"give back the size of what it is given, or the --layout is another one"
            )
        errors[name] = float(np.square(decoded - examples).mean(dtype=np.float64))
    best = clearly_best(errors)
    if best is None:
        readable = ", ".join(f"{name}: {error:.4g}" for name, error in errors.items())
        raise GraphError(
            f"{decoder.name}: the data do not show what black and white are (mean squared errors "
            f"{readable}); name it (--range)"
        )
    return best
