"""Threads, processes and the cache on disk: the same bits everywhere, and no place where a call hangs or fails."""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import logloss as ll
from logloss._kernels import threads
from reference import LOSSES, data
from worker import digest, evaluate_part

N = 1_100_000  # several tasks of every kind
SOURCE = Path(ll.__file__).parents[1]


@pytest.fixture(autouse=True)
def restore_threads():
    before = threads.count()
    yield
    ll.set_num_threads(before)


@functools.cache
def shared(loss, size, seed, kind):
    return data(loss, (size,), seed, kind)


def answers():
    """The bits of calls that share their work, over dtypes, layouts, options, reductions and losses."""
    x, t = shared("logits", N, 1, "int")
    yield digest(*ll.value_and_grad(x.astype(np.float32), t.astype(np.uint8)))
    yield digest(*ll.value_and_grad(x, t.astype(np.float64), sample_weight=np.linspace(0, 1, N)))
    yield digest(*ll.value_and_grad(x.astype(np.float16)[::-1], t > 0, mask=t > -1))
    yield digest(
        *ll.value_and_grad(x.astype(ml_dtypes.bfloat16).reshape(-1, 5), t.reshape(-1, 5), pos_weight=np.arange(5.0))
    )
    yield digest(*ll.value_and_grad(np.asfortranarray(x.reshape(-1, 500)), t.reshape(-1, 500), axis=0))
    yield digest(
        ll.denominator(t, reduction="weighted_mean", weight=np.linspace(0, 1, N)), ll.denominator(t, ignore_index=1)
    )
    yield digest(ll.log_loss(t, 1 / (1 + np.exp(-x))))
    for loss in LOSSES:
        x, t = shared(loss, N, 2, "soft")
        yield digest(*ll.value_and_grad(x, t, loss=LOSSES[loss]), *ll.grad_and_hess(x, t, loss=LOSSES[loss]))


def test_the_same_bits_for_any_number_of_threads():
    ll.set_num_threads(1)
    one = list(answers())
    for count in (2, 3, 7):
        ll.set_num_threads(count)
        assert list(answers()) == one


def test_threads_are_used():
    """With n threads, n tasks that wait for each other all come to an end."""
    ll.set_num_threads(4)
    barrier = threading.Barrier(4)
    names = threads.run([lambda: (barrier.wait(30), threading.current_thread().name)[1]] * 4)
    assert len(set(names)) == 4


def test_results_come_in_order_and_the_first_error_is_raised():
    ll.set_num_threads(3)
    assert threads.run([lambda i=i: i * i for i in range(100)]) == [i * i for i in range(100)]

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        threads.run([fail, lambda: 1, fail, lambda: 2])
    assert threads.run([lambda: 1, lambda: 2]) == [1, 2]


def test_after_an_error_no_task_begins_and_none_goes_on():
    ll.set_num_threads(2)
    helping, failed, begun, running = threading.Event(), threading.Event(), [], []

    def slow():
        begun.append(1)
        if threading.current_thread() is threading.main_thread():
            assert helping.wait(30)
            failed.set()
            raise ZeroDivisionError
        running.append(1)
        helping.set()
        assert failed.wait(30)
        time.sleep(0.05)
        running.pop()

    with pytest.raises(ZeroDivisionError):
        threads.run([slow] * 100)
    assert (len(begun), running) == (2, [])


def test_no_call_waits_for_threads_that_are_busy_elsewhere():
    ll.set_num_threads(2)
    barrier, stop = threading.Barrier(3), threading.Event()
    busy = threading.Thread(target=threads.run, args=([lambda: (barrier.wait(30), stop.wait(30))] * 2,))
    busy.start()
    try:
        barrier.wait(30)  # both threads of that call are inside its tasks
        assert threads.run([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]
        assert not stop.is_set()
    finally:
        stop.set()
        busy.join()


def test_threads_that_are_too_many_end():
    def alive():
        return sum(thread.name.startswith("logloss_") for thread in threading.enumerate())

    def wait_for(number):
        deadline = time.monotonic() + 30
        while alive() != number and time.monotonic() < deadline:
            time.sleep(0.01)
        assert alive() == number

    for count in (4, 2):
        ll.set_num_threads(count)
        wait_for(0)
        threads.run([lambda: 1] * 8)
        wait_for(count - 1)


def test_tasks_may_run_tasks():
    ll.set_num_threads(2)
    inner = [lambda i=i: i for i in range(5)]
    assert threads.run([lambda: sum(threads.run(inner))] * 6) == [10] * 6


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", None, True, np.True_, np.int64(0)])
def test_numbers_of_threads_that_are_none(bad):
    with pytest.raises(ll.InvalidInputError, match=r"must be a positive whole number; got .*\. Use 1 for the calling"):
        ll.set_num_threads(bad)


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.array])
def test_numbers_of_threads_of_any_kind(kind):
    ll.set_num_threads(kind(2))
    assert type(threads.count()) is int
    assert threads.count() == 2


