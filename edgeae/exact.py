"""Files of few colours to pictures: no network has a share in them, so no bundle is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeae.container import Container
from edgeae.crops import crop_of
from edgeae.images.picture import Picture
from edgeae.packing import unpack_colours

if TYPE_CHECKING:
    from edgeae.crops import Region


def exact_picture(container: Container) -> Picture | None:
    """Return the picture in a file of few colours, None if it holds latents.

    Raises
    ------
    ContainerError
        The colours or the alpha plane are damaged.
    """
    if container.colours is None:
        return None
    return Picture(*unpack_colours(container), container.icc, container.exif)


def read_exact(data: bytes, region: Region | None, *, max_pixels: int) -> Picture | None:
    """Return the picture in a file of few colours, or a part of it; None if it holds latents.

    Raises
    ------
    BoundError
        The region is not within the picture.
    ContainerError
        The file is damaged, too new, or larger than ``max_pixels``.
    """
    picture = exact_picture(Container.from_bytes(data, max_pixels=max_pixels))
    if picture is None or region is None:
        return picture
    crop = crop_of(region, picture.width, picture.height)
    return picture.part(crop.rows, crop.columns)
