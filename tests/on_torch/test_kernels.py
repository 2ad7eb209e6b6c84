"""CPU tensors: the same bits as NumPy arrays, at every half-precision logit, in every layout and with every option."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import logloss as ll
from cases import IGNORING, of_batch, tensors
from logloss import torch as drop_in
from logloss._backends.torch import addressed, cpu
from reference import LOSSES, message, reference

# PyTorch's forward mode loads its own scripts when first used.
pytestmark = [
    pytest.mark.numerical,
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
]

FLOATS = {
    torch.float16: np.float16,
    torch.bfloat16: ml_dtypes.bfloat16,
    torch.float32: np.float32,
    torch.float64: np.float64,
}
TARGETS = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, *FLOATS]


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A copy of a tensor by another way than the package's: through its bytes."""
    if tensor.dtype is torch.bfloat16:
        return tensor.detach().contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.detach().contiguous().numpy().copy()


def same_bits(tensor: torch.Tensor, array: np.ndarray) -> bool:
    ours = as_numpy(tensor)
    return ours.dtype == array.dtype and ours.tobytes() == np.ascontiguousarray(array).tobytes()


def every(dtype: torch.dtype) -> torch.Tensor:
    """All 65,536 values of a 16-bit type."""
    return torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("target", [0.0, 1.0, 0.25])
def test_every_half_precision_logit(dtype: torch.dtype, target: float):
    x = every(dtype)
    t = torch.full((2**16,), target, dtype=dtype)
    value, gradient = ll.value_and_grad(x, t, reduction="none")
    expected, slope = ll.value_and_grad(as_numpy(x), as_numpy(t), reduction="none")
    assert same_bits(value, expected)
    assert same_bits(gradient, slope)


@pytest.mark.parametrize("start", range(0, 4096, 1024))
def test_a_sweep_of_float32_logits(start: int):
    """Every 4,096th float32: those the kernels are held to by the exhaustive test, by way of tensors."""
    bits = torch.arange(-(2**31) + start, 2**31, 4096, dtype=torch.int64).to(torch.int32)
    x = bits.view(torch.float32)
    t = (torch.arange(len(x)) % 2).to(torch.uint8)
    value, gradient = ll.value_and_grad(x, t, reduction="none")
    expected, slope = ll.value_and_grad(as_numpy(x), as_numpy(t), reduction="none")
    assert same_bits(value, expected)
    assert same_bits(gradient, slope)


@pytest.mark.parametrize("dtype", FLOATS)
def test_autograd_gives_the_same_bits(dtype: torch.dtype):
    x = (3 * torch.randn(40, 30)).to(dtype).requires_grad_()
    t = torch.rand(40, 30) < 0.3
    loss = ll.binary_cross_entropy_with_logits(x, t)
    loss.backward()
    value, gradient = ll.value_and_grad(as_numpy(x), as_numpy(t))
    assert loss.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    assert loss.item() == (value if dtype is torch.float64 else np.float32(value))
    assert same_bits(x.grad, gradient)


@pytest.mark.parametrize("dtype", TARGETS)
def test_target_types(dtype: torch.dtype):
    x, hard = torch.randn(500), torch.rand(500) < 0.5
    value, gradient = ll.value_and_grad(x, hard.to(dtype))
    expected, slope = ll.value_and_grad(as_numpy(x), as_numpy(hard))
    assert value.item() == np.float32(expected)
    assert value.dtype is gradient.dtype is torch.float32  # whatever the targets are
    assert same_bits(gradient, slope)


def test_integer_logits_become_float64():
    assert ll.binary_cross_entropy_with_logits(torch.tensor([1, -2]), torch.tensor([1, 0])).dtype is torch.float64


def options(rows: int, labels: int) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(7)

    def positive(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) + 0.5

    keep = torch.rand(rows, labels, generator=generator) < 0.8
    return {
        "pos_weight": {"pos_weight": positive(labels)},
        "pos_weight, bfloat16": {"pos_weight": positive(labels).bfloat16()},
        "weight": {"weight": positive(rows, labels)},
        "weight per label": {"weight": positive(1, labels).double()},
        "sample_weight": {"sample_weight": positive(rows), "reduction": "weighted_mean"},
        "label_weight": {"label_weight": positive(rows), "label_axis": 0, "axis": 1},
        "mask": {"mask": keep},
        "mask per row": {"mask": keep[:, :1], "axis": 0},
        "ignore_index": {"ignore_index": 0},
        "smoothing": {"label_smoothing": 0.1, "reduction": "batchmean"},
        "normalizer": {"normalizer": torch.tensor(17.0)},
        "normalizer per row": {"normalizer": positive(rows), "axis": -1},
        "list": {"pos_weight": [2.0] * labels, "reduction": "sum"},
        "none": {"reduction": "none", "pos_weight": 3},
    }


