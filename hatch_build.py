"""Build hook: a wheel has the kernel in C if there is a compiler, else it is pure."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

FOLDER = "edgeae/kernel"


class KernelHook(BuildHookInterface):  # type: ignore[type-arg, misc]  # hatchling is there while building
    """Compiles before the files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the library to the wheel, whose tag then names the platform but no Python."""
        folder = Path(self.root, FOLDER)
        spec = importlib.util.spec_from_file_location("build", folder / "build.py")
        if spec is None or spec.loader is None:
            return
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        library = build.build(folder)
        if library is None:
            self.app.display_warning("no C compiler that works: a pure wheel, numpy decodes")
            return
        many = ("manylinux", "musllinux")  # promises that only an audited build can make
        platform = next(t.platform for t in sys_tags() if not t.platform.startswith(many))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(f"/{FOLDER}/{library.name}")
