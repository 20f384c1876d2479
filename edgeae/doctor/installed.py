"""The packages: versions, Pillow's codecs, optional extras, and onnxruntime, once or twice."""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from edgeae.doctor.finding import ABSENT, INSTALLED, NOTE, OK, WRONG, Finding
from edgeae.errors import EdgeaeError

_EXTRA = re.compile(r"""([A-Za-z0-9._-]+)[^;]*;.*extra\s*==\s*["']([A-Za-z0-9._-]+)["']""")
_DEVELOPMENT = "dev"
_MODULE = "onnxruntime"
_PREFIXES = ("onnxruntime", "ort_")
_ACCELERATED = re.compile("gpu|openvino|directml|rocm|cuda|qnn", re.IGNORECASE)


def packages() -> Iterator[Finding]:
    """Yield what is installed, onnxruntime apart."""
    from edgeae import __version__

    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding(INSTALLED, "edgeae", OK, __version__)
    yield Finding(INSTALLED, "python", OK, f"{python}, {platform.platform()}")
    yield Finding(INSTALLED, "numpy", OK, metadata.version("numpy"))
    yield _pillow()
    try:
        requirements = metadata.requires("edgeae") or []
    except metadata.PackageNotFoundError:  # run from its sources
        requirements = []
    for extra, names in sorted(extras(requirements).items()):
        yield _extra(extra, names)


def runtimes(folders: Iterable[str] | None = None) -> list[Finding]:
    """Return what there is to say of onnxruntime's packages.

    Parameters
    ----------
    folders : iterable of str, optional
        Where packages are; by default where Python looks for modules.
    """
    found = {one.name: one.version for one in _packages_with_runtime(folders or sys.path)}
    return [_packages_of_runtime(found), _loaded_runtime(found)]


def extras(requirements: Sequence[str]) -> dict[str, list[str]]:
    """Return the packages of each optional extra, from the lines of a package's metadata.

    >>> extras(["numpy>=1.26", "matplotlib>=3.9; extra == 'plot'"])
    {'plot': ['matplotlib']}
    """
    found: dict[str, list[str]] = {}
    for match in filter(None, map(_EXTRA.match, requirements)):
        name, extra = match.groups()
        if extra != _DEVELOPMENT:
            found.setdefault(extra, []).append(name)
    return found


def _pillow() -> Finding:
    from edgeae.evaluation.peers import versions

    found = versions()
    codecs = [f"{name} {version}" for name, version in found.items() if name != "Pillow"]
    text = ", ".join([found["Pillow"], *codecs])
    missing = [name for name in ("webp", "avif") if name not in found]
    if missing:
        remedy = f"for {' and '.join(missing)} files: pip install --upgrade pillow"
        return Finding(INSTALLED, "pillow", NOTE, f"{text}; without {', '.join(missing)}", remedy)
    return Finding(INSTALLED, "pillow", OK, text)


def _extra(extra: str, names: Sequence[str]) -> Finding:
    versions = {name: _version(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    text = ", ".join(f"{name} {version or 'not installed'}" for name, version in versions.items())
    if missing:
        return Finding(
            INSTALLED, f"[{extra}]", ABSENT, text, f"if wanted: pip install 'edgeae[{extra}]'"
        )
    return Finding(INSTALLED, f"[{extra}]", OK, text)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _packages_with_runtime(folders: Iterable[str]) -> Iterator[metadata.Distribution]:
    """Yield the packages that install the module onnxruntime itself, no plug-ins of it."""
    for folder in folders:
        for info in sorted(Path(folder).glob("*.dist-info")):
            if info.name.lower().startswith(_PREFIXES):  # reading every package's takes a second
                distribution = metadata.Distribution.at(info)
                files = distribution.files or ()
                if any(file.as_posix() == f"{_MODULE}/__init__.py" for file in files):
                    yield distribution


def _packages_of_runtime(found: dict[str, str]) -> Finding:
    text = " and ".join(f"{name} {version}" for name, version in sorted(found.items()))
    if len(found) < 2:
        text = text or "no package of it is known to pip"
        return Finding(INSTALLED, "onnxruntime", OK, text, figures=dict(found))
    return Finding(
        INSTALLED,
        "onnxruntime",
        WRONG,
        f"{text} write into the same folder, each over the other",
        f"keep one: {_install_one_of(found)}",
        dict(found),
    )


def _install_one_of(found: Iterable[str]) -> str:
    """Return the commands that leave one package, that of an accelerator if there is one."""
    names = sorted(found) or [_MODULE]
    keep = next(filter(_ACCELERATED.search, names), _MODULE)
    return f"pip uninstall -y {' '.join(names)} && pip install {keep}"


def _loaded_runtime(found: dict[str, str]) -> Finding:
    from edgeae.graphs import available_providers, runtime_version

    start = time.perf_counter()
    try:
        version, providers = runtime_version(), available_providers()
    except EdgeaeError as error:
        what = str(error).partition(";")[0]
        return Finding(INSTALLED, "runtime", WRONG, what, _install_one_of(found))
    milliseconds = 1e3 * (time.perf_counter() - start)
    text = f"{version}, built with {', '.join(providers)}; loaded in {milliseconds:.0f} ms"
    if len(found) == 1 and not next(iter(found.values())).startswith(version):
        again = f"pip install --force-reinstall --no-deps {next(iter(found))}"
        return Finding(INSTALLED, "runtime", WRONG, f"{text}; pip knows another", again)
    figures = {"version": version, "providers": list(providers), "load_ms": round(milliseconds, 1)}
    return Finding(INSTALLED, "runtime", OK, text, figures=figures)
