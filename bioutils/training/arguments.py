"""Training settings: few, checked at once, each default with its reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_lines

Precision = Literal["auto", "bf16", "fp32"]
Metric = Literal["macro_f1", "accuracy", "micro_f1", "loss"]


def check_fields(
    settings: Any,
    ranges: Sequence[tuple[str, Callable[[Any], bool], str]],
    choices: Mapping[str, Sequence[str]],
) -> None:
    """Raises UsageError for a field of a dataclass that is out of its range (name, test, what it should be) or of the wrong type
    (a number where the default is a fraction, else a whole number), and for a choice that is not known."""
    for name, fits, what in ranges:
        value = getattr(settings, name)
        fraction = isinstance(type(settings).__dataclass_fields__[name].default, float)
        right = isinstance(value, (int, float) if fraction else int) and not isinstance(value, bool)
        if not right or not fits(value):
            raise UsageError(expected(name, f"{'a number' if fraction else 'a whole number'}, {what}", value))
    for name, known in choices.items():
        if getattr(settings, name) not in known:
            raise UsageError(expected(name, "one of the known", getattr(settings, name), available=known))


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How an encoder is fine-tuned. Raises UsageError on a value out of range."""

    epochs: int = 4  # small encoders still gain after the usual 3
    learning_rate: float = 1e-4  # twice BERT-base's 5e-5: 22 M parameters move less for the same step
    batch_size: int = 32  # fewer optimiser steps than 8 at the same accuracy: on CPU the step itself is dear
    accumulation: int = 1
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.01
    layer_decay: float = (
        1.0  # factor of the rate from each layer to the one below; 0.8 to 0.9 keeps what pre-training gave
    )
    max_length: int = 128  # tokens; two definitions in a hundred are longer
    patience: int = 2  # epochs without a better score on validation rows before training stops; 0 = never
    metric: Metric = "macro_f1"  # on validation rows: the best epoch's, which is kept (of the loss, the lowest)
    precision: Precision = "auto"  # bf16 where it pays, measured
    seed: int = 42

    def __post_init__(self):
        ranges = (
            ("epochs", lambda v: v >= 1, "1 or more"),
            ("learning_rate", lambda v: 0 < v < 1, "between 0 and 1"),
            ("batch_size", lambda v: v >= 1, "1 or more"),
            ("accumulation", lambda v: v >= 1, "1 or more"),
            ("warmup", lambda v: 0 <= v < 1, "a share from 0 to 1"),
            ("weight_decay", lambda v: v >= 0, "0 or more"),
            ("layer_decay", lambda v: 0 < v <= 1, "above 0, up to 1"),
            ("max_length", lambda v: v >= 4, "4 tokens or more"),
            ("patience", lambda v: v >= 0, "0 or more"),
            ("seed", lambda v: 0 <= v < 2**32, "0 or more, below 2**32"),
        )
        check_fields(self, ranges, {"precision": get_args(Precision), "metric": get_args(Metric)})

    def best(self, scores: Sequence[float]) -> int:
        """The position of the first of the best values of ``metric``: the highest, of a loss the lowest.

        >>> TrainingSettings(metric="loss").best([0.3, 0.2, 0.2]), TrainingSettings().best([0.3, 0.2, 0.3])
        (1, 0)
        """
        ordered = sorted(range(len(scores)), key=lambda i: scores[i] if self.metric == "loss" else -scores[i])
        return ordered[0]

    @property
    def bf16(self) -> bool:
        """Whether matrix products run in bfloat16."""
        from bioutils.device import bf16_pays

        return self.precision == "bf16" or (self.precision == "auto" and bf16_pays())


def read_config(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML (or JSON) file. Raises DataError with file and line when it is not one, and for a key given twice."""
    import yaml

    text = "\n".join(line for _, line in read_lines(path))
    try:
        _check_keys(yaml.compose(text, Loader=yaml.SafeLoader), path)
        config = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DataError(f"Not YAML: {error.problem}.", path=path, line=line) from None
    if not isinstance(config, dict):
        raise DataError("Expected a mapping of option: value.", path=path)
    return config


def _check_keys(root: Any, path: Path | str) -> None:
    """Raises DataError for a key that stands twice in one mapping, of which YAML would keep the second in silence."""
    todo, seen = [root], set()  # an alias leads to a node once more, or into itself
    while todo:
        node = todo.pop()
        if node is None or isinstance(node.value, str) or id(node) in seen:
            continue
        seen.add(id(node))
        lines: dict[tuple[str, str], int] = {}
        for part in node.value:  # of a sequence its nodes, of a mapping pairs of key and value
            key, value = part if isinstance(part, tuple) else (None, part)
            if key is not None and isinstance(key.value, str) and key.value != "<<":  # which may be there several times
                line, name = key.start_mark.line + 1, (key.tag, key.value)
                if name in lines:
                    first = f"Expected each key once, found {key.value!r} again, which line {lines[name]} has."
                    raise DataError(f"{first} Remove one.", path=path, line=line)
                lines[name] = line
            todo.append(value)


def settings_from(config: dict[str, Any]) -> tuple[TrainingSettings, dict[str, Any]]:
    """The TrainingSettings among ``config``'s keys, and the keys that are left."""
    names = {f.name for f in fields(TrainingSettings)}
    settings = TrainingSettings(**{k: v for k, v in config.items() if k in names})
    return settings, {k: v for k, v in config.items() if k not in names}
