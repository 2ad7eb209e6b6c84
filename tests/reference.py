"""The slow reference of all losses and options: element by element, from the definitions, on the mpmath oracle."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpmath import mp, mpf

import logloss as ll
import oracle
from oracle import Derivatives, exact, times

LOSSES = {
    "logits": ll.binary_cross_entropy_with_logits,
    "probabilities": ll.binary_cross_entropy,
    "log_probs": ll.binary_cross_entropy_with_log_probs,
    "focal": ll.sigmoid_focal_loss,
    "asymmetric": ll.asymmetric_loss,
}
DEFAULTS = {"focal": {"gamma": 2.0, "alpha": None}, "asymmetric": {"gamma_neg": 4.0, "gamma_pos": 1.0, "clip": 0.05}}


def element(
    loss: str, x: Any, t: Any, *, pos_weight: Any = 1, label_smoothing: Any = 0, weight: Any = 1, **own: Any
) -> Derivatives:
    """One element's loss and derivatives, exactly."""
    common = {"pos_weight": pos_weight, "label_smoothing": label_smoothing, "weight": weight}
    own = {**DEFAULTS.get(loss, {}), **own}
    if loss == "focal":
        return oracle.focal(x, t, **own, **common)
    if loss == "asymmetric":
        return oracle.asymmetric(x, t, **{**own, "clip": own["clip"] or 0}, **common)
    return of_prices(loss, x, *oracle.prices(t, **common), own.get("eps"))


def of_prices(loss: str, x: Any, u: Any, v: Any, eps: float | None = None) -> Derivatives:
    """One of the three cross-entropies from the prices of missing a positive and a negative."""
    if loss == "logits":
        return oracle.cross_entropy(x, u, v)
    if loss == "log_probs":
        return oracle.from_log_probability(x, u, v)
    return _floored(exact(x), u, v, exact(eps)) if eps else oracle.from_probability(x, u, v)


def _floored(p: mpf, u: mpf, v: mpf, eps: mpf) -> Derivatives:
    """-u·log max(p, ε) - v·log max(1 - p, ε)."""
    parts = []
    for price, probability, log, sign in ((u, p, mp.log, -1), (v, 1 - p, lambda _: mp.log1p(-p), 1)):
        low = probability < eps
        cost, slope = (-mp.log(eps), mpf(0)) if low else (-log(probability), 1 / probability)
        parts.append((times(price, cost), sign * times(price, slope), times(price, slope**2)))
    return Derivatives(*(a + b for a, b in zip(*parts, strict=True)))


class Reference(NamedTuple):
    """What a call must give: value, gradient scaled by the denominator, and the elementwise arrays."""

    value: Any
    gradient: np.ndarray
    losses: np.ndarray
    slopes: np.ndarray
    hessians: np.ndarray
    denominator: Any


def reference(
    loss: str,
    x: np.ndarray,
    t: np.ndarray,
    *,
    pos_weight: Any = None,
    weight: Any = None,
    sample_weight: Any = None,
    label_weight: Any = None,
    label_axis: int = -1,
    label_smoothing: float = 0.0,
    ignore_index: float | None = None,
    mask: Any = None,
    axis: Any = None,
    reduction: str = "mean",
    normalizer: Any = None,
    **own: Any,
) -> Reference:
    """Value and gradient with all options, in float64, with sums in math.fsum."""
    shape = x.shape
    losses, slopes, hessians = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    counted, weights = np.zeros(shape), np.zeros(shape)
    for index in np.ndindex(shape):
        target = t[index]
        if not _at(mask, index, default=True) or _ignored(target, ignore_index):
            continue
        w = _at(weight, index) * _along(sample_weight, index, 0) * _label(label_weight, index, label_axis)
        a = _label(pos_weight, index, label_axis)
        exactly = element(loss, x[index], target, pos_weight=a, label_smoothing=label_smoothing, weight=w, **own)
        losses[index], slopes[index], hessians[index] = (float(number) for number in exactly)
        counted[index], weights[index] = 1.0, w
    if reduction == "none":
        return Reference(losses, slopes, losses, slopes, hessians, None)
    axes = (
        tuple(range(x.ndim))
        if axis is None
        else tuple(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))
    )
    bottom = {
        "sum": np.ones_like(_sum(counted, axes)),
        "mean": _sum(counted, axes),
        "weighted_mean": _sum(weights, axes),
        "batchmean": np.asarray(float(shape[0]) if shape else 1.0),
    }[reduction]
    if normalizer is not None:
        bottom = np.broadcast_to(np.asarray(normalizer, float), bottom.shape)
    empty = bottom == 0
    divisor = np.where(empty, 1.0, bottom)
    value = np.where(empty, 0.0, _sum(losses, axes) / divisor)
    scale = np.where(empty, 0.0, 1.0 / divisor)
    gradient = slopes * np.expand_dims(scale, axes) if scale.ndim == x.ndim - len(axes) else slopes * scale
    return Reference(value, gradient, losses, slopes, hessians, bottom)


