"""Texts to GO-aspect probabilities, a sentence and an abstract at a time: the deployed use of a trained classifier."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bioutils.corpora.pubmed import Abstract, check_inputs, read_in_chunks
from bioutils.encoders import max_tokens, own_models
from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.evaluation.calibration import softmax
from bioutils.files import sha256
from bioutils.inference import BATCH_TOKENS, predict_logits
from bioutils.models import KINDS, is_saved_model, load_model, weights_file
from bioutils.scoring_output import Parts, check_output
from bioutils.text import sentences, word_count

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn
    from transformers import PreTrainedTokenizerBase

CHUNK = 256  # abstracts scored together: enough sentences to sort by length, little to lose when interrupted


@dataclass(frozen=True)
class Scorer:
    """A classifier with what its probabilities need: the temperature found on validation data, and its longest input."""

    model: "nn.Module"
    tokenizer: "PreTrainedTokenizerBase"
    names: list[str]
    max_length: int
    temperature: float
    path: Path

    def score(self, texts: Sequence[str], *, batch_tokens: int = BATCH_TOKENS) -> np.ndarray:
        """Probabilities (texts, classes), each row summing to 1, in the order of ``texts``."""
        return softmax(self.logits(texts, batch_tokens=batch_tokens), self.temperature)

    def logits(self, texts: Sequence[str], *, batch_tokens: int = BATCH_TOKENS) -> np.ndarray:
        """The classifier's raw scores (texts, classes)."""
        found = predict_logits(self.model, self.tokenizer, texts, max_length=self.max_length, batch_tokens=batch_tokens)
        return found.logits


def find_model(model: str | Path | None = None) -> Path:
    """The folder of the classifier to use: the one named, else the one that comes with the project.

    Raises UsageError for a folder without a saved model, and where the project's own is not there.
    """
    if model:
        path = Path(model).expanduser()
        if not is_saved_model(path):
            remedy = "Train one (bioutils run 03) or name another."
            raise UsageError(expected("model", f"a folder with one of {list(KINDS)}", str(model), remedy=remedy))
        return path
    shipped = own_models() / "go-aspect"
    if not is_saved_model(shipped):
        raise UsageError(
            f"The model that comes with the project is not in {shipped}. Take a checkout of the project, make it anew "
            "(python -m bioutils.training.go_aspect) or name a model: --model PATH."
        )
    return shipped


def load_scorer(model: str | Path | None = None) -> Scorer:
    """The Scorer of a model's folder: a whole model, a head on a frozen encoder or an adapter. Raises UsageError for others."""
    path = find_model(model)
    classifier, tokenizer, names, notes = load_model(path)
    longest = int(notes.get("max_length", max_tokens(classifier)))
    return Scorer(classifier, tokenizer, names, longest, float(notes.get("temperature", 1.0)), path)


def score_sentences(
    abstracts: Iterable[Abstract], scorer: Scorer, *, batch_tokens: int = BATCH_TOKENS
) -> "pd.DataFrame":
    """One row a sentence: ``id, sentence_number`` (from 1), ``start, end`` (in the abstract's text), ``sentence``, a
    probability a class, ``aspect`` (the largest)."""
    import pandas as pd

    rows = [
        (abstract.id, number, span.start, span.end, span.text)
        for abstract in abstracts
        for number, span in enumerate(sentences(abstract.text), 1)
    ]
    table = pd.DataFrame(rows, columns=["id", "sentence_number", "start", "end", "sentence"])
    probabilities = scorer.score(table["sentence"].tolist(), batch_tokens=batch_tokens)
    table[scorer.names] = probabilities
    table["aspect"] = np.array(scorer.names, dtype=object)[probabilities.argmax(1)] if len(table) else ""
    return table.astype({"id": "str", "sentence": "str", "aspect": "str"})


