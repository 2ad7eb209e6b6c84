"""The GPU's kernels, run on CPU tensors by Triton's interpreter: they give the bits of the compiled CPU kernels.

Those are held to the oracle. What a GPU's compiler makes of the kernels is checked without a GPU by `test_ptx.py`.
"""

from __future__ import annotations

import contextlib
import math

import numba
import numpy as np
import pytest
import torch

import logloss as ll
from logloss._backends.torch import launches
from logloss._kernels import gpu, ops
from logloss._spec.terms import Terms

pytestmark = pytest.mark.interpreted

EDGES = [0.0, -0.0, 1e-45, -1e-30, 20.0, -20.0, 87.5, -103.9, 104.0, -104.0, 1e30, -1e30, np.inf, -np.inf]


@pytest.fixture(autouse=True)
def _quiet():
    """The interpreter computes with NumPy, which warns of 0·inf before it is selected away."""
    with np.errstate(all="ignore"):
        yield


def logits(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=shape) * rng.choice([0.1, 3.0, 40.0], size=shape)).astype(np.float32)
    edges = EDGES[: x.size]
    x.reshape(-1)[: len(edges)] = edges
    return x


def targets(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.3).astype(np.float32)


PLAIN = Terms()


def both(x, t, terms=PLAIN, dtype=None, **options):
    """Elementwise loss and gradient and the sum, from tensors."""
    loss, grad = torch.full(x.shape, 7.0, dtype=dtype or x.dtype), torch.full(x.shape, 7.0, dtype=dtype or x.dtype)
    total = launches.cross_entropy(x, t, terms, loss=loss, grad=grad, **options)
    assert total.dtype == torch.float64
    assert total.shape == ()
    return loss, grad, float(total)


def same(x, t, terms, **options):
    """The interpreter's results have the bits of the CPU kernels'."""
    loss, grad, total = both(torch.from_numpy(x), torch.from_numpy(t), terms)
    losses, slopes = ll.value_and_grad(x, t, reduction="none", **options)
    np.testing.assert_array_equal(loss.numpy(), losses)
    np.testing.assert_array_equal(grad.numpy(), slopes)
    assert total == pytest.approx(float(losses.astype(np.float64).sum()), rel=1e-6)


def test_many_logits_have_the_bits_of_the_cpu():
    every = np.arange(0, 2**32, 2**32 // 300_007, dtype=np.uint32).view(np.float32)
    x = np.concatenate([every[np.isfinite(every)], np.array(EDGES, np.float32), np.linspace(-110, 110, 50_001)])
    x = x.astype(np.float32)
    for target in (0.0, 1.0, 0.3):
        t = np.full(x.shape, target, np.float32)
        loss, grad, _ = both(torch.from_numpy(x), torch.from_numpy(t))
        losses, slopes = ll.value_and_grad(x, t, reduction="none")
        np.testing.assert_array_equal(loss.numpy().view(np.int32), losses.view(np.int32))
        np.testing.assert_array_equal(grad.numpy().view(np.int32), slopes.view(np.int32))


@numba.njit(error_model="numpy")
def _wrong_quotients(first, last, r0, r1, r2):
    """How many float32 z, by their bits, have a z/(1 + z) by the steps of `gpu._share` that is not the nearest."""
    bits, wrong = np.empty(1, np.int32), 0
    for number in range(first, last):
        bits[0] = number
        z = bits.view(np.float32)[0]
        d = np.float32(1) + z
        r = ops.fma(ops.fma(d, r2, r1), d, r0)
        r = ops.fma(r, ops.fma(-d, r, np.float32(1)), r)
        r = ops.fma(r, ops.fma(-d, r, np.float32(1)), r)
        q = z * r
        wrong += ops.fma(ops.fma(-q, d, z), r, q) != z / d
    return wrong


def test_the_quotient_without_a_division_is_the_nearest_for_every_float32():
    least, one = (int(np.float32(value).view(np.int32)) for value in (2.0**-30, 1.0))
    constants = (np.float32(constant.value) for constant in (gpu._R0, gpu._R1, gpu._R2))
    assert _wrong_quotients(least, one + 1, *constants) == 0


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64, torch.float16,
                                   torch.bfloat16, torch.float32, torch.float64], ids=str)  # fmt: skip
def test_targets_of_any_type(dtype):
    x, t = torch.from_numpy(logits((37, 11))), torch.from_numpy(targets((37, 11)))
    loss, grad, total = both(x, t)
    again = both(x, t.to(dtype))
    torch.testing.assert_close((loss, grad, total), again, rtol=0, atol=0)


