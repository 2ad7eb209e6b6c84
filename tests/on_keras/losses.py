"""The losses of logits: tails, options, masks, files, and a fit on real predictions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
import polars as pl
from keras import ops
from shared import gradient, same

import logloss as ll
from logloss.keras import BinaryCrossentropy, BinaryFocalCrossentropy
from reference import reference

EXAMPLES = Path(__file__).parents[2] / "examples"


def tails() -> None:
    x = np.array([[-100.0, 100.0, -100.0, 100.0, 0.0, -20.0, 20.0, -80.0]])
    y = np.array([[1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]])
    for loss, name, own in (
        (BinaryCrossentropy(from_logits=True, reduction="sum"), "logits", {}),
        (BinaryFocalCrossentropy(from_logits=True, reduction="sum"), "focal", {}),
        (BinaryFocalCrossentropy(True, 0.3, 1.5, True, reduction="sum"), "focal", {"gamma": 1.5, "alpha": 0.3}),
    ):
        want = reference(name, x, y, axis=-1, **own)
        same(loss(y, x), want.value.sum())
        want.check(gradient(loss, y, x), least=np.finfo(np.float32).tiny)  # smaller ones may be flushed to 0


def options() -> None:
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(5, 3)), rng.integers(0, 2, (5, 3)), rng.random(5)
    given = {"pos_weight": [1.0, 2.0, 3.0], "label_weight": np.array([0.5, 1.0, 2.0]), "label_smoothing": 0.1}
    loss = BinaryCrossentropy(from_logits=True, **given)
    rows = ll.binary_cross_entropy_with_logits(x, y, axis=-1, **given)
    same(loss(y, x), rows.mean())
    same(loss(y, x, sample_weight=weight), (rows * weight).mean())
    again = BinaryCrossentropy(from_logits=True, reduction="mean_with_sample_weight", **given)
    same(again(y, x, sample_weight=weight), (rows * weight).sum() / weight.sum())
    same(BinaryCrossentropy(from_logits=True, reduction=None, **given)(y, x), rows)
    p = 1 / (1 + np.exp(-x))
    same(BinaryCrossentropy(**given)(y, p), rows.mean(), 1e-5)
    wrong = np.array([[1.0]]), np.array([[0.0]])
    same(BinaryCrossentropy(eps=1e-7)(*wrong), 16.11809565)
    assert np.isinf(ops.convert_to_numpy(BinaryCrossentropy(exact=True)(*wrong)))
    focal = ll.sigmoid_focal_loss(x, y, axis=-1)
    same(BinaryFocalCrossentropy()(y, p), focal.mean(), 1e-5)
    marked = np.where(rng.random((5, 3)) < 0.4, -1, y)
    dirty = np.where(marked == -1, np.nan, x)
    ignoring = BinaryCrossentropy(from_logits=True, ignore_index=-1)
    same(ignoring(marked, dirty), ll.binary_cross_entropy_with_logits(dirty, marked, axis=-1, ignore_index=-1).mean())
    assert not gradient(ignoring, marked, dirty)[marked == -1].any()
    pixels, truth = rng.normal(size=(2, 3, 4, 4)), rng.integers(0, 2, (2, 3, 4, 4))
    want = ll.binary_cross_entropy_with_logits(pixels, truth, axis=1, label_axis=1, pos_weight=[1.0, 2.0, 3.0])
    same(BinaryCrossentropy(from_logits=True, axis=1, pos_weight=[1.0, 2.0, 3.0])(truth, pixels), want.mean())
    same(BinaryCrossentropy(from_logits=True)(y[:, 0], x[:, :1]), ll.binary_cross_entropy_with_logits(x[:, 0], y[:, 0]))


def masks() -> None:
    """Padded time steps, as an Embedding's mask travels to the loss."""
    rng = np.random.default_rng(1)
    tokens, y = np.array([[1, 2, 0], [3, 0, 0]]), rng.integers(0, 2, (2, 3, 1)).astype("float32")
    model = keras.Sequential([keras.layers.Embedding(4, 2, mask_zero=True), keras.layers.Dense(1)])
    out = model(tokens)
    x = ops.convert_to_numpy(ops.convert_to_tensor(out))
    want = ll.binary_cross_entropy_with_logits(x, y, mask=(tokens > 0)[..., None])
    same(BinaryCrossentropy(from_logits=True)(y, out), want, 1e-5)


def saved() -> None:
    for loss in (
        BinaryCrossentropy(True, 0.1, pos_weight=np.ones(3), ignore_index=-1, eps=1e-7, name="mine"),
        BinaryFocalCrossentropy(True, 0.3, 1.5, reduction="sum"),
    ):
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert type(again) is type(loss)
        assert again.get_config() == loss.get_config()


def fitted() -> None:
    """Real predictions calibrated by a model of one layer, which must come close to the exact loss and be saved."""
    frame = pl.read_parquet(EXAMPLES / "yeast_multilabel_predictions.parquet")
    x = frame.select(pl.col("^logit_lr_.*$")).to_numpy().astype("float32")
    y = frame.select(pl.col("^y_.*$")).to_numpy().astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((14,)), keras.layers.Dense(14)])
    model.compile(keras.optimizers.Adam(0.02), BinaryCrossentropy(from_logits=True, label_smoothing=0.01))
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, batch_size=100, epochs=4, verbose=0, sample_weight=np.ones(len(x)))
    after = model.evaluate(x, y, batch_size=len(x), verbose=0)
    exact = ll.binary_cross_entropy_with_logits(model.predict(x, verbose=0), y, label_smoothing=0.01)
    assert abs(after - exact) < 1e-5 * exact, (after, exact)
    assert after < 0.6 * before, (before, after)
    with tempfile.TemporaryDirectory() as folder:
        model.save(path := Path(folder) / "model.keras")
        again = keras.models.load_model(path)
    assert type(again.loss) is BinaryCrossentropy
    assert again.evaluate(x, y, batch_size=len(x), verbose=0) == after


CHECKS = (tails, options, masks, saved, fitted)
