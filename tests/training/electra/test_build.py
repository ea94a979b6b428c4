import errno
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from bioutils.errors import BioutilsError, DataError, UsageError
from bioutils.files import read_json
from bioutils.training.electra import shards
from bioutils.training.electra.build import build, report_text
from bioutils.training.electra.commands import main
from bioutils.training.electra.pretrain import pretrain
from bioutils.training.electra.shards import Examples, packed, paired
from bioutils.training.electra.vocabulary import learn_vocabulary, make_tokenizer, pieces_a_word, save_tokenizer

from .conftest import write_text

IDS = {"cls": 2, "sep": 3, "pad": 0, "seed": 0}
OPTIONS = {"size": 200, "length": 32, "validation": 0.2, "progress": False}


def test_the_vocabulary_is_the_same_each_time_and_reads_its_own_words(tmp_path):
    text = (write_text(tmp_path / "a.txt").read_text() + "Ünïque naïve CAFÉ café café").split("\n")
    first, again = (learn_vocabulary(text, size=250) for _ in range(2))
    assert first.get_vocab() == again.get_vocab()
    assert [first.convert_ids_to_tokens(i) for i in range(5)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert first.tokenize("p53 nucleus") == ["p53", "nucleus"]
    assert first.tokenize("CAFÉ") == first.tokenize("cafe")
    kept = learn_vocabulary(text, size=150, lower_case=False, strip_accents=False)
    assert kept.tokenize("CAFÉ") != kept.tokenize("café")
    assert pieces_a_word(first, ["p53", "nucleus"]) == 1
    save_tokenizer(first, tmp_path)
    lines = (tmp_path / "vocab.txt").read_text().splitlines()
    assert {piece: i for i, piece in enumerate(lines)} == first.get_vocab()


def test_a_vocabulary_smaller_than_the_alphabet(tmp_path):
    with pytest.raises(UsageError, match="at least .* alphabet alone needs, found 10"):
        learn_vocabulary(write_text(tmp_path / "a.txt").read_text().split("\n"), size=10)


def test_packed_rows_are_full_and_lose_nothing_but_the_end():
    documents = [[[10, 11, 12], [13]], [[14] * 7], [[15, 16]]]
    rows = list(packed(documents, length=6, **IDS))
    assert rows == [[2, 10, 11, 12, 13, 3], [2, 14, 14, 14, 14, 3], [2, 14, 14, 14, 3, 3]]
    # 10-13 fill the first row, so no mark is needed before 14; before 15 there is one, and 15, 16 do not fill a row.


def test_pairs_follow_the_original_rules():
    documents = [[[i] * 5 for i in range(10, 40)] for _ in range(40)]
    rows = list(paired(documents, length=32, **IDS))
    assert all(len(row) == 32 and row[0] == 2 for row in rows)
    segments = [row.count(3) for row in rows]
    assert set(segments) == {1, 2}
    assert 0.05 < np.mean([n == 1 for n in segments]) < 0.3  # a tenth by design, and what ends too soon for two
    full = [row for row in rows if 0 not in row]
    assert 0.5 < len(full) / len(rows) <= 1
    firsts = [row.index(3) - 1 for row in full if row.count(3) == 2]
    assert 8 < np.mean(firsts) < 20  # about half of 29 tokens
    assert rows == list(paired(documents, length=32, **IDS))


def test_examples_do_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    text = [write_text(tmp_path / "a.txt"), write_text(tmp_path / "b.txt", seed=1)]
    monkeypatch.setattr(shards, "CHUNK", 50)
    build(text, tmp_path / "one", **OPTIONS)
    build(text, tmp_path / "two", processes=2, **OPTIONS)
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "two").iterdir())
    assert {"examples.json", "sentences.txt", "train-00000.npy", "validation-00000.npy", "vocab.txt"} < set(names)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_rows_hold_the_text(examples):
    facts, tokenizer = examples.facts, examples.tokenizer()
    rows = examples.rows("train", np.arange(facts["train_rows"]))
    assert rows.shape == (facts["train_rows"], 32)
    assert rows.dtype == np.int64
    assert (rows[:, 0] == tokenizer.cls_token_id).all()
    assert (rows[:, -1] == tokenizer.sep_token_id).all()
    text = (examples.folder / "sentences.txt").read_text().split("\n")
    words = tokenizer.decode(rows[0][1:-1]).replace(" ", "")
    assert words in "".join(line.lower() if line else "[SEP]" for line in text).replace(" ", "")
    assert facts["tokens"] == sum(len(tokenizer.tokenize(line)) for line in text)
    assert facts["text"]["documents"] == 150
    assert np.array_equal(examples.rows("train", np.array([3, 0])), rows[[3, 0]])


def test_many_shards(tmp_path, monkeypatch):
    text = [write_text(tmp_path / "a.txt")]
    build(text, tmp_path / "whole", **OPTIONS)
    whole = Examples(tmp_path / "whole")
    monkeypatch.setattr(shards, "SHARD_ROWS", 7)
    build(text, tmp_path / "cut", **OPTIONS)
    cut = Examples(tmp_path / "cut")
    assert len(list(cut.folder.glob("train-*.npy"))) > 2
    numbers = np.random.default_rng(0).permutation(cut.facts["train_rows"])
    assert np.array_equal(cut.rows("train", numbers), whole.rows("train", numbers))


