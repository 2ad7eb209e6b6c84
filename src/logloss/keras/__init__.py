"""Losses for Keras 3 models, on its TensorFlow, JAX and PyTorch backends: the same numbers on each, in both tails.

They take the place of the losses of the same names in `keras.losses`, with the options of this package's losses. A
model's output is what `from_logits` says it is. Where Keras remembers the logits of a sigmoid, they are computed with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._backends.kinds import backend_of
from .._errors import InvalidInputError, MissingDependencyError, UnsupportedTypeError
from .._spec.losses import Primitive
from .._spec.options import Options, switch
from ..dialects.floored import FLOORED
from ..losses import binary_cross_entropy, binary_cross_entropy_with_logits, call_of, sigmoid_focal_loss

try:
    import keras
    from keras import ops
except ImportError as error:
    raise MissingDependencyError(
        "logloss.keras needs Keras 3, and it is not installed. Use pip install 'logloss[keras]'."
    ) from error


# ---- settings, some of which may be variables -----------------------------------------------------------------------


def _is_live(value: Any) -> bool:
    """Does it belong to a framework, so that it may change between two calls, or be learnt?"""
    return isinstance(value, keras.Variable) or ops.is_tensor(value)


def _kept(name: str, value: Any) -> Any:
    """A setting as a number, a list, or the variable itself."""
    from .._backends.operands import array_of  # brings Numba

    return value if value is None or _is_live(value) else array_of(name, value).tolist()


def _fixed(name: str, value: Any, remedy: str) -> Any:
    """A setting that models are compiled for."""
    if _is_live(value):
        raise InvalidInputError(f"{name} must be known when a model is compiled; got {value!r}. {remedy}")
    return value


def _switch(name: str, value: Any) -> bool:
    return switch(name, _fixed(name, value, "Use True or False."))


def _written(value: Any) -> Any:
    """A setting as it is written to a file: a variable has the value that it has now."""
    return ops.convert_to_numpy(value).tolist() if _is_live(value) else value


def _current(value: Any, like: Any) -> Any:
    """A setting as it is now, and in a compiled function whenever that runs."""
    if not isinstance(value, keras.Variable):
        return value
    if keras.backend.backend() == "jax":  # a compiled function would keep the value that it saw first
        from .._backends import jax

        return jax.current(lambda: value.value, like)
    return value.value


class _Loss(keras.losses.Loss):
    """What both losses share: options along the axis of labels, shapes as Keras matches them, serialisation."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: Any = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        *,
        pos_weight: Any = None,
        label_weight: Any = None,
        ignore_index: float | None = None,
    ) -> None:
        self.policy = keras.dtype_policies.get(dtype or keras.config.floatx())
        super().__init__(name=name, reduction=_fixed("reduction", reduction, "Use its name."), dtype=self.policy)
        self.from_logits = _switch("from_logits", from_logits)
        self.options = {
            "label_smoothing": _kept("label_smoothing", label_smoothing),
            "axis": _fixed("axis", axis, "Use an int."),
            "pos_weight": _kept("pos_weight", pos_weight),
            "label_weight": _kept("label_weight", label_weight),
            "ignore_index": _fixed("ignore_index", ignore_index, "Use a number."),
        }

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of these labels and predictions, which may be lists."""
        for name, one in (("y_true", y_true), ("y_pred", y_pred)):
            if isinstance(one, np.ma.MaskedArray):
                raise UnsupportedTypeError(
                    f"{name} must not be a masked array: its mask would be lost. "
                    "Use y_true.filled(-1) and ignore_index=-1."
                )
        y_true, y_pred = (
            ops.convert_to_tensor(one, dtype=self.dtype) if isinstance(one, list | tuple) else one
            for one in (y_true, y_pred)
        )
        if type(self).call is not _Loss.call:  # a subclass has its own
            return super().__call__(y_true, y_pred, sample_weight)
        output = Output(y_pred)
        if self.from_logits and output.logits is not None:
            warnings.warn(
                "from_logits=True, but a sigmoid has made probabilities of the logits. Use from_logits=False.",
                stacklevel=2,
            )
        return _Call(self, output)(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss per sample."""
        return self.per_sample(y_true, y_pred, Output(y_pred))

    def per_sample(self, y_true: Any, y_pred: Any, output: Output) -> Any:
        """The same of predictions that Keras may have cast, and what is known of them."""
        raise NotImplementedError

    def evaluated(self, loss: Callable[..., Any] | Primitive, y_true: Any, y_pred: Any, **own: Any) -> Any:
        """The mean over the labels that count, one value per sample; Keras weighs and reduces them."""
        y_true = matched(y_true, y_pred)
        given = {name: _current(value, y_pred) for name, value in {**self.options, **own}.items()}
        given["label_axis"] = given["axis"]
        primitive, options = (loss, Options(**given)) if isinstance(loss, Primitive) else call_of(loss, given)
        return backend_of(y_pred, y_true).value(primitive, y_pred, y_true, options)

    def get_config(self) -> dict[str, Any]:
        options = {name: _written(value) for name, value in self.options.items()}
        return {**super().get_config(), "from_logits": self.from_logits, "dtype": self.dtype, **options}


