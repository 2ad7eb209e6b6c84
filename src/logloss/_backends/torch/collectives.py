"""What processes of a group say to each other: sizes first, then tensors, and errors that say who and when.

gloo aborts a process whose tensor has another size than its neighbours', without an exception, or returns a buffer half
filled. So everything that must agree is exchanged in one tensor of numbers before any other call, and a process that
refuses its input says so there: whoever raised alone would leave the others waiting.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist

from ..._errors import DistributedError, InvalidInputError, LoglossError

T = TypeVar("T")


class Process(NamedTuple):
    """This process in its group."""

    group: Any
    rank: int
    size: int

    def peer(self, step: int) -> int:
        """The global rank of the process so many steps further round."""
        there: int = dist.get_global_rank(self.group or dist.group.WORLD, (self.rank + step) % self.size)
        return there


def process_of(group: Any) -> Process:
    """This process in the group; None: all of them."""
    if not dist.is_available() or not dist.is_initialized():
        raise InvalidInputError(
            "sharded losses need a process group; got none. Call torch.distributed.init_process_group first, or use "
            "the loss that is not sharded."
        )
    rank = dist.get_rank(group)
    if rank < 0:
        raise InvalidInputError("this process must be of the group; got rank -1. Call the loss on its processes alone.")
    return Process(group, rank, dist.get_world_size(group))


@contextlib.contextmanager
def phase(process: Process, name: str) -> Iterator[None]:
    """A call of the group: what it raises becomes an error that says which process, and when."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, LoglossError):
            raise
        raise DistributedError(
            f"rank {process.rank} of {process.size}: a process has left during the {name}, or took longer than the "
            "group's timeout. Look at the log of the process that ended first, and set timeout= in init_process_group; "
            "the group cannot be used any more."
        ) from error


def all_reduce(process: Process, name: str, tensor: Any) -> Any:
    """The sum over all processes, in place."""
    with phase(process, name):
        dist.all_reduce(tensor, group=process.group)
    return tensor


def all_gather(process: Process, name: str, tensor: Any) -> list[Any]:
    """Every process's tensor; all have one shape and type."""
    found = [torch.empty_like(tensor) for _ in range(process.size)]
    with phase(process, name):
        dist.all_gather(found, tensor.contiguous(), group=process.group)
    return found


Prepared = tuple[T, dict[str, Any], list[float]]


def exchange(process: Process, name: str, prepare: Callable[[], Prepared[T]]) -> tuple[T, Any]:
    """What `prepare` gives first, and every process's own numbers, one row each.

    `prepare` checks this process's input. It gives what must be the same everywhere, by name, and numbers that are not.
    """
    error: Exception | None = None
    prepared: Any = (None, {}, [])
    try:
        prepared = prepare()
    except Exception as caught:  # noqa: BLE001 - whatever it is, the others must hear of it
        error = caught
    result, same, own = prepared
    codes = [float(zlib.crc32(repr(value).encode())) for value in same.values()]
    row = torch.tensor([float(error is None), float(len(codes)), *codes, *own, *[0.0] * 8][:_MOST], dtype=torch.float64)
    row = torch.nn.functional.pad(row, (0, _MOST - len(row)))
    rows = torch.stack(all_gather(process, f"exchange before the {name}", row))
    if error is not None:
        raise error
    refused = (rows[:, 0] == 0).nonzero().reshape(-1).tolist()
    if refused:
        raise InvalidInputError(
            f"rank {process.rank} of {process.size}: every process must have valid input for the {name}; rank "
            f"{refused[0]} has refused its own. Its error says why."
        )
    for k, (what, value) in enumerate(same.items()):
        other = (rows[:, 2 + k] != codes[k]).nonzero().reshape(-1).tolist()
        if other:
            raise InvalidInputError(
                f"rank {process.rank} of {process.size}: {what} must be the same in every process; got {value!r}, and "
                f"rank {other[0]} has another. Give all of them the same."
            )
    first = 2 + len(codes)
    return result, rows[:, first : first + len(own)]


_MOST = 16
"""Numbers that are exchanged."""


def pass_on(process: Process, name: str, sent: list[Any], received: list[Any]) -> None:
    """Send tensors to the next process, and receive as many from the one before."""
    after, before = process.peer(1), process.peer(-1)
    calls = [dist.P2POp(dist.isend, one, after, process.group) for one in sent]
    calls += [dist.P2POp(dist.irecv, one, before, process.group) for one in received]
    with phase(process, name):
        for call in dist.batch_isend_irecv(calls):
            call.wait()
