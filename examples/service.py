"""A web service: a picture in, its .eae file out, and back.

    uvicorn --app-dir examples service:app
    curl -T img.png -H 'Content-Type: image/png' 'localhost:8000/compress?quality=40' -o img.eae
    curl -T img.eae -H 'Content-Type: image/x-eae' localhost:8000/decompress -o img.png

413: too large, in bytes or in pixels; 415: not said to be a picture; 422: damaged, or not ours.
"""

import io
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from PIL import Image

import edgeae
from edgeae.pillow import MIME

MAX_BYTES = 32 << 20
MAX_PIXELS = 24_000_000
# One codec for all threads; one thread a picture, and no more pictures at once than processors.
CODEC = edgeae.Codec.load(os.environ.get("MODEL", "photo"), threads=1)
SLOTS = threading.BoundedSemaphore(os.cpu_count() or 1)

app = FastAPI(title="edgeae")


def upload(kind: str) -> Callable[[Request], Awaitable[bytes]]:
    """Return what reads an upload; it is not held beyond the limit, whatever its headers say."""

    async def read(request: Request) -> bytes:
        if not request.headers.get("content-type", "").startswith(kind):
            raise HTTPException(415, f"the Content-Type must begin with {kind}")
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BYTES:
                raise HTTPException(413, f"more than {MAX_BYTES} bytes")
        return bytes(data)

    return read


@app.put("/compress")  # plain functions: FastAPI runs them in threads, so the loop stays free
def compress(
    data: Annotated[bytes, Depends(upload("image/"))],
    quality: Annotated[float, Query(ge=0, le=100)] = 50,
) -> Response:
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP"]) as image, SLOTS:
            check_pixels(*image.size)  # no pixel is decoded before
            return Response(CODEC.compress(image, quality), media_type=MIME)
    except (OSError, ValueError, Image.DecompressionBombError, edgeae.ImageError) as error:
        raise HTTPException(422, f"no picture that can be read: {error}") from error


@app.put("/decompress")
def decompress(
    data: Annotated[bytes, Depends(upload(MIME))], format: Literal["png", "jpeg", "webp"] = "png"
) -> Response:
    try:
        header = edgeae.probe(data)
        check_pixels(header.width, header.height)
        with SLOTS, Image.open(io.BytesIO(data)) as file:  # for the colour profile
            picture = Image.fromarray(CODEC.decompress(data))
            picture.save(out := io.BytesIO(), format, icc_profile=file.info.get("icc_profile"))
    except (OSError, edgeae.ContainerError, edgeae.BundleError) as error:
        raise HTTPException(422, str(error)) from error
    return Response(out.getvalue(), media_type=f"image/{format}")


def check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise HTTPException(413, f"{width}x{height} is more than {MAX_PIXELS} pixels")
