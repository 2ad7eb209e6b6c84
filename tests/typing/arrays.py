"""What a type checker makes of calls: the type of array in is the type of array out. Run by `mypy`, never imported.

`assert_type` fails unless a type is just that; a `type: ignore` that is not needed is an error of its own.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

import logloss as ll

Singles = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]


class Tensor:
    """Stands for an array of any framework."""


def losses(x: Singles, t: Any, tensor: Tensor, name: str) -> None:
    assert_type(ll.binary_cross_entropy_with_logits(x, t), np.float64)
    assert_type(ll.binary_cross_entropy_with_logits(x, t, reduction="weighted_mean", pos_weight=2.0), np.float64)
    assert_type(ll.binary_cross_entropy_with_logits(x, t, reduction="none"), Singles)
    assert_type(ll.binary_cross_entropy_with_logits(x, t, axis=0, reduction="sum"), Doubles)
    assert_type(ll.binary_cross_entropy_with_logits([0.5], [1]), np.float64)
    assert_type(ll.binary_cross_entropy_with_logits(tensor, tensor, label_smoothing=0.1), Tensor)
    assert_type(ll.binary_cross_entropy_with_logits(x, t, reduction=name), Any)
    assert_type(ll.binary_cross_entropy(x, t, eps=1e-7), np.float64)
    assert_type(ll.binary_cross_entropy_with_log_probs(x, t, reduction="none"), Singles)
    assert_type(ll.sigmoid_focal_loss(x, t, gamma=1.0, reduction="none"), Singles)
    assert_type(ll.asymmetric_loss(tensor, tensor, clip=None), Tensor)


def derivatives(x: Singles, t: Any, tensor: Tensor) -> None:
    assert_type(ll.value_and_grad(x, t), tuple[np.float64, Singles])
    assert_type(ll.value_and_grad(x, t, reduction="none"), tuple[Singles, Singles])
    assert_type(ll.value_and_grad(x, t, axis=-1, loss=ll.sigmoid_focal_loss), tuple[Doubles, Singles])
    assert_type(ll.value_and_grad(tensor, tensor), tuple[Tensor, Tensor])
    assert_type(ll.grad_and_hess(x, t, pos_weight=3.0), tuple[Singles, Singles])
    assert_type(ll.grad_and_hess(tensor, tensor), tuple[Tensor, Tensor])


def others(x: Singles, t: Any, tensor: Tensor) -> None:
    assert_type(ll.log_loss(t, x), np.float64)
    assert_type(ll.log_loss(t, x, average=None, eps=1e-7), Doubles)
    assert_type(ll.log_loss(t, tensor), Tensor)
    assert_type(ll.correct_prior(x, pos_weight=2.0), Singles)
    assert_type(ll.correct_prior(tensor), Tensor)


def mistakes(x: Singles, t: Any) -> None:
    ll.binary_cross_entropy_with_logits(x, t, pos_wieght=2.0)  # type: ignore[call-overload]
    ll.sigmoid_focal_loss(x, t, gama=2.0)  # type: ignore[call-overload]
    ll.log_loss(t, x, averge=None)  # type: ignore[call-overload]
    ll.binary_cross_entropy_with_logits(x, t).backward()  # type: ignore[attr-defined]
