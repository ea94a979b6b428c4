"""What to know of a corpus before training on it: its words, distances, lengths, and how near it lies to another corpus."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.corpora.relations import Example
from bioutils.errors import UsageError, expected
from bioutils.text import word_count

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase

WORD = re.compile(r"[^\W\d_][\w-]*")
CLUSTERS = 7  # of the earlier experiments' similarity, as PGxCorpus has classes


def stop_words() -> frozenset[str]:
    """English words that say nothing of a text's subject (scikit-learn's list, and what is left of "'s")."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return ENGLISH_STOP_WORDS | {"s", "t"}


def top_words(texts: Iterable[str], *, n: int = 20, leave_out: Iterable[str] = ()) -> "pd.Series":
    """The ``n`` most frequent words, lower-cased, without stop words, numbers, single letters and ``leave_out``; ties by word."""
    import pandas as pd

    dropped = stop_words() | set(leave_out)
    counted = Counter(
        word for text in texts for word in WORD.findall(text.lower()) if word not in dropped and len(word) > 1
    )
    found = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:n]
    return pd.Series(dict(found), name="occurrences", dtype=int)


def top_words_by_label(examples: Sequence[Example], labels: Sequence[str], *, n: int = 20) -> "dict[str, pd.Series]":
    """For each label the ``n`` most frequent words of its sentences, the twenty most frequent of all left out.

    A sentence counts once a label, however many of its pairs have it.
    """
    overall = top_words({example.text for example in examples}).index
    texts = {label: {example.text for example in examples if example.label == label} for label in labels}
    return {label: top_words(texts[label], n=n, leave_out=overall) for label in labels if texts[label]}


def entity_distances(examples: Sequence[Example]) -> "pd.DataFrame":
    """One row an example: ``label`` and ``words`` between its entities, by their offsets; 0 where they touch or overlap."""
    import pandas as pd

    rows = []
    for example in examples:
        one, other = sorted((example.first, example.second), key=lambda span: (span.start, span.end))
        rows.append({"label": example.label, "words": word_count(example.text[one.end : max(one.end, other.start)])})
    return pd.DataFrame(rows)


def token_table(texts: Sequence[str], tokenizers: "Mapping[str, PreTrainedTokenizerBase]") -> "pd.DataFrame":
    """One row a text: its ``words``, and by vocabulary the tokens it becomes (special ones not counted)."""
    import pandas as pd

    table = pd.DataFrame({"words": [word_count(text) for text in texts]})
    for name, tokenizer in tokenizers.items():
        ids = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        table[name] = [len(tokens) for tokens in ids]
    return table


def corpus_vocabulary(texts: Sequence[str], *, size: int) -> "PreTrainedTokenizerBase":
    """A lower-casing WordPiece vocabulary of at most ``size`` learned from these texts: what a corpus' own would be."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(texts, vocab_size=size, show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, unk_token="[UNK]", pad_token="[PAD]")


def vocabulary_jaccard(first: Iterable[str], second: Iterable[str]) -> float:
    """Shared words ÷ all words of two corpora, stop words left out: 0 nothing shared, 1 the same words."""
    dropped = stop_words()
    one, other = (
        {word for text in texts for word in WORD.findall(text.lower())} - dropped for texts in (first, second)
    )
    return len(one & other) / max(1, len(one | other))


def cluster_distance(first: np.ndarray, second: np.ndarray, *, clusters: int = CLUSTERS, seed: int = 0) -> float:
    """The earlier experiments' "similarity" S(first, second) of two corpora's vectors (texts, width), a distance in truth.

    K-means centres of each; the box that the first's centres span has its middle c and the radius R to its corner; the mean
    over the second's centres of their distance to c, counted as 0 within R. Not symmetric, and 0 for any corpus within R: two
    unlike corpora can both come out as equal to a wide one. Raises UsageError for fewer vectors than clusters.
    """
    from sklearn.cluster import KMeans

    if min(len(first), len(second)) < clusters:
        raise UsageError(expected("vectors", f"{clusters} or more, one a cluster", min(len(first), len(second))))
    one, other = (
        KMeans(clusters, n_init=10, random_state=seed).fit(np.asarray(v, dtype=float)).cluster_centers_
        for v in (first, second)
    )
    low, high = one.min(0), one.max(0)
    middle = low + (high - low) / 2
    radius = np.linalg.norm(middle - low)
    distances = np.linalg.norm(other - middle, axis=1)
    return float(np.where(distances < radius, 0.0, distances).mean())


def centred_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine distance of two corpora's mean vectors, 0 to 2, after taking the mean of both off: symmetric, spread-free.

    Without the centring all texts of an encoder lie in one narrow cone, and any two corpora look alike (Ethayarajh 2019).
    With two corpora alone it is 2 by construction: pass vectors centred on all corpora (``corpus_distances``).
    """
    a, b = first.mean(0), second.mean(0)
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return 1 - float(a @ b) / scale if scale else 0.0


def corpus_distances(
    vectors: Mapping[str, np.ndarray], texts: Mapping[str, Sequence[str]], *, seed: int = 0
) -> "dict[str, pd.DataFrame]":
    """Three tables corpus × corpus: ``cluster`` (the earlier measure), ``centred`` and ``jaccard`` (1 − shared words)."""
    import pandas as pd

    names = list(vectors)
    middle = np.mean([vectors[name].mean(0) for name in names], axis=0)
    measures = {
        "cluster": lambda a, b: cluster_distance(vectors[a], vectors[b], seed=seed),
        "centred": lambda a, b: centred_distance(vectors[a] - middle, vectors[b] - middle),
        "jaccard": lambda a, b: 1 - vocabulary_jaccard(texts[a], texts[b]),
    }
    return {
        kind: pd.DataFrame([[measure(a, b) for b in names] for a in names], index=names, columns=names)
        for kind, measure in measures.items()
    }
