"""What pre-training costs, counted in floating-point operations and, from them, in time.

The counting follows the appendix of Clark et al. 2020 (arXiv 2003.10555): products and their additions are two operations,
dropout counts 4 a value, layer normalisation and softmax 5, an activation 8; the backward pass costs as much as the forward one.
"""

from dataclasses import dataclass

from bioutils.errors import UsageError, expected
from bioutils.training.electra.settings import ElectraSettings

DROPOUT, NORM, SOFTMAX, ACTIVATION = 4, 5, 5, 8
ASKED = 0.15625  # share of the tokens at which the generator predicts: 20 of 128, the room that the original leaves


@dataclass(frozen=True)
class Network:
    """The sizes that the cost of a network depends on."""

    hidden: int
    layers: int
    embedding: int
    vocabulary: int
    tokens: int = 128

    @property
    def block(self) -> int:
        """Of one layer, over a row."""
        h, n = self.hidden, self.tokens
        heads, inner = max(1, h // 64), 4 * h
        attention = (
            3 * (2 * h * h + h)  # queries, keys, values
            + 2 * h * n + 2 * h * n  # products of queries and keys, sums of values
            + (SOFTMAX + DROPOUT + 1) * n * heads  # the 1 is the scaling
            + 2 * h * h + h + (DROPOUT + 1 + NORM) * h  # output, added to what came in
        )  # fmt: skip
        feed_forward = 2 * h * inner + (1 + ACTIVATION) * inner + 2 * h * inner + (1 + DROPOUT + 1 + NORM) * h
        return n * (attention + feed_forward)

    @property
    def projection(self) -> int:
        """Of a token, from the embedding's width to the layers'; none where they are equal."""
        return 2 * self.hidden * self.embedding + self.hidden if self.embedding != self.hidden else 0

    @property
    def embed(self) -> int:
        """Of the input, over a row; the look-up counted as a product with the table, as on the chips of the time."""
        e = self.embedding
        each = 2 * e * self.vocabulary + 2 * e * (self.tokens + 2) + 2 * e + (NORM + DROPOUT) * e
        return self.tokens * (each + self.projection)

    @property
    def predict(self) -> float:
        """Of the output over the vocabulary, at the places that are asked for."""
        h, e, v = self.hidden, self.embedding, self.vocabulary
        each = 2 * e * v + 2 * h * e + e + (ACTIVATION + NORM) * e + SOFTMAX * v + 2 * v
        return ASKED * self.tokens * each

    @property
    def detect(self) -> int:
        """Of the judgement of every token."""
        h = self.hidden
        return self.tokens * (2 * h * h + h + ACTIVATION * h + 2 * h)


def electra_flops(
    settings: ElectraSettings, *, vocabulary: int = 30_522, tokens: int = 128, rows: int | None = None
) -> float:
    """Operations of a whole pre-training, both passes of both networks (of objective mlm, of the one); ``rows``: steps × batch,
    by default the settings'.

    Raises UsageError for a vocabulary, a length or a number of rows below 1.

    >>> from bioutils.training.electra.settings import SIZES
    >>> f"{electra_flops(SIZES['small']):.3e}"
    '1.294e+18'
    """
    rows = settings.steps * settings.batch_size if rows is None else rows
    for name, value in (("vocabulary", vocabulary), ("length", tokens), ("rows", rows)):
        if value < 1:
            raise UsageError(expected(name, "1 or more", value))
    sizes = {
        "layers": settings.layers,
        "embedding": settings.embedding_size,
        "vocabulary": vocabulary,
        "tokens": tokens,
    }
    generator, discriminator = Network(settings.generator_width, **sizes), Network(settings.hidden_size, **sizes)
    if settings.objective == "mlm":
        return 2 * rows * (settings.layers * generator.block + generator.embed + generator.predict)
    a_row = settings.layers * (generator.block + discriminator.block) + generator.embed + discriminator.embed
    return 2 * rows * (a_row + generator.predict + discriminator.detect)


def products_a_token(settings: ElectraSettings, *, vocabulary: int, tokens: int) -> float:
    """Operations in matrix products alone, three passes' worth (one forward, two backward), a token of text.

    What model FLOP utilisation is counted by (Chowdhery et al. 2022, arXiv 2204.02311): look-ups, norms and dropout are left out,
    and the generator predicts only at the masked places.
    """
    found = 0.0
    detects = settings.objective == "electra"
    for width in (settings.generator_width, *([settings.hidden_size] if detects else [])):
        layer = 2 * width * width * (4 + 2 * settings.feed_forward) + 4 * width * tokens
        found += settings.layers * layer + 2 * settings.embedding_size * width
    e, g, h = settings.embedding_size, settings.generator_width, settings.hidden_size
    found += settings.mask_share * (2 * g * e + 2 * e * vocabulary) + (2 * h * h + 2 * h) * detects
    return 3 * found
