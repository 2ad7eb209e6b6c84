"""Traced code: one opaque operator on the CPU, no graph breaks, any shape, and the same errors as in eager code."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

import logloss as ll
from logloss._backends.torch import compiled as operators
from logloss._backends.torch.call import Call
from logloss._spec.losses import FOCAL, PLAIN_LOSS, primitive
from logloss._spec.options import Options
from logloss.torch import AsymmetricLoss, BCELoss, BCEWithLogitsLoss, SigmoidFocalLoss
from names import named

# PyTorch's compiler and exporter warn of themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
bce = ll.binary_cross_entropy_with_logits


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    counters.clear()


def case(rows: int = 6, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 5, generator=generator).to(dtype).requires_grad_()
    return x, (torch.rand(rows, 5, generator=generator) < 0.4).to(dtype)


def arguments(x: torch.Tensor, t: torch.Tensor, loss: object = PLAIN_LOSS, **options: object) -> tuple:
    return (x, t, loss.loss.name, *operators.flat(Call(loss, Options(**options)), x))


BALANCED = primitive(FOCAL, gamma=2.0, alpha=0.25)
CALLS = [
    ({}, torch.float32),
    ({"reduction": "none"}, torch.float16),
    ({"axis": 0, "pos_weight": torch.full((5,), 2.0)}, torch.float32),
    ({"mask": torch.ones(6, 5, dtype=torch.bool), "normalizer": 3.0, "ignore_index": 1}, torch.bfloat16),
    ({"loss": BALANCED, "sample_weight": torch.ones(6), "reduction": "weighted_mean"}, torch.float64),
]


@pytest.mark.parametrize(("options", "dtype"), CALLS, ids=named)
@pytest.mark.parametrize("operator", ["loss", "loss_and_grad"])
def test_opcheck(operator: str, options: dict, dtype: torch.dtype):
    x, t = case(dtype=dtype)
    given = arguments(x if operator == "loss_and_grad" else x.detach(), t, **options)
    results = torch.library.opcheck(getattr(torch.ops.logloss, operator).default, given)
    assert set(results.values()) == {"SUCCESS"}


def test_opcheck_of_the_backward():
    grad = torch.rand(6, 5)
    for factor, dtype in ((torch.tensor(3.0), torch.float16), (torch.rand(6, 1), torch.float32)):
        results = torch.library.opcheck(torch.ops.logloss.scaled.default, (grad, factor, dtype))
        assert set(results.values()) == {"SUCCESS"}


def compiled(function: object, backend: str = "aot_eager", **settings: object) -> object:
    return torch.compile(function, fullgraph=True, backend=backend, **settings)


MODULES = [
    lambda: BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0, 0.5, 0.0]), label_smoothing=0.1),
    lambda: BCEWithLogitsLoss(torch.rand(6, 5), reduction="none", ignore_index=0),
    lambda: BCEWithLogitsLoss(pos_weight=torch.rand(6, 5)),  # the formula, not the operator
    lambda: SigmoidFocalLoss(alpha=0.25, axis=1),
    lambda: AsymmetricLoss(reduction="sum"),
]


@pytest.mark.parametrize("make", MODULES, ids=["weights", "none", "price per element", "focal", "asymmetric"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_modules_compile_without_breaks(make: object, dtype: torch.dtype):
    criterion = make()
    x, t = case(dtype=dtype)
    run = compiled(lambda x, t: criterion(x * 2.0, t))
    loss, expected = run(x, t), criterion(x * 2.0, t)
    assert loss.dtype is expected.dtype
    torch.testing.assert_close(loss, expected)
    gradients = (torch.autograd.grad(one.sum() * 3.0, x)[0] for one in (loss, expected))
    torch.testing.assert_close(*gradients, rtol=2 * torch.finfo(dtype).eps, atol=1e-7)
    with torch.no_grad():
        torch.testing.assert_close(run(x, t), expected)
    assert not counters["graph_break"]


def test_probabilities_compile():
    x, t = case()
    run = compiled(lambda x: BCELoss()(x.sigmoid(), t))
    torch.testing.assert_close(run(x), BCELoss()(x.sigmoid(), t))
    gradients = (torch.autograd.grad(one, x)[0] for one in (run(x), BCELoss()(x.sigmoid(), t)))
    torch.testing.assert_close(*gradients)


def test_inductor_and_dynamic_shapes():
    """One program for all numbers of rows."""
    run = compiled(lambda x, t: bce(x.sin(), t, sample_weight=t[:, 0] + 1.0), "inductor", dynamic=True)
    for rows in (6, 9, 17):
        x, t = case(rows)
        loss, expected = run(x, t), bce(x.sin(), t, sample_weight=t[:, 0] + 1.0)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(torch.autograd.grad(loss, x)[0], torch.autograd.grad(expected, x)[0])
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]


def test_gradients_of_weights_compile():
    x, t = case()
    weight = torch.rand(6, requires_grad=True)
    run = compiled(lambda w: bce(x, t, sample_weight=w, reduction="weighted_mean"))
    expected = torch.autograd.grad(bce(x, t, sample_weight=weight, reduction="weighted_mean"), weight)
    torch.testing.assert_close(torch.autograd.grad(run(weight), weight), expected)


def test_float16_gradients_survive_a_large_denominator():
    x = torch.zeros(2**10, 2**12, dtype=torch.float16, requires_grad=True)
    t = torch.zeros(x.shape, dtype=torch.uint8)
    (compiled(bce)(x, t) * 65536.0).backward()
    assert x.grad[0, 0].item() == 0.5 / 2**22 * 65536


def test_bad_targets_are_refused_in_compiled_code():
    x, t = case()
    with pytest.raises(ll.InvalidInputError, match=r"targets must be in \[0, 1\]"):
        compiled(bce)(x, t + 1)


def test_bad_values_make_the_formula_nan():
    """Where nothing can be refused: in transforms, and in compiled code that is not one operator."""
    x, t = case()
    for bad, options in (
        (t + 1, {}),
        (t, {"pos_weight": torch.tensor(-1.0)}),
        (t, {"sample_weight": torch.full((6,), torch.inf)}),
        (t, {"normalizer": torch.tensor(0.0)}),
    ):

        def loss(one: torch.Tensor, bad: torch.Tensor = bad, options: dict = options) -> torch.Tensor:
            return bce(one, bad, **options)

        assert torch.func.vmap(lambda _, loss=loss: loss(x), randomness="same")(torch.zeros(2)).isnan().all()
        gradient = torch.func.grad(loss)(x)
        assert gradient.isnan().any()
    fine = torch.func.grad(lambda one: bce(one, t + 1, validate=False))(x)
    assert fine.isfinite().all()


def test_export():
    criterion = BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0, 0.5, 0.0]))
    x, t = case()
    rows = torch.export.Dim("rows", min=2)
    program = torch.export.export(criterion, (x.detach(), t), dynamic_shapes={"input": {0: rows}, "target": {0: rows}})
    x, t = case(11)
    torch.testing.assert_close(program.module()(x, t), criterion(x, t))
    assert "logloss.loss" in program.graph_module.code


def test_an_exported_program_is_loaded_by_another_process(tmp_path: Path):
    x, t = case()
    file = tmp_path / "program.pt2"
    torch.export.save(torch.export.export(BCEWithLogitsLoss(), (x.detach(), t)), file)
    code = (
        "import sys, torch, logloss.torch\n"
        "program = torch.export.load(sys.argv[1]).module()\n"
        "print(program(torch.zeros(6, 5), torch.ones(6, 5)).item())"
    )
    run = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(math.log(2))


@pytest.mark.parametrize("focused", [SigmoidFocalLoss, AsymmetricLoss])
def test_dynamic_shapes_of_focused_losses(focused: type):
    criterion = focused()
    run = compiled(criterion, dynamic=True)
    torch.testing.assert_close(run(*case()), criterion(*case()))


def test_numbers_that_compiled_code_leaves_open():
    x, t = case()

    def loss(x: torch.Tensor, normalizer: float) -> torch.Tensor:
        prices = [1.0, 2.0, 3.0, 0.5, 0.0]
        return bce(x, t, reduction="sum", normalizer=normalizer, pos_weight=prices) + bce(x, t, normalizer=x.shape[0])

    run = compiled(loss, dynamic=True)
    for normalizer in (2.5, 3.5, 4):
        torch.testing.assert_close(run(x, normalizer), loss(x, normalizer))


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({"mask": torch.tensor([[True, False], [True, True]])}, 3.0),
        ({"sample_weight": torch.tensor([0.5, 2.0]), "reduction": "weighted_mean"}, 5.0),
        ({"ignore_index": 1}, 2.0),
        ({"axis": 0}, [2.0, 2.0]),
    ],
    ids=["mask", "weighted_mean", "ignore_index", "axis"],
)
def test_denominators_compile(options: dict, want: object):
    t = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    compiled = torch.compile(lambda t, options: ll.denominator(t, **options), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(t, options), torch.tensor(want, dtype=torch.float64), rtol=0, atol=0)


def test_repeated_logits_compile():
    x = torch.randn(1, 4, requires_grad=True)
    run = compiled(lambda x: bce(x.expand(3, 4), torch.zeros(3, 4), reduction="none"), "inductor")
    torch.testing.assert_close(run(x), bce(x.expand(3, 4), torch.zeros(3, 4), reduction="none"))


def test_saturated_half_precision_probabilities_compile():
    z = torch.tensor([-40.0, 40.0, 0.0], dtype=torch.float16, requires_grad=True)

    def loss(z: torch.Tensor) -> torch.Tensor:
        return BCELoss()(z.sigmoid(), torch.tensor([1.0, 0.0, 1.0]))

    (want,) = torch.autograd.grad(loss(z), z)
    assert want.isfinite().all()
    torch.testing.assert_close(torch.autograd.grad(compiled(loss)(z), z)[0], want)
    torch.testing.assert_close(torch.autograd.grad(loss(z), z, create_graph=True)[0], want)


def test_positives_cannot_be_compiled():
    positives = ll.Positives.from_lists([[1]] * 6, labels=5)
    with pytest.raises(Exception, match="compiled code takes targets as tensors"):
        compiled(lambda x: bce(x, positives))(case()[0])


def test_second_derivatives_through_the_operator():
    x, t = case(dtype=torch.float64)
    loss = torch.ops.logloss.loss_and_grad(*arguments(x, t))[0]
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    curvature = ll.grad_and_hess(x.detach(), t)[1] / x.numel()
    torch.testing.assert_close(torch.autograd.grad(slope.sum(), x)[0], curvature)
