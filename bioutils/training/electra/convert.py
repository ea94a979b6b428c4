"""An original ELECTRA checkpoint of TensorFlow as a model of transformers, in safetensors: nothing is left over in silence."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_folder, check_folder, read_lines
from bioutils.training.electra.tf_checkpoint import read_variables
from bioutils.training.electra.vocabulary import make_tokenizer, save_tokenizer

if TYPE_CHECKING:
    from transformers import ElectraConfig

# What training needs beside the weights: Adam's moments and the step.
NO_WEIGHTS = re.compile(r"(^|/)(adam_[mv]|adam_[mv]_1|global_step)$|^(beta[12]_power|_CHECKPOINTABLE_OBJECT_GRAPH)$")
RENAMED = (
    ("discriminator_predictions/dense_1/", "discriminator_predictions/dense_prediction/"),
    ("generator_predictions/output_bias", "generator_lm_head/bias"),
)
LAST = {"kernel": "weight", "gamma": "weight", "beta": "bias"}  # TensorFlow's names of a layer's parts
TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")  # are weights without a name of their own


def torch_name(name: str, *, generator: bool) -> str | None:
    """What transformers calls a variable of the original; None for one of the other network.

    >>> torch_name("electra/encoder/layer_0/attention/self/query/kernel", generator=False)
    'electra.encoder.layer.0.attention.self.query.weight'
    >>> torch_name("generator/encoder/layer_0/output/dense/bias", generator=True)
    'electra.encoder.layer.0.output.dense.bias'
    """
    own, other = ("generator", "discriminator") if generator else ("discriminator", "generator")
    if name.startswith(f"{other}_predictions/") or (not generator and name.startswith("generator/")):
        return None
    if generator and not name.startswith(("generator/", "generator_predictions/", "electra/embeddings/")):
        return None  # the embeddings alone are shared; the rest under electra/ is the discriminator's
    if not name.startswith(("electra/", "generator/", f"{own}_predictions/")):
        return ""  # nothing that ELECTRA has
    for old, new in RENAMED:
        name = name.replace(old, new)
    if generator:
        name = re.sub("^generator/", "electra/", name)
    parts = re.sub(r"/layer_(\d+)/", r"/layer/\1/", name).split("/")
    if parts[-1] in TABLES:
        parts.append("weight")
    parts[-1] = LAST.get(parts[-1], parts[-1])
    return ".".join(parts)


def sizes(weights: Mapping[str, np.ndarray], *, heads: int | None = None) -> "ElectraConfig":
    """The configuration that the shapes of the weights (under transformers' names) tell. Heads they do not: 64 wide by default.

    Raises DataError where the table of words or all layers are missing.
    """
    from transformers import ElectraConfig

    try:
        vocabulary, embedding = weights["electra.embeddings.word_embeddings.weight"].shape
        positions = weights["electra.embeddings.position_embeddings.weight"].shape[0]
        types = weights["electra.embeddings.token_type_embeddings.weight"].shape[0]
        inner, hidden = weights["electra.encoder.layer.0.intermediate.dense.weight"].shape
    except KeyError as missing:
        raise DataError(f"No {missing} in the checkpoint: it is none of ELECTRA.") from None
    layers = 1 + max(int(m[1]) for name in weights if (m := re.match(r"electra\.encoder\.layer\.(\d+)\.", name)))
    heads = heads or max(1, hidden // 64)
    if hidden % heads:
        raise UsageError(expected("heads", f"a divisor of the width {hidden}", heads))
    return ElectraConfig(
        vocab_size=vocabulary, embedding_size=embedding, hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, intermediate_size=inner, max_position_embeddings=positions, type_vocab_size=types,
    )  # fmt: skip


def convert(
    checkpoint: Path | str, out: Path, *, generator: bool = False, vocabulary: Path | None = None, lower_case: bool = True,
    heads: int | None = None, overwrite: bool = False,
) -> dict[str, int]:  # fmt: skip
    """Writes the discriminator (or the ``generator``) of a checkpoint to ``out`` and returns what became of its variables.

    ``vocabulary``: its vocab.txt, which makes the folder an encoder to use. Raises UsageError and DataError: for variables that
    ELECTRA has not, weights that are missing or of another shape, and a vocabulary of another length.
    """
    import torch
    from transformers import ElectraForMaskedLM, ElectraForPreTraining
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()  # it is done in an instant
    check_folder(out, mark="config.json", holds="a model", overwrite=overwrite)
    variables = read_variables(checkpoint)
    names = {name: torch_name(name, generator=generator) for name in variables if not NO_WEIGHTS.search(name)}
    if unknown := sorted(name for name, new in names.items() if new == ""):
        raise DataError(f"{len(unknown)} variables are none of ELECTRA's: {unknown[:5]}.", path=Path(checkpoint))
    # A kernel is (in, out) there and (out, in) here.
    weights = {
        new: (variables[old].T if old.endswith("/kernel") else variables[old]) for old, new in names.items() if new
    }
    config = sizes(weights, heads=heads)
    model = (ElectraForMaskedLM if generator else ElectraForPreTraining)(config)
    wanted = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    if generator:  # its output layer is the table of words
        wanted.pop("generator_lm_head.weight")
    if wrong := sorted(
        n for n in wanted.keys() | weights.keys() if wanted.get(n) != getattr(weights.get(n), "shape", None)
    ):
        told = [
            f"{n}: {wanted.get(n, 'nothing')} expected, {getattr(weights.get(n), 'shape', 'nothing')} found"
            for n in wrong
        ]
        raise DataError(f"{len(wrong)} weights do not fit: {'; '.join(told[:5])}.", path=Path(checkpoint))
    tensors = {n: torch.tensor(np.ascontiguousarray(w), dtype=torch.float32) for n, w in weights.items()}
    model.load_state_dict(tensors, strict=False)  # a tied table is not there twice
    model.tie_weights()
    pieces = [line for _, line in read_lines(vocabulary)] if vocabulary else None
    if pieces and len(pieces) != config.vocab_size:
        known = f"the checkpoint's {config.vocab_size:,}"
        remedy = "Give the vocab.txt that it was trained with."
        raise DataError(expected("the number of pieces", known, len(pieces), remedy=remedy), path=vocabulary)
    with atomic_folder(out) as folder:
        model.save_pretrained(folder)
        if pieces:
            save_tokenizer(make_tokenizer(pieces, lower_case=lower_case), folder)
    return {
        "weights converted": len(weights),
        "of the other network": sum(new is None for new in names.values()),
        "of the optimiser": len(variables) - len(names),
    }
