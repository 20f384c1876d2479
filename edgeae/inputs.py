"""What a bundle's graphs take and give, as `input`, `size` and `shape` of its manifest say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from edgeae.arrays import FloatArray, to_float_array
from edgeae.container import ARRAY_MODE
from edgeae.errors import ContainerError, ImageError
from edgeae.images.files import to_picture
from edgeae.images.padding import as_rgb, crop, pad, padded_size
from edgeae.images.picture import Picture, to_array

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from edgeae.latents import Latents
    from edgeae.manifest import Manifest

    ImageLike: TypeAlias = Picture | FloatArray | Image | NDArray[Any]

Source: TypeAlias = Picture | FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """All of a picture, or an array, but its samples."""

    width: int
    height: int
    mode: str
    alpha: NDArray[np.uint8] | None
    icc: bytes | None
    exif: bytes | None

    @classmethod
    def of(cls, source: Source | Latents) -> Label:
        """Return what is beside the samples of ``source``."""
        return cls(source.width, source.height, source.mode, source.alpha, source.icc, source.exif)


class Input(Protocol):
    """The two ends of a codec: from what users have to what graphs take, and back."""

    def read(self, image: Any) -> Source:
        """Return what ``compress`` was given, checked."""
        ...

    def samples(self, source: Source) -> NDArray[Any]:
        """Return what the encoder takes, without the axis of the batch."""
        ...

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of what the encoder takes of a picture or array of this size."""
        ...

    def check(self, height: int, width: int, mode: str) -> None:
        """Raise ContainerError if a file says what these graphs cannot give."""
        ...

    def cut(self, pixels: NDArray[Any], height: int, width: int, mode: str) -> NDArray[Any]:
        """Return the decoder's output, without the axis of the batch, as ``mode`` has it."""
        ...

    def finish(self, pixels: NDArray[Any], beside: Label | Latents | Source) -> Source:
        """Return the decoded samples with what ``beside`` has of alpha and metadata."""
        ...

    def to_array(self, source: Source) -> NDArray[Any]:
        """Return what ``decompress`` gives."""
        ...


class PictureInput:
    """8-bit pictures, grey or RGB: of any size, padded, or of one size."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def read(self, image: Any) -> Picture:
        """Return the picture.

        Raises
        ------
        ImageError
            Of another size than the bundle takes.
        TypeError, ValueError
            Not a picture.
        """
        picture = to_picture(image)
        size = self._manifest.size
        if size not in (None, (picture.height, picture.width)):
            raise ImageError(
                f"a picture of {picture.width}x{picture.height}, but bundle {self._manifest.name} "
                f"takes {_across(size)} only; resize it, or choose another model"
            )
        return picture

    def samples(self, source: Source) -> NDArray[np.uint8]:
        """Return (H', W', 1) or (H', W', 3); ImageError for colours where the bundle is grey."""
        return pad(with_channels(source.pixels, self._manifest), self._manifest.multiple)  # type: ignore[union-attr]  # read above

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Return the size after padding."""
        return padded_size(height, width, self._manifest.multiple)

    def check(self, height: int, width: int, mode: str) -> None:
        """Raise ContainerError for an array, or another size."""
        if mode == ARRAY_MODE or self._manifest.size not in (None, (height, width)):
            raise ContainerError(
                f"mode {mode} of {width}x{height}, but bundle {self._manifest.name} has pictures "
                f"of {_across(self._manifest.size)}; the header was altered"
            )

    def cut(self, pixels: NDArray[Any], height: int, width: int, mode: str) -> NDArray[np.uint8]:
        """Return (height, width) or (height, width, 3)."""
        samples = crop(pixels, height, width)
        return np.ascontiguousarray(_grey(samples) if mode.startswith("L") else _rgb(samples))

    def finish(self, pixels: NDArray[Any], beside: Label | Latents | Source) -> Picture:
        """Return the picture with alpha and metadata."""
        return Picture(pixels, beside.alpha, beside.icc, beside.exif)

    def to_array(self, source: Source) -> NDArray[np.uint8]:
        """Return (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)."""
        return to_array(source)  # type: ignore[arg-type]  # `finish` made it


class ArrayInput:
    """Arrays of floats of one shape."""

    def __init__(self, manifest: Manifest) -> None:
        self._shape = manifest.pixels_shape(0, 0)
        self._size = manifest.fixed_size
        self._name = manifest.name

    def read(self, image: Any) -> FloatArray:
        """Return the array; the errors are those of `to_float_array`."""
        return to_float_array(image, self._shape)

    def samples(self, source: Source) -> NDArray[np.float32]:
        """Return the values as they are."""
        return source.values  # type: ignore[union-attr]  # read above

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Return the size as it is."""
        return height, width

    def check(self, height: int, width: int, mode: str) -> None:
        """Raise ContainerError for a picture, or another shape."""
        if mode != ARRAY_MODE or (height, width) != self._size:
            raise ContainerError(
                f"mode {mode} of {width}x{height}, but bundle {self._name} has arrays of "
                f"{self._shape}; the header was altered"
            )

    def cut(self, pixels: NDArray[Any], height: int, width: int, mode: str) -> NDArray[np.float32]:
        """Return the array as it is."""
        return pixels

    def finish(self, pixels: NDArray[Any], beside: Label | Latents | Source) -> FloatArray:
        """Return the array."""
        return FloatArray(pixels)

    def to_array(self, source: Source) -> NDArray[np.float32]:
        """Return float32 of the bundle's shape."""
        return source.values  # type: ignore[union-attr]  # `finish` made it


INPUTS: dict[str, type[PictureInput] | type[ArrayInput]] = {
    "rgb": PictureInput,
    "grey": PictureInput,
    "array": ArrayInput,
}


def with_channels(pixels: NDArray[np.uint8], manifest: Manifest) -> NDArray[np.uint8]:
    """Return (H, W) or (H, W, 3) as (H, W, 1) or (H, W, 3), as the encoder takes it.

    Raises
    ------
    ImageError
        A colour picture, and a bundle for grey ones.
    """
    if manifest.input_channels == 3:
        return as_rgb(pixels)
    if pixels.ndim == 2:
        return pixels[..., np.newaxis]
    if (pixels == pixels[..., :1]).all():
        return pixels[..., :1]
    raise ImageError(
        f"a colour picture, but bundle {manifest.name} is for grey ones; convert "
        f"the picture, or choose another model"
    )


def picture_in(source: Source) -> Picture:
    """Return the picture that ``source`` is; ImageError for an array."""
    if not isinstance(source, Picture):
        raise ImageError("the file holds an array and no picture; write it to a .npy file")
    return source


def _across(size: tuple[int, int] | None) -> str:
    return "any size" if size is None else f"{size[1]}x{size[0]}"


def _grey(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) of a decoder's (H, W, 1) or (H, W, 3): the mean, docs/FORMAT.md 6.3."""
    if samples.shape[-1] == 1:
        return samples[..., 0]
    total = samples[..., 0] + samples[..., 1].astype(np.uint16) + samples[..., 2]
    return ((total + 1) // 3).astype(np.uint8)


def _rgb(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, 3) of a decoder's (H, W, 1) or (H, W, 3)."""
    return samples if samples.shape[-1] == 3 else np.repeat(samples, 3, axis=-1)
