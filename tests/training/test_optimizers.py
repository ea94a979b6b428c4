import pytest
import torch

from bioutils.encoders import load_classifier
from bioutils.errors import UsageError
from bioutils.training.arguments import TrainingSettings
from bioutils.training.optimizers import layer_depths, make_optimizer, parameter_groups


def rate_of(model, settings) -> dict[str, float]:
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {names[id(w)]: group["lr"] for group in parameter_groups(model, settings) for w in group["params"]}


def test_lower_layers_learn_slower(encoder_dir):
    model = load_classifier(str(encoder_dir), labels=list("abc"))
    n = model.config.num_hidden_layers
    rates = rate_of(model, TrainingSettings(learning_rate=1e-3, layer_decay=0.8))
    assert rates["classifier.weight"] == pytest.approx(1e-3)
    assert rates[f"bert.encoder.layer.{n - 1}.output.dense.bias"] == pytest.approx(1e-3 * 0.8**2)
    assert rates["bert.encoder.layer.0.output.dense.weight"] == pytest.approx(1e-3 * 0.8 ** (n + 1))
    assert rates["bert.embeddings.word_embeddings.weight"] == pytest.approx(1e-3 * 0.8 ** (n + 2))
    assert len(rates) == len(list(model.named_parameters()))
    assert set(rate_of(model, TrainingSettings(learning_rate=1e-3)).values()) == {1e-3}


def test_the_published_small_model():
    names = [f"electra.encoder.layer.{i}.output.dense.weight" for i in range(12)]
    depths = layer_depths(["electra.embeddings_project.weight", *names, "classifier.dense.weight"])
    assert depths == [0, *range(1, 13), 14]  # so that 0.8 gives the embeddings 0.8**14 of the rate


def test_what_has_no_layers_is_all_head():
    assert layer_depths(["lstm.weight", "linear.bias"]) == [2, 2]


def test_the_optimizer(encoder_dir):
    model = load_classifier(str(encoder_dir), labels=list("abc"))
    found = make_optimizer(model, TrainingSettings(learning_rate=1e-3, layer_decay=0.5), epsilon=1e-6)
    assert isinstance(found, torch.optim.AdamW)
    assert {group["eps"] for group in found.param_groups} == {1e-6}
    assert len({group["lr"] for group in found.param_groups}) == model.config.num_hidden_layers + 2


def test_out_of_range():
    for value in (0.0, 1.1):
        with pytest.raises(UsageError, match="layer_decay"):
            TrainingSettings(layer_decay=value)
