"""Which way imports point, read from the source, and what a start-up loads, seen in a process."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgeae

PACKAGE = Path(edgeae.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# package -> the modules that may import it when they run
DOORS = {
    "onnxruntime": {"graphs"},
    "PIL": {"images.files", "images.drawing", "images.profiles", "pillow", "evaluation.peers"},
    "typer": {"cli"},
    "rich": {"cli"},
    "platformdirs": {"bundle", "choices"},
    "bjontegaard": {"evaluation.bd_rate"},
    "matplotlib": {"evaluation.plot", "benchmark.plot"},
    "ray": {"bulk"},
    "torch": set(),
    "onnx": set(),
    "edgeae_export": set(),
}
STANDARD_LIBRARY_ONLY = {
    *("errors", "container", "manifest", "processor", "providers", "__init__", "__main__"),
}
CODEC = {"codec", "encoding", "autoencoder", "exact", "packing", "transforms"}
# module -> what it never imports: the layers below do not know those above
ABOVE = {
    "errors": {"edgeae"},
    "container": {*CODEC, "api", "cli", "bundle", "entropy", "graphs", "images", "latents"},
    "entropy": {*CODEC, "api", "cli", "bundle", "container", "graphs", "images", "latents"},
    "graphs": {*CODEC, "api", "cli", "bundle", "container", "entropy", "images", "latents"},
    "images": {*CODEC, "api", "cli", "bundle", "container", "entropy", "graphs", "latents"},
    "manifest": {*CODEC, "api", "cli", "bundle", "entropy", "graphs", "images"},
    "bundle": {*CODEC, "api", "cli", "graphs", "images", "container"},
    "processor": {"edgeae"},
    "providers": {"edgeae"},
    "known_file": {"api", "cli", "evaluation", "doctor"},
    "doctor": {"api", "cli", "benchmark"},
    "choices": {"edgeae"},
    "precision": {*CODEC, "api", "cli", "container", "entropy", "latents"},
    "latent_space": {*CODEC, "api", "cli", "bundle", "graphs"},
    "mixture": {"edgeae"},
    "sampling": {*CODEC, "api", "cli", "graphs"},
    "tiles": {"edgeae"},
    "inputs": {*CODEC, "priors", "graphs", "api", "cli", "evaluation"},
    "priors": {*CODEC, "inputs", "images", "api", "cli", "evaluation"},
    "packing": {*CODEC, "graphs", "images", "api", "cli", "evaluation"},
    "exact": {"codec", "encoding", "bundle", "graphs", "priors", "api", "cli", "evaluation"},
    "transforms": {*CODEC, "entropy", "container", "priors", "api", "cli", "evaluation"},
    "encoding": {"codec", "autoencoder", "graphs", "api", "cli", "evaluation"},
    "autoencoder": {"codec", "encoding", "packing", "entropy", "priors", "api", "cli"},
    "codec": {"api", "cli", "evaluation", "benchmark"},
    "api": {"cli", "evaluation"},
    "metrics": {"edgeae"},
    "evaluation": {"api", "cli", "benchmark"},
    "benchmark": {"api", "cli"},
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_each_dependency_has_one_door(path: Path) -> None:
    name = module_name(path)
    for imported in runtime_imports(path):
        allowed = DOORS.get(imported.split(".")[0])
        assert allowed is None or any(within(name, door) for door in allowed), imported


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_layer_imports_one_above(path: Path) -> None:
    name = module_name(path)
    for layer, above in ABOVE.items():
        if within(name, layer):
            forbidden = {f"edgeae.{module}" for module in above}
            for imported in runtime_imports(path):
                assert not any(within(imported, module) for module in forbidden), imported


@pytest.mark.parametrize("name", sorted(STANDARD_LIBRARY_ONLY))
def test_module_needs_only_the_standard_library(name: str) -> None:
    for imported in runtime_imports(PACKAGE / f"{name}.py"):
        root = imported.split(".")[0]
        assert root in sys.stdlib_module_names or root == "edgeae", imported


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_assert_guards_a_users_data(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


HEAVY = ("numpy", "onnxruntime", "PIL", "rich", "torch", "onnx", "platformdirs")


@pytest.mark.parametrize(
    "code",
    [
        "import edgeae",
        "import edgeae.cli.app",
        "from edgeae.cli.app import app; app(['--version'], standalone_mode=False)",
        "from edgeae.cli.app import app; app(['--help'], standalone_mode=False)",
        "from edgeae.cli.app import app; app(['compress', '--help'], standalone_mode=False)",
        "from edgeae.cli.app import app; app(['eval', '--help'], standalone_mode=False)",
        "from edgeae.cli.app import app; app(['bench', '--help'], standalone_mode=False)",
        "from edgeae.cli.app import app; app(['doctor', '--help'], standalone_mode=False)",
        "from edgeae.cli.app import app; app(['reconstruct', '--help'], standalone_mode=False)",
        "from edgeae.cli.app import app; app(['train', '--help'], standalone_mode=False)",
    ],
)
def test_start_loads_nothing_heavy(code: str) -> None:
    ending = f"; import sys; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code + ending], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"


def test_help_of_all_commands_loads_none() -> None:
    code = (
        "from edgeae.cli.app import app; app(['--help'], standalone_mode=False); import sys; "
        "print([m for m in sys.modules if m.startswith(('edgeae.cli.', 'edgeae_export'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(run.stdout.splitlines()[-1]))
    assert loaded == {f"edgeae.cli.{name}" for name in ("app", "commands", "output", "stops")}


@pytest.mark.parametrize(
    ("arguments", "limit_s"), [(["--help"], 0.3), (["--version"], 0.3)], ids=["help", "version"]
)
def test_start_is_fast(arguments: list[str], limit_s: float) -> None:
    assert min(cpu_seconds(["-m", "edgeae", *arguments]) for _ in range(3)) < limit_s


def test_import_is_fast() -> None:
    assert min(cpu_seconds(["-c", "import edgeae"]) for _ in range(3)) < 0.15


def cpu_seconds(arguments: list[str]) -> float:
    """Return processor time, which other processes on the machine cannot lengthen much."""
    resource = pytest.importorskip("resource", reason="Windows has no getrusage")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return min(wall, used)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def runtime_imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports when it runs, not those for its annotations."""
    yield from _imports(ast.parse(path.read_text(encoding="utf-8")))


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide where they point"
            yield child.module or ""
        else:
            yield from _imports(child)
