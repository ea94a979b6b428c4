"""Annotators compared: every measure in tables, and their disagreements on a page, as JSON, or, counted, as Markdown."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from bioutils.corpora.conversion import read
from bioutils.corpora.records import Document
from bioutils.errors import UsageError, expected
from bioutils.evaluation.agreement import alpha_table, link_table, pair_table, word_score
from bioutils.evaluation.copies import Copies, align, not_used_by_all
from bioutils.evaluation.disagreements import disagreements, link_disagreements
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
    "extra": "same place and category, marked more often than by the other",
    "link": "both marked what it joins, only one joined it",
}
FORMATS = (".html", ".md", ".json")
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
    """All measures of some annotators' copies. ``texts``: a row a text and pair, with the earlier tool's score; ``untagged``: the
    texts in which none of them tagged anything; ``unshared``: what not all of them use, and who does."""

    annotators: tuple[str, ...]
    n_texts: int
    aside: str
    pairs: "pd.DataFrame"
    alphas: "pd.DataFrame"
    links: "pd.DataFrame"
    texts: "pd.DataFrame"
    disagreements: "pd.DataFrame"
    link_disagreements: "pd.DataFrame"
    untagged: tuple[str, ...]
    unshared: dict[str, tuple[str, ...]]
    documents: dict[tuple[str, str], Document] = field(repr=False, default_factory=dict)

    def notes(self) -> list[str]:
        """What a reader must know of the numbers, a sentence each."""
        found = [f"{self.n_texts:,} texts that all have" + (f"; {self.aside} are not compared." if self.aside else ".")]
        if self.untagged:
            found.append(f"In {len(self.untagged):,} of them nothing is tagged: {', '.join(self.untagged)}.")
        if self.unshared:
            names = ", ".join(f"{readable(name)} (only {' and '.join(by)})" for name, by in self.unshared.items())
            found.append(f"Not all annotators use these, so that scores on them against the others are 0: {names}.")
        return found

    def text_table(self) -> "pd.DataFrame":
        """A row a text and pair, as a reader is shown it: the earlier score, the words it is over, and the share."""
        table = self.texts
        return table.assign(
            score=table["score"].map("{:.1f}".format), share=(table["score"] / table["words"]).map(_number)
        )

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
    untagged = tuple(row[0].group or row[0].id for row in copies.documents if not any(d.spans for d in row))
    return Agreement(
        copies.annotators, len(copies.documents), aside, pair_table(copies), alpha_table(copies), link_table(copies),
        pd.DataFrame(rows, columns=["text_id", "first", "second", "score", "words"]), disagreements(copies),
        link_disagreements(copies), untagged, not_used_by_all(copies), documents,
    )  # fmt: skip


def write_agreement(found: Agreement, out: Path, *, sources: Sequence[str] = ()) -> Path:
    """The page (.html), a report without the disagreements (.md), or all numbers (.json). ``sources``: where the copies lie, for
    the report. Raises UsageError for another ending."""
    if out.suffix not in FORMATS:
        raise UsageError(expected("--out", "a .html, .md or .json file", str(out)))
    if out.suffix == ".json":
        content = {"annotators": found.annotators, "texts": found.n_texts} | {
            name: json.loads(getattr(found, name).to_json(orient="records"))
            for name in ("pairs", "alphas", "links", "texts", "disagreements", "link_disagreements")
        }
        content |= {"untagged": found.untagged, "not_used_by_all": found.unshared}
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    elif out.suffix == ".md":
        tables = [*_shown(found), {"title": "Texts", **_rows(found.text_table())}]
        text = render(
            "agreement.md.j2",
            title=_title(found),
            notes=found.notes(),
            sources=sources,
            tables=tables,
            measures=MEASURES,
        )
    else:
        text = page(found)
    with atomic_writer(out) as stream:
        stream.write(text)
    return out


def _title(found: Agreement) -> str:
    return f"Agreement of {' and '.join(found.annotators)}"


def _rows(table: "pd.DataFrame") -> dict[str, list]:
    return {"columns": list(table), "rows": table.astype(str).to_numpy().tolist()}


def _shown(found: Agreement) -> list[dict]:
    return [{"title": title, **_rows(table)} for title, table in found.tables().items()]


def page(found: Agreement) -> str:
    """The page, HTML: the tables, what each measure says, and the disagreements in their text, a section a text."""
    categories = sorted({span.type for document in found.documents.values() for span in document.spans})
    colours = dict(zip(categories, colours_of(categories), strict=True))
    entries: dict[str, list[dict]] = {}
    for x in found.disagreements.itertuples():
        text = found.documents[x.text_id, x.annotator].text
        entries.setdefault(x.text_id, []).append({
            "annotator": x.annotator, "other": x.other, "category": readable(x.category), "label": x.label,
            "other_label": x.other_label, "kind": x.kind, "start": x.start,
            "parts": _parts(text, [(x.start, x.end, colours[x.category])]),
        })  # fmt: skip
    for x in found.link_disagreements.itertuples():
        document = found.documents[x.text_id, x.annotator]
        link = next(link for link in document.links if link.id == x.link)
        members = [document.span(target) for _, target in link.members]
        places = [(start, end, colours[s.type]) for s in members for start, end in s.pieces]
        entries.setdefault(x.text_id, []).append({
            "annotator": x.annotator, "other": x.other, "category": readable(x.type), "label": x.members,
            "other_label": "", "kind": "link", "start": x.start, "parts": _parts(document.text, places),
        })  # fmt: skip
    texts = [
        {"id": text_id, "entries": sorted(entries[text_id], key=lambda entry: (entry["start"], entry["annotator"]))}
        for text_id in sorted(entries)
    ]
    counts = found.disagreements["kind"].value_counts().to_dict() | {"link": len(found.link_disagreements)}
    kinds = [{"name": kind, "what": what, "n": int(counts.get(kind, 0))} for kind, what in KINDS.items()]
    return render(
        "agreement.html.j2", title=_title(found), notes=found.notes(), tables=_shown(found), measures=MEASURES, kinds=kinds,
        texts=texts, scores=_rows(found.text_table()),
    )  # fmt: skip


def _parts(text: str, places: Sequence[tuple[int, int, str]]) -> list[tuple[str, str]]:
    """The text round some places as pairs (words, colour or ""), what is far from all left out."""
    parts, last = [], None
    for start, end, colour in sorted(places):
        if last is None or start - last > 2 * AROUND:
            if last is not None:
                parts.append((f"{text[last : last + AROUND]} … ", ""))
            parts.append((text[max(0, start - AROUND) : start], ""))
        else:
            parts.append((text[last:start], ""))
        start = start if last is None else max(start, last)  # one may begin inside another
        parts.append((text[start:end], colour))
        last = end if last is None else max(last, end)
    return [part for part in [*parts, (text[last : last + AROUND], "")] if part[0]]
