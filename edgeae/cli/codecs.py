"""What a command line says about how codecs run, and the codecs themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import os

    from edgeae.codec import Codec

    class Sized(Protocol):
        """A picture, an array, or what is left of it."""

        @property
        def width(self) -> int:
            """As of a picture."""

        @property
        def height(self) -> int:
            """As of a picture."""

        @property
        def mode(self) -> str:
            """As of a picture."""


EXACT = "  exact, of few colours"  # what a line says where no network ran


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecOptions:
    """The options of a command line that are the same for each of its codecs."""

    precision: str
    provider: str
    threads: int | None

    def among(self, processes: int) -> CodecOptions:
        """Return the options of each of several processes, which share the threads."""
        if processes < 2:
            return self
        from edgeae.graphs import default_threads

        return replace(self, threads=max(1, (self.threads or default_threads()) // processes))

    def load(self, model: str | os.PathLike[str]) -> Codec:
        """Return the codec of a bundle; the errors are those of `edgeae.codec.Codec.load`."""
        from edgeae.codec import Codec

        return Codec.load(
            model, provider=self.provider, precision=self.precision, threads=self.threads
        )


def open_encoder(codec: Codec) -> None:
    """Make the encoder's session: a provider that fails is one error, not one for each picture.

    The other sessions are made meanwhile.
    """
    codec.prepare_encoding()
    codec.encoder_provider  # noqa: B018 makes the session


def on_provider(codec: Codec, provider: str) -> str:
    """Return what a line says of the provider that ran: nothing if the CPU was asked for."""
    return "" if codec.asked_provider == "cpu" else f"  on {provider}"


def report_fields(source: Sized, milliseconds: float, codec: Codec | None) -> dict[str, object]:
    """Return what the JSON object of each picture or array says of it and of its codec, if any."""
    return {
        "width": source.width,
        "height": source.height,
        "mode": source.mode,
        "ms": round(milliseconds, 1),
        "model": None if codec is None else codec.bundle.manifest.name,
        "threads": None if codec is None else codec.threads,
    }
