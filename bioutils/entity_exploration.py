"""What an entity corpus holds, before a model reads it: entities, their words and pieces, names that mean several things."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.corpora.conll import Sentence
from bioutils.corpora.tags import to_spans

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase


def entity_table(sentences: Sequence[Sentence], *, scheme: str = "IOB2") -> "pd.DataFrame":
    """One row an entity: ``sentence, start, end`` (in words), ``type, text, words``."""
    import pandas as pd

    rows = [
        (number, span.start, span.end, span.type, " ".join(s.tokens[span.start : span.end]), span.end - span.start)
        for number, s in enumerate(sentences)
        for span in to_spans(s.tags, scheme)
    ]
    return pd.DataFrame(rows, columns=["sentence", "start", "end", "type", "text", "words"])


def tag_counts(parts: Mapping[str, Sequence[Sentence]], labels: Sequence[str]) -> "pd.DataFrame":
    """Words by tag (rows, in the labels' order) and part (columns)."""
    import pandas as pd

    counted = {part: Counter(tag for s in found for tag in s.tags) for part, found in parts.items()}
    return pd.DataFrame(
        {part: [counts[label] for label in labels] for part, counts in counted.items()}, index=list(labels)
    )


def ambiguous_names(sentences: Sequence[Sentence], *, scheme: str = "IOB2") -> "pd.DataFrame":
    """Names that are entities of several types, or also stand outside of any: ``name, types, inside, outside``, most first.

    Upper and lower case count as one. ``outside``: occurrences none of whose words is in an entity.
    """
    import pandas as pd

    named: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for s in sentences:
        for span in to_spans(s.tags, scheme):
            named[tuple(word.lower() for word in s.tokens[span.start : span.end])][span.type] += 1
    sizes = sorted({len(name) for name in named})
    outside: Counter[tuple[str, ...]] = Counter()
    for s in sentences:
        low = tuple(word.lower() for word in s.tokens)
        free = np.concatenate([[0], np.cumsum([tag == "O" for tag in s.tags])])
        for n in sizes:
            outside.update(
                low[i : i + n]
                for i in range(len(low) - n + 1)
                if free[i + n] - free[i] == n and low[i : i + n] in named
            )
    rows = [
        (" ".join(name), ", ".join(sorted(kinds)), kinds.total(), outside[name])
        for name, kinds in named.items()
        if len(kinds) > 1 or outside[name]
    ]
    table = pd.DataFrame(rows, columns=["name", "types", "inside", "outside"])
    return table.sort_values(["inside", "name"], ascending=[False, True], ignore_index=True)


def seen_names(train: "pd.DataFrame", test: "pd.DataFrame") -> np.ndarray:
    """Whether each entity of ``test`` (an ``entity_table``) has a name that is an entity in ``train``, whatever the case."""
    return test["text"].str.lower().isin(set(train["text"].str.lower())).to_numpy()


def pieces_a_name(entities: "pd.DataFrame", tokenizers: "Mapping[str, PreTrainedTokenizerBase]") -> "pd.DataFrame":
    """Each entity's type, its words, and how many pieces it is in each vocabulary."""
    import pandas as pd

    texts = entities["text"].tolist()
    pieces = {
        name: [len(ids) for ids in t(texts, add_special_tokens=False)["input_ids"]] if texts else []
        for name, t in tokenizers.items()
    }
    return pd.DataFrame({"type": entities["type"], "words": entities["words"], **pieces})


def recall_by_name(
    entities: "pd.DataFrame", predicted: Sequence[Sequence[str]], seen: np.ndarray, *, scheme: str = "IOB2"
) -> "pd.DataFrame":
    """Share of gold entities found exactly, of seen and of unseen names: ``type, names, entities, recall``; "all" last."""
    import pandas as pd

    found = [set(to_spans(tags, scheme)) for tags in predicted]
    keys = zip(entities["sentence"], entities["start"], entities["end"], entities["type"], strict=True)
    right = np.array([(start, end, kind) in found[sentence] for sentence, start, end, kind in keys], dtype=float)
    table = pd.DataFrame({"type": entities["type"], "names": np.where(seen, "seen", "unseen"), "right": right})
    every = pd.concat([table, table.assign(type="all")])
    counted = every.groupby(["type", "names"], sort=False)["right"].agg(["size", "mean"]).reset_index()
    return counted.rename(columns={"size": "entities", "mean": "recall"})
