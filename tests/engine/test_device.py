"""Devices and dtypes."""

import pytest
import torch

from smd_cli.engine import device
from smd_cli.engine.device import choose_device, choose_dtype, device_name, enough_memory, peak_memory_bytes
from smd_cli.errors import DeviceError

CPU = torch.device("cpu")


def test_auto_prefers_the_best_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device() == CPU
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device() == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:9", "cuda:99"])
def test_absent_devices_are_named_with_those_that_are_there(name):
    with pytest.raises(DeviceError, match=r"not available here; choose auto or one of .*cpu") as caught:
        choose_device(name)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("name", ["gpu", "tpu", "", "cpu:3", "cuda:", "cuda:x", "CUDA"])
def test_words_that_are_no_device_are_told_with_those_that_are(name):
    with pytest.raises(DeviceError, match=r"unknown device; give auto, cpu, cuda, cuda:N or mps") as caught:
        choose_device(name)
    assert caught.value.exit_code == 5


def test_dtypes():
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert choose_dtype("auto", torch.device("mps")) == torch.float16
    assert choose_dtype("bfloat16", CPU) == torch.bfloat16
    with pytest.raises(DeviceError, match="choose float32 or bfloat16"):
        choose_dtype("float16", CPU)
    with pytest.raises(DeviceError, match="choose auto, float32, float16, bfloat16"):
        choose_dtype("int8", CPU)


@pytest.mark.parametrize(
    ("device", "halves", "has_bfloat16", "chosen"),
    [
        ("cpu", ("float16", "bfloat16"), True, torch.float32),
        ("cpu", ("bfloat16",), True, torch.bfloat16),
        ("cpu", ("bfloat16",), False, torch.float32),
        ("cuda", ("float16", "bfloat16"), True, torch.float16),
        ("cuda", ("bfloat16", "float16"), True, torch.bfloat16),
        ("cuda", ("bfloat16", "float16"), False, torch.float16),
        ("cuda", ("bfloat16",), False, torch.float32),
        ("mps", ("bfloat16",), True, torch.bfloat16),
    ],
)
def test_auto_takes_what_the_device_computes_of_what_the_model_fits(
    device, halves, has_bfloat16, chosen, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda *version: has_bfloat16)
    assert choose_dtype("auto", torch.device(device), halves) == chosen


@pytest.mark.parametrize("ask", [lambda: torch.empty(2**62, dtype=torch.uint8), lambda: bytearray(2**62)])
def test_a_lack_of_memory_is_one_line(ask):
    with pytest.raises(DeviceError, match="out of memory"), enough_memory(CPU):
        ask()


def test_other_errors_are_no_lack_of_memory():
    with pytest.raises(RuntimeError, match="shape"), enough_memory(CPU):
        torch.zeros(3).view(2)


def test_reports():
    assert device_name(CPU).startswith("cpu (")
    before = peak_memory_bytes(CPU)
    held = torch.ones(32 * 2**20)
    assert peak_memory_bytes(CPU) >= max(before, held.nbytes)


def test_the_list_always_ends_with_the_cpu():
    assert device._devices()[-1] == "cpu"
