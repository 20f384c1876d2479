"""What every state machine says of a payload that ends too early."""

from __future__ import annotations

from edgeae.errors import ContainerError


def words_ended(count: int) -> ContainerError:
    """Return the error of a payload whose ``count`` words end before its symbols."""
    return ContainerError(
        f"latents: all {count} words read and symbols still to come; "
        "the file is truncated or damaged, copy it again"
    )
