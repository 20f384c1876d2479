"""What onnxruntime says while it makes a session, and what of it is a cause."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeae.graphs import Graph


def said_by_runtime(graph: Graph) -> str:
    """Return what onnxruntime writes to stderr while it makes the graph's session, maybe nothing.

    The cause of a failure is often there and nowhere else, such as the name of a library that is
    missing. Meanwhile nothing that this process writes to stderr is seen.
    """
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            graph.try_session()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return file.read().decode("utf-8", "replace")


def causes_in(log: str) -> list[str]:
    """Return what onnxruntime's log gives as causes, the last part of each line of an error."""
    lines = [line for line in log.splitlines() if "[E:" in line or "[W:" in line]
    return [line.partition("with error: ")[2] or line.rpartition("] ")[2] for line in lines]
