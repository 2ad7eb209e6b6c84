"""The slow reference of all losses and options: element by element, from the definitions, on the mpmath oracle."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpmath import isinf, isnan, mp, mpf

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


# ---- how far a result may be ----------------------------------------------------------------------------------------

HARD = [0.0, 1.0]
# In ulp, for loss, gradient and Hessian. A price is a sum of two rounded products, a weighted loss one of two more.
HARD_LIMITS = {"logits": (2, 2, 4), "probabilities": (1, 1, 2), "log_probs": (2, 3, 5)}
SOFT_LIMITS = {"logits": (5, 5, 6), "probabilities": (5, 5, 6), "log_probs": (5, 6, 8)}


class Bounds(NamedTuple):
    """One element, exactly, the largest term of each of its numbers, and how many of that term's ulp these may be off.

    A gradient is a difference: of u·σ(-x) and v·σ(x), of u/p and v/(1 - p), … Where these cancel, the difference is as
    far off as ever while its own ulp shrink.
    """

    exactly: Derivatives
    terms: Derivatives
    limits: Derivatives

    def check(self, got: Any, which: str, arithmetic: Any, *, factor: Any = 1, least: Any = 0) -> None:
        """Raise unless `got` is the loss, gradient or Hessian times a factor, to within the bound.

        `arithmetic` is the type whose ulp count; what was then shortened may be half an ulp further off. `least` is an
        error that is always allowed.
        """
        exactly, term, limit = (getattr(part, which) for part in self)
        want = oracle.times(factor, exactly)
        if isinf(want) or isnan(want) or not np.isfinite(np.float64(got)):
            assert oracle.error_in_ulp(got, want, got.dtype) == 0.0, (got, want)
            return
        room = exact(least) + limit * oracle.ulp(factor * term, arithmetic)
        if got.dtype != arithmetic:
            room += oracle.ulp(want, got.dtype) / 2
        off = abs(exact(got) - want)
        assert off <= room, (got, mp.nstr(want, 20), f"{float(off / room):.3g} times the bound")


def bounds(loss: str, x: Any, t: Any, **options: Any) -> Bounds:
    """The bounds of one element; options as for `element`.

    Every product and sum of positive terms adds half an ulp, up to one ulp of a result just above a power of two.
    """
    exactly = element(loss, x, t, **options)
    if loss in DEFAULTS:
        options = {**DEFAULTS[loss], **options}
        return Bounds(exactly, _focused_terms(loss, x, t, options, exactly), _focused_limits(loss, x, t, options))
    eps, common = options.get("eps"), {name: value for name, value in options.items() if name != "eps"}
    u, v = oracle.prices(t, **common)
    parts = [of_prices(loss, x, *pair, eps).gradient for pair in ((u, 0), (0, v))]
    terms = Derivatives(exactly.loss, max(abs(part) for part in parts), exactly.hessian)
    return Bounds(exactly, terms, Derivatives(*(HARD_LIMITS if t in HARD and not options else SOFT_LIMITS)[loss]))


def _steepness(loss: str, x: Any, t: Any, options: dict[str, Any]) -> tuple[float, float, float]:
    """|Γ·log M|, Γ, and the condition of σ(x) - clip at this point: what a focusing factor M^Γ amplifies."""
    y = oracle.smoothed(t, options.get("label_smoothing", 0))
    s = oracle.sigmoid(x)
    if loss == "focal":
        exponent, m, condition = exact(options["gamma"]), y * oracle.sigmoid(-exact(x)) + (1 - y) * s, mpf(1)
    else:
        clip = exact(options["clip"] or 0)
        exponent = exact(options["gamma_pos"]) * y + exact(options["gamma_neg"]) * (1 - y)
        over = s - clip if s > clip else mpf(0)
        m = y * oracle.sigmoid(-exact(x)) + (1 - y) * over
        condition = s / over if over and y < 1 else mpf(1)
    steep = abs(exponent * mp.log(m)) if m and exponent else mpf(0)
    return float(steep), float(exponent), float(condition)


def _focused_limits(loss: str, x: Any, t: Any, options: dict[str, Any]) -> Derivatives:
    steep, exponent, condition = _steepness(loss, x, t, options)
    base = 6 + 2 * steep + exponent * condition
    return Derivatives(base * condition, 2 * base * condition, 4 * base * condition**2)


def _focused_terms(loss: str, x: Any, t: Any, options: dict[str, Any], want: Derivatives) -> Derivatives:
    """The sums of the magnitudes of the products in M^Γ·L and its derivatives: they may cancel."""
    if isinf(exact(x)):
        return want
    unfocused = {"gamma": 0.0, "alpha": None} if loss == "focal" else {"gamma_neg": 0.0, "gamma_pos": 0.0}
    y = oracle.smoothed(t, options.get("label_smoothing", 0))
    ends = [element(loss, x, end, **{**options, **unfocused, "label_smoothing": 0}) for end in HARD]
    price = Derivatives(*(y * abs(one) + (1 - y) * abs(zero) for zero, one in zip(*ends, strict=True)))
    power = want.loss / price.loss if price.loss else mpf(0)
    _, exponent, condition = _steepness(loss, x, t, options)
    pull = exponent * condition  # |M'/M| is at most the condition
    return Derivatives(
        want.loss,
        power * (price.gradient + pull * price.loss),
        power * (price.hessian + 2 * pull * price.gradient + pull * (pull + 1) * price.loss),
    )


# ---- calls ----------------------------------------------------------------------------------------------------------


class Reference(NamedTuple):
    """What a call must give: value, gradient scaled by the denominator, and the elementwise arrays.

    `scale` is what elementwise derivatives are multiplied by, and `elements` holds the arguments of `bounds` for each
    element that counts.
    """

    value: Any
    gradient: np.ndarray
    losses: np.ndarray
    slopes: np.ndarray
    hessians: np.ndarray
    denominator: Any
    scale: np.ndarray
    elements: dict[tuple[int, ...], tuple[str, Any, Any, dict[str, Any]]]

    def check(self, got: Any, which: str = "gradient", *, least: Any = 0) -> None:
        """Raise unless every number is within its bounds (`Bounds.check`), and 0 where nothing counts.

        `which` is "gradient", or one of the elementwise "loss", "slope" and "hessian".
        """
        array = np.asarray(got)
        assert array.shape == self.slopes.shape, (array.shape, self.slopes.shape)
        arithmetic = np.dtype(np.float32 if array.itemsize <= 4 else np.float64)
        scale = self.scale if which == "gradient" else np.ones(())
        for index, factor in zip(np.ndindex(array.shape), np.broadcast_to(scale, array.shape).flat, strict=True):
            if index not in self.elements:
                assert array[index] == 0, (index, array[index])
                continue
            loss, x, t, options = self.elements[index]
            number = "gradient" if which == "slope" else which
            bounds(loss, x, t, **options).check(array[index], number, arithmetic, factor=exact(factor), least=least)


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
    elements = {}
    for index in np.ndindex(shape):
        target = t[index]
        if not _at(mask, index, default=True) or _ignored(target, ignore_index):
            continue
        w = _at(weight, index) * _along(sample_weight, index, 0) * _label(label_weight, index, label_axis)
        a = _label(pos_weight, index, label_axis)
        options = {"pos_weight": a, "label_smoothing": label_smoothing, "weight": w, **own}
        elements[index] = loss, x[index], target, options
        exactly = element(loss, x[index], target, **options)
        losses[index], slopes[index], hessians[index] = (float(number) for number in exactly)
        counted[index], weights[index] = 1.0, w
    if reduction == "none":
        return Reference(losses, slopes, losses, slopes, hessians, None, np.ones(()), elements)
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
    scale = np.expand_dims(scale, axes) if scale.ndim == x.ndim - len(axes) else scale
    return Reference(value, slopes * scale, losses, slopes, hessians, bottom, scale, elements)


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


def compare(loss: str, x: Any, t: Any, rtol: float, **options: Any) -> tuple[Any, Any, Any]:
    """Value, gradient and elementwise derivatives of any framework's arrays; returns the first two and the expected.

    Values may be off by `rtol`, derivatives as far as `Bounds` says.
    """
    want = reference(loss, np.asarray(x), np.asarray(t), **options)
    value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], **options)
    assert gradient.dtype == x.dtype
    close(np.asarray(value), want.value, rtol)
    want.check(gradient)
    elementwise = {name: given for name, given in options.items() if name not in ("reduction", "axis", "normalizer")}
    slopes, curvatures = ll.grad_and_hess(x, t, loss=LOSSES[loss], **elementwise)
    want.check(slopes, "slope")
    want.check(curvatures, "hessian")
    return value, gradient, want


def message(kind: type[Exception], function: Any, *args: Any, **options: Any) -> str:
    """The text of the error that a call must raise: a sentence, of this package's own tree."""
    with pytest.raises(kind) as caught:
        function(*args, **options)
    text = str(caught.value)
    assert text.endswith("."), text
    assert isinstance(caught.value, ll.LoglossError) or kind is TypeError
    return text
