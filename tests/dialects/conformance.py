"""Dialects beside the real frameworks: every case, both answers, and how far they are apart.

Elements may differ by 4 ulp of the largest intermediate term; reduced values relatively, by 1e-6 in float32 and 1e-12
in float64 and by 4 ulp in half precision; infinities, NaN, shapes and dtypes not at all.
"""

from __future__ import annotations

import concurrent.futures
import functools
import importlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from dialects.cases import Case
from logloss import dialects

ULPS, RELATIVE = 4.0, {"float32": 1e-6, "float64": 1e-12, "float16": 4 * 2.0**-10, "bfloat16": 4 * 2.0**-7}


class Difference(NamedTuple):
    """How far two answers are apart, as a share of what is allowed: at most 1."""

    value: float
    gradient: float


# ---- both sides -----------------------------------------------------------------------------------------------------


def framework_answers(cases: list[Case]) -> list[Any]:
    """What the real frameworks say; one process for each Keras backend, two at a time."""
    hosts = sorted({case.host for case in cases})
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        by_host = dict(zip(hosts, pool.map(lambda host: iter(_ask(host, cases)), hosts), strict=True))
    return [next(by_host[case.host]) for case in cases]


def _ask(host: str, cases: list[Case]) -> list[Any]:
    questions = [(case.system, case.function, case.arrays, case.options) for case in cases if case.host == host]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("frameworks.py")), host],
        input=pickle.dumps(questions),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return list(pickle.loads(done.stdout))


def dialect_answer(case: Case) -> Any:
    """What the dialect says; an error as a list of class names, like a framework's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in frameworks.py
            return _dialect_answer(case)
    except Exception as error:  # noqa: BLE001 - compared with the framework's
        return [kind.__name__ for kind in type(error).__mro__] + [str(error)]


def _dialect_answer(case: Case) -> Any:
    module = importlib.import_module(f"logloss.dialects.{case.system.replace('tf_keras', 'keras')}")
    options, arrays = dict(case.options), list(case.arrays.values())
    if "keras" in case.system and not case.function.endswith(".binary_crossentropy"):
        weight = options.pop("sample_weight", None)
        if case.function.startswith("metrics."):
            options.pop("reduction", None)
        made = functools.reduce(getattr, case.function.split("."), module)(**options)
        return dialects.value_and_grad(made, *arrays, weight)
    if case.function.startswith("HalfBinomialLoss"):
        loss = module.HalfBinomialLoss()
        if case.function == "HalfBinomialLoss":
            return dialects.value_and_grad(loss, *arrays, **options)
        answer = getattr(loss, case.function.partition(".")[2])(*arrays, **options)
        return answer if isinstance(answer, tuple) else (answer, None)
    function = functools.reduce(getattr, case.function.split("."), module)
    return dialects.value_and_grad(function, **case.arrays, **options)


# ---- how far apart --------------------------------------------------------------------------------------------------


def difference(case: Case, theirs: Any, ours: Any) -> Difference:
    """The largest distance over what is allowed; infinite where infinities, NaN, shapes or dtypes differ."""
    value_terms, slope_terms = terms(case, ours) if case.elements else (None, None)
    # CatBoost's FastExp, of which its derivatives are made, is good to about 1e-8
    slopes = case._replace(precision="float32") if "catboost" in case.function else case
    gradient = 0.0 if theirs[1] is None else _distance(slopes, theirs[1], ours[1], slope_terms)
    return Difference(_distance(case, theirs[0], ours[0], value_terms), gradient)


def _distance(case: Case, theirs: Any, ours: Any, term: Any) -> float:
    if case.system != "boosting" and np.asarray(theirs).dtype != np.asarray(ours).dtype:
        return np.inf  # boosting's gradients are read from trees
    a, b = np.asarray(theirs, np.float64), np.asarray(ours, np.float64)
    if a.shape != b.shape:
        return np.inf
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return np.inf
    if not finite.any():
        return 0.0
    # XLA takes numbers below the least normal one for 0
    least = float(ml_dtypes.finfo(case.precision).tiny)
    if case.elements:
        term = np.broadcast_to(np.reshape(term, b.shape), b.shape)[finite]
        allowed = ULPS * float(ml_dtypes.finfo(case.precision).eps) * term + least
    else:
        allowed = RELATIVE[case.precision] * np.abs(b[finite]).max() + least
    share = float((np.abs(a[finite] - b[finite]) / allowed).max())
    return share if share == share else np.inf


def terms(case: Case, ours: Any) -> tuple[Any, Any]:
    """The largest intermediate term of each element's value and gradient."""
    x, t = (np.asarray(case.arrays[name], np.float64) for name in roles(case))
    loss, slope = (None if part is None else np.abs(np.asarray(part, np.float64)) for part in ours)
    logits = case.options.get("from_logits", "logits" in case.arrays or "logits" in case.function)
    name, backend = case.function, case.options.get("backend", case.system)
    with np.errstate(all="ignore"):
        if "ocal" in name:
            return _focal_terms(case, x, t, loss, slope, logits)
        balance = np.maximum(t / (1 + np.exp(x)), (1 - t) / (1 + np.exp(-x)))
        if name == "HalfBinomialLoss.loss":
            return np.maximum(np.logaddexp(0, x), np.abs(x) * t), None
        if name in ("HalfBinomialLoss.gradient", "HalfBinomialLoss.gradient_hessian"):
            return np.maximum(loss, balance), slope
        if name in ("weighted_cross_entropy_with_logits", "binary_cross_entropy_with_logits") or (
            logits and backend == "torch"
        ):
            price = 1 + (float(np.max(case.options.get("pos_weight", 1.0))) - 1) * t
            return np.maximum((1 - t) * np.abs(x), price * np.logaddexp(0, -x)), np.maximum(price, slope)
        if logits and backend in ("tensorflow", "tf_keras"):
            return _by_maximum(x, t)
        if logits and backend == "numpy":
            p = 1 / (1 + np.exp(-x))
            return loss.reshape(p.shape) + np.minimum(1 / (1 - p), 1e8), None
        if logits and backend in ("jax", "optax"):
            # its derivative of log σ is e^(x - softplus(x))
            return loss, balance * (1 + np.where(np.isfinite(x), np.abs(x), 0))
        if logits or "raw_prediction" in case.arrays or name == "multilabel_soft_margin_loss":
            return loss, np.maximum(slope, balance)
        return loss, np.fmax(slope.reshape(x.shape), _slope_of_probabilities(x, t))


