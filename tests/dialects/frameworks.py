"""The real frameworks, each Keras backend in a process of its own: cases come in pickled, answers go out.

    python frameworks.py torch < questions > answers        # the cases of `cases.HOSTS["torch"]`

A question is (system, function, arrays, options); an answer (value, gradient or None), or the names of the classes of
the exception that the framework raised.
"""

from __future__ import annotations

import inspect
import os
import pickle
import pkgutil
import sys
import warnings
from typing import Any

import ml_dtypes
import numpy as np

Question = tuple[str, str, dict[str, Any], dict[str, Any]]


def pytorch(name: str, arrays: dict[str, Any], options: dict[str, Any]) -> Any:
    import torch

    given = {key: _tensor(value) if isinstance(value, np.ndarray) else value for key, value in options.items()}
    x, t = (_tensor(array) for array in arrays.values())
    x.requires_grad_(x.is_floating_point())
    value = getattr(torch.nn.functional, name)(x, t, **given)
    value.sum().backward()
    return _array(value.detach()), _array(x.grad)


def _tensor(array: Any) -> Any:
    """PyTorch's tensor of an array; the two take each other's bfloat16 for nothing they know."""
    import torch

    if array.dtype != ml_dtypes.bfloat16:
        return torch.tensor(array)
    return torch.tensor(array.view(np.int16)).view(torch.bfloat16)


def _array(tensor: Any) -> Any:
    import torch

    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def tensorflow(name: str, arrays: dict[str, Any], options: dict[str, Any]) -> Any:
    import tensorflow as tf

    owner: Any = tf.compat.v1.losses if name.startswith("compat") else tf.nn
    tensors = {key: tf.constant(array) for key, array in arrays.items()}
    x = tensors["predictions" if "predictions" in tensors else "logits"]
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = getattr(owner, name.removeprefix("compat.v1.losses."))(**tensors, **options)
    gradient = tape.gradient(value, x)
    return value.numpy(), gradient if gradient is None else gradient.numpy()  # integers have none


def _keras_call(library: Any, name: str, options: dict[str, Any]) -> Any:
    """A loss or metric of Keras as a function of (y_true, y_pred)."""
    options = {key: value for key, value in options.items() if key != "backend"}
    room, _, kind = name.partition(".")
    if kind == "binary_crossentropy":
        return lambda t, x: library.losses.binary_crossentropy(t, x, **options)
    weight = options.pop("sample_weight", None)
    made = getattr(getattr(library, room), kind)(**options)
    return lambda t, x: made(t, x, sample_weight=weight)


def keras(name: str, arrays: dict[str, Any], options: dict[str, Any]) -> Any:
    import keras

    call, backend = _keras_call(keras, name, options), keras.backend.backend()
    if backend == "numpy" or name.startswith("metrics."):
        return keras.ops.convert_to_numpy(call(*arrays.values())), None
    return {"tensorflow": _by_tape, "jax": _by_jax, "torch": _by_torch}[backend](call, *arrays.values())


def _by_tape(call: Any, t: Any, x: Any) -> Any:
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = call(t, x)
    return value.numpy(), tape.gradient(value, x).numpy()


def _by_jax(call: Any, t: Any, x: Any) -> Any:
    import jax

    value, pull = jax.vjp(lambda x: call(t, x), x)
    return np.asarray(value), np.asarray(pull(np.ones_like(value))[0])


def _by_torch(call: Any, t: Any, x: Any) -> Any:
    x, t = _tensor(x).requires_grad_(), _tensor(t)
    value = call(t, x)
    value.sum().backward()
    return _array(value.detach()), _array(x.grad)


def tf_keras(name: str, arrays: dict[str, Any], options: dict[str, Any]) -> Any:
    import tensorflow as tf
    import tf_keras

    call, (t, x) = _keras_call(tf_keras, name, options), arrays.values()
    if name.startswith("metrics."):
        return call(t, x).numpy(), None
    return _by_tape(call, tf.constant(t), x)  # it makes ranks equal for tensors only


def optax(name: str, arrays: dict[str, Any], options: dict[str, Any]) -> Any:
    import jax
    import optax

    x, t = arrays.values()
    with jax.enable_x64(x.dtype == np.float64):
        value, pull = jax.vjp(lambda x: getattr(optax, name)(x, t, **options), jax.numpy.asarray(x))
        return np.asarray(value), np.asarray(pull(jax.numpy.ones_like(value))[0])


def sklearn(name: str, arrays: dict[str, Any], options: dict[str, Any]) -> Any:
    from sklearn import metrics
    from sklearn._loss import HalfBinomialLoss

    if not name.startswith("HalfBinomialLoss"):
        return getattr(metrics, name)(*arrays.values(), **options), None
    loss = HalfBinomialLoss()
    if name == "HalfBinomialLoss":
        return loss(*arrays.values(), **options), None
    answer = getattr(loss, name.partition(".")[2])(*arrays.values(), **options)
    return answer if isinstance(answer, tuple) else (answer, None)


def boosting(name: str, arrays: dict[str, Any], options: dict[str, Any]) -> Any:
    library = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}[name.partition("_")[0]]
    return library(name.partition("_")[2], *arrays.values(), **options)


