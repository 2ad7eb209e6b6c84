"""The drop-ins beside their namesakes: arguments, broadcasting, buffers, autocast; and what they refuse."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

import logloss as ll
from logloss import torch as drop_in
from reference import message

pytestmark = pytest.mark.numerical

SHAPE = (2, 3, 4, 5)
PRICES = {
    "none": None,
    "scalar": (),
    "one": (1,),
    "last axis": (5,),
    "(C, 1, 1)": (3, 1, 1),
    "batch": (2, 1, 1, 1),
    "two axes": (4, 5),
    "full": SHAPE,
}
WEIGHTS = {"none": None, "last axis": (5,), "column": (4, 1), "full": SHAPE}


def batch(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(SHAPE, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    return x, (torch.rand(SHAPE, generator=generator) < 0.3).to(dtype)


def filled(shape: tuple[int, ...] | None) -> torch.Tensor | None:
    return None if shape is None else torch.rand(shape, generator=torch.Generator().manual_seed(6)).double() + 0.5


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("price", "weight"), list(itertools.product(PRICES, WEIGHTS)))
def test_broadcasts_as_torch_does(price: str, weight: str, reduction: str):
    x, t = batch()
    given = {"weight": filled(WEIGHTS[weight]), "pos_weight": filled(PRICES[price]), "reduction": reduction}
    ours = drop_in.BCEWithLogitsLoss(**given)(x, t)
    theirs = torch.nn.BCEWithLogitsLoss(**given)(x, t)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours.sum() * 2.0, x), torch.autograd.grad(theirs.sum() * 2.0, x), rtol=1e-9, atol=1e-12
    )


def test_price_of_one_dimension_and_of_labels():
    """Logits of shape (N,) with one price per element; a price beside a label weight of another axis."""
    x, t, price = torch.randn(6), torch.ones(6), torch.rand(6)
    expected = functional.binary_cross_entropy_with_logits(x, t, pos_weight=price)
    torch.testing.assert_close(drop_in.binary_cross_entropy_with_logits(x, t, pos_weight=price), expected)
    x, t = batch()
    price, labels = filled((3, 1, 1)), filled((5,))
    torch.testing.assert_close(
        drop_in.binary_cross_entropy_with_logits(x, t, pos_weight=price, label_weight=labels),
        torch.nn.functional.binary_cross_entropy_with_logits(x, t, labels, pos_weight=price),
    )
    torch.testing.assert_close(
        drop_in.binary_cross_entropy_with_logits(x, t, pos_weight=price.reshape(-1), label_axis=1),
        torch.nn.functional.binary_cross_entropy_with_logits(x, t, pos_weight=price),
    )


@pytest.mark.parametrize("arguments", [(False,), (True, False), (None, False), (None, True), (False, True)])
def test_deprecated_arguments(arguments: tuple):
    x, t = batch()
    with pytest.warns(UserWarning, match="deprecated"):
        ours = drop_in.BCEWithLogitsLoss(None, *arguments)
    with pytest.warns(UserWarning, match="deprecated"):
        theirs = torch.nn.BCEWithLogitsLoss(None, *arguments)
    assert ours.reduction == theirs.reduction
    with pytest.warns(UserWarning, match="deprecated"):
        loss = drop_in.binary_cross_entropy_with_logits(x, t, None, *arguments)
    torch.testing.assert_close(loss, theirs(x, t))


@pytest.mark.parametrize("shape", [(2, 3), (2, 5, 3), (1, 1, 5), (2, 5)])
def test_prices_that_do_not_broadcast(shape: tuple[int, ...]):
    x = torch.zeros(3, 5)
    with pytest.raises(ll.InvalidInputError, match=r"pos_weight must broadcast to the logits' shape \(3, 5\); got"):
        drop_in.binary_cross_entropy_with_logits(x, x, pos_weight=torch.ones(shape))


@pytest.mark.parametrize("bad", [-1.0, torch.nan, torch.inf])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (3, 1)])
def test_prices_of_every_shape_are_checked(bad: float, shape: tuple[int, ...]):
    x = torch.zeros(shape[0] if len(shape) == 1 else 3, 5)[0 if len(shape) == 1 else slice(None)]
    with pytest.raises(ll.InvalidInputError, match="pos_weight must be finite and not negative"):
        drop_in.binary_cross_entropy_with_logits(x, x, pos_weight=torch.full(shape, bad))


def test_signature_begins_as_torchs():
    import inspect

    ours = list(inspect.signature(drop_in.binary_cross_entropy_with_logits).parameters)
    theirs = list(inspect.signature(functional.binary_cross_entropy_with_logits).parameters)
    assert ours[: len(theirs)] == theirs
    for name in ("BCEWithLogitsLoss", "BCELoss"):
        theirs = list(inspect.signature(getattr(torch.nn, name).__init__).parameters)
        assert list(inspect.signature(getattr(drop_in, name).__init__).parameters)[: len(theirs)] == theirs
        assert issubclass(getattr(drop_in, name), getattr(torch.nn, name))


def test_state_dict_goes_both_ways():
    ours = drop_in.BCEWithLogitsLoss(torch.rand(5), pos_weight=torch.rand(5), label_weight=[1.0] * 5)
    theirs = torch.nn.BCEWithLogitsLoss(torch.rand(5), pos_weight=torch.rand(5))
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight", "pos_weight"]
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(theirs.pos_weight, ours.pos_weight)
    fresh = drop_in.BCEWithLogitsLoss(torch.zeros(5), pos_weight=torch.zeros(5))
    fresh.load_state_dict(theirs.state_dict())
    assert torch.equal(fresh.weight, theirs.weight)
    assert not drop_in.BCEWithLogitsLoss().state_dict()
    assert list(drop_in.BCELoss(torch.rand(5)).state_dict()) == ["weight"]
    assert ours.to(torch.float64).label_weight.dtype is torch.float64


def test_modules_are_the_functions():
    x, t = batch()
    settings = {"label_smoothing": 0.1, "ignore_index": 0, "label_weight": filled((3,)), "label_axis": 1, "axis": 0}
    data = {"sample_weight": filled((2,)), "mask": filled(SHAPE) > 0.7, "normalizer": 2.0}
    for make, function, own in (
        (drop_in.BCEWithLogitsLoss, ll.binary_cross_entropy_with_logits, {}),
        (drop_in.SigmoidFocalLoss, ll.sigmoid_focal_loss, {"gamma": 1.5, "alpha": 0.25}),
        (drop_in.AsymmetricLoss, ll.asymmetric_loss, {"gamma_neg": 3.0, "gamma_pos": 0.5, "clip": None}),
    ):
        expected = function(x, t, **own, **settings, **data)
        assert torch.equal(make(**own, **settings)(x, t, **data), expected)
    p = x.sigmoid()
    exact = drop_in.BCELoss(exact=True, **settings)(p, t, **data)
    assert torch.equal(exact, ll.binary_cross_entropy(p, t, **settings, **data))


def test_repr_shows_what_was_set():
    assert repr(drop_in.BCEWithLogitsLoss()) == "BCEWithLogitsLoss(reduction='mean')"
    assert "label_smoothing=0.1" in repr(drop_in.AsymmetricLoss(label_smoothing=0.1))
    assert "gamma=2.0, alpha=None" in repr(drop_in.SigmoidFocalLoss())


# ---- probabilities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bce_is_torchs(dtype: torch.dtype, reduction: str):
    p = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5, 1e-30, 1e-45, 0.25, 1 - 2**-24], dtype=dtype, requires_grad=True)
    t = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.3, 1.0, 1.0, 0.0, 0.0], dtype=dtype)
    weight = torch.linspace(1, 2, 9, dtype=dtype)
    ours = drop_in.BCELoss(weight, reduction=reduction)(p, t)
    theirs = torch.nn.BCELoss(weight, reduction=reduction)(p, t)
    torch.testing.assert_close(ours, theirs)
    gradients = (torch.autograd.grad(loss.sum(), p)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*gradients)
    assert not torch.signbit(ours).any()  # torch gives -0.0 at p = t = 1


@pytest.mark.parametrize("reduction", ["none", "mean", "weighted_mean"])
def test_saturated_probabilities_with_every_option(reduction: str):
    """The kernels' way beside the formula's, which a target that needs a gradient takes."""
    p = torch.tensor([0.0, 1.0, 1e-13, 1 - 1e-13, 0.3, 1.0], dtype=torch.float64).expand(4, 6).T.requires_grad_()
    t = (torch.arange(24).view(6, 4) % 3 == 0).double()
    options = {"label_smoothing": 0.1, "label_weight": [1.0, 2.0, 0.5, 3.0], "ignore_index": 0, "reduction": reduction}
    criterion = drop_in.BCELoss(torch.rand(6, 4).double(), pos_weight=[0.5, 1.0, 2.0, 4.0], **options)
    data = {"sample_weight": torch.rand(6), "mask": torch.arange(24).view(6, 4) % 5 != 0}
    gradients = [
        torch.autograd.grad(criterion(p, target, **data).sum(), p)[0] for target in (t, t.clone().requires_grad_())
    ]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=0.0)
    single = torch.tensor(0.0, requires_grad=True)
    assert torch.autograd.grad(drop_in.BCELoss()(single, torch.tensor(1.0)), single)[0] == -999999995904.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_saturated_sigmoid_trains_in_half_precision(dtype: torch.dtype):
    """PyTorch's float16 gradient is NaN where p = t = 0 or 1."""
    logits = torch.tensor([-40.0, 40.0, -40.0, 40.0, 1.0], dtype=dtype, requires_grad=True)
    loss = drop_in.BCELoss()(logits.sigmoid(), torch.tensor([1, 0, 0, 1, 0]))
    loss.backward()
    assert loss.dtype is torch.float32
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad[-1] > 0