def test_a_float64_target_next_to_1_keeps_its_digits():
    t = np.array([1.0 - 2.0**-53, 1.0 - 2.0**-40, 2.0**-60])
    same(np.array([50.0, 30.0, -40.0], np.float32), t, Terms())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_logits_are_computed_in_float32_and_rounded_once(dtype):
    x = torch.from_numpy(logits((64, 33))).to(dtype)
    t = torch.from_numpy(targets((64, 33)))
    losses, slopes = map(torch.from_numpy, ll.value_and_grad(x.float().numpy(), t.numpy(), reduction="none"))
    loss, grad, _ = both(x, t, dtype=torch.float32)
    torch.testing.assert_close((loss, grad), (losses, slopes), rtol=0, atol=0)
    if dtype is torch.float16:  # the interpreter cuts bfloat16 off where a GPU rounds
        loss, grad, _ = both(x, t)
        torch.testing.assert_close((loss, grad), (losses.to(dtype), slopes.to(dtype)), rtol=0, atol=0)


SHAPES = [(5,), (4097,), (3, 7), (3, 4096), (130, 40), (9000, 1), (2, 3, 5), (2, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_of_rows_labels_and_elements(shape):
    rng = np.random.default_rng(3)
    x, t = logits(shape), targets(shape)
    axis = 1 if len(shape) > 1 else 0
    along = tuple(-1 if one == axis else 1 for one in range(len(shape)))
    pos, row = rng.random(shape[axis]), rng.random(shape[0]).astype(np.float32)
    element = rng.random(shape).astype(np.float32)
    options = {"sample_weight": row, "weight": element}
    prices = (1.0, 0.0, 1.0, 0.0)
    if len(shape) > 1:
        options |= {"pos_weight": pos, "label_axis": axis}
        prices = (torch.from_numpy(pos).reshape(along), 0.0, 1.0, 0.0)
    terms = Terms(prices, torch.from_numpy(row).reshape((-1,) + (1,) * (len(shape) - 1)), torch.from_numpy(element))
    same(x, t, terms, **options)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_does_not_count_costs_nothing_even_if_nan(shape):
    x, t = logits(shape), targets(shape)
    mask = np.random.default_rng(5).random(shape) < 0.6
    x[~mask] = np.nan
    t[~mask] = 9.0
    same(x, t, Terms(mask=torch.from_numpy(mask)), mask=mask)


@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan])
def test_ignored_targets(value):
    x, t = logits((50, 9)), targets((50, 9))
    t[::3] = value
    same(x, t, Terms(ignored=value), ignore_index=value)


def test_smoothing_of_numbers():
    same(logits((50, 9)), targets((50, 9)), Terms(prices=(0.9, 0.05, 0.9, 0.05)), label_smoothing=0.1)


@pytest.mark.parametrize("how", ["transposed", "sliced", "reversed rows", "expanded", "four axes that do not merge"])
def test_any_strides(how):
    x, t = torch.from_numpy(logits((6, 8, 4, 10))), torch.from_numpy(targets((6, 8, 4, 10)))
    if how == "transposed":
        x, t = x[0, 0].T, t[0, 0].T
    elif how == "sliced":
        x, t = x[:, ::2, 1:3, ::3], t[:, ::2, 1:3, ::3]
    elif how == "reversed rows":
        x, t = x[0, 0].flip(0), t[0, 0, ::1]
    elif how == "expanded":
        x, t = x[:1].expand(5, 8, 4, 10), t[:5]
    else:
        x, t = x.permute(3, 1, 0, 2)[::2], t.permute(3, 1, 0, 2)[::2]
    loss, grad, _ = both(x, t)
    losses, slopes = ll.value_and_grad(x.contiguous().numpy(), t.contiguous().numpy(), reduction="none")
    np.testing.assert_array_equal(loss.numpy(), losses)
    np.testing.assert_array_equal(grad.numpy(), slopes)


def test_weights_of_two_axes_that_do_not_lie_together():
    x, t = logits((3, 4, 5, 6)), targets((3, 4, 5, 6))
    element = np.random.default_rng(8).random((3, 1, 5, 1)).astype(np.float32)
    row = np.array([1.0, 2.0, 0.0], np.float32)
    terms = Terms(row=torch.from_numpy(row).reshape(3, 1, 1, 1), element=torch.from_numpy(element))
    same(x, t, terms, sample_weight=row, weight=element)