def _at(value: Any, index: tuple[int, ...], default: Any = 1.0) -> Any:
    """An element weight or a mask, whose axes are as long as the logits' or of length 1."""
    if value is None:
        return default
    array = np.asarray(value)
    if array.ndim == 0:
        return array[()].item()
    return array[tuple(0 if length == 1 else i for i, length in zip(index, array.shape, strict=True))].item()


def _along(value: Any, index: tuple[int, ...], axis: int) -> float:
    array = np.asarray(1.0 if value is None else value)
    return float(array if array.ndim == 0 else array[index[axis]])


def _label(value: Any, index: tuple[int, ...], axis: int) -> float:
    array = np.asarray(1.0 if value is None else value)
    return float(array.reshape(())) if array.size == 1 else float(array[index[axis]])


def _ignored(target: Any, ignore_index: float | None) -> bool:
    if ignore_index is None:
        return False
    return bool(target != target) if ignore_index != ignore_index else bool(target == ignore_index)


def _sum(array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    kept = tuple(axis for axis in range(array.ndim) if axis not in axes)
    rest = array.transpose(kept + axes).reshape([array.shape[axis] for axis in kept] + [-1])
    return (
        np.asarray([math.fsum(row) for row in rest.reshape(-1, rest.shape[-1])]).reshape(rest.shape[:-1])
        if rest.size
        else np.zeros(rest.shape[:-1])
    )


def rounded(array: Any, dtype: Any) -> np.ndarray:
    """Numbers as that dtype holds them."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(array, np.float64).astype(dtype)


def data(loss: str, shape: tuple[int, ...], seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (or probabilities) and targets, soft, hard or integer, in general position."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 4, shape)
    x = {"probabilities": lambda: 1 / (1 + np.exp(-x)), "log_probs": lambda: -np.log1p(np.exp(-x))}.get(
        loss, lambda: x
    )()
    hard = rng.integers(0, 2, shape)
    return x, {"soft": rng.random(shape), "int": hard, "bool": hard.astype(bool)}[kind]


def close(got: Any, want: Any, rtol: float = 1e-12) -> None:
    """Equal to a relative error of each number, or of the largest where terms may cancel."""
    scale = np.abs(want[np.isfinite(want)]).max(initial=0.0) if np.ndim(want) else 0.0
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * scale)


COMPANY = {
    "pos_weight": [0.5, 2.0, 1.0],
    "label_weight": [1.0, 0.0, 3.0],
    "label_axis": 1,
    "sample_weight": [1.0, 0.5],
    "weight": np.linspace(0.5, 2.0, 24).reshape(2, 3, 4),
    "label_smoothing": 0.1,
    "mask": np.arange(24).reshape(2, 3, 4) % 5 > 0,
    "reduction": "weighted_mean",
}
"""Options for shape (2, 3, 4), all at once."""

REDUCTIONS = [
    {"reduction": "none"},
    {"reduction": "sum"},
    {"reduction": "batchmean"},
    {"reduction": "mean", "axis": -1},
    {**COMPANY, "axis": (0, -1)},
    {"normalizer": 7.5},
    {"normalizer": [1.0, 2.0, 4.0], "axis": (0, 2)},
]


def compare(loss: str, x: Any, t: Any, rtol: float, **options: Any) -> tuple[Any, Any, Any]:
    """Value, gradient and elementwise derivatives of any framework's arrays; returns the first two and the expected."""
    want = reference(loss, np.asarray(x), np.asarray(t), **options)
    value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], **options)
    assert gradient.dtype == x.dtype
    close(np.asarray(value), want.value, rtol)
    close(np.asarray(gradient, float), want.gradient, rtol)
    elementwise = {name: given for name, given in options.items() if name not in ("reduction", "axis", "normalizer")}
    slopes, curvatures = ll.grad_and_hess(x, t, loss=LOSSES[loss], **elementwise)
    close(np.asarray(slopes, float), want.slopes, rtol)
    close(np.asarray(curvatures, float), want.hessians, 10 * rtol)
    return value, gradient, want


def message(kind: type[Exception], function: Any, *args: Any, **options: Any) -> str:
    """The text of the error that a call must raise: a sentence, of this package's own tree."""
    with pytest.raises(kind) as caught:
        function(*args, **options)
    text = str(caught.value)
    assert text.endswith("."), text
    assert isinstance(caught.value, ll.LoglossError) or kind is TypeError
    return text
