"""Where training can go on from: weights, optimiser, schedule and random state, whole or not at all, without a pickle."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils.errors import DataError, UsageError
from bioutils.files import read_json, write_json

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


def save_checkpoint(
    folder: Path,
    model: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer",
    scheduler: Any,
    progress: dict[str, Any],
) -> None:
    """Writes a checkpoint's folder under a temporary name, then swaps it in."""
    import torch
    from safetensors.torch import save_file, save_model

    temporary, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        save_model(model, str(temporary / "model.safetensors"))
        tensors = {
            f"{index}.{name}": value.contiguous()
            for index, values in optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        tensors["random"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random_cuda"] = torch.cuda.get_rng_state()
        save_file(tensors, str(temporary / "optimizer.safetensors"))
        schedule = {k: v for k, v in scheduler.state_dict().items() if isinstance(v, (int, float, list))}
        write_json(temporary / "progress.json", progress | {"scheduler": schedule})
        if folder.exists():
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
) -> dict[str, Any]:
    """Puts everything back as it was when the checkpoint was written, and returns its ``progress``.

    Raises UsageError where its ``identity`` is not the ``wanted`` one, DataError where a file of it is damaged.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, load_model

    progress = read_json(folder / "progress.json")
    check_identity(folder, progress["identity"], wanted)
    try:
        load_model(model, str(folder / "model.safetensors"))
        tensors = load_file(str(folder / "optimizer.safetensors"))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise DataError(f"The checkpoint is damaged ({error}). Start anew without resume.", path=folder) from None
    torch.set_rng_state(tensors.pop("random"))
    if "random_cuda" in tensors:
        cuda = tensors.pop("random_cuda")
        if torch.cuda.is_available():
            torch.cuda.set_rng_state(cuda)
    state: dict[int, dict] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    scheduler.load_state_dict(scheduler.state_dict() | progress["scheduler"])
    for group, rate in zip(optimizer.param_groups, progress["scheduler"]["_last_lr"], strict=True):
        group["lr"] = rate
    return progress
