"""Arrays of floats in .npy files: what ``edgeae compress series.npy`` reads and gives back.

Read without pickle, and the announced size is compared with the file's before anything is
allocated.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.lib import format as npy

from edgeae.arrays import FloatArray
from edgeae.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_VALUES = 1 << 28


def read_array(file: BinaryIO, *, max_values: int = MAX_VALUES) -> FloatArray:
    """Return the one array of floats in a .npy file, as float32.

    Raises
    ------
    ImageError
        Not a .npy file, damaged, no floats, or more than ``max_values`` of them.
    """
    try:
        version = npy.read_magic(file)
        read_header = _HEADERS.get(version)
        header = None if read_header is None else read_header(file)
    except Exception as error:  # numpy reads the header as Python, and raises whatever that does
        raise ImageError(
            f"not a .npy file that can be read ({' '.join(str(error).split())})"
        ) from error
    if header is None:
        raise ImageError(f"a .npy file of version {version}; save it anew with numpy.save")
    shape, in_columns, dtype = header
    if dtype.kind != "f" or not shape or min(shape) < 1:
        raise ImageError(f"{dtype} of {shape} in the .npy file; an array of floats is needed")
    count = math.prod(shape)
    if count > max_values:
        raise ImageError(
            f"an array of {count} values, the limit is {max_values}; raise it (--max-pixels) if "
            f"you trust the file"
        )
    data = file.read(count * dtype.itemsize + 1)
    if len(data) != count * dtype.itemsize:
        raise ImageError(
            f"the array needs {count * dtype.itemsize} bytes and the .npy file has {len(data)} or "
            f"more; it is damaged, copy it again"
        )
    values = np.frombuffer(data, dtype)
    values = values.reshape(shape[::-1]).T if in_columns else values.reshape(shape)
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which is refused later
        return FloatArray(np.ascontiguousarray(values, np.float32))


def array_to_npy(values: NDArray[np.float32]) -> bytes:
    """Return the .npy file of an array."""
    file = io.BytesIO()
    npy.write_array(file, values, version=(1, 0), allow_pickle=False)
    return file.getvalue()


_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