def _slope_of_probabilities(p: Any, t: Any) -> Any:
    """The larger term of (1-t)/(1-p) - t/p; where it is clipped, the slope itself is the larger."""
    return np.maximum(t / np.maximum(p, 1e-7), (1 - t) / np.maximum(1 - p, 1e-7))


def _by_maximum(x: Any, t: Any) -> tuple[Any, Any]:
    """Of max(x, 0) - x·t + log(1 + e^-|x|)."""
    z = np.exp(-np.abs(x))
    return np.maximum(np.maximum(x, np.abs(x) * t), np.log1p(z)), np.maximum(np.maximum(x >= 0, t), z)


def _focal_terms(case: Case, x: Any, t: Any, loss: Any, slope: Any, logits: bool) -> tuple[Any, Any]:
    """The 1 of m = 1 - p_t, the cross-entropy and what they become; optax computes log m instead.

    From logits the 1 of 1 - σ(x) reaches the value by the derivative of log(1 - σ(x)).
    """
    gamma = case.options.get("gamma", 2.0)
    if case.system == "optax":
        log_m = np.logaddexp(np.log(t) - np.logaddexp(0, x), np.log(1 - t) - np.logaddexp(0, -x))
        lift = np.where(loss > 0, 1 + gamma * np.abs(log_m), 1)  # of e^(γ·log m)
        balance = np.exp(gamma * log_m) * np.maximum(t / (1 + np.exp(x)), (1 - t) / (1 + np.exp(-x)))
        steep = functools.reduce(np.maximum, (slope, balance, loss.reshape(slope.shape) * gamma))
        return loss * lift, steep * (lift + np.abs(x))  # its derivative of log σ is e^(x - softplus(x))
    p = 1 / (1 + np.exp(-x)) if logits else x
    m = np.abs(1 - (t * p + (1 - t) * (1 - p)))
    plain = -t * np.log(np.maximum(p, 1e-7)) - (1 - t) * np.log(np.maximum(1 - p, 1e-7))
    steep = 1.0 if logits else _slope_of_probabilities(x, t)
    reach = m**gamma * np.minimum(1 / (1 - p), 1e8) if logits else 1
    value = np.fmax(np.maximum(reach, np.maximum(1, plain)), loss.reshape(plain.shape))
    terms = (np.maximum(1, plain), m**gamma * steep, gamma * m ** (gamma - 1) * plain, slope.reshape(plain.shape))
    return value, functools.reduce(np.fmax, terms)


def roles(case: Case) -> tuple[str, str]:
    """The names of predictions and targets."""
    names = list(case.arrays)
    targets = next(name for name in names if name in ("target", "labels", "y_true", "multi_class_labels"))
    return next(name for name in names if name != targets), targets


def compare(cases: list[Case]) -> list[tuple[Case, Any, Any]]:
    """Every case with both answers."""
    return [(case, theirs, dialect_answer(case)) for case, theirs in zip(cases, framework_answers(cases), strict=True)]
