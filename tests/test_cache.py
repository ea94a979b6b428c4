import json
import tracemalloc
import warnings

import numpy as np
import pytest
import torch

from bioutils import cache
from bioutils.cache import FeatureSpec, cached_features
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import UsageError
from bioutils.features import device_batches

TEXTS = ["growth of cells", "binding of zinc number number number", "", "membrane " + "number " * 40]


def features(encoder_dir, folder, texts=TEXTS, **spec):
    spec = FeatureSpec(**{"max_length": 16, **spec})
    return cached_features(texts, encoder=str(encoder_dir), spec=spec, folder=folder, progress=False)


def directly(encoder_dir, text, **options):
    model, tokenizer = load_encoder(str(encoder_dir)), load_tokenizer(str(encoder_dir))
    ids = tokenizer(text, truncation=True, max_length=16)["input_ids"]
    inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    with torch.no_grad():
        return cache.encode(model, inputs, **{"layer": -1, "pooling": "tokens", **options})[0].numpy()


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    monkeypatch.setattr(cache, "bf16_pays", lambda: False)
    monkeypatch.setattr(cache, "autocast", lambda: torch.autocast("cpu", enabled=False))


def test_vectors_are_the_encoders_within_fp16(encoder_dir, tmp_path):
    found = features(encoder_dir, tmp_path)
    vectors, mask = found.batch([3, 0])
    assert vectors.shape == (2, 16, 16)
    assert vectors.dtype == torch.float32
    for row, text in enumerate([TEXTS[3], TEXTS[0]]):
        wanted = directly(encoder_dir, text)
        assert mask[row].sum() == len(wanted)
        assert np.allclose(vectors[row, : len(wanted)].numpy(), wanted, atol=2e-3)
        assert not vectors[row, len(wanted) :].any()
    assert (found.n_cut, found.n_empty, len(found)) == (1, 1, 4)
    assert found.lengths.tolist() == [5, 8, 2, 16]


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "last_sep"])
@pytest.mark.parametrize("layer", [-1, 0, -2])
def test_pooled_layers(encoder_dir, tmp_path, pooling, layer):
    found = features(encoder_dir, tmp_path, pooling=pooling, layer=layer)
    vectors, mask = found.batch([1])
    assert np.allclose(vectors[0], directly(encoder_dir, TEXTS[1], pooling=pooling, layer=layer), atol=2e-3)
    assert mask.shape == (1, 1)


def test_last_four_layers():
    class Four:
        def __call__(self, output_hidden_states, **_):
            return type("O", (), {"hidden_states": [torch.full((1, 2, 3), float(i)) for i in range(6)]})

    inputs = {"attention_mask": torch.ones(1, 2)}
    assert cache.encode(Four(), inputs, layer="last4_mean", pooling="tokens").unique().tolist() == [3.5]
    both = cache.encode(Four(), inputs, layer="last4_concat", pooling="tokens")
    assert both.shape == (1, 2, 12)
    assert both[0, 0].tolist() == [2.0] * 3 + [3.0] * 3 + [4.0] * 3 + [5.0] * 3


def test_a_second_call_reads_and_computes_nothing(encoder_dir, tmp_path, monkeypatch):
    first = features(encoder_dir, tmp_path)
    monkeypatch.setattr(cache, "_compute", lambda *_, **__: pytest.fail("computed again"))
    second = features(encoder_dir, tmp_path)
    assert torch.equal(first.batch([0, 1]).vectors, second.batch([0, 1]).vectors)


@pytest.mark.parametrize(
    "change",
    [{"max_length": 12}, {"layer": 0}, {"pooling": "mean"}, {"marking": "mask"}, {"texts": [*TEXTS[:3], "other"]},
     {"texts": ["growth", "of cells", *TEXTS[1:]]}],
)  # fmt: skip
def test_whatever_made_it_is_in_the_key(encoder_dir, tmp_path, change):
    features(encoder_dir, tmp_path)
    features(encoder_dir, tmp_path, **change)
    assert len(list(tmp_path.iterdir())) == 2


