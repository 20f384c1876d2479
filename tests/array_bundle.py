"""A plain bundle for arrays of (4, 6), written with onnx alone: latents are the values by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgeae.bundle import MANIFEST, TABLES, coding_id, file_sha256, tables_arrays
from edgeae.entropy.tables import ChannelTables
from edgeae.manifest import Manifest

STEP = 0.25
SHAPE = (4, 6)


def write_array_bundle(folder: Path, batch: str | int = "N") -> Path:
    """Write the bundle into the new folder; ``batch`` is the length of the graphs' first axis."""
    folder.mkdir()
    arrays_, latents = [batch, *SHAPE], [batch, 4, 1, 6]
    quality = helper.make_tensor_value_info("quality", TensorProto.FLOAT, [])
    values = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, arrays_)
    y, y_hat = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, latents) for name in ("y", "y_hat")
    )
    constants = [
        numpy_helper.from_array(np.array(STEP, np.float32), "step"),
        numpy_helper.from_array(np.array([2], np.int64), "axis"),
    ]
    graphs = {
        "encoder": helper.make_graph(
            [
                helper.make_node("Div", ["pixels", "step"], ["steps"]),
                helper.make_node("Unsqueeze", ["steps", "axis"], ["y"]),
            ],
            "encoder",
            [values],
            [y],
            constants,
        ),
        "decoder": helper.make_graph(
            [
                helper.make_node("Squeeze", ["y_hat", "axis"], ["steps"]),
                helper.make_node("Mul", ["steps", "step"], ["pixels"]),
            ],
            "decoder",
            [y_hat, quality],
            [values],
            constants,
        ),
    }
    for name, graph in graphs.items():
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    row = np.full(129, 126, np.uint16)
    row[0] += (1 << 14) - int(row.sum())
    tables = ChannelTables((row,) * 4, np.full(4, -64, np.int16))
    arrays = tables_arrays(np.zeros((0, 4, 2, 2), np.bool_), tables, None)
    np.savez_compressed(folder / TABLES, **arrays)  # type: ignore[arg-type]  # numpy 2 stub
    manifest = Manifest(
        name="series",
        description="Arrays in steps of a quarter.",
        latent_space="series-test",
        input="array",
        size=None,
        shape=SHAPE,
        latent_size=(1, 6),
        stride=2,
        hyper_stride=0,
        latent_channels=4,
        hyper_channels=0,
        latent_step=(STEP,) * 4,
        prior=None,
        halo=None,
        coding_id=coding_id(b"", arrays, "series-test").hex(),
        files={path.name: file_sha256(path) for path in folder.iterdir()},
        known_answer=None,
        training={},
        rate_distortion=(),
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder
