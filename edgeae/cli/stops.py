"""Signals that end a program, as exceptions, so that no partial file stays."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

GRACE_SECONDS = 2.0  # a terminal that closes may send several at once
_STOPS = ("SIGTERM", "SIGHUP")  # the second when the terminal has gone; Windows has none


def raise_on_stops() -> None:
    """Let these signals raise SystemExit; one that is ignored, as nohup has it, stays so."""
    stop = _Stop()
    for name in _STOPS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


class _Stop:
    """The first signal starts the way out; one that comes later, if that is blocked, ends it."""

    def __init__(self) -> None:
        self.asked: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.asked is None:
            self.asked = now
            raise SystemExit(128 + number)
        if now - self.asked > GRACE_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
