"""Derivatives of every order and in every mode, of logits, targets and weights; graphs that are kept or cut short."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

import logloss as ll
from cases import REDUCTION_NAMES
from logloss._backends.torch.autograd import raised
from logloss._backends.torch.call import Call
from logloss._spec.losses import PLAIN_LOSS
from logloss._spec.options import Options
from logloss.torch import BCELoss, BCEWithLogitsLoss
from reference import LOSSES

# PyTorch's forward mode loads its own scripts when first used.
pytestmark = [
    pytest.mark.numerical,
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
]

bce = ll.binary_cross_entropy_with_logits
REDUCTIONS = [{"reduction": name} for name in REDUCTION_NAMES]
REDUCED = [*REDUCTIONS, {"axis": 0}, {"axis": (0, 1), "reduction": "weighted_mean"}, {"normalizer": 2.5}]


def case(loss: str = "logits", dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (or probabilities, or their logarithms) and hard targets of shape (3, 4)."""
    generator = torch.Generator().manual_seed(3)
    p = torch.rand(3, 4, generator=generator, dtype=torch.float64) * 0.9 + 0.05
    x = {"probabilities": p, "log_probs": p.log()}.get(loss, torch.logit(p))
    return x.to(dtype).requires_grad_(), (torch.rand(3, 4, generator=generator) < 0.4).double()


def weights() -> dict[str, torch.Tensor]:
    """One of each, and a mask."""
    return {
        "pos_weight": torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64),
        "sample_weight": torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64),
        "label_weight": torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64),
        "weight": torch.linspace(0.5, 2, 12, dtype=torch.float64).view(3, 4),
        "mask": torch.arange(12).view(3, 4) % 5 != 2,
    }


@pytest.mark.parametrize("options", REDUCED, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_first_and_second_derivatives(loss: str, options: dict):
    x, t = case(loss)

    def function(one: torch.Tensor) -> torch.Tensor:
        return LOSSES[loss](one, t, **weights(), label_smoothing=0.1, **options)

    assert gradcheck(function, x)
    assert gradgradcheck(function, x)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "none"])
@pytest.mark.parametrize("soft", [True, False])
def test_gradients_of_targets_and_weights(reduction: str, soft: bool):
    """At hard targets as well: there one price is 0."""
    x, t = case()
    given = weights()
    mask = given.pop("mask")
    names = list(given)
    t = t * 0.8 + 0.1 if soft else t

    def function(x: torch.Tensor, t: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return bce(x, t, mask=mask, reduction=reduction, validate=False, **dict(zip(names, values, strict=True)))

    inputs = (x, t.requires_grad_(), *(value.requires_grad_() for value in given.values()))
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs, atol=1e-4)


def test_gradient_of_a_normalizer():
    x, t = case()
    assert gradcheck(
        lambda n: bce(x.detach(), t, normalizer=n), torch.tensor(3.0, dtype=torch.float64).requires_grad_()
    )


@pytest.mark.parametrize("loss", ["focal", "asymmetric"])
def test_targets_that_focus_have_no_gradient(loss: str):
    x, t = case()
    with pytest.raises(ll.UnsupportedTypeError, match=r"must need no gradient.*Use targets.detach\(\)"):
        LOSSES[loss](x, t.requires_grad_())


@pytest.mark.parametrize("loss", LOSSES)
def test_transforms(loss: str):
    """torch.func against loops over rows and over ordinary derivatives."""
    x, t = case(loss)
    x = x.detach()

    def function(one: torch.Tensor, target: torch.Tensor = t) -> torch.Tensor:
        return LOSSES[loss](one, target, pos_weight=2.0)

    _, gradient = ll.value_and_grad(x, t, loss=LOSSES[loss], pos_weight=2.0)
    _, curvature = ll.grad_and_hess(x, t, loss=LOSSES[loss], pos_weight=2.0)
    torch.testing.assert_close(torch.func.grad(function)(x), gradient)
    rows = torch.stack([function(row, target) for row, target in zip(x, t, strict=True)])
    torch.testing.assert_close(torch.func.vmap(function)(x, t), rows)
    torch.testing.assert_close(torch.func.vmap(function, in_dims=1)(x, t).shape, torch.Size([4]))
    hessian = torch.func.hessian(function)(x).reshape(12, 12)
    torch.testing.assert_close(hessian, torch.diag(curvature.reshape(-1) / 12))
    direction = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4)
    value, change = torch.func.jvp(function, (x,), (direction,))
    torch.testing.assert_close(value, function(x))
    torch.testing.assert_close(change, (gradient * direction).sum())
    per_row = torch.func.vmap(torch.func.grad(function))(x, t)
    torch.testing.assert_close(per_row, gradient * 3)


