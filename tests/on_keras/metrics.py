"""The metric: of compiled steps, of batches that lose nothing, and saved."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from logloss.keras import BinaryCrossentropy, LogLoss
from logloss.streaming import ScoreSums

WIDE = LogLoss().wide == "float64"
RNG = np.random.default_rng(4)
X = RNG.standard_normal((256, 2)).astype("float32")
Y = (RNG.random((256, 2)) < 0.3).astype("float32")
W = RNG.random(256).astype("float32")


def near(found: Any, wanted: float, rel: float) -> None:
    if not math.isclose(float(found), wanted, rel_tol=rel):
        raise AssertionError((float(found), wanted))


def model_of(activation: str | None, metric: Any) -> Any:
    layer = keras.layers.Dense(2, activation, kernel_initializer=keras.initializers.Constant(0.7))
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile(
        keras.optimizers.SGD(0.0), BinaryCrossentropy(from_logits=activation is None), weighted_metrics=[metric]
    )
    return model


def reported() -> None:
    """What `fit` and `evaluate` report in compiled steps is the score of all predictions."""
    for activation, statistic in ((None, "log_loss"), ("sigmoid", "normalized_entropy")):
        metric = LogLoss(from_logits=activation is None, statistic=statistic, name="metric")
        model = model_of(activation, metric)
        logits = model_of(None, LogLoss(from_logits=True)).predict(X, verbose=0)
        wanted = getattr(ScoreSums.of(Y, logits, sample_weight=W, from_logits=True).statistics(), statistic)
        for size in (256, 37):
            history = model.fit(X, Y, sample_weight=W, epochs=1, batch_size=size, verbose=0, shuffle=False)
            near(history.history["metric"][0], wanted, 2e-6)  # Keras reports float32
            near(
                model.evaluate(X, Y, sample_weight=W, batch_size=size, verbose=0, return_dict=True)["metric"],
                wanted,
                2e-6,
            )


def batches() -> None:
    """Many batches lose nothing."""
    metric = LogLoss(from_logits=True, ignore_index=-1.0, dtype="float64" if WIDE else "float32")
    x = (3 * RNG.standard_normal((150, 4))).astype("float32")
    y = RNG.integers(-1, 2, (150, 4)).astype("float32")
    y[0, 0], x[0, 0] = -1.0, np.nan  # and does not count
    for labels, logits in zip(y, x, strict=True):
        metric.update_state(labels, logits)
    exact = ScoreSums.of(y.ravel(), np.nan_to_num(x).ravel(), from_logits=True, ignore_index=-1).statistics()
    near(metric.result(), exact.log_loss, 1e-12 if WIDE else 2e-7)
    rate = LogLoss(statistic="calibration_ratio", dtype="float64" if WIDE else "float32")
    p = 1 / (1 + np.exp(-x[1:].astype("float64")))
    for labels, chances in zip(np.abs(y[1:]), p, strict=True):
        rate.update_state(labels, chances)
    near(rate.result(), float(p.sum() / np.abs(y[1:]).sum()), 1e-12 if WIDE else 2e-7)
    rate.reset_state()
    assert math.isnan(float(rate.result()))
    certain = LogLoss()
    certain.update_state([1.0, 0.0], np.array([0.0, 0.5], "float32"))
    certain.update_state([1.0, 0.0], np.array([0.0, 0.5], "float32"))
    assert float(certain.result()) == math.inf


def weighed() -> None:
    """Weights of rows, of steps, of elements; and what callbacks ask a metric."""
    y, p = np.zeros((2, 2, 3)), np.array([[[0.5], [0.75]], [[0.25], [0.5]]]) * np.ones((2, 2, 3))
    loss = -np.log1p(-p)
    for weight in (W[:2], W[:2, None, None], W[:4].reshape(2, 2), W[:12].reshape(2, 2, 3), np.float32(2.0)):
        metric = LogLoss()
        metric.update_state(y, p, weight)
        weights = weight.reshape(weight.shape + (1,) * (3 - weight.ndim)) * np.ones_like(p)
        near(metric.result(), float((weights * loss).sum() / weights.sum()), 1e-6)
    metric = LogLoss()
    metric.update_state(y, p, -W[:2])
    assert math.isnan(float(metric.result()))
    for bad in (W[:3], W[:6].reshape(2, 3), W[:24].reshape(2, 2, 3, 2)):
        try:
            LogLoss().update_state(y, p, bad)
        except ValueError as error:
            assert "leading axes" in str(error)  # noqa: PT017 - a check, not a test
        else:
            raise AssertionError
    model = model_of(None, LogLoss(from_logits=True))
    stops = keras.callbacks.EarlyStopping("val_log_loss", patience=0)
    history = model.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[stops])
    assert len(history.epoch) == 2  # for nothing is learnt


def rebuilt() -> None:
    """A saved model has its metric again."""
    model = model_of("sigmoid", LogLoss(statistic="calibration_ratio", ignore_index=-1.0))
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        again = keras.saving.load_model(Path(folder) / "model.keras")
    again.evaluate(X, Y, verbose=0)
    found = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(LogLoss(statistic="log_loss")))
    assert found.get_config()["statistic"] == "log_loss"
    try:
        LogLoss(statistic="auc")
    except ValueError as error:
        assert "got 'auc'" in str(error)  # noqa: PT017 - a check, not a test
    else:
        raise AssertionError


CHECKS = (reported, batches, weighed, rebuilt)