def test_other_weights_and_another_tokenizer_are_another_key(encoder_dir, tmp_path):
    model, tokenizer = load_encoder(str(encoder_dir)), load_tokenizer(str(encoder_dir))
    call = {"encoder": "x", "spec": FeatureSpec(max_length=16), "folder": tmp_path, "progress": False}
    cached_features(TEXTS, model=model, tokenizer=tokenizer, **call)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[5, 0] += 1e-3
    cached_features(TEXTS, model=model, tokenizer=tokenizer, **call)
    assert len(list(tmp_path.iterdir())) == 2
    tokenizer.add_tokens(["zinc-finger"])
    cached_features(TEXTS, model=model, tokenizer=tokenizer, **call)
    assert len(list(tmp_path.iterdir())) == 3
    model.config.num_attention_heads = 4  # no weight shows it
    cached_features(TEXTS, model=model, tokenizer=tokenizer, **call)
    assert len(list(tmp_path.iterdir())) == 4


def small_shards(monkeypatch):
    monkeypatch.setattr(cache, "SHARD_BYTES", 16 * 2 * 8)  # eight tokens


def test_shards_hold_every_text_once(encoder_dir, tmp_path, monkeypatch):
    small_shards(monkeypatch)
    found = features(encoder_dir, tmp_path)
    assert len(found.shards) > 1
    for row, text in enumerate(TEXTS):
        vectors, mask = found.batch([row])
        assert np.allclose(vectors[0, : int(mask.sum())], directly(encoder_dir, text), atol=2e-3)


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "meta", "lengths"])
def test_a_damaged_cache_is_noticed_and_made_again(encoder_dir, tmp_path, damage):
    wanted = features(encoder_dir, tmp_path).batch([0, 1]).vectors
    (folder,) = tmp_path.iterdir()
    shard, meta = folder / "shard-0000.npy", folder / "meta.json"
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-7])
    elif damage == "flip":
        shard.write_bytes(shard.read_bytes()[:-1] + b"\x7f")
    elif damage == "remove":
        shard.unlink()
    elif damage == "lengths":
        np.save(folder / "lengths.npy", np.array([5, 5, 5, 16]))
    else:
        meta.write_text(meta.read_text()[:50])
    with pytest.warns(UserWarning, match="damaged and is computed again"):
        assert torch.equal(features(encoder_dir, tmp_path).batch([0, 1]).vectors, wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features(encoder_dir, tmp_path)


def test_an_interrupted_computation_goes_on(encoder_dir, tmp_path, monkeypatch):
    small_shards(monkeypatch)
    real, calls = cache.write_json, []

    def stop(path, value):
        real(path, value)
        if len(value["shards"]) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            features(encoder_dir, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert not json.loads((folder / "meta.json").read_text())["complete"]
    first = (folder / "shard-0000.npy").stat().st_mtime_ns
    monkeypatch.setattr(cache, "device_batches", lambda *a, **k: calls.append(1) or device_batches(*a, **k))
    found = features(encoder_dir, tmp_path)
    assert (folder / "shard-0000.npy").stat().st_mtime_ns == first
    assert len(calls) == len(found.shards) - 1  # one a shard that was missing
    assert np.allclose(found.batch([3]).vectors[0, :16], directly(encoder_dir, TEXTS[3]), atol=2e-3)


def test_reading_copies_the_batch_and_no_more(encoder_dir, tmp_path):
    found = features(encoder_dir, tmp_path, texts=[f"{'number ' * 14}" for _ in range(3000)])
    assert found.n_bytes > 1_400_000
    rows = np.arange(100, 164)
    found.batch(rows)
    tracemalloc.start()
    batch = found.batch(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = batch.vectors.numel() * 4
    assert size / 2 <= peak < size  # the rows as they lie on the disk, in half precision, and the mask


def test_what_cannot_be(encoder_dir, tmp_path):
    with pytest.raises(UsageError, match="texts"):
        features(encoder_dir, tmp_path, texts=[])
    with pytest.raises(UsageError, match="at most the 64"):
        features(encoder_dir, tmp_path, max_length=65)
    with pytest.raises(UsageError, match="layer to be between"):
        features(encoder_dir, tmp_path, layer=7)
    with pytest.raises(UsageError, match="four layers"):
        features(encoder_dir, tmp_path, layer="last4_mean")
    with pytest.raises(UsageError, match="pooling"):
        FeatureSpec(pooling="median")
    with pytest.raises(UsageError, match="last4_concat"):
        FeatureSpec(layer="last")
