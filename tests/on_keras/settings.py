"""Settings that are variables, settings that cannot be, and what is written of them to files."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from shared import same

import logloss as ll
from logloss.keras import BinaryCrossentropy, BinaryFocalCrossentropy, LogLoss
from reference import message

BACKEND = keras.backend.backend()
X, Y = np.zeros((4, 1), "float32"), np.ones((4, 1), "float32")
LOG_2 = math.log(2.0)


class Anneal(keras.callbacks.Callback):
    """Assigns at the second epoch."""

    def __init__(self, variable: Any, value: Any) -> None:
        super().__init__()
        self.variable, self.value = variable, value

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        if epoch == 1:
            self.variable.assign(self.value)


def model_of(loss: Any, **settings: Any) -> Any:
    """A model that gives a logit of 0, or its sigmoid."""
    activation = None if loss.from_logits else "sigmoid"
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, activation, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.0), loss, **settings)
    return model


CASES = (
    (BinaryCrossentropy, "pos_weight", (1.0, 5.0), {}, (LOG_2, 5 * LOG_2)),
    (BinaryCrossentropy, "pos_weight", (1.0, 5.0), {"from_logits": False}, (LOG_2, 5 * LOG_2)),
    (BinaryCrossentropy, "label_weight", ([1.0], [5.0]), {}, (LOG_2, 5 * LOG_2)),
    (BinaryCrossentropy, "label_smoothing", (0.0, 0.5), {"pos_weight": 5.0}, (5 * LOG_2, 4 * LOG_2)),
    (BinaryCrossentropy, "eps", (0.5, 1e-7), {"from_logits": False, "pos_weight": 2.0}, (2 * LOG_2, 2 * LOG_2)),
    (BinaryFocalCrossentropy, "gamma", (0.0, 2.0), {}, (LOG_2, LOG_2 / 4)),
    (BinaryFocalCrossentropy, "alpha", (1.0, 0.25), {"apply_class_balancing": True}, (LOG_2 / 4, LOG_2 / 16)),
)


def annealed() -> None:
    """Of a logit of 0 and a positive, in compiled steps and in eager ones: what the variable holds now."""
    for kind, name, values, own, wants in CASES:
        variable = keras.Variable(values[0])
        model = model_of(kind(**{"from_logits": True, **own, name: variable}))
        steps = model.fit(X, Y, epochs=2, verbose=0, callbacks=[Anneal(variable, values[1])]).history["loss"]
        same(steps, wants)
        same(model.evaluate(X, Y, verbose=0), wants[1])
        variable.assign(values[0])
        same(model.evaluate(X, Y, verbose=0), wants[0])
        same(model.loss(Y, ops.zeros((4, 1)) if model.loss.from_logits else ops.full((4, 1), 0.5)), wants[0])


def annealed_in_other_ways() -> None:
    """With XLA, or PyTorch's compiler; step by step; and by a variable that is one of the model's own."""
    for settings in ({"jit_compile": True}, {"run_eagerly": True}):
        variable = keras.Variable(1.0)
        model = model_of(BinaryCrossentropy(from_logits=True, pos_weight=variable), **settings)
        model.price = variable
        same(
            model.fit(X, Y, epochs=2, verbose=0, callbacks=[Anneal(variable, 5.0)]).history["loss"], [LOG_2, 5 * LOG_2]
        )
        same(variable, 5.0)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        variable = tf.Variable(1.0)
        model = model_of(BinaryCrossentropy(from_logits=True, pos_weight=variable))
        same(
            model.fit(X, Y, epochs=2, verbose=0, callbacks=[Anneal(variable, 5.0)]).history["loss"], [LOG_2, 5 * LOG_2]
        )


def per_label() -> None:
    """By hand: γ = 2 on logits of 0, one alpha per label, along the axis of labels."""
    alpha = keras.Variable([0.2, 0.3, 0.5])
    for shape, axis in (((2, 3), -1), ((2, 3, 4), 1)):
        loss = BinaryFocalCrossentropy(True, alpha, from_logits=True, axis=axis)
        alpha.assign([0.2, 0.3, 0.5])
        same(loss(np.ones(shape), np.zeros(shape)), LOG_2 / 12)
        alpha.assign([1.0, 0.0, 0.5])
        same(loss(np.ones(shape), np.zeros(shape)), LOG_2 / 8)


def written() -> None:
    """A file has the value that the variable has when it is written, and a loaded model numbers."""
    price, smoothing, gamma = keras.Variable([1.0]), keras.Variable(0.25), keras.Variable(1.0)
    given = {"pos_weight": price, "label_smoothing": smoothing}
    losses = (
        BinaryCrossentropy(eps=keras.Variable(0.125), **given),
        BinaryCrossentropy(exact=True, dtype="bfloat16", **given),
        BinaryFocalCrossentropy(True, keras.Variable(0.5), gamma, from_logits=True, **given),
    )
    price.assign([3.0])
    gamma.assign(2.0)
    for loss in losses:
        config = keras.losses.serialize(loss)["config"]
        assert (config["pos_weight"], config["label_smoothing"]) == ([3.0], 0.25)
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.get_config() == loss.get_config()
        model = model_of(loss)
        with tempfile.TemporaryDirectory() as folder:
            model.save(path := Path(folder) / "model.keras")
            loaded = keras.models.load_model(path)
        assert type(loaded.loss) is type(loss)
        same(
            loaded.evaluate(X, Y, verbose=0),
            model.evaluate(X, Y, verbose=0),
            1e-2 if loss.dtype == "bfloat16" else 2e-6,
        )
    assert losses[0].get_config()["eps"] == 0.125
    assert losses[2].get_config()["gamma"] == 2.0


def refused() -> None:
    """What a model is compiled for, and settings that contradict each other."""
    variable, wrong, error = keras.Variable(1.0), keras.Variable(-1.0), ll.InvalidInputError
    for name in ("from_logits", "axis", "reduction", "ignore_index", "exact"):
        assert f"{name} must be known when a model is compiled" in message(
            error, BinaryCrossentropy, **{name: variable}
        )
    text = message(error, BinaryFocalCrossentropy, apply_class_balancing=variable)
    assert "apply_class_balancing must be known" in text
    for name, kind in (
        ("from_logits", BinaryCrossentropy),
        ("from_logits", LogLoss),
        ("exact", BinaryCrossentropy),
        ("apply_class_balancing", BinaryFocalCrossentropy),
    ):
        assert f"{name} must be True or False; got 'no'." in message(error, kind, **{name: "no"})
    assert "exact=True floors nothing; got eps=0.001" in message(error, BinaryCrossentropy, exact=True, eps=1e-3)
    for loss in (BinaryCrossentropy(), BinaryFocalCrossentropy()):
        text = message(error, loss, X[:2], np.zeros((2, 3)))
        assert "y_true and y_pred must have the same shape; got (2, 1) and (2, 3)" in text
    assert "gamma must be a finite number in [0, " in message(error, BinaryFocalCrossentropy(gamma=wrong), Y, X)


CHECKS = (annealed, annealed_in_other_ways, per_label, written, refused)
