"""Sigmoid loss of image-text pairs, whose similarities never exist: by the dense definition, all four gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import logloss as ll
from logloss.torch import SigLIPLoss
from reference import message, reference

FEATURES = 12
GENERATOR = np.random.default_rng(0)
GROUPS = GENERATOR.integers(0, 7, 20), GENERATOR.integers(0, 7, 30)  # some without a partner
MASK = GENERATOR.random((20, 30)) < 0.1
PAIRS: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "square": ((20, 20), {}),
    "more texts": ((20, 30), {}),
    "more images": ((30, 20), {}),
    "groups": ((20, 30), {"groups": GROUPS}),
    "averaged groups": ((20, 30), {"groups": GROUPS, "average_positives": True}),
    "mask": ((20, 30), {"targets": torch.from_numpy(MASK)}),
    "averaged mask": ((20, 30), {"targets": torch.from_numpy(MASK), "average_positives": True}),
    "positives": ((20, 30), {"targets": ll.Positives.from_lists([np.flatnonzero(row) for row in MASK], 30)}),
}


def features(shape: tuple[int, int], dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Normalised features, a scale and a bias, as a model begins with."""
    generator = torch.Generator().manual_seed(1)
    drawn = (torch.randn(rows, FEATURES, generator=generator, dtype=torch.float64) for rows in shape)
    own = [torch.nn.functional.normalize(one).to(dtype) for one in drawn]
    numbers = torch.float64 if dtype is torch.float64 else torch.float32
    return [
        one.requires_grad_() for one in (*own, torch.tensor(10.0, dtype=numbers), torch.tensor(-10.0, dtype=numbers))
    ]


def positive(shape: tuple[int, int], pairs: dict[str, Any]) -> torch.Tensor:
    if "groups" in pairs:
        images, texts = map(torch.from_numpy, pairs["groups"])
        return (images[:, None] == texts[None]).double()
    return torch.from_numpy(MASK).double() if "targets" in pairs else torch.eye(*shape, dtype=torch.float64)


def dense(own: list[torch.Tensor], pairs: dict[str, Any]) -> list[tuple[torch.Tensor, Any]]:
    """Loss and gradients by the definition, each with the size of the terms that it is a sum of."""
    u, v, t, b = (one.detach().double() for one in own)
    similar = u @ v.T
    y = positive((len(u), len(v)), pairs)
    price = {"pos_weight": 1 / y.sum(1).clamp_min(1).numpy(), "label_axis": 0} if "average_positives" in pairs else {}
    want = reference("logits", (t * similar + b).numpy(), y.numpy(), reduction="batchmean", **price)
    slopes, sizes = torch.from_numpy(want.gradient), torch.from_numpy(want.gradient).abs()
    by_u, by_v, products = t * slopes @ v, t * slopes.T @ u, slopes * similar
    return [
        (torch.as_tensor(want.value), float(want.value)),
        (by_u, by_u.abs().max()),
        (by_v, by_v.abs().max()),
        (products.sum(), products.abs().sum()),
        (slopes.sum(), sizes.sum()),
    ]


def check(found: list[torch.Tensor], want: list[tuple[torch.Tensor, Any]], largest: float) -> None:
    for one, (right, size) in zip(found, want, strict=True):
        assert (one.double() - right).abs().max() <= largest * size, (one, right)


@pytest.mark.parametrize("name", PAIRS)
def test_it_is_the_dense_definition(name: str):
    shape, pairs = PAIRS[name]
    for dtype, largest in ((torch.float64, 4e-15), (torch.float32, 2e-6), (torch.bfloat16, 1e-2)):
        own = features(shape, dtype)
        loss = ll.siglip_loss(*own, chunk_size=8, **pairs)
        assert loss.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
        grads = torch.autograd.grad(3 * loss, own)
        assert [grad.dtype for grad in grads] == [one.dtype for one in own]
        want = dense(own, pairs)
        check([loss.detach(), *(grad / 3 for grad in grads)], want, largest)
        assert abs(loss.item() / float(want[0][0]) - 1) <= (1e-3 if dtype is torch.bfloat16 else 1e-7)
        with torch.no_grad():
            assert torch.equal(ll.siglip_loss(*own, chunk_size=None, **pairs), loss)


