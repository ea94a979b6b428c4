from dataclasses import replace

import numpy as np
import pytest
import torch

from bioutils.corpora.records import Span
from bioutils.corpora.relations import Example, RelationCorpus, read_relations
from bioutils.encoders import load_tokenizer
from bioutils.errors import UsageError
from bioutils.models import load_model
from bioutils.relation_inputs import relation_inputs
from bioutils.result_files import read_pred, read_res
from bioutils.training.arguments import TrainingSettings
from bioutils.training.judges import logits_on
from bioutils.training.relation_tasks import (
    Task,
    baseline_trial,
    make_folds,
    make_task,
    predictions_table,
    trial_report,
    write_trials,
)
from bioutils.training.relations import ARCHITECTURES, architecture, relation_dataset, run_trial
from bioutils.training.transfer import side_by_side, transfer_trial

SETTINGS = TrainingSettings(
    epochs=15, learning_rate=2e-3, batch_size=8, max_length=24, patience=0, precision="fp32", warmup=0
)


def tiny_task(n: int = 48, labels=("binds", "grows")) -> Task:
    """Two entities and a word between them that tells the relation; four examples a group."""
    found = []
    for i in range(n):
        word = ("binds", "growth")[i % 2]
        text = f"the cell {word} a zinc " + "number " * (i % 3)
        end = 9 + len(word) + 3
        spans = Span("T1", "A", ((4, 8),), "cell"), Span("T2", "B", ((end, end + 4),), "zinc")
        if i % 4 > 1:
            spans = spans[::-1]
        found.append(Example(f"e{i}", f"g{i // 4}", text, *spans, labels[i % 2]))
    numbers = np.array([i % 2 for i in range(n)])
    corpus = RelationCorpus("tiny", "brat", {}, tuple(labels))
    return Task(corpus, found, np.array(["all"] * n), numbers, np.array([e.group for e in found]))


@pytest.fixture(scope="module")
def task():
    return tiny_task()


def test_grouped_folds_test_each_row_once_and_split_no_group(task):
    folds = make_folds(task, folds=4, seed=1)
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(48))
    for fold in folds:
        sides = [set(task.groups[rows]) for rows in fold]
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]
        assert len(fold.train) + len(fold.validation) + len(fold.test) == 48
    again = make_folds(task, folds=4, seed=1)
    assert all((a.test == b.test).all() for a, b in zip(folds, again, strict=True))
    assert len(make_folds(task, folds=1)) == 1


def test_published_folds_are_contiguous_or_the_corpus_own(task):
    folds = make_folds(task, protocol="published", folds=3)
    assert [f.test.tolist() for f in folds] == [list(range(0, 16)), list(range(16, 32)), list(range(32, 48))]
    parts = np.array(["train"] * 32 + ["validation"] * 8 + ["test"] * 8)
    (fold,) = make_folds(replace(task, parts=parts), protocol="published")
    assert [len(rows) for rows in fold] == [32, 8, 8]
    parts[32:40] = "train"
    (fold,) = make_folds(replace(task, parts=parts), protocol="published")
    assert len(fold.test) == 8
    assert 0 < len(fold.validation) < 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"protocol": "usual"}, "Expected protocol to be a known one"),
        ({"folds": 13}, "Expected folds to be 2 to 12, the documents there are, found 13"),
        ({"folds": 0}, "Expected folds to be 1 or more"),
        ({"folds": 99, "protocol": "published"}, "Expected folds to be 2 to 48"),
    ],
)
def test_wrong_folds(call, message, task):
    with pytest.raises(UsageError, match=message):
        make_folds(task, **call)


@pytest.mark.parametrize(
    ("strategy", "head", "marking"),
    [("fine-tuned", "CNN_seg", "markers"), ("fine-tuned", "MLP", "enclose"), ("fine-tuned", "CNN", "mask"),
     ("fine-tuned", "entities", "markers"), ("frozen", "CNN_RNN", "enclose"), ("frozen", "entities", "none"),
     ("frozen", "CNN_seg", "none")],
)  # fmt: skip
def test_heads_learn_a_word_between_two_entities(strategy, head, marking, encoder_dir, tmp_path):
    task = tiny_task(144)  # so many that the validation rows choose an epoch, and not luck
    folds = make_folds(task, folds=1)
    settings = replace(SETTINGS, epochs={"entities": 30, "CNN_RNN": 6}.get(head, SETTINGS.epochs), seed=1)
    trial = run_trial(
        task, folds, strategy=strategy, head=head, marking=marking, encoder=str(encoder_dir), settings=settings,
        out=tmp_path, progress=False,
    )  # fmt: skip
    assert trial.probabilities.shape == (len(folds[0].test), 2)
    assert np.allclose(trial.probabilities.sum(1), 1)
    # The word between reaches the entities' own vectors only through the tiny encoder's one layer of attention.
    wanted = 0.7 if head == "entities" else 0.9
    assert trial_report(task, trial).metrics["accuracy"] >= wanted
    assert len(trial.history) == settings.epochs
    assert not list(tmp_path.rglob("*.safetensors")), "no model is kept unasked"


def test_a_kept_model_gives_the_same_answers_in_any_batch(task, encoder_dir, tmp_path):
    (fold,) = make_folds(task, folds=1)
    trial = run_trial(
        task, [fold], strategy="fine-tuned", head="CNN_seg", marking="markers", encoder=str(encoder_dir), settings=SETTINGS,
        out=tmp_path, keep_model=True, progress=False,
    )  # fmt: skip
    loaded = load_model(tmp_path / "fold-0" / "model")
    assert loaded.labels == ["binds", "grows"]
    assert loaded.notes["marking"] == "markers"
    inputs = relation_inputs(task.examples, loaded.tokenizer, marking="markers", max_length=24)
    data = relation_dataset(task, inputs).select(fold.test)
    together = logits_on(loaded.model, loaded.tokenizer, data)
    assert (together.argmax(1) == trial.probabilities.argmax(1)).all()
    alone = np.concatenate([logits_on(loaded.model, loaded.tokenizer, data.select([i])) for i in range(len(data))])
    assert np.allclose(together, alone, atol=0.05 if torch.backends.mkldnn.is_available() else 1e-4)


def test_repeats_differ_by_their_seed_alone(task, encoder_dir, tmp_path):
    folds = make_folds(task, folds=1)
    call = {
        "strategy": "frozen",
        "head": "CNN",
        "marking": "none",
        "encoder": str(encoder_dir),
        "out": tmp_path,
        "progress": False,
    }
    short = replace(SETTINGS, epochs=2)
    one, same, other = (run_trial(task, folds, settings=replace(short, seed=s), **call) for s in (0, 0, 1))
    assert np.array_equal(one.probabilities, same.probabilities)
    assert not np.array_equal(one.probabilities, other.probabilities)


def test_the_cache_tells_markings_apart(task, encoder_dir, tmp_path):
    folds = make_folds(task, folds=1)
    for marking in ("none", "enclose", "enclose"):
        run_trial(
            task, folds, strategy="frozen", head="entities", marking=marking, encoder=str(encoder_dir),
            settings=replace(SETTINGS, epochs=1), out=tmp_path, progress=False,
        )  # fmt: skip
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"strategy": "melted"}, "Expected strategy to be a known one"),
        ({"head": "RNN"}, "Expected head to be one for a fine-tuned encoder, found 'RNN'"),
        ({"strategy": "frozen", "marking": "markers"}, "Expected marking to be one a frozen encoder has words for"),
        ({"marking": "bold"}, "Expected marking to be a known one"),
    ],
)
def test_wrong_calls(call, message, task, encoder_dir, tmp_path):
    usual = {
        "strategy": "fine-tuned",
        "head": "entities",
        "marking": "none",
        "encoder": str(encoder_dir),
        "out": tmp_path,
    }
    with pytest.raises(UsageError, match=message):
        run_trial(task, make_folds(task, folds=1), settings=SETTINGS, progress=False, **(usual | call))


def test_every_architecture_has_a_module_and_its_earlier_form():
    for strategy, head in ARCHITECTURES:
        name, options = architecture(strategy, head)
        earlier = architecture(strategy, head, faithful=True)[1]
        assert name
        assert set(options) <= set(earlier)
    assert architecture("fine-tuned", "CNN_seg", faithful=True)[1]["bounded"] is True
    assert "bounded" not in architecture("fine-tuned", "CNN_seg")[1]


def test_the_baseline_reads_the_words_between(task):
    trial = baseline_trial(task, make_folds(task, folds=4))
    assert trial_report(task, trial).metrics["accuracy"] == 1
    rare = replace(task, labels=np.where(np.arange(48) == 0, 1, task.labels))
    assert baseline_trial(rare, make_folds(task, folds=4)).probabilities.shape == (48, 2)


def test_files_and_tables_of_trials(task, tmp_path):
    folds = make_folds(task, folds=4)
    trials = [baseline_trial(task, folds, seed=seed) for seed in (0, 1)]
    table = predictions_table(task, {"words": trials})
    assert len(table) == 96
    assert set(table.columns) == {"method", "seed", "fold", "row", "id", "true", "predicted", "confidence"}
    paths = write_trials(tmp_path, "x", task, trials)
    (res,) = (p for p in paths if p.suffix == ".res")
    assert read_res(res).shape == (2, 3)
    assert (read_pred(res.with_suffix(".pred"))[0].truth == task.labels).all(), "in the order of the examples"


def test_make_task_numbers_the_labels_and_adds_what_is_no_relation():
    names = make_task(read_relations("chemprot", sample=True))
    assert [names.names[n] for n in names.labels[:5]] == [e.label for e in names.examples[:5]]
    groups = make_task(read_relations("chemprot", sample=True, labels="groups"))
    assert (groups.labels > 0).sum() == len(names.examples)
    assert (groups.labels == 0).sum() > 200
    ends = {frozenset((e.first.type, e.second.type)) for e in groups.examples}
    assert all("CHEMICAL" in pair and len(pair) == 2 for pair in ends)


def test_nothing_to_learn_from():
    with pytest.raises(UsageError, match="has no relation to learn from"):
        make_task(RelationCorpus("pgxcorpus", "brat", {"all": []}, ("a",)))


@pytest.mark.parametrize("way", ["sequential", "mixed"])
def test_transfer_between_corpora(way, encoder_dir, tmp_path):
    source, task = tiny_task(48, labels=("a", "b")), tiny_task(144)
    folds = make_folds(task, folds=1)
    trial = transfer_trial(
        source, task, folds, way=way, head="CNN_seg", marking="markers", encoder=str(encoder_dir),
        settings=replace(SETTINGS, epochs=25), out=tmp_path, progress=False,
    )  # fmt: skip
    assert (trial.rows == folds[0].test).all()
    assert trial.probabilities.shape == (len(trial.rows), 2)
    assert np.allclose(trial.probabilities.sum(1), 1)
    assert trial_report(task, trial).metrics["accuracy"] >= 0.9


def test_transfer_names_and_wrong_ways(task, encoder_dir, tmp_path):
    both = side_by_side(tiny_task(8, labels=("a", "b")), task)
    assert both.names == ["tiny: a", "tiny: b", "tiny: binds", "tiny: grows"]
    assert both.labels[8:].min() == 2
    with pytest.raises(UsageError, match="Expected way to be a known one"):
        transfer_trial(task, task, [], way="guess", head="MLP", marking="none", encoder=str(encoder_dir), out=tmp_path)


def test_markers_get_vectors_of_their_own(encoder_dir, task):
    from bioutils.training.relations import new_relation_model

    n = len(load_tokenizer(str(encoder_dir)))
    made = [
        new_relation_model(["a", "b"], n + 4, encoder=str(encoder_dir), head="MLP", options={}, seed=s)
        for s in (0, 0, 1)
    ]
    weights = [m.encoder.get_input_embeddings().weight.detach()[n:] for m in made]
    assert weights[0].shape[0] == 4
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
