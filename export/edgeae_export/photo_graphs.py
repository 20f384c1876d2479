"""The photo codec's four networks as ONNX graphs, operator by operator.

The twin of ``networks/photo.py``: the same layers in the same order, channels first. Pictures are
uint8 [1, H, W, 3]; h = H / 16, w = W / 16. What the graphs promise is in docs/ARCHITECTURE.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae_export.graph_builder import (
    FLOAT,
    INT16,
    INT64,
    UINT8,
    GraphBuilder,
    half_precision,
    is_depthwise,
)
from edgeae_export.layouts import (
    PATCH_SIDE,
    to_depthwise_kernel,
    to_kernel,
    to_patch_matrix,
    to_step_kernels,
)
from edgeae_export.networks.integer import (
    ACTIVATION_BITS,
    DEPTHWISE_BITS,
    POINTWISE_BITS,
    IntegerDepthwise,
    IntegerPointwise,
)
from edgeae_export.networks.photo import (
    ANCHORS,
    GREY,
    HYPER_CLIP,
    INDEX_BITS,
    NEARBY,
    PIXEL_SCALE,
    SCALES,
    SYMBOL_BITS,
    SYMBOL_CLIP,
    PhotoCodec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import ModelProto

    Weights = Mapping[str, NDArray[Any]]

ENCODER_LINEAR, DECODER_LINEAR = "encoder.linear", "decoder.linear"  # products of matrices
OVERLAP = "decoder.linear_overlap"
NEARBY_LINEAR = "hyper_decoder.mean.linear_step"  # a kernel for each step
STEP_BIASES = ("hyper_decoder.scale.step", "hyper_decoder.scale.tail_step")
KERNEL_SIDES = {  # of matrices that follow a space-to-depth; the others are 1x1
    "encoder.head.weight": 8,
    "encoder.down.weight": 2,
    "hyper_encoder.down32.weight": 2,
    "hyper_encoder.down64.weight": 2,
    OVERLAP: 3,
}


def photo_graphs(codec: PhotoCodec) -> dict[str, ModelProto]:
    """Return the graphs by name: encoder, hyper_encoder, hyper_decoder, decoder."""
    weights = kernels(exported_weights(codec))
    shape = codec.shape
    return {
        "encoder": encoder(weights, shape.encoder_blocks8, shape.encoder_blocks16),
        "hyper_encoder": hyper_encoder(weights),
        "hyper_decoder": hyper_decoder(weights),
        "decoder": decoder(weights, shape.decoder_blocks8, shape.decoder_blocks16),
    }


def exported_weights(codec: PhotoCodec) -> dict[str, NDArray[Any]]:
    """Return the state dict as it is exported: integers in the scale path, floats elsewhere."""
    weights = {key: value.detach().cpu().numpy() for key, value in codec.state_dict().items()}
    for name, module in codec.named_modules():
        if isinstance(module, IntegerPointwise | IntegerDepthwise):
            weight, bias = module.integers()
            weights[f"{name}.weight"] = weight.detach().cpu().numpy()
            weights[f"{name}.bias"] = bias.detach().cpu().numpy()
    for key, biases in zip(STEP_BIASES, codec.hyper_decoder.scale.step_biases(), strict=True):
        weights[key] = biases.detach().cpu().numpy()
    return weights


def fractional_bits(codec: PhotoCodec) -> dict[str, int]:
    """Return, for each integer weight's key, the bits by which it is a real number's multiple."""
    scale = codec.hyper_decoder.scale
    bits = dict(zip(STEP_BIASES, (scale.mix.total_bits, scale.tail.total_bits), strict=True))
    for name, module in codec.named_modules():
        if isinstance(module, IntegerPointwise | IntegerDepthwise):
            pointwise = isinstance(module, IntegerPointwise)
            bits[f"{name}.weight"] = POINTWISE_BITS if pointwise else DEPTHWISE_BITS
            bits[f"{name}.bias"] = module.total_bits
    return bits


def kernels(weights: Weights) -> dict[str, NDArray[Any]]:
    """Return ``weights`` with matrices in the layout of ONNX's Conv, as `GraphBuilder` wants."""
    result = {}
    for key, array in weights.items():
        if key == ENCODER_LINEAR:
            result[key] = to_patch_matrix(array)
        elif key == DECODER_LINEAR:
            result[key] = array
        elif key == NEARBY_LINEAR:
            result[key] = to_step_kernels(array, NEARBY)
        elif is_depthwise(key) and is_kernel(key):
            result[key] = to_depthwise_kernel(array)
        elif is_kernel(key):
            result[key] = to_kernel(array, KERNEL_SIDES.get(key, 1))
        else:
            result[key] = array
    return result


