"""Labels and batches sharded over processes give what one process gives; what does not fit is an error in each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import logloss as ll
from logloss.torch import sharded_linear_binary_cross_entropy
from on_torch import sharding
from reference import message


def run(folder: Path, count: int, *jobs: str) -> list[Any]:
    """What each process found, None of one that ended before."""
    script = str(Path(sharding.__file__))
    commands = [
        [sys.executable, "-W", "ignore", script, str(folder), str(rank), str(count), *jobs] for rank in range(count)
    ]
    processes = [subprocess.Popen(command) for command in commands]
    for process in processes:
        process.wait(timeout=120)
    assert not any(process.returncode < 0 for process in processes), "gloo has aborted a process"
    paths = [folder / f"{rank}.pt" for rank in range(count)]
    return [torch.load(path, weights_only=False) if path.exists() else None for path in paths]


@pytest.fixture(scope="module", params=[1, 2, 4])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    jobs = ("labels", "pairs", "refused") if request.param > 1 else ("labels", "pairs")
    results = run(tmp_path_factory.mktemp("group"), request.param, *jobs)
    assert all(isinstance(one, dict) for one in results), results
    return results


def close(got: torch.Tensor, want: torch.Tensor, exact: bool) -> None:
    if exact:
        assert torch.equal(got, want)
    else:
        assert (got - want).abs().max() <= 2e-6 * want.abs().max()


def test_sharded_labels(found: list[dict[str, Any]]):
    """The loss in every process has the bits of one process's; so have the gradients but for that of the inputs."""
    x, w, b = (one.requires_grad_() for one in sharding.layer())
    prices = torch.linspace(0.5, 3.0, sharding.LABELS)
    several = {"label_weight": prices, "pos_weight": prices, "reduction": "weighted_mean"}
    edges = sharding.bounds(sharding.LABELS, len(found))
    for name, options in (("mean", {}), ("weighted", several)):
        loss = ll.linear_binary_cross_entropy(x, w, sharding.targets(), linear_bias=b, **options)
        want = torch.autograd.grad(loss, (x, w, b))
        for rank, one in enumerate(found):
            mine = slice(edges[rank], edges[rank + 1])
            got = one[name]
            close(got[0], loss.detach(), exact=len(found) == 1)
            close(got[1], want[0], exact=len(found) == 1)
            assert torch.equal(got[1], found[0][name][1])
            for grad, right in zip(got[2:], want[1:], strict=True):
                close(grad, right[mine], exact=len(found) == 1)


@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_sharded_pairs(found: list[dict[str, Any]], ring: bool, grouped: bool):
    """Processes with different numbers of pairs; what is saved is the process's own gradients, and two numbers."""
    own = [one.requires_grad_() for one in sharding.pairs()]
    loss = ll.siglip_loss(*own, groups=sharding.GROUPS if grouped else None, average_positives=grouped)
    want = torch.autograd.grad(loss, own)
    edges = sharding.bounds(sharding.PAIRS, len(found))
    for rank, one in enumerate(found):
        mine = slice(edges[rank], edges[rank + 1])
        got = one[f"pairs {ring} {grouped}"]
        expected = [loss.detach(), want[0][mine], want[1][mine], *want[2:]]
        for grad, right in zip(got, expected, strict=False):
            close(grad, right, exact=len(found) == 1)
        assert got[-1] == 2 * (edges[rank + 1] - edges[rank]) * sharding.FEATURES * 4 + 8


def test_what_does_not_fit_is_an_error_in_every_process(found: list[dict[str, Any]]):
    if len(found) == 1:
        assert "refused" not in found[0]
        return
    last = len(found) - 1
    for rank, one in enumerate(found):
        shapes, dtypes, options, values, nothing, features, scales = one["refused"]
        assert f"rank {rank} of {len(found)}: the inputs' shape must be the same" in shapes
        assert "the dtype must be the same" in dtypes
        assert "the options must be the same" in options
        assert ("targets must be in [0, 1]" if rank == last else f"rank {last} has refused its own") in values
        assert nothing == "nothing"
        assert "the number of features must be the same" in features
        assert "logit_scale and logit_bias must be the same" in scales


def test_a_process_that_leaves_is_an_error_and_no_wait_without_end(tmp_path: Path):
    first, last = run(tmp_path, 2, "left alone")
    assert last is None
    assert isinstance(first, dict), first
    said, cause = first["left alone"]
    assert "rank 0 of 2: a process has left" in said
    assert "timeout= in init_process_group" in said
    assert "RuntimeError" in cause


def test_without_a_group():
    x, w, _ = sharding.layer()
    text = message(ll.InvalidInputError, sharded_linear_binary_cross_entropy, x, w, sharding.targets())
    assert "init_process_group" in text
