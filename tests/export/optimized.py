"""What onnxruntime makes of a model: kernels that fall back to float show here."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxruntime

if TYPE_CHECKING:
    from onnx import ModelProto


def optimized_operators(model: ModelProto) -> dict[str, int]:
    """Return how many nodes of each type onnxruntime's optimizer makes of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return dict(Counter(node.op_type for node in onnx.load(path).graph.node))
