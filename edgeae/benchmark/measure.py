"""The sequence: cases and peers in turn at each size, then memory and cold start."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeae.benchmark import race
from edgeae.benchmark.cases import find_cases, find_subject
from edgeae.benchmark.processes import libraries_bytes, measure_memory, measure_start
from edgeae.benchmark.report import CaseResult, Coded, PeerResult, Report, SizeResult
from edgeae.benchmark.rounds import Timing, in_turn
from edgeae.benchmark.stages import WAYS, Files, Work, total, write_png
from edgeae.codec import Codec
from edgeae.evaluation.compare import LOSSLESS_DB
from edgeae.metrics import psnr_db

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeae.benchmark.cases import Case, Request
    from edgeae.benchmark.rounds import Length
    from edgeae.benchmark.stages import Stages

START_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how far it is: of a new part of the work, and after each run of it."""

    part: Callable[[str], None] = lambda _: None
    run: Callable[[], None] = lambda: None


def measure(request: Request, listener: Listener) -> Report:
    """Return all that was asked for.

    Codecs of all cases are loaded at once, since their runs take turns: that many sessions' memory.

    Raises
    ------
    EdgeaeError
        A bundle, a provider, a picture or a peer cannot be used; before anything is measured,
        where that can be known.
    """
    cases, subject = find_cases(request), find_subject(request)
    codecs = {case: _load(case) for case in cases}
    share = dataclasses.replace(request.length, seconds=request.length.seconds / len(subject.sizes))
    with tempfile.TemporaryDirectory(prefix="edgeae-bench-") as folder:
        benches = [
            _Bench(Path(folder), subject.pixels(*size), codecs, request, share, listener)
            for size in subject.sizes
        ]
        sizes = tuple(bench.measure() for bench in benches)
        start = None
        if request.start:
            listener.part("cold start")
            files = benches[0].files(cases[0])
            start = measure_start(
                cases[0],
                files,
                quality=request.quality,
                effort=request.effort,
                rounds=START_ROUNDS,
                after_run=listener.run,
            )
    libraries = libraries_bytes() if request.memory else None
    return Report(request, subject.name, sizes, start, libraries)


class _Bench:
    """One picture in one size."""

    def __init__(
        self,
        folder: Path,
        pixels: NDArray[np.uint8],
        codecs: dict[Case, Codec],
        request: Request,
        length: Length,
        listener: Listener,
    ) -> None:
        self._folder = folder
        self._pixels = pixels
        self._codecs = codecs
        self._request = request
        self._length = length
        self._listener = listener
        self._name = f"{pixels.shape[1]}x{pixels.shape[0]}"

    def files(self, case: Case) -> Files:
        """Return where the files of a case are; of all cases but for the picture they differ."""
        number = list(self._codecs).index(case)
        return Files(
            self._folder / f"{self._name}.png",
            self._folder / f"{self._name}-{number}.eae",
            self._folder / f"{self._name}-{number}.png",
        )

    def measure(self) -> SizeResult:
        """Return what all cases and peers take on this picture."""
        first = next(iter(self._codecs))
        write_png(self._pixels, self.files(first).picture)
        works = {case: self._work(case) for case in self._codecs}
        self._listener.part(f"{self._name}: the same PSNR in other formats")
        decoded = self._decoded(first)
        entries = {
            entry.name: entry for entry in race.enter(self._request.peers, self._pixels, decoded)
        }
        self._listener.part(self._name)
        runs: dict[Case | str, Callable[[], dict[str, Stages]]] = {
            **{case: work.run for case, work in works.items()},
            **{name: entry.run for name, entry in entries.items()},
        }
        samples = in_turn(runs, self._length, self._listener.run)
        if self._request.memory:
            self._listener.part(f"{self._name}: memory")
        return SizeResult(
            width=self._pixels.shape[1],
            height=self._pixels.shape[0],
            runs=len(samples[first]),
            cases=tuple(self._result(case, samples[case]) for case in works),
            peers=tuple(_peer_result(entry, samples[name]) for name, entry in entries.items()),
        )

    def _work(self, case: Case) -> Work:
        return Work(
            codec=self._codecs[case],
            files=self.files(case),
            quality=self._request.quality,
            effort=self._request.effort,
        )

    def _decoded(self, case: Case) -> NDArray[np.uint8]:
        codec = self._codecs[case]
        data = codec.compress(self._pixels, self._request.quality, effort=self._request.effort)
        return codec.decompress(data)

    def _result(self, case: Case, samples: Sequence[dict[str, Stages]]) -> CaseResult:
        codec, files = self._codecs[case], self.files(case)
        data = files.packed.read_bytes()
        distortion_db = min(psnr_db(self._pixels, codec.decompress(data)), LOSSLESS_DB)
        memory = None
        if self._request.memory:
            memory = measure_memory(case, files, self._request.quality, self._request.effort)
            self._listener.run()
        return CaseResult(
            case=case,
            ran={
                "encoder": (codec.encoder_precision, codec.encoder_provider),
                "decoder": (codec.decoder_precision, codec.decoder_provider),
            },
            coded=Coded(len(data), distortion_db),
            stages={way: _stages([sample[way] for sample in samples]) for way in WAYS},
            total=_totals(samples),
            memory=memory,
        )


def _load(case: Case) -> Codec:
    codec = Codec.load(
        case.model, provider=case.provider, precision=case.precision, threads=case.threads
    )
    codec.encoder_provider, codec.decoder_provider  # noqa: B018 a provider that fails does so here
    return codec


def _stages(samples: Sequence[Stages]) -> dict[str, Timing]:
    return {name: Timing.of([sample[name] for sample in samples]) for name in samples[0]}


def _totals(samples: Sequence[dict[str, Stages]]) -> dict[str, Timing]:
    return {way: Timing.of([total(sample[way]) for sample in samples]) for way in WAYS}


def _peer_result(entry: race.Entry, samples: Sequence[dict[str, Stages]]) -> PeerResult:
    return PeerResult(
        name=entry.name,
        label=entry.peer.label,
        quality=entry.quality,
        coded=Coded(len(entry.data), entry.psnr_db),
        total=_totals(samples),
    )