@pytest.mark.parametrize("name", PAIRS)
def test_arrays_give_what_tensors_give(name: str):
    shape, pairs = PAIRS[name]
    own = features(shape)
    arrays = {key: value.numpy() if isinstance(value, torch.Tensor) else value for key, value in pairs.items()}
    value, grads = ll.siglip_value_and_grad(*(one.detach().numpy() for one in own), chunk_size=9, **arrays)
    assert value == ll.siglip_loss(*(one.detach().numpy() for one in own), **arrays)
    check([torch.as_tensor(one) for one in (value, *grads)], dense(own, pairs), 4e-15)
    loss, others = ll.siglip_value_and_grad(*own, **pairs)
    check([loss, *others], dense(own, pairs), 4e-15)


def test_it_is_open_clips_loss():
    """-Σ logsigmoid(±(t·⟨u, v⟩ + b)) / images, as open_clip writes it."""
    own = features((30, 30))
    signs = 2 * torch.eye(30, dtype=torch.float64) - 1
    want = -torch.nn.functional.logsigmoid(signs * (own[2] * own[0] @ own[1].T + own[3])).sum() / 30
    torch.testing.assert_close(SigLIPLoss()(*own), want, rtol=1e-14, atol=0)


def test_far_logits_keep_their_loss_and_gradient():
    """log(1 + e) is 0 beyond 17 in float32, σ - 1 of a positive likewise, and float16 flushes small slopes to 0."""
    own = [torch.eye(4), torch.eye(4), torch.tensor(60.0), torch.tensor(-30.0)]
    for dtype in (torch.float32, torch.float16):
        u, v = (one.to(dtype) for one in own[:2])
        value, grads = ll.siglip_value_and_grad(u, v, *own[2:])
        want = 4 * np.log1p(np.exp(-30.0))
        assert value.dtype is torch.float32
        assert value.item() == pytest.approx(want, rel=1e-6)
        assert grads.logit_scale.item() == pytest.approx(-np.exp(-30.0), rel=1e-5)
        assert grads.logit_bias.item() == pytest.approx(2 * np.exp(-30.0), rel=1e-5)
    value, grads = ll.siglip_value_and_grad(own[0].double(), own[1].double(), 0.0, -10.0)
    assert value.item() == pytest.approx(np.log1p(np.exp(10.0)) + 3 * np.log1p(np.exp(-10.0)), rel=1e-15)
    assert grads.logit_scale.item() == pytest.approx(
        -1 / (1 + np.exp(-10.0)), rel=1e-15
    )  # though no gradient of U has t


def test_no_result_depends_on_the_chunk_and_backwards_may_be_repeated():
    own = features((50, 200), torch.float32)
    losses = [ll.siglip_loss(*own, chunk_size=size) for size in (None, 8, 64, 200)]
    grads = [torch.autograd.grad(loss, own, retain_graph=True) for loss in losses]
    assert all(torch.equal(loss, losses[0]) for loss in losses)
    assert all(torch.equal(grad[1], grads[0][1]) for grad in grads)
    again = torch.autograd.grad(losses[0], own)
    assert all(torch.equal(a, b) for a, b in zip(again, grads[0], strict=True))


def test_only_what_is_needed_is_computed():
    u, v, t, b = features((20, 20))
    for needed in ([t], [b], [u], [v], [t, b]):
        given = [one if any(one is other for other in needed) else one.detach() for one in (u, v, t, b)]
        found = torch.autograd.grad(ll.siglip_loss(*given), needed)
        want = torch.autograd.grad(ll.siglip_loss(u, v, t, b), needed)
        for one, other in zip(found, want, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-15)
    assert not ll.siglip_loss(u.detach(), v.detach(), 10.0, -10.0).requires_grad
    torch.testing.assert_close(ll.siglip_loss(u, v, t), ll.siglip_loss(u, v, t, 0.0), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["square", "averaged groups", "mask", "positives"])
