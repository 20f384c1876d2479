"""manifest.json and the frozen dataclass it holds: text in, text out, no files.

The manifest says what the codec needs to know about a bundle's graphs, and where they came from.
Unknown and missing keys are errors: a typo never becomes a default.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias, TypeVar

from edgeae.errors import BundleError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
_T = TypeVar("_T")

FORMAT = 1
INPUT_CHANNELS = {"rgb": 3, "grey": 1}  # length of the last axis of the pixels
ARRAY = "array"
NORMAL, MIXTURE = "normal", "mixture"
_MAX_STRIDE = 1024
_MAX_SIDE = 65_535  # of a picture, of an array's last axis, of the product of its other axes
_MAX_AXES = 4
_MAX_CHANNELS = 4096
_MAX_KNOWN_ANSWER = 1 << 16  # elements of z; the check runs whenever a session is made
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CODING_ID = re.compile(r"[0-9a-f]{16}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of bundles and of their files: no folders
_NULL_OR_LIST = ("size", "shape", "latent_size", "latent_step")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswer:
    """Input of the hyper-decoder and the scale indexes that every machine must compute from it."""

    z_seed: int  # of edgeae.known_answer.known_values
    shape: tuple[int, int, int, int]  # of z: 1, Cz, hz, wz
    index_sha256: str  # over the uint8 indexes of all steps, in order

    def __post_init__(self) -> None:
        _check_int("known_answer.z_seed", self.z_seed, 0, (1 << 32) - 1)
        if not (isinstance(self.shape, tuple) and len(self.shape) == 4):
            raise ValueError(f"known_answer.shape {self.shape!r} is not four integers")
        for length in self.shape:
            _check_int("known_answer.shape", length, 1, _MAX_KNOWN_ANSWER)
        if self.shape[0] != 1 or math.prod(self.shape) > _MAX_KNOWN_ANSWER:
            raise ValueError(
                f"known_answer.shape {self.shape} must begin with 1 and hold at most "
                f"{_MAX_KNOWN_ANSWER} elements"
            )
        _check_match("known_answer.index_sha256", self.index_sha256, _SHA256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything in manifest.json.

    ``hyper_stride``, ``hyper_channels`` and ``known_answer`` are 0, 0 and None for a plain
    autoencoder, which has no hyper-latents. Only a plain one can take arrays, or pictures of one
    size; its latents then have the one ``latent_size``, and ``stride`` is about the square root of
    pixels per latent. For arrays ``rate_distortion`` has bits per value and the signal-to-noise
    ratio in dB.
    """

    format: int = FORMAT
    name: str
    description: str
    latent_space: str  # name of the training run whose latents these are; part of the coding id
    input: str  # "rgb", "grey" or "array"
    size: tuple[int, int] | None  # height, width of all pictures; None: any size, padded
    shape: tuple[int, ...] | None  # of all arrays, 1 to 4 axes; None for pictures
    latent_size: tuple[int, int] | None  # h, w; None where they follow from the picture's size
    stride: int  # pixels per latent, in each direction
    hyper_stride: int  # pixels per hyper-latent
    latent_channels: int
    hyper_channels: int
    latent_step: tuple[float, ...] | None  # of each channel of y, in the network's own units
    prior: str | None  # of latents in the network's units: "normal", N(0, 1), or "mixture"
    halo: int | None  # pixels around that an output pixel may depend on; None: unknown, or all
    correction: bool = False  # whether files bring a filter along that lowers the squared error
    coding_id: str  # 16 hexadecimal digits; edgeae.bundle.coding_id computes it
    files: Mapping[str, str]  # file name -> SHA-256, for every file of the bundle but this one
    known_answer: KnownAnswer | None
    training: Mapping[str, Json]  # command, data, steps, hours, device, commit, versions, ..
    rate_distortion: tuple[tuple[float, float, float], ...]  # quality, bits per pixel, PSNR in dB

    def __post_init__(self) -> None:
        _check_int("format", self.format, FORMAT, FORMAT)
        _check_match("name", self.name, NAME)
        _check_type("description", self.description, str)
        _check_type("latent_space", self.latent_space, str)
        if self.input not in (inputs := [*sorted(INPUT_CHANNELS), ARRAY]):
            raise ValueError(f"input {self.input!r} is not one of {inputs}")
        _check_match("coding_id", self.coding_id, _CODING_ID)
        self._check_geometry()
        self._check_fixed_size()
        self._check_latents()
        if not (isinstance(self.files, Mapping) and isinstance(self.training, Mapping)):
            raise TypeError("files and training must be objects")
        for name, digest in self.files.items():
            _check_match("file name", name, NAME)
            _check_match(f"SHA-256 of {name}", digest, _SHA256)
        for point in self.rate_distortion:
            _check_point(point)

    def _check_geometry(self) -> None:
        _check_int("stride", self.stride, 1, _MAX_STRIDE)
        _check_int("latent_channels", self.latent_channels, 1, _MAX_CHANNELS)
        if self.plain:
            _check_int("hyper_channels without hyper_stride", self.hyper_channels, 0, 0)
            if self.known_answer is not None:
                raise ValueError("known_answer must be null without hyper_stride")
            return
        _check_int("hyper_stride", self.hyper_stride, self.stride, _MAX_STRIDE)
        _check_int("hyper_channels", self.hyper_channels, 1, _MAX_CHANNELS)
        if self.hyper_stride % (2 * self.stride):  # masks have a period of two latents
            raise ValueError(
                f"hyper_stride {self.hyper_stride} is not an even multiple of stride {self.stride}"
            )
        if self.known_answer is None:
            raise ValueError("known_answer must not be null when there is a hyper_stride")
        if self.known_answer.shape[1] != self.hyper_channels:
            raise ValueError(
                f"known_answer.shape {self.known_answer.shape} does not have "
                f"{self.hyper_channels} hyper_channels"
            )

    def _check_fixed_size(self) -> None:
        if (self.shape is not None) != (self.input == ARRAY):
            raise ValueError(f"shape {self.shape} and input {self.input!r} contradict")
        if self.shape is not None:
            if not (isinstance(self.shape, tuple) and 1 <= len(self.shape) <= _MAX_AXES):
                raise ValueError(f"shape {self.shape!r} is not 1 to {_MAX_AXES} integers")
            for length in self.shape:
                _check_int("shape", length, 1, _MAX_SIDE)
            _check_int("product of shape but the last", math.prod(self.shape[:-1]), 1, _MAX_SIDE)
        for name, sides in (("size", self.size), ("latent_size", self.latent_size)):
            if sides is not None:
                _check_sides(name, sides)
        if self.size is not None and self.shape is not None:
            raise ValueError(f"size {self.size} and shape {self.shape}; one of them must be null")
        if (self.fixed_size is None) != (self.latent_size is None):
            raise ValueError(
                f"latent_size {self.latent_size} must be there if and only if size or shape is"
            )
        if self.fixed_size is not None and not self.plain:
            raise ValueError("size and shape must be null with hyper_stride")

    def _check_latents(self) -> None:
        if self.latent_step is not None:
            steps = _check_type("latent_step", self.latent_step, tuple)
            if len(steps) != self.latent_channels or not all(map(_positive, steps)):
                raise ValueError(
                    f"latent_step is not {self.latent_channels} positive numbers: {steps[:9]}"
                )
        if self.prior not in (None, NORMAL, MIXTURE):
            raise ValueError(f"prior {self.prior!r} is none of null, {NORMAL!r}, {MIXTURE!r}")
        if self.prior is not None and self.latent_step is None:
            raise ValueError("a prior is about the network's units, so it needs latent_step")
        if self.prior == MIXTURE and self.latent_size is None:
            raise ValueError("a mixture is over all latents of a picture, so it needs latent_size")
        if self.halo is not None:
            _check_int("halo", self.halo, 0, _MAX_SIDE)
        if _check_type("correction", self.correction, bool) and self.plain:
            raise ValueError("correction must be false without hyper_stride")

    @property
    def plain(self) -> bool:
        """Whether this is an autoencoder without hyper-latents."""
        return self.hyper_stride == 0

    @property
    def multiple(self) -> int:
        """Pictures are padded to a multiple of this many pixels in both directions."""
        return 1 if self.fixed_size is not None else max(self.stride, self.hyper_stride)

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width of all there is to code; None if pictures may have any size.

        The width of an array is its last axis, the height the product of the others.
        """
        if self.shape is not None:
            return math.prod(self.shape[:-1]), self.shape[-1]
        return self.size

    def pixels_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Return what the encoder takes of a padded picture of this size, without the batch."""
        return self.shape or (height, width, INPUT_CHANNELS[self.input])

    def latents_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the shape of the latents of a padded picture of this size, (C, h, w)."""
        h, w = self.latent_size or (height // self.stride, width // self.stride)
        return self.latent_channels, h, w

    @property
    def input_channels(self) -> int:
        """Channels of the pixels that the encoder takes and the decoder gives: 1 or 3."""
        return INPUT_CHANNELS[self.input]

    def to_json(self) -> str:
        """Return the text of manifest.json."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the manifest in ``text``.

        Raises
        ------
        BundleError
            Not JSON, a key unknown or missing, or a value of the wrong type or out of range.
        """
        try:
            record = _record("the manifest", json.loads(text))
            answer = record.get("known_answer")
            if answer is not None:
                fields = _record("known_answer", answer)
                _check_keys("known_answer", fields, KnownAnswer)
                fields["shape"] = _tuple("known_answer.shape", fields["shape"])
                record["known_answer"] = KnownAnswer(**fields)  # type: ignore[arg-type]  # checked by __post_init__
            _check_keys("the manifest", record, cls)
            for name in _NULL_OR_LIST:
                if record[name] is not None:
                    record[name] = _tuple(name, record[name])
            points = _tuple("rate_distortion", record["rate_distortion"])
            record["rate_distortion"] = tuple(_tuple("rate_distortion", p) for p in points)
            return cls(**record)  # type: ignore[arg-type]  # checked by __post_init__
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise BundleError(
                f"manifest.json: {error}; export the bundle again, or upgrade edgeae if it is newer"
            ) from error


def _record(what: str, value: object) -> dict[str, object]:
    return dict(_check_type(what, value, dict))


def _tuple(what: str, value: object) -> tuple[object, ...]:
    return tuple(_check_type(what, value, list))


def _check_keys(what: str, record: Mapping[str, object], cls: type) -> None:
    names = {field.name for field in dataclasses.fields(cls)}
    unknown, missing = sorted(record.keys() - names), sorted(names - record.keys())
    if unknown or missing:
        raise ValueError(f"{what} has unknown keys {unknown} and lacks {missing}")


def _check_type(what: str, value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"{what} is {type(value).__name__}, not {kind.__name__}")
    return value


def _check_int(what: str, value: object, lowest: int, highest: int) -> None:
    if type(value) is not int:  # a bool is no number here
        raise TypeError(f"{what} is {value!r}, not an integer")
    if not lowest <= value <= highest:
        raise ValueError(f"{what} {value} is outside {lowest}..{highest}")


def _check_match(what: str, value: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ValueError(f"{what} {value!r} does not match {pattern.pattern}")


def _check_sides(what: str, sides: object) -> None:
    pair = _check_type(what, sides, tuple)
    if len(pair) != 2:
        raise ValueError(f"{what} {list(pair)} is not a height and a width")
    for length in pair:
        _check_int(what, length, 1, _MAX_SIDE)


def _positive(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0  # type: ignore[arg-type, operator]  # a number by its type


def _check_point(point: object) -> None:
    numbers = _check_type("rate_distortion point", point, tuple)
    if len(numbers) != 3 or not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
        raise ValueError(f"rate_distortion point {list(numbers)} is not three finite numbers")
