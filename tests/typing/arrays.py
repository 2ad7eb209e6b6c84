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


def layers(x: Singles, w: Singles, t: Any, tensor: Tensor) -> None:
    assert_type(ll.linear_binary_cross_entropy(x, w, t), np.float64)
    assert_type(ll.linear_binary_cross_entropy(x, w, t, linear_bias=x, pos_weight=2.0, axis=0), Doubles)
    assert_type(ll.linear_binary_cross_entropy(x, w, t, reduction="none"), Singles)
    assert_type(ll.linear_binary_cross_entropy(tensor, tensor, t, chunk_size=64, reduction="sum"), Tensor)
    value, gradients = ll.linear_value_and_grad(x, w, t, reduction="sum")
    assert_type(value, np.float64)
    assert_type(gradients.inputs, np.ndarray[Any, Any])
    assert_type(ll.linear_value_and_grad(tensor, tensor, t), tuple[Tensor, ll.LinearGradients[Tensor]])
    assert_type(ll.siglip_loss(x, w, 10.0, -10.0), np.float64)
    assert_type(ll.siglip_loss(tensor, tensor, tensor, groups=(t, t)), Tensor)
    assert_type(ll.siglip_value_and_grad(tensor, tensor, 1.0), tuple[Tensor, ll.SigLIPGradients[Tensor]])
    assert_type(ll.siglip_value_and_grad(x, w, 1.0)[1].text_features, np.ndarray[Any, Any])


def counts(x: Singles, positives: ll.Positives, tensor: Tensor) -> None:
    assert_type(ll.denominator(x, reduction="weighted_mean", sample_weight=[1.0]), float)
    assert_type(ll.denominator(positives, axis=0), Doubles)
    assert_type(ll.denominator(tensor), Tensor)
    assert_type(ll.balanced_pos_weight(tensor), Tensor)
    assert_type(ll.balanced_pos_weight(positives), Any)


def mistakes(x: Singles, t: Any) -> None:
    ll.binary_cross_entropy_with_logits(x, t, pos_wieght=2.0)  # type: ignore[call-overload]
    ll.sigmoid_focal_loss(x, t, gama=2.0)  # type: ignore[call-overload]
    ll.log_loss(t, x, averge=None)  # type: ignore[call-overload]
    ll.linear_binary_cross_entropy(x, x, t, bias=x)  # type: ignore[call-overload]
    ll.binary_cross_entropy_with_logits(x, t).backward()  # type: ignore[attr-defined]
