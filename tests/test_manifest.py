from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeae.errors import BundleError
from edgeae.manifest import KnownAnswer, Manifest

HEX64 = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    plain = draw(st.booleans())
    channels = draw(st.integers(1, 6))
    fixed = draw(st.sampled_from(["any", "size", "array"])) if plain else "any"
    sides = st.tuples(st.integers(1, 65_535), st.integers(1, 65_535))
    axes = st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple)
    step = draw(st.none() | st.tuples(*[st.floats(1e-6, 1e6)] * channels))
    stride, hyper_channels = draw(st.integers(1, 64)), draw(st.integers(1, 32))
    shape = (1, hyper_channels, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    seed = draw(st.integers(0, 2**32 - 1))
    priors = [None, "normal"] if fixed == "any" else [None, "normal", "mixture"]
    answer = KnownAnswer(z_seed=seed, shape=shape, index_sha256=draw(HEX64))
    return Manifest(
        name=draw(NAMES),
        description=draw(TEXT),
        latent_space=draw(TEXT),
        input="array" if fixed == "array" else draw(st.sampled_from(["rgb", "grey"])),
        size=draw(sides) if fixed == "size" else None,
        shape=draw(axes) if fixed == "array" else None,
        latent_size=None if fixed == "any" else draw(sides),
        stride=stride,
        hyper_stride=0 if plain else stride * 2 * draw(st.integers(1, 4)),
        latent_channels=channels,
        hyper_channels=0 if plain else hyper_channels,
        latent_step=step,
        prior=None if step is None else draw(st.sampled_from(priors)),
        halo=draw(st.none() | st.integers(0, 999)),
        correction=draw(st.booleans()) and not plain,
        coding_id=draw(HEX64)[:16],
        files=draw(st.dictionaries(NAMES, HEX64, max_size=4)),
        known_answer=None if plain else answer,
        training=draw(st.dictionaries(TEXT, JSON, max_size=3)),
        rate_distortion=tuple(draw(st.lists(st.tuples(FINITE, FINITE, FINITE), max_size=3))),
    )


EXAMPLE: dict[str, Any] = {
    "format": 1,
    "name": "photo",
    "description": "photos",
    "latent_space": "run 12",
    "input": "rgb",
    "size": None,
    "shape": None,
    "latent_size": None,
    "stride": 16,
    "hyper_stride": 64,
    "latent_channels": 320,
    "hyper_channels": 96,
    "latent_step": None,
    "prior": None,
    "halo": None,
    "correction": False,
    "coding_id": "0123456789abcdef",
    "files": {"encoder.onnx": "0" * 64},
    "known_answer": {"z_seed": 7, "shape": [1, 96, 2, 3], "index_sha256": "f" * 64},
    "training": {"hours": 2.5},
    "rate_distortion": [[50, 0.31, 33.2]],
}


@given(manifests())
def test_manifest_round_trips(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


@given(TEXT | JSON.map(json.dumps))
def test_arbitrary_text_raises_only_bundle_error(text: str) -> None:
    with pytest.raises(BundleError, match=r"^manifest\.json: "):
        Manifest.from_json(text)


@given(st.sampled_from(sorted(EXAMPLE)), JSON)
def test_any_value_in_any_place_raises_only_bundle_error(key: str, value: object) -> None:
    try:
        manifest = Manifest.from_json(json.dumps({**EXAMPLE, key: value}))
    except BundleError:
        return
    assert json.loads(manifest.to_json())[key] == value


def test_deeply_nested_text_raises_bundle_error() -> None:
    with pytest.raises(BundleError):
        Manifest.from_json('{"training": ' + "[" * 100_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": 16}, r"unknown keys \['strides'\]"),
        ({"stride": "16"}, "stride is '16', not an integer"),
        ({"stride": True}, "stride is True, not an integer"),
        ({"stride": 0}, "stride 0 is outside 1..1024"),
        ({"format": 2}, "format 2 is outside 1..1; export the bundle again, or upgrade"),
        ({"hyper_stride": 72}, "hyper_stride 72 is not an even multiple of stride 16"),
        ({"hyper_stride": 48}, "hyper_stride 48 is not an even multiple of stride 16"),
        ({"hyper_stride": 0}, "hyper_channels without hyper_stride 96 is outside 0..0"),
        ({"known_answer": None}, "known_answer must not be null"),
        ({"known_answer": {"z_seed": 1}}, "lacks"),
        ({"hyper_channels": 95}, "does not have 95 hyper_channels"),
        ({"input": "cmyk"}, "input 'cmyk' is not one of"),
        ({"files": {"../encoder.onnx": "0" * 64}}, r"file name '\.\./encoder.onnx'"),
        ({"files": {"encoder.onnx": "0"}}, "SHA-256 of encoder.onnx '0'"),
        ({"coding_id": "0123456789ABCDEF"}, "coding_id '0123456789ABCDEF'"),
        ({"rate_distortion": [[50, 0.3]]}, "is not three finite numbers"),
        ({"rate_distortion": [[50, 0.3, float("nan")]]}, "is not three finite numbers"),
        ({"rate_distortion": [[50, 0.3, 10**400]]}, "too large"),
    ],
)
def test_message_names_what_is_wrong(change: dict[str, object], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Manifest.from_json(json.dumps({**EXAMPLE, **change}))


PLAIN = {"hyper_stride": 0, "hyper_channels": 0, "known_answer": None, "latent_channels": 2}
ARRAY = {**PLAIN, "input": "array", "shape": [3, 4, 50], "latent_size": [1, 5]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [28, 28], "latent_size": [1, 1]}, "must be null with hyper_stride"),
        ({**PLAIN, "size": [28, 28]}, "latent_size None must be there if and only if"),
        ({**PLAIN, "latent_size": [1, 1]}, r"latent_size \(1, 1\) must be there if and only if"),
        ({**PLAIN, "size": [28], "latent_size": [1, 1]}, r"size \[28\] is not a height and"),
        ({**PLAIN, "size": [28, 0], "latent_size": [1, 1]}, "size 0 is outside 1..65535"),
        ({**PLAIN, "size": "28", "latent_size": [1, 1]}, "size is str, not list"),
        ({**ARRAY, "shape": None}, "shape None and input 'array' contradict"),
        ({**ARRAY, "input": "grey"}, r"shape \(3, 4, 50\) and input 'grey' contradict"),
        ({**ARRAY, "shape": []}, "is not 1 to 4 integers"),
        ({**ARRAY, "shape": [1] * 5}, "is not 1 to 4 integers"),
        ({**ARRAY, "shape": [300, 300, 1]}, "product of shape but the last 90000 is outside"),
        ({**ARRAY, "size": [3, 4]}, "one of them must be null"),
        ({**PLAIN, "latent_step": [0.5]}, "latent_step is not 2 positive numbers"),
        ({**PLAIN, "latent_step": [0.5, 0]}, "latent_step is not 2 positive numbers"),
        ({**PLAIN, "latent_step": [0.5, True]}, "latent_step is not 2 positive numbers"),
        ({**PLAIN, "prior": "normal"}, "needs latent_step"),
        ({**PLAIN, "prior": "laplace"}, "prior 'laplace' is none of null, 'normal', 'mixture'"),
        ({**PLAIN, "prior": "mixture", "latent_step": [1, 1]}, "so it needs latent_size"),
        ({"halo": -1}, "halo -1 is outside"),
        ({**PLAIN, "correction": True}, "correction must be false"),
        ({"correction": 1}, "correction is int, not bool"),
    ],
)
def test_message_names_what_is_wrong_with_a_plain_bundle(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        Manifest.from_json(json.dumps({**EXAMPLE, **change}))


def test_shapes_follow_from_the_size_or_from_the_manifest() -> None:
    any_size = Manifest.from_json(json.dumps(EXAMPLE))
    assert any_size.fixed_size is None
    assert any_size.pixels_shape(64, 128) == (64, 128, 3)
    assert any_size.latents_shape(64, 128) == (320, 4, 8)
    change = {**PLAIN, "input": "grey", "size": [30, 31], "latent_size": [4, 5]}
    one_size = Manifest.from_json(json.dumps({**EXAMPLE, **change}))
    assert (one_size.fixed_size, one_size.multiple) == ((30, 31), 1)
    assert one_size.pixels_shape(30, 31) == (30, 31, 1)
    assert one_size.latents_shape(30, 31) == (2, 4, 5)
    array = Manifest.from_json(json.dumps({**EXAMPLE, **ARRAY}))
    assert (array.fixed_size, array.multiple) == ((12, 50), 1)
    assert array.pixels_shape(12, 50) == (3, 4, 50)
    assert array.latents_shape(12, 50) == (2, 1, 5)
    assert Manifest.from_json(json.dumps({**EXAMPLE, **ARRAY, "shape": [9]})).fixed_size == (1, 9)


@pytest.mark.parametrize("key", sorted(EXAMPLE))
def test_missing_key_is_named(key: str) -> None:
    record = {name: value for name, value in EXAMPLE.items() if name != key}
    with pytest.raises(BundleError, match=key):
        Manifest.from_json(json.dumps(record))


def test_plain_autoencoder_pads_to_its_stride() -> None:
    change = {"hyper_stride": 0, "hyper_channels": 0, "known_answer": None}
    manifest = Manifest.from_json(json.dumps({**EXAMPLE, **change}))
    assert manifest.plain
    assert manifest.multiple == 16
    assert Manifest.from_json(json.dumps(EXAMPLE)).multiple == 64


def test_known_answer_without_hyper_stride_is_refused() -> None:
    change = {"hyper_stride": 0, "hyper_channels": 0}
    with pytest.raises(BundleError, match="known_answer must be null"):
        Manifest.from_json(json.dumps({**EXAMPLE, **change}))


@pytest.mark.parametrize("shape", [[1, 96, 2], [2, 96, 1, 1], [1, 96, 60, 60], [1, 96, 0, 1]])
def test_known_answer_shape_is_bounded(shape: list[int]) -> None:
    answer = {**EXAMPLE["known_answer"], "shape": shape}
    with pytest.raises(BundleError, match=r"known_answer\.shape"):
        Manifest.from_json(json.dumps({**EXAMPLE, "known_answer": answer}))
