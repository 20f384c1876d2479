"""doctor: what is installed here, what really runs, and whether it computes what it should."""

from __future__ import annotations

import json
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.cli.options import AsOneJson, Provider
from edgeae.cli.output import print_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeae.doctor.finding import Finding

_STYLES = {"ok": "green", "absent": "dim", "note": "yellow", "wrong": "bold red"}


def doctor(
    model: Annotated[
        list[str] | None,
        typer.Option("-m", "--model", help="Bundles; by default all that are found by name."),
    ] = None,
    provider: Annotated[
        list[Provider] | None,
        typer.Option("--provider", help="Providers to try; by default those that are there."),
    ] = None,
    as_json: AsOneJson = False,
) -> None:
    """Say what is installed, which providers really run, and whether they compute what they should.

    Every file of each bundle is checked against its hash. Then each provider decodes a stored file
    of a made picture, whose symbols must be the stored ones exactly and whose pixels within two
    levels (fp32), and encodes the picture, where few symbols may differ.

    What is absent is optional, a note works but could be better. Exit code 0: nothing is wrong;
    4: onnxruntime or a provider is; 5: a bundle is.
    """
    from edgeae.bundle import find_bundle, list_bundles
    from edgeae.doctor.examination import examine
    from edgeae.doctor.finding import exit_code
    from edgeae.providers import AUTO

    if provider and Provider.AUTO in provider:
        raise typer.BadParameter(f"{AUTO} is no provider of its own; name others, or none")
    paths = [find_bundle(name) for name in model] if model else list_bundles()
    found = examine(paths, [choice.value for choice in provider] if provider else None)
    code = exit_code(found)
    if as_json:
        findings = [one.to_fields() for one in found]
        print_line(json.dumps({"exit_code": code, "findings": findings}, default=str))
    elif sys.stdout.isatty():
        _print_drawn(found)
    else:
        _print_plain(found)
    if code:
        raise typer.Exit(code)


def _print_plain(found: Sequence[Finding]) -> None:
    rows = [(one.state, one.group, one.name, _sentence(one)) for one in found]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print_line("  ".join([*cells, row[-1]]))


def _sentence(found: Finding) -> str:
    return f"{found.text}; {found.remedy}" if found.remedy else found.text


def _print_drawn(found: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widest = max(len(one.name) for one in found)
    for group, several in groupby(found, key=lambda one: one.group):
        console.print(Text(f"\n{group}", "bold"))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=max(map(len, _STYLES)))
        table.add_column(min_width=widest, no_wrap=True)
        table.add_column()
        for one in several:
            text = Text(one.text)
            if one.remedy:
                text.append(f"\n-> {one.remedy}", _STYLES[one.state])
            table.add_row(Text(one.state, _STYLES[one.state]), Text(one.name), text)
        console.print(table)
