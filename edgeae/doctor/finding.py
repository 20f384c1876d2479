"""One finding: what was looked at, what was found, and what to do if that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from edgeae.errors import BundleError, GraphError

OK, ABSENT, NOTE, WRONG = "ok", "absent", "note", "wrong"
INSTALLED, MACHINE, PROVIDERS, BUNDLES = "installed", "machine", "providers", "bundles"
EXIT_CODES = {
    INSTALLED: GraphError.exit_code,
    MACHINE: GraphError.exit_code,
    PROVIDERS: GraphError.exit_code,
    BUNDLES: BundleError.exit_code,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report.

    Attributes
    ----------
    group : str
        Key of `EXIT_CODES`.
    name : str
        What was looked at.
    state : str
        "ok"; "absent", an optional thing is not there; "note", it works, but could be better;
        "wrong".
    text : str
        What was found.
    remedy : str
        What to do; empty if nothing is to be done.
    figures : mapping
        What was measured, for `--json`.
    """

    group: str
    name: str
    state: str
    text: str
    remedy: str = ""
    figures: Mapping[str, object] = field(default_factory=dict)

    def to_fields(self) -> dict[str, object]:
        """Return what `--json` prints of it."""
        return asdict(self)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return the exit code of the first thing that is wrong, 0 if nothing is."""
    return next((EXIT_CODES[found.group] for found in findings if found.state == WRONG), 0)
