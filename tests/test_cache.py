"""The cache of machine code on disk: what one process compiles the next one loads, and where that is impossible."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker import AS_ANY_USER, SOURCE, interpreter, python

RUN = """
import numpy as np, logloss as ll
from logloss._kernels import plain
from logloss._spec.losses import CROSS_ENTROPY
value, gradient = ll.value_and_grad(np.array([5.0, -2.0, 0.5]), np.array([1.0, 0.0, 1.0]))
assert abs(value - 0.2025734479040657) < 1e-16, value
stats = plain.entry(CROSS_ENTROPY, np.dtype(float), np.dtype(float), True).stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package without compiled kernels."""
    shutil.copytree(SOURCE / "logloss", tmp_path / "site" / "logloss", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "site"


def test_second_process_loads_what_the_first_compiled(package):
    assert interpreter(RUN, source=package) == ("0 1", "")
    assert interpreter(RUN, source=package) == ("1 0", "")
    assert list((package / "logloss" / "_kernels" / "__pycache__").glob("*.nbi"))


@pytest.mark.parametrize("damage", ["index emptied", "index overwritten", "code cut", "code gone"])
def test_broken_cache_files_are_survived(tmp_path, damage):
    """A process killed while writing, a full disk: files that end too early or hold anything are as good as none."""
    (tmp_path / "tiny.py").write_text(
        "from logloss._kernels.jit import entry\n@entry\ndef add(a, b):\n    return a + b\n"
    )
    code = """
import tiny
print(tiny.add(1.0, 2.0), sum(tiny.add.stats.cache_hits.values()), sum(tiny.add.stats.cache_misses.values()))
"""
    path = os.pathsep.join([str(tmp_path), str(SOURCE)])
    assert python(code, source=path) == "3.0 0 1"
    part, what = damage.split()
    (file,) = tmp_path.glob("__pycache__/*.nbi" if part == "index" else "__pycache__/*.nbc")
    whole = file.read_bytes()
    if what == "gone":
        file.unlink()
    else:
        file.write_bytes({"emptied": b"", "overwritten": b"\x80\x04garbage", "cut": whole[: len(whole) // 2]}[what])
    assert python(code, source=path) == "3.0 0 1"
    assert python(code, source=path) == "3.0 1 0"  # and mended


def test_changed_kernels_are_compiled_anew(package):
    python(RUN, source=package)
    file = package / "logloss" / "_kernels" / "elementary.py"
    file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert python(RUN, source=package) == "0 1"


CANNOT_WRITE = """
import os
try:
    open(os.path.join(os.environ["HOME"], "probe"), "w")
except PermissionError:
    pass
else:
    raise SystemExit("the directory can be written: this would show nothing")
"""


posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions and limits")


@contextmanager
def read_only(*roots: Path) -> Iterator[None]:
    """Directories that nobody but the superuser can write to."""
    folders = [path for root in roots for path in (root, *root.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o755)


@posix
def test_where_nothing_can_be_written(package):
    """A read-only installation and home: kernels compile in each process, as often as they would without a cache."""
    with read_only(package):
        printed, told = interpreter(AS_ANY_USER, source=package, home=package, CODE=CANNOT_WRITE + RUN)
    assert printed == "0 1"
    assert told == (
        "logloss has to compile its kernels in every process, for seconds, because they cannot be kept: neither "
        f"{package / 'logloss' / '_kernels' / '__pycache__'} nor the user's cache folder can be written. "
        "Set NUMBA_CACHE_DIR to a folder that can be written and has room."
    )
    assert not list(package.rglob("*.nb?"))


@posix
def test_a_read_only_package_is_cached_at_home(package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with read_only(package):
        assert interpreter(AS_ANY_USER, source=package, home=home, CODE=RUN) == ("0 1", "")
        assert interpreter(AS_ANY_USER, source=package, home=home, CODE=RUN) == ("1 0", "")
    assert list(home.rglob("*.nbi"))


# ---- what is said ---------------------------------------------------------------------------------------------------

HEARD = """
import logging, sys
logging.getLogger("logloss").setLevel(logging.INFO)
logging.getLogger("logloss").addHandler(logging.StreamHandler(sys.stdout))
"""
TWO_KERNELS = """
from logloss._kernels.jit import entry
@entry
def add(a, b):
    return a + b
