"""The training loop of each network, and how long it runs if nobody says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeae_export import train, train_autoencoder
from edgeae_export.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Loop:
    """A training loop: recipe, data, held-out data and budget to the path of a checkpoint."""

    train: Callable[..., Path]
    minutes: float  # if none are given; infinite where recipes count epochs


_family: Mapping[str, Any] = dict.fromkeys(TASKS, Loop(train_autoencoder.train, math.inf))
LOOPS: Mapping[str, Loop] = {"photo": Loop(train.train, 60.0), **_family}
