"""Vectors of texts, maps of them in two dimensions, and numbers that say how much a map may be believed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.device import autocast, choose_device, keep_freed_memory
from bioutils.errors import UsageError, expected
from bioutils.features import device_batches
from bioutils.heads.pooling import pool

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAPS = {"pca": "PCA", "tsne": "t-SNE", "pca_tsne": "t-SNE on the PCA", "umap": "UMAP", "aligned_umap": "aligned UMAP"}
PERPLEXITY, ITERATIONS, RATE = 50, 1000, 400  # the relation experiments' t-SNE, so that the pictures can be compared
ALIGNED_MOST = 500  # texts an epoch: AlignedUMAP takes minutes beyond


def text_vectors(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    ids: Sequence[Sequence[int]],
    *,
    pooling: str = "cls",
    layer: int = -1,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Vectors (texts, width) of token ids, float32, and a classifier's logits (texts, classes) from the same pass.

    ``model``: an encoder (no logits: None) or a classifier on one. Its mode is put back. Raises UsageError on no texts.
    """
    import torch

    if not len(ids):
        raise UsageError(expected("ids", "of one text or more", "none"))
    keep_freed_memory()
    training = model.training
    model = model.to(choose_device()).eval()
    vectors: np.ndarray | None = None
    logits: np.ndarray | None = None
    with torch.no_grad(), autocast():
        for rows, inputs in device_batches(ids, tokenizer):
            found = model(**inputs, output_hidden_states=True)
            pooled = pool(found.hidden_states[layer], inputs["attention_mask"], pooling).float().cpu().numpy()
            if vectors is None:
                vectors = np.empty((len(ids), pooled.shape[1]), dtype=np.float32)
            vectors[rows] = pooled
            if (scores := getattr(found, "logits", None)) is not None:
                if logits is None:
                    logits = np.empty((len(ids), scores.shape[1]), dtype=np.float32)
                logits[rows] = scores.float().cpu().numpy()
    model.train(training)
    return vectors, logits


def fit_map(vectors: np.ndarray, method: str, *, seed: int = 0) -> np.ndarray:
    """The vectors (epochs, texts, width) in two dimensions, (epochs, texts, 2): one map fitted on all epochs together.

    So all frames share one space, and a point that moves has moved. ``method``: one of MAPS; "aligned_umap" fits a map an
    epoch and holds them together (for up to ALIGNED_MOST texts). Raises UsageError on an unknown method, on numbers that
    are not finite and on fewer than 10 points.
    """
    epochs, texts, width = vectors.shape
    flat = vectors.reshape(epochs * texts, width)
    if method not in MAPS:
        raise UsageError(expected("method", "a known map", method, available=MAPS))
    if len(flat) < 10:
        raise UsageError(expected("vectors", "10 points or more, over all epochs", len(flat)))
    if not np.isfinite(flat).all():
        raise UsageError("Expected vectors to be finite, found NaN or infinity. Did the training diverge?")
    if method == "aligned_umap":
        return _aligned_umap(vectors, seed)
    found = {"pca": _pca, "tsne": _tsne, "pca_tsne": lambda x, s: _tsne(_pca(x, s), s), "umap": _umap}[method](
        flat, seed
    )
    return found.reshape(epochs, texts, 2).astype(np.float32)


def _pca(flat: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    return PCA(2, random_state=seed).fit_transform(flat)


def _tsne(flat: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(flat) - 1) / 3)  # more is not defined for so few points
    method = TSNE(2, perplexity=perplexity, max_iter=ITERATIONS, learning_rate=RATE, init="pca", random_state=seed)
    return method.fit_transform(flat)


def _umap(flat: np.ndarray, seed: int) -> np.ndarray:
    import warnings

    import umap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a seed means one thread
        return umap.UMAP(n_neighbors=min(15, len(flat) - 1), random_state=seed).fit_transform(flat)


def _aligned_umap(vectors: np.ndarray, seed: int) -> np.ndarray:
    import warnings

    import umap

    epochs, texts, _ = vectors.shape
    if texts > ALIGNED_MOST:
        raise UsageError(expected("texts", f"{ALIGNED_MOST} at most for aligned_umap", texts, remedy="Take umap."))
    if epochs < 2:
        raise UsageError(expected("epochs", "two or more for aligned_umap", epochs))
    same = [{i: i for i in range(texts)} for _ in range(epochs - 1)]  # each text is itself in the next epoch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method = umap.AlignedUMAP(n_neighbors=min(15, texts - 1), random_state=seed)
        return np.stack(method.fit_transform(list(vectors), relations=same)).astype(np.float32)


def linear_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Similarity of two sets of vectors of the same texts, from 0 to 1 (equal but for rotation and scale).

    Linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414). Widths may differ.
    """
    a, b = (np.asarray(x, dtype=float) - np.mean(x, axis=0, dtype=float) for x in (first, second))
    scale = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.linalg.norm(a.T @ b) ** 2 / scale) if scale else 0.0


def neighbours_right(vectors: np.ndarray, labels: Sequence[int] | np.ndarray, *, k: int = 10) -> np.ndarray:
    """Boolean (texts,): whether most of a text's k nearest others (cosine) have its label; ties go to the lower label."""
    from sklearn.neighbors import NearestNeighbors

    labels, k = np.asarray(labels), min(k, len(vectors) - 1)
    near = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(vectors).kneighbors(vectors)[1]
    votes = np.zeros((len(vectors), labels.max() + 1))
    for row, found in enumerate(near):
        others = found[found != row][:k]  # itself is not always the first: copies are as near
        votes[row] = np.bincount(labels[others], minlength=votes.shape[1])
    return votes.argmax(1) == labels


def epoch_numbers(vectors: np.ndarray, labels: Sequence[int] | np.ndarray, *, k: int = 10) -> "pd.DataFrame":
    """One row an epoch (0 before training): how well labels part, in the whole space and not in a map.

    ``silhouette`` (cosine, −1 to 1), ``knn_accuracy`` (leave one out), ``cka_to_start`` and ``cka_to_previous``.
    """
    import pandas as pd
    from sklearn.metrics import silhouette_score

    rows = []
    for epoch, found in enumerate(vectors):
        rows.append(
            {
                "epoch": epoch,
                "silhouette": float(silhouette_score(found, labels, metric="cosine")),
                "knn_accuracy": float(neighbours_right(found, labels, k=k).mean()),
                "cka_to_start": linear_cka(vectors[0], found),
                "cka_to_previous": linear_cka(vectors[max(0, epoch - 1)], found),
            }
        )
    return pd.DataFrame(rows)


def map_trust(vectors: np.ndarray, maps: dict[str, np.ndarray], *, k: int = 10) -> "pd.DataFrame":
    """One row an epoch, a column a map: the trustworthiness of the frame, from 0 to 1.

    1: whatever is near in the map is near in the whole space (Venna & Kaski 2001).
    """
    import pandas as pd
    from sklearn.manifold import trustworthiness

    k = min(k, (vectors.shape[1] - 1) // 2)
    rows = [
        {name: trustworthiness(vectors[epoch], points[epoch], n_neighbors=k) for name, points in maps.items()}
        for epoch in range(len(vectors))
    ]
    return pd.DataFrame(rows).rename_axis("epoch")
