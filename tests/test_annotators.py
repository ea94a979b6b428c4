from bioutils.annotators import linked_alone, roles_in
from bioutils.corpora.records import Document, Link, Remark, Span

TEXT = "Loss of p53 slows growth in mice."
SPANS = tuple(
    Span(f"T{i}", kind, ((a, b),), TEXT[a:b])
    for i, (kind, a, b) in enumerate([("ACTION", 0, 11), ("EFFECT", 12, 17), ("TRAIT", 18, 24), ("CONTEXT", 28, 32)])
)


def test_statements_of_some_categories_alone():
    links = (
        Link("L0", "LINK", (("action", "T0"), ("effect", "T1"))),
        Link("L1", "LINK", (("effect", "T1"), ("trait", "T2"))),
    )
    document = Document(
        "d", TEXT, SPANS, (), links, (Remark("R0", "value", "T0", "loss"), Remark("R3", "value", "T3", "mice"))
    )
    other = Document("e", TEXT, SPANS)
    [found] = linked_alone([document, other], ["EFFECT", "ACTION"])
    assert [link.id for link in found.links] == ["L0"]
    assert [span.id for span in found.spans] == ["T0", "T1"]
    assert [remark.id for remark in found.remarks] == ["R0"]
    assert [d.id for d in linked_alone([document, other], ["TRAIT"])] == ["d"]
    assert linked_alone([document, other], ["ACTION", "TRAIT"]) == []


def test_members_of_links_that_are_links_have_no_role():
    links = (
        Link("L0", "LINK", (("action", "T0"), ("effect", "T1"))),
        Link("L1", "LINK", (("cause", "L0"), ("what", "T1"))),
    )
    document = Document("d", TEXT, SPANS, (), (*links, Link("L2", "LINK", (("effect", "T1"), ("trait", "T2")))))
    assert roles_in([document]) == {"ACTION": "action", "EFFECT": "effect", "TRAIT": "trait"}
    assert [x.id for d in linked_alone([document], ["EFFECT", "ACTION"]) for x in d.links] == ["L0"]
