"""Where training can go on from: weights, optimiser, schedule and random state, whole or not at all, without a pickle."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_json, write_json, writing

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


def identity(config: "PretrainedConfig") -> dict[str, Any]:
    """What two models must share for one's weights to fit the other: architecture, sizes, labels in their order."""
    labels = [config.id2label[i] for i in range(config.num_labels)]
    return {name: getattr(config, name, None) for name in SHAPE} | {"labels": labels}


def differences(saved: dict[str, Any], wanted: dict[str, Any], where: str = "the checkpoint") -> list[str]:
    """What is not as ``wanted``, both sides of each; of settings within settings only those that differ.

    >>> differences({"settings": {"steps": 1, "seed": 0}}, {"settings": {"steps": 2, "seed": 0}})
    ['settings: steps 1 in the checkpoint, 2 in this run']
    """
    found = []
    for key, value in wanted.items():
        there = saved.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            found += [f"{key}: {inner}" for inner in differences(there, value, where)]
        elif there != value:
            found.append(f"{key} {there!r} in {where}, {value!r} in this run")
    return found


def check_identity(folder: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises UsageError, naming both sides of each difference, when a checkpoint is not of the run that is to go on."""
    if different := differences(saved, wanted):
        raise UsageError(
            f"{folder}: this checkpoint is of another run: {'; '.join(different)}. "
            "Call as then, or start anew without resume."
        )


def random_state() -> "dict[str, torch.Tensor]":
    """Where this process' random generators are, of its graphics processor too where there is one."""
    import torch

    state = {"random": torch.get_rng_state()}
    return state | {"random_cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else state


def save_checkpoint(
    folder: Path,
    model: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer",
    scheduler: Any,
    progress: dict[str, Any],
    *,
    random: "dict[str, torch.Tensor] | None" = None,
) -> None:
    """Writes a checkpoint's folder under a temporary name, then swaps it in.

    ``random``: ``random_state`` of several processes, a row each; by default this one's. Raises BioutilsError when the disk is
    full: the earlier checkpoint stays.
    """
    from safetensors.torch import save_file, save_model

    temporary, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(folder):
            temporary.mkdir(parents=True)
            save_model(model, str(temporary / "model.safetensors"))
            tensors = {
                f"{index}.{name}": value.contiguous()
                for index, values in optimizer.state_dict()["state"].items()
                for name, value in values.items()
            }
            tensors |= random_state() if random is None else random
            save_file(tensors, str(temporary / "optimizer.safetensors"))
            schedule = {k: v for k, v in scheduler.state_dict().items() if isinstance(v, (int, float, list))}
            write_json(temporary / "progress.json", progress | {"scheduler": schedule})
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)  # of a crash right after the second rename
                folder.rename(old)  # a crash between the two renames leaves the old one, under its other name
            temporary.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of that name, or None."""
    for candidate in (folder, folder.with_name(f".{folder.name}.old")):
        if (candidate / "progress.json").is_file():
            return candidate
    return None


def load_checkpoint(
    folder: Path,
    model: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer",
    scheduler: Any,
    wanted: dict[str, Any],
    *,
    holds: Sequence[str] = (),
    process: int = 0,
) -> dict[str, Any]:
    """Puts everything back as it was when the checkpoint was written, and returns its ``progress``.

    ``holds``: what must be in it besides; ``process``: whose random state is taken of several (of more processes than there were,
    the others keep theirs). Raises UsageError where its ``identity`` is not the ``wanted`` one, DataError where a file of it is
    damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, load_model

    progress = read_json(folder / "progress.json")
    held = progress if isinstance(progress, dict) else {}
    if missing := [name for name in ("identity", "scheduler", *holds) if name not in held]:
        raise DataError(
            expected("the checkpoint's progress", f"an object with {missing}", sorted(held))
            + " It is damaged: start anew without resume.",
            path=folder / "progress.json",
        )
    check_identity(folder, progress["identity"], wanted)
    try:
        load_model(model, str(folder / "model.safetensors"))
        tensors = load_file(str(folder / "optimizer.safetensors"))
        random = {name: tensors.pop(name) for name in ("random", "random_cuda") if name in tensors}
        _set_random(random, process)
        state: dict[int, dict] = {}
        for name, value in tensors.items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
        scheduler.load_state_dict(scheduler.state_dict() | progress["scheduler"])
        for group, rate in zip(optimizer.param_groups, progress["scheduler"]["_last_lr"], strict=True):
            group["lr"] = rate
    except (SafetensorError, RuntimeError, OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"The checkpoint is damaged ({error}). Start anew without resume.", path=folder) from None
    return progress


def _set_random(states: "dict[str, torch.Tensor]", process: int) -> None:
    import torch

    setters = {"random": torch.set_rng_state, "random_cuda": torch.cuda.set_rng_state}
    if not torch.cuda.is_available():
        setters.pop("random_cuda")
    for name, set_state in setters.items():
        if name in states:
            rows = states[name].reshape(-1, states[name].shape[-1])  # (processes, bytes)
            if process < len(rows):
                set_state(rows[process].clone())
