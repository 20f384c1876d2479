"""A bundle's known file: a made picture as ``.eae``, the hash of its symbols, and its pixels.

The exporter makes it on the CPU in fp32. Its symbols must come out of the file exactly on every
machine, provider and precision; pixels, and the symbols of an encoder, only nearly: the bounds are
here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgeae.bundle import FP32, INT8, unpack_arrays
from edgeae.errors import BundleError
from edgeae.known_answer import known_picture, known_values, symbols_sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.codec import Codec
    from edgeae.manifest import Manifest

KNOWN_FILE = "known_answer.npz"  # name of the file in a bundle
QUALITY = 50.0
SIZE = 60, 100  # of the picture; neither is a multiple of a stride
LEVELS = 2.0  # of 255: how far any pixel may be from the stored one, in fp32
# int8 rounds inside the network, each provider in its own way: single pixels at edges are far off,
# and the made picture is far from what small autoencoders know. Kernels that are wrong are worse.
INT8_PSNR_DB = 25.0  # at least, from the stored pixels; photo has 51, vae 29
SYMBOLS = 0.01  # share of an encoder's symbols that may be other ones; in int8, by more than a step
_MEMBERS = ("file", "pixels", "symbols_sha256")
_MAX_BYTES = 1 << 24  # unpacked


@dataclass(frozen=True, slots=True, eq=False)
class KnownFile:
    """What a bundle makes of the known picture."""

    file: bytes  # .eae
    symbols_sha256: str  # of `edgeae.known_answer.symbols_sha256`
    pixels: NDArray[Any]  # what the file decodes to: uint8, or float32 of an array

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what `to_bytes` wrote; BundleError if it is something else."""
        arrays = unpack_arrays(Path(KNOWN_FILE), data, limit=_MAX_BYTES)
        try:
            file, pixels, digest = (arrays[name] for name in _MEMBERS)
        except KeyError as error:
            raise BundleError(f"{KNOWN_FILE}: lacks {error}; export the bundle again") from error
        return cls(file.tobytes(), digest.tobytes().hex(), pixels)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the members of the archive."""
        return {
            "file": np.frombuffer(self.file, np.uint8),
            "pixels": self.pixels,
            "symbols_sha256": np.frombuffer(bytes.fromhex(self.symbols_sha256), np.uint8),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a codec here departs from the known file."""

    symbols_sha256: str  # of the symbols in the file, as decoded here
    exact: bool  # they are the stored ones
    levels: float  # largest difference of a pixel, in 255ths of the range
    psnr_db: float  # between the stored pixels and those decoded here; infinite if equal
    other_symbols: int  # of those that the encoder here gives, hyper-latents included
    far_symbols: int  # of those, by more than one step
    symbols: int
    decoder_precision: str
    encoder_precision: str

    def complaints(self) -> list[str]:
        """Return what is out of bounds, as parts of a sentence."""
        found = []
        if not self.exact:
            found.append("other symbols come out of the stored file")
        if self.decoder_precision == FP32 and not self.levels <= LEVELS:
            found.append(f"pixels are {self.levels:.3g} levels off, at most {LEVELS:g} may be")
        if self.decoder_precision == INT8 and not self.psnr_db >= INT8_PSNR_DB:
            found.append(f"pixels are {self.psnr_db:.1f} dB off, not {INT8_PSNR_DB:g}")
        int8 = self.encoder_precision == INT8
        other = self.far_symbols if int8 else self.other_symbols
        most = max(1, int(SYMBOLS * self.symbols))  # some bundles have a handful
        if other > most:
            found.append(
                f"the encoder gives {other} of {self.symbols} other symbols"
                f"{', by more than a step' * int8}, at most {most} may be"
            )
        return found


def known_input(manifest: Manifest, size: tuple[int, int] = SIZE) -> NDArray[Any]:
    """Return the picture, or the array, that the known file of a bundle is made from.

    ``size`` is that of a picture which may have any.
    """
    if manifest.shape is not None:
        return known_values(0, manifest.shape).astype(np.float32) / np.float32(12)
    height, width = manifest.fixed_size or size
    picture = known_picture(height, width, manifest.input_channels)
    return picture[..., 0] if manifest.input_channels == 1 else picture


def make_known_file(codec: Codec) -> KnownFile:
    """Return the known file of a codec that runs in fp32 on the CPU.

    Without rounds: each would add to the symbols that another machine rounds otherwise.
    """
    file = codec.compress(known_input(codec.bundle.manifest), QUALITY, effort=0)
    latents = codec.from_bytes(file)
    digest = symbols_sha256(latents.z, latents.symbols)
    return KnownFile(file, digest, codec.decompress(file))


def read_known_file(bundle: Bundle) -> KnownFile | None:
    """Return the known file of a bundle, None if it has none.

    Raises
    ------
    BundleError
        It was changed, or is none.
    """
    if KNOWN_FILE not in bundle.manifest.files:
        return None
    return KnownFile.from_bytes(bundle.read(KNOWN_FILE))


def compare(codec: Codec, known: KnownFile) -> Comparison:
    """Return how ``codec`` departs from the known file of its bundle.

    Raises
    ------
    EdgeaeError
        It cannot decode the file, or not encode the picture.
    """
    stored = codec.from_bytes(known.file)
    digest = symbols_sha256(stored.z, stored.symbols)
    levels, psnr_db = _difference(codec.decompress(known.file), known.pixels)
    size = (stored.height, stored.width)  # another version may have made it of another size
    again = codec.encode(known_input(codec.bundle.manifest, size), QUALITY, effort=0)
    pairs = [(stored.z, again.z), (stored.symbols, again.symbols)]
    return Comparison(
        symbols_sha256=digest,
        exact=digest == known.symbols_sha256,
        levels=levels,
        psnr_db=psnr_db,
        other_symbols=sum(_count_beyond(0, one, other) for one, other in pairs),
        far_symbols=sum(_count_beyond(1, one, other) for one, other in pairs),
        symbols=sum(one.size for one, _ in pairs),
        decoder_precision=codec.decoder_precision,
        encoder_precision=codec.encoder_precision,
    )


def _count_beyond(steps: int, one: NDArray[Any], other: NDArray[Any]) -> int:
    if one.shape != other.shape:
        return one.size
    return int(np.count_nonzero(np.abs(one.astype(np.int32) - other) > steps))


def _difference(found: NDArray[Any], stored: NDArray[Any]) -> tuple[float, float]:
    """Return the largest difference in 255ths of the range, and the PSNR in dB."""
    if found.shape != stored.shape or found.dtype != stored.dtype:
        return math.inf, -math.inf
    of_255 = 255.0 / (255.0 if stored.dtype == np.uint8 else max(float(np.ptp(stored)), 1e-9))
    error = (found.astype(np.float64) - stored) * of_255
    square = float(np.square(error).mean())
    return float(np.abs(error).max()), 10 * math.log10(255**2 / square) if square else math.inf
