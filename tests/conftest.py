"""What several tests build upon: no network, one thread a process, a tiny model."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "agg"}

import nbformat
import pytest

NAMES = ["biological_process", "cellular_component", "molecular_function"]
WORDS = "a b c cell cells grow growth membrane lipids binds binding zinc the of . , it was number".split()


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Under pytest-xdist each process has a core of its own; two threads each would wait for one another."""
    import torch

    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture
def write_notebook() -> Callable[..., Path]:
    """A function that writes a notebook: a title, a parameters cell, then the given code cells."""

    def write(
        path: Path, *cells: str, parameters: str = 'seed = 0  # a seed\nrun_dir = ""  # a folder', title: str = ""
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = nbformat.v4
        first = new.new_markdown_cell(f"# {title or path.stem}\n\n> About {path.stem}")
        tagged = new.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        notebook = new.new_notebook(cells=[first, tagged, *map(new.new_code_cell, cells)])
        notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """A tiny untrained classifier with a word-level tokenizer, saved as training saves it."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder = tmp_path_factory.mktemp("model")
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, id2label=dict(enumerate(NAMES)), label2id={n: i for i, n in enumerate(NAMES)},
        initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    (folder / "bioutils.json").write_text(json.dumps({"max_length": 32, "temperature": 2.0}))
    return folder


@pytest.fixture(scope="session")
def encoder_dir(model_dir, tmp_path_factory):
    """The same without its head: an encoder to fine-tune."""
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp("encoder")
    AutoTokenizer.from_pretrained(model_dir).save_pretrained(folder)
    AutoModel.from_pretrained(model_dir).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_dataset():
    """Sixty texts whose first word tells the class, in three parts."""
    from datasets import ClassLabel, Dataset, DatasetDict

    def part(n: int) -> Dataset:
        kinds = ("growth of cells", "membrane of lipids", "binding of zinc")
        rows = [{"text": f"{kinds[i % 3]} " + "number " * (i % 5), "label": i % 3} for i in range(n)]
        return Dataset.from_list(rows).cast_column("label", ClassLabel(names=NAMES))

    return DatasetDict(train=part(36), validation=part(12), test=part(12))


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HEADLESS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=8000""".split()


@pytest.fixture
def rendered(tmp_path) -> Callable[[Path], tuple[str, str]]:
    """A function that opens a page in headless Chromium with no network: its elements after the scripts, and the log.

    Skips where there is no Chromium.
    """

    def render(path: Path) -> tuple[str, str]:
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser is None:
            pytest.skip("no Chromium on this machine to open the page with")
        call = [browser, *HEADLESS, f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
        done = subprocess.run([*call, "--dump-dom", path.as_uri()], capture_output=True, timeout=180, text=True)
        if not done.stdout.strip():
            pytest.skip(f"Chromium does not start on this machine: {done.stderr[-300:]}")
        return done.stdout, done.stderr

    return render


@pytest.fixture(scope="session")
def annotated():
    """A document with tags one in another, beside one another, in hyphenated words, and a link."""
    from bioutils.corpora.records import Document, Link, Remark, Span

    text = "siRNA of p53, in HeLa-cells, fell."
    #       0        9        17
    return Document(
        "d", text,
        (
            Span("P0", "ACTION", ((0, 12),), "siRNA of p53"), Span("G0", "GENE", ((9, 12),), "p53"),
            Span("C0", "CONTEXT", ((17, 27),), "HeLa-cells"), Span("C1", "CONTEXT", ((29, 33),), "fell"),
        ), (),
        (Link("L0", "LINKING", (("action", "P0"), ("context", "C0"))),),
        (
            Remark("1", "action", "P0", "knockdown"), Remark("2", "kind", "C0", "cells"), Remark("3", "kind", "C1", "odd"),
            Remark("4", "kind", "G0", "suppressor"), Remark("5", "role", "G0", "target"),
        ),
    )  # fmt: skip