def test_no_axes_are_none_of_them_under_transforms():
    """To PyTorch's own sums they are all."""
    x, t = case()
    losses = bce(x.detach(), t, reduction="none")
    torch.testing.assert_close(torch.func.vmap(lambda x: bce(x, t, axis=()))(x.detach()[None]), losses[None])


def test_forward_mode():
    x, t = case()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.detach(), torch.ones_like(x))
        change = forward_ad.unpack_dual(bce(dual, t)).tangent
    torch.testing.assert_close(change, ll.value_and_grad(x, t)[1].sum())


@pytest.mark.parametrize("x", [-60.0, 60.0])
def test_second_derivative_is_exact_in_the_tails(x: float):
    """1 - σ(x) would be 0 in float32."""
    logit = torch.tensor(x, requires_grad=True)
    (slope,) = torch.autograd.grad(bce(logit, torch.tensor(1.0)), logit, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, logit)
    torch.testing.assert_close(curvature.item(), 8.75651076e-27, rtol=1e-5, atol=0.0)  # e^-60 / (1 + e^-60)²


@pytest.mark.parametrize("at", [0.0, -0.0])
def test_zero_is_a_point_like_any_other(at: float):
    x = torch.tensor([at, at], requires_grad=True)
    t = torch.tensor([0.0, 1.0], requires_grad=True)  # the formula's way, not the kernels'
    loss = bce(x, t, reduction="sum")
    slope, by_target = torch.autograd.grad(loss, (x, t), create_graph=True)
    assert slope.tolist() == [0.5, -0.5]
    assert by_target.tolist() == [0.0, 0.0]
    assert torch.autograd.grad(slope.sum(), x)[0].tolist() == [0.25, 0.25]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("options", REDUCED, ids=str)
def test_any_upstream_gradient(dtype: torch.dtype, options: dict):
    """Twice through a kept graph and once through one that is freed: nothing that was handed out changes."""
    x, t = case(dtype=dtype)
    loss = bce(x, t, **options)
    up = torch.rand(loss.shape, generator=torch.Generator().manual_seed(5)).to(loss.dtype)
    _, plain = ll.value_and_grad(x.double(), t, **options)
    spread = up.double() if options.get("reduction") == "none" or up.ndim == 0 else up.double().unsqueeze(0)
    (one,) = torch.autograd.grad(loss, x, torch.ones_like(loss), retain_graph=True)
    kept = one.clone()
    (two,) = torch.autograd.grad(loss, x, up, retain_graph=True)
    (three,) = torch.autograd.grad(loss, x, up)
    tolerance = {"rtol": 3 * torch.finfo(dtype).eps, "atol": 1e-7}
    torch.testing.assert_close(one.double(), plain, **tolerance)
    torch.testing.assert_close(two.double(), plain * spread, **tolerance)
    torch.testing.assert_close(three, two)
    assert torch.equal(one, kept)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_many_upstream_gradients_at_once(dtype: torch.dtype):
    """PyTorch maps over the backward alone."""
    x, t = case(dtype=dtype)
    loss = bce(x, t, axis=0)
    rows = torch.eye(4, dtype=loss.dtype)
    (batched,) = torch.autograd.grad(loss, x, rows, is_grads_batched=True)
    loss = bce(x, t, axis=0)
    for row, gradient in zip(rows, batched, strict=True):
        torch.testing.assert_close(gradient, torch.autograd.grad(loss, x, row, retain_graph=True)[0])


