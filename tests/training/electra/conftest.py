"""A small text, examples of it and settings so small that a step takes milliseconds."""

import random
import resource

import pytest

from bioutils.training.electra.build import build
from bioutils.training.electra.settings import sized
from bioutils.training.electra.shards import Examples

GENES = "p53 BRCA1 Chk2 Mdm2 Rad51 ATM STAT3 Akt Myc Ras".split()
VERBS = "binds activates represses phosphorylates degrades".split()
PLACES = "nucleus cytosol membrane mitochondrion".split()


def write_text(path, *, documents=40, seed=0):
    """Sentences of one pattern, three a document, documents apart by blank lines."""
    rng = random.Random(seed)
    lines = []
    for _ in range(documents):
        for _ in range(3):
            a, b = rng.sample(range(10), 2)  # the gene decides its verb and its place: there is something to learn
            where = PLACES[a % 4]
            lines.append(f"{GENES[a]} {VERBS[a % 5]} {GENES[b]} in the {where} after {rng.randint(1, 999)} minutes.")
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def examples(tmp_path_factory) -> Examples:
    """Rows of 32 tokens from 450 sentences."""
    folder = tmp_path_factory.mktemp("examples")
    build(
        [write_text(folder / "text.txt", documents=150)],
        folder / "built",
        size=200,
        length=32,
        validation=0.2,
        progress=False,
    )
    return Examples(folder / "built")


@pytest.fixture(scope="session")
def tiny():
    """Two narrow layers, dropout on."""
    return sized(
        "tiny", hidden_size=16, head_size=8, embedding_size=8, layers=2, steps=6, batch_size=8, precision="fp32"
    )


@pytest.fixture
def file_limit():
    """A function that lets no file grow beyond so many bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
