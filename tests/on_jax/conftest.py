"""What the tests of JAX arrays share."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def nothing_promotes() -> Iterator[None]:
    """Every test holds with ranks that must be given in full, which users may ask of JAX."""
    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def x64() -> Iterator[None]:
    """JAX with 64-bit types."""
    with jax.enable_x64(True):
        yield
