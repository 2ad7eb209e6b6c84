"""The cores of this machine, part by part: for runs that can be taken up again, or that leave files out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from .parts import Answer, Part, Work

LIBRARIES = ()

REASONS: dict[str, str] = {}


def of_files(parts: Sequence[Part]) -> Files:
    """Parts, on threads of this process."""
    return Files(parts)


@dataclass(frozen=True)
class Files:
    """See `of_files`."""

    parts: Sequence[Part]

    def answers(self, work: Work) -> Iterator[Answer]:
        """The answers, as they come."""
        from .._kernels import threads

        with ThreadPoolExecutor(threads.count(), "logloss-part") as pool:
            futures = [pool.submit(work, part) for part in self.parts]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
