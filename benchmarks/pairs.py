"""Scoring all pairs of marked units by a link head: at once, against a loop over pairs that applies the same layers to each."""

import numpy as np
import torch

from bioutils.heads.multihead import HeadSpec, LinkHead

from common import arguments, in_turn, machine

WIDTH = 384


def one_by_one(head: LinkHead, vectors: torch.Tensor) -> np.ndarray:
    """The probability of each pair, a product a pair."""
    whole = torch.cat([head.first.weight, head.second.weight], 1)
    found = np.zeros((len(vectors), len(vectors), len(head.labels)), dtype=np.float32)
    with torch.no_grad():
        for i in range(len(vectors)):
            for j in range(i + 1, len(vectors)):
                logit = whole @ torch.cat([vectors[i], vectors[j]]) + head.first.bias
                found[i, j] = found[j, i] = torch.sigmoid(logit if head.top is None else head.top(logit)).numpy()
    return found


def main() -> None:
    call = arguments(__doc__.splitlines()[0]).parse_args()
    print(f"pairs of units, {WIDTH} wide ({machine()})")
    print("| layers | units | pairs | loop, s | at once, s | ratio |\n|---|---|---|---|---|---|")
    for hidden in (False, True):
        torch.manual_seed(0)
        head = LinkHead(HeadSpec(name="l", kind="link", layer="link_only", hidden=hidden), WIDTH, ("link",)).eval()
        for n in (50, 100, 400):
            vectors = torch.randn(n, WIDTH)
            assert np.allclose(one_by_one(head, vectors[:20]), head.probabilities(vectors[:20], None), atol=1e-5)
            ways = {"loop": lambda: one_by_one(head, vectors), "at once": lambda: head.probabilities(vectors, None)}  # noqa: B023
            seconds = in_turn(ways, repeats=call.repeats)
            loop, fast = seconds["loop"], seconds["at once"]
            what = "two" if hidden else "one"
            print(f"| {what} | {n} | {n * (n - 1) // 2:,} | {loop:.3f} | {fast:.5f} | {loop / fast:,.0f} |")


if __name__ == "__main__":
    main()
