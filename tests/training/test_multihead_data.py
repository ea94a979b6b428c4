import hashlib
from dataclasses import replace

from bioutils.corpora.records import Document, write_jsonl
from bioutils.training.multihead_config import Data
from bioutils.training.multihead_data import data_sha256, documents_of


def test_the_hash_is_of_what_was_read(annotated, tmp_path):
    line = '{"id": "d", "text": "β"}\n'
    assert data_sha256([Document("d", "β")]) == hashlib.sha256(line.encode()).hexdigest()
    write_jsonl([annotated], tmp_path / "a.jsonl")
    found = data_sha256(documents_of(Data(source=str(tmp_path / "a.jsonl"))))
    assert found == data_sha256([annotated])
    others = [
        [replace(annotated, links=())],
        [replace(annotated, text=annotated.text + " ")],
        [annotated, annotated],
        [],
    ]
    assert len({found, *map(data_sha256, others)}) == 5