@pytest.mark.parametrize("name", options(1, 1))
@pytest.mark.parametrize("loss", LOSSES)
def test_every_option(loss: str, name: str):
    given = options(12, 7)[name]
    p = torch.rand(12, 7, generator=torch.Generator().manual_seed(8)) * 0.98 + 0.01
    x = {"probabilities": p, "log_probs": p.log()}.get(loss, torch.logit(p)).requires_grad_()
    t = (torch.rand(12, 7, generator=torch.Generator().manual_seed(9)) < 0.4).to(torch.int64)
    plain = {
        key: as_numpy(value.float() if value.dtype is torch.bfloat16 else value)
        if isinstance(value, torch.Tensor)
        else value
        for key, value in given.items()
    }
    expected, slope = ll.value_and_grad(as_numpy(x), as_numpy(t), loss=LOSSES[loss], **plain)
    value, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], **given)
    assert same_bits(value, np.asarray(expected, np.float32))
    assert same_bits(gradient, slope)
    loss_alone = LOSSES[loss](x, t, **given)
    (through_autograd,) = torch.autograd.grad(loss_alone.sum(), x)
    np.testing.assert_allclose(as_numpy(loss_alone), expected, rtol=1e-6)
    np.testing.assert_allclose(as_numpy(through_autograd), slope, rtol=1e-6)


