"""A Python with edgeae's runtime, made in a folder: as a venv, or unpacked from Debian's archive.

Unpacked is for what this system cannot install: another architecture, a newer Python. Nothing is
installed; the client is apt with an index of its own. Made once and kept.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
TRIPLES = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
WHEELS = {"amd64": "x86_64", "arm64": "aarch64"}
LIBRARIES = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8")
DONE = "done"  # a file that says that a folder is complete


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a Python."""

    words: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Venv:
    """A virtual environment of an interpreter of this system, with packages from PyPI."""

    python: str  # 3.11 and so on
    requirements: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its folder; cells with the same environment share it."""
        return f"python{self.python}-{_digest(self.requirements)}"

    def prepare(self, folder: Path) -> Command:
        """Return how to start it."""
        python = folder / "bin" / "python"
        if not (folder / DONE).exists():
            _run(interpreter(self.python), "-m", "venv", "--clear", folder)
            _run(python, "-m", "pip", "install", "-q", *self.requirements)
            (folder / DONE).touch()
        return Command((str(python),))


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Debian's Python of an architecture and a suite, and wheels, side by side in a folder."""

    python: str
    requirements: tuple[str, ...]  # with all that they need
    suite: str
    architecture: str = "amd64"

    @property
    def name(self) -> str:
        """Of its folder."""
        parts = (self.suite, self.architecture, f"python{self.python}", _digest(self.requirements))
        return "-".join(parts)

    def prepare(self, folder: Path) -> Command:
        """Return how to start it; on this architecture through its own dynamic loader."""
        root, site = folder / "root", folder / "site"
        if not (folder / DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            version = self.python
            names = (f"python{version}-minimal", f"libpython{version}-minimal")
            names += (f"libpython{version}-stdlib", *LIBRARIES)
            unpack(root, self.suite, self.architecture, names)
            self._wheels(site)
            (folder / DONE).touch()
        program = str(root / "usr" / "bin" / f"python{self.python}")
        variables = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(site)}
        if self.architecture != "amd64":
            return Command((program,), {**variables, "QEMU_LD_PREFIX": str(root)})
        libraries = root / "usr" / "lib" / TRIPLES["amd64"]
        loader = str(libraries / "ld-linux-x86-64.so.2")
        return Command((loader, "--library-path", str(libraries), program), variables)

    def _wheels(self, site: Path) -> None:
        wheels = site.with_name("wheels")
        platforms = [
            word
            for version in ("2_28", "2_27", "2_17", "2014")
            for word in ("--platform", _platform(version, WHEELS[self.architecture]))
        ]
        _run(
            *(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"),
            *("--python-version", self.python, "--implementation", "cp"),
            *platforms,
            *("-d", wheels, *self.requirements),
        )
        for wheel in wheels.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)


def unpack(root: Path, suite: str, architecture: str, packages: tuple[str, ...]) -> None:
    """Unpack packages of Debian into the folder ``root`` without installing them."""
    work = root.with_name(f"{root.name}-apt").absolute()
    for part in ("lists/partial", "cache/archives/partial", "debs"):
        (work / part).mkdir(parents=True, exist_ok=True)
    (work / "status").touch()
    source = f"deb [arch={architecture} signed-by={KEYS}] {MIRROR} {suite} main\n"
    (work / "sources").write_text(source)
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Sandbox::User": "root",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Etc::sourcelist": work / "sources",
        "Dir::Etc::sourceparts": "/dev/null",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    _run(*apt, "update")
    _run(*apt, "download", *packages, folder=work / "debs")
    root.mkdir(parents=True, exist_ok=True)
    for package in sorted((work / "debs").glob("*.deb")):
        _run("dpkg", "-x", package, root)


def interpreter(version: str) -> str:
    """Return the path of an interpreter of this version.

    Raises
    ------
    FileNotFoundError
        There is none, neither on the path nor among those of pyenv.
    """
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    if found := shutil.which(f"python{version}"):
        return found
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    if not kept:
        raise FileNotFoundError(f"python{version} is not on this machine")
    return str(kept[-1])


def _digest(requirements: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:8]


def _platform(version: str, machine: str) -> str:
    return (
        f"manylinux{version}_{machine}" if version == "2014" else f"manylinux_{version}_{machine}"
    )


def _run(*words: object, folder: Path | None = None) -> None:
    subprocess.run([str(word) for word in words], check=True, cwd=folder, stdout=sys.stderr)