def is_kernel(key: str) -> bool:
    """Whether a state-dict key is a convolution's weights and not a bias, gain or step."""
    return key.endswith((".weight", ".linear", ".linear_overlap", ".linear_step"))


def encoder(weights: Weights, blocks8: int, blocks16: int) -> ModelProto:
    """Return the analysis transform: pixels -> y."""
    b = GraphBuilder("encoder", weights)
    pixels = b.input("pixels", UINT8, [1, "H", "W", 3])
    x = b.add("Cast", b.add("Transpose", pixels, perm=[0, 3, 1, 2]), to=FLOAT)
    grey = _grey_bias(b, "encoder.head.weight", PIXEL_SCALE, axes=(1, 2, 3))
    bias = b.add("Add", b.vector("encoder.head.bias"), grey)
    deep = b.conv(x, "encoder.head", stride=8, bias=bias, input_scale=PIXEL_SCALE)
    deep = _blocks(b, deep, "encoder.blocks8", blocks8)
    deep = b.conv(deep, "encoder.down", stride=2)
    deep = _blocks(b, deep, "encoder.blocks16", blocks16)
    deep = b.conv(deep, "encoder.tail", output_scale=1 / PIXEL_SCALE)
    y = b.add("Add", _linear_analysis(b, pixels), deep)
    b.output(y, "y", FLOAT, [1, len(weights["encoder.tail.weight"]), "h", "w"])
    return b.model("Analysis transform g_a: picture to latents y")


def hyper_encoder(weights: Weights) -> ModelProto:
    """Return gain, hyper-analysis and rounding: y, quality -> scaled, z."""
    b = GraphBuilder("hyper_encoder", weights)
    channels = weights["hyper_encoder.head.weight"].shape[1]
    y = b.input("y", FLOAT, [1, channels, "h", "w"])
    quality = b.input("quality", FLOAT, [])
    scaled = b.add("Mul", y, _gain(b, quality, "gain.log"))
    x = b.add("Relu", b.conv(scaled, "hyper_encoder.head"))
    x = _block(b, x, "hyper_encoder.block16")
    x = b.add("Relu", b.conv(x, "hyper_encoder.down32", stride=2))
    x = _block(b, x, "hyper_encoder.block32")
    x = b.add("Relu", b.conv(x, "hyper_encoder.down64", stride=2))
    z = b.add("Round", b.conv(x, "hyper_encoder.tail"))
    z = b.add("Cast", b.clip(z, -HYPER_CLIP, HYPER_CLIP), to=INT16)
    b.output(scaled, "scaled", FLOAT, [1, channels, "h", "w"])
    b.output(z, "z", INT16, [1, len(weights["hyper_encoder.tail.weight"]), "h4", "w4"])
    return b.model("Gain of the quality, hyper-analysis h_a, rounding: y to scaled y and z")


def hyper_decoder(weights: Weights) -> ModelProto:
    """Return hyper-synthesis with context: z, symbols, step -> mean, index.

    Every value on the way to the index is an integer or an integer times a power of two, for any
    input: z is clipped here as well, since files come from anywhere.
    """
    b = GraphBuilder("hyper_decoder", weights)
    channels = len(weights["hyper_decoder.mean.tail.weight"])
    z = b.input("z", INT16, [1, len(weights["hyper_encoder.tail.weight"]), "h4", "w4"])
    symbols = b.input("symbols", INT16, [1, channels, "h", "w"])
    step = b.input("step", INT64, [])
    z = b.clip(b.add("Cast", z, to=FLOAT), -HYPER_CLIP, HYPER_CLIP)
    symbols = b.add("Cast", symbols, to=FLOAT)
    known = b.clip(symbols, -SYMBOL_CLIP, SYMBOL_CLIP)
    mean = b.add(
        "Add", _mean_path(b, z, known, step), _nearby_means(b, b.add("Sub", symbols, known), step)
    )
    index = b.add("Cast", _scale_path(b, z, known, step), to=UINT8)
    b.output(mean, "mean", FLOAT, [1, channels, "h", "w"])
    b.output(index, "index", UINT8, [1, channels, "h", "w"])
    return b.model("Hyper-synthesis h_s with context: z and known symbols to means and indexes")


