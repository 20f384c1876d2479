"""A latent file of either kind, read whole: what it says of itself, and what it decodes to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from edgeae.errors import ContainerError

if TYPE_CHECKING:
    from edgeae.cli.jobs import Job
    from edgeae.codec import Codec
    from edgeae.crops import Region
    from edgeae.images.strips import Strips
    from edgeae.inputs import Source
    from edgeae.latents import Latents


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """An ``.eae`` file, or latents in a ``.npy`` file, whose header was read."""

    size: int  # bytes
    width: int
    height: int
    mode: str
    coding_id: bytes
    content: bytes | Latents

    @property
    def is_array(self) -> bool:
        """Whether it holds an array and no picture."""
        from edgeae.container import ARRAY_MODE

        return self.mode == ARRAY_MODE

    def decode(
        self, codec_for: Callable[[bytes], Codec], max_pixels: int, region: Region | None = None
    ) -> tuple[Source | Strips, Codec | None]:
        """Return what it decodes to, and the codec; the errors are the codec's.

        A picture of few colours has none. It, large ones and parts of pictures come in strips.
        """
        from edgeae.arrays import FloatArray
        from edgeae.exact import read_exact
        from edgeae.images.strips import strips_of

        if isinstance(self.content, bytes):
            exact = read_exact(self.content, region, max_pixels=max_pixels)
            if exact is not None:
                return strips_of(exact), None
        codec = codec_for(self.coding_id)
        if region is not None or (not self.is_array and codec.is_large(self.width, self.height)):
            if isinstance(self.content, bytes):
                return codec.decompress_strips(
                    self.content, region=region, max_pixels=max_pixels
                ), codec
            return codec.decode_strips(self.content, region=region), codec
        if isinstance(self.content, bytes):
            if self.is_array:
                return FloatArray(codec.decompress(self.content, max_pixels=max_pixels)), codec
            return codec.decompress_picture(self.content, max_pixels=max_pixels), codec
        if self.is_array:
            return FloatArray(codec.decode_array(self.content)), codec
        return codec.decode(self.content), codec


def read_packed(job: Job, max_pixels: int) -> Packed:
    """Return the file of a job; one that does not begin like ours is not read whole.

    Raises
    ------
    ContainerError
        It cannot be read, or is damaged at its beginning.
    """
    if job.source is None:
        return _read(sys.stdin.buffer, max_pixels)
    try:
        with job.source.open("rb") as file:
            return _read(file, max_pixels)
    except OSError as error:
        raise ContainerError(f"cannot be read: {error.strerror or error}") from error


def holds_array(job: Job) -> bool:
    """Return whether an ``.eae`` file says so; False for what cannot be read: reading says why."""
    from edgeae.container import ARRAY_MODE, HEADER_BYTES_MAX, read_header

    if job.source is None:
        return False
    try:
        with job.source.open("rb") as file:
            return read_header(file.read(HEADER_BYTES_MAX)).mode == ARRAY_MODE
    except (OSError, ContainerError):
        return False


def read_whole(file: BinaryIO) -> bytes:
    """Return a file of latents; of an ``.eae`` file that is longer than it says, not all.

    Raises
    ------
    ContainerError
        It is damaged at its beginning.
    """
    from edgeae.container import HEADER_BYTES_MAX, read_container
    from edgeae.npy import is_npy

    head = file.read(HEADER_BYTES_MAX)
    return head + file.read() if is_npy(head) else read_container(file, head)


def _read(file: BinaryIO, max_pixels: int) -> Packed:
    from edgeae.container import read_header
    from edgeae.npy import is_npy, latents_from_npy

    data = read_whole(file)
    if is_npy(data):
        of = latents_from_npy(data, max_pixels=max_pixels)
        return Packed(len(data), of.width, of.height, of.mode, of.coding_id, of)
    header = read_header(data)
    return Packed(len(data), header.width, header.height, header.mode, header.coding_id, data)
