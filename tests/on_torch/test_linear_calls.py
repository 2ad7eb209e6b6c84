"""Ways of calling the loss of a linear layer of tensors: modules, compiled and recorded code, transforms, bad input."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import logloss as ll
from logloss._backends.torch import compiled_layer  # noqa: F401 - defines the operator
from logloss.torch import LinearBCEWithLogitsLoss
from on_torch.layered import LABELS, ROWS, TARGETS, close, dense, padded, parts, positives, unfused
from reference import message


def test_the_module_has_settings_and_takes_data():
    own, t = parts(), dense()
    mask = dense(5)
    criterion = LinearBCEWithLogitsLoss(pos_weight=torch.full((LABELS,), 2.0), reduction="sum", chunk_size=40)
    loss = criterion(own[0], own[1], t, own[2], mask=mask)
    close([loss.detach()], unfused(own, t, pos_weight=2.0, reduction="sum", mask=mask)[:1], 1e-6)
    with pytest.raises(TypeError, match="unexpected setting 'gamma'"):
        LinearBCEWithLogitsLoss(gamma=2.0)
    assert "chunk_size must be" in message(ll.InvalidInputError, LinearBCEWithLogitsLoss, chunk_size=-3)
    for wrong, said in (({"inplace": True}, "no logits to overwrite"), ({"on_weight_grad": 3}, "callable.*got 3")):
        with pytest.raises(TypeError, match=said):
            LinearBCEWithLogitsLoss(**wrong)
    assert repr(criterion) == "LinearBCEWithLogitsLoss(reduction='sum', chunk_size=40)"
    again = pickle.loads(pickle.dumps(copy.deepcopy(criterion)))
    assert torch.equal(again(own[0], own[1], t, own[2], mask=mask), loss)
    assert list(again.state_dict()) == ["pos_weight"]


@pytest.mark.parametrize("kind", ["positives", "padded", "bool"])
def test_compiled_code_has_no_break(kind: str):
    own, t, targets = parts(), dense(), TARGETS[kind](dense())
    upstream = torch.rand(ROWS)

    def step(x, w, b, targets, pos_weight):
        one = ll.linear_binary_cross_entropy(x.tanh(), w, targets, linear_bias=b, pos_weight=pos_weight)
        several = ll.linear_binary_cross_entropy(x, w, targets, linear_bias=b, axis=-1)
        return 3 * one + (several * upstream).sum()

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for pos_weight in (2.0, 3.0):
        want, found = step(*own, targets, pos_weight), compiled(*own, targets, pos_weight)
        torch.testing.assert_close(found, want, rtol=1e-6, atol=0)
        for a, b in zip(torch.autograd.grad(found, own), torch.autograd.grad(want, own), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    loss = compiled(*own, t if kind == "bool" else targets, 2.0)
    with pytest.raises(Exception, match=r"second derivative|double backward|create_graph"):
        torch.autograd.grad(loss, own, create_graph=True)


def test_the_operator_keeps_to_the_rules():
    own = parts()
    given = {"names": "", "values": [], "label_axis": -1, "ignore_index": None, "validate": "True"}
    torch.library.opcheck(
        torch.ops.logloss.linear.default,
        (*own, [padded(dense())], None, [True, True, True]),
        {**given, "axis": None, "reduction": "mean"},
        test_utils=("test_schema", "test_faketensor"),
    )


X, W, T = torch.ones(2, 3), torch.ones(4, 3), torch.zeros(2, 4)
ERRORS = {
    "features": ((X, torch.ones(4, 5), T), {}, ll.InvalidInputError, ("as many columns", "(4, 5)")),
    "dtypes": ((X, W.double(), T), {}, ll.InvalidInputError, ("one dtype", "float64", "linear_weight.to(")),
    "devices": ((X, W.to("meta"), T), {}, ll.InvalidInputError, ("one device", "meta")),
    "meta": ((X.to("meta"), W.to("meta"), T.to("meta")), {}, ll.UnsupportedTypeError, ("on the CPU", "meta")),
    "targets elsewhere": ((X, W, T.to("meta")), {}, ll.InvalidInputError, ("one device", "meta")),
    "arrays": ((X, W.numpy(), T), {}, ll.UnsupportedTypeError, ("must be a tensor", "numpy.ndarray")),
    "NumPy targets": ((X, W, T.numpy()), {}, ll.UnsupportedTypeError, ("targets must be a tensor",)),
    "range": ((X, W, torch.tensor([[4], [0]])), {}, ll.InvalidInputError, ("[0, 4)", "4")),
    "twice": ((X, W, torch.tensor([[0, 0], [1, -1]])), {}, ll.InvalidInputError, ("label 0 stands twice in row 0",)),
    "class numbers": ((X, W, torch.tensor([3, 1])), {}, ll.InvalidInputError, ("(2, 4)", "targets[:, None]")),
    "nothing": ((X, None, T), {}, ll.UnsupportedTypeError, ("linear_weight must be a tensor", "NoneType")),
    "chunk 0": ((X, W, T), {"chunk_size": 0}, ll.InvalidInputError, ("positive whole number", "0")),
    "no label": ((X, W[:0], T[:, :0]), {}, ll.InvalidInputError, ("at least one label",)),
    "values": ((X, W, T - 1), {}, ll.InvalidInputError, ("targets must be in [0, 1]", "-1")),
    "learnt option": (
        (X, W, T),
        {"pos_weight": torch.ones(4, requires_grad=True)},
        ll.InvalidInputError,
        ("no gradient by pos_weight", "pos_weight.detach()"),
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_says_rule_value_and_remedy(name: str):
    arguments, options, kind, said = ERRORS[name]
    text = message(kind, ll.linear_binary_cross_entropy, *arguments, **options)
    assert [part for part in said if part not in text] == [], text


def test_transforms_are_refused():
    x, w, _ = parts()
    with pytest.raises(ll.UnsupportedTypeError, match=r"torch\.func"):
        torch.func.grad(lambda x: ll.linear_binary_cross_entropy(x, w, dense()))(x)


def test_many_upstream_gradients_at_once():
    """One number has its gradients already; several would have to be computed again for each."""
    x, w, _ = parts()
    factors = torch.tensor([1.0, -2.0])
    for loss in (ll.linear_binary_cross_entropy(x, w, dense()), ll.siglip_loss(x, w, 2.0, -1.0)):
        (once,) = torch.autograd.grad(loss, x, retain_graph=True)
        (many,) = torch.autograd.grad(loss, x, factors, is_grads_batched=True)
        torch.testing.assert_close(many, factors[:, None, None] * once)
    losses = ll.linear_binary_cross_entropy(x, w, dense(), axis=-1)
    with pytest.raises(ll.UnsupportedTypeError, match=r"one upstream gradient at a time.*is_grads_batched"):
        torch.autograd.grad(losses, x, torch.ones(3, ROWS), is_grads_batched=True)


KINDS = ["padded", "positives", "csr", "bool"]


@pytest.mark.parametrize("kind", KINDS)
def test_recorded_code_sees_the_operator(kind: str):
    """Without numbers only shapes are computed; a graph that is recorded gives the loss of other numbers, too."""
    x, w, _ = (part.detach() for part in parts())
    targets = TARGETS[kind](dense())

    def step(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        few = ll.siglip_loss(x, w, 2.0, -1.0, targets=targets)
        return few + ll.linear_binary_cross_entropy(x, w, targets)

    graph = make_fx(step)(x, w)
    assert {"linear", "siglip"} <= {
        node.target.__name__.partition(".")[0] for node in graph.graph.nodes if node.op == "call_function"
    }
    torch.testing.assert_close(graph(2 * x, w), step(2 * x, w))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        given = [mode.from_tensor(part.requires_grad_()) for part in (x, w)]
        loss = step(*given)
        assert [one.shape for one in torch.autograd.grad(loss, given)] == [x.shape, w.shape]


def test_the_default_device_is_that_of_nothing_here():
    """Everything lies where the features lie, whatever new tensors would."""
    x, w, _ = parts()
    targets = positives(dense())

    def losses() -> list[torch.Tensor]:
        pairs = ll.siglip_loss(x, w, 2.0, -1.0), ll.siglip_loss(x, w, 2.0, targets=targets, average_positives=True)
        return [*pairs, ll.linear_binary_cross_entropy(x, w, targets, pos_weight=2.0)]

    want = losses()
    with torch.device("meta"):
        assert all(torch.equal(a, b) for a, b in zip(losses(), want, strict=True))
