"""Teach Pillow the ``.eae`` format: ``import edgeae.pillow`` is all there is to do.

>>> from PIL import Image
>>> import edgeae.pillow
>>> Image.open("beach.png").save("beach.eae", quality=40)  # doctest: +SKIP
>>> Image.open("beach.eae").size  # doctest: +SKIP
(768, 512)

Opening reads the header; networks are loaded when the pixels are. Whatever is wrong with a file is
an OSError, as it is for Pillow's own formats. Saving writes the picture upright, with its colour
profile; Exif is written when it is passed (``exif=image.info["exif"]``), as Pillow does for JPEG.
Besides ``quality`` it takes ``effort``, and in place of it ``target_size`` in bytes, ``target_bpp``
or ``target_psnr`` in dB.
"""

from __future__ import annotations

from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

from edgeae.container import ARRAY_MODE, HEADER_BYTES_MAX, MAGIC, Container, read_header
from edgeae.errors import EdgeaeError
from edgeae.rate_control import TargetBpp, TargetPsnr, TargetSize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeae.images.picture import Picture

FORMAT = "EAE"
EXTENSION = ".eae"
MIME = "image/x-eae"
_DECODER = "eae"
# What edgeae.compress takes.
_SAVE_OPTIONS = ("quality", "model", "effort", "provider", "precision", "threads")
# What `save` takes in place of a quality, as the command line does.
_TARGETS = {
    "target_size": TargetSize,
    "target_bpp": TargetBpp,
    "target_psnr": TargetPsnr,
}


class EaeImageFile(ImageFile.ImageFile):
    """An ``.eae`` file that is open and not decoded yet."""

    format = FORMAT
    format_description = "edgeae compressed picture"

    def _open(self) -> None:
        stream = self._stream()
        try:
            header = read_header(stream.read(HEADER_BYTES_MAX))
        except EdgeaeError as error:
            raise OSError(str(error)) from error
        if header.mode == ARRAY_MODE:
            raise OSError("the file holds an array and no picture; read it by edgeae.decompress")
        self._size = header.width, header.height
        self._mode = header.mode
        self.info["quality"] = header.quality / 100
        stream.seek(0)
        self._read_metadata(stream.read())
        self.tile = [ImageFile._Tile(_DECODER, (0, 0, *self.size), 0, None)]  # noqa: SLF001 - Pillow's way

    def _read_metadata(self, data: bytes) -> None:
        try:
            container = Container.from_bytes(data, max_pixels=self.width * self.height)
        except EdgeaeError:
            return  # the size is still worth knowing; loading the pixels says what is wrong
        if container.icc:
            self.info["icc_profile"] = container.icc
        if container.exif:
            self.info["exif"] = container.exif

    def _stream(self) -> IO[bytes]:
        if self.fp is None:
            raise ValueError("the file of this image is closed")
        return self.fp


class EaeDecoder(ImageFile.PyDecoder):
    """Decode all pixels at once, from the whole file."""

    _pulls_fd = True

    def decode(self, _: Any) -> tuple[int, int]:
        """Fill the image; Pillow's ``(-1, 0)`` means that nothing is left to do."""
        if self.fd is None:
            raise ValueError("the file of this image is closed")
        self.set_as_raw(_decompress(self.fd.read()).data)  # type: ignore[arg-type] # no copy
        return -1, 0


def _decompress(data: bytes) -> NDArray[np.uint8]:
    import numpy as np

    import edgeae

    try:
        # Pillow has judged the size already, by its own limit.
        header = edgeae.probe(data)
        pixels = edgeae.decompress(data, max_pixels=header.width * header.height)
    except EdgeaeError as error:
        raise OSError(str(error)) from error
    return np.ascontiguousarray(pixels)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, stream: IO[bytes], _: str | bytes) -> None:
    import edgeae

    given = image.encoderinfo
    options = {name: given[name] for name in _SAVE_OPTIONS if name in given} | _target(given)
    try:
        stream.write(edgeae.compress(_picture(image, given), **options))
    except EdgeaeError as error:
        raise OSError(str(error)) from error


def _target(given: dict[str, Any]) -> dict[str, Any]:
    """Return the target as the quality it takes the place of; empty if there is none."""
    names = [name for name in _TARGETS if name in given]
    if len(names) + ("quality" in given) > 1:
        raise ValueError(f"quality, {', '.join(_TARGETS)} exclude each other; give one of them")
    return {"quality": _TARGETS[names[0]](given[names[0]])} if names else {}


def _picture(image: Image.Image, given: dict[str, Any]) -> Picture:
    """Return the picture with the metadata that ``save`` was asked to write."""
    from edgeae.images.files import picture_from_image

    exif = given.get("exif")
    if isinstance(exif, Image.Exif):
        exif = exif.tobytes()
    picture = picture_from_image(image, exif=exif or None)
    return replace(
        picture,
        exif=picture.exif if exif else None,
        icc=given.get("icc_profile", picture.icc) or None,
    )


def _register() -> None:
    if FORMAT in Image.OPEN:  # a reloaded module must not register twice
        return
    Image.register_open(FORMAT, EaeImageFile, _accept)
    Image.register_decoder(_DECODER, EaeDecoder)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME)


_register()