def test_float16_gradients_survive_a_large_denominator():
    """1 / 2^22 is below float16's half: only times the scaler's factor is the gradient a number."""
    x = torch.zeros(2**10, 2**12, dtype=torch.float16, requires_grad=True)
    (bce(x, torch.zeros(x.shape, dtype=torch.uint8)) * 65536.0).backward()
    assert x.grad[0, 0].item() == 0.5 / 2**22 * 65536


def test_checkpointing_and_accumulation():
    x, t = case()
    direct = torch.autograd.grad(bce(x.sin(), t), x)[0]
    loss = checkpoint(lambda one: bce(one.sin(), t), x, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], direct)
    for _ in range(2):
        bce(x.sin(), t).backward()
    torch.testing.assert_close(x.grad, 2 * direct)


def test_logits_are_left_alone_and_watched():
    x, t = case()
    logits = x * 1.0
    before = logits.detach().clone()
    loss = bce(logits, t)
    loss.backward(retain_graph=True)
    assert torch.equal(logits, before)
    logits.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inplace():
    x, t = case()
    expected = torch.autograd.grad(bce(x * 2.0, t), x)[0]
    criterion = BCEWithLogitsLoss(inplace=True)
    logits = x * 2.0
    memory = logits.detach()
    loss = criterion(logits, t)
    assert torch.equal(memory, ll.value_and_grad(x * 2.0, t)[1])
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], expected)
    squashed = x.sigmoid()  # its backward reads the values that are overwritten
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        criterion(squashed, t).backward()
    with pytest.raises(ll.InvalidInputError, match="Leave inplace=True out"):
        criterion(x, t)
    with pytest.raises(ll.InvalidInputError, match="overwritten"):
        torch.autograd.grad(criterion(x * 2.0, t), x, create_graph=True)
    with torch.no_grad():
        untouched = x * 2.0
        criterion(untouched, t)
        assert torch.equal(untouched, x * 2.0)


def test_inplace_refuses_memory_that_is_not_the_logits_alone():
    criterion = BCEWithLogitsLoss(inplace=True)
    weight, t = torch.nn.Parameter(torch.tensor([[3.0, -2.0], [1.0, 0.0]])), torch.ones(4)
    for view in (
        weight.view(-1),
        weight[:1].expand(2, 2).reshape(-1).expand(2, 4),
        (weight * 1).view(-1)[:1].expand(4),
    ):
        with pytest.raises(ll.InvalidInputError, match="inplace=True overwrites the logits"):
            criterion(view, t.expand(view.shape))
    criterion.register_full_backward_hook(lambda *_: None)  # hands over an alias of the leaf
    with pytest.raises(ll.InvalidInputError, match="inplace=True overwrites the logits"):
        criterion(weight, torch.ones(2, 2))
    assert weight.tolist() == [[3.0, -2.0], [1.0, 0.0]]
    with pytest.raises(ll.InvalidInputError, match="out is written, and needs a place for each element"):
        ll.value_and_grad(torch.zeros(3, 4), torch.zeros(3, 4), out=torch.empty(4).expand(3, 4))


def test_targets_are_freed_by_the_backward():
    x, t = case()
    kept = weakref.ref(t)
    loss = bce(x, t)
    loss.backward()
    del t
    assert kept() is None


def test_half_precision_weights_are_added_up_in_full():
    """By the kernels, and by the formula, which weights that need a gradient go to."""
    x, t = case(dtype=torch.float32)
    given = {"weight": torch.full((3, 4), 2.0).half(), "reduction": "weighted_mean"}
    rows = torch.full((3,), 6e4).half()  # the sum is beyond float16
    torch.testing.assert_close(bce(x, t, sample_weight=rows.clone().requires_grad_(), **given), bce(x, t, **given))
    torch.testing.assert_close(bce(x, t, sample_weight=rows, **given), bce(x, t, **given))


FOCUSED = [
    (ll.asymmetric_loss, {"gamma_neg": 0.0, "clip": 0.05}, [-5.0, 1.0], [0.0, 0.0]),
    (ll.asymmetric_loss, {"gamma_pos": 0.0}, [40.0, -800.0], [1.0, 0.0]),
    (ll.sigmoid_focal_loss, {"alpha": 0.25}, [torch.inf, -torch.inf], [1.0, 0.0]),
    (ll.sigmoid_focal_loss, {}, [torch.inf, 3.0], [0.0, 1.0]),
]