@entry
def subtract(a, b):
    return a - b
"""
COMPILE = """
from logloss._kernels.two import add, subtract
assert (add(1.0, 2.0), add(1, 2), subtract(1.0, 2.0)) == (3.0, 3, -1.0)
"""


@pytest.fixture
def small(package):
    """The package with two kernels that compile in no time."""
    (package / "logloss" / "_kernels" / "two.py").write_text(TWO_KERNELS)
    return package


def test_who_listens_hears_once_that_kernels_compile_and_where_they_are_kept(small):
    printed, _ = interpreter(HEARD + COMPILE, source=small)
    assert printed.startswith("logloss compiles kernels for this machine, up to half a minute, once: they are kept in ")
    assert printed.endswith(f"{small / 'logloss' / '_kernels' / '__pycache__'}.")
    assert interpreter(HEARD + COMPILE, source=small) == ("", "")


@posix
@pytest.mark.parametrize("place", ["folder", "file", "folder of a file"])
def test_a_place_that_cannot_be_written_is_named(small, tmp_path, place):
    """NUMBA_CACHE_DIR leads nowhere: that is said where nothing else can be written either, and only then."""
    file = tmp_path / "file"
    file.touch()
    chosen = str({"folder": small, "file": file, "folder of a file": file / "folder"}[place])
    home = tmp_path / "home"
    home.mkdir()
    with read_only(small):
        settings = {"source": small, "CODE": COMPILE, "NUMBA_CACHE_DIR": chosen}
        _, told = interpreter(AS_ANY_USER, home=small, **settings)
        assert interpreter(AS_ANY_USER, home=home, **settings) == ("", "")
    assert f"neither {chosen} nor {small}" in told
    assert told.endswith(f"Set NUMBA_CACHE_DIR, which is {chosen!r}, to a folder that can be written and has room.")
    assert len(told.splitlines()) == 1
    assert list(home.rglob("*.nbi"))


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
"""


@posix
def test_a_disk_that_is_full_is_no_error(small):
    """Files end after 1,000 bytes: the index can be written, the code cannot."""
    printed, told = interpreter(FULL + COMPILE, source=small)
    assert printed == ""
    assert "they cannot be kept: [Errno 27] File too large. Set NUMBA_CACHE_DIR to" in told
    assert len(told.splitlines()) == 1
    assert interpreter(COMPILE, source=small) == ("", "")


REMOVED = """
import pathlib, shutil
import logloss._kernels.two
folder = pathlib.Path(logloss._kernels.two.__file__).parent / "__pycache__"
shutil.rmtree(folder)
"""


def test_a_folder_that_is_removed_is_made_again_and_no_error_if_it_cannot_be(small):
    folder = small / "logloss" / "_kernels" / "__pycache__"
    assert interpreter(REMOVED + COMPILE, source=small) == ("", "")
    assert list(folder.glob("*.nbc"))
    _, told = interpreter(REMOVED + "folder.touch()" + COMPILE, source=small)
    assert f"they cannot be kept: [Errno 17] File exists: '{folder}'. Set NUMBA_CACHE_DIR to" in told
    assert len(told.splitlines()) == 1


QUIET = {
    "an import": "import logloss, logloss._kernels.cpu, logloss._kernels.scoring",
    "what is caught": "import logging; logging.getLogger('logloss').setLevel(logging.ERROR)" + COMPILE,
    "what is handled": """
import logging
seen = []
class Handler(logging.Handler):
    def emit(self, record):
        seen.append((record.name, record.levelname))
logging.getLogger().addHandler(Handler())
"""
    + COMPILE
    + "assert seen == [('logloss', 'WARNING')]",
}


@posix
@pytest.mark.parametrize("code", QUIET.values(), ids=QUIET.keys())
def test_nothing_is_written_by(small, code):
    with read_only(small):
        assert interpreter(AS_ANY_USER, source=small, home=small, CODE=CANNOT_WRITE + code) == ("", "")
