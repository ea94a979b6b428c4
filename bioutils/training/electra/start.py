"""Where the embeddings begin: at what counting knows already, instead of at random.

From random tables a masked model first learns how often each piece occurs, and stays there for millions of tokens: uniform
attention over a hundred tokens tells nothing of the neighbours. Word vectors from counts of neighbours, positions as sines, and
short pieces of rows to begin with (``ElectraSettings.warm_pieces``) bring it over this in some hundred steps.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bioutils.training.electra.objective import Electra
    from bioutils.training.electra.shards import Examples

WINDOW = 4  # neighbours on each side, the nearer counted more
MOST_ROWS = 50_000  # counted: six million tokens say enough of twelve thousand pieces
NORM = 0.7  # of a piece's vector: logits of a few units at the start
HEIGHT = 0.05  # of the sines: positions then weigh as much as words in their sum


def word_vectors(examples: "Examples", size: int, *, seed: int = 0) -> np.ndarray:
    """Vectors (pieces, size), float32: the positive pointwise mutual information of pieces that stand near each other in the
    training rows, with smoothed contexts, factorised (Levy, Goldberg & Dagan 2015, TACL 3:211). Pieces never seen get zeros."""
    import scipy.sparse as sparse
    from sklearn.utils.extmath import randomized_svd

    n, n_rows = examples.facts["vocab_size"], min(MOST_ROWS, examples.facts["train_rows"])
    rows = examples.rows("train", np.arange(n_rows))
    counts = sparse.csr_matrix((n, n), dtype=np.float32)
    for distance in range(1, min(WINDOW, rows.shape[1] - 1) + 1):
        first, second = rows[:, :-distance].ravel(), rows[:, distance:].ravel()
        weights = np.full(len(first), 1 / distance, dtype=np.float32)
        counts = counts + sparse.coo_matrix((weights, (first, second)), shape=(n, n)).tocsr()
    pairs = (counts + counts.T).tocoo()
    often = np.bincount(pairs.row, weights=pairs.data, minlength=n)
    context = often**0.75
    information = np.log(pairs.data * context.sum() / (often[pairs.row] * context[pairs.col]))
    keep = information > 0
    table = sparse.csr_matrix((information[keep], (pairs.row[keep], pairs.col[keep])), shape=(n, n))
    left, strength, _ = randomized_svd(table, min(size, n - 1), n_iter=2, random_state=seed)
    found = np.zeros((n, size), dtype=np.float32)
    found[:, : left.shape[1]] = left * np.sqrt(strength)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.divide(NORM * found, lengths, out=np.zeros_like(found), where=lengths > 1e-6)


def position_vectors(n: int, size: int) -> np.ndarray:
    """Vectors (n, size), float32, of sines and cosines of growing length (Vaswani et al. 2017): near places have near vectors,
    and the step from a place to the next is the same turn everywhere."""
    half = size // 2
    angles = np.arange(n)[:, None] / 10_000 ** (np.arange(half)[None] / half)
    found = np.zeros((n, size), dtype=np.float32)
    found[:, :half], found[:, half : 2 * half] = np.sin(angles), np.cos(angles)
    return HEIGHT * found


def set_start(electra: "Electra", examples: "Examples") -> None:
    """Puts both into the networks' tables, which are shared or not as the settings say."""
    import torch

    settings = electra.settings
    words = torch.from_numpy(word_vectors(examples, settings.embedding_size, seed=settings.seed))
    positions = torch.from_numpy(position_vectors(settings.positions, settings.embedding_size))
    with torch.no_grad():
        for network in filter(None, (electra.generator, electra.discriminator)):
            table = network.electra.embeddings
            table.position_embeddings.weight.copy_(positions)
            if network is electra.generator or settings.sharing != "disentangled":  # there it is what is added
                table.word_embeddings.weight.copy_(words)
