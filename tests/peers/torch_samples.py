"""PyTorch's sample inputs of its own binary cross-entropies, those of ModuleInfo and of OpInfo, given to the drop-ins.

PyTorch ships its samples and reference functions, not the tests that use them: the checks here ask what those tests
ask, with numerical derivatives in the fast mode of its `gradcheck`. `suites.py` runs them in a process of its own, for
PyTorch's package for tests sets global switches when imported.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch.autograd.functional import jacobian
from torch.testing import assert_close
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db
from torch.testing._internal.common_utils import gradcheck, gradgradcheck, noncontiguous_like

from logloss import torch as drop_in


class Sample(NamedTuple):
    """One call: tensors and options for our function and for theirs."""

    name: str
    ours: Callable[..., torch.Tensor]
    theirs: Callable[..., torch.Tensor]
    tensors: tuple[torch.Tensor, ...]
    options: dict[str, Any]
    first: dict[str, Any]  # what `gradcheck` is to check, and `gradgradcheck`
    second: dict[str, Any]
    reference: Callable[..., torch.Tensor] | None = None  # a formula that comes with a module's sample

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        return self.ours(*tensors, **self.options)

    def exact(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Their own value, computed in float64."""
        doubles = [tensor.double() for tensor in tensors]
        options = {name: _double(value) for name, value in self.options.items()}
        return self.theirs(*doubles, **options)


def _double(value: Any) -> Any:
    return value.double() if isinstance(value, torch.Tensor) else value


def _applied(module: type[torch.nn.Module]) -> Callable[..., torch.Tensor]:
    return lambda *tensors, **options: module(**options)(*tensors)


MODULES = {"nn.BCELoss": drop_in.BCELoss, "nn.BCEWithLogitsLoss": drop_in.BCEWithLogitsLoss}
FUNCTIONS = {
    "nn.functional.binary_cross_entropy": _applied(drop_in.BCELoss),
    "nn.functional.binary_cross_entropy_with_logits": drop_in.binary_cross_entropy_with_logits,
}


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _described(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return str(value)
    return f"{_shape(value)} (negative)" if (value < 0).any() else _shape(value)


def _named(info: Any, dtype: torch.dtype, tensors: tuple[torch.Tensor, ...], options: dict[str, Any]) -> str:
    given = {"reduction": "mean (default)", **options}
    settings = [f"{name}={_described(value)}" for name, value in given.items()]
    return " ".join([info.name, str(dtype).removeprefix("torch."), _shape(tensors[0]), *settings])


def module_samples() -> Iterator[Sample]:
    for info in (info for info in module_db if info.name in MODULES):
        theirs, ours = _applied(info.module_cls), _applied(MODULES[info.name])
        checked = {"nondet_tol": info.gradcheck_nondet_tol}
        for dtype in info.dtypes:
            torch.manual_seed(0)
            for given in info.module_inputs_func(info, "cpu", dtype, requires_grad=True, training=True):
                tensors, options = given.forward_input.args, given.constructor_input.kwargs
                name = _named(info, dtype, tensors, options)
                yield Sample(name, ours, theirs, tensors, options, checked, checked, given.reference_fn)


def function_samples() -> Iterator[Sample]:
    for info in (info for info in op_db if info.name in FUNCTIONS):
        checked = {"nondet_tol": info.gradcheck_nondet_tol, "check_grad_dtypes": True}
        forward_mode = {
            "check_forward_ad": info.supports_forward_ad,
            "check_batched_forward_grad": info.check_batched_forward_grad,
        }
        first = {**checked, **forward_mode, "check_batched_grad": info.check_batched_grad}
        second = {"check_fwd_over_rev": info.supports_fwgrad_bwgrad, "check_batched_grad": info.check_batched_gradgrad}
        for dtype in sorted(info.supported_dtypes("cpu"), key=str):
            torch.manual_seed(0)
            for given in info.sample_inputs("cpu", dtype, requires_grad=True):
                tensors, options = (given.input, *given.args), given.kwargs
                name = _named(info, dtype, tensors, options)
                yield Sample(name, FUNCTIONS[info.name], info.op, tensors, options, first, {**checked, **second})


OF_MODULES, OF_FUNCTIONS = list(module_samples()), list(function_samples())


def over(*samples: Sample) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", samples, ids=[sample.name for sample in samples])


def in_float64(samples: list[Sample]) -> list[Sample]:
    """Those that numerical differentiation can check."""
    return [sample for sample in samples if sample.tensors[0].dtype == torch.float64]


def gradients(function: Callable[..., torch.Tensor], tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Of a sum with different weights, which every type holds exactly."""
    value = function(*tensors)
    weights = 1 + (torch.arange(value.numel()) % 4) / 4
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    return torch.autograd.grad(value, wanted, weights.reshape(value.shape).to(value.dtype))


def close(ours: Iterable[torch.Tensor], exact: Iterable[torch.Tensor]) -> None:
    """Within the tolerance that PyTorch's tests have for the type of ours."""
    for got, want in zip(ours, exact, strict=True):
        assert_close(got, want.to(got.dtype))


@over(*OF_MODULES)
def check_reference(sample: Sample):
    without_parameters = torch.nn.Module()
    assert_close(sample(*sample.tensors), sample.reference(without_parameters, *sample.tensors))


@over(*OF_MODULES)
def check_saved(sample: Sample):
    module = MODULES[sample.name.split()[0]](**sample.options)
    torch.save(module, stored := io.BytesIO())
    stored.seek(0)
    again = torch.load(stored, weights_only=False)
    assert_close(again(*sample.tensors), module(*sample.tensors), rtol=0, atol=0)


@over(*OF_MODULES, *OF_FUNCTIONS)
def check_value(sample: Sample):
    close((sample(*sample.tensors),), (sample.exact(*sample.tensors),))


@over(*OF_MODULES, *OF_FUNCTIONS)
def check_dtype(sample: Sample):
    assert sample(*sample.tensors).dtype == sample.theirs(*sample.tensors, **sample.options).dtype


@over(*OF_MODULES, *OF_FUNCTIONS)
def check_gradient(sample: Sample):
    close(gradients(sample, sample.tensors), gradients(sample.exact, sample.tensors))


@over(*OF_MODULES, *OF_FUNCTIONS)
def check_strides(sample: Sample):
    spread = tuple(noncontiguous_like(tensor) for tensor in sample.tensors)
    assert_close(sample(*spread), sample(*sample.tensors))
    assert_close(gradients(sample, spread), gradients(sample, sample.tensors))


@over(*in_float64(OF_MODULES), *in_float64(OF_FUNCTIONS))
def check_first_derivatives(sample: Sample):
    assert gradcheck(sample, sample.tensors, **sample.first)


@over(*in_float64(OF_MODULES), *in_float64(OF_FUNCTIONS))
def check_second_derivatives(sample: Sample):
    assert gradgradcheck(sample, sample.tensors, **sample.second)


@over(*[sample for sample in OF_FUNCTIONS if sample.first["check_forward_ad"]])
def check_batched_jacobian(sample: Sample):
    ours = jacobian(sample, sample.tensors, vectorize=True, strategy="forward-mode")
    dtype = sample.tensors[0].dtype  # a slope is rounded to the type of the logits, also where a mean is not
    close([slopes.to(dtype) for slopes in ours], jacobian(sample.exact, sample.tensors, vectorize=True))
