"""What torch.compile needs of the machine, said in a line where it is missing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch._dynamo.exc import TorchDynamoException

from edgeae.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def compiler_needed() -> Iterator[None]:
    """Raise MissingExtraError with what to install where torch finds no C++ compiler."""
    try:
        yield
    except TorchDynamoException as error:
        if "No working C++ compiler" not in str(error):
            raise
        raise MissingExtraError(
            "training compiles its networks, and torch finds no C++ compiler; install one (g++, "
            "clang, MSVC), or set TORCHDYNAMO_DISABLE=1 and train more slowly"
        ) from error
