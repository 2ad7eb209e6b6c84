"""Tensors that are no plain ones, weights as torch takes them, and programs of ONNX."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import scipy.sparse
import torch

import logloss as ll
from logloss.torch import AsymmetricLoss, BCELoss, BCEWithLogitsLoss, SigmoidFocalLoss
from reference import message

bce = ll.binary_cross_entropy_with_logits


def rows(layout: torch.layout = torch.strided) -> torch.Tensor:
    return torch.nested.nested_tensor([torch.randn(2), torch.randn(3)], layout=layout)


KINDS = {
    "nested": (rows, ".values()"),
    "jagged": (lambda: rows(torch.jagged), ".values()"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.quint8), ".dequantize()"),
    "sparse": (lambda: torch.eye(3).to_sparse(), ".to_dense()"),
    "compressed": (lambda: torch.eye(3).to_sparse_csr(), ".to_dense()"),
    "mkldnn": (lambda: torch.randn(3, 3).to_mkldnn(), ".to_dense()"),
    "masked": (lambda: torch.masked.masked_tensor(torch.randn(3), torch.ones(3) > 0), ".get_data()"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, of prototypes
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", KINDS)
def test_tensors_without_plain_memory_are_refused_with_a_remedy_that_works(name: str):
    make, remedy = KINDS[name]
    strange, usual = make(), torch.ones(3)
    for logits, targets, weight in ((strange, strange, None), (usual, strange, None), (usual, usual, strange)):
        text = message(ll.UnsupportedTypeError, bce, logits, targets, weight=weight)
        assert "must be a dense tensor" in text
        assert remedy in text
    dense = eval("strange" + remedy, {"strange": strange})
    assert bce(dense, torch.ones_like(dense)).isfinite()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_statistics_and_outputs_take_plain_tensors_alone():
    for name in ("nested", "sparse", "masked"):
        strange = KINDS[name][0]()
        for function in (ll.balanced_pos_weight, ll.denominator):
            assert "must be a dense tensor" in message(ll.UnsupportedTypeError, function, strange)
    text = message(ll.UnsupportedTypeError, ll.value_and_grad, torch.ones(3), torch.ones(3), out=KINDS["masked"][0]())
    assert "out must be a dense tensor; got a masked one" in text


def test_arrays_beside_tensors_are_told_the_call():
    for targets in (np.ones(3), [1, 0, 1]):
        text = message(ll.UnsupportedTypeError, bce, torch.zeros(3), targets)
        assert "Use torch.as_tensor(targets, device=logits.device)." in text
    for logits in (np.zeros(3), [0.0] * 3):
        text = message(ll.UnsupportedTypeError, bce, logits, torch.ones(3))
        assert "Use torch.as_tensor(logits, device=targets.device)." in text
    masked, sparse = np.ma.masked_array(np.ones(3), [True, False, False]), scipy.sparse.csr_array(np.ones((1, 3)))
    for targets, remedy in (
        (masked, "Use torch.as_tensor(targets.data, device=logits.device), and mask=, made of ~targets.mask."),
        (sparse, "Use logloss.Positives.from_scipy(targets)."),
        (None, "Give targets as an array of torch."),
    ):
        assert remedy in message(ll.UnsupportedTypeError, bce, torch.zeros(3), targets)
    text = message(ll.UnsupportedTypeError, BCEWithLogitsLoss(), torch.zeros(3), masked)
    assert "Use torch.as_tensor(targets.data), and mask=, made of ~targets.mask." in text


@pytest.mark.parametrize("shape", [(), (1,), (2, 2)])
def test_bad_targets_of_every_shape_and_half_precision_are_named(shape: tuple[int, ...]):
    x = torch.zeros(shape, dtype=torch.bfloat16)
    assert "1.296875" in message(ll.InvalidInputError, bce, x, torch.full(shape, 1.3, dtype=torch.bfloat16))


def test_messages_name_what_was_given():
    p = torch.full((2, 3), 0.5)
    assert "probabilities and targets" in message(ll.InvalidInputError, BCELoss(), p, torch.ones(3))
    prices = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    assert "index (0, 1)" in message(
        ll.InvalidInputError, BCEWithLogitsLoss(pos_weight=prices), torch.zeros(2, 2), torch.zeros(2, 2)
    )


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("grad", [False, True], ids=["value", "gradient"])
def test_bad_probabilities_and_their_targets_are_torchs_kind_of_error_too(exact: bool, grad: bool):
    """PyTorch raises RuntimeError for values and ValueError for sizes."""
    p, t = torch.full((3, 4), 0.5), torch.zeros(3, 4)
    ours, theirs = ll.torch.BCELoss(exact=exact), torch.nn.BCELoss()
    for x, targets, kind in ((p + 1, t, RuntimeError), (p, t + 2, RuntimeError), (p, t[:2], ValueError)):
        with pytest.raises(kind):
            theirs(x, targets)
        with pytest.raises(kind) as caught:
            ours(x.requires_grad_(grad), targets)
        assert isinstance(caught.value, ll.InvalidInputError)
        assert isinstance(caught.value, ValueError)
    assert not issubclass(ll.InvalidInputError, RuntimeError)
    with pytest.raises(ll.InvalidInputError) as caught:
        ll.torch.BCEWithLogitsLoss()(p, t + 2)
    assert not isinstance(caught.value, RuntimeError)


def test_lists_of_tensors_are_stacked_or_told_to_be():
    x, t = torch.randn(2, 3), torch.ones(2, 3)
    several, labels, learnt = list(x), list(t), [one.requires_grad_() for one in x.clone().unbind()]
    for logits, targets in ((several, t), (x, labels)):
        text = message(ll.UnsupportedTypeError, bce, logits, targets)
        assert f"Use torch.stack({'logits' if logits is several else 'targets'})." in text
    assert "Use torch.stack(logits)" in message(ll.UnsupportedTypeError, bce, learnt, labels)
    assert "Use torch.stack(logits)." in message(ll.UnsupportedTypeError, BCEWithLogitsLoss(), several, t)
    assert bce(torch.stack(several), torch.stack(labels)) == bce(x, t)
    one = torch.tensor(2.0, requires_grad=True)
    for name, function in (
        ("pos_weight", bce),
        ("alpha", lambda x, t, alpha: ll.sigmoid_focal_loss(x, t, alpha=alpha)),
    ):
        half = one / 4
        function(x, t, **{name: [half, 0.5, half]}).backward()
        assert one.grad != 0
        one.grad = None


def test_tensors_that_stand_for_others_go_by_operations():
    x, t = torch.randn(6, 5), torch.ones(6, 5)
    want = bce(x, t)
    inside = torch._to_functional_tensor(x), torch._to_functional_tensor(t)
    assert float(bce(*inside)) == pytest.approx(want.item(), rel=1e-6)
    mode = torch._subclasses.FakeTensorMode()
    assert bce(mode.from_tensor(x), mode.from_tensor(t)).shape == ()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of prototypes
def test_prices_of_strange_tensors_are_refused_by_the_drop_ins_too():
    ours, usual = ll.torch.binary_cross_entropy_with_logits, torch.ones(3, 3)
    for name in ("weight", "pos_weight"):
        for make, remedy in KINDS.values():
            assert remedy in message(ll.UnsupportedTypeError, ours, usual, usual, **{name: make()})
        assert "logits.values()" in message(ll.UnsupportedTypeError, ours, rows(), rows(), **{name: usual})


# ---- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of PyTorch's compiler
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", ["BCEWithLogitsLoss", "BCELoss"])
def test_negative_weights_as_torch_takes_them(name: str, reduction: str):
    """In kernels, compiled code and transforms; policy gradients weigh by advantages."""
    logits = torch.tensor([[0.5, -1.0, 2.0], [-0.3, 0.1, -2.0]], requires_grad=True)
    t, weight = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), torch.tensor([-1.0, 2.0, -0.5])
    x = logits.sigmoid() if name == "BCELoss" else logits * 1.0
    ours = getattr(ll.torch, name)(weight, reduction=reduction)
    theirs = getattr(torch.nn, name)(weight, reduction=reduction)
    want = theirs(x, t)
    slope = torch.autograd.grad(want.sum(), x, retain_graph=True)[0]
    for run in (ours, torch.compile(ours, fullgraph=True, backend="aot_eager")):
        loss = run(x, t)
        torch.testing.assert_close(loss, want)
        torch.testing.assert_close(torch.autograd.grad(loss.sum(), x, retain_graph=True)[0], slope)
    by_formula = torch.func.grad(lambda one: ours(one, t).sum())(x.detach())
    torch.testing.assert_close(by_formula, slope)


@pytest.mark.parametrize(
    "weight", [-1.5, [-1.5] * 3, torch.tensor(-1.5), torch.tensor([-1.5], dtype=torch.float64)], ids=str
)
def test_negative_weights_however_they_are_given(weight: object):
    x, t = torch.randn(2, 3), torch.ones(2, 3)
    want = -1.5 * bce(x, t)
    for validate in (True, False, "now"):
        for loss in (
            ll.torch.binary_cross_entropy_with_logits(x, t, weight, validate=validate),
            BCEWithLogitsLoss(weight, validate=validate)(x, t),
            SigmoidFocalLoss(0.0, weight=weight, validate=validate)(x, t),
        ):
            torch.testing.assert_close(loss, want)
    with pytest.raises(ll.InvalidInputError, match="targets must be in"):
        ll.torch.binary_cross_entropy_with_logits(x, t + 1, weight, validate="now")


def test_array_functions_refuse_negative_weights_and_say_what_computes():
    x, t, weight = torch.zeros(3), torch.ones(3), torch.tensor([-1.0, 2.0, 1.0])
    assert "validate=False" in message(ll.InvalidInputError, bce, x, t, weight=weight)
    assert bce(x, t, weight=weight, validate=False).item() == pytest.approx(2 * math.log(2) / 3)
    for bad in (math.nan, math.inf):
        criterion = BCEWithLogitsLoss(torch.tensor([bad, -1.0, 1.0]))
        assert "weight must be finite" in message(ll.InvalidInputError, criterion, x, t)
    text = message(ll.InvalidInputError, BCEWithLogitsLoss(weight), x, t, sample_weight=torch.tensor([-1.0, 1.0, 1.0]))
    assert "sample_weight must be finite and not negative" in text


# ---- ONNX -----------------------------------------------------------------------------------------------------------


class Model(torch.nn.Module):
    def __init__(self, criterion: torch.nn.Module) -> None:
        super().__init__()
        self.layer, self.criterion = torch.nn.Linear(4, 3), criterion

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.layer(x), t)


CRITERIA = {
    "logits": BCEWithLogitsLoss,
    "options": lambda: BCEWithLogitsLoss(
        pos_weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1, ignore_index=-1, reduction="weighted_mean"
    ),
    "none": lambda: BCEWithLogitsLoss(reduction="none"),
    "focal": lambda: SigmoidFocalLoss(alpha=0.25),
    "asymmetric": AsymmetricLoss,
}


@pytest.mark.filterwarnings("ignore")  # of both exporters, about themselves
@pytest.mark.parametrize("dynamo", [False, True], ids=["script", "dynamo"])
@pytest.mark.parametrize("name", CRITERIA)
def test_a_model_that_returns_its_loss_is_exported(name: str, dynamo: bool, tmp_path: Path):
    model = Model(CRITERIA[name]())
    x, t = torch.randn(5, 4), (torch.rand(5, 3) < 0.4).float()
    torch.onnx.export(model, (x, t), tmp_path / "model.onnx", dynamo=dynamo, input_names=["x", "t"])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (loss,) = session.run(None, {"x": x.numpy(), "t": t.numpy()})
    np.testing.assert_allclose(loss, model(x, t).detach().numpy(), rtol=1e-5, atol=1e-6)
