"""What can run a graph: names, the options that keep each exact, and whether it really runs.

Nothing here talks to onnxruntime; `edgeae.graphs` does, and asks here how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AUTO, CPU, CUDA, OPENVINO, COREML = "auto", "cpu", "cuda", "openvino", "coreml"
PROVIDERS = {  # in the order in which "auto" tries them
    CUDA: "CUDAExecutionProvider",
    OPENVINO: "OpenVINOExecutionProvider",
    COREML: "CoreMLExecutionProvider",
    CPU: "CPUExecutionProvider",
}
# Those with kernels for the int8 graphs. CUDA has none for 8-bit convolutions and CoreML none for
# the nodes around them: there, int8 would be float work with rounding on top.
INT8_KERNELS = frozenset({CPU, OPENVINO})
PACKAGES = {  # that bring a provider; all of them install the same module onnxruntime
    CUDA: "onnxruntime-gpu",
    OPENVINO: "onnxruntime-openvino",
    COREML: "onnxruntime",
    CPU: "onnxruntime",
}


def provider_options(provider: str, threads: int) -> dict[str, str]:
    """Return the options of a provider under which float32 stays float32.

    Parameters
    ----------
    provider : str
        Key of `PROVIDERS`.
    threads : int
        Threads inside an operator.
    """
    if provider == CUDA:
        return {
            "use_tf32": "0",  # tensor cores would keep 10 bits of each factor
            # The search that is the default times the algorithms anew for each size of picture,
            # takes seconds, and may choose another one, with other last digits, in each process.
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",  # pictures of many sizes
        }
    if provider == OPENVINO:
        return {
            "device_type": "CPU",  # its GPU would compute in half precision
            "precision": "FP32",  # without it, processors with AMX compute in bfloat16
            "num_of_threads": str(threads),
        }
    if provider == COREML:
        return {
            "ModelFormat": "MLProgram",  # typed: float32 is not turned into half precision
            "MLComputeUnits": "CPUAndGPU",  # the neural engine has half precision alone
        }
    return {}


def requested(provider: str, threads: int) -> list[tuple[str, dict[str, str]]]:
    """Return what a session asks onnxruntime for: the provider, then the CPU for what it lacks."""
    names = dict.fromkeys([provider, CPU])
    return [(PROVIDERS[name], provider_options(name, threads)) for name in names]


def fallback(provider: str, running: Sequence[str], nodes: Mapping[str, int]) -> str | None:
    """Return how a session departs from the provider that was asked for, None if it does not.

    Parameters
    ----------
    provider : str
        Key of `PROVIDERS`.
    running : sequence of str
        The session's providers, by their long names, first choice first.
    nodes : mapping
        How many nodes of the graph each of them runs; empty if this onnxruntime does not say.
    """
    long_name = PROVIDERS[provider]
    if not running or running[0] != long_name:
        return f"asked for {long_name}, onnxruntime fell back to {list(running)}"
    if nodes and not nodes.get(long_name):
        return f"{long_name} is there but runs none of the graph's {sum(nodes.values())} nodes"
    return None


def advice(provider: str) -> str:
    """Return what to do where a provider cannot be used."""
    package = PACKAGES[provider]
    return (
        f"`edgeae doctor` says what is installed; the package {package} has it, in place of any "
        f"other onnxruntime, or choose another --provider"
    )
