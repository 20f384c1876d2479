"""bench: how long bundles take on this machine, how much memory, and how others do beside them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.cli import output
from edgeae.cli.options import (
    MAX_PIXELS,
    AsOneJson,
    Effort,
    Force,
    Precision,
    Provider,
    Quality,
)
from edgeae.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeae.benchmark.measure import Listener
    from edgeae.benchmark.report import Report

PLOT_FORMATS = ("png", "svg", "pdf")
MAX_SIDE = 65_535  # edgeae.images.picture.MAX_SIDE, without the import
_SIZE = re.compile(r"(\d{1,5})[xX](\d{1,5})")


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL", help="Names of bundles, or their folders; photo if none is given."
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="A photo of your own; by default a made picture.")
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WxH",
            help="Cut or repeat the picture to this; may be repeated. By default 768x512, or "
            "the photo's own.",
        ),
    ] = None,
    quality: Quality = None,
    effort: Effort = 1,
    precision: Annotated[
        list[Precision] | None,
        typer.Option(help="May be repeated; by default all that a bundle has."),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, help="May be repeated; by default 1 and all processors."),
    ] = None,
    provider: Annotated[
        list[Provider] | None, typer.Option(help="May be repeated; by default cpu.")
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(
            help="jpeg, webp, avif, avif444, jxl, heic with commas, or none; by default those "
            "of jpeg, webp, avif, jxl that run here."
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            min=0, max=86_400, help="Repeat for about this long, and three times at least."
        ),
    ] = 20,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Instead of --seconds: repeat so many times.")
    ] = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, in other processes.")] = True,
    start: Annotated[bool, typer.Option(help="Measure a cold start, in other processes.")] = True,
    plot: Annotated[
        Path | None, typer.Option(help="File for bars of all stages, .png, .svg or .pdf.")
    ] = None,
    force: Force = False,
    as_json: AsOneJson = False,
) -> None:
    """Measure how long bundles take on this machine, stage by stage, and other formats too.

    Every bundle, precision, number of threads and provider, and Pillow's formats at about the same
    PSNR, compress and decompress one picture in turn, so that what disturbs one disturbs all; the
    first run of each is not counted. Medians and 95th percentiles of wall and processor time. Peak
    memory and a cold start are measured in processes of their own. Takes about a minute; more
    sizes, bundles and threads take longer. Let nothing else run meanwhile.

    Stages: rounding is all of compress that is no network until the symbols are known; entropy is
    the entropy coder with container, masks and checksum. "In memory" is without files.

    \b
    Examples:
      edgeae bench
      edgeae bench --size 768x512 --size 1024x1024 --threads 1
      edgeae bench my-model --image photo.jpg -q 80 --plot bench.png
      edgeae bench --runs 5 --peers none --no-memory --no-start --json
    """  # noqa: D301 click keeps the lines after this mark as they are
    sizes = [_parse_size(text) for text in size or ()]
    draw = _drawing(plot, force=force)
    from edgeae.benchmark.cases import Request
    from edgeae.benchmark.measure import measure
    from edgeae.benchmark.rounds import Length

    request = Request(
        models=models or ["photo"],
        precisions=[choice.value for choice in precision or ()],
        threads=threads or (),
        providers=[choice.value for choice in provider or (Provider.CPU,)],
        sizes=sizes,
        image=image,
        peers=_peers(peers),
        quality=50.0 if quality is None else quality,
        effort=effort,
        length=Length(seconds=seconds, runs=runs),
        memory=memory,
        start=start,
    )
    with _listening() as listener:
        report = measure(request, listener)
    if peers is None:
        _name_absent(request.peers)
    if as_json:
        output.print_line(report.to_json().rstrip())
    else:
        from edgeae.cli.bench_tables import print_report

        print_report(report)
    if plot is not None:
        output.write_in_folder(draw(report), plot, force=force)
        output.say(f"wrote {plot}")


def _parse_size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text.strip())
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise typer.BadParameter(
            f"--size: {text!r} is not a width and a height of 1 to {MAX_SIDE}, as in 768x512"
        )
    if width * height > MAX_PIXELS:
        raise typer.BadParameter(f"--size: {text} has more than {MAX_PIXELS} pixels")
    return width, height


def _name_absent(peers: Sequence[str]) -> None:
    from edgeae.benchmark.race import DEFAULT_RACERS, RACERS

    for name in sorted(set(DEFAULT_RACERS) - set(peers)):
        peer = RACERS[name]
        output.say(f"{peer.label}: left out; pip install {peer.requirement}")


def _peers(names: str | None) -> Sequence[str]:
    from edgeae.benchmark.race import RACERS, available

    if names is None:
        return available()
    listed = [] if names.strip() == "none" else [name.strip() for name in names.split(",")]
    if unknown := [name for name in listed if name not in RACERS]:
        raise typer.BadParameter(f"--peers: no {', '.join(unknown)}; there are {', '.join(RACERS)}")
    if absent := [RACERS[name] for name in listed if not RACERS[name].available]:
        raise MissingExtraError(
            f"{absent[0].label} cannot be run here; install it: pip install -U "
            f"{absent[0].requirement}"
        )
    return list(dict.fromkeys(listed))


def _drawing(target: Path | None, *, force: bool) -> Callable[[Report], bytes]:
    """Return what draws the plot; what hinders it is said before a minute of measuring."""
    if target is None:
        return lambda _: b""
    format = target.suffix.lower().lstrip(".")
    if format not in PLOT_FORMATS:
        raise typer.BadParameter(f"--plot: {target} does not end in {', '.join(PLOT_FORMATS)}")
    output.check_target(target, force=force)
    from edgeae.benchmark.plot import plot
    from edgeae.cli.bench_tables import labels

    return lambda report: plot(report, labels(report), format)


@contextmanager
def _listening() -> Iterator[Listener]:
    """Give what shows on a terminal's stderr how far the measurement is."""
    from edgeae.benchmark.measure import Listener

    if not sys.stderr.isatty():
        yield Listener()
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        TextColumn("{task.completed} runs"),
        TimeElapsedColumn(),
    )
    # A thread that refreshes would be measured too; redirected, the JSON would go to stderr.
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False
    ) as bar:
        task = bar.add_task("loading")

        def part(name: str) -> None:
            bar.reset(task, description=name)
            bar.refresh()

        def run() -> None:
            bar.advance(task)
            bar.refresh()

        yield Listener(part, run)
