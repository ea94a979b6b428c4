"""How ELECTRA is pre-trained: sizes and schedule in one place, each with its reason."""

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any, Literal, get_args

from bioutils.errors import UsageError, expected
from bioutils.training.arguments import check_fields

if TYPE_CHECKING:
    from transformers import ElectraConfig

Precision = Literal["auto", "bf16", "fp32"]
Sharing = Literal["all", "disentangled", "none"]
Start = Literal["random", "counts"]
Objective = Literal["electra", "mlm"]


def setting(default: Any, why: str) -> Any:
    """A field with its reason, which ``pretrain --help`` shows too."""
    return field(default=default, metadata={"help": why})


@dataclass(frozen=True, kw_only=True)
class ElectraSettings:
    """Sizes of both networks, the objective and the schedule. Raises UsageError on a value out of range."""

    hidden_size: int = setting(256, "width of the discriminator; the original's small model")
    layers: int = setting(4, "of both networks, of the original's twelve: what can be trained on a laptop in an hour")
    embedding_size: int = setting(128, "half the width: a vocabulary's table is the larger part of a small model")
    head_size: int = setting(64, "width of a head of attention, as in every BERT")
    feed_forward: int = setting(4, "times the width, as in every BERT")
    generator_share: float = setting(
        0.25, "of the width: a generator that is too good leaves nothing to find (Clark et al., fig. 3)"
    )
    positions: int = setting(
        512, "the longest input of the encoder; positions beyond the rows' length are never trained"
    )
    mask_share: float = setting(0.15, "of the tokens that are not special")
    mask_token: float = setting(0.85, "of these become [MASK], the others stay: fine-tuning never sees [MASK]")
    detection_weight: float = setting(50.0, "its loss is a hundredth of the generator's (Clark et al., table 6)")
    objective: Objective = setting(  # noqa: RUF009
        "electra", "mlm: one network fills in masked tokens, as BERT, and nothing is detected; to compare with"
    )
    sharing: Sharing = setting(  # noqa: RUF009  a default and its reason, nothing that could be shared
        "all", "of the embeddings; disentangled as DeBERTaV3 (He et al. 2021, arXiv 2111.09543)"
    )
    start: Start = setting(  # noqa: RUF009
        "random", "of the embeddings; counts spares millions of tokens in which only frequencies are learned"
    )
    warm_start: float = setting(
        0.0, "share of the steps in which the discriminator's body fills in masked tokens, before it detects"
    )
    warm_pieces: int = setting(
        16, "tokens that rows are read in at first, in the warm start: neighbours are found sooner among few"
    )
    dropout: float = setting(0.1, "0 where each text is seen few times")
    steps: int = setting(1000, "of the optimiser")
    batch_size: int = setting(
        32, "rows a step over all devices: a quarter of the original's, for four times the steps of an hour"
    )
    accumulation: int = setting(1, "batches of batch-size / accumulation rows, where memory is short")
    learning_rate: float = setting(1e-3, "twice the original's: a third of the layers, a thousandth of the steps")
    warmup: float = setting(0.06, "share of the steps in which the rate grows; 10,000 of a million would be none here")
    weight_decay: float = setting(0.01, "of weight matrices, as in every BERT")
    layer_decay: float = setting(
        1.0, "of the rate from layer to layer: each begins from nothing, so none has anything to keep"
    )
    epsilon: float = setting(1e-6, "Adam's, the original's")
    precision: Precision = setting(  # noqa: RUF009
        "auto", "of matrix products; auto takes bf16 where it pays, measured"
    )
    seed: int = setting(42, "of the weights, the rows' order, the masks and the dropout")

    def __post_init__(self):
        ranges = (
            ("head_size", lambda v: v >= 1, "1 or more"),
            ("hidden_size", lambda v: v > 0 and v % self.head_size == 0, f"a multiple of head_size ({self.head_size})"),
            ("layers", lambda v: v >= 1, "1 or more"),
            ("embedding_size", lambda v: v >= 1, "1 or more"),
            ("feed_forward", lambda v: v >= 1, "1 or more"),
            ("generator_share", lambda v: 0 < v <= 1, "a share above 0, up to 1"),
            ("positions", lambda v: v >= 8, "8 or more"),
            ("mask_share", lambda v: 0 < v < 1, "a share between 0 and 1"),
            ("mask_token", lambda v: 0 <= v <= 1, "a share from 0 to 1"),
            ("detection_weight", lambda v: 0 <= v < inf, "0 or more"),
            ("warm_start", lambda v: 0 <= v < 1, "a share from 0, below 1"),
            ("warm_pieces", lambda v: v >= 4, "4 tokens or more"),
            ("dropout", lambda v: 0 <= v < 1, "a share from 0, below 1"),
            ("steps", lambda v: v >= 1, "1 or more"),
            ("batch_size", lambda v: v >= 1, "1 or more"),
            ("accumulation", lambda v: v >= 1 and self.batch_size % v == 0, "a divisor of batch_size"),
            ("learning_rate", lambda v: 0 < v < 1, "between 0 and 1"),
            ("warmup", lambda v: 0 <= v < 1, "a share from 0, below 1"),
            ("weight_decay", lambda v: 0 <= v < inf, "0 or more"),
            ("layer_decay", lambda v: 0 < v <= 1, "above 0, up to 1"),
            ("epsilon", lambda v: 0 < v < inf, "above 0"),
            ("seed", lambda v: 0 <= v < 2**32, "0 or more, below 2**32"),
        )
        choices = {"precision": Precision, "sharing": Sharing, "start": Start, "objective": Objective}
        check_fields(self, ranges, {name: get_args(known) for name, known in choices.items()})
        if self.objective == "mlm" and self.warm_start:
            raise UsageError("A warm start is filling in before detecting: with objective mlm leave warm_start at 0.")

    @property
    def bf16(self) -> bool:
        """Whether matrix products run in bfloat16."""
        from bioutils.device import bf16_pays

        return self.precision == "bf16" or (self.precision == "auto" and bf16_pays())

    def piece(self, step: int) -> int:
        """Tokens that rows are read in at a step (from 0): ``warm_pieces`` in the first half of a warm start, four times as many
        in the second, and 0, whole rows, after it."""
        share = step / (self.warm_start * self.steps) if self.warm_start else 1
        return 0 if share >= 1 else self.warm_pieces * (1 if share < 0.5 else 4)

    @property
    def generator_width(self) -> int:
        """The generator's hidden size: its share of the discriminator's, in whole heads; of the one network of mlm the whole."""
        if self.objective == "mlm":
            return self.hidden_size
        return max(1, round(self.hidden_size * self.generator_share / self.head_size)) * self.head_size

    def config(self, vocab_size: int, *, pad: int = 0, generator: bool = False) -> "ElectraConfig":
        """transformers' configuration of one of the two networks."""
        from transformers import ElectraConfig

        width = self.generator_width if generator else self.hidden_size
        return ElectraConfig(
            vocab_size=vocab_size, pad_token_id=pad, embedding_size=self.embedding_size, hidden_size=width,
            num_hidden_layers=self.layers, num_attention_heads=width // self.head_size,
            intermediate_size=width * self.feed_forward, max_position_embeddings=self.positions,
            hidden_dropout_prob=self.dropout, attention_probs_dropout_prob=self.dropout,
        )  # fmt: skip


SIZES = {
    "tiny": ElectraSettings(),
    "small": ElectraSettings(layers=12, batch_size=128, learning_rate=5e-4, steps=1_000_000, warmup=0.01),
    "base": ElectraSettings(
        hidden_size=768, layers=12, embedding_size=768, generator_share=1 / 3, batch_size=256, learning_rate=2e-4,
        steps=766_000, warmup=0.013,
    ),
}  # fmt: skip


LENGTHS = {"tiny": 128, "small": 128, "base": 512}  # tokens a row that each size was, or is, trained with


def sized(size: str, **changes) -> ElectraSettings:
    """The settings of a size with ``changes``. Raises UsageError for an unknown size or setting."""
    if size not in SIZES:
        raise UsageError(expected("size", "a known one", size, available=SIZES))
    if unknown := set(changes) - set(ElectraSettings.__dataclass_fields__):
        raise UsageError(
            expected("setting", "a known one", unknown.pop(), available=ElectraSettings.__dataclass_fields__)
        )
    return replace(SIZES[size], **changes)