class _Call(keras.losses.Loss):
    """One call of a loss: what is known of its predictions goes with it past Keras, which casts them."""

    def __init__(self, loss: _Loss, output: Output) -> None:
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=loss.policy)
        self.loss, self.output = loss, output

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.loss.per_sample(y_true, y_pred, self.output)


def matched(y_true: Any, y_pred: Any) -> Any:
    """Targets of shape (N,) for predictions of shape (N, 1), and the other way round, as Keras takes them."""
    try:
        true, pred = tuple(y_true.shape), tuple(y_pred.shape)
    except ValueError:  # TensorFlow does not know how many axes there are, which its backend says
        return y_true
    if len(true) + 1 == len(pred) and pred[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)
    elif len(pred) + 1 == len(true) and true[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    elif len(true) != len(pred) or any(a != b for a, b in zip(true, pred, strict=True) if None not in (a, b)):
        raise InvalidInputError(
            f"y_true and y_pred must have the same shape; got {true} and {pred}. Give one label per prediction."
        )
    return y_true


# ---- probabilities of a sigmoid -------------------------------------------------------------------------------------

_LEAST = {"float16": 2.0**-14, "bfloat16": 2.0**-106, "float32": 2.0**-106, "float64": 2.0**-1002}
"""A little more than the smallest normal number, so that a weight or a batch may still multiply the quotient."""


class Output:
    """What is known of a model's output before Keras casts it: its type, and the logits behind probabilities."""

    def __init__(self, y_pred: Any) -> None:
        self.dtype = getattr(y_pred, "dtype", None) or keras.config.floatx()
        self.logits = getattr(y_pred, "_keras_logits", None)
        if keras.backend.backend() == "tensorflow":
            from .._backends import tensorflow

            if tensorflow.is_symbolic(y_pred):
                self.logits = tensorflow.before_sigmoid(y_pred)
                return
        if self.logits is not None and (_is_changed(y_pred) or not _is_sigmoid(y_pred, self.logits)):
            self.logits = None

    def logits_like(self, y_pred: Any) -> Any:
        """The logits in the type of what Keras made of the output, None where they are unknown."""
        return None if self.logits is None else ops.cast(self.logits, y_pred.dtype)

    def least(self, y_pred: Any) -> float:
        """What slopes are divided by at least: quotients must be finite in the type that the model gave."""
        return max(_LEAST.get(keras.backend.standardize_dtype(one), 0.0) for one in (self.dtype, y_pred.dtype))


def _is_changed(tensor: Any) -> bool:
    """Was it written to in place since the sigmoid made it? PyTorch counts that."""
    try:
        return bool(getattr(tensor, "_version", 0))
    except RuntimeError:  # in inference mode it does not
        return True


def _is_sigmoid(tensor: Any, logits: Any) -> bool:
    """Was it made of these logits by a sigmoid? A softmax remembers its own in the same way."""
    node = getattr(tensor, "grad_fn", None)
    if node is not None:  # PyTorch knows, without waiting for a device
        return type(node).__name__.startswith("Sigmoid")
    return bool(ops.all((ops.sigmoid(logits) == tensor) | (tensor != tensor)))


def _floors(eps: Any, dtype: Any) -> tuple[Any, Any]:
    """What p and 1 - p are floored at; by default as by Keras, which clips p to [ε, 1 - ε] in its type."""
    if eps is not None:
        return eps, eps
    default = float(keras.config.epsilon())
    arithmetic = np.float64 if dtype == "float64" else np.float32
    return default, float(1 - arithmetic(1 - default)) or default


def _as_logits(p: Any, least: float) -> Any:
    """log p - log(1 - p) of the nearest number strictly between 0 and 1, with a slope that does not end there."""
    dtype = keras.backend.standardize_dtype(p.dtype)
    p = ops.cast(p, "float64" if dtype == "float64" else "float32")
    limits = np.finfo(keras.backend.standardize_dtype(p.dtype))
    inner = ops.logical_and(p >= least, 1 - p >= least)
    safe, inside = ops.where(inner, p, 0.5), ops.clip(p, float(limits.tiny), 1.0 - float(limits.epsneg))
    floor = max(float(keras.config.epsilon()), least)
    steep = sum(1 / ops.where(one < least, ops.where(one == 0, floor, least), one) for one in (p, 1 - p))
    at_limits = ops.stop_gradient(ops.log(inside) - ops.log1p(-inside))
    beyond = (p - ops.stop_gradient(p)) * ops.stop_gradient(ops.where(inner, 0.0, steep))
    return ops.where(inner, ops.log(safe) - ops.log1p(-safe), at_limits) + beyond


# ---- the losses -----------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="logloss")
class BinaryCrossentropy(_Loss):
    r"""Binary cross-entropy as a Keras loss, exact in both tails: per sample the mean over the labels.

    ``-(u·log p + v·log(1 - p))`` with ``u = pos_weight·t'``, ``v = 1 - t'`` and ``t' = t·(1 - s) + s/2``; p = σ(x)
    where the model gives logits x.

    Where the model gives probabilities, the logits of its last sigmoid are used if Keras remembers them: in TensorFlow
    and PyTorch, and in JAX outside of compiled functions. Where they are unknown, p is floored as Keras clips it: a
    certain and wrong prediction costs 16.1. The gradient knows no floor, -u/p + v/(1 - p), so that a sigmoid is led
    back from wherever its own derivative is not 0; at p = 0 and p = 1 it is that of the floor.

    Every number, alpha, gamma and eps included, may be a `keras.Variable` (or a variable of the backend): its value
    counts whenever the loss runs, in compiled functions too, and is what a saved model gets.

    Args:
        from_logits: whether the model gives logits, which is more accurate, or probabilities.
        label_smoothing: s in [0, 1].
        axis: the axis of labels: losses are averaged over it, and `pos_weight` and `label_weight` lie along it.
        reduction: as in Keras: "sum_over_batch_size" (the mean over samples), "sum", "mean_with_sample_weight" or None.
        name: of the loss.
        dtype: of the computation; Keras's `floatx` by default.
        pos_weight: price of missing a positive, a number or one per label; finite, >= 0.
        label_weight: a number or one per label; finite, >= 0.
        ignore_index: labels of this value do not count, nor in the mean over the labels.
        eps: floors probabilities p and 1 - p, each by itself, in [0, 0.5]; no logits are then looked for. None is
            Keras's clip to [ε, 1 - ε] with `keras.config.epsilon()`.
        exact: floor nothing and look for no logits: p = 0 with a positive costs inf.

    Raises:
        InvalidInputError: as `logloss.binary_cross_entropy_with_logits`; in compiled code the loss is NaN instead.

    Example:
        >>> import numpy as np
        >>> from logloss.keras import BinaryCrossentropy
        >>> float(BinaryCrossentropy(from_logits=True)(np.array([[1.0, 0.0]]), np.array([[-100.0, 100.0]])))
        100.0

    References:
        Good 1952, *Rational decisions*.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: Any = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        *,
        eps: Any = None,
        exact: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype, **options)
        self.eps, self.exact = _kept("eps", eps), _switch("exact", exact)
        if self.exact and self.eps is not None:
            raise InvalidInputError(f"exact=True floors nothing; got eps={eps!r} too. Leave one of them out.")

    def per_sample(self, y_true: Any, y_pred: Any, output: Output) -> Any:
        """One loss per sample."""
        if self.from_logits:
            return self.evaluated(binary_cross_entropy_with_logits, y_true, y_pred)
        if self.exact:
            return self.evaluated(binary_cross_entropy, y_true, y_pred)
        logits = output.logits_like(y_pred) if self.eps is None else None
        if logits is not None:
            return self.evaluated(binary_cross_entropy_with_logits, y_true, logits)
        low, rest = _floors(_current(self.eps, y_pred), self.dtype)
        if keras.backend.backend() == "numpy":  # which has no gradients
            return self.evaluated(binary_cross_entropy, y_true, ops.clip(y_pred, low, 1.0 - rest))
        return self.evaluated(Primitive(FLOORED, (low, rest, output.least(y_pred))), y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make this loss again."""
        return {**super().get_config(), "eps": _written(self.eps), "exact": self.exact}


@keras.saving.register_keras_serializable(package="logloss")
class BinaryFocalCrossentropy(_Loss):
    r"""Focal loss as a Keras loss, exact in both tails: per sample the mean over the labels.

    ``α_t·m^γ`` times the cross-entropy, ``m = t'·σ(-x) + (1 - t')·σ(x)``, ``α_t = α·t' + (1 - α)·(1 - t')``. Where the
    model gives probabilities, the logits of its last sigmoid are used if Keras remembers them; otherwise p is taken as
    the logit log p - log(1 - p) of the nearest number strictly between 0 and 1, with the gradient described at
    `BinaryCrossentropy`.

    Args:
        apply_class_balancing: whether alpha counts.
        alpha: the weight of positives in [0, 1], a number or one per label.
        gamma: the focus γ, finite, >= 0.
        from_logits: whether the model gives logits, which is more accurate, or probabilities.
        label_smoothing: s in [0, 1].
        axis: the axis of labels: losses are averaged over it; `alpha`, `pos_weight` and `label_weight` lie along it.
        reduction: as in Keras: "sum_over_batch_size" (the mean over samples), "sum", "mean_with_sample_weight" or None.
        name: of the loss.
        dtype: of the computation; Keras's `floatx` by default.
        **options: `pos_weight`, `label_weight` and `ignore_index`, as for `BinaryCrossentropy`.

    Raises:
        InvalidInputError: as `logloss.sigmoid_focal_loss`; in compiled code the loss is NaN instead.

    Example:
        >>> import numpy as np
        >>> from logloss.keras import BinaryFocalCrossentropy
        >>> round(float(BinaryFocalCrossentropy(from_logits=True)(np.array([[1.0]]), np.array([[0.0]]))), 6)
        0.173287

    References:
        Lin et al. 2017, *Focal loss for dense object detection*, section 3.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: Any = 0.25,
        gamma: Any = 2.0,
        from_logits: bool = False,
        label_smoothing: Any = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype, **options)
        self.apply_class_balancing = _switch("apply_class_balancing", apply_class_balancing)
        self.alpha, self.gamma = _kept("alpha", alpha), _kept("gamma", gamma)

    def per_sample(self, y_true: Any, y_pred: Any, output: Output) -> Any:
        """One loss per sample."""
        logits = y_pred if self.from_logits else output.logits_like(y_pred)
        if logits is None:
            logits = _as_logits(y_pred, output.least(y_pred))
        alpha = self.alpha if self.apply_class_balancing else None
        return self.evaluated(sigmoid_focal_loss, y_true, logits, gamma=self.gamma, alpha=alpha)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to make this loss again."""
        own = {"alpha": _written(self.alpha), "gamma": _written(self.gamma)}
        return {**super().get_config(), "apply_class_balancing": self.apply_class_balancing, **own}


from .metrics import LogLoss  # noqa: E402 - it needs what stands above

__all__ = ["BinaryCrossentropy", "BinaryFocalCrossentropy", "LogLoss"]