def score_abstracts(
    abstracts: Sequence[Abstract], sentence_table: "pd.DataFrame", names: Sequence[str], *, weight: str = "sentence"
) -> "pd.DataFrame":
    """One row an abstract: ``id, title, n_sentences``, the mean of its sentences' probabilities, ``aspect``.

    ``weight="words"`` counts long sentences for more. An abstract without text has no probabilities and no aspect: its
    row is kept, with missing values. ``sentence_table`` must be score_sentences' of the same abstracts in their order.
    """
    import pandas as pd

    if weight not in ("sentence", "words"):
        raise UsageError(expected("weight", "'sentence' or 'words'", weight))
    names = list(names)
    # By position, not by id: two records may share an id.
    which = (sentence_table["sentence_number"] == 1).cumsum().to_numpy() - 1
    with_text = [i for i, abstract in enumerate(abstracts) if abstract.text.strip()]
    weights = np.ones(len(sentence_table))
    if weight == "words":
        weights = np.array([max(1, word_count(s)) for s in sentence_table["sentence"]], dtype=float)
    means = np.full((len(abstracts), len(names)), np.nan)
    counts = np.zeros(len(abstracts), dtype=int)
    if with_text:
        values = sentence_table[names].to_numpy() * weights[:, None]
        sums = np.zeros((len(with_text), len(names)))
        np.add.at(sums, which, values)
        means[with_text] = sums / np.bincount(which, weights, minlength=len(with_text))[:, None]
        counts[with_text] = np.bincount(which, minlength=len(with_text))
    table = pd.DataFrame(
        {"id": [a.id for a in abstracts], "title": [a.title for a in abstracts], "n_sentences": counts}
    )
    table[names] = means
    best = np.array([*names, None], dtype=object)[np.where(counts > 0, np.nan_to_num(means).argmax(1), len(names))]
    table["aspect"] = best
    return table.astype({"id": "str", "title": "str", "aspect": "str"})


def profile_intervals(
    sentence_table: "pd.DataFrame", names: Sequence[str], *, n_bootstrap: int = 1000, seed: int = 0
) -> "pd.DataFrame":
    """One row an id: 95 % interval (``<name>_low``, ``<name>_high``) of each mean over resampled sentences, and ``entropy``.

    ``entropy`` is the mean over sentences of the Shannon entropy in units of its maximum: 0 certain, 1 spread evenly.
    The interval says how much a few sentences decide, not whether the model is right.
    """
    import pandas as pd

    rng, rows = np.random.default_rng(seed), []
    for key, group in sentence_table.groupby("id", sort=False):
        values = group[list(names)].to_numpy()  # (sentences, classes)
        # A resample of n rows is a multinomial count of each: one product gives all means.
        counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=n_bootstrap)
        low, high = np.quantile(counts @ values / len(values), [0.025, 0.975], axis=0)
        entropy = -(values * np.log(np.clip(values, 1e-12, 1))).sum(1) / np.log(len(names))
        rows.append((key, entropy.mean(), *np.stack([low, high], 1).ravel()))
    bounds = [f"{name}_{side}" for name in names for side in ("low", "high")]
    return pd.DataFrame(rows, columns=["id", "entropy", *bounds])


@dataclass(frozen=True)
class Summary:
    """What score_files did: counts, and the two files it wrote."""

    n_abstracts: int
    n_sentences: int
    n_without_text: int
    n_repeated_ids: int
    abstracts: Path
    sentences: Path
    model: Path


def score_files(
    inputs: Sequence[Path | str],
    out: Path | str,
    *,
    model: str | Path | None = None,
    columns: dict[str, str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    batch_tokens: int = BATCH_TOKENS,
    progress: bool = True,
) -> Summary:
    """Scores every abstract of ``inputs`` into ``out`` and its sentences into ``out`` with ``.sentences`` before the suffix.

    ``out`` ends in .parquet, .csv, .xlsx or .jsonl. Work is kept in parts beside ``out`` until all is done, so that
    ``resume`` continues an interrupted job; both files then appear whole. Memory does not grow with the input (but for
    .xlsx, which is one document). Raises UsageError where results exist and neither overwrite nor resume is given.
    """
    from tqdm import tqdm

    inputs, out = [Path(p) for p in inputs], Path(out)
    beside = check_output(inputs, out, overwrite=overwrite, resume=resume)
    check_inputs(inputs)
    scorer = load_scorer(model)
    job = {
        "inputs": [[str(p.resolve()), sha256(p)] for p in inputs],
        "model": [str(scorer.path.resolve()), sha256(weights_file(scorer.path))],
        "temperature": scorer.temperature,
        "max_length": scorer.max_length,
        "columns": columns,
    }
    seen: Counter[str] = Counter()
    n_sentences = n_empty = 0
    with Parts(out, job, resume=resume) as parts, tqdm(unit=" abstracts", disable=None if progress else True) as bar:
        for number, chunk in enumerate(read_in_chunks(inputs, columns=columns, size=CHUNK)):
            if not parts.done(number):
                table = score_sentences(chunk, scorer, batch_tokens=batch_tokens)
                parts.add(number, score_abstracts(chunk, table, scorer.names), table)
            seen.update(abstract.id for abstract in chunk)
            n_empty += sum(not abstract.text.strip() for abstract in chunk)
            bar.update(len(chunk))
        if not seen:
            raise BioutilsError(f"No abstract was found in {[str(p) for p in inputs]}. Nothing was written.")
        n_sentences = parts.finish(out, beside)
    repeated = sum(count - 1 for count in seen.values())
    return Summary(seen.total(), n_sentences, n_empty, repeated, out, beside, scorer.path)
