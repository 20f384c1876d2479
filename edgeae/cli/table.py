"""Tables on stdout: drawn on a terminal, plain columns in files and pipes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from edgeae.cli.output import print_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = "  "


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings: the first column to the left, numbers to the right."""
    if sys.stdout.isatty():
        _print_drawn(headings, rows)
    else:
        for line in plain_lines(headings, rows):
            print_line(line)


def plain_lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose columns are apart by two blanks."""
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        _GAP.join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))]  # noqa: B905
        ).rstrip()
        for line in lines
    ]


def _print_drawn(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for number, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if number else "left", no_wrap=number > 0)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
