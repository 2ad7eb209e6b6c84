"""Threads and processes: the same bits everywhere, and no place where a call hangs or fails."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

import logloss as ll
from logloss._kernels import threads
from worker import answers, digest, evaluate_part, python, shared

N = 1_100_000  # several tasks of every kind


@pytest.fixture(autouse=True)
def restore_threads():
    before = threads.count()
    yield
    ll.set_num_threads(before)


def test_the_same_bits_for_any_number_of_threads():
    ll.set_num_threads(1)
    one = answers(N)
    for count in (2, 3, 7):
        ll.set_num_threads(count)
        assert answers(N) == one


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
