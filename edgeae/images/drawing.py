"""What Pillow draws and no picture file is read for: captions, and animations.

Arrays in, arrays or bytes out.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PAPER, INK = 255, 0
CAPTION_HEIGHT = 12  # pixels; the letters of Pillow's own font have 11


def caption(text: str) -> NDArray[np.uint8]:
    """Return a line of black text on white, (12, w), in Pillow's own font, the same everywhere.

    The font has Latin-1 alone; other letters are question marks.
    """
    shown = text.encode("latin-1", "replace").decode("latin-1")
    font = ImageFont.load_default_imagefont()
    width = max(1, int(font.getbbox(shown)[2]))
    image = Image.new("L", (width, CAPTION_HEIGHT), PAPER)
    ImageDraw.Draw(image).text((0, 0), shown, fill=INK, font=font)
    return np.asarray(image)


def animation(frames: Sequence[NDArray[np.uint8]], *, milliseconds: int) -> bytes:
    """Return a GIF file that shows ``frames`` for equal times, over and over.

    Parameters
    ----------
    frames : sequence of (H, W) or (H, W, 3) uint8
        At least one, all of one shape. Colours are reduced to 256 for each. Of frames that are
        alike and follow each other Pillow makes one that lasts longer.
    milliseconds : int
        Each frame's, in the file in hundredths of a second.
    """
    first, *others = map(Image.fromarray, frames)
    file = io.BytesIO()
    first.save(
        file, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0, disposal=1
    )
    return file.getvalue()
