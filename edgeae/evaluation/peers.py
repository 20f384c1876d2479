"""The codecs that edgeae is measured against: real files in memory, written by Pillow.

Settings and qualities are those of common tables; speeds are what people wait for. Nothing here
knows of edgeae.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from PIL import Image, features

from edgeae.errors import ImageError, MissingExtraError
from edgeae.images.damage import one_line
from edgeae.images.files import read_picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ANCHOR = "jpeg420"

JPEG_QUALITIES = (4, 7, 11, 16, 23, 32, 45, 60, 73, 83, 91)
WEBP_QUALITIES = (0, 5, 12, 22, 35, 50, 65, 78, 86, 91)
AVIF_QUALITIES = (5, 12, 20, 28, 36, 44, 52, 60, 68, 77, 84)
JXL_QUALITIES = (5, 12, 22, 35, 50, 62, 72, 80, 86, 91)
HEIC_QUALITIES = (3, 8, 14, 20, 26, 32, 38, 44, 50, 58)

# One thread and no tiles: both change AVIF's bytes, and this is its best setting. Pillow's default
# tiling costs it 1 to 2 % of the rate on 768x512 (0.5 points of BD-rate).
AVIF_OPTIONS = {"subsampling": "4:4:4", "speed": 6, "max_threads": 1, "autotiling": False}


@dataclass(frozen=True, slots=True)
class Peer:
    """One codec with one setting, at several qualities."""

    label: str  # what the table and the plot say
    format: str  # Pillow's name
    qualities: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    plugin: str = ""  # module whose import lets Pillow read and write the format
    requirement: str = "pillow"  # the package to install where it cannot run

    @property
    def available(self) -> bool:
        """Whether this machine can run it."""
        if self.plugin:
            return find_spec(self.plugin) is not None
        return self.format != "AVIF" or bool(features.check("avif"))

    def load(self) -> None:
        """Make the format known to Pillow.

        Raises
        ------
        MissingExtraError
            This machine cannot run it.
        """
        if not self.available:
            raise MissingExtraError(
                f"{self.label} cannot be run here; install it: pip install -U {self.requirement}"
            )
        if self.plugin:
            module = import_module(self.plugin)
            getattr(module, "register_heif_opener", lambda: None)()

    def compress(self, pixels: NDArray[np.uint8], quality: int) -> bytes:
        """Return the file of (H, W) or (H, W, 3) uint8 pixels.

        Raises
        ------
        ImageError
            The format cannot hold a picture of this size.
        """
        buffer = io.BytesIO()
        image = Image.fromarray(pixels)
        try:
            image.save(buffer, self.format, quality=quality, **self.options)
        except (OSError, ValueError, SystemError, OverflowError, RuntimeError) as error:
            size = f"{image.width}x{image.height}"
            raise ImageError(
                f"{self.label} cannot code this {size} picture ({one_line(error)}); leave one out"
            ) from error
        return buffer.getvalue()

    def decompress(self, data: bytes) -> NDArray[np.uint8]:
        """Return the picture of a file, grey or RGB."""
        return read_picture(io.BytesIO(data)).pixels


_JPEG = {"optimize": True, "progressive": True}

PEERS = {
    ANCHOR: Peer("JPEG 4:2:0", "JPEG", JPEG_QUALITIES, {**_JPEG, "subsampling": "4:2:0"}),
    "webp": Peer("WebP, method 6", "WEBP", WEBP_QUALITIES, {"method": 6}),
    "avif444": Peer("AVIF 4:4:4, speed 6", "AVIF", AVIF_QUALITIES, AVIF_OPTIONS),
    "avif444-psnr": Peer(
        "AVIF 4:4:4, speed 6, tune=psnr",
        "AVIF",
        AVIF_QUALITIES,
        {**AVIF_OPTIONS, "codec": "aom", "advanced": {"tune": "psnr"}},
    ),
    "jxl": Peer(
        "JPEG XL, effort 7",
        "JXL",
        JXL_QUALITIES,
        {"effort": 7},
        "pillow_jxl",
        "pillow-jxl-plugin",
    ),
    "heic420": Peer(
        "HEIC 4:2:0",
        "HEIF",
        HEIC_QUALITIES,
        {"chroma": 420},
        "pillow_heif",
        "pillow-heif",
    ),
}
# What a user calls the formats, in the order of tables.
FORMATS = {"jpeg": ANCHOR, "webp": "webp", "avif": "avif444", "jxl": "jxl", "heic": "heic420"}


def load_plugins() -> None:
    """Make known to Pillow what the installed plug-ins read."""
    for peer in PEERS.values():
        if peer.plugin and peer.available:
            peer.load()


def versions() -> dict[str, str]:
    """Return what the peers' bytes depend on."""
    found = {"Pillow": metadata.version("pillow")}
    for name in ("libjpeg_turbo", "webp", "avif"):
        if version := features.version(name):
            found[name] = version
    for peer in PEERS.values():
        if peer.plugin and peer.available:
            found[peer.requirement] = metadata.version(peer.requirement)
    return found
