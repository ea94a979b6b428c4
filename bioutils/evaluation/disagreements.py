"""What annotators do not agree on, one by one, with its text: the list to go through together."""

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from bioutils.evaluation.copies import ALL, Copies, labels_of, links_between_same, place_of, same_spans, shares

if TYPE_CHECKING:
    import pandas as pd


def disagreements(copies: Copies) -> "pd.DataFrame":
    """Every span that not both of a pair have.

    ``text_id, annotator, other, category, label, other_label, start, end, text, kind``, of which ``kind`` is "label" (same places
    and category, other values, which are ``other_label``; told once, for the first annotator), "extra" (same places and
    category, marked more often than by the other), "category" (same places, another category), "borders" (same category, a
    character shared), or "alone" (nothing of the other's is there).
    """
    import pandas as pd

    rows = []
    for row in copies.documents:
        for i, j in combinations(range(len(row)), 2):
            labels = labels_of(row[i]), labels_of(row[j])
            pairs = same_spans(row[i], row[j], ALL)
            for side, (here, there) in enumerate(((row[i], row[j]), (row[j], row[i]))):
                names = (copies.annotators[i], copies.annotators[j])[:: -1 if side else 1]
                matched = {pair[side].id: pair[1 - side] for pair in pairs}
                taken = {span.id for span in matched.values()}
                # A span of the other's that has its equal here is no other reading of this one.
                free = {place_of(span)[1] for span in there.spans if span.id not in taken}
                places = {place_of(span) for span in there.spans}
                for span in here.spans:
                    value, theirs = labels[side][span.id], ()
                    if span.id in matched:
                        theirs = labels[1 - side][matched[span.id].id]
                        if side or theirs == value:
                            continue
                        kind = "label"
                    elif place_of(span) in places:
                        kind = "extra"
                    elif place_of(span)[1] in free:
                        kind = "category"
                    else:
                        shared = any(s.type == span.type and shares(s, span) for s in there.spans)
                        kind = "borders" if shared else "alone"
                    shown = [", ".join(f"{name} {v}" for name, v in values) for values in (value, theirs)]
                    rows.append(
                        (here.group or here.id, *names, span.type, *shown, span.start, span.end, span.text, kind)
                    )
    columns = ["text_id", "annotator", "other", "category", "label", "other_label", "start", "end", "text", "kind"]
    return pd.DataFrame(rows, columns=columns).sort_values(["text_id", "start", "end", "annotator"], ignore_index=True)


def link_disagreements(copies: Copies) -> "pd.DataFrame":
    """Every link that one of a pair has and the other has not, though both marked its ends.

    ``text_id, annotator, other, type, link`` (its id), ``members`` (role and text of each), ``start, end`` (of the stretch from
    its first to its last member).
    """
    import pandas as pd

    rows = []
    for row in copies.documents:
        for i, j in combinations(range(len(row)), 2):
            found = links_between_same(row[i], row[j])
            for side, document in enumerate((row[i], row[j])):
                names = (copies.annotators[i], copies.annotators[j])[:: -1 if side else 1]
                left = Counter(key for _, key in found[1 - side])
                for link, key in found[side]:
                    left[key] -= 1
                    if left[key] >= 0:
                        continue
                    ends = [(role, document.span(target)) for role, target in link.members]
                    rows.append((
                        document.group or document.id, *names, link.type, link.id, "; ".join(f"{r}: {s.text}" for r, s in ends),
                        min(s.start for _, s in ends), max(s.end for _, s in ends),
                    ))  # fmt: skip
    columns = ["text_id", "annotator", "other", "type", "link", "members", "start", "end"]
    return pd.DataFrame(rows, columns=columns).sort_values(["text_id", "start", "end", "annotator"], ignore_index=True)
