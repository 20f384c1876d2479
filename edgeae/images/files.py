"""Picture files and Pillow images to upright 8-bit pictures, and back: the first door to Pillow.

Everything that would surprise a user is either said in ``Picture.notes`` or refused. Sizes are
checked against the limits before anything is decoded, and conversions run on strips of rows, so
that a big picture costs its decoded form in Pillow and its samples, and no third copy.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms

from edgeae.errors import ImageError, OutputError
from edgeae.images.damage import damage_as_image_error, one_line
from edgeae.images.outputs import OUTPUTS
from edgeae.images.picture import (
    MAX_PIXELS,
    MAX_SIDE,
    Picture,
    check_size,
    picture_from_array,
    to_array,
)
from edgeae.images.png import png_pieces
from edgeae.images.samples import reduce_to_8_bits, upright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edgeae.images.strips import Strips

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE",
    "Picture",
    "file_pieces",
    "format_for",
    "picture_from_array",
    "picture_from_image",
    "read_picture",
    "to_array",
    "to_picture",
    "write_picture",
]

# Reading these starts another program (Ghostscript) or the platform's own renderer.
REFUSED_FORMATS = frozenset({"EPS", "WMF"})
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
WIDE_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
PROFILED_MODES = frozenset({"CMYK", "LAB"})  # their colour profile does not fit RGB samples
PREFIX_BYTES = 16  # what Pillow's plug-ins look at
STRIP_PIXELS = 1 << 18  # a megabyte in Pillow: stays in the cache, three times as fast as 1 << 21

EXIF_PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
# What describes the photo. The other tags of a TIFF file describe the layout of that file.
DESCRIPTIVE_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)


def read_picture(source: Path | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the picture in a file, upright, 8 bits a sample, with its metadata.

    Parameters
    ----------
    source : Path or binary file
        Anything that Pillow opens. A file object is read from its start; pipes are fine.
    max_pixels : int
        Larger pictures are refused before they are decoded.

    Raises
    ------
    ImageError
        There is no such file, it is no picture, damaged, too large, or of a kind that has no
        8-bit meaning. The message begins with the file's name if ``source`` is a path.
    """
    if isinstance(source, Path):
        try:
            stream = source.open("rb")
        except OSError as error:
            raise ImageError(f"{source}: cannot be read: {error.strerror or error}") from error
        with stream:
            try:
                return _read_stream(stream, max_pixels)
            except ImageError as error:
                raise ImageError(f"{source}: {error}") from error
    return _read_stream(source, max_pixels)


def picture_from_image(
    image: Image.Image, *, max_pixels: int = MAX_PIXELS, exif: bytes | None = None
) -> Picture:
    """Return the picture that a Pillow image shows, upright; the image itself is not changed.

    Parameters
    ----------
    image : PIL.Image.Image
        Of any mode that has an 8-bit meaning.
    max_pixels : int
        Larger pictures are refused before they are decoded.
    exif : bytes, optional
        Taken instead of the image's own Exif, orientation included.

    Raises
    ------
    ImageError
        As for ``read_picture``.
    """
    return _picture(*_parts(image, max_pixels, exif))


def _parts(image: Image.Image, max_pixels: int, exif: bytes | None) -> tuple[Picture, int]:
    """Return the picture in an image as it is stored, and the orientation that it is seen in."""
    check_size(*image.size, max_pixels)
    notes = [] if (frames := _frame_count(image)) == 1 else [f"first of {frames} frames"]
    if image.mode not in WIDE_MODES and _stores_16_bits(image):
        notes.append("16 bit reduced to 8")
    with damage_as_image_error(image.format or "image"):
        image.load()
    check_size(*image.size, max_pixels)
    if image.mode == "F":
        raise ImageError("float samples have no white and black; convert them to 8 or 16 bits")
    transform = _transform_to_srgb(image) if image.mode in PROFILED_MODES else None
    notes += _reductions(image, by_profile=transform is not None)
    with damage_as_image_error(image.format or "image"):
        pixels, alpha = _samples(image, transform)
        exif, orientation = _exif_and_orientation(image, exif, notes)
    return Picture(pixels, alpha, _icc(image), exif, tuple(notes)), orientation


