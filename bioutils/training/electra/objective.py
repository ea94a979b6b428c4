"""ELECTRA's objective: a small generator fills masked places, a discriminator says of every token whether it was replaced.

Clark et al. 2020, *ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators*, arXiv 2003.10555.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bioutils.training.electra.settings import ElectraSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Masked(NamedTuple):
    """Rows prepared for a step, arrays (rows, tokens): what the generator reads, which places it has to fill, a number each in
    [0, 1) that decides what is sampled there, and the original."""

    input_ids: np.ndarray
    chosen: np.ndarray
    draw: np.ndarray
    original: np.ndarray


def mask_rows(
    ids: np.ndarray, special: np.ndarray, *, mask_id: int, mask_share: float, mask_token: float, seed: tuple[int, ...]
) -> Masked:
    """Chooses ``mask_share`` of each row's tokens that are not ``special`` (at least one), without repetition.

    ``mask_token`` of the chosen become [MASK], the others stay as they are and are still to be predicted. ``seed``, such as
    (seed, step), decides everything: the same step masks alike after a resume and on any number of devices.
    """
    rng = np.random.default_rng(seed)
    order, keep, draw = rng.random((3, *ids.shape), dtype=np.float32)
    usable = ~np.isin(ids, special)
    wanted = np.minimum(usable.sum(1), np.maximum(1, np.rint(usable.sum(1) * mask_share))).astype(int)
    rank = np.where(usable, order, 2.0).argsort(1, kind="stable").argsort(1, kind="stable")
    chosen = usable & (rank < wanted[:, None])
    return Masked(np.where(chosen & (keep < mask_token), mask_id, ids), chosen, draw, ids)


def sample(logits: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
    """A token id a row of ``logits`` (places, vocabulary), drawn by its softmax in float32 and without gradient.

    By the inverse of the distribution function at ``draw`` (places,) in [0, 1): one random number a place, where Gumbel noise
    would need one for each piece of the vocabulary.
    """
    with torch.no_grad():
        steps = logits.float().softmax(-1).cumsum(-1)
        return torch.searchsorted(steps, (draw * steps[:, -1])[:, None], right=True)[:, 0].clamp_(
            max=logits.shape[1] - 1
        )


class Step(NamedTuple):
    """One pass over rows: the two losses summed, over how many places, and what each network said.

    ``replaced`` (rows, tokens): where the generator's choice differs from the original: one that equals it is none.
    """

    generator_loss: torch.Tensor  # nats, summed over the chosen places
    detection_loss: torch.Tensor  # nats, summed over the real tokens; 0 where nothing is detected
    n_chosen: torch.Tensor
    n_real: torch.Tensor
    generator_logits: torch.Tensor  # (places, vocabulary)
    scores: torch.Tensor | None  # (rows, tokens): the discriminator's logit that a token was replaced
    filled: torch.Tensor | None  # (rows, tokens): the ids that it read
    replaced: torch.Tensor | None
    real: torch.Tensor  # (rows, tokens): no padding
    filling_loss: torch.Tensor | None = (
        None  # nats, summed over the chosen places: of the discriminator's body in a warm start
    )


class Electra(nn.Module):
    """Generator and discriminator under one objective, their embeddings shared as ``settings.sharing`` says.

    With objective mlm there is no discriminator, and the generator, in full width, is the encoder (Devlin et al. 2019, arXiv
    1810.04805).
    """

    def __init__(self, settings: ElectraSettings, tokenizer: "PreTrainedTokenizerBase"):
        from transformers import ElectraForMaskedLM, ElectraForPreTraining

        super().__init__()
        self.settings, self.pad = settings, tokenizer.pad_token_id
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            configs = [settings.config(len(tokenizer), pad=self.pad, generator=g) for g in (True, False)]
            self.generator = ElectraForMaskedLM(configs[0])
            self.discriminator = ElectraForPreTraining(configs[1]) if settings.objective == "electra" else None
        if settings.sharing == "all" and self.discriminator is not None:
            self.generator.electra.embeddings = self.discriminator.electra.embeddings
        self.generator.generator_lm_head.weight = self.generator.electra.embeddings.word_embeddings.weight
        if settings.warm_start:
            with torch.random.fork_rng():
                torch.manual_seed(settings.seed)
                self.filler = ElectraForMaskedLM(configs[1])
            self.filler.electra = self.discriminator.electra
            self.filler.generator_lm_head.weight = self.generator.generator_lm_head.weight
        if settings.sharing == "disentangled" and self.discriminator is not None:
            # The discriminator's table is what it adds to the generator's, whose gradient it must not touch.
            nn.init.zeros_(self.discriminator.electra.embeddings.word_embeddings.weight)

    def forward(
        self, input_ids: torch.Tensor, chosen: torch.Tensor, draw: torch.Tensor, original: torch.Tensor,
        warm: bool = False,
    ) -> Step:  # fmt: skip
        """All (rows, tokens); ``Masked`` says what they are. ``warm``: the discriminator's body fills in, and detects nothing."""
        real = original != self.pad
        mask = None if bool(real.all()) else real.long()  # without a mask attention is faster
        hidden = self.generator.electra(input_ids, attention_mask=mask).last_hidden_state
        logits, generator_loss = self._fill(self.generator, hidden[chosen], original[chosen])
        if warm:
            _, loss = self._fill(self.filler, self._body(input_ids, mask)[chosen], original[chosen])
            none = torch.zeros_like(loss)
            return Step(generator_loss, none, chosen.sum(), real.sum(), logits, None, None, None, real, loss)
        if self.discriminator is None:
            none = torch.zeros_like(generator_loss)
            return Step(generator_loss, none, chosen.sum(), real.sum(), logits, None, None, None, real)

        filled = original.clone()
        filled[chosen] = sample(logits, draw[chosen])
        replaced = filled != original
        scores = self.detect(filled, mask)
        losses = binary_cross_entropy_with_logits(scores.float(), replaced.float(), reduction="none")
        return Step(
            generator_loss, losses[real].sum(), chosen.sum(), real.sum(), logits, scores, filled, replaced, real
        )

    @staticmethod
    def _fill(network: nn.Module, hidden: torch.Tensor, original: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the places and their summed loss. The output layer over the vocabulary is dear: only where it is asked."""
        logits = network.generator_lm_head(network.generator_predictions(hidden))
        return logits, cross_entropy(logits.float(), original, reduction="sum")

    def detect(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The discriminator's logit (rows, tokens) that a token was replaced."""
        return self.discriminator.discriminator_predictions(self._body(ids, mask))

    def _body(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The discriminator's vectors (rows, tokens, width)."""
        if self.settings.sharing != "disentangled":
            return self.discriminator.electra(ids, attention_mask=mask).last_hidden_state
        shared = self.generator.electra.embeddings.word_embeddings(ids).detach()
        added = self.discriminator.electra.embeddings.word_embeddings(ids)
        return self.discriminator.electra(inputs_embeds=shared + added, attention_mask=mask).last_hidden_state

    def loss(self, step: Step, n_chosen: torch.Tensor | int, n_real: torch.Tensor | int) -> torch.Tensor:
        """The mean generator loss + ``detection_weight`` × the mean detection loss, over the counts of the whole batch.

        In a warm start the mean losses of both networks' fillings.
        """
        if step.filling_loss is not None:
            return (step.generator_loss + step.filling_loss) / n_chosen
        return step.generator_loss / n_chosen + self.settings.detection_weight * step.detection_loss / n_real

    def encoder(self) -> nn.Module:
        """The network to keep: the discriminator, with disentangled sharing its table the sum of both; of mlm the only one."""
        if self.discriminator is None:
            return self.generator
        if self.settings.sharing == "disentangled":
            import copy

            found = copy.deepcopy(self.discriminator)
            shared = self.generator.electra.embeddings.word_embeddings.weight
            found.electra.embeddings.word_embeddings.weight.data += shared.data
            return found
        return self.discriminator
