"""Compressed text that is damaged: one sentence, and never the numbers of what is left of it."""

from __future__ import annotations

import bz2
import gc
import gzip
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import logloss as ll
from logloss.sources import packed

N = 6_000
TEXTS = {
    "csv": ["y,p\n", *(f"{k % 2},{(k * 7919 % 9973 + 1) / 10_000}\n" for k in range(N))],
    "jsonl": [f'{{"y": {k % 2}, "p": {(k * 7919 % 9973 + 1) / 10_000}}}\n' for k in range(N)],
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}
DAMAGE: dict[str, Callable[[bytes, bytes], bytes]] = {
    "the body": lambda one, two: one[:400] + bytes(9) + one[409:] + two,
    "the check sum": lambda one, two: one + two[:-8] + bytes(4) + two[-4:],
    "the length": lambda one, two: one + two[:-4] + bytes(4),
    "the body of the second member": lambda one, two: one + two[:400] + bytes(9) + two[409:],
    "the head of the second member": lambda one, two: one + bytes(2) + two[2:],
    "cut": lambda one, two: one + two[:-300],
    "cut by a byte": lambda one, two: one + two[:-1],
    "cut within the head of the second member": lambda one, two: one + two[:5],
    "zeros behind": lambda one, two: one + two + bytes(600),
    "something else behind": lambda one, two: one + two + b"something else",
}
UNKNOWN = {
    ("zst", "the body"),
    ("zst", "the check sum"),
    ("zst", "the length"),
    ("zst", "the body of the second member"),
}
"""What a format does not tell that has no check sums, or not always."""


def members(kind: str, ending: str) -> list[bytes]:
    lines = TEXTS[kind]
    return [PACK[ending]("".join(part).encode()) for part in (lines[: N // 2], lines[N // 2 :])]


@pytest.mark.parametrize(
    ("ending", "damage"), [(one, other) for one in PACK for other in DAMAGE if (one, other) not in UNKNOWN]
)
@pytest.mark.parametrize("kind", TEXTS)
def test_damage(kind: str, ending: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content, path = DAMAGE[damage](*members(kind, ending)), tmp_path / f"rows.{kind}.{ending}"
    path.write_bytes(content)
    columns = {"target": "y", "probability": "p"}
    with pytest.raises(ll.InvalidInputError, match=rf"rows\.{kind}\.{ending} is damaged \(.+\); compress it again"):
        ll.score(str(path), **columns)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(ll.InvalidInputError, match=r"standard input is damaged \(.+\); compress it again"):
        ll.score("-", **columns)


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("kind", TEXTS)
def test_several_members(kind: str, ending: str, tmp_path: Path):
    """Also where a member holds nothing, and a frame of zstd is to be skipped."""
    first = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" if ending == "zst" else b""
    (tmp_path / f"rows.{kind}.{ending}").write_bytes(first + PACK[ending](b"").join(members(kind, ending)))
    (tmp_path / f"rows.{kind}").write_text("".join(TEXTS[kind]))
    found, expected = (
        ll.score(tmp_path / name, target="y", probability="p") for name in (f"rows.{kind}.{ending}", f"rows.{kind}")
    )
    assert found.summary.rows == N
    assert found.summary.results == expected.summary.results


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
def test_a_list_that_does_not_end(ending: str, tmp_path: Path):
    """As of a program that was stopped: what it had written is no whole file, though each row of it is one."""
    whole = b" [" + b",\n".join(line.encode().rstrip() for line in TEXTS["jsonl"])
    path = tmp_path / f"rows.json{ending}"
    path.write_bytes(PACK.get(ending[1:], bytes)(whole + b"\n]\n"))
    assert ll.score(path, target="y", probability="p").summary.rows == N
    for end in (b",\n", b"", b"{"):
        path.write_bytes(PACK.get(ending[1:], bytes)(whole + end))
        with pytest.raises(ll.InvalidInputError, match=r"must end the list that it begins; it has no \] at its end"):
            ll.score(path, target="y", probability="p")


def test_a_damaged_file_may_be_left_out(tmp_path: Path):
    one, two = members("csv", "gz")
    (tmp_path / "bad.csv.gz").write_bytes(one + two[:-8] + bytes(8))
    (tmp_path / "good.csv.gz").write_bytes(one)
    found = ll.score(tmp_path, target="y", probability="p", on_error="skip")
    assert found.summary.rows == N // 2 - 1
    assert [line.partition(" is damaged")[0][-10:] for line in found.summary.skipped] == ["bad.csv.gz"]


@pytest.mark.parametrize("kind", packed.MARKS)
def test_what_is_checked_takes_little_memory(kind: str, monkeypatch: pytest.MonkeyPatch):
    """Members of any size, over the limits of what is read and unpacked at once."""
    monkeypatch.setattr(packed, "_CHUNK", 64)
    monkeypatch.setattr(packed, "_MOST", 100)
    ending = {"gzip": "gz", "zstd": "zst"}.get(kind, kind)
    content = "".join(TEXTS["csv"]).encode()
    whole = b"".join(map(PACK[ending], (content, b"", bytes(1 << 20), b"a")))
    packed.check(io.BytesIO(whole), kind)
    parts = list(packed.unpacked(io.BytesIO(whole), kind))
    assert b"".join(parts) == content + bytes(1 << 20) + b"a"
    assert max(map(len, parts)) <= 100
    for end in range(1, 9):
        with pytest.raises(packed.DamagedError, match=r"its end is missing|something else follows"):
            packed.check(io.BytesIO(whole[:-end]), kind)


def test_a_copy_goes_with_the_error_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """And not when the memory is next looked through: that may be in hours."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gc.disable()
    try:
        for content in (b"y,p\n1,0.5\n0,7\n", PACK["gz"](b"y,p\n1,0.5\n")[:-1]):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
            with pytest.raises(ll.InvalidInputError, match=r"it is 7\.0 in row 2 of standard input|its end is missing"):
                ll.score("-", target="y", probability="p")
            assert list(tmp_path.iterdir()) == []
    finally:
        gc.enable()
