"""What a training may use and where it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgeae.errors import GraphError

if TYPE_CHECKING:
    from pathlib import Path

    from edgeae_export.processes import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may use and where it writes."""

    out: Path
    minutes: float  # of training in all, earlier parts of a resumed run included
    checkpoint_minutes: float
    threads: int
    device: str
    processes: Processes


def choose_device(name: str) -> str:
    """``auto`` is cuda where there is one, else cpu.

    Raises
    ------
    GraphError
        The device asked for is absent.
    """
    if name not in {"auto", "cpu", "cuda"}:
        raise GraphError(f"device {name!r} is none of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise GraphError("device cuda: torch finds none on this machine; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
