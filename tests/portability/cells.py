"""The cells of the portability matrix: which Python decodes, with what, on which processor."""

from __future__ import annotations

from dataclasses import dataclass

from environments import Unpacked, Venv

OLDEST = ("onnxruntime==1.23.2", "numpy==1.26.0", "pillow==11.3.0", "platformdirs==4.2.0")
NEWEST = ("onnxruntime", "numpy", "pillow", "platformdirs")
OPENVINO = ("onnxruntime-openvino", "numpy", "pillow", "platformdirs")
NEEDED = ("numpy", "pillow", "platformdirs", "protobuf", "flatbuffers", "packaging")
SMALL = ("--max-pixels", "13000", "--no-speed")  # an emulator takes minutes for these alone
NEWER_QEMU = "sid"  # suite of Debian; onnxruntime 1.32 for ARM crashes at import under qemu 7.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A place where the golden files are decoded."""

    machine: str  # what the table calls it
    environment: Venv | Unpacked | None  # None: the Python that runs the matrix
    emulator: tuple[str, ...] = ()  # what stands before the interpreter
    emulator_suite: str | None = None  # of Debian, if not this system's emulator
    arguments: tuple[str, ...] = ()  # of run.py


def _x86(machine: str, cpu: str) -> Cell:
    environment = Venv("3.11", NEWEST)
    emulator = ("qemu-x86_64", "-cpu", cpu)
    return Cell(machine=machine, environment=environment, emulator=emulator, arguments=SMALL)


def _arm(machine: str, cpu: str, onnxruntime: str, emulator_suite: str | None = None) -> Cell:
    return Cell(
        machine=machine,
        environment=Unpacked("3.11", (onnxruntime, *NEEDED), "bookworm", "arm64"),
        emulator=("qemu-aarch64", "-cpu", cpu),
        emulator_suite=emulator_suite,
        arguments=SMALL,
    )


CELLS = {
    "native": Cell(machine="x86-64, as developed on", environment=None),
    "oldest": Cell(machine="x86-64", environment=Venv("3.11", OLDEST)),
    "newest": Cell(machine="x86-64", environment=Venv("3.11", NEWEST)),
    "python3.12": Cell(machine="x86-64", environment=Venv("3.12", NEWEST)),
    "python3.13": Cell(machine="x86-64", environment=Venv("3.13", NEWEST)),
    "python3.14": Cell(
        machine="x86-64", environment=Unpacked("3.14", ("onnxruntime", *NEEDED), "sid")
    ),
    "openvino": Cell(
        machine="x86-64, OpenVINO",
        environment=Venv("3.11", OPENVINO),
        arguments=("--provider", "openvino"),
    ),
    "haswell": _x86("x86-64, Haswell: AVX2, no VNNI", "Haswell-noTSX"),
    "sandybridge": _x86("x86-64, Sandy Bridge: AVX, no AVX2", "SandyBridge"),
    "nehalem": _x86("x86-64, Nehalem: SSE only", "Nehalem"),
    "cortex-a72": _arm("64-bit ARM, Cortex-A72", "cortex-a72", "onnxruntime==1.23.2"),
    "arm-dot": _arm("64-bit ARM, dot products, i8mm", "max", "onnxruntime", NEWER_QEMU),
}
