import dataclasses

import pytest

from bioutils.errors import UsageError
from bioutils.training.electra.build import build
from bioutils.training.electra.commands import main
from bioutils.training.electra.flops import electra_flops
from bioutils.training.electra.pretrain import pretrain
from bioutils.training.electra.settings import SIZES, ElectraSettings, sized

from .conftest import write_text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size to be a whole number, 1 or more, found 0"),
        ({"batch_size": -4, "accumulation": 2}, "batch_size to be a whole number, 1 or more, found -4"),
        ({"head_size": 0}, "head_size to be a whole number, 1 or more, found 0"),
        ({"hidden_size": 100}, r"hidden_size to be a whole number, a multiple of head_size \(64\), found 100"),
        ({"feed_forward": 0}, "feed_forward to be a whole number, 1 or more, found 0"),
        ({"feed_forward": -1}, "feed_forward to be a whole number, 1 or more, found -1"),
        ({"epsilon": 0}, "epsilon to be a number, above 0, found 0"),
        ({"epsilon": -1.0}, "epsilon to be a number, above 0, found -1.0"),
        ({"epsilon": float("inf")}, "epsilon to be a number, above 0, found inf"),
        ({"layer_decay": 0.0}, "layer_decay to be a number, above 0, up to 1, found 0.0"),
        ({"layer_decay": -1.0}, "layer_decay to be a number, above 0, up to 1, found -1.0"),
        ({"weight_decay": -1.0}, "weight_decay to be a number, 0 or more, found -1.0"),
        ({"seed": -1}, r"seed to be a whole number, 0 or more, below 2\*\*32, found -1"),
        ({"dropout": 1.0}, "dropout to be a number, a share from 0, below 1, found 1.0"),
        ({"warmup": 1.0}, "warmup to be a number, a share from 0, below 1, found 1.0"),
        ({"warm_start": 1.0}, "warm_start to be a number, a share from 0, below 1, found 1.0"),
        ({"learning_rate": float("nan")}, "learning_rate to be a number, between 0 and 1, found nan"),
        ({"positions": 0}, "positions to be a whole number, 8 or more, found 0"),
        ({"steps": 2.5}, "steps to be a whole number, 1 or more, found 2.5"),
        ({"layers": True}, "layers to be a whole number, 1 or more, found True"),
        ({"start": "none"}, "start to be one of the known, found 'none'"),
    ],
)
def test_values_out_of_range(change, message):
    with pytest.raises(UsageError, match=message):
        sized("tiny", **change)


def test_the_ends_that_are_allowed():
    sized("tiny", mask_token=0.0, dropout=0, warmup=0.0, weight_decay=0, layer_decay=1, epsilon=1, seed=2**32 - 1)
    sized("tiny", mask_token=1.0, generator_share=1.0, feed_forward=1, batch_size=1, head_size=1, seed=0)


def test_calls_out_of_range(examples, tiny, tmp_path, capsys):
    with pytest.raises(UsageError, match="evaluate_every to be 1 step or more, found 0"):
        pretrain(examples, tmp_path / "run", settings=tiny, evaluate_every=0)
    with pytest.raises(UsageError, match="seed to be 0 or more"):
        build([write_text(tmp_path / "a.txt")], tmp_path / "out", form="pairs", seed=-1)
    with pytest.raises(UsageError, match="rows to be 1 or more, found 0"):
        electra_flops(tiny, rows=0)
    assert main(["flops", "--length", "-5"]) == 2
    assert "Expected length to be 1 or more, found -5" in capsys.readouterr().err
    assert main(["flops", "--vocabulary", "0"]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_help_tells_every_reason(capsys):
    with pytest.raises(SystemExit):
        main(["pretrain", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(ElectraSettings):
        assert len(field.metadata["help"]) > 10
        assert f"--{field.name.replace('_', '-')} " in shown
    assert "1e-06" in shown
    assert "of both networks" in shown
    assert "(tiny: 4, small: 12, base: 12)" in shown
    assert "(tiny: 0.25, small: 0.25, base: 0.333)" in shown


def test_base_is_counted_at_its_own_length(capsys):
    assert main(["flops", "--size", "base"]) == 0
    assert capsys.readouterr().out.startswith(f"{electra_flops(SIZES['base'], tokens=512):.3e} operations")
    assert main(["flops", "--size", "base", "--length", "128"]) == 0
    assert capsys.readouterr().out.startswith(f"{electra_flops(SIZES['base'], tokens=128):.3e} operations")
