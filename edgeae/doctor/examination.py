"""The whole examination, in the order of the report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgeae.doctor.bundles import absent_providers, bundles
from edgeae.doctor.finding import BUNDLES, INSTALLED, MACHINE, PROVIDERS, WRONG, Finding
from edgeae.doctor.installed import packages, runtimes
from edgeae.doctor.machine import machine

GROUPS = (INSTALLED, MACHINE, PROVIDERS, BUNDLES)


def examine(paths: Sequence[Path], providers: Sequence[str] | None = None) -> list[Finding]:
    """Return what there is to say of this machine, and of the bundles in these folders.

    Parameters
    ----------
    paths : sequence of Path
        Folders with a manifest.
    providers : sequence of str, optional
        Those to try, there or not; by default those that this onnxruntime has.
    """
    environment = dict(os.environ)  # importing onnxruntime changes it
    found = [*packages(), *runtimes()]
    works = not any(one.state == WRONG and one.name == "runtime" for one in found)
    found += machine(environment)
    if works:
        from edgeae.graphs import available_providers

        found += bundles(paths, available_providers() if providers is None else providers)
        found += absent_providers() if providers is None else ()
    else:
        found += bundles(paths, ())
    return sorted(found, key=lambda one: GROUPS.index(one.group))