def decoder(weights: Weights, blocks8: int, blocks16: int) -> ModelProto:
    """Return inverse gain and the synthesis transform: y_hat, quality -> pixels."""
    b = GraphBuilder("decoder", weights)
    channels = weights["decoder.head.weight"].shape[1]
    y_hat = b.input("y_hat", FLOAT, [1, channels, "h", "w"])
    quality = b.input("quality", FLOAT, [])
    y = b.add("Mul", y_hat, _gain(b, quality, "inverse_gain.log"))
    klt = b.depth_to_space(_linear_synthesis(b, y), 2)
    deep = b.conv(y, "decoder.head", input_scale=PIXEL_SCALE)
    deep = b.conv(_blocks(b, deep, "decoder.blocks16", blocks16), "decoder.up")
    deep = b.blocked(b.depth_to_space(deep, 2), len(weights["decoder.pixels.weight"]))
    deep = b.add("Add", deep, b.conv(klt, "decoder.pixels", input_scale=PIXEL_SCALE))
    deep = _blocks(b, deep, "decoder.blocks8", blocks8)
    x = b.add("Add", klt, b.conv(deep, "decoder.tail", output_scale=1 / PIXEL_SCALE))
    b.output(_to_pixels(b, x), "pixels", UINT8, [1, "H", "W", 3])
    return b.model("Inverse gain of the quality, synthesis transform g_s: latents to picture")


def _linear_analysis(b: GraphBuilder, pixels: str) -> str:
    """Return each patch of 16x16 pixels times a matrix.

    onnxruntime's blocked convolution of three channels takes two to three times as long.
    """
    rows = b.add("Reshape", pixels, b.integers(0, 0, -1, 3 * PATCH_SIDE))  # [1, H, w, (dx, c)]
    rows = b.add("Reshape", rows, b.integers(-1, PATCH_SIDE, 0, 3 * PATCH_SIDE))  # [h, dy, w, ..]
    patches = b.add("Transpose", rows, perm=[0, 2, 1, 3])
    patches = b.add("Reshape", patches, b.integers(0, 0, 3 * PATCH_SIDE**2))  # [h, w, (dy, dx, c)]
    y = b.add("MatMul", b.add("Cast", patches, to=FLOAT), b.kernel(ENCODER_LINEAR))
    y = b.add("Add", y, _grey_bias(b, ENCODER_LINEAR, 1.0, axes=(0,)))
    return b.add("Unsqueeze", b.add("Transpose", y, perm=[2, 0, 1]), b.integers(0))


def _linear_synthesis(b: GraphBuilder, y: str) -> str:
    """Return y times a matrix, and what the first components around add.

    Such a product takes half the time of onnxruntime's blocked 1x1 convolution of 320 channels.
    """
    overlap = b.weights[OVERLAP].shape[1]
    first = b.add("Slice", y, b.integers(0), b.integers(overlap), b.integers(1))
    around = b.conv(first, OVERLAP, bias=b.vector("decoder.linear_bias"))
    product = b.add("MatMul", b.kernel(DECODER_LINEAR), b.add("Reshape", y, b.integers(0, 0, -1)))
    size = b.add("Concat", b.integers(0, 0), b.add("Shape", y, start=2), axis=0)
    return b.add("Add", around, b.add("Reshape", product, size))


def _mean_path(b: GraphBuilder, z: str, known: str, step: str) -> str:
    path = "hyper_decoder.mean"
    x = b.add("Relu", b.conv(z, f"{path}.head"))
    x = b.depth_to_space(b.add("Relu", b.conv(x, f"{path}.up32")), 2)
    trunk = b.depth_to_space(b.conv(_block(b, x, f"{path}.block32"), f"{path}.up16"), 2)
    x = b.add("Add", trunk, b.conv(known, f"{path}.context"))
    x = b.add("Add", x, _step_bias(b, f"{path}.step", step))
    return b.conv(_block(b, x, f"{path}.block16"), f"{path}.tail")


