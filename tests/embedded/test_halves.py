"""Large records in two halves: no bit is lost, and the first half is the vectors in bfloat16."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from colmilvus.embedded.halves import LARGE, norms_of, rounded
from colmilvus.embedded.vectors import Column, Record, VectorStore

COLUMN = Column(3, np.dtype("<f4"))
BITS = arrays(np.uint32, (LARGE, 3), elements=st.integers(0, 2**32 - 1))


@given(bits=BITS)
def test_every_bit_comes_back(bits: np.ndarray) -> None:
    vectors = bits.view("<f4")
    stored = COLUMN.stored(vectors)
    assert stored.nbytes == vectors.nbytes
    assert COLUMN.given(stored).tobytes() == vectors.tobytes()
    which = np.array([LARGE - 1, 0, 5])
    assert COLUMN.some(stored, which).tobytes() == vectors[which].tobytes()


@given(bits=BITS)
def test_the_first_half_is_bfloat16_to_the_nearest(bits: np.ndarray) -> None:
    vectors = (bits & np.uint32(0xBF7FFFFF)).view("<f4")  # finite, and far from the largest
    first = COLUMN.halves(COLUMN.stored(vectors))[0]
    halves, values = rounded(vectors)
    assert (first == halves).all()
    assert ((halves.astype(np.uint32) << 16).view(np.float32) == values).all()
    normal = np.abs(vectors) > np.finfo(np.float32).tiny
    off = np.abs(values.astype(np.float64) - vectors)[normal]
    assert (off <= np.abs(vectors[normal].astype(np.float64)) * 2.0**-8).all()
    assert (values[np.isin(vectors, [0, 1, -2, 0.5])] == vectors[np.isin(vectors, [0, 1, -2, 0.5])]).all()


@given(bits=BITS)
def test_a_record_knows_how_far_off_its_first_half_is(bits: np.ndarray) -> None:
    vectors = bits.view("<f4")
    off = np.float32(COLUMN.rounding(COLUMN.stored(vectors), vectors, norms_of(vectors)))
    assert 0 <= off <= 2.0**-8
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    usual = (norms > 1e-30) & (norms < 1e38)  # what is below may count as nothing, what is above is compared otherwise
    missed = np.linalg.norm(rounded(vectors)[1][usual].astype(np.float64) - wide[usual], axis=1)
    assert (missed <= off * norms[usual]).all()
    if usual.all() and off < 2.0**-8:
        assert off <= 1.001 * (missed / norms).max()


def test_of_usual_vectors_the_first_half_is_off_by_less_than_it_may_be() -> None:
    vectors = np.random.default_rng(5).normal(size=(1_000, 128)).astype(np.float32)

    def off(vectors: np.ndarray) -> float:
        column = Column(128, vectors.dtype)
        return column.rounding(column.stored(vectors), vectors, norms_of(vectors))

    assert 0.4 < 2**8 * off(vectors) < 0.7
    assert off(vectors[:10]) == 0
    assert off(vectors.astype("<f2")) == 0


@pytest.mark.parametrize("kind", ["<f4", "<f2"])
def test_small_records_and_short_types_stay_as_they_are(tmp_path: Path, kind: str) -> None:
    column = Column(3, np.dtype(kind))
    drawn = np.random.default_rng(1)
    small, large = (drawn.normal(size=(n, 3)).astype(kind) for n in (LARGE - 1, LARGE))
    with closing(VectorStore(tmp_path, [column], 0)) as store:
        store.append([Record(len(each), (each,), ()) for each in (small, large)])
        assert store.vectors(0, 0).tobytes() == small.tobytes()
        assert store.vectors(1, 0).tobytes() == large.tobytes()
    written = (tmp_path / "00000000.0.vectors").read_bytes()
    assert written[: small.nbytes] == small.tobytes()
    rest = written[small.nbytes :]
    assert len(rest) == large.nbytes
    if kind == "<f4":
        assert rest[: len(rest) // 2] == rounded(large)[0].tobytes()
        assert rest != large.tobytes()
    else:
        assert rest == large.tobytes()
