"""Numbers of a loss as tensors: learnt, mapped, per label, open in compiled code, and as precise as they were given."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

import logloss as ll
from logloss.torch import AsymmetricLoss, BCEWithLogitsLoss, SigmoidFocalLoss
from reference import message, reference

# PyTorch's compiler and forward mode warn of themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
X = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
T = torch.tensor([1.0, 0.0, 0.3], dtype=torch.float64)
LOSSES = {
    "label_smoothing": (ll.binary_cross_entropy_with_logits, 0.1),
    "eps": (lambda x, t, **own: ll.binary_cross_entropy(x.sigmoid(), t, **own), 0.3),
    "gamma": (ll.sigmoid_focal_loss, 1.7),
    "alpha": (ll.sigmoid_focal_loss, 0.4),
    "gamma_neg": (ll.asymmetric_loss, 2.5),
    "gamma_pos": (ll.asymmetric_loss, 0.7),
    "clip": (ll.asymmetric_loss, 0.1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_numbers_are_learnt(name: str):
    """To second order, together with the logits; and by the transforms of torch.func, in both directions."""
    function, value = LOSSES[name]
    number = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    x = X.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, one: function(x, T, **{name: one}), (x, number))
    assert torch.autograd.gradgradcheck(lambda x, one: function(x, T, **{name: one}), (x, number))

    def loss(one: torch.Tensor) -> torch.Tensor:
        return function(X, T, **{name: one})

    (slope,) = torch.autograd.grad(loss(number), number)
    torch.testing.assert_close(torch.func.grad(loss)(number.detach()), slope)
    along = torch.func.jvp(loss, (number.detach(),), (torch.ones((), dtype=torch.float64),))
    torch.testing.assert_close(along[1], slope)
    mapped = torch.func.vmap(loss)(number.detach().expand(2))
    torch.testing.assert_close(mapped, loss(number.detach()).expand(2))


def test_a_parameter_of_a_module_gets_its_gradient():
    gamma = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    criterion = SigmoidFocalLoss(gamma=gamma)
    assert [name for name, _ in criterion.named_parameters()] == ["gamma"]
    criterion(X, T).backward()
    ends = [reference("focal", X.numpy(), T.numpy(), gamma=2.0 + step).value for step in (1e-6, -1e-6)]
    assert gamma.grad.item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-7)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_derivatives_are_finite_where_the_loss_is(gamma: float):
    x = torch.tensor([math.inf, -math.inf, 800.0, -800.0], dtype=torch.float64)
    t = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    number = torch.tensor(gamma, dtype=torch.float64, requires_grad=True)
    ll.sigmoid_focal_loss(x, t, gamma=number).backward()
    assert number.grad == 0


@pytest.mark.parametrize("alpha", [[0.2, 0.3, 0.5], torch.tensor([0.2, 0.3, 0.5])], ids=["list", "tensor"])
def test_alpha_per_label(alpha: object):
    """Kernels, compiled code, transforms and second derivatives, beside one label at a time."""
    x, t = torch.randn(5, 3), torch.rand(5, 3)
    logits = x.clone().requires_grad_()
    want = [ll.sigmoid_focal_loss(x[:, k], t[:, k], alpha=[0.2, 0.3, 0.5][k]) for k in range(3)]
    loss = ll.sigmoid_focal_loss(logits, t, alpha=alpha, axis=0)
    torch.testing.assert_close(loss, torch.stack(want))
    module = SigmoidFocalLoss(alpha=alpha, axis=0)
    assert module.alpha.shape == SigmoidFocalLoss(alpha=np.array(alpha)).alpha.shape == (3,)
    torch.testing.assert_close(module(x, t), torch.stack(want))
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, t), torch.stack(want))
    (slope,) = torch.autograd.grad(loss.sum(), logits, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), logits)
    by_formula = torch.func.grad(lambda x: ll.sigmoid_focal_loss(x, t, alpha=alpha, axis=0).sum())(x)
    torch.testing.assert_close(slope.detach(), by_formula, rtol=1e-5, atol=1e-7)
    loss_of = {"loss": ll.sigmoid_focal_loss, "alpha": alpha}
    torch.testing.assert_close(bend, ll.grad_and_hess(x, t, **loss_of)[1] / 5, rtol=1e-4, atol=1e-7)


def test_what_is_no_number_is_refused():
    for value in (True, "2", torch.tensor(True), torch.tensor([True]), torch.tensor(2 + 0j)):
        for run in (lambda f: f, torch.func.grad):
            criterion = run(lambda x, value=value: ll.sigmoid_focal_loss(x, T, gamma=value))
            assert "gamma must " in message(ll.InvalidInputError, criterion, X)
    for value in (True, "2"):
        assert "gamma must be a finite number" in message(ll.InvalidInputError, SigmoidFocalLoss, gamma=value)


def test_alpha_of_another_length_is_refused():
    for alpha in ([0.2, 0.3], torch.tensor([0.2, 0.3, 1.5])):
        assert "alpha must be" in message(ll.InvalidInputError, ll.sigmoid_focal_loss, X[None], T[None], alpha=alpha)


def graphs(function: object, values: list[float]) -> int:
    """How many programs twenty values of a number make."""
    torch._dynamo.reset()
    counters.clear()
    x = X.float().requires_grad_()
    run = torch.compile(function, fullgraph=True, backend="aot_eager")
    for value in values:
        loss, want = run(x, value), function(x, value)
        torch.testing.assert_close(loss, want)
        torch.testing.assert_close(torch.autograd.grad(loss, x)[0], torch.autograd.grad(want, x)[0])
    return counters["stats"]["unique_graphs"]


@pytest.mark.parametrize("name", [*LOSSES, "pos_weight"])
def test_a_number_of_another_value_compiles_nothing_anew(name: str):
    function, _ = LOSSES.get(name, (ll.binary_cross_entropy_with_logits, None))
    t = T.float()
    assert graphs(lambda x, value: function(x, t, **{name: value}), [0.01 + 0.02 * k for k in range(20)]) <= 2


@pytest.mark.parametrize(("make", "name"), [(BCEWithLogitsLoss, "label_smoothing"), (SigmoidFocalLoss, "gamma"),
                                             (AsymmetricLoss, "clip")])  # fmt: skip
def test_a_setting_of_another_value_compiles_nothing_anew(make: type, name: str):
    criterion, t = make(), T.float()

    def step(x: torch.Tensor, value: float) -> torch.Tensor:
        setattr(criterion, name, value)
        return criterion(x, t)

    assert graphs(step, [0.01 + 0.02 * k for k in range(20)]) <= 2


def test_numbers_of_python_stay_double():
    x = torch.tensor([0.0, 1.0], dtype=torch.float64)
    t = torch.tensor([1.0, 1.0], dtype=torch.float64)
    for price in (2.1, [2.1, 2.1], torch.tensor(2.1, dtype=torch.float64)):
        want = reference("logits", x.numpy(), t.numpy(), pos_weight=2.1).value
        assert BCEWithLogitsLoss(pos_weight=price)(x, t).item() == pytest.approx(want, rel=1e-15)
    assert BCEWithLogitsLoss(pos_weight=np.float32(2.1)).pos_weight.dtype is torch.float32


@pytest.mark.parametrize("shape", [(2,), (2, 2), (2, 1)])
def test_half_precision_prices_of_every_shape(shape: tuple[int, ...]):
    x = torch.zeros(2, 2)[0 if len(shape) == 1 else slice(None)]
    loss = BCEWithLogitsLoss(pos_weight=torch.ones(shape, dtype=torch.bfloat16))(x, torch.ones_like(x))
    assert loss.item() == pytest.approx(math.log(2))


def test_targets_of_more_digits_than_the_logits():
    """1 - t from t in its own precision, wherever the formula runs."""
    x, t = torch.tensor([20.0]), torch.tensor([1 - 1e-8], dtype=torch.float64)
    want = reference("logits", x.numpy(), t.numpy())

    def loss(x: torch.Tensor) -> torch.Tensor:
        return ll.binary_cross_entropy_with_logits(x, t)

    assert loss(x).item() == pytest.approx(want.value, rel=1e-6)
    assert torch.func.grad(loss)(x).item() == pytest.approx(want.gradient[0], rel=1e-3)
    assert torch.func.vmap(loss)(x[None])[0].item() == pytest.approx(want.value, rel=1e-6)
    learnt = ll.binary_cross_entropy_with_logits(x, t.clone().requires_grad_())
    assert learnt.item() == pytest.approx(want.value, rel=1e-6)


def test_the_jacobian_of_one_logit_in_forward_mode():
    function = torch.autograd.functional.jacobian
    got = function(lambda x: ll.binary_cross_entropy_with_logits(x, torch.tensor(0.3)), torch.tensor(-0.5),
                   vectorize=True, strategy="forward-mode")  # fmt: skip
    assert got.item() == pytest.approx(1 / (1 + math.exp(0.5)) - 0.3, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_numbers_of_one_element_and_numbers_out_of_their_interval(name: str):
    """Eager code refuses what is out of its interval; in transforms value and gradient are NaN."""
    function, value = LOSSES[name]
    for shape in ((), (1,)):
        number = torch.full(shape, value, dtype=torch.float64)
        torch.testing.assert_close(function(X, T, **{name: number}), function(X, T, **{name: value}))
        for bad in (-0.5, math.nan, math.inf):
            wrong = torch.full(shape, bad, dtype=torch.float64)
            for one in (wrong, wrong.clone().requires_grad_(), bad):
                assert f"{name} must be" in message(ll.InvalidInputError, function, X, T, **{name: one})
            slope, loss = torch.func.grad_and_value(lambda one: function(X, T, **{name: one}))(wrong)
            assert loss.isnan()
            assert slope.isnan().all()


def test_buffers_of_numbers_move_to_devices_without_float64():
    def as_mps_does(value: torch.Tensor) -> torch.Tensor:
        if value.dtype is torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return value

    criterion = BCEWithLogitsLoss(pos_weight=2.1, label_weight=[1.0, 2.0])._apply(as_mps_does)
    assert criterion.pos_weight.dtype is criterion.label_weight.dtype is torch.float32
    assert BCEWithLogitsLoss(pos_weight=2.1).to("cpu").pos_weight.dtype is torch.float64


def test_settings_are_shown_in_one_line():
    learnt = SigmoidFocalLoss(torch.nn.Parameter(torch.tensor(2.0)), [0.25, 0.5])
    assert repr(learnt) == "SigmoidFocalLoss(gamma=2.0, alpha=[0.25, 0.5], reduction='mean')"
    smoothed = BCEWithLogitsLoss(label_smoothing=torch.nn.Parameter(torch.tensor([0.5])))
    assert repr(smoothed) == "BCEWithLogitsLoss(reduction='mean', label_smoothing=[0.5])"
