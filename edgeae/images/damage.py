"""Whatever a reader of pictures raises on a damaged file, as one line of ImageError."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgeae.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DETAIL_CHARACTERS = 200


@contextmanager
def damage_as_image_error(name: str) -> Iterator[None]:
    """Raise ImageError for anything that goes wrong while a ``name`` file is read.

    Plug-ins raise SyntaxError, struct.error, KeyError and others on hostile bytes; wrap only calls
    into them, lest a bug of ours looks like a damaged file.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("not enough memory for the decoded picture") from error
    except Exception as error:
        raise ImageError(f"damaged or unsupported {name} file ({one_line(error)})") from error


def one_line(error: BaseException) -> str:
    """Return an error's text without line breaks; the name of its class if it has none."""
    return " ".join(str(error).split())[:_DETAIL_CHARACTERS] or type(error).__name__
