"""Pairs of ONNX graphs as other programs write them: Keras through tf2onnx, and others.

Written operator by operator and not by this project's exporter: channels last with Transposes
around each convolution, names with ``:0``, dense layers as MatMul and Add, older operators.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

Shape = list[int | str | None]


def model(
    nodes: list[Any],
    inputs: tuple[str, Shape],
    outputs: list[tuple[str, Shape]],
    weights: dict[str, NDArray[Any]],
    *,
    opset: int = 13,
    kind: int = TensorProto.FLOAT,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "tf2onnx",
        [helper.make_tensor_value_info(inputs[0], kind, inputs[1])],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def save(folder: Path, encoder: ModelProto, decoder: ModelProto) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    paths = folder / "encoder.onnx", folder / "decoder.onnx"
    for path, graph in zip(paths, (encoder, decoder), strict=True):
        path.write_bytes(graph.SerializeToString())
    return paths


def orthonormal(count: int, length: int, seed: int = 0) -> NDArray[np.float32]:
    """Return (length, count) with orthonormal columns."""
    random = np.random.default_rng(seed).standard_normal((length, count))
    return np.linalg.qr(random)[0].astype(np.float32)


def keras_convolutional(
    *, batch: str | int = "unk__1", side: int = 12
) -> tuple[ModelProto, ModelProto]:
    """Conv2D(16, 4, strides=4), and its transpose with a scale; channels last, 0..1."""
    basis = orthonormal(16, 16).T.reshape(16, 1, 4, 4).copy()
    to_first, to_last = [0, 3, 1, 2], [0, 2, 3, 1]
    encoder = model(
        [
            helper.make_node("Transpose", ["input_1:0"], ["x"], perm=to_first),
            helper.make_node("Conv", ["x", "kernel"], ["c"], strides=[4, 4], kernel_shape=[4, 4]),
            helper.make_node("Transpose", ["c"], ["conv2d"], perm=to_last),
        ],
        ("input_1:0", [batch, side, side, 1]),
        [("conv2d", [batch, side // 4, side // 4, 16])],
        {"kernel": basis},
    )
    decoder = model(
        [
            helper.make_node("Transpose", ["input_2:0"], ["z"], perm=to_first),
            helper.make_node(
                "ConvTranspose", ["z", "kernel"], ["d"], strides=[4, 4], kernel_shape=[4, 4]
            ),
            helper.make_node("Transpose", ["d"], ["conv2d_transpose"], perm=to_last),
        ],
        ("input_2:0", [batch, side // 4, side // 4, 16]),
        [("conv2d_transpose", [batch, side, side, 1])],
        {"kernel": basis},
    )
    return encoder, decoder


def dense(
    basis: NDArray[np.float32], *, end: str | None = None, opset: int = 13
) -> tuple[ModelProto, ModelProto]:
    """MatMul and Add both ways, (values, latents); ``end`` is the last operator of the decoder."""
    values, latents = basis.shape
    zero, none = np.zeros(latents, np.float32), np.zeros(values, np.float32)
    encoder = model(
        [
            helper.make_node("MatMul", ["flat", "kernel"], ["m"]),
            helper.make_node("Add", ["m", "bias"], ["dense"]),
        ],
        ("flat", ["N", values]),
        [("dense", ["N", latents])],
        {"kernel": basis, "bias": zero},
        opset=opset,
    )
    last = "out" if end is None else "linear"
    nodes = [
        helper.make_node("MatMul", ["z", "kernel"], ["m"]),
        helper.make_node("Add", ["m", "bias"], [last]),
    ]
    if end is not None:
        nodes.append(helper.make_node(end, ["linear"], ["out"]))
    decoder = model(
        nodes,
        ("z", ["N", latents]),
        [("out", ["N", values])],
        {"kernel": basis.T.copy(), "bias": none},
        opset=opset,
    )
    return encoder, decoder


def bytes_in_and_out() -> tuple[ModelProto, ModelProto]:
    """uint8 pictures of any size, channels first, RGB; latents are means of 2x2 pixels."""
    encoder = model(
        [
            helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        ("image", ["batch", 3, None, None]),
        [],
        {},
        kind=TensorProto.UINT8,
    )
    encoder.graph.output.append(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3, None, None])
    )
    decoder = model(
        [
            helper.make_node("Resize", ["y", "", "scales"], ["r"], mode="nearest"),
            helper.make_node("Round", ["r"], ["rounded"]),
            helper.make_node("Cast", ["rounded"], ["image"], to=TensorProto.UINT8),
        ],
        ("y", ["batch", 3, None, None]),
        [],
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    )
    decoder.graph.output.append(
        helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, None, None])
    )
    return encoder, decoder


def variational(basis: NDArray[np.float32]) -> tuple[ModelProto, ModelProto]:
    """As Keras' example: the encoder gives z_mean, z_log_var and a random z."""
    encoder, decoder = dense(basis)
    latents = basis.shape[1]
    shape = ["N", latents]
    encoder.graph.node.extend(
        [
            helper.make_node("Mul", ["dense", "small"], ["z_log_var"]),
            helper.make_node("RandomNormalLike", ["dense"], ["noise"]),
            helper.make_node("Add", ["dense", "noise"], ["z"]),
        ]
    )
    encoder.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "small"))
    encoder.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("z_log_var", "z")
    )
    return encoder, decoder
