"""A bundle of 15 masks whose scale indexes z says: empty sections, tables of 2 and of 256 symbols.

Grey pictures of any size, four latents for each 2x2 pixels, written with onnx alone. Scale index =
``z[0] + z[1] * step + offset of the channel``, and up to ``z[1]`` of the symbols known beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto
from plain_bundles import _model, _node

from edgeae.bundle import MANIFEST, TABLES, coding_id, file_sha256, tables_arrays
from edgeae.entropy.tables import ChannelTables, ScaleTables
from edgeae.graphs import Graph
from edgeae.known_answer import index_sha256
from edgeae.manifest import KnownAnswer, Manifest

CHANNELS, STEPS, TOP = 4, 15, 8
SYMBOLS = (2, 2, 256, 3, 17, 255, 128, 64, 5)  # of each scale table
_FLOAT, _UINT8, _INT16 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT16
_PIXELS = ("pixels", _UINT8, [1, "H", "W", 1])
_LATENTS = [1, CHANNELS, "h", "w"]
_QUALITY = ("quality", _FLOAT, [])
_CONSTANTS: dict[str, Any] = {
    "zero": np.float32(0),
    "half": np.float32(0.5),
    "eight": np.float32(8),
    "minus_eight": np.float32(-8),
    "middle": np.float32(128),
    "white": np.float32(255),
    "per_quality": np.float32(1 / 200),
    "offset": np.array([0, 1, 0, 2], np.float32).reshape(1, CHANNELS, 1, 1),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "channel_axis": np.array([1], np.int64),
    "no_weights": np.zeros((2, CHANNELS, 1, 1), np.float32),
    "z_of_pictures": np.array([5, -1], np.float32),
}


def write_steps_bundle(folder: Path) -> Path:
    """Write the bundle into the new folder."""
    folder.mkdir(parents=True)
    for name, model in _graphs().items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    arrays = tables_arrays(_masks(), *_tables())
    np.savez_compressed(folder / TABLES, **arrays)  # type: ignore[arg-type]  # numpy 2 stub
    hyper_decoder = (folder / "hyper_decoder.onnx").read_bytes()
    manifest = Manifest(
        name=folder.name,
        description="For tests.",
        latent_space=folder.name,
        input="grey",
        size=None,
        shape=None,
        latent_size=None,
        stride=2,
        hyper_stride=4,
        latent_channels=CHANNELS,
        hyper_channels=2,
        latent_step=None,
        prior=None,
        halo=None,
        coding_id=coding_id(hyper_decoder, arrays, folder.name).hex(),
        files={path.name: file_sha256(path) for path in sorted(folder.iterdir())},
        known_answer=_known_answer(folder / "hyper_decoder.onnx"),
        training={},
        rate_distortion=(),
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder


def _known_answer(hyper_decoder: Path) -> KnownAnswer:
    graph, seed, shape = Graph("hyper_decoder", hyper_decoder.read_bytes), 1, (1, 2, 2, 2)

    def scale_indexes(
        z: NDArray[np.int16], symbols: NDArray[np.int16], step: int
    ) -> NDArray[np.uint8]:
        return graph.run(z=z, symbols=symbols, step=np.asarray(step, np.int64))[1]

    found = index_sha256(scale_indexes, _masks(), seed, shape, 2)
    return KnownAnswer(z_seed=seed, shape=shape, index_sha256=found)


def _masks() -> NDArray[np.bool_]:
    """Position number n of the 16 in mask n, the last two in the last mask."""
    masks = np.zeros((STEPS, CHANNELS * 4), np.bool_)
    for number in range(CHANNELS * 4):
        masks[min(7 * number % 16, STEPS - 1), number] = True
    return masks.reshape(STEPS, CHANNELS, 2, 2)


def _tables() -> tuple[ChannelTables, ScaleTables]:
    rows = tuple(_row(length) for length in SYMBOLS)
    channel = ChannelTables((_row(2), _row(256)), np.array([5, -128], np.int16))
    return channel, ScaleTables(rows)


def _row(length: int) -> NDArray[np.uint16]:
    """Frequencies that fall, down to 1, with sum 2**14."""
    row = np.maximum(1, (1 << 13) // (1 + np.arange(length)) ** 2)
    row[0] += (1 << 14) - int(row.sum())
    return row.astype(np.uint16)


def _graphs() -> dict[str, ModelProto]:
    encoder = [
        _node("Cast", ["pixels"], "levels", to=_FLOAT),
        _node("Sub", ["levels", "middle"], "centred"),
        _node("Transpose", ["centred"], "plane", perm=[0, 3, 1, 2]),
        _node("SpaceToDepth", ["plane"], "y", blocksize=2),
    ]
    gain = [
        _node("Mul", ["quality", "per_quality"], "better"),
        _node("Add", ["better", "half"], "gain"),
    ]
    hyper_encoder = [
        *gain,
        _node("Mul", ["y", "gain"], "scaled"),
        _node("AveragePool", ["y"], "pooled", kernel_shape=[2, 2], strides=[2, 2]),
        _node("Conv", ["pooled", "no_weights", "z_of_pictures"], "levels"),
        _node("Cast", ["levels"], "z", to=_INT16),
    ]
    hyper_decoder = [
        _node("Cast", ["z"], "z_levels", to=_FLOAT),
        _node("Resize", ["z_levels", "", "scales"], "wide", mode="nearest"),
        _split("wide", ("z0", "z1")),
        _node("Cast", ["step"], "number", to=_FLOAT),
        _node("Mul", ["z1", "number"], "slope"),
        _node("Add", ["z0", "slope"], "line"),
        _node("Cast", ["symbols"], "all", to=_FLOAT),
        _node("Clip", ["all", "minus_eight", "eight"], "known"),
        _node("Abs", ["known"], "sizes"),
        _node("ReduceSum", ["sizes", "channel_axis"], "beside"),
        _node("Max", ["z1", "zero"], "most"),
        _node("Min", ["beside", "most"], "context"),
        _node("Add", ["line", "context"], "row"),
        _node("Add", ["row", "offset"], "rows"),
        _node("Clip", ["rows", "zero", "eight"], "clipped"),
        _node("Cast", ["clipped"], "index", to=_UINT8),
        _node("Mul", ["clipped", "half"], "mean"),
    ]
    decoder = [
        *gain,
        _node("Div", ["y_hat", "gain"], "y"),
        _node("DepthToSpace", ["y"], "plane", blocksize=2),
        _node("Transpose", ["plane"], "centred", perm=[0, 2, 3, 1]),
        _node("Add", ["centred", "middle"], "levels"),
        _node("Round", ["levels"], "rounded"),
        _node("Clip", ["rounded", "zero", "white"], "clipped"),
        _node("Cast", ["clipped"], "pixels", to=_UINT8),
    ]
    y, y_hat, scaled, mean = ((name, _FLOAT, _LATENTS) for name in ("y", "y_hat", "scaled", "mean"))
    z = ("z", _INT16, [1, 2, "hz", "wz"])
    symbols, step = ("symbols", _INT16, _LATENTS), ("step", TensorProto.INT64, [])
    return {
        "encoder": _model(encoder, [_PIXELS], [y], _CONSTANTS),
        "hyper_encoder": _model(hyper_encoder, [y, _QUALITY], [scaled, z], _CONSTANTS),
        "hyper_decoder": _model(
            hyper_decoder, [z, symbols, step], [mean, ("index", _UINT8, _LATENTS)], _CONSTANTS
        ),
        "decoder": _model(decoder, [y_hat, _QUALITY], [_PIXELS], _CONSTANTS),
    }


def _split(source: str, targets: tuple[str, ...]) -> Any:
    node = _node("Split", [source], targets[0], axis=1)
    node.output.extend(targets[1:])
    return node
