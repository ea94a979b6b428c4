"""A WordPiece vocabulary learned from text, and the tokenizer that reads with it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # in BERT's order: [PAD] is 0
ALPHABET = 1000  # single characters at most; what is rarer is read as [UNK]
SIZE = 12_000  # a small model's embeddings grow with it: 169,300 pieces, as once, were two thirds of the weights


def learn_vocabulary(
    sentences: Iterable[str], *, size: int = SIZE, lower_case: bool = True, strip_accents: bool | None = None
) -> "PreTrainedTokenizerBase":
    """A tokenizer whose pieces are merged by how often they stand together (WordPiece; Wu et al. 2016, arXiv 1609.08144).

    ``strip_accents``: None does as ``lower_case`` does, which is BERT's rule. The same text gives the same vocabulary.
    Raises UsageError where ``size`` is smaller than the text's alphabet.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer = normalizers.BertNormalizer(lowercase=lower_case, strip_accents=strip_accents)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = _words(sentences, learner)
    alphabet = _alphabet(words)
    # The trainer numbers characters in the order of a hash map and breaks ties by number. Given first, as if they were special
    # tokens, they stand in our order, and the same text gives the same vocabulary.
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=[*SPECIAL, *alphabet], limit_alphabet=len(alphabet), min_frequency=2,
        show_progress=False,
    )  # fmt: skip
    learner.train_from_iterator((f"{word} " * words[word] for word in sorted(words)), trainer)
    found = learner.get_vocab_size()
    if found > size:  # single characters are never left out
        raise UsageError(
            expected("the vocabulary's size", f"at least {found}, as the text's alphabet alone needs", size)
        )
    return make_tokenizer(_in_order(learner.get_vocab()), lower_case=lower_case, strip_accents=strip_accents)


def _words(sentences: Iterable[str], learner: "Tokenizer") -> Counter[str]:
    """How often each word stands in the text, normalised and cut as the tokenizer will."""
    words: Counter[str] = Counter()
    for sentence in sentences:
        words.update(
            word for word, _ in learner.pre_tokenizer.pre_tokenize_str(learner.normalizer.normalize_str(sentence))
        )
    return words


def _alphabet(words: Counter[str]) -> list[str]:
    """The most frequent characters, each at the beginning of a word and, marked so, inside one, where it occurs there."""
    first, inside = Counter(), Counter()
    for word, n in words.items():
        first[word[0]] += n
        for character in word[1:]:
            inside[character] += n
    both = first + inside
    kept = sorted(sorted(both, key=lambda c: (-both[c], c))[:ALPHABET])
    return [c for c in kept if first[c]] + [f"##{c}" for c in kept if inside[c]]


def _in_order(vocabulary: dict[str, int]) -> list[str]:
    return sorted(vocabulary, key=vocabulary.__getitem__)


def make_tokenizer(
    pieces: Sequence[str], *, lower_case: bool = True, strip_accents: bool | None = None
) -> "PreTrainedTokenizerBase":
    """BERT's fast tokenizer over ``pieces`` in their order."""
    from transformers import BertTokenizer

    return BertTokenizer(
        vocab={piece: i for i, piece in enumerate(pieces)}, do_lower_case=lower_case, strip_accents=strip_accents
    )


def pieces_a_word(tokenizer: "PreTrainedTokenizerBase", words: Sequence[str]) -> float:
    """How many pieces a word is cut into, on average (its *fertility*): 1 where each word is in the vocabulary."""
    ids = tokenizer(list(words), add_special_tokens=False)["input_ids"]
    return sum(map(len, ids)) / max(1, len(words))


def save_tokenizer(tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """``tokenizer.json`` and its settings, and ``vocab.txt``, a piece a line, for other programs."""
    tokenizer.save_pretrained(folder)
    pieces = _in_order(tokenizer.get_vocab())
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
