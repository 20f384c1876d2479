"""Latents to the bytes of an ``.eae`` file and back: entropy coder, container, and their checks.

pack: symbols -> entropy coder -> container; unpack: container -> entropy coder and prior -> y_hat.
A file of few colours has none of this: its pixels are in the container.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgeae.colours import decode_colours
from edgeae.container import Container, Header
from edgeae.correction import decode_weights, encode_weights
from edgeae.entropy.rans import Decoder, encode
from edgeae.errors import BundleError, ContainerError, DesyncError
from edgeae.latents import Latents, symbols_crc
from edgeae.planes import decode_plane, encode_plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.coded import Coded
    from edgeae.inputs import Input
    from edgeae.priors import Prior


def pack(
    latents: Latents,
    coded: Coded,
    bundle: Bundle,
    *,
    plane: bytes | None = None,
    colours: bytes | None = None,
) -> bytes:
    """Return the file of ``latents``, or of ``colours`` in place of them.

    Parameters
    ----------
    latents : Latents
    coded : Coded
        The same symbols with their tables.
    bundle : Bundle
    plane : bytes, optional
        The alpha of ``latents`` if it is coded already.
    colours : bytes, optional
        The exact pixels, as `edgeae.colours.encode_colours` coded them.
    """
    if latents.alpha is not None and plane is None:
        plane = encode_plane(latents.alpha)
    header = Header(
        coding_id=latents.coding_id,
        width=latents.width,
        height=latents.height,
        mode=latents.mode,
        quality=latents.quality_hundredths,
        steps=len(bundle.masks),
    )
    label = partial(Container, header=header, alpha=plane, icc=latents.icc, exif=latents.exif)
    if colours is not None:
        return label(colours=colours).to_bytes()
    payload, lanes_log2 = encode(coded.sections)
    weights = latents.correction
    return label(
        latents=payload,
        lanes_log2=lanes_log2,
        symbols_crc=latents.crc,
        correction=None if weights is None else encode_weights(weights),
    ).to_bytes()


def open_container(data: bytes, bundle: Bundle, input: Input, *, max_pixels: int) -> Container:
    """Return what a file holds, and that ``bundle`` is the one for it.

    Raises
    ------
    BundleError
        The file was made with another bundle.
    ContainerError
        The file is damaged, too new, or larger than ``max_pixels``.
    """
    container = Container.from_bytes(data, max_pixels=max_pixels)
    header = container.header
    check_coding_id(header.coding_id, bundle)
    if header.steps != len(bundle.masks):
        raise ContainerError(
            f"coded in {header.steps} steps, bundle {bundle.manifest.name} has "
            f"{len(bundle.masks)}; the header was altered"
        )
    input.check(header.height, header.width, header.mode)
    return container


def unpack_colours(container: Container) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return the pixels and the alpha of a file that holds colours, not latents.

    Raises
    ------
    ContainerError
        They are not coded as they should be.
    """
    header = container.header
    pixels = decode_colours(container.colours or b"", header.height, header.width, header.mode)
    return pixels, _alpha(container)


def unpack(container: Container, prior: Prior, input: Input) -> tuple[Latents, Coded]:
    """Return the latents in a file, and the same with what the decoder network takes.

    Raises
    ------
    ContainerError
        The latents, their correction or the alpha plane are damaged.
    """
    header = container.header
    weights = container.correction
    correction = None if weights is None else decode_weights(weights, header.mode)
    decoder = Decoder(container.latents, container.lanes_log2)
    coded = prior.decode(decoder, *input.padded(header.height, header.width))
    crc = symbols_crc(coded.z, coded.symbols)
    if crc != container.symbols_crc:
        raise DesyncError(
            f"section latents: symbols have CRC-32 {crc:08x}, the file says "
            f"{container.symbols_crc:08x}; the file is damaged, or this machine computes "
            f"other scale indexes than the one that wrote it"
        )
    latents = Latents(
        symbols=coded.symbols,
        z=coded.z,
        width=header.width,
        height=header.height,
        mode=header.mode,
        quality=header.quality / 100,
        coding_id=header.coding_id,
        alpha=_alpha(container),
        icc=container.icc,
        exif=container.exif,
        correction=correction,
    )
    return latents, coded


def restore(latents: Latents, bundle: Bundle, prior: Prior, input: Input) -> Coded:
    """Return latents that may come from anywhere as the entropy coder and the decoder take them.

    Raises
    ------
    BundleError
        The latents were made with another bundle.
    ContainerError
        Their shapes do not fit the size of the picture, or a symbol is not 0 where the scale index
        says so.
    """
    check_coding_id(latents.coding_id, bundle)
    input.check(latents.height, latents.width, latents.mode)
    padded = input.padded(latents.height, latents.width)
    expected, found = prior.shapes(*padded), (latents.symbols.shape, latents.z.shape)
    if found != expected:
        raise ContainerError(
            f"symbols and z are {found}, a picture of {latents.width}x{latents.height} has "
            f"{expected}; the latents were altered"
        )
    coded = prior.restore(latents.symbols, latents.z)
    for section in coded.sections:
        in_file = section.symbols[section.tables.coded(section.indexes)]
        if np.count_nonzero(in_file) != np.count_nonzero(section.symbols):
            raise ContainerError(
                "a symbol is not 0 where scale index 0 stands for 0; the latents were altered"
            )
    return coded


def _alpha(container: Container) -> NDArray[np.uint8] | None:
    if container.alpha is None:
        return None
    return decode_plane(container.alpha, container.header.height, container.header.width, "alpha")


def check_coding_id(coding_id: bytes, bundle: Bundle) -> None:
    """Raise BundleError unless files with this coding id were made for this bundle."""
    if coding_id != bundle.coding_id:
        raise BundleError(
            f"made with a bundle of coding id {coding_id.hex()}, but "
            f"{bundle.manifest.name} has {bundle.coding_id.hex()}; choose the bundle "
            f"it was made with"
        )
