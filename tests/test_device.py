import pytest
import torch

from bioutils import device


@pytest.fixture
def measured_anew():
    device.bf16_speedup.cache_clear()
    yield
    device.bf16_speedup.cache_clear()


@pytest.mark.parametrize(("forced", "pays"), [("0", False), ("1", True)])
def test_the_environment_overrules_the_measurement(monkeypatch, measured_anew, forced, pays):
    monkeypatch.setenv("BIOUTILS_BF16", forced)
    assert device.bf16_pays() is pays


def test_the_measurement_is_a_ratio_taken_once(monkeypatch, measured_anew):
    monkeypatch.delenv("BIOUTILS_BF16", raising=False)
    assert device.bf16_speedup() > 0
    assert device.bf16_speedup() is device.bf16_speedup()


def test_autocast_does_what_it_is_told():
    a = torch.ones(2, 2, device=device.choose_device())
    with device.autocast(True):
        assert (a @ a).dtype == torch.bfloat16
    with device.autocast(False):
        assert (a @ a).dtype == torch.float32


def test_keeping_memory_is_harmless_and_done_once():
    assert device.keep_freed_memory() is None
    assert device.keep_freed_memory.cache_info().currsize == 1


def test_doctor_prints_versions_encoders_and_corpora(capsys):
    from bioutils import doctor

    assert doctor.main() == 0
    out = capsys.readouterr().out
    for what in ("torch", "device", "bfloat16", "encoder minilm", "at hand", "corpus go"):
        assert what in out


def test_measuring_bf16_draws_no_random_numbers(monkeypatch):
    import torch

    monkeypatch.delenv("BIOUTILS_BF16", raising=False)
    device.bf16_speedup.cache_clear()
    before = torch.get_rng_state()
    device.bf16_speedup()
    assert torch.equal(before, torch.get_rng_state())
