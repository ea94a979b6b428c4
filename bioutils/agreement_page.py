"""Annotators compared: every measure in tables, and the list of their disagreements as a page or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from bioutils.corpora.conversion import read
from bioutils.corpora.records import Document
from bioutils.errors import UsageError, expected
from bioutils.evaluation.agreement import Copies, align, alpha_table, disagreements, link_table, pair_table, word_score
from bioutils.files import atomic_writer
from bioutils.pages import render
from bioutils.plots.style import colours_of, readable

if TYPE_CHECKING:
    import pandas as pd

AROUND = 60  # characters of text on each side of a disagreement
KINDS = {
    "alone": "only one annotator marked anything of this category here",
    "borders": "same category, other borders",
    "category": "same place, another category",
    "label": "same place and category, another label",
}
MEASURES = {
    "exact F1": "places and category equal, either annotator taken as the truth; in brackets the 95 % interval over texts",
    "overlap F1": "same category, at least a character shared",
    "token F1": "tokens with the category",
    "token κ": "Cohen's κ of the tokens' categories: 1 full agreement, 0 what chance gives",
    "labels equal": "share of equal labels, where place and category are",
    "label κ": "Cohen's κ of these labels",
    "α": "Krippendorff's α, for any number of annotators, reads as κ",
    "earlier score": "matching values ÷ values that could match, over words that either marked; not corrected for chance",
}


@dataclass(frozen=True)
class Agreement:
    """All measures of some annotators' copies. ``texts``: a row a text and pair, with the earlier tool's score."""

    annotators: tuple[str, ...]
    n_texts: int
    aside: str
    pairs: "pd.DataFrame"
    alphas: "pd.DataFrame"
    links: "pd.DataFrame"
    texts: "pd.DataFrame"
    disagreements: "pd.DataFrame"
    documents: dict[tuple[str, str], Document] = field(repr=False, default_factory=dict)

    def tables(self) -> "dict[str, pd.DataFrame]":
        """What a reader is shown, numbers as text: title → table."""
        import pandas as pd

        found = {}
        for (first, second), rows in self.pairs.groupby(["first", "second"], sort=False):
            interval = [f"{x.exact_f1:.3f} ({x.exact_f1_low:.3f} to {x.exact_f1_high:.3f})" for x in rows.itertuples()]
            found[f"{first} and {second}"] = pd.DataFrame({
                "category": rows["category"].map(readable), f"spans of {first}": rows["n_first"],
                f"of {second}": rows["n_second"], "exact F1": interval,
                **{shown: rows[name].map(_number) for name, shown in (
                    ("overlap_f1", "overlap F1"), ("token_f1", "token F1"), ("token_kappa", "token κ"),
                    ("labels_equal", "labels equal"), ("label_kappa", "label κ"),
                )},
            })  # fmt: skip
        found["Krippendorff's α, all annotators"] = pd.DataFrame({
            "category": self.alphas["category"].map(readable), "tokens": self.alphas["token_alpha"].map(_number),
            "labels": self.alphas["label_alpha"].map(_number), "places marked alike": self.alphas["n_places"],
        })  # fmt: skip
        names = ["first", "second", "links of first", "of second", "with ends agreed, of first", "of second ", "F1"]
        links = self.links.set_axis(names, axis=1)
        found["Links"] = links.assign(F1=links["F1"].map(_number))
        sums = self.texts.groupby(["first", "second"], sort=False, as_index=False)[["score", "words"]].sum()
        score = sums["score"] / sums["words"]
        best, worst = ([self._text(pair, ascending) for pair in zip(sums["first"], sums["second"], strict=True)]
                       for ascending in (False, True))  # fmt: skip
        found["Earlier score"] = pd.DataFrame({
            "first": sums["first"], "second": sums["second"], "matching": sums["score"].map("{:.1f}".format),
            "marked words": sums["words"], "share": score.map(_number), "best text": best, "worst text": worst,
        })  # fmt: skip
        return found

    def _text(self, pair: tuple[str, str], ascending: bool) -> str:
        of_pair = (self.texts["first"] == pair[0]) & (self.texts["second"] == pair[1])
        rows = self.texts[of_pair & (self.texts["words"] > 0)]
        if not len(rows):
            return "–"
        share = (rows["score"] / rows["words"]).sort_values(ascending=ascending, kind="stable")
        return f"{rows.loc[share.index[0], 'text_id']} ({share.iloc[0]:.3f})"


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def read_copies(arguments: Sequence[str]) -> Copies:
    """The annotators' copies given as ``[NAME=]PATH``, by default named as the path's last part. Raises UsageError."""
    found: dict[str, list[Document]] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or Path(argument).exists():
            name, path = "", argument
        name = name or Path(path).name.split(".")[0]
        if name in found:
            raise UsageError(f"Two annotators are called {name!r}. Name them: first=PATH second=PATH.")
        found[name] = read(path)
    if len(found) < 2:
        raise UsageError(expected("annotators", "two or more paths", list(arguments)))
    return align(found)


def agreement(copies: Copies) -> Agreement:
    """Every measure of the copies."""
    import pandas as pd

    rows = []
    for row in copies.documents:
        for i, j in combinations(range(len(row)), 2):
            score, words = word_score(row[i], row[j])
            rows.append((row[i].group or row[i].id, copies.annotators[i], copies.annotators[j], score, words))
    aside = ", ".join(f"{n} of {name} that not all have" for name, n in copies.alone.items() if n)
    documents = {
        (d.group or d.id, name): d for row in copies.documents for name, d in zip(copies.annotators, row, strict=True)
    }
    return Agreement(
        copies.annotators, len(copies.documents), aside, pair_table(copies), alpha_table(copies), link_table(copies),
        pd.DataFrame(rows, columns=["text_id", "first", "second", "score", "words"]), disagreements(copies), documents,
    )  # fmt: skip


def write_agreement(found: Agreement, out: Path) -> Path:
    """The page (.html), or all numbers (.json)."""
    if out.suffix == ".json":
        content = {"annotators": found.annotators, "texts": found.n_texts} | {
            name: json.loads(getattr(found, name).to_json(orient="records"))
            for name in ("pairs", "alphas", "links", "texts", "disagreements")
        }
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    else:
        text = page(found)
    with atomic_writer(out) as stream:
        stream.write(text)
    return out


def page(found: Agreement) -> str:
    """The page, HTML: the tables, what each measure says, and the disagreements in their text, a section a text."""
    categories = sorted(set(found.disagreements["category"]))
    colours = dict(zip(categories, colours_of(categories), strict=True))
    texts = []
    for text_id, rows in found.disagreements.groupby("text_id", sort=False):
        entries = []
        for x in rows.itertuples():
            text = found.documents[text_id, x.annotator].text
            entries.append({
                "annotator": x.annotator, "other": x.other, "category": readable(x.category), "label": x.label,
                "colour": colours[x.category], "kind": x.kind, "before": text[max(0, x.start - AROUND) : x.start],
                "span": text[x.start : x.end], "after": text[x.end : x.end + AROUND],
            })  # fmt: skip
        texts.append({"id": text_id, "entries": entries})
    tables = [
        {"title": title, "columns": list(table), "rows": table.astype(str).to_numpy().tolist()}
        for title, table in found.tables().items()
    ]
    counts = found.disagreements["kind"].value_counts()
    kinds = [{"name": kind, "what": what, "n": int(counts.get(kind, 0))} for kind, what in KINDS.items()]
    return render(
        "agreement.html.j2", title=f"Agreement of {' and '.join(found.annotators)}", n_texts=found.n_texts,
        aside=found.aside, tables=tables, measures=MEASURES, kinds=kinds, texts=texts,
    )  # fmt: skip