def test_from_several_python_threads_at_once():
    x, t = shared("logits", N, 1, "int")
    x, t = x.astype(np.float32), t.astype(np.uint8)
    ll.set_num_threads(2)
    want = digest(*ll.value_and_grad(x, t))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: digest(*ll.value_and_grad(x, t)), range(24)))
    assert set(results) == {want}


def test_number_of_threads_may_change_meanwhile():
    x, t = shared("logits", N // 2, 1, "int")
    want = ll.binary_cross_entropy_with_logits(x, t)
    stop = threading.Event()

    def change():
        count = 0
        while not stop.is_set():
            count = count % 4 + 1
            ll.set_num_threads(count)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(60):
            assert ll.binary_cross_entropy_with_logits(x, t) == want
    finally:
        stop.set()
        changer.join()


# ---- processes ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_fork_while_the_parent_is_computing():
    ll.set_num_threads(2)
    want = evaluate_part(3)
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            evaluate_part(4)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                ok = False
                try:
                    ok = evaluate_part(3) == want
                finally:
                    os._exit(0 if ok else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        busy.join()
    assert evaluate_part(3) == want


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_in_worker_processes(method):
    want = [evaluate_part(seed) for seed in (1, 2)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(evaluate_part, [1, 2]).get(timeout=120) == want


def python(code, *, source=SOURCE, home=None, **environment):
    """Run code in a new interpreter; what it printed."""
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    variables = {
        **inherited,
        "PYTHONPATH": str(source),
        "HOME": str(home or Path.home()),
        "PYTHONDONTWRITEBYTECODE": "1",
        **environment,
    }
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


COUNT = "from logloss._kernels import threads; print(threads.count())"


def test_threads_from_the_environment():
    assert python(COUNT, LOGLOSS_NUM_THREADS="3") == "3"
    assert python(COUNT, LOGLOSS_NUM_THREADS="") == python(COUNT)
    assert python("import logloss as ll; ll.set_num_threads(5);" + COUNT, LOGLOSS_NUM_THREADS="3") == "5"


@pytest.mark.parametrize("bad", ["0", "two", "1.5", "٣", "9" * 5000])
def test_bad_threads_from_the_environment(bad):
    code = """
import numpy as np, logloss as ll
try:
    ll.binary_cross_entropy_with_logits(np.zeros(1_000_000), np.ones(1_000_000))
except ll.InvalidInputError as error:
    print(error)
"""
    said = python(code, LOGLOSS_NUM_THREADS=bad)
    assert said == (
        "LOGLOSS_NUM_THREADS must be a positive whole number of at most nine digits; "
        f"got {bad[:40]!r}. Unset it to use all cores."
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_default_is_the_cores_of_the_process():
    assert python("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});" + COUNT) == "1"


# ---- the cache on disk ----------------------------------------------------------------------------------------------

RUN = """
import numpy as np, logloss as ll
from logloss._kernels import entries
value, gradient = ll.value_and_grad(np.array([5.0, -2.0, 0.5]), np.array([1.0, 0.0, 1.0]))
assert abs(value - 0.2025734479040657) < 1e-16, value
stats = entries.plain("cross_entropy", np.dtype(float), np.dtype(float)).stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package without compiled kernels."""
    shutil.copytree(SOURCE / "logloss", tmp_path / "site" / "logloss", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "site"


def test_second_process_loads_what_the_first_compiled(package):
    assert python(RUN, source=package) == "0 1"
    assert python(RUN, source=package) == "1 0"
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


# The superuser may write anywhere, unless that capability is given up: CAP_DAC_OVERRIDE, of the kernel's bounding set.
AS_ANY_USER = """
import ctypes, os, sys
if os.getuid() == 0:
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-W", "error", "-c", os.environ["CODE"]])
"""
CANNOT_WRITE = """
import os
try:
    open(os.path.join(os.environ["HOME"], "probe"), "w")
except PermissionError:
    pass
else:
    raise SystemExit("the directory can be written: this would show nothing")
"""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_where_nothing_can_be_written(package):
    """A read-only installation and home: kernels compile in each process, as often as they would without a cache."""
    folders = [package, *(path for path in package.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert python(AS_ANY_USER, source=package, home=package, CODE=CANNOT_WRITE + RUN) == "0 1"
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert not list(package.rglob("*.nb?"))


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_read_only_package_is_cached_at_home(package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    folders = [package, *(path for path in package.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert python(AS_ANY_USER, source=package, home=home, CODE=RUN) == "0 1"
        assert python(AS_ANY_USER, source=package, home=home, CODE=RUN) == "1 0"
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert list(home.rglob("*.nbi"))
