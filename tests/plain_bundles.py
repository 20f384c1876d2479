"""Plain bundles of pictures, written with onnx alone: a variational one, and one of any size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from edgeae.bundle import MANIFEST, TABLES, coding_id, file_sha256, tables_arrays
from edgeae.entropy.tables import ChannelTables
from edgeae.manifest import Manifest

VAE_SIDE, VAE_LATENTS, VAE_STEP, VAE_LOG_VARIANCE = 8, 4, 0.25, -2.0
HALO = 2  # pixels: a 3x3 convolution in the encoder, one in the decoder
_FLOAT, _UINT8 = TensorProto.FLOAT, TensorProto.UINT8


def write_vae_bundle(folder: Path, **changes: Any) -> Path:
    """Write a bundle for grey 8x8 pictures: four latents with a prior, and their log-variances.

    Latents are the picture's components along four patterns; the decoder adds up the patterns.
    """
    side, latents = VAE_SIDE, VAE_LATENTS
    patterns = np.linalg.qr(np.random.default_rng(1).normal(size=(side * side, latents)))[0]
    constants: dict[str, Any] = {
        "mean": np.float32(128),
        "scale": np.float32(40),  # levels that a latent of 1 adds to a pattern
        "step": np.float32(VAE_STEP),
        "zero": np.float32(0),
        "white": np.float32(255),
        "log": np.float32(VAE_LOG_VARIANCE),
        "patterns": patterns.astype(np.float32),
        "transposed": np.ascontiguousarray(patterns.T, np.float32),
        "flat": np.array([-1, side * side], np.int64),
        "vector": np.array([-1, latents], np.int64),
        "position": np.array([-1, latents, 1, 1], np.int64),
        "picture": np.array([-1, side, side, 1], np.int64),
    }
    pixels = ("pixels", _UINT8, ["N", side, side, 1])
    latent_axes = ["N", latents, 1, 1]
    encoder = _model(
        [
            _node("Cast", ["pixels"], "levels", to=_FLOAT),
            _node("Sub", ["levels", "mean"], "centred"),
            _node("Reshape", ["centred", "flat"], "rows"),
            _node("MatMul", ["rows", "patterns"], "components"),
            _node("Reshape", ["components", "position"], "placed"),
            _node("Div", ["placed", "scale"], "latents"),
            _node("Div", ["latents", "step"], "y"),
            _node("Mul", ["latents", "zero"], "nothing"),
            _node("Add", ["nothing", "log"], "log_variance"),
        ],
        [pixels],
        [("y", _FLOAT, latent_axes), ("log_variance", _FLOAT, latent_axes)],
        constants,
    )
    decoder = _model(
        [
            _node("Mul", ["y_hat", "step"], "latents"),
            _node("Mul", ["latents", "scale"], "scaled"),
            _node("Reshape", ["scaled", "vector"], "rows"),
            _node("MatMul", ["rows", "transposed"], "flat_levels"),
            _node("Reshape", ["flat_levels", "picture"], "levels"),
            _node("Add", ["levels", "mean"], "shifted"),
            _node("Round", ["shifted"], "rounded"),
            _node("Clip", ["rounded", "zero", "white"], "clipped"),
            _node("Cast", ["clipped"], "pixels", to=_UINT8),
        ],
        [("y_hat", _FLOAT, latent_axes), ("quality", _FLOAT, [])],
        [pixels],
        constants,
    )
    about = {
        "input": "grey",
        "size": (side, side),
        "latent_size": (1, 1),
        "stride": 4,
        "latent_channels": latents,
        "latent_step": (VAE_STEP,) * latents,
        "prior": "normal",
        "halo": None,
    }
    return _write(folder, encoder, decoder, **{**about, **changes})


def write_filter_bundle(folder: Path, **changes: Any) -> Path:
    """Write a bundle for RGB pictures of any size: a filter, 2x2 blocks as latents, a filter.

    The filters are uneven, and darken the picture's border, where they meet zeros.
    """
    kernel = np.random.default_rng(2).uniform(0, 1, (3, 1, 3, 3))
    kernel = (kernel / kernel.sum(axis=(2, 3), keepdims=True)).astype(np.float32)
    constants: dict[str, Any] = {"kernel": kernel, "zero": np.float32(0), "white": np.float32(255)}
    pixels = ("pixels", _UINT8, ["N", "H", "W", 3])
    encoder = _model(
        [
            _node("Cast", ["pixels"], "levels", to=_FLOAT),
            _node("Transpose", ["levels"], "planes", perm=[0, 3, 1, 2]),
            _node("Conv", ["planes", "kernel"], "filtered", pads=[1, 1, 1, 1], group=3),
            _node("SpaceToDepth", ["filtered"], "y", blocksize=2),
        ],
        [pixels],
        [("y", _FLOAT, ["N", 12, "h", "w"])],
        constants,
    )
    decoder = _model(
        [
            _node("DepthToSpace", ["y_hat"], "planes", blocksize=2),
            _node("Conv", ["planes", "kernel"], "filtered", pads=[1, 1, 1, 1], group=3),
            _node("Round", ["filtered"], "rounded"),
            _node("Clip", ["rounded", "zero", "white"], "clipped"),
            _node("Transpose", ["clipped"], "levels", perm=[0, 2, 3, 1]),
            _node("Cast", ["levels"], "pixels", to=_UINT8),
        ],
        [("y_hat", _FLOAT, ["N", 12, "h", "w"]), ("quality", _FLOAT, [])],
        [pixels],
        constants,
    )
    about = {
        "input": "rgb",
        "size": None,
        "latent_size": None,
        "stride": 2,
        "latent_channels": 12,
        "latent_step": (1.0,) * 12,
        "prior": None,
        "halo": HALO,
    }
    return _write(folder, encoder, decoder, **{**about, **changes})


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)


def _model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[tuple[str, int, Sequence[Any]]],
    outputs: Sequence[tuple[str, int, Sequence[Any]]],
    constants: dict[str, Any],
) -> ModelProto:
    used = {name for node in nodes for name in node.input}
    tensors = [
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
        if name in used
    ]
    graph = helper.make_graph(nodes, "graph", _infos(inputs), _infos(outputs), tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _infos(values: Sequence[tuple[str, int, Sequence[Any]]]) -> list[ValueInfoProto]:
    return [helper.make_tensor_value_info(*value) for value in values]


def _write(folder: Path, encoder: ModelProto, decoder: ModelProto, **about: Any) -> Path:
    folder.mkdir(parents=True)
    for name, model in (("encoder", encoder), ("decoder", decoder)):
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    channels = about["latent_channels"]
    row = np.full(129, 126, np.uint16)
    row[0] += (1 << 14) - int(row.sum())
    tables = ChannelTables((row,) * channels, np.full(channels, -64, np.int16))
    arrays = tables_arrays(np.zeros((0, channels, 2, 2), np.bool_), tables, None)
    np.savez_compressed(folder / TABLES, **arrays)  # type: ignore[arg-type]  # numpy 2 stub
    manifest = Manifest(
        name=folder.name,
        description="For tests.",
        latent_space=folder.name,
        shape=None,
        hyper_stride=0,
        hyper_channels=0,
        coding_id=coding_id(b"", arrays, folder.name).hex(),
        files={path.name: file_sha256(path) for path in folder.iterdir()},
        known_answer=None,
        training={},
        rate_distortion=(),
        **about,
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder
