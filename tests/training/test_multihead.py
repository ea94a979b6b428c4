import json
from dataclasses import replace
from itertools import combinations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch

from bioutils import annotators
from bioutils.annotation_inputs import mark
from bioutils.annotators import (
    annotate,
    annotator_facts,
    attributes_in,
    groups_of,
    link_tags,
    load_annotator,
    roles_in,
    save_annotator,
)
from bioutils.corpora import project_data
from bioutils.corpora.mae import read_mae
from bioutils.corpora.records import Document, Link, check_documents
from bioutils.device import autocast
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import DataError, UsageError
from bioutils.heads.multihead import HeadSet, HeadSpec, LinkHead
from bioutils.pair_inputs import link_pairs
from bioutils.training.arguments import TrainingSettings
from bioutils.training.multihead import frozen_vectors, train
from bioutils.training.multihead_folds import (
    Fold,
    as_annotator,
    final_epochs,
    fold_ranges,
    joint_scores,
    link_scores,
    make_folds,
    mean_course,
    run_folds,
    unseen_labels,
    without_test,
)
from bioutils.training.multihead_scores import count, label_table, mean_losses
from bioutils.training.multihead_tasks import make_task, outputs
from bioutils.training.results import save_whole
from bioutils.unit_vectors import UnitVectors

SPECS = (
    HeadSpec(name="category", kind="single_label", layer="category"),
    HeadSpec(name="effect", kind="multi_label", layer="EFFECT"),
    HeadSpec(name="context", kind="crf", layer="CONTEXT", scheme="BIO"),
    HeadSpec(name="phenotype", kind="single_label", layer="PHENOTYPE", scheme="BIOES"),
    HeadSpec(name="link", kind="link", layer="link_only"),
)
FEW = TrainingSettings(
    epochs=3, learning_rate=5e-3, batch_size=4, warmup=0.0, max_length=64, patience=0, precision="fp32"
)


@pytest.fixture(scope="module")
def documents():
    return read_mae(project_data() / "sample" / "mae" / "anna")[:16]


@pytest.fixture(scope="module")
def task(documents):
    return make_task(documents, SPECS)


@pytest.fixture(scope="module")
def vectors(task, encoder_dir):
    return frozen_vectors(task, encoder=str(encoder_dir), max_length=64)


def test_a_text_of_any_length_is_read_whole(task, encoder_dir, vectors):
    assert [len(v) for v in vectors] == [len(m.places) for m in task.documents]
    model, tokenizer = load_encoder(str(encoder_dir)), load_tokenizer(str(encoder_dir))
    assert max(len(tokenizer(m.document.text)["input_ids"]) for m in task.documents) > 64
    short = [make_task([Document("d", "p53 binds Akt in cells.")], ()).documents[0]]
    [found] = UnitVectors(model, tokenizer, short, max_length=64).all()
    encoded = tokenizer(short[0].units, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad(), autocast():
        hidden = model(**encoded).last_hidden_state[0]
    first = [encoded.word_ids(0).index(i) for i in range(len(short[0].units))]
    assert torch.allclose(found, hidden[first].float(), atol=1e-5)


def test_where_nobody_linked_no_link_is_asked_for(documents, encoder_dir):
    few = [documents[0], replace(documents[1], links=()), documents[2]]
    specs = (SPECS[-1], HeadSpec(name="tag", kind="link", layer="link_same_tag_only"))
    task = make_task(few, specs)
    assert task.not_asked == 1
    assert [len(p.units) > 0 for p in task.targets["link"]] == [True, False, True]
    assert all(len(p.units) for p in task.targets["tag"])  # units of one tag are known all the same
    train(task, [0, 1], [1, 2], encoder=str(encoder_dir), settings=FEW)


@pytest.mark.parametrize("frozen", [True, False])
def test_training_lowers_every_loss_and_scores_every_head(task, encoder_dir, vectors, frozen):
    done = train(
        task,
        range(12),
        range(12, 16),
        encoder=str(encoder_dir),
        frozen=frozen,
        settings=FEW,
        vectors=vectors if frozen else None,
    )
    history = done.history
    assert set(history["head"]) == {spec.name for spec in SPECS}
    assert history["epoch"].max() == 3
    course = history.pivot(index="epoch", columns="head", values="train_loss")
    assert (course.iloc[-1] < course.iloc[0]).all()
    assert history[["precision", "recall", "f1", "accuracy"]].stack().between(0, 1).all()
    assert history.loc[history["head"] == "category", "span_f1"].between(0, 1).all()
    assert (done.encoder is None) == frozen
    by_epoch = history.groupby("epoch")["f1"].mean()
    assert done.best_epoch == by_epoch.idxmax()
    losses = history.pivot(index="epoch", columns="head", values="loss")  # on the validation abstracts, without dropout
    assert (losses.iloc[-1] < losses.iloc[0])[["category", "link"]].all()


def test_scores_label_by_label_add_up(task, encoder_dir, vectors):
    done = train(task, range(12), range(12, 16), encoder=str(encoder_dir), settings=FEW, vectors=vectors)
    counts = count(task, range(12, 16), done.heads, vectors)
    table = label_table(counts)
    assert table.equals(done.labels.drop(columns="part"))
    best = done.history[done.history["epoch"] == done.best_epoch].set_index("head")
    for name, head in counts.items():
        for what in ("right", "found_wrongly", "missed"):
            assert sum(getattr(c, what) for c in head.labels.values()) == getattr(head.total, what)
        assert best.loc[name, "f1"] == head.scores["f1"]
    words = sum(len(np.unique(task.documents[i].words[task.targets["category"][i] > 0])) for i in range(12, 16))
    assert table.loc[table["head"] == "category", "support"].sum() == words
    losses = mean_losses(task, range(12, 16), done.heads, vectors)
    assert best.loc["link", "loss"] == pytest.approx(losses["link"])
    assert np.isnan(mean_losses(task, [], done.heads, vectors)["category"])


@pytest.mark.parametrize("frozen", [True, False])
def test_the_moving_average_of_the_weights_is_what_is_scored_and_kept(task, encoder_dir, vectors, frozen):
    """Against averages taken by hand from runs that stop after one, two and three steps."""
    rows, options = range(4), {"encoder": str(encoder_dir), "frozen": frozen, "last": True}
    options |= {"vectors": vectors if frozen else None, "dropout": 0.0}
    settings = replace(FEW, batch_size=4, learning_rate=1e-2)  # one step an epoch
    weights = []

    class Watched(torch.optim.AdamW):
        def step(self, *args, **kwargs):
            super().step(*args, **kwargs)
            weights.append(self.param_groups[-1]["params"][0].detach().clone())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Watched)
        done = train(task, rows, rows, settings=settings, average=0.5, **options)
    expected = 0.5 * (0.5 * weights[0] + 0.5 * weights[1]) + 0.5 * weights[2]
    kept = [p for module in (done.heads, done.encoder) if module is not None for p in module.parameters()]
    assert any(p.shape == expected.shape and torch.allclose(p, expected, atol=1e-6) for p in kept)
    assert not any(p.shape == expected.shape and torch.allclose(p, weights[2], atol=1e-6) for p in kept)
    last = done.history.query("epoch == 3 and part == 'validation'").set_index("head")["f1"]
    read = vectors if frozen else UnitVectors(
        done.encoder, load_tokenizer(str(encoder_dir)), task.documents, max_length=settings.max_length
    ).all()  # fmt: skip
    assert {name: c.scores["f1"] for name, c in count(task, rows, done.heads, read).items()} == last.to_dict()


def test_frozen_parts_of_an_encoder_do_not_learn(task, encoder_dir):
    before = load_encoder(str(encoder_dir)).state_dict()
    for freeze, still in ((1, "embeddings."), (0, None)):
        done = train(task, range(4), range(4), encoder=str(encoder_dir), frozen=False, settings=FEW, freeze=freeze)
        after = done.encoder.state_dict()
        moved = {name.split(".")[0] for name, weight in after.items() if not torch.equal(weight, before[name])}
        assert ("embeddings" in moved) == (still is None)
        assert "encoder" in moved


def test_an_average_out_of_range_is_refused(task, encoder_dir, vectors):
    with pytest.raises(UsageError, match="Expected average to be 0 .none. or a share below 1, found 1.0"):
        train(task, [0], [1], encoder=str(encoder_dir), vectors=vectors, settings=FEW, average=1.0)


def test_the_same_seed_gives_the_same_heads(task, encoder_dir, vectors):
    found = [
        train(task, range(12), range(12, 16), encoder=str(encoder_dir), settings=replace(FEW, seed=s), vectors=vectors)
        for s in (1, 1, 2)
    ]
    first, again, other = (done.heads.state_dict() for done in found)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)
    with pytest.raises(UsageError, match="balance"):
        train(task, range(12), range(12, 16), encoder=str(encoder_dir), balance=2, vectors=vectors)


def test_folds_keep_abstracts_apart_and_their_own_scores(task, encoder_dir, vectors):
    folds = make_folds(task, folds=3, seed=0)
    groups = task.groups
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(16))
    for fold in folds:
        parts = [set(groups[rows]) for rows in (fold.train, fold.validation, fold.test)]
        assert len(set.union(*parts)) == sum(map(len, parts)) == 16
    seen = []
    found = run_folds(
        task, folds, encoder=str(encoder_dir), settings=FEW, vectors=vectors, progress=False,
        after=lambda fold, done: seen.append((fold, done.best_epoch)),
    )  # fmt: skip
    assert seen == list(zip(folds, found.epochs, strict=True))
    assert len(found.scores) == 3 * len(SPECS)
    for number, epoch in enumerate(found.epochs):
        rows = found.history[(found.history["fold"] == number) & (found.history["part"] == "validation")]
        assert epoch == rows.groupby("epoch")["f1"].mean().idxmax()  # chosen without the test part
    table = found.table()
    assert table.loc["mean", "mean"] == pytest.approx(found.scores["f1"].mean())
    assert table.loc["category", "std"] == pytest.approx(found.scores[found.scores["head"] == "category"]["f1"].std())
    assert table.loc["mean", "peeked"] >= 0
    assert final_epochs(found) in range(1, 4)
    assert found.unseen  # few abstracts: rare labels stand in one fold alone, and that is said
    with pytest.raises(UsageError, match="folds"):
        make_folds(task, folds=17)
    fixed = run_folds(
        task, folds, encoder=str(encoder_dir), settings=FEW, vectors=vectors, progress=False, choose=False
    )
    assert fixed.epochs == (3, 3, 3)
    first = fixed.history[(fixed.history["fold"] == 0) & (fixed.history["epoch"] == 1)]
    assert first["train_loss"].tolist() != found.history.loc[first.index, "train_loss"].tolist()  # on more abstracts


def test_few_abstracts_are_told_from_few_folds(documents):
    tasks = [make_task(documents[:n], SPECS[:1]) for n in range(5)[1:]]
    for task, folds, told in (
        (tasks[0], 2, "Expected folds to be of 3 abstracts or more: .*, found 1."),
        (tasks[1], 2, "of 3 abstracts or more: .*, found 2."),
        (tasks[2], 2, "Expected folds to be enough to leave 2 of the 3 abstracts .*, found 2. Give 3 folds"),
        (tasks[2], 4, "Expected folds to be 2 to 3, the abstracts there are, found 4."),
    ):
        with pytest.raises(UsageError, match=told):
            make_folds(task, folds=folds)
    assert [[len(part) for part in (f.train, f.validation, f.test)] for f in make_folds(tasks[2], folds=3)] == [
        [1, 1, 1]
    ] * 3
    assert [len(f.test) for f in make_folds(tasks[3], folds=2)] == [2, 2]
    for task, held in ((tasks[1], 1), (tasks[2], 1)):
        rows, validation = without_test(task, validation=0.1)
        assert len(validation) == held
        assert sorted([*rows, *validation]) == list(range(len(task.documents)))
    with pytest.raises(UsageError, match="Expected documents to be of 2 abstracts or more: .*, found 1."):
        without_test(tasks[0])


def test_without_folds_the_first_of_as_many_as_the_share_chooses(documents):
    task = make_task(documents, SPECS)
    rows, validation = without_test(task, validation=0.25, seed=3)
    assert validation.tolist() == make_folds(task, folds=4, seed=3)[0].test.tolist()
    assert sorted([*rows, *validation]) == list(range(len(documents)))


def test_a_head_that_a_fold_asks_nothing_has_no_score_there(documents, encoder_dir):
    few = [d if i in (0, 1) else replace(d, links=()) for i, d in enumerate(documents[:6])]
    task = make_task(few, (SPECS[0], SPECS[-1]))
    folds = [Fold(*map(np.array, rows)) for rows in (([0, 2], [3], [4, 5]), ([4, 5], [3, 0], [1, 2]))]
    found = run_folds(task, folds, encoder=str(encoder_dir), settings=FEW, progress=False)
    scores = found.scores.set_index(["fold", "head"])[["precision", "recall", "f1", "accuracy"]]
    assert scores.loc[(0, "link")].isna().all()
    assert scores.drop((0, "link")).notna().all(axis=None)
    assert found.not_asked == {"link": 1}
    table, link = found.table(), found.history.query("part == 'test' and head == 'link' and fold == 1")
    assert table.loc["link", "mean"] == scores.loc[(1, "link"), "f1"]  # not half of it
    assert table.loc["mean", "mean"] == pytest.approx(table.loc[["category", "link"], "mean"].mean())
    course = mean_course(found.history, "test")
    assert len(course) == 3  # the epochs stay
    assert course["link"].tolist() == link["f1"].tolist()
    assert found.unseen["link: link"] == 1  # fold 1 tests links and trains on documents that have none
    assert "link: link" not in unseen_labels(task, folds, choose=False)  # then document 0 is trained on too


def test_ranges_over_folds():
    scores = pd.DataFrame({"fold": [0, 0, 1, 1], "head": ["a", "b", "a", "b"], "f1": [0.2, 0.9, 0.4, np.nan]})
    assert fold_ranges(scores) == pytest.approx(
        {"a": 0.3, "a_low": 0.2, "a_high": 0.4, "b": 0.9, "b_low": 0.9, "b_high": 0.9}
    )


def test_a_mean_over_folds_skips_epochs_that_one_did_not_reach_and_no_others():
    rows = [(1, 0, 0.5), (2, 0, float("nan")), (3, 0, 0.9), (1, 1, 0.7), (2, 1, 0.3)]
    history = pd.DataFrame(rows, columns=["epoch", "fold", "f1"]).assign(part="test", head="a")
    assert mean_course(history, "test")["a"].to_dict() == pytest.approx({1: 0.6, 2: 0.3})


def test_the_epoch_is_chosen_by_the_heads_that_validation_asks(documents, encoder_dir):
    task = make_task([d if i < 4 else replace(d, links=()) for i, d in enumerate(documents[:8])], (SPECS[0], SPECS[-1]))
    done = train(task, range(4), range(4, 8), encoder=str(encoder_dir), settings=FEW)
    by_head = done.history.pivot(index="epoch", columns="head", values="f1")
    assert by_head["link"].isna().all()
    assert done.history.loc[done.history["head"] == "link", "loss"].isna().all()  # not a loss of 0
    assert done.best_epoch == by_head["category"].idxmax()


def test_from_text_to_links_and_back_from_a_folder(task, documents, encoder_dir, vectors, tmp_path):
    done = train(
        task,
        range(16),
        range(16),
        encoder=str(encoder_dir),
        settings=replace(FEW, epochs=6),
        vectors=vectors,
        balance=1.0,
    )
    annotator = as_annotator(task, done, encoder=str(encoder_dir), max_length=64)
    assert annotator.roles == roles_in(documents)
    assert annotator.attributes == attributes_in(documents)
    found = annotate(documents[:4], annotator)
    check_documents(found, source="here")  # offsets, ids and links are sound
    assert [d.text for d in found] == [d.text for d in documents[:4]]
    assert any(d.spans for d in found)
    for document in found:
        types = {span.id: span.type for span in document.spans}
        for link in document.links:
            assert len({types[target] for _, target in link.members}) == len(link.members) > 1
            assert all(role == annotator.roles[types[target]] for role, target in link.members)
    facts = annotator_facts(annotator, encoder=str(encoder_dir))
    folder = save_whole(tmp_path / "model", facts, save_annotator(annotator, trained_encoder=False))
    assert load_annotator(folder).threshold == annotator.threshold
    assert annotate(documents[:4], load_annotator(folder)) == found
    assert annotate(documents[:4], annotator, threshold=annotator.threshold) == found
    scores, again = joint_scores(documents[:4], annotator, load_annotator(folder))
    assert again == found
    assert set(scores) == {"entities", "pairs", "links", "pairs_given_tags", "links_given_tags"}
    assert scores["links"]["f1"] <= scores["pairs"]["f1"] or scores["pairs"]["f1"] == 0
    assert annotate([Document("e", "")], annotator) == [Document("e", "")]


def test_links_on_gold_tags_are_scored_by_hand(documents, encoder_dir, vectors, monkeypatch):
    task = make_task(documents, SPECS)
    settings = replace(FEW, epochs=1)
    done = train(task, range(8), range(8, 12), encoder=str(encoder_dir), settings=settings, vectors=vectors)
    annotator = as_annotator(task, done, encoder=str(encoder_dir), max_length=64)
    two = [d for d in documents if len(d.spans) > 1]
    gold = [link_pairs(mark(d), "link_only", ["link"]).joined.astype(float) for d in two]

    def answers(joined):
        found = iter(joined)
        monkeypatch.setattr(LinkHead, "probabilities", lambda head, vectors, pairs: next(found))

    answers(gold)
    linked = link_tags(documents, annotator)
    assert [d.spans for d in linked] == [d.spans for d in documents], "tags stay as they are"
    assert [d.remarks for d in linked] == [d.remarks for d in documents]
    answers(gold)
    scores = link_scores(documents, annotator)
    assert set(scores) == {"pairs_given_tags", "links_given_tags"}
    assert scores["pairs_given_tags"]["f1"] == scores["links_given_tags"]["f1"] == 1
    first = next(i for i, d in enumerate(two) if d.links)
    answers([matrix * (i != first) for i, matrix in enumerate(gold)])
    n, lost = sum(len(d.links) for d in documents), len(two[first].links)
    found = link_scores(documents, annotator)["links_given_tags"]
    assert found["precision"] == 1
    assert found["recall"] == pytest.approx((n - lost) / n)


def test_the_threshold_of_links_is_the_best_of_known_abstracts(documents, encoder_dir, vectors, monkeypatch):
    task = make_task(documents, SPECS)
    settings = replace(FEW, epochs=1)
    done = train(task, range(8), range(8, 12), encoder=str(encoder_dir), settings=settings, vectors=vectors)
    whole, asked = {d.text: d for d in documents}, set()

    def links(linker, name, marked, vectors, threshold):
        """Right between 0.2 and 0.45, elsewhere none."""
        threshold = linker.threshold if threshold is None else threshold
        asked.add(marked.document.text)
        return whole[marked.document.text] if 0.2 < threshold < 0.45 else marked.document

    monkeypatch.setattr(annotators, "_links", links)
    annotator = as_annotator(task, done, encoder=str(encoder_dir), max_length=64)
    assert annotator.threshold == 0.4, "of those that are equal the one nearest to a half"
    known = {d.text for d in documents if d.group in done.groups and d.links}
    assert asked == known, "no abstract that was held out of training"
    assert link_scores(documents, annotator)["links_given_tags"]["f1"] == 1
    assert link_scores(documents, annotator, threshold=0.5)["links_given_tags"]["f1"] == 0


def test_groups_bring_a_tag_each_and_leave_none_out():
    def groups(*edges):
        graph = nx.Graph()
        graph.add_weighted_edges_from(edges, weight="chance")
        return groups_of(graph)

    assert groups() == []
    assert groups((0, 2, 0.6), (1, 2, 0.9)) == [[0, 2], [1, 2]], "one effect of two causes"
    three = [(0, 1, 0.6), (0, 2, 0.6), (1, 2, 0.6)]
    assert groups(*three, (2, 3, 0.99)) == [[0, 1, 2], [2, 3]], "large ones first"
    assert groups((0, 2, 0.7), (1, 2, 0.7), (1, 3, 0.9), (0, 3, 0.7)) == [[0, 2], [1, 3]], "then sure ones"
    rng = np.random.default_rng(0)
    for _ in range(30):
        edges = [(a, b, rng.random()) for a in range(7) for b in range(a) if rng.random() < 0.5]
        found = groups(*edges)
        assert {tag for group in found for tag in group} == {tag for a, b, _ in edges for tag in (a, b)}
        joined = {frozenset((a, b)) for a, b, _ in edges}
        assert all(frozenset(pair) in joined for group in found for pair in combinations(group, 2))
        assert groups(*edges[::-1]) == found, "whatever the order"


def test_a_model_without_links_says_so(documents, encoder_dir, vectors):
    task = make_task(documents, SPECS[:1])
    settings = replace(FEW, epochs=1)
    done = train(task, range(4), range(4, 8), encoder=str(encoder_dir), settings=settings, vectors=vectors)
    annotator = as_annotator(task, done, encoder=str(encoder_dir), max_length=64)
    assert set(joint_scores(documents[:2], annotator)[0]) == {"entities", "pairs", "links"}
    with pytest.raises(UsageError, match="no head that finds links"):
        link_tags(documents[:2], annotator)


MORE = (
    *SPECS,
    HeadSpec(name="letters", kind="multi_label", layer="EFFECT", scheme="BIO"),
    HeadSpec(name="split", kind="link", layer="link_same_tag_and_link_split"),
)


def test_labels_that_the_model_does_not_know_count_as_missed(documents, encoder_dir, vectors):
    whole = make_task(documents, MORE)
    rows = range(len(documents))
    full = count(whole, rows, HeadSet(whole.specs, vectors[0].shape[1], outputs(whole)), vectors)
    support = {n: {k: c.right + c.missed for k, c in head.labels.items()} for n, head in full.items()}
    lost = {n: max(support[n], key=support[n].get) for n in support if n != "link"}  # the one label that link has
    known = {n: tuple(x for x in labels if x != lost.get(n)) for n, labels in whole.labels.items()}
    task = make_task(documents, MORE, labels=known)
    assert task.labels == {n: (*known[n], lost[n]) if n in lost else known[n] for n in known}
    few = replace(task, labels=known)  # a model's heads, which have outputs for the known labels alone
    torch.manual_seed(0)
    heads = HeadSet(few.specs, vectors[0].shape[1], outputs(few))
    found = count(task, rows, heads, vectors)
    for name, label in lost.items():
        counts = found[name].labels[label]
        assert counts.right == counts.found_wrongly == 0
        assert counts.missed == support[name][label] > 0
        gold = [c.total.right + c.total.missed for c in (found[name], full[name])]
        assert gold[0] == gold[1]  # what is there is the same, whether the model knows it or not
    alone = make_task(documents, MORE[:1], labels={"category": ("NOWHERE",)})
    assert alone.labels["category"] == ("NOWHERE", *whole.labels["category"])


