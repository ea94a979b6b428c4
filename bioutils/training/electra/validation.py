"""How well both networks do on text that was held back."""

import numpy as np

from bioutils.device import autocast
from bioutils.training.electra.objective import Electra
from bioutils.training.electra.rows import Masker, on_device

VALIDATION_ROWS = 512  # 65,000 tokens, 9,000 of them masked: an accuracy to within one point


def evaluate(model: Electra, masker: Masker, *, batch_size: int = 32) -> dict[str, float | None]:
    """Scores on the held-back rows, masked always alike: losses (nats), what the generator fills in rightly, and how well the
    discriminator, where there is one, tells replaced tokens from others, beside the share that is replaced (``base_rate``): who
    calls all original is right on all but these. AUC is over real tokens alone, and None where nothing or everything was
    replaced. Where a loss is not finite, the losses alone."""
    import torch
    from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

    n_rows = min(VALIDATION_ROWS, masker.examples.facts["validation_rows"])
    masked = masker("validation", np.arange(n_rows), (masker.settings.seed, 2**32 - 1))
    device = next(model.parameters()).device
    model.eval()
    sums, right, scores, replaced = np.zeros(2), 0, [], []
    with torch.no_grad(), autocast(masker.settings.bf16):
        for start in range(0, n_rows, batch_size):
            inputs = on_device(masked, slice(start, start + batch_size), device)
            step = model(**inputs)
            sums += (float(step.generator_loss), float(step.detection_loss))
            right += int((step.generator_logits.argmax(-1) == inputs["original"][inputs["chosen"]]).sum())
            if step.scores is None:
                continue
            scores.append(step.scores[step.real].float().cpu().numpy())
            replaced.append(step.replaced[step.real].cpu().numpy())
    n_chosen = int(masked.chosen.sum())
    if not scores:
        filling = {"generator_loss": float(sums[0] / n_chosen)}
        return filling | ({"generator_accuracy": right / n_chosen} if np.isfinite(sums[0]) else {})
    scores, replaced = np.concatenate(scores), np.concatenate(replaced)
    losses = {"generator_loss": float(sums[0] / n_chosen), "detection_loss": float(sums[1] / len(scores))}
    if not np.isfinite(sums).all():
        return losses
    precision, recall, _, _ = precision_recall_fscore_support(replaced, scores > 0, average="binary", zero_division=0)
    return {
        "generator_loss": losses["generator_loss"],
        "generator_accuracy": right / n_chosen,
        "detection_loss": losses["detection_loss"],
        "detection_auc": None if replaced.all() or not replaced.any() else float(roc_auc_score(replaced, scores)),
        "detection_accuracy": float(((scores > 0) == replaced).mean()),
        "detection_precision": float(precision),
        "detection_recall": float(recall),
        "base_rate": float(replaced.mean()),
    }