@pytest.mark.parametrize(("loss", "options", "logits", "targets"), FOCUSED)
def test_the_formula_is_the_kernels_at_the_ends(loss: object, options: dict, logits: list, targets: list):
    x, t = torch.tensor(logits, requires_grad=True), torch.tensor(targets)
    values = [
        loss(x, t, reduction="sum", sample_weight=w, **options) for w in (None, torch.ones(2, requires_grad=True))
    ]
    torch.testing.assert_close(*values)
    slopes = [torch.autograd.grad(values[0], x, create_graph=graph, retain_graph=True)[0] for graph in (False, True)]
    torch.testing.assert_close(*slopes)


def test_bad_targets_are_found_before_anything_is_overwritten():
    x, t = case()
    logits = x * 2.0
    with pytest.raises(ll.InvalidInputError, match="targets must be in"):
        BCEWithLogitsLoss(inplace=True)(logits, t + 1)
    assert torch.equal(logits, x * 2.0)


def test_what_does_not_count_has_gradient_zero_even_if_nan():
    x = torch.tensor([float("nan"), 1.0], requires_grad=True)
    t = torch.tensor([float("nan"), 1.0])
    for options in ({"mask": torch.tensor([False, True])}, {"ignore_index": float("nan")}):
        for function in (torch.autograd.grad, lambda loss, one: torch.autograd.grad(loss, one, create_graph=True)):
            (gradient,) = function(bce(x, t, **options), x)
            assert gradient[0] == 0.0
            assert gradient[1] < 0.0


def test_nothing_to_count():
    x, t = case()
    for loss in (bce(x, t, mask=torch.zeros(3, 4, dtype=torch.bool)), bce(x[:0], t[:0])):
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.item() == 0.0
        assert not gradient.any()
    assert not torch.func.grad(lambda one: bce(one, t, mask=torch.zeros(3, 4, dtype=torch.bool)))(x).any()


def test_positives():
    x, _ = case()
    lists = [[1], [], [0, 3]]
    positives = ll.Positives.from_lists(lists, labels=4)
    dense = torch.zeros(3, 4)
    for row, labels in enumerate(lists):
        dense[row, labels] = 1.0
    for create_graph in (False, True):
        (sparse,) = torch.autograd.grad(bce(x, positives), x, create_graph=create_graph)
        torch.testing.assert_close(sparse, torch.autograd.grad(bce(x, dense), x)[0])
    torch.testing.assert_close(torch.func.grad(lambda one: bce(one, positives))(x), sparse)


def test_probabilities_with_torchs_clamps():
    p = torch.tensor([0.2, 0.7, 0.5], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.9, 0.1, 0.3], dtype=torch.float64, requires_grad=True)
    for exact in (False, True):
        criterion = BCELoss(exact=exact)
        assert gradcheck(criterion, (p, t))
        assert gradgradcheck(criterion, (p, t))


@pytest.mark.parametrize(
    ("options", "shape"), [({"reduction": "none"}, (5, 3)), ({"axis": 0, "reduction": "sum"}, (3,))]
)
def test_a_sum_of_losses_hands_down_one_number(options: dict, shape: tuple):
    x, t = torch.randn(5, 3, requires_grad=True), (torch.rand(5, 3) < 0.5).float()
    losses = ll.binary_cross_entropy_with_logits(x, t, **options)
    (each,) = torch.autograd.grad(2 * losses.sum(), x)
    (at_once,) = torch.autograd.grad(2 * ll.binary_cross_entropy_with_logits(x, t, reduction="sum"), x)
    torch.testing.assert_close(each, at_once, rtol=0, atol=0)
    call = Call(PLAIN_LOSS, Options(**options))
    assert raised(torch.tensor(2.0).expand(shape), call, 2).shape == ()
    assert raised(torch.ones(shape), call, 2).ndim == 2
    assert raised(torch.tensor(2.0).expand(0), call, 2).numel() == 0
