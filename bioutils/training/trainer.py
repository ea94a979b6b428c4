"""Fine-tuning with the HF Trainer: dynamic padding, length grouping, bf16 where it pays, the best epoch kept.

Runs alone too: ``python -m bioutils.training.trainer --config train.yaml``, or on several devices
``accelerate launch -m bioutils.training.trainer --config train.yaml``.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.device import choose_device, keep_freed_memory
from bioutils.errors import BioutilsError, UsageError
from bioutils.evaluation.calibration import fit_temperature
from bioutils.features import LENGTH_MULTIPLE, tokenise
from bioutils.inference import predict_logits
from bioutils.training.arguments import TrainingSettings
from bioutils.training.checkpoints import check_identity, identity
from bioutils.training.optimizers import make_optimizer
from bioutils.training.results import TrainingResult, epoch_scores, new_classifier, save_whole, training_notes

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedModel, TrainerCallback, TrainingArguments

    from bioutils.taggers import Tagger
    from bioutils.training.tagging import TagJudge


def hf_arguments(
    settings: TrainingSettings, *, checkpoints: Path, n_rows: int, progress: bool = False
) -> "TrainingArguments":
    """The Trainer's own arguments for our settings. Built once: a second object would silently win over the first."""
    from transformers import TrainingArguments

    steps = -(-n_rows // (settings.batch_size * settings.accumulation)) * settings.epochs
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,  # on CPU larger ones are no faster, and page through memory
        gradient_accumulation_steps=settings.accumulation,
        warmup_steps=int(settings.warmup * steps),
        weight_decay=settings.weight_decay,  # the Trainer keeps it off biases and norms
        bf16=settings.bf16,
        use_cpu=choose_device().type == "cpu",
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,  # the best and the last: enough to resume and to return
        load_best_model_at_end=True,
        metric_for_best_model=settings.metric,
        greater_is_better=settings.best([0, 1]) == 1,
        logging_steps=max(1, min(10, steps // settings.epochs)),
        report_to="none",
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_pin_memory=choose_device().type == "cuda",
        disable_tqdm=not progress,
    )


def train_classifier(
    dataset: "DatasetDict",
    *,
    encoder: str,
    settings: TrainingSettings,
    out: Path | str,
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence["TrainerCallback"] = (),
) -> TrainingResult:
    """Fine-tunes ``encoder`` on ``dataset`` (train, validation; columns ``text`` and ``label``) and saves the best epoch.

    Under ``out``: ``model/`` (weights, tokenizer, ``bioutils.json`` with temperature and max_length), ``train.jsonl``
    (a line a log entry) and, until training is over, ``checkpoints/``, from which ``resume=True`` continues.
    The test split is not touched. Raises UsageError when ``max_length`` is more than the encoder takes.
    """
    from transformers import DataCollatorWithPadding

    _, tokenizer, model = new_classifier(dataset["train"], encoder=encoder, settings=settings)
    train = tokenise(dataset["train"], tokenizer, max_length=settings.max_length)
    # By length, so that an evaluation batch holds little padding; scores do not depend on the order.
    validation = tokenise(dataset["validation"], tokenizer, max_length=settings.max_length)
    validation = validation.select(np.argsort(validation["length"][:], kind="stable"))

    def temperature_of(best_model: "PreTrainedModel") -> float:
        texts, truth = dataset["validation"]["text"][:], np.asarray(dataset["validation"]["label"][:])
        held_out = predict_logits(best_model, tokenizer, texts, max_length=settings.max_length)
        return fit_temperature(held_out.logits, truth)

    return _train(
        model, tokenizer, train.select_columns(["input_ids", "length", "label"]),
        validation.select_columns(["input_ids", "label"]),
        collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=LENGTH_MULTIPLE),
        metrics=lambda prediction: epoch_scores(prediction.predictions, prediction.label_ids),
        temperature_of=temperature_of, described=dataset["train"], facts={}, encoder=encoder, settings=settings,
        out=Path(out), resume=resume, progress=progress, callbacks=callbacks,
    )  # fmt: skip


def train_token_classifier(
    tagger: "Tagger",
    train: "Dataset",
    judge: "TagJudge",
    *,
    encoder: str,
    settings: TrainingSettings,
    out: Path | str,
    facts: dict[str, Any],
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence["TrainerCallback"] = (),
) -> TrainingResult:
    """A softmax tagger by the Trainer on rows with a label a token, judged by spans, as ``tagging.train_tagger`` does.

    Raises UsageError for a tagger with a CRF, whose loss the Trainer does not know.
    """
    from datasets import Dataset
    from transformers import DataCollatorForTokenClassification

    from bioutils.heads.tagging import TaggerWithCRF

    if isinstance(tagger.model, TaggerWithCRF):
        raise UsageError("The Trainer has no loss for a CRF. Take route='native'.")
    validation = Dataset.from_dict({"input_ids": judge.inputs.input_ids, "labels": judge.labels_of_rows()})

    def metrics(prediction) -> dict[str, float]:
        found = judge.scores_of_rows(tagger.model, prediction.predictions)
        return {k.removeprefix("validation_"): v for k, v in found.items() if k != "validation_loss"}

    def temperature_of(best_model: "PreTrainedModel") -> float:
        judge.scores(best_model)
        return judge.temperature()

    return _train(
        tagger.model, tagger.tokenizer,
        train.select_columns(["input_ids", "length", "label"]).rename_column("label", "labels"), validation,
        collator=DataCollatorForTokenClassification(tagger.tokenizer, pad_to_multiple_of=LENGTH_MULTIPLE),
        metrics=metrics, temperature_of=temperature_of, described=train, facts=facts, encoder=encoder, settings=settings,
        out=Path(out), resume=resume, progress=progress, callbacks=callbacks,
    )  # fmt: skip


def _train(
    model, tokenizer, train, validation, *, collator, metrics, temperature_of, described, facts, encoder: str,
    settings: TrainingSettings, out: Path, resume: bool, progress: bool, callbacks,
) -> TrainingResult:  # fmt: skip
    """What every task shares: the Trainer set up, run or resumed, and its best epoch saved with notes."""
    from safetensors import SafetensorError
    from torch.utils.data import SequentialSampler
    from transformers import AutoConfig, EarlyStoppingCallback, PrinterCallback, Trainer
    from transformers.trainer_utils import get_last_checkpoint

    from bioutils.training.callbacks import JsonLines

    class InOrder(Trainer):
        """Transformers 5 shuffles validation rows too when it groups training rows by length; windows must stay in order."""

        def _get_eval_sampler(self, eval_dataset):
            return SequentialSampler(eval_dataset)

    keep_freed_memory()
    checkpoints = out / "checkpoints"
    trainer = InOrder(
        model=model,
        args=hf_arguments(settings, checkpoints=checkpoints, n_rows=len(train), progress=progress),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        data_collator=collator,
        compute_metrics=metrics,
        # The Trainer's own optimiser knows no rates by layer.
        optimizers=(make_optimizer(model, settings) if settings.layer_decay < 1 else None, None),
        callbacks=[JsonLines(out / "train.jsonl"), *callbacks]
        + ([EarlyStoppingCallback(settings.patience)] if settings.patience else []),
    )
    trainer.remove_callback(PrinterCallback)  # its dictionaries stand in train.jsonl
    last = get_last_checkpoint(str(checkpoints)) if resume and checkpoints.is_dir() else None
    if last:
        check_identity(Path(last), identity(AutoConfig.from_pretrained(last)), identity(model.config))
    if not resume:
        shutil.rmtree(checkpoints, ignore_errors=True)
    try:
        outcome = trainer.train(resume_from_checkpoint=last)
    except (
        OSError,
        SafetensorError,
    ) as error:  # a full disk, most likely: a checkpoint is three times the model's size
        raise BioutilsError(
            f"{checkpoints}: a checkpoint could not be written ({error}). Free some space and resume."
        ) from error
    history = epoch_history(trainer.state.log_history)
    best = settings.best(history[f"validation_{settings.metric}"].tolist())
    best_model = trainer.accelerator.unwrap_model(trainer.model)
    temperature = temperature_of(best_model)
    if trainer.is_world_process_zero():
        scores = {name: float(history[name][best]) for name in {"validation_macro_f1", f"validation_{settings.metric}"}}
        notes = training_notes(described, encoder=encoder, settings=settings, temperature=temperature, scores=scores)
        save_whole(out / "model", notes | facts, best_model.save_pretrained, tokenizer.save_pretrained)
        shutil.rmtree(checkpoints, ignore_errors=True)  # three times the model's size each, of no use any more
    return TrainingResult(
        out / "model",
        history,
        int(history["epoch"][best]),
        temperature,
        outcome.metrics["train_runtime"],
        outcome.metrics["train_samples_per_second"],
    )


def epoch_history(log: list[dict]) -> "pd.DataFrame":
    """One row an epoch of a Trainer's log: ``epoch, train_loss, validation_loss``, and what the metrics were."""
    import pandas as pd

    rows, losses = [], []
    for entry in log:
        if "loss" in entry:
            losses.append(entry["loss"])
        elif "eval_loss" in entry:
            rows.append(
                {
                    "epoch": round(entry["epoch"]),
                    "train_loss": float(np.mean(losses)) if losses else float("nan"),
                    "validation_loss": entry["eval_loss"],
                    **{
                        f"validation_{name.removeprefix('eval_')}": value
                        for name, value in entry.items()
                        if name.startswith("eval_")
                        and name != "eval_loss"
                        and not name.endswith(("runtime", "_second"))
                    },
                }
            )
            losses = []
    if not rows:
        raise BioutilsError("Training ended before its first epoch was evaluated.")
    return pd.DataFrame(rows)


if __name__ == "__main__":
    from bioutils.training.launch import main

    raise SystemExit(main())