# ---- autocast -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype: torch.dtype, reduction: str):
    layer = torch.nn.Linear(8, 3)
    x, t = torch.randn(16, 8), (torch.rand(16, 3) < 0.4).float()
    gradients = []
    for library in (drop_in, torch.nn):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            logits = layer(x)
            loss = library.BCEWithLogitsLoss(reduction=reduction)(logits, t)
        assert logits.dtype is dtype
        assert loss.dtype is torch.float32
        loss.sum().backward()
        gradients.append(layer.weight.grad.clone())
    torch.testing.assert_close(*gradients, rtol=0.02, atol=2e-3)
    with torch.autocast("cpu", dtype=dtype):
        loss = drop_in.BCELoss()(layer(x).sigmoid(), t)
    loss.backward()
    assert loss.dtype is torch.float32
    assert layer.weight.grad.isfinite().all()


def test_gradient_scaler():
    layer = torch.nn.Linear(8, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    x, t = torch.randn(16, 8), torch.rand(16, 3) < 0.4
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = drop_in.BCEWithLogitsLoss()(layer(x), t)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


# ---- other public functions -----------------------------------------------------------------------------------------


def test_statistics_of_tensors_are_tensors():
    t = torch.tensor([[1, 0], [0, 0], [0, 1], [-1, 0]])
    for value, expected in (
        (ll.balanced_pos_weight(t, ignore_index=-1), [2.0, 3.0]),
        (ll.denominator(t, ignore_index=-1), 7.0),
        (ll.denominator(t, ignore_index=-1, axis=0), [3.0, 4.0]),
        (ll.denominator(t, sample_weight=torch.tensor([1, 2, 3, 4]), reduction="weighted_mean", mask=t >= 0), 16.0),
        (ll.log_loss(t > 0, torch.full((4, 2), 0.5)), np.log(2.0)),
        (ll.log_loss(t > 0, torch.full((4, 2), 0.5, dtype=torch.bfloat16), average=None), [np.log(2.0)] * 2),
    ):
        assert value.dtype is torch.float64
        np.testing.assert_allclose(value, expected, rtol=1e-12)
    shifted = ll.correct_prior(torch.zeros(3, 2, dtype=torch.bfloat16), pos_weight=torch.tensor([2.0, 4.0]))
    assert shifted.dtype is torch.bfloat16
    np.testing.assert_allclose(shifted.float()[0], [-np.log(2), -np.log(4)], rtol=4e-3)


def test_denominator_of_weights_that_need_a_gradient():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    ll.denominator(torch.ones(2, 3), sample_weight=w, reduction="weighted_mean").backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_gradient_into_a_given_tensor():
    x, t = torch.randn(6, 4), torch.ones(6, 4)
    value, gradient = ll.value_and_grad(x, t)
    for out in (torch.empty(6, 4), torch.empty(4, 6).T, torch.empty(6, 4, dtype=torch.float64), x.clone()):
        logits = out if torch.equal(out, x) else x  # the last one in place
        again, given = ll.value_and_grad(logits, t, out=out)
        assert given is out
        assert again == value
        torch.testing.assert_close(out.float(), gradient, rtol=0, atol=0)


def test_derivatives_without_reduction():
    x, t = batch(torch.bfloat16)
    gradient, curvature = ll.grad_and_hess(x.detach(), t)
    assert gradient.dtype is curvature.dtype is torch.bfloat16
    slope, bend = ll.grad_and_hess(x.detach().float().numpy(), t.float().numpy())
    np.testing.assert_allclose(gradient.float(), slope, rtol=4e-3)
    np.testing.assert_allclose(curvature.float(), bend, rtol=4e-3)


# ---- errors ---------------------------------------------------------------------------------------------------------

X, T = torch.zeros(3, 4), torch.zeros(3, 4)
META = torch.zeros(3, 4, device="meta")
REFUSED = [
    (ll.InvalidInputError, (X, T[:2], {}), "logits and targets must have one shape; got (3, 4) and (2, 4)."),
    (ll.InvalidInputError, (X, T + 2, {}), "12 of 12 values are not, the first at index (0, 0): 2.0. Class indices?"),
    (ll.InvalidInputError, (X, (T + 2).bfloat16(), {}), "12 of 12 values are not, the first at index (0, 0): 2.0."),
    (ll.InvalidInputError, (X, (T - 1).tril(), {}), "A marker for missing labels? Use ignore_index=-1."),
    (ll.InvalidInputError, (X, T, {"sample_weight": torch.ones(4)}), "For one weight per label use label_weight=."),
    (ll.InvalidInputError, (X, T, {"weight": -torch.ones(3, 4)}), "weight must be finite and not negative"),
    (ll.InvalidInputError, (X, T, {"pos_weight": torch.tensor(-1.0)}), "pos_weight must be finite and not negative"),
    (ll.InvalidInputError, (X, T, {"normalizer": 0.0}), "normalizer must be positive and finite"),
    (ll.InvalidInputError, (X, T, {"mask": T}), "mask must be boolean"),
    (ll.InvalidInputError, (X, T, {"ignore_index": 0.1}), "that targets of dtype float32 can hold; got 0.1"),
    (ll.InvalidInputError, (X, T.long(), {"ignore_index": np.float64(2**63)}), "of dtype int64 can hold; got"),
    (
        ll.InvalidInputError,
        (X, META, {}),
        "logits and targets must lie on one device; got cpu and meta. Use targets.to",
    ),
    (ll.InvalidInputError, (X, T, {"weight": META}), "logits and weight must lie on one device; got cpu and meta."),
    (ll.UnsupportedTypeError, (X, T, {"weight": T.numpy()}), "weight must be a tensor like the logits"),
    (ll.UnsupportedTypeError, (X.to(torch.complex64), T, {}), "got dtype torch.complex64. Use logits.real."),
    (ll.UnsupportedTypeError, (X, T.to(torch.complex64), {}), "targets must be bool, integer or floating"),
]


@pytest.mark.parametrize(("kind", "given", "text"), REFUSED, ids=range(len(REFUSED)))
def test_bad_input_is_refused_in_the_same_words(kind: type, given: tuple, text: str):
    x, t, options = given
    assert text in message(kind, ll.binary_cross_entropy_with_logits, x, t, **options)
    assert text in message(kind, ll.value_and_grad, x, t, **options)
    if "weight must be finite and not negative" not in text:  # torch takes those, and so do its drop-ins
        assert text in message(kind, drop_in.binary_cross_entropy_with_logits, x.clone().requires_grad_(), t, **options)
    if not t.dtype.is_complex and kind is ll.InvalidInputError:  # the plain formula looks first
        weight = torch.ones(3, 1, requires_grad=True)
        options = options if "weight" in options else {**options, "weight": weight}
        assert text in message(kind, ll.binary_cross_entropy_with_logits, x, t, **options)


def test_an_ignored_value_is_refused_without_a_kernel():
    options = {"ignore_index": np.float64(2**63)}
    text = message(ll.InvalidInputError, ll.binary_cross_entropy_with_logits, META, META.long(), **options)
    assert "of dtype torch.int64 can hold; got" in text


def test_frameworks_do_not_mix():
    assert "must come from one framework" in message(
        ll.UnsupportedTypeError, ll.binary_cross_entropy_with_logits, X, T.numpy()
    )
    assert "targets must be a tensor like the logits; got numpy.ndarray. Use torch.as_tensor(targets)." in message(
        ll.UnsupportedTypeError, drop_in.binary_cross_entropy_with_logits, X, T.numpy()
    )


def test_bad_probabilities_are_refused():
    p = torch.full((3, 4), 1.5)
    for criterion in (drop_in.BCELoss(), drop_in.BCELoss(exact=True)):
        assert "probabilities must be in [0, 1]" in message(ll.InvalidInputError, criterion, p, T)


OUTS = [
    (ll.UnsupportedTypeError, np.zeros((3, 4)), "out must be a floating tensor; got ndarray"),
    (ll.UnsupportedTypeError, torch.zeros(3, 4, dtype=torch.int32), "out must be a floating tensor; got Tensor"),
    (ll.InvalidInputError, torch.zeros(4, 3), "out must have the logits' shape (3, 4); got (4, 3)."),
    (ll.InvalidInputError, META, "logits and out must lie on one device"),
]


@pytest.mark.parametrize(("kind", "out", "text"), OUTS, ids=[text for *_, text in OUTS])
def test_bad_outputs(kind: type, out: object, text: str):
    assert text in message(kind, ll.value_and_grad, X, T, out=out)


def test_bad_settings():
    module = drop_in.BCEWithLogitsLoss
    assert 'validate must be True, False or "now"; got 0.' in message(ll.InvalidInputError, module, validate=0)
    masked = np.ma.masked_array(np.ones(4), [True, False, False, False])
    assert "must not be a masked array" in message(ll.UnsupportedTypeError, module, pos_weight=masked)
    bad = (True, "a number; got True"), ("2", "real numbers"), ([None], "a value"), ([[1], [1, 2]], "a rectangular")
    for value, text in bad:
        for name in ("weight", "pos_weight"):
            assert f"{name} must " in (found := message(ll.InvalidInputError, module, **{name: value}))
            assert text in found
    for kind, name in ((module, "inplace"), (drop_in.BCELoss, "exact"), (drop_in.LogLoss, "from_logits")):
        assert f"{name} must be True or False; got 'no'" in message(ll.InvalidInputError, kind, **{name: "no"})
    assert "reduction must be one of" in message(ll.InvalidInputError, drop_in.BCEWithLogitsLoss, reduction="avg")
    assert "gamma must be" in message(ll.InvalidInputError, drop_in.SigmoidFocalLoss, gamma=-1.0)
    assert "clip must be" in message(ll.InvalidInputError, drop_in.AsymmetricLoss, clip=2.0)


def test_a_tensor_on_another_device_gets_the_formula():
    """`meta` has no memory at all: nothing on the way may ask for a value."""
    x = torch.zeros(3, 4, device="meta", requires_grad=True)
    t = torch.zeros(3, 4, dtype=torch.int64, device="meta")
    loss = drop_in.BCEWithLogitsLoss(pos_weight=torch.ones(4, device="meta"), label_smoothing=0.1, ignore_index=-1)(
        x, t, sample_weight=torch.ones(3, device="meta"), normalizer=torch.ones((), device="meta")
    )
    loss.backward()
    assert (loss.device.type, x.grad.device.type, x.grad.shape) == ("meta", "meta", x.shape)
    assert ll.denominator(t, ignore_index=-1).device.type == "meta"
    assert ll.value_and_grad(x, t, axis=0)[0].shape == (4,)


def test_without_torch():
    code = "import sys; sys.modules['torch'] = None\nimport logloss\nimport logloss.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert said == (
        "logloss._errors.MissingDependencyError: logloss.torch needs PyTorch, which is not installed. "
        "Run: pip install 'logloss[torch]'"
    )
