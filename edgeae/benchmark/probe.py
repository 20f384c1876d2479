"""What a process of its own does to be measured: `python -m edgeae.benchmark.probe JOB`.

JOB is JSON; so is what is printed. Standard library alone until the clock runs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeae.codec import Codec

_STATUS = Path("/proc/self/status")
_KIB = 1024


def memory(job: dict[str, Any]) -> dict[str, object]:
    """Return the peak of resident memory after one way of a picture, from file to file."""
    codec = _load(job)
    from edgeae.benchmark.stages import write_png
    from edgeae.images.files import read_picture

    if job["way"] == "compress":
        picture = read_picture(Path(job["picture"]))
        data = codec.compress(picture, job["quality"], effort=job["effort"])
        Path(job["packed"]).write_bytes(data)
    else:
        write_png(codec.decompress(Path(job["packed"]).read_bytes()), Path(job["decoded"]))
    return {"peak_bytes": peak_bytes()}


def libraries(job: dict[str, Any]) -> dict[str, object]:
    """Return the peak of resident memory with nothing but the libraries loaded."""
    from edgeae.graphs import runtime_version
    from edgeae.images import files  # noqa: F401 loaded, not used: numpy and Pillow

    runtime_version()  # loads onnxruntime
    return {"peak_bytes": peak_bytes()}


def start(job: dict[str, Any]) -> dict[str, object]:
    """Return the wall ms of import, load, first compress and first decompress."""
    took: dict[str, object] = {}

    def clocked(name: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = work()
        took[name] = 1e3 * (time.perf_counter() - begin)
        return result

    clocked("import", _import)
    from edgeae.images.files import read_picture

    codec = clocked("load", lambda: _load(job))
    picture = read_picture(Path(job["picture"]))
    data = clocked(
        "first compress",
        lambda: codec.compress(picture, job["quality"], effort=job["effort"]),
    )
    codec = _load(job)  # the decoder's way begins without the sessions of the encoder's
    clocked("first decompress", lambda: codec.decompress(data))
    return took


def peak_bytes() -> int | None:
    """Return the most memory this process has held in RAM; None where the system does not say."""
    try:  # Linux: unlike getrusage, not that of the process that started this one
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * _KIB for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


def _import() -> None:
    from edgeae.codec import Codec  # noqa: F401 loaded, not used
    from edgeae.graphs import runtime_version

    runtime_version()  # loads onnxruntime


def _load(job: dict[str, Any]) -> Codec:
    from edgeae.codec import Codec

    return Codec.load(
        job["model"],
        provider=job["provider"],
        precision=job["precision"],
        threads=job["threads"],
    )


JOBS = {"memory": memory, "libraries": libraries, "start": start}

if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(JOBS[request["job"]](request)) + "\n")
