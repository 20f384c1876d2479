"""What this machine's processor is, so that what was measured on one is not believed on another."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_BLOCK_BYTES = 1 << 14  # more than the kernel writes about one processor
_X86 = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
_ARM = (
    "CPU implementer",
    "CPU architecture",
    "CPU variant",
    "CPU part",
    "CPU revision",
    "Features",
)
# Wide registers, then what multiplies bytes (VNNI, dot products), then half precision.
_FAST = (
    *("sse4_2", "avx", "fma", "avx2", "avx512f", "sve", "asimd"),
    *("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"),
    *("avx512_bf16", "amx_bf16", "bf16", "asimdhp"),
)
_STATED = frozenset({*_X86, *_ARM})  # lines of /proc/cpuinfo that stay as they are


@functools.cache
def processor() -> str:
    """Return model and features of the processor, as far as the system says without a program.

    On Linux from /proc/cpuinfo, on Windows from the environment; elsewhere only the architecture
    and the number of processors are known. platform.processor() would start a program.
    """
    machine = os.uname().machine if hasattr(os, "uname") else ""
    parts = [sys.platform, machine, os.environ.get("PROCESSOR_IDENTIFIER", "")]
    parts += [str(os.cpu_count()), *stated(_first_block())]
    return "; ".join(part for part in parts if part)


def model_name() -> str:
    """Return what people call the processor, or its architecture."""
    lines = dict(line.partition(": ")[::2] for line in stated(_first_block()))
    machine = os.uname().machine if hasattr(os, "uname") else ""
    return lines.get("model name") or os.environ.get("PROCESSOR_IDENTIFIER") or machine or "unknown"


def features() -> list[str]:
    """Return those of its features that make networks faster, in the system's words."""
    lines = dict(line.partition(": ")[::2] for line in stated(_first_block()))
    there = {*lines.get("flags", "").split(), *lines.get("Features", "").split()}
    return [name for name in _FAST if name in there]


def stated(cpuinfo: str) -> list[str]:
    r"""Return what the first block of a /proc/cpuinfo says of model and features.

    >>> stated("processor : 0\nmodel name : Xeon\ncpu MHz : 900\n\nmodel name : other")
    ['model name: Xeon']
    """
    lines = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    return [
        f"{name.strip()}: {' '.join(value.split())}"
        for name, _, value in lines
        if name.strip() in _STATED
    ]


def _first_block() -> str:
    try:
        # One read of the beginning: the kernel may ask each processor it lists for its clock.
        with _CPUINFO.open("rb", buffering=0) as file:
            return file.read(_BLOCK_BYTES).decode("utf-8", "replace")
    except OSError:  # no Linux
        return ""