def test_compiled_code_has_no_break(name: str):
    shape, pairs = PAIRS[name]
    pairs = {key: tuple(map(torch.from_numpy, one)) if key == "groups" else one for key, one in pairs.items()}
    own = features(shape, torch.float32)

    def step(u, v, log_scale, b):
        return 2 * ll.siglip_loss(torch.nn.functional.normalize(u), v, log_scale.exp(), b, **pairs)

    given = own[0], own[1], torch.tensor(2.3, requires_grad=True), own[3]
    found, want = torch.compile(step, fullgraph=True, backend="aot_eager")(*given), step(*given)
    torch.testing.assert_close(found, want, rtol=1e-6, atol=0)
    for a, b in zip(torch.autograd.grad(found, given), torch.autograd.grad(want, given), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-8)


U, V = torch.ones(2, 3), torch.ones(4, 3)
ERRORS: dict[str, tuple[tuple[Any, ...], dict[str, Any], tuple[str, ...]]] = {
    "features": ((U, torch.ones(4, 5), 1.0), {}, ("image_features and text_features", "(2, 3)", "(4, 5)")),
    "dtypes": ((U, V.double(), 1.0), {}, ("one dtype", "float64")),
    "scale": ((U, V, torch.ones(3)), {}, ("logit_scale must be one number", "(3,)")),
    "not finite": ((U, V, float("nan")), {}, ("logit_scale must be one finite number", "nan")),
    "bias": ((U, V, 1.0, torch.tensor(float("inf"))), {}, ("logit_bias must be one finite number", "inf")),
    "groups": ((U, V, 1.0), {"groups": ([1, 2], [1, 2])}, ("each text", "(4,)", "(2,)")),
    "float groups": ((U, V, 1.0), {"groups": ([1.0, 2.0], [1] * 4)}, ("whole number", "float64")),
    "one group": ((U, V, 1.0), {"groups": 3}, ("two vectors", "int")),
    "both": ((U, V, 1.0), {"groups": ([1, 2], [1] * 4), "targets": torch.ones(2, 4)}, ("got both",)),
    "targets": ((U, V, 1.0), {"targets": torch.ones(2, 5, dtype=torch.bool)}, ("(2, 4)", "(2, 5)", "images")),
    "chunk": ((U, V, 1.0), {"chunk_size": 0}, ("chunk_size", "got 0")),
    "average": ((U, V, 1.0), {"average_positives": 2}, ("True or False", "got 2")),
    "arrays first": (
        (U.numpy(), V.numpy(), torch.tensor(1.0)),
        {},
        ("one framework", "logit_scale", "as_tensor(image"),
    ),
    **{
        f"{value!r}": ((U, V, 1.0, value), {}, ("logit_bias must be one finite number", "got"))
        for value in ("1", True, 10**400, torch.tensor(True))
    },
    "no scale": ((U, V, None), {}, ("logit_scale must be one finite number", "None")),
    "no features": ((U, None, 1.0), {}, ("text_features must be a tensor",)),
    "no text": ((U, V[:0], 1.0), {}, ("text_features must have a row",)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_says_rule_value_and_remedy(name: str):
    arguments, options, said = ERRORS[name]
    for function in (ll.siglip_loss, ll.siglip_value_and_grad):
        text = message(ll.LoglossError, function, *arguments, **options)
        assert [part for part in said if part not in text] == [], text


def test_settings_are_checked_when_they_are_made():
    assert repr(SigLIPLoss(chunk_size=8)) == "SigLIPLoss(average_positives=False, chunk_size=8)"
    for wrong in ({"average_positives": "yes"}, {"chunk_size": 0}):
        assert repr(next(iter(wrong.values()))) in message(ll.InvalidInputError, SigLIPLoss, **wrong)


def test_targets_cannot_be_learnt():
    learnt = torch.ones(2, 4, requires_grad=True)
    assert "no gradient by targets" in message(ll.InvalidInputError, ll.siglip_loss, U, V, 1.0, targets=learnt)


def test_no_pair_at_all():
    for groups in (([], [1, 2]), (np.empty(0, np.int32), [1, 2])):
        assert ll.siglip_loss(np.ones((0, 3)), np.ones((2, 3)), 1.0, groups=groups) == 0.0


def test_second_derivatives_are_refused_by_name():
    own = features((4, 4))
    with pytest.raises(ll.InvalidInputError, match="second derivative"):
        torch.autograd.grad(ll.siglip_loss(*own), own[0], create_graph=True)