@pytest.mark.parametrize("scheme", ["none", "BIO"])
def test_heads_of_many_labels_annotate_too(documents, encoder_dir, vectors, scheme):
    specs = [HeadSpec(name=n, kind="multi_label", layer=n, scheme=scheme) for n in ("category", "EFFECT")]
    task = make_task(documents, specs)
    settings = replace(FEW, epochs=30, learning_rate=2e-2)
    options = {"settings": settings, "vectors": vectors, "balance": 1.0, "last": True}
    done = train(task, range(16), range(16), encoder=str(encoder_dir), **options)
    annotator = as_annotator(task, done, encoder=str(encoder_dir), max_length=64)
    assert annotator.head("category") == "category"
    found = annotate(documents, annotator)
    check_documents(found, source="here")
    labels = task.labels["category"]
    for document, marked, read in zip(found, task.documents, vectors, strict=True):
        with torch.no_grad():
            on = done.heads.heads["category"](read).reshape(len(read), len(labels), -1).amax(2) > 0
        there = np.zeros((len(read), len(labels)), dtype=bool)
        for span in document.spans:
            inside = (marked.places[:, 0] >= span.start) & (marked.places[:, 1] <= span.end)
            assert not there[inside, labels.index(span.type)].any()
            there[inside, labels.index(span.type)] = True
        assert np.array_equal(there, on.numpy())  # each label's runs, whatever else is on the units
    values = {r.value for d in found for r in d.remarks if r.type == "effect"}
    assert values
    assert values <= set(task.labels["EFFECT"])
    assert all(0.5 <= float(r.value) <= 1 for d in found for r in d.remarks if r.type == "score")
    scores, _ = joint_scores(documents, annotator)
    assert scores["entities"]["f1"] > 0


def test_a_tagger_without_categories_says_what_it_needs(documents, encoder_dir, vectors):
    task = make_task(documents, SPECS[1:])
    done = train(
        task, range(4), range(4, 8), encoder=str(encoder_dir), settings=replace(FEW, epochs=1), vectors=vectors
    )
    with pytest.raises(
        UsageError, match="no head for categories .layer: category, of kind single_label, crf or multi_label"
    ):
        annotate(documents, as_annotator(task, done, encoder=str(encoder_dir), max_length=64))


def test_folders_that_hold_no_annotator(tmp_path, task, encoder_dir, vectors):
    with pytest.raises(UsageError, match=r"heads\.safetensors"):
        load_annotator(tmp_path)
    done = train(
        task, range(4), range(4, 8), encoder=str(encoder_dir), settings=replace(FEW, epochs=1), vectors=vectors
    )
    annotator = as_annotator(task, done, encoder=str(encoder_dir), max_length=64)
    facts = annotator_facts(annotator, encoder=str(encoder_dir))
    folder = save_whole(tmp_path / "model", facts | {"width": 7}, save_annotator(annotator, trained_encoder=False))
    with pytest.raises(DataError, match="heads cannot be used"):
        load_annotator(folder)
    json.loads((folder / "bioutils.json").read_text())


def test_heads_that_the_documents_have_nothing_for():
    with pytest.raises(UsageError, match="one with labels"):
        make_task([Document("d", "Nothing here.")], SPECS)
    told = (
        "Expected head link to be given documents that join units .*link_only.*, found 'none in 1'. Leave the head out"
    )
    with pytest.raises(UsageError, match=told):
        make_task([Document("d", "Nothing here.")], [SPECS[4]])
    only = make_task([Document("d", "Nothing here.")], [SPECS[4]], labels={"link": ("link",)})  # a test, not training
    assert only.targets["link"][0][0].shape == (0,)


def test_links_of_links_are_refused_before_anything_is_trained(documents):
    link = documents[0].links[0]
    nested = replace(documents[0], links=(*documents[0].links, Link("up", "LINK", (("a", link.id), link.members[0]))))
    told = rf"Expected head link .*found 1 with other members, such as links .{documents[0].id}: up."
    with pytest.raises(UsageError, match=told):
        make_task([nested, documents[1]], [SPECS[4]])
    make_task([nested, documents[1]], [SPECS[0], HeadSpec(name="tag", kind="link", layer="link_same_tag_only")])


def test_tags_may_teach_what_links_are_not_there_for(documents):
    unlinked = [replace(d, links=()) for d in documents[:4]]
    for layer, there in (("link_same_tag_only", True), ("link_all", False), ("link_same_tag_and_link", False)):
        specs = [HeadSpec(name="l", kind="link", layer=layer)]
        if there:
            assert any(p.joined.any() for p in make_task(unlinked, specs).targets["l"])
        else:
            with pytest.raises(UsageError, match=f"Expected head l .*{layer}"):
                make_task(unlinked, specs)