LAYOUTS = {
    "every second column": lambda x: torch.cat([x, x], 1).view(x.shape[0], 2, -1).transpose(1, 2)[:, :, 0],
    "transposed": lambda x: x.T.contiguous().T,
    "channels last": lambda x: x.view(2, 6, 7, 1).to(memory_format=torch.channels_last),
    "expanded": lambda x: x[:1].expand(12, 7),
    "offset": lambda x: torch.cat([x.reshape(-1), x.reshape(-1)])[5:89].view(12, 7),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("large", [False, True])
def test_layouts(layout: str, dtype: torch.dtype, large: bool, monkeypatch: pytest.MonkeyPatch):
    """Gradients lie as PyTorch's `empty_like`, in memory from PyTorch or, where large, from NumPy."""
    if large:
        monkeypatch.setattr(cpu, "_LARGE", 0)
    x = LAYOUTS[layout](torch.randn(12, 7).to(dtype)).requires_grad_()
    t = torch.rand(x.shape).to(dtype)
    _, gradient = ll.value_and_grad(as_numpy(x), as_numpy(t))
    (ours,) = torch.autograd.grad(ll.binary_cross_entropy_with_logits(x, t), x)
    assert same_bits(ours, gradient)
    assert ours.stride() == torch.empty_like(x).stride()


def test_no_copy_is_made(monkeypatch: pytest.MonkeyPatch):
    """The kernels see the tensors' own addresses, strides and all."""
    from logloss._kernels import cpu as kernels

    seen = []
    evaluate = kernels.evaluate
    monkeypatch.setattr(kernels, "evaluate", lambda *call: (seen.append(kernels.Call(*call)), evaluate(*call))[1])
    for dtype in FLOATS:
        x, t = torch.randn(64, 32).to(dtype)[:, ::2].requires_grad_(), torch.rand(64, 16).to(dtype)
        ll.binary_cross_entropy_with_logits(x, t).backward()
        call = seen.pop()
        assert call.x.__array_interface__["data"][0] == x.data_ptr()
        assert call.t.__array_interface__["data"][0] == t.data_ptr()
        assert call.x.strides == tuple(step * x.element_size() for step in x.stride())


@settings(max_examples=60, deadline=None)
@given(
    logits=st.lists(st.floats(width=32), min_size=1, max_size=20),
    target=st.sampled_from([0.0, 1.0, 0.3]),
    price=st.sampled_from([None, 0.0, 3.3]),
)
def test_the_plain_formula_is_exact_at_any_logit(logits: list[float], target: float, price: float | None):
    """What transforms and other devices get, at any logit: infinities and NaN included."""
    x = torch.tensor(logits, dtype=torch.float32)
    t = torch.full_like(x, target)

    def loss(one: torch.Tensor) -> torch.Tensor:
        return ll.binary_cross_entropy_with_logits(one, t, reduction="none", pos_weight=price)

    want = reference("logits", x.numpy(), t.numpy(), reduction="none", pos_weight=price)
    value, gradient = torch.func.jvp(loss, (x,), (torch.ones_like(x),))
    want.check(value, "loss")
    want.check(gradient, "slope")


PLACES = range(3)
"""Logits, targets and weight: plain calls go by address, and what has none of its own must not."""


@pytest.mark.parametrize("place", PLACES)
def test_zeros_without_memory(place: int):
    plain = [torch.full((8, 16), 0.5) for _ in PLACES]
    strange, same = list(plain), list(plain)
    strange[place], same[place] = torch._efficientzerotensor((8, 16)), torch.zeros(8, 16)
    found, want = (ll.value_and_grad(x, t, weight=w) for x, t, w in (strange, same))
    torch.testing.assert_close(found, want)


@pytest.mark.parametrize("place", PLACES)
def test_sparse_tensors_are_refused(place: int):
    given = [torch.ones(8, 16) for _ in PLACES]
    given[place] = torch.eye(8, 16).to_sparse()
    with pytest.raises(ll.UnsupportedTypeError, match=r"dense tensor; got layout torch.sparse_coo. Use"):
        ll.binary_cross_entropy_with_logits(given[0], given[1], weight=given[2])


def test_a_setting_of_several_values_is_refused():
    with pytest.raises(ll.InvalidInputError, match="label_smoothing must be a finite number"):
        ll.binary_cross_entropy_with_logits(torch.zeros(2), torch.ones(2), label_smoothing=torch.tensor([0.1, 0.2]))


def test_tensors_that_are_negated_when_they_are_read():
    x, t = torch.randn(8, 16), (torch.rand(8, 16) < 0.5).float()
    want = ll.value_and_grad(x, t, weight=t + 1)
    found = ll.value_and_grad(torch._neg_view(-x), torch._neg_view(-t), weight=torch._neg_view(-t - 1))
    torch.testing.assert_close(found, want, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sum_too_large_for_its_dtype_is_infinite(dtype: torch.dtype):
    x = torch.full((4,), torch.finfo(dtype).max / 2, dtype=dtype, requires_grad=True)
    loss = ll.binary_cross_entropy_with_logits(x, torch.zeros(4), reduction="sum")
    loss.backward()
    assert loss == math.inf
    assert (x.grad == 1).all()


def test_right_where_torch_is_not():
    x, t = torch.tensor([-20.0, 20.0]), torch.tensor([0.0, 1.0])
    assert functional.binary_cross_entropy_with_logits(x, t, reduction="none")[0] == 0.0
    value, gradient = ll.value_and_grad(x, t, reduction="none")
    np.testing.assert_allclose(value, [math.log1p(math.exp(-20.0))] * 2, rtol=2e-7)
    np.testing.assert_allclose(gradient, [1 / (1 + math.exp(20.0)), -1 / (1 + math.exp(20.0))], rtol=2e-7)


@pytest.mark.parametrize("target", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_never_worse_than_torch(dtype: torch.dtype, target: float):
    """At every half-precision logit and every 65,536th float32: |error| at most torch's, or half an ulp's rounding."""
    if dtype is torch.float32:
        x = torch.arange(-(2**31), 2**31, 65536, dtype=torch.int64).to(torch.int32).view(torch.float32)
    else:
        x = every(dtype)
    x = x[x.isfinite()].requires_grad_()
    t = torch.full_like(x, target)
    side = x.detach().double() * (1 if target else -1)  # how right the logit is
    exact = torch.logaddexp(torch.zeros_like(side), -side)
    slope = torch.sigmoid(-side) * (-1 if target else 1)
    for function in (ll.binary_cross_entropy_with_logits, functional.binary_cross_entropy_with_logits):
        value = function(x, t, reduction="none")
        (gradient,) = torch.autograd.grad(value.sum(), x)
        errors = (value.detach().double() - exact).abs(), (gradient.double() - slope).abs()
        if function is ll.binary_cross_entropy_with_logits:
            ours = errors
    digits, least = {torch.float16: (11, 25), torch.bfloat16: (8, 134), torch.float32: (22, 150)}[dtype]
    for mine, theirs, true in zip(ours, errors, (exact, slope), strict=True):
        rounding = 2.0**-digits * true.abs() + 2.0**-least
        assert (mine <= torch.maximum(theirs, rounding)).all()


USUAL = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "batchmean": {"reduction": "batchmean"},
    "pos_weight": {"pos_weight": 3.0},
    "whole pos_weight": {"pos_weight": 2},
    "0-d pos_weight": {"pos_weight": torch.tensor(3.0)},
    "1-d pos_weight": {"pos_weight": torch.tensor([0.1], dtype=torch.float64)},
    "label_smoothing": {"label_smoothing": 0.1},
    "both": {"pos_weight": torch.tensor(3.0), "label_smoothing": 0.1},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", USUAL)
def test_the_usual_case_has_the_bits_of_every_other(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(cpu, "problem_of", None)  # what the other ways begin with
        usual = evaluated(dtype, USUAL[name])
    monkeypatch.setattr(addressed, "kind_of", lambda *_: None)
    assert all(map(torch.equal, usual, evaluated(dtype, USUAL[name])))


ORDINARY = {**of_batch(40, 7), **IGNORING}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_calls_have_the_bits_of_every_other(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    options = tensors(ORDINARY[name])
    ordinary = [evaluated(dtype, options) for _ in range(2)]
    monkeypatch.setattr(addressed, "kind_of", lambda *_: None)
    for found in ordinary:
        assert all(map(torch.equal, found, evaluated(dtype, options)))


def evaluated(dtype: torch.dtype, options: dict[str, Any]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    x, t = torch.randn(40, 7, generator=generator, dtype=dtype), (torch.rand(40, 7, generator=generator) < 0.3).float()
    logits = x.clone().requires_grad_()
    loss = ll.binary_cross_entropy_with_logits(logits, t, **options)
    (slope,) = torch.autograd.grad(loss.sum(), logits, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), logits)
    (kept,) = torch.autograd.grad(ll.binary_cross_entropy_with_logits(logits, t, **options).sum(), logits)
    value = ll.binary_cross_entropy_with_logits(x, t, **options)
    return [loss.detach(), slope.detach(), curvature, kept, value, *ll.value_and_grad(x, t, **options)]


def test_tensors_that_have_outlived_their_transform():
    left: list[torch.Tensor] = []
    x, t = torch.randn(6), torch.rand(6)
    torch.func.grad(lambda inner: left.append(inner) or inner.sum())(x)
    torch.func.grad(lambda inner: left.append(inner) or inner.sum())(t)
    want = ll.value_and_grad(x, t)
    torch.testing.assert_close(ll.value_and_grad(*left), want, rtol=0, atol=0)
    assert ll.binary_cross_entropy_with_logits(left[0], t) == want[0]
    assert ll.binary_cross_entropy_with_logits(x, left[1]) == want[0]


def test_errors_of_the_usual_case_speak_of_shapes_as_all_others_do():
    with pytest.raises(ll.InvalidInputError, match=r"logits of shape \(2, 3\); got 5"):
        ll.binary_cross_entropy_with_logits(torch.zeros(2, 3), torch.ones(2, 3), label_axis=5)


def test_a_price_that_changes_after_the_forward_is_what_it_was():
    x, t, price = torch.randn(6, requires_grad=True), torch.ones(6), torch.tensor(3.0)
    loss = ll.binary_cross_entropy_with_logits(x, t, pos_weight=price)
    price.fill_(5.0)
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    torch.testing.assert_close(slope, ll.value_and_grad(x.detach(), t, pos_weight=3.0)[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_single_numbers_are_refused_with_a_message(dtype: torch.dtype):
    """Without axes, bits of bfloat16 become a plain number on their way to the message."""
    x, bad, right = (torch.tensor(number, dtype=dtype) for number in (0.5, 1.5, 1.0))
    for function in (ll.binary_cross_entropy_with_logits, ll.value_and_grad, ll.grad_and_hess, ll.binary_cross_entropy):
        text = message(ll.InvalidInputError, function, x, bad)
        assert text.startswith("targets must be in [0, 1]; 1 of 1 values is not: 1.5. ")
        text = message(ll.InvalidInputError, function, x, right, weight=-bad)
        assert text.startswith("weight must be finite and not negative; 1 of 1 values is not: -1.5. ")
    assert "1 of 1 values is not: 1.5. " in message(ll.InvalidInputError, ll.binary_cross_entropy, bad, right)
    assert "1 of 1 values is not: 1.5. " in message(ll.InvalidInputError, ll.denominator, bad)
    assert "got -1.5. " in message(ll.InvalidInputError, drop_in.BCEWithLogitsLoss(pos_weight=-bad), x, right)


def test_where_a_bad_price_stands():
    price = torch.ones(1, 2, 3)
    price[0, 1, 2] = -1.0
    x = torch.zeros(4, 2, 3)
    for dtype in (torch.float32, torch.bfloat16):
        module = drop_in.BCEWithLogitsLoss(pos_weight=price.to(dtype))
        text = message(ll.InvalidInputError, module, x, x)
        assert (
            text
            == "pos_weight must be finite and not negative; got -1 at index (0, 1, 2). Use 0 to leave something out."
        )