@pytest.mark.parametrize("ignored", [None, 1.0, np.nan])
def test_the_weight_of_what_counts(ignored):
    t, rng = torch.from_numpy(targets((3, 4, 5, 6))), np.random.default_rng(8)
    nan = ignored is not None and math.isnan(ignored)
    t[0, 1] = np.nan if nan else t[0, 1]
    row, element = rng.random((3, 1, 1, 1)).astype(np.float32), rng.random((3, 1, 5, 1))
    label, mask = rng.random((1, 1, 1, 6)).astype(np.float32), rng.random((3, 4, 5, 6)) < 0.7
    counts = mask & (~np.isnan(t.numpy()) if nan else t.numpy() != ignored)
    prices = (torch.from_numpy(label), 0.0, 0.0, 0.0)
    terms = Terms(prices, *map(torch.from_numpy, (row, element, mask)), ignored)
    total = launches.total_weight(t, terms)
    assert float(total) == pytest.approx((counts * label.astype(np.float64) * row * element).sum(), rel=1e-6)
    assert float(launches.total_weight(t, Terms(mask=terms.mask, ignored=ignored))) == counts.sum()
    assert float(launches.total_weight(t, Terms((0.5, 0.0, 0.0, 0.0)))) == 0.5 * t.numel()


def test_the_gradient_is_scaled_along_axes():
    x, t = torch.from_numpy(logits((3, 4, 5, 6))), torch.from_numpy(targets((3, 4, 5, 6)))
    weight = torch.rand(3, 1, 5, 1, generator=torch.Generator().manual_seed(0))
    _, grad, _ = both(x, t)
    for shape in ((3, 1, 1, 1), (1, 4, 1, 6), (3, 4, 5, 6)):
        scale = torch.linspace(0, 2, math.prod(shape)).reshape(shape)
        torch.testing.assert_close(both(x, t, scale=scale)[1], grad * scale, rtol=0, atol=0)
    weighted = both(x, t, Terms(element=weight))[1]
    torch.testing.assert_close(both(x, t, Terms(element=weight), scale=scale)[1], weighted * scale, rtol=0, atol=0)


def test_the_gradient_is_scaled_by_a_number_or_a_tensor():
    x, t = torch.from_numpy(logits((40, 30))), torch.from_numpy(targets((40, 30)))
    _, grad, total = both(x, t)
    _, by_number, same_total = both(x, t, scale=0.25)
    _, by_tensor, _ = both(x, t, scale=torch.tensor(0.25))
    assert total == same_total
    torch.testing.assert_close((by_number, by_tensor), (0.25 * grad, 0.25 * grad), rtol=0, atol=0)


def test_in_place():
    x, t = torch.from_numpy(logits((40, 30))), torch.from_numpy(targets((40, 30)))
    _, grad, total = both(x, t)
    assert float(launches.cross_entropy(x, t, Terms(), grad=x)) == total
    torch.testing.assert_close(x, grad, rtol=0, atol=0)


@pytest.mark.parametrize("wrong", ["target", "nan target", "weight", "infinite weight"])
def test_what_is_out_of_its_domain_makes_its_loss_and_gradient_nan(wrong):
    x, t = torch.zeros(4, 3), torch.zeros(4, 3)
    weight = torch.ones(4, 3)
    if "target" in wrong:
        t[2, 1] = float("nan") if wrong.startswith("nan") else 1.0000001
    else:
        weight[2, 1] = float("inf") if wrong.startswith("inf") else -1e-9
    loss, grad, total = both(x, t, Terms(element=weight))
    expected = torch.zeros(4, 3, dtype=torch.bool)
    expected[2, 1] = True
    assert torch.equal(loss.isnan(), expected)
    assert torch.equal(grad.isnan(), expected)
    assert np.isnan(total)
    assert not np.isnan(both(x, t, Terms(element=weight, mask=~expected))[2])


def test_unchecked_targets_are_taken_as_they_are():
    assert both(torch.zeros(1), torch.tensor([2.0]), check=False)[2] == pytest.approx(np.log(2), rel=1e-6)


def test_kernels_are_launched_on_the_device_of_their_operands(monkeypatch):
    launched = []
    monkeypatch.setattr(torch.cuda, "device_of", lambda tensor: launched.append(tensor) or contextlib.nullcontext())
    x, t = torch.zeros(3), torch.zeros(3)
    launches.cross_entropy(x, t, Terms())
    launches.multiply(t, torch.tensor(2.0))
    assert [tensor is one for tensor, one in zip(launched, (x, t), strict=True)] == [True, True]


