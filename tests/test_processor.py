from __future__ import annotations

import sys

import pytest

from edgeae.processor import processor, stated

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R)   Platinum
stepping\t: 8
cpu MHz\t\t: {clock}
core id\t\t: 0
flags\t\t: fpu avx2 avx512_vnni
bogomips\t: {clock}

processor\t: 1
model name\t: another
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd asimddp i8mm
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


def test_model_and_features_are_stated() -> None:
    assert stated(X86) == [
        "vendor_id: GenuineIntel",
        "cpu family: 6",
        "model: 143",
        "model name: Intel(R) Xeon(R) Platinum",
        "stepping: 8",
        "flags: fpu avx2 avx512_vnni",
    ]
    assert stated(ARM) == [
        "Features: fp asimd asimddp i8mm",
        "CPU implementer: 0x41",
        "CPU part: 0xd40",
    ]


def test_clock_and_later_processors_are_not_part_of_it() -> None:
    assert stated(X86.format(clock=900)) == stated(X86.format(clock=3000))
    assert stated(X86.replace("another", "a third")) == stated(X86)


@pytest.mark.parametrize("text", ["", "\n\n\n", "no colon", ": :", "flags"])
def test_text_that_says_little_is_no_error(text: str) -> None:
    assert stated(text) in ([], ["flags: "])


def test_processor_of_this_machine_has_a_name() -> None:
    assert processor().startswith(f"{sys.platform}; ")
    assert processor.__wrapped__() == processor()