def _picture(stored: Picture, orientation: int) -> Picture:
    alpha = None if stored.alpha is None else upright(stored.alpha, orientation)
    return replace(stored, pixels=upright(stored.pixels, orientation), alpha=alpha)


def to_picture(image: Picture | Image.Image | NDArray[Any]) -> Picture:
    """Return what ``compress`` was given as a picture.

    Raises
    ------
    TypeError
        It is none of a ``Picture``, a Pillow image and an array of uint8.
    ValueError
        The array does not have the shape of a picture.
    ImageError
        The Pillow image cannot be read.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        return picture_from_image(image)
    if isinstance(image, np.ndarray):
        return picture_from_array(image)
    raise TypeError(
        f"an image is a numpy array or a Pillow image, got {type(image).__name__}; "
        "open a file with PIL.Image.open first"
    )


def format_for(path: Path) -> str:
    """Return the name of the output format that belongs to a path's extension.

    Raises
    ------
    ImageError
        There is none that can be written; the message lists those that can.
    """
    Image.preinit()
    if path.suffix.lower() not in Image.EXTENSION:  # the other plug-ins take as long as a photo
        Image.init()
    name = Image.EXTENSION.get(path.suffix.lower(), "")
    if name not in OUTPUTS or name not in Image.SAVE:
        unknown = (
            f"{path.suffix} cannot be written" if path.suffix else "no extension says which format"
        )
        raise ImageError(f"{path}: {unknown}; use {_writable_extensions()}")
    return name


def write_picture(picture: Picture, target: BinaryIO, format: str) -> None:
    """Write a picture with its metadata, without loss where the format allows it.

    Parameters
    ----------
    picture : Picture
        What is written.
    target : binary file
        Written from its position; need not be seekable.
    format : str
        A name in ``outputs.OUTPUTS``, as ``format_for`` returns it.

    Raises
    ------
    ImageError
        The format is unknown, has no alpha, or cannot hold a picture of this size.
    OutputError
        The machine refuses to write.
    """
    name = format.upper()
    _check_writable(name, picture.mode)
    image = Image.fromarray(picture.pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    _save(image, target, name, icc=picture.icc, exif=picture.exif)


def file_pieces(strips: Strips, format: str) -> Iterator[bytes]:
    """Yield the file of a picture that comes in strips, without loss where the format allows it.

    PNG, PGM and PPM files are written as the rows come. For the others Pillow needs all of them, in
    its own form, four bytes a pixel.

    Raises
    ------
    ImageError, OutputError
        As of `write_picture`.
    """
    _check_writable(format, strips.mode)
    if format == "PNG":
        yield from png_pieces(strips)
    elif format == "PPM":
        kind = b"P5" if strips.mode == "L" else b"P6"
        yield b"%s\n%d %d\n255\n" % (kind, strips.width, strips.height)
        for rows in strips.rows:
            yield np.ascontiguousarray(rows).tobytes()
    else:
        image = Image.new(strips.mode, (strips.width, strips.height))
        top = 0
        for rows in strips.rows:
            image.paste(Image.fromarray(rows), (0, top))
            top += len(rows)
        buffer = io.BytesIO()
        _save(image, buffer, format, icc=strips.icc, exif=strips.exif)
        del image
        yield buffer.getvalue()


def _check_writable(format: str, mode: str) -> None:
    """Raise ImageError unless a picture of this mode can be written in a format."""
    Image.preinit()
    if format not in Image.SAVE:  # rare formats' plug-ins take time to load
        Image.init()
    if format not in OUTPUTS or format not in Image.SAVE:
        raise ImageError(f"{format} cannot be written; use {_writable_extensions()}")
    if mode in ("LA", "RGBA") and "RGBA" not in OUTPUTS[format][0]:
        Image.init()
        able = ", ".join(n for n, (m, _) in OUTPUTS.items() if "RGBA" in m and n in Image.SAVE)
        raise ImageError(f"{format} has no alpha and the picture has; write one of {able}")


def _save(
    image: Image.Image, target: BinaryIO, format: str, *, icc: bytes | None, exif: bytes | None
) -> None:
    modes, options = OUTPUTS[format]
    if image.mode not in modes:
        if image.mode in ("L", "LA"):
            icc = None  # of grey
        image = image.convert("RGBA" if image.mode in ("LA", "RGBA") else "RGB")
    try:
        if exif and format == "TIFF":  # where tags of layout, which phones write, would be obeyed
            exif = _description(exif)
        metadata = {"icc_profile": icc, "exif": exif}
        options = options | {key: value for key, value in metadata.items() if value}
        if target.seekable():
            image.save(target, format, **options)
        else:  # several formats seek back while they write
            buffer = io.BytesIO()
            image.save(buffer, format, **options)
            target.write(buffer.getbuffer())
    except MemoryError:
        raise
    except Exception as error:  # Pillow's writers raise whatever odd metadata leads to
        if isinstance(error, OSError) and error.errno:
            raise OutputError(f"cannot be written: {error.strerror or error}") from error
        size = f"{image.width}x{image.height}"
        detail = one_line(error)
        raise ImageError(f"{format} cannot hold this {size} picture ({detail}); use PNG") from error


def _read_stream(stream: BinaryIO, max_pixels: int) -> Picture:
    with damage_as_image_error("image"):
        if not stream.seekable():
            stream = io.BytesIO(stream.read())
        stream.seek(0)
        prefix = stream.read(PREFIX_BYTES)
    if not prefix:
        raise ImageError("the file is empty")
    return _picture(*_read_parts(stream, prefix, max_pixels))


def _read_parts(stream: BinaryIO, prefix: bytes, max_pixels: int) -> tuple[Picture, int]:
    # Pillow's form of the picture must go before the picture is turned: three would be much.
    with _identify(stream, prefix) as image:
        return _parts(image, max_pixels, None)


def _identify(stream: BinaryIO, prefix: bytes) -> Image.Image:
    """Open as ``Image.open`` does, but bounded by our limit alone.

    ``Image.open`` warns from 89 and refuses from 179 megapixels, by a global variable that a
    library must not change.
    """
    reasons = []
    tried: set[str] = set()
    for load_plugins in (Image.preinit, Image.init):
        load_plugins()
        for name in [n for n in Image.ID if n not in tried | REFUSED_FORMATS]:
            tried.add(name)
            factory, accept = Image.OPEN[name]
            try:
                accepted = accept is None or accept(prefix)
                if not accepted or isinstance(accepted, str):
                    continue
                stream.seek(0)
                return factory(stream, "")
            except Exception as error:  # noqa: BLE001 - plug-ins raise anything on hostile bytes
                if accept is not None:
                    reasons.append(f"damaged {name} file ({one_line(error)})")
    if reasons:
        raise ImageError(reasons[0])
    raise ImageError(f"not a picture that can be read{_hint(prefix)}")


def _hint(prefix: bytes) -> str:
    if prefix[4:8] == b"ftyp" and prefix[8:12] in (b"heic", b"heix", b"mif1", b"msf1"):
        return "; HEIC: import pillow_heif and register its opener first"
    if prefix[:2] == b"\xff\x0a" or prefix[4:12] == b"JXL \r\n\x87\n":
        return "; JPEG XL: import pillow_jxl first"
    if prefix[:2] == b"%!" or prefix[:4] == b"\xd7\xcd\xc6\x9a":
        return "; it is a drawing, render it first"
    return ""


def _frame_count(image: Image.Image) -> int:
    if image.format == "PSD":  # frames are its layers; what opens is the whole picture
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 - damage behind the first frame does not matter here
        return 1


def _reductions(image: Image.Image, *, by_profile: bool) -> list[str]:
    """Return what reading loses, by the stored mode."""
    if image.mode in WIDE_MODES:
        return ["16 bit reduced to 8"]
    if image.mode == "CMYK":
        return [f"CMYK converted to RGB {'by its' if by_profile else 'without a'} profile"]
    if image.mode in ("LAB", "HSV", "YCbCr"):
        return [f"{image.mode} converted to RGB"]
    return []


def _stores_16_bits(image: Image.Image) -> bool:
    """Whether Pillow reduces the samples to 8 bits itself; known only until they are loaded."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _samples(
    image: Image.Image, transform: ImageCms.ImageCmsTransform | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return grey or RGB samples, and alpha if the image has any, strip by strip."""
    width, height = image.size
    grey = image.mode in GREY_MODES or _has_grey_palette(image)
    transparent = image.has_transparency_data
    mode = ("L" if grey else "RGB") + ("A" if transparent else "")
    convert = _converter(image, mode, transform)
    pixels = np.empty((height, width) if grey else (height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if transparent else None
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        samples = convert(image.crop((0, top, width, bottom)))
        if alpha is None:
            pixels[top:bottom] = samples
        else:
            pixels[top:bottom] = samples[:, :, 0] if grey else samples[:, :, :3]
            alpha[top:bottom] = samples[:, :, -1]
    return pixels, alpha


def _has_grey_palette(image: Image.Image) -> bool:
    # With a profile the samples must stay what the profile describes: RGB.
    if image.mode != "P" or image.palette is None or "icc_profile" in image.info:
        return False
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _converter(
    image: Image.Image, mode: str, transform: ImageCms.ImageCmsTransform | None
) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """Return how a strip becomes (rows, columns) or (rows, columns, channels) uint8."""
    if image.mode in WIDE_MODES:
        transparency = image.info.get("transparency") if mode == "LA" else None
        return lambda strip: reduce_to_8_bits(np.asarray(strip), transparency)
    if transform is not None:
        return lambda strip: np.asarray(transform.apply(strip))
    if image.mode == mode:
        return np.asarray
    return lambda strip: np.asarray(strip.convert(mode))


def _transform_to_srgb(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """Return the colour transform of the image's profile; None if it has no usable one."""
    try:
        icc = image.info.get("icc_profile") or b""
        stored = io.BytesIO(icc) if image.mode == "CMYK" else ImageCms.createProfile("LAB")
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(ImageCms.ImageCmsProfile(stored), srgb, image.mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _icc(image: Image.Image) -> bytes | None:
    icc = image.info.get("icc_profile")
    return bytes(icc) if icc and image.mode not in PROFILED_MODES else None


def _exif_and_orientation(
    image: Image.Image, given: bytes | None, notes: list[str]
) -> tuple[bytes | None, int]:
    """Return the Exif block to keep, without its orientation, and that orientation."""
    try:
        found = image.getexif() if given is None else Image.Exif()
        stored = image.info.get("exif") if given is None else given
        if given is not None:
            found.load(given)
        orientation = found.get(ORIENTATION, 1)
        kept = Image.Exif()
        if stored:
            kept.load(stored)
            if ORIENTATION not in found:
                return EXIF_PREFIX + bytes(stored).removeprefix(EXIF_PREFIX), 1
            kept.pop(ORIENTATION, None)
        else:
            _copy_description(found, kept)
        return (kept.tobytes() if kept else None), orientation
    except Exception:  # noqa: BLE001 - the photo matters more than what was noted about it
        notes.append("Exif unreadable, dropped")
        return None, 1


def _description(exif: bytes) -> bytes:
    """Return an Exif block with what it says of the picture, and nothing of how it is stored."""
    found, kept = Image.Exif(), Image.Exif()
    found.load(exif)
    _copy_description(found, kept)
    return kept.tobytes()


def _copy_description(found: Image.Exif, kept: Image.Exif) -> None:
    for tag in DESCRIPTIVE_TAGS:
        if tag in found:
            kept[tag] = found[tag]
    for tag in (EXIF_IFD, GPS_IFD):
        if entries := found.get_ifd(tag):
            kept[tag] = dict(entries)


def _writable_extensions() -> str:
    Image.init()
    return ", ".join(
        sorted(
            extension
            for extension, name in Image.EXTENSION.items()
            if name in OUTPUTS and name in Image.SAVE
        )
    )
