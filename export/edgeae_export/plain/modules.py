"""A pair of torch modules: asked directly, and as ONNX graphs."""

from __future__ import annotations

import copy
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from torch import nn

from edgeae.errors import BoundError, GraphError
from edgeae_export.graph_builder import OPSET
from edgeae_export.plain.convention import Convention
from edgeae_export.plain.geometry import NOT_THIS_SIZE
from edgeae_export.plain.latent_form import LatentForm
from edgeae_export.plain.pair import GraphPair
from edgeae_export.plain.parity import LARGEST_DIFFERENCE, difference
from edgeae_export.plain.raw_graph import RawGraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edgeae_export.plain.geometry import Geometry
    from edgeae_export.plain.pair import Floats

OUTPUTS = ("latents", "log_variance")


class ModulePair:
    """Copies of two modules on the CPU, in evaluation mode and float32.

    Parameters
    ----------
    encoder : nn.Module
        [N, C, H, W] in 0..1, or arrays [N, ...], to latents, or to a pair of mean and log-variance.
    decoder : nn.Module
        Latents to what the encoder takes.
    example : (H, W, C) picture in 0..1, or an array
        Of the size that the modules were made for.
    kind : str
        "rgb", "grey" or "array".

    Raises
    ------
    BoundError
        The encoder cannot take the example, or gives no latents.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, example: Floats, kind: str) -> None:
        self.encoder, self.decoder = (_ready(module) for module in (encoder, decoder))
        self.convention = Convention(layout="array" if kind == "array" else "nchw")
        try:
            outputs = self._outputs(example[np.newaxis])
        except NOT_THIS_SIZE as error:
            text = " ".join(str(error).split())
            raise BoundError(
                f"the encoder cannot take an input of {self._network_shape(example)}: {text}"
            ) from error
        self.variational = len(outputs) > 1
        self.form = LatentForm(tuple(outputs[0].shape[1:]))

    def encode(self, inputs: Floats) -> Floats:
        """Return the latents; of a variational encoder the mean."""
        return self.form.arrange(self._outputs(inputs)[0].numpy())

    @torch.no_grad()
    def decode(self, latents: Floats, shape: tuple[int, ...]) -> Floats:
        """Return what the decoder makes of them."""
        decoded = self.decoder(_tensor(self.form.restore(latents)))
        return self.convention.from_network(decoded.float().numpy(), shape)

    def to_graphs(self, geometry: Geometry) -> tuple[Geometry, GraphPair]:
        """Return the pair as ONNX graphs that compute the same, and what sizes they take.

        They take any number of inputs and any size if the modules' code can be traced so.

        Raises
        ------
        BoundError
            They compute something else.
        GraphError
            ONNX has no operator for a layer.
        """
        reasons = []
        for wanted in _forms(geometry):
            try:
                pair = self._graphs(wanted)
                self._compare(pair, wanted)
            except (*NOT_THIS_SIZE, BoundError) as error:
                reasons.append(error)
            else:
                return wanted, pair
        raise reasons[-1]

    def _graphs(self, geometry: Geometry) -> GraphPair:
        count = 2 if geometry.batches else 1  # a batch of one may be traced as none
        pixels = np.random.default_rng(1).random((count, *geometry.shape), np.float32)
        x = _tensor(self.convention.to_network(pixels))
        with torch.no_grad():
            latents = _outputs(self.encoder(x))[0]
        names = OUTPUTS if self.variational else OUTPUTS[:1]
        axes = {2: "h", 3: "w"} if geometry.any_size else {}
        axes |= {0: "N"} if geometry.batches else {}
        encoder = RawGraph(_traced(self.encoder, x, names, axes), "encoder.onnx", names)
        decoder = RawGraph(_traced(self.decoder, latents, ("pixels",), axes), "decoder.onnx")
        return GraphPair(encoder, decoder, self.convention, self.form)

    def _compare(self, pair: GraphPair, geometry: Geometry) -> None:
        random = np.random.default_rng(2)
        shapes = [geometry.shape]
        if geometry.any_size:
            height, width, channels = geometry.shape
            shapes.append((height + geometry.stride, width + 2 * geometry.stride, channels))
        for count in (1, 3) if geometry.batches else (1,):
            for shape in shapes:
                inputs = random.random((count, *shape), np.float32)
                y, found = self.encode(inputs), pair.encode(inputs)
                off = max(
                    difference(y, found), difference(self.decode(y, shape), pair.decode(y, shape))
                )
                if not off <= LARGEST_DIFFERENCE:
                    raise BoundError(f"for {count} of {shape} they are off by {off:g}")

    @torch.no_grad()
    def _outputs(self, inputs: Floats) -> Sequence[Tensor]:
        return _outputs(self.encoder(_tensor(self.convention.to_network(inputs))))

    def _network_shape(self, example: Floats) -> tuple[int, ...]:
        return self.convention.to_network(example[np.newaxis]).shape


def _forms(geometry: Geometry) -> list[Geometry]:
    """Return what to try, the most general first."""
    sizes = [geometry, replace(geometry, any_size=False)] if geometry.any_size else [geometry]
    return [replace(size, batches=batches) for batches in (True, False) for size in sizes]


def _ready(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).cpu().float().eval().requires_grad_(requires_grad=False)


def _tensor(values: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _outputs(given: object) -> Sequence[Tensor]:
    """Return the latents, or mean and log-variance."""
    outputs = given if isinstance(given, (tuple, list)) else (given,)
    if not 1 <= len(outputs) <= 2 or not all(isinstance(value, torch.Tensor) for value in outputs):
        raise TypeError(
            f"the encoder gives {type(given).__name__}; it must give latents, or a pair of mean "
            f"and log-variance"
        )
    return outputs


def _traced(
    module: nn.Module, x: Tensor, outputs: Sequence[str], axes: dict[int, str]
) -> onnx.ModelProto:
    """Return the ONNX graph of a module; axes in ``axes`` are dynamic, all others as in ``x``."""
    # The tracer, since the exporter through torch.export needs another package and writes newer
    # operators than this project's graphs have.
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(folder) / "graph.onnx"
            torch.onnx.export(
                module,
                (x,),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=["x"],
                output_names=list(outputs),
                dynamic_axes=dict.fromkeys(("x", *outputs), axes) if axes else None,
            )
            return onnx.load(path)
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        text = " ".join(str(error).split())[:500]
        raise GraphError(f"torch cannot export {type(module).__name__}: {text}") from error