def test_a_known_vocabulary_can_be_taken(tmp_path, model_dir):
    facts = build([write_text(tmp_path / "a.txt")], tmp_path / "out", vocabulary="minilm", **OPTIONS)
    assert facts["vocab_size"] == 30_522
    tokenizer = make_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "p53"])
    save_tokenizer(tokenizer, tmp_path)
    facts = build([write_text(tmp_path / "a.txt")], tmp_path / "out2", vocabulary=str(tmp_path), **OPTIONS)
    assert facts["unknown_tokens"] > facts["tokens"] / 2
    assert "of them unknown" in report_text(facts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 4}, "length to be 8 tokens or more"),
        ({"size": 5}, "size to be more than the 5 special"),
        ({"validation": 0.0}, "validation to be a share"),
        ({"form": "triples"}, "form to be one of"),
        ({"length": 2048}, "Too little text"),
    ],
)
def test_wrong_calls_leave_nothing(options, message, tmp_path):
    text = write_text(tmp_path / "a.txt")
    with pytest.raises(UsageError, match=message):
        build([text], tmp_path / "out", **OPTIONS | options)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_leaves_no_half_shard_and_the_old_examples(tmp_path, monkeypatch):
    text = write_text(tmp_path / "a.txt")
    build([text], tmp_path / "out", **OPTIONS)
    before = (tmp_path / "out" / "train-00000.npy").read_bytes()
    calls = itertools.count()

    def full(path, array):
        if next(calls):
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(b"half")

    monkeypatch.setattr(shards.np, "save", full)
    with pytest.raises(UsageError, match="exists"):
        build([text], tmp_path / "out", **OPTIONS)
    with pytest.raises(BioutilsError, match="No space left on device"):
        build([text], tmp_path / "out", overwrite=True, **OPTIONS)
    assert (tmp_path / "out" / "train-00000.npy").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "out"]


def test_a_vocabulary_that_the_disk_has_no_room_for(tmp_path, model_dir, file_limit):
    text = write_text(tmp_path / "a.txt")
    file_limit(40_000)
    with pytest.raises(BioutilsError, match=r"out: could not be written \(File too large\)"):
        build([text], tmp_path / "out", vocabulary="minilm", **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="something else than examples"):
        build([write_text(tmp_path / "a.txt")], tmp_path / "out", overwrite=True, **OPTIONS)


def test_the_folder_one_stands_in_is_not_replaced(tmp_path, monkeypatch, capsys):
    text = write_text(tmp_path / "a.txt")
    build([text], tmp_path / "out", **OPTIONS)
    monkeypatch.chdir(tmp_path / "out")
    before = sorted(Path().iterdir())
    assert main(["build", str(text), "--out", ".", "--overwrite"]) == 2
    assert "Expected --out to be a folder of its own" in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before


def test_missing_shards_are_told(tmp_path):
    with pytest.raises(UsageError, match="holds no examples"):
        Examples(tmp_path)
    build([write_text(tmp_path / "a.txt")], tmp_path / "out", **OPTIONS)
    assert read_json(tmp_path / "out" / "examples.json")["form"] == "packed"
    (tmp_path / "out" / "validation-00000.npy").unlink()
    with pytest.raises(DataError, match="rows of validation"):
        Examples(tmp_path / "out")


def test_special_tokens_that_stand_in_the_text_are_text(tmp_path):
    text = write_text(tmp_path / "a.txt")
    text.write_text(text.read_text().replace(" minutes.", " minutes [MASK] [PAD] [SEP] [CLS] [UNK]."))
    facts = build([text], tmp_path / "out", **OPTIONS)
    found = Examples(tmp_path / "out")
    tokenizer, ids = found.tokenizer(), found.rows("train", np.arange(facts["train_rows"]))
    assert not np.isin(ids, [tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id]).any()
    assert (ids == tokenizer.cls_token_id).sum() == len(ids)
    assert facts["unknown_tokens"] == 0
    assert "[ mask ] [ pad ]" in tokenizer.decode(ids[0])


@pytest.fixture
def built(examples, tmp_path) -> Path:
    """A copy of the examples, to be damaged."""
    return Path(shutil.copytree(examples.folder, tmp_path / "built"))


@pytest.mark.parametrize("facts", ["{}", "[]", '{"vocabulary": "ab", "length": "32"}'])
def test_facts_that_are_none(built, facts):
    (built / "examples.json").write_text(facts)
    with pytest.raises(
        DataError, match=r"examples\.json: Expected (vocabulary to be text|length to be a whole number)"
    ):
        Examples(built)


@pytest.mark.parametrize("keep", [0, 50, 1000])
def test_cut_shards(built, keep):
    shard = built / "train-00000.npy"
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"train-00000\.npy: The shard is cut or damaged .* Build the examples again"):
        Examples(built)


def test_shards_of_something_else(built):
    shard = built / "train-00000.npy"
    rows = np.load(shard)
    np.save(shard, rows[:, :16])
    with pytest.raises(
        DataError, match=r"train-00000\.npy: Expected the shard to be rows of 32 token ids, found 'uint16 \("
    ):
        Examples(built)
    rows[3, 4] = 200
    np.save(shard, rows)
    assert Examples(built).rows("train", np.array([2])).shape == (1, 32)
    with pytest.raises(DataError, match="token ids of train to be below the vocabulary's 200, found 200"):
        Examples(built).rows("train", np.array([2, 3]))


def test_the_tokenizer_of_another_vocabulary(built, tiny, tmp_path):
    pieces = (built / "vocab.txt").read_text().splitlines()
    pieces[10], pieces[11] = pieces[11], pieces[10]  # of the same length, so that nothing else would tell
    save_tokenizer(make_tokenizer(pieces), built)
    with pytest.raises(DataError, match=r"tokenizer\.json: Expected the vocabulary to be the one that made the rows"):
        pretrain(Examples(built), tmp_path / "run", settings=tiny, progress=False)
    assert not (tmp_path / "run").exists()
