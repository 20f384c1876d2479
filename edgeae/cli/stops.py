"""Signals that end a program, as exceptions, so that no partial file stays."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_STOPS = ("SIGTERM", "SIGHUP")  # the second when the terminal has gone; Windows has none


def raise_on_stops() -> None:
    """Let these signals raise SystemExit; one that is ignored, as nohup has it, stays so."""
    for name in _STOPS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once, so that nothing disturbs the way out
    raise SystemExit(128 + number)