def test_nothing():
    assert both(torch.zeros(0, 3), torch.zeros(0, 3))[2] == 0.0


def test_the_sum_alone_writes_nothing_else():
    x, t = torch.from_numpy(logits((40, 30))), torch.from_numpy(targets((40, 30)))
    assert float(launches.cross_entropy(x, t, Terms())) == both(x, t)[2]


@pytest.mark.parametrize("factor", [1.0, 0.5, float("inf")])
def test_multiply(factor):
    values = torch.linspace(-3, 3, 9001)
    want = values * factor
    torch.testing.assert_close(launches.multiply(values, torch.tensor(factor)), want, rtol=0, atol=0, equal_nan=True)
    assert launches.multiply(torch.zeros(0), torch.tensor(factor)).shape == (0,)


# ---- logits that are all negatives ----------------------------------------------------------------------------------


def chunk(shape: tuple[int, int]) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Logits, some of them -inf, and what a loss with targets 0 gives for each."""
    x = logits(shape)
    x[np.random.default_rng(9).random(shape) < 0.1] = -np.inf
    x.reshape(-1)[:4] = -np.inf, 0.0, -0.0, np.inf
    losses, slopes = ll.value_and_grad(x, np.zeros(shape, np.uint8), reduction="none")
    return torch.from_numpy(x), losses.astype(np.float64), slopes


@pytest.mark.parametrize("shape", [(3, 5), (1, 9000), (70, 130), (5, 4096), (9000, 1)], ids=str)
def test_negatives_have_the_bits_of_the_cpu_and_sums_of_rows(shape):
    x, losses, slopes = chunk(shape)
    sums, none = launches.negatives(x, None, None, None, wants_grad=False)
    assert none is None
    again, sloped = launches.negatives(x, None, None, None, wants_grad=True)
    assert torch.equal(sums, again)
    np.testing.assert_array_equal(x.numpy(), slopes)
    np.testing.assert_allclose(sums.numpy(), losses.sum(1), rtol=2e-6)
    np.testing.assert_allclose(sloped.numpy(), slopes.astype(np.float64).sum(1), rtol=2e-6)


def test_negatives_of_bfloat16_are_computed_in_float32():
    narrow = chunk((70, 130))[0].bfloat16()
    losses, slopes = ll.value_and_grad(narrow.float().numpy(), np.zeros((70, 130), np.uint8), reduction="none")
    sums, sloped = launches.negatives(narrow, None, None, None, wants_grad=True)
    np.testing.assert_allclose(sums.numpy(), losses.astype(np.float64).sum(1), rtol=2e-6)
    np.testing.assert_allclose(sloped.numpy(), slopes.astype(np.float64).sum(1), rtol=2e-6)
    # the interpreter cuts bfloat16 off where a GPU rounds
    torch.testing.assert_close(narrow.float(), torch.from_numpy(slopes), rtol=2.0**-7, atol=1e-37)


@pytest.mark.parametrize("gain", [10.0, 0.0, -3.0])
def test_gain_shift_and_bias_are_added_in_float32_and_what_is_left_out_stays_out(gain):
    products = torch.from_numpy(logits((60, 90), seed=4)).clamp(-1, 1)
    bias, left_out = torch.linspace(-5, 5, 60).bfloat16(), torch.rand(60, 90) < 0.2
    products[left_out] = -torch.inf
    x = (products.double() * gain + (bias.float() - 10.0).double()[:, None]).float()
    x[left_out] = -torch.inf
    losses, slopes = ll.value_and_grad(x.numpy(), np.zeros(x.shape, np.uint8), reduction="none")
    sums, _ = launches.negatives(products, bias, torch.tensor(gain), torch.tensor(-10.0), wants_grad=True)
    np.testing.assert_allclose(sums.numpy(), losses.astype(np.float64).sum(1), rtol=2e-6)
    np.testing.assert_array_equal(products.numpy(), slopes)


def test_a_row_of_negatives_does_not_depend_on_its_company():
    x, _, _ = chunk((64, 300))
    whole, _ = launches.negatives(x, None, None, None, wants_grad=False)
    for low, high in ((0, 8), (8, 9), (9, 64)):
        part, _ = launches.negatives(x[low:high], None, None, None, wants_grad=False)
        assert torch.equal(part, whole[low:high])
