"""The configuration of several heads at once: one YAML file, checked before anything runs.

Every key of the earlier system's JSON has its place here; notebook 12 has the table.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from bioutils.corpora.conversion import FORMATS
from bioutils.errors import UsageError, expected
from bioutils.heads.multihead import HeadSpec
from bioutils.training.arguments import TrainingSettings, read_config
from bioutils.training.multihead import FINE_TUNED, FROZEN, STEADY

MODES = ("train", "test", "deploy", "analyse")
HTML = "html"  # what is deployed as a page, beside the formats of annotations
# Fields of TrainingSettings that several heads have no use for, and what is done instead.
IGNORED = {
    "accumulation": "each step takes training.batch_size texts, whose gradients are not gathered over several",
    "metric": "the epoch with the best mean F1 of the heads on the validation abstracts is kept",
}
EXAMPLE = """example of CONFIG:
  out: outputs/tags                # folder of the model and its records
  data:
    source: data/sample/mae/anna   # folder, archive or file of MAE, brat, BioC, JSON lines or word JSON
    linked_only: false             # documents without a link left out, to train links
  model:
    encoder: minilm
    frozen: true                   # heads alone; false fine-tunes the encoder too
    dropout: 0.1
    heads:
      category: {kind: single_label, layer: category}
      context: {kind: single_label, layer: CONTEXT}
      effect: {kind: crf, layer: EFFECT, scheme: BIO}
      link: {kind: link, layer: link_only, hidden: 64, marks: true}
  training:                        # the fields of TrainingSettings, and
    epochs: 40
    balance: 0.5                   # of labels: 0 none, 1 full
    average: 0.998                 # keep the moving average of the weights; 0: those of the last step (default of heads alone)
    freeze: 0                      # lowest parts of an encoder that is trained, left as they are; 1, its embeddings, by default
    folds: 4                       # 0: no folds
    final: true                    # train on all at the end
  test:
    source: more/annotations       # for --mode test
    known: false                   # true: abstracts that the model was trained on are meant to be among them
  deploy:
    inputs: [abstracts.xml]        # for --mode deploy
    out: tagged.html               # or .jsonl, .json (BioC), a folder with to: brat or to: mae
    linker: outputs/links          # another model for the links
    threshold: 0.5                 # mean probability above which tags are joined; left out: the linker's own
    linked: [PERTURBING_ACTION, EFFECT]  # left out: all; else links with these alone, and texts that have one
  analyse:                         # for --mode analyse: recorded runs compared, into out
    runs: [tags, tags-crf]         # names or folders; left out: all that were trained by folds
    by: [balance, encoder]         # parameters to show, their last parts are enough; left out: those in which the runs differ
    heads: [category, effect]      # left out: all; runs that have none of these are left out too, and counted
    metric: f1                     # or precision, recall, accuracy, loss
    combine: mean                  # of heads; or geometric, sum
"""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where annotated documents are."""

    source: str
    categories: str = ""  # tag-category file, for names in word JSON
    linked_only: bool = False


@dataclass(frozen=True, kw_only=True)
class NewData(Data):
    """Annotated documents to test on."""

    known: bool = False  # whether they may be of abstracts that the model was trained on


@dataclass(frozen=True, kw_only=True)
class Model:
    """The encoder and what stands on it."""

    heads: dict[str, HeadSpec]
    encoder: str = "minilm"
    frozen: bool = True
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Training beside ``TrainingSettings``: balance of labels, what steadies it, folds, and whether a last model learns from
    all documents."""

    balance: float = 0.5
    average: float = 0.0
    freeze: int = 0
    folds: int = 4
    validation: float = 0.1
    final: bool = True


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """Texts to annotate and where to."""

    inputs: list[str]
    out: str
    to: str = ""
    linker: str = ""
    threshold: float | None = None  # as the model has it
    linked: list[str] = field(default_factory=list)  # only links with tags of all these categories, and texts with one
    task: str = "Annotation"

    @property
    def kind(self) -> str:
        """The format that is written: ``to``, or what the end of ``out`` says, or brat."""
        return self.to or {".jsonl": "jsonl", ".json": "bioc", ".html": HTML}.get(Path(self.out).suffix, "brat")


@dataclass(frozen=True, kw_only=True)
class Analyse:
    """Which recorded runs to compare, and by what."""

    runs: list[str] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    metric: str = "f1"
    combine: str = "mean"
    records: str = ""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole file."""

    out: str
    data: Data | None = None
    model: Model | None = None
    training: TrainingSettings = FROZEN
    folds: Folds = field(default_factory=Folds)
    test: NewData | None = None
    deploy: Deploy | None = None
    analyse: Analyse | None = None


def read_multihead_config(path: Path | str) -> Config:
    """The configuration in a file. Raises UsageError that names the key: unknown, missing, of a wrong type, or impossible."""
    raw = read_config(path)
    try:
        return from_mapping(raw)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def from_mapping(raw: Mapping[str, Any]) -> Config:
    """As ``read_multihead_config``, of a mapping."""
    _known("the file", raw, [f.name for f in fields(Config) if f.name != "folds"])
    if not isinstance(raw.get("out"), str) or not raw["out"]:
        raise UsageError(expected("out", "a folder for the run", raw.get("out")))
    found: dict[str, Any] = {"out": raw["out"]}
    for name, kind in (("data", Data), ("test", NewData), ("deploy", Deploy), ("analyse", Analyse)):
        if name in raw:
            found[name] = _filled(name, kind, raw[name])
    if "model" in raw:
        model = dict(_mapping("model", raw["model"]))
        heads = _mapping("model.heads", model.get("heads", {}))
        if not heads:
            raise UsageError(expected("model.heads", "one head or more", heads))
        specs = {
            name: _filled(f"model.heads.{name}", HeadSpec, {"name": name} | dict(_mapping(f"model.heads.{name}", head)))
            for name, head in heads.items()
        }
        found["model"] = _filled("model", Model, model | {"heads": specs})
    training = dict(_mapping("training", raw.get("training", {})))
    apart = {name: training.pop(name) for name in [f.name for f in fields(Folds)] if name in training}
    frozen = found.get("model") is None or found["model"].frozen
    if frozen and apart.get("freeze"):
        raise UsageError("training.freeze is of an encoder that is trained. Set model.frozen: false, or leave it out.")
    found["folds"] = _filled("training", Folds, apart if frozen else STEADY | apart)
    start = FROZEN if frozen else FINE_TUNED
    _known("training", training, [f.name for f in fields(TrainingSettings)] + [f.name for f in fields(Folds)])
    found["training"] = TrainingSettings(**{f.name: getattr(start, f.name) for f in fields(start)} | training)
    config = Config(**found)
    _possible(config, training)
    return config


def _possible(config: Config, given: Mapping[str, Any]) -> None:
    folds, model, deploy = config.folds, config.model, config.deploy
    dropout, threshold = model.dropout if model else 0.0, (deploy and deploy.threshold) or 0.0
    for name, value, fits, what in (
        ("training.balance", folds.balance, 0 <= folds.balance <= 1, "between 0 (none) and 1 (full)"),
        ("training.average", folds.average, 0 <= folds.average < 1, "0 (none) or a share below 1"),
        ("training.freeze", folds.freeze, folds.freeze >= 0, "0 (none) or more"),
        ("training.folds", folds.folds, folds.folds == 0 or folds.folds >= 2, "0 (none), or 2 or more"),
        ("training.validation", folds.validation, 0 < folds.validation < 0.5, "a share between 0 and 0.5"),
        ("model.dropout", dropout, 0 <= dropout < 1, "0 (none) or a share below 1"),
        ("deploy.threshold", threshold, 0 <= threshold <= 1, "a probability, from 0 to 1"),
    ):
        if not fits:
            raise UsageError(expected(name, what, value))
    for name, instead in IGNORED.items():
        if name in given:
            raise UsageError(f"training.{name} does nothing here: {instead}. Leave it out.")
    if deploy:
        if deploy.to and deploy.to not in (*FORMATS, HTML):
            raise UsageError(expected("deploy.to", "a format that is written", deploy.to, available=(*FORMATS, HTML)))
        suffix = (FORMATS | {HTML: ".html"})[deploy.kind]
        if suffix and Path(deploy.out).suffix != suffix:
            raise UsageError(expected("deploy.out", f"a file that ends in {suffix}, of {deploy.kind}", deploy.out))
    if config.folds.folds == 0 and not config.folds.final:
        raise UsageError("No folds and no final model: there is nothing to do. Set training.folds or training.final.")
    if config.model and config.model.frozen and given.get("layer_decay", 1.0) != 1.0:
        raise UsageError("training.layer_decay is of the encoder's layers, which are frozen. Set model.frozen: false.")
    if config.model and config.data and config.data.linked_only and all(
        spec.kind != "link" for spec in config.model.heads.values()
    ):  # fmt: skip
        raise UsageError("data.linked_only leaves documents out, and no head learns links. Leave it away.")


def _mapping(where: str, raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise UsageError(expected(where, "a mapping of option: value", raw))
    return raw


def _known(where: str, raw: Mapping[str, Any], names: list[str]) -> None:
    if unknown := [name for name in raw if name not in names]:
        raise UsageError(expected(f"key of {where}", "a known one", unknown[0], available=names))


def _filled(where: str, kind: type, raw: Any) -> Any:
    """An object of ``kind`` from a mapping: keys known, none missing, values of the fields' types."""
    raw = _mapping(where, raw)
    hints = get_type_hints(kind)
    _known(where, raw, [f.name for f in fields(kind)])
    for f in fields(kind):
        if f.name not in raw:
            if f.default is MISSING and f.default_factory is MISSING:
                raise UsageError(expected(f"{where}.{f.name}", "given", "nothing"))
            continue
        if not _fits(raw[f.name], hints[f.name]):
            raise UsageError(expected(f"{where}.{f.name}", _said(hints[f.name]), raw[f.name]))
    return kind(**raw)


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value read from YAML is of a field's type; a whole number is a number, true and false are neither."""
    if isinstance(wanted, UnionType):
        return any(_fits(value, one) for one in get_args(wanted))
    if get_origin(wanted) in (list, tuple):
        return isinstance(value, list) and bool(value) and all(isinstance(x, str) for x in value)
    if get_origin(wanted) is dict:
        return isinstance(value, Mapping)
    if wanted is not bool and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if wanted is float else wanted)


def _said(wanted: Any) -> str:
    if isinstance(wanted, UnionType):
        return ", or ".join(_said(one) for one in get_args(wanted))
    if get_origin(wanted) in (list, tuple):
        return "a list of texts"
    return {str: "text", bool: "true or false", int: "a whole number", float: "a number", NoneType: "nothing"}.get(
        wanted, "a mapping"
    )
