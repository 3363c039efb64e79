"""The threads of a search: every item once, errors that come out, and BLAS's threads as they were."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from colmilvus.embedded import parallel
from colmilvus.embedded.parallel import each, one_blas_thread


def blas_threads() -> list[int]:
    """Of those that count threads for the whole process; that of faiss does so for each thread apart."""
    found = ThreadpoolController().select(internal_api="openblas").info()
    return [library["num_threads"] for library in found if library["threading_layer"] == "pthreads"]


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "processors", lambda: 3)


@pytest.mark.parametrize("number", [0, 1, 2, 100])
def test_every_item_has_its_answer_in_its_place(three: None, number: int) -> None:  # noqa: ARG001
    assert each(lambda item: item * item, range(number)) == [item * item for item in range(number)]


def test_several_threads_work(three: None) -> None:  # noqa: ARG001
    together = threading.Barrier(3, timeout=20)
    assert len({*each(lambda _: (together.wait(), threading.get_ident())[1], range(3))}) == 3


def test_an_error_comes_out_and_ends_the_work(three: None) -> None:  # noqa: ARG001
    done: list[int] = []

    def fail(item: int) -> None:
        if item == 5:
            raise ValueError("five")
        done.append(item)

    with pytest.raises(ValueError, match="five"):
        each(fail, range(10_000))
    assert len(done) < 10_000
    assert each(str, [1, 2]) == ["1", "2"], "the threads go on"


def test_many_at_once_and_one_within_another(three: None) -> None:  # noqa: ARG001
    found: dict[int, list[list[int]]] = {}

    def several(of: int) -> None:
        found[of] = each(lambda item: each(lambda inner: of * item * inner, range(5)), range(20))

    threads = [threading.Thread(target=several, args=[of]) for of in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {of: [[of * item * inner for inner in range(5)] for item in range(20)] for of in range(8)}


def test_blas_has_one_thread_meanwhile_and_its_own_again_afterwards() -> None:
    before = blas_threads()
    with one_blas_thread():
        assert set(blas_threads()) <= {1}
        with pytest.raises(RuntimeError), one_blas_thread():
            raise RuntimeError
        assert set(blas_threads()) <= {1}, "the outer block lasts"
    assert blas_threads() == before
    assert all(each(lambda _: set(blas_threads()) <= {1}, range(4)))
    assert blas_threads() == before


def test_the_last_of_several_threads_gives_blas_its_threads_back() -> None:
    before = blas_threads()
    inside, leave = threading.Barrier(2, timeout=20), threading.Event()

    def first() -> None:
        with one_blas_thread():
            inside.wait()
            leave.wait(20)

    thread = threading.Thread(target=first)
    thread.start()
    with one_blas_thread():
        inside.wait()
        leave.set()
        thread.join(20)
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before


def _of_a_child() -> None:
    matrix = np.ones((300, 300))
    found = each(lambda item: float((matrix * item @ matrix).sum()), range(4))
    sys.exit(0 if found == [item * 300.0**3 for item in range(4)] else 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_threads_of_its_own(three: None) -> None:  # noqa: ARG001
    each(str, range(10))
    with one_blas_thread():
        child = multiprocessing.get_context("fork").Process(target=_of_a_child)
        child.start()
    child.join(30)
    assert child.exitcode == 0
