"""One crop of a picture at equal file size: original, JPEG, WebP, AVIF, edgeae, as a PNG.

    python benchmarks/side_by_side.py PHOTO -o crops.png --quality 20 --crop 100,60,380,260

Each peer gets the quality whose file is the largest that is not larger than edgeae's, or its
smallest file; so do further models (``-m`` again). bpp and PSNR under the crops are those of whole
pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import edgeae
from edgeae import TargetSize
from edgeae.evaluation.peers import PEERS
from edgeae.metrics import bits_per_pixel, psnr_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgeae.evaluation.peers import Peer

    Pixels = NDArray[np.uint8]

SHOWN = ("jpeg420", "webp", "avif444")
MARGIN, TEXT = 6, 15  # pixels


def nearest(peer: Peer, pixels: Pixels, limit: int) -> bytes:
    """Return the peer's largest file of at most ``limit`` bytes, by bisection over its quality."""
    low, high, best = 0, 100, peer.compress(pixels, 0)
    while low <= high:
        middle = (low + high) // 2
        data = peer.compress(pixels, middle)
        if len(data) <= limit:
            best, low = data, middle + 1
        else:
            high = middle - 1
    return best


def panels(
    pixels: Pixels, codecs: Sequence[edgeae.Codec], quality: float
) -> list[tuple[str, Pixels]]:
    """Return (caption, decoded picture) of the original, the peers and edgeae's models."""
    ours = codecs[0].compress(pixels, quality)
    shown = [("original", pixels)]
    for peer in (PEERS[name] for name in SHOWN):
        data = nearest(peer, pixels, len(ours))
        decoded = peer.decompress(data)
        shown.append((caption(peer.label.split(",")[0], data, pixels, decoded), decoded))
    for codec in codecs:
        data = ours if codec is codecs[0] else codec.compress(pixels, TargetSize(len(ours)))
        decoded = codec.decompress(data)
        name = "edgeae" if len(codecs) == 1 else codec.bundle.manifest.name
        shown.append((caption(name, data, pixels, decoded), decoded))
    return shown


def caption(label: str, data: bytes, pixels: Pixels, decoded: Pixels) -> str:
    """Return the label with rate and distortion of the whole picture."""
    bpp = bits_per_pixel(len(data), *pixels.shape[:2])
    return f"{label}  {bpp:.3f} bpp  {psnr_db(pixels, decoded):.2f} dB"


def draw(shown: list[tuple[str, Pixels]], crop: tuple[int, int, int, int]) -> Image.Image:
    """Return the crops in a row, captions below."""
    left, top, width, height = crop
    canvas = Image.new(
        "RGB", ((width + MARGIN) * len(shown) - MARGIN, height + TEXT + 2 * MARGIN), "white"
    )
    writer = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(TEXT - 2)
    for number, (text, decoded) in enumerate(shown):
        x = number * (width + MARGIN)
        canvas.paste(Image.fromarray(decoded[top : top + height, left : left + width]), (x, 0))
        writer.text((x + 2, height + MARGIN), text, fill="black", font=font)
    return canvas


def main() -> None:
    """Parse, compress, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("-m", "--model", action="append", help="may be repeated; photo")
    parser.add_argument("-q", "--quality", type=float, default=20.0)
    parser.add_argument("--crop", default="0,0,256,256", help="left,top,width,height")
    arguments = parser.parse_args()
    pixels = np.asarray(Image.open(arguments.photo).convert("RGB"))
    crop = tuple(int(part) for part in arguments.crop.split(","))
    if len(crop) != 4:
        parser.error("--crop takes four numbers: left,top,width,height")
    models = arguments.model or ["photo"]
    codecs = [edgeae.Codec.load(model, precision="fp32", threads=1) for model in models]
    draw(panels(pixels, codecs, arguments.quality), crop).save(arguments.out)


if __name__ == "__main__":
    main()