def _nearby_means(b: GraphBuilder, clipped_off: str, step: str) -> str:
    """Return what large symbols around add to the means of the first components, 0 for others."""
    _, predicted, _, side, _ = b.weights[NEARBY_LINEAR].shape
    rest = len(b.weights["hyper_decoder.mean.tail.weight"]) - predicted
    kernel = b.add("Gather", b.kernel(NEARBY_LINEAR), step, axis=0)
    first = b.add("Slice", clipped_off, b.integers(0), b.integers(predicted), b.integers(1))
    near = b.add("Conv", first, kernel, kernel_shape=[side, side], pads=[side // 2] * 4)
    return b.add("Pad", near, b.integers(0, 0, 0, 0, 0, rest, 0, 0))


def _scale_path(b: GraphBuilder, z: str, known: str, step: str) -> str:
    path = "hyper_decoder.scale"
    pointwise = POINTWISE_BITS + ACTIVATION_BITS
    depthwise = DEPTHWISE_BITS + ACTIVATION_BITS
    x = _activate(b, b.conv(z, f"{path}.head"), POINTWISE_BITS)  # z has no fractional bits
    x = b.depth_to_space(_activate(b, b.conv(x, f"{path}.up32"), pointwise), 2)
    x = _activate(b, b.conv(x, f"{path}.depthwise32"), depthwise)
    trunk = b.depth_to_space(_activate(b, b.conv(x, f"{path}.up16"), pointwise), 2)

    magnitudes = b.add("Mul", b.add("Abs", known), b.scalar(2**SYMBOL_BITS))
    x = b.add("Add", b.conv(trunk, f"{path}.mix"), b.conv(magnitudes, f"{path}.context"))
    features, indexes = (_step_bias(b, key, step) for key in STEP_BIASES)
    x = _activate(b, b.add("Add", x, features), pointwise)
    x = _activate(b, b.conv(x, f"{path}.depthwise16"), depthwise)
    x = _shift(b, b.conv(x, f"{path}.project"), pointwise - ACTIVATION_BITS)
    x = b.clip(b.add("Add", trunk, x), 0, 255)
    total = b.add("Add", b.conv(x, f"{path}.tail"), indexes)
    return b.clip(_shift(b, total, pointwise - INDEX_BITS), 0, SCALES - 1)


def _shift(b: GraphBuilder, total: str, bits: int) -> str:
    return b.add("Floor", b.add("Mul", total, b.scalar(2.0**-bits)))


def _activate(b: GraphBuilder, total: str, total_bits: int) -> str:
    return b.clip(_shift(b, total, total_bits - ACTIVATION_BITS), 0, 255)


def _step_bias(b: GraphBuilder, key: str, step: str) -> str:
    channels = b.weights[key].shape[1]
    return b.add("Gather", b.vector(key, (-1, channels, 1, 1)), step, axis=0)


def _block(b: GraphBuilder, x: str, key: str) -> str:
    y = b.conv(b.conv(x, f"{key}.depthwise"), f"{key}.expand")
    return b.add("Add", x, b.conv(b.add("Relu", y), f"{key}.project"))


def _blocks(b: GraphBuilder, x: str, key: str, count: int) -> str:
    for number in range(count):
        x = _block(b, x, f"{key}.{number}")
    return x


def _gain(b: GraphBuilder, quality: str, key: str) -> str:
    """Gains [1, C, 1, 1]: the anchors' logarithms, interpolated linearly, then the exponential."""
    position = b.add("Mul", quality, b.scalar((ANCHORS - 1) / 100))
    anchors = b.constant(np.arange(ANCHORS, dtype=np.float32))
    distance = b.add("Abs", b.add("Sub", position, anchors))
    share = b.add("Relu", b.add("Sub", b.scalar(1.0), distance))
    gain = b.add("Exp", b.add("MatMul", share, b.vector(key)))
    return b.add("Reshape", gain, b.integers(1, -1, 1, 1))


def _grey_bias(b: GraphBuilder, key: str, scale: float, *, axes: tuple[int, ...]) -> str:
    """Return what subtracting mid-grey from every pixel adds to sums of ``key`` over ``axes``."""
    stored = half_precision(key, b.weights[key]).astype(np.float64)
    return b.constant((-GREY * scale * stored.sum(axis=axes)).astype(np.float32))


def _to_pixels(b: GraphBuilder, x: str) -> str:
    """[1, 192, h, w] about mid-grey to uint8 [1, 8h, 8w, 3].

    QuantizeLinear rounds half to even, adds mid-grey and clips, all in one; uint8 moves four times
    faster than float32, and three small moves faster than one six-dimensional transpose.
    """
    grey = b.constant(np.array(GREY, np.uint8))
    x = b.add("Transpose", b.add("QuantizeLinear", x, b.scalar(1.0), grey), perm=[0, 2, 3, 1])
    x = b.add("Reshape", x, b.integers(0, 0, 0, 8, 24))  # [1, h, w, dy, (dx, c)]
    x = b.add("Transpose", x, perm=[0, 1, 3, 2, 4])  # [1, h, dy, w, (dx, c)]
    x = b.add("Reshape", x, b.integers(1, 1, -1, 0, 24))  # [1, 1, 8h, w, (dx, c)]
    x = b.add("Reshape", x, b.integers(0, 0, 0, -1, 3))  # [1, 1, 8h, 8w, c]
    return b.add("Squeeze", x, b.integers(1))
