"""Folders of pictures on several machines: the work of ``edgeae compress`` on actors of Ray Data.

On one machine ``edgeae compress -r -j`` does the same without Ray. All machines must see the same
files under the same paths, and have the bundle. Needs ``pip install 'edgeae[ray]'``.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeae.bundle import DEFAULT_MODEL
from edgeae.encoding import DEFAULT_EFFORT, DEFAULT_QUALITY
from edgeae.errors import EdgeaeError, ImageError, MissingExtraError
from edgeae.images.picture import MAX_PIXELS
from edgeae.paths import is_folder
from edgeae.precision import AUTO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from edgeae.cli.jobs import Job
    from edgeae.cli.stream import Work
    from edgeae.rate_control import Target

_BLOCK_JOBS = 64  # at most, of what is lost and done again if an actor dies
_BLOCKS_PER_ACTOR = 8  # at least, so that all end at about the same time
_DEATH = "the actor that had it died; if that was a lack of memory, give fewer workers"
_CONTEXT = {
    "max_errored_blocks": -1,
    "enable_progress_bars": False,
    "print_on_execution_start": False,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that gave no output: its path, what was wrong, and the exit code of that error."""

    path: str
    error: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a data set: files written, their bytes, inputs skipped, inputs that failed."""

    done: int
    bytes: int
    skipped: int
    failures: tuple[Failure, ...]


def compress_dataset(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    quality: float | Target = DEFAULT_QUALITY,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    effort: int = DEFAULT_EFFORT,
    precision: str = AUTO,
    workers: int | None = None,
    threads: int = 1,
    skip_existing: bool = False,
    force: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Summary:
    """Compress pictures to ``.eae`` files under ``out``; a bad one does not stop the others.

    Uses the Ray that is initialized, or the cluster that RAY_ADDRESS names; else one on this
    machine for the time of the call, without dashboard and without usage statistics.

    Parameters
    ----------
    paths : path or iterable of paths
        Pictures, and folders, whose trees are mirrored under ``out``.
    out : path
        Folder; files appear in it when they are complete.
    quality, model, effort, precision
        As of `edgeae.compress`.
    workers : int, optional
        Actors, each of which loads the bundle once; by default as many as Ray has processors for.
    threads : int
        Processors of each actor.
    skip_existing : bool
        Leave out inputs whose output exists, as after a run that was stopped. Else they fail.
    force : bool
        Overwrite outputs that exist when this begins.
    max_pixels : int
        Larger pictures fail.

    Raises
    ------
    BundleError
        There is no such bundle.
    ImageError
        A folder without pictures.
    MissingExtraError
        Ray is not installed.
    OutputError
        Two inputs have the same output.
    ValueError
        ``skip_existing`` and ``force`` together, or fewer than one worker or thread.
    """
    from edgeae.cli import output
    from edgeae.cli.codecs import CodecOptions
    from edgeae.cli.compress import compression
    from edgeae.cli.jobs import plan
    from edgeae.cli.sources import LATENT_SUFFIX, source_files

    if skip_existing and force:
        raise ValueError("skip_existing and force exclude each other")
    if threads < 1 or (workers is not None and workers < 1):
        raise ValueError(f"workers {workers} and threads {threads} must be 1 or more")
    several = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    # Actors have a folder of their own, and maybe the bundle of this name in another one.
    named = str(Path(model).absolute() if is_folder(Path(model)) else model)
    files = source_files(named)
    jobs = plan(
        [str(Path(path).absolute()) for path in several],
        f"{Path(out).absolute()}{os.sep}",
        suffix=LATENT_SUFFIX,
        suffixes=files.suffixes,
        recursive=True,
        missing=ImageError,
    )
    left = [job for job in jobs if not (skip_existing and output.exists(job.target))]
    make = partial(
        compression,
        named,
        CodecOptions(precision=precision, provider="cpu", threads=threads),
        files,
        float(quality) if isinstance(quality, (int, float)) else quality,
        effort=effort,
        max_pixels=max_pixels,
        strip=False,
        force=force,
    )
    with _ray_data() as ray:
        actors = workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        found = _Pool(ray, make, actors, threads).done(left)
    return _summary(left, found, skipped=len(jobs) - len(left))


class _Compressor:
    """An actor: opens the bundle once, then does the jobs of a block at a time."""

    def __init__(self, make: Callable[[], Work[Any, Any]]) -> None:
        self._work = make()

    def __call__(self, block: dict[str, NDArray[Any]]) -> dict[str, Any]:
        from edgeae.cli.jobs import Job
        from edgeae.cli.stream import done

        columns = block["source"], block["target"], block["again"]
        jobs = [
            Job(Path(os.fsdecode(source)), Path(os.fsdecode(target)), again=bool(again))
            for source, target, again in zip(*columns, strict=True)
        ]
        results = [result for _, result in done(iter(jobs), self._work)]
        failed = [isinstance(result, EdgeaeError) for result in results]
        return {
            "number": block["number"],
            "failed": failed,
            "bytes": [0 if isinstance(r, EdgeaeError) else r.fields["bytes"] for r in results],
            "error": [_plain(r) if isinstance(r, EdgeaeError) else "" for r in results],
            "exit_code": [r.exit_code if isinstance(r, EdgeaeError) else 0 for r in results],
        }


@dataclass(frozen=True, slots=True)
class _Pool:
    ray: Any
    make: Callable[[], Work[Any, Any]]
    actors: int
    threads: int

    def done(self, jobs: Sequence[Job]) -> dict[int, dict[str, Any]]:
        """Return what came of the jobs by their numbers, without those that killed their actor."""
        # What is free now may be written twice: an actor may die before it says what it wrote.
        rows = [
            {
                "number": number,
                "source": os.fsencode(str(job.source)),
                "target": os.fsencode(str(job.target)),
                "again": not os.path.lexists(str(job.target)),
            }
            for number, job in enumerate(jobs)
        ]
        blocks = max(self.actors * _BLOCKS_PER_ACTOR, math.ceil(len(rows) / _BLOCK_JOBS))
        found = self._run(rows, min(blocks, len(rows))) if rows else {}
        while lost := [row for row in rows if row["number"] not in found]:
            # Each by itself: those that were with it when an actor died are not to blame.
            again = self._run(lost, len(lost))
            if not again:
                break
            found |= again
        return found

    def _run(self, rows: list[dict[str, Any]], blocks: int) -> dict[int, dict[str, Any]]:
        dataset = self.ray.data.from_items(rows, override_num_blocks=blocks)
        with warnings.catch_warnings():
            # To go with Ray 2.64, says 2.60, which has no other way to give an option of actors.
            warnings.filterwarnings("ignore", message=".*ray_remote_args_fn")
            made = dataset.map_batches(
                _Compressor,
                fn_constructor_args=(self.make,),
                batch_size=None,
                compute=self.ray.data.ActorPoolStrategy(
                    size=min(self.actors, blocks), max_tasks_in_flight_per_actor=1
                ),
                num_cpus=self.threads,
                ray_remote_args_fn=_once,
            )
        return {row["number"]: row for row in made.iter_rows()}


def _once() -> dict[str, object]:
    """Return what actors are made with: Ray's own way is to try again for ever."""
    return {"max_task_retries": 0}


def _summary(jobs: Sequence[Job], found: dict[int, dict[str, Any]], *, skipped: int) -> Summary:
    failures = []
    for number, job in enumerate(jobs):
        row = found.get(number)
        if row is None:
            failures.append(Failure(job.source_name, _DEATH, ImageError.exit_code))
        elif row["failed"]:
            failures.append(Failure(job.source_name, row["error"], row["exit_code"]))
    written = sum(row["bytes"] for row in found.values())
    return Summary(len(jobs) - len(failures), written, skipped, tuple(failures))


def _plain(error: EdgeaeError) -> str:
    """Return a message as Arrow can keep it: names of files need not be Unicode."""
    return str(error).encode(errors="backslashreplace").decode()


@contextmanager
def _ray_data() -> Iterator[Any]:
    """Give module ray, initialized, quiet, and with a lost block for nothing but a lost block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f"compress_dataset needs ray ({error}); install it: pip install 'edgeae[ray]'"
        ) from error

    starts = not ray.is_initialized()
    if starts:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    before = {name: getattr(context, name) for name in _CONTEXT}
    try:
        for name, value in _CONTEXT.items():
            setattr(context, name, value)
        yield ray
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        if starts:
            ray.shutdown()