def _xgboost(_: str, x: Any, t: Any, weights: Any = None, scale_pos_weight: float = 1.0) -> Any:
    import xgboost

    parameters = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "base_score": 0.5,
        "scale_pos_weight": scale_pos_weight,
        "learning_rate": 1.0,
        "min_child_weight": 0.0,
        "max_depth": 1,
        "lambda": 1e6,
        "nthread": 1,
    }

    def matrix(rows: Any) -> Any:
        weight = None if weights is None else weights[rows]
        return xgboost.DMatrix(np.zeros((len(rows), 1)), label=t[rows], weight=weight, base_margin=x[rows])

    everything = matrix(np.arange(len(x)))
    value = float(xgboost.train(parameters, everything, 0).eval(everything).rpartition(":")[2])
    gradient = []
    for row in range(len(x)):  # a tree of one leaf, -g/(h + λ) with h at most 1/4 of a weight
        tree = xgboost.train(parameters, matrix(np.array([row])), 1).trees_to_dataframe()
        gradient.append(-tree["Gain"].iloc[0] * 1e6)
    return value, np.array(gradient)


MIRRORED = np.array([[0.0], [1.0]])  # features of a row and its mirror image, between which a tree of two leaves splits


def _lightgbm(name: str, x: Any, t: Any, weights: Any = None, **options: Any) -> Any:
    import lightgbm

    objective = {"binary_logloss": "binary", "cross_entropy": "cross_entropy"}[name]
    tree = {"min_data_in_leaf": 1, "min_data_in_bin": 1, "min_sum_hessian_in_leaf": 0.0, "num_leaves": 2}
    fixed = {
        "objective": objective,
        "metric": name,
        "verbose": -1,
        "learning_rate": 1.0,
        "num_threads": 1,
        **tree,
        **options,
    }

    def booster(features: Any, x: Any, t: Any, w: Any, **more: Any) -> Any:
        parameters = {**fixed, **more}
        data = lightgbm.Dataset(features, t, weight=w, init_score=x, params=parameters)
        return lightgbm.Booster(parameters, data)

    def leaf(x: float, t: float, w: Any, penalty: float) -> float:
        w = None if w is None else np.array([w, w])
        made = booster(MIRRORED, np.array([x, -x]), np.array([t, 1 - t]), w, lambda_l2=penalty)
        made.update()
        return float(made.predict(MIRRORED, raw_score=True)[0])

    value = booster(np.arange(len(x), dtype=float)[:, None], x, t, weights).eval_train()[0][2]
    if (objective == "binary" and ((t > 0) & (t < 1)).any()) or np.abs(x).max() > 30:
        return value, None  # one class, or Hessians below its least: it builds no tree that would show its gradient
    gradient = []
    for row in zip(x, t, [None] * len(x) if weights is None else weights, strict=True):
        once, twice = leaf(*row, 1.0), leaf(*row, 2.0)  # -g/(h + 1) and -g/(h + 2)
        gradient.append(-once / (once / twice - 1))
    return value, np.array(gradient)


def _catboost(name: str, x: Any, t: Any, weights: Any = None) -> Any:
    import catboost
    from catboost.utils import eval_metric

    loss = {"logloss": "Logloss", "cross_entropy": "CrossEntropy"}[name]
    parameters = {
        "loss_function": loss,
        "iterations": 1,
        "depth": 1,
        "learning_rate": 1.0,
        "l2_leaf_reg": 0.0,
        "leaf_estimation_method": "Gradient",
        "leaf_estimation_iterations": 1,
        "bootstrap_type": "No",
        "boost_from_average": False,
        "verbose": False,
        "allow_writing_files": False,
        "thread_count": 1,
    }
    gradient = []
    for one, label in zip(x, t, strict=True):  # a leaf of one row is its first derivative
        pool = catboost.Pool(MIRRORED, label=[label, 1 - label], baseline=[one, -one])
        tree = catboost.CatBoost(parameters).fit(pool)
        gradient.append(tree.predict(MIRRORED, prediction_type="RawFormulaVal")[0])
    w = 1.0 if weights is None else np.float32(weights)
    return eval_metric(t, x, loss, weight=weights)[0], np.array(gradient) * w


def signature(path: str, *_: Any) -> Any:
    """The parameters of what has this path: name, kind, default."""
    found = pkgutil.resolve_name(path)
    return [(one.name, one.kind.name, one.default) for one in inspect.signature(found).parameters.values()]


SYSTEMS = {
    "signature": signature,
    "pytorch": pytorch,
    "tensorflow": tensorflow,
    "keras": keras,
    "tf_keras": tf_keras,
    "optax": optax,
    "sklearn": sklearn,
    "boosting": boosting,
}


def answer(question: Question) -> Any:
    system, name, arrays, options = question
    try:
        return SYSTEMS[system](name, arrays, options)
    except Exception as error:  # noqa: BLE001 - the framework's own error is the answer
        return [kind.__name__ for kind in type(error).__mro__] + [str(error)]


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND=sys.argv[1], TF_CPP_MIN_LOG_LEVEL="3", JAX_PLATFORMS="cpu")
    warnings.simplefilter("ignore")  # what frameworks warn of is no matter of ours
    questions = pickle.load(sys.stdin.buffer)
    answers = pickle.dumps([answer(question) for question in questions])
    sys.stdout.buffer.write(answers)
