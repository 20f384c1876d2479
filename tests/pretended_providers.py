"""Providers that this machine does not have: sessions run on the CPU and say something else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pytest

from edgeae import graphs
from edgeae.providers import CPU, PROVIDERS

_INFERENCE_SESSION = graphs._onnxruntime().InferenceSession
SHORT_NAMES = {long_name: name for name, long_name in PROVIDERS.items()}


class Pretended:
    """Let onnxruntime seem to be built with providers.

    Parameters
    ----------
    built : names of providers
    lost : names of those whose sessions fall back to the CPU in silence
    failing : names of those whose sessions are made, but fail when they run
    idle : names of those that take no node of the graph
    """

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        *built: str,
        lost: Sequence[str] = (),
        failing: Sequence[str] = (),
        idle: Sequence[str] = (),
    ) -> None:
        self.asked: list[list[tuple[str, dict[str, str]]]] = []  # by each session, short names
        self.preloads = 0
        runtime = graphs._onnxruntime()
        real = _INFERENCE_SESSION
        long_names = [PROVIDERS[name] for name in (*built, CPU)]
        pretended = self

        class Session:
            def __init__(
                self, model: bytes, options: Any, *, providers: Any, enable_fallback: int
            ) -> None:
                assert enable_fallback == 0  # else onnxruntime prints to stdout
                asked = [(SHORT_NAMES[name], options) for name, options in providers]
                pretended.asked.append(asked)
                self.name = asked[0][0]
                self.real = real(model, options, providers=[PROVIDERS[CPU]])

            def get_providers(self) -> list[str]:
                running = [CPU] if self.name in lost else [self.name, CPU]
                return [PROVIDERS[name] for name in dict.fromkeys(running)]

            def get_provider_graph_assignment_info(self) -> list[Any]:
                runs = CPU if self.name in idle else self.name
                return [_Part(PROVIDERS[runs], 3)]

            def run(self, *arguments: Any) -> Any:
                if self.name in failing:
                    raise RuntimeError("no device")
                return self.real.run(*arguments)

            def __getattr__(self, name: str) -> Any:
                return getattr(self.real, name)

        def preload_dlls() -> None:
            sys.stdout.write("cuDNN is not there\n")
            self.preloads += 1

        patch.setattr(runtime, "InferenceSession", Session)
        patch.setattr(runtime, "get_available_providers", lambda: long_names)
        patch.setattr(runtime, "preload_dlls", preload_dlls)
        graphs._preload_cuda.cache_clear()

    def first_choices(self) -> list[str]:
        """Return what each session was asked to run on first."""
        return [asked[0][0] for asked in self.asked]


class _Part:
    def __init__(self, ep_name: str, count: int) -> None:
        self.ep_name = ep_name
        self._count = count

    def get_nodes(self) -> list[None]:
        return [None] * self._count
