"""Rows that were inserted in many batches, as filters read them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from colmilvus.embedded.lite.stored import Batches, Pieces


def test_a_column_is_put_together_once_and_added_to() -> None:
    numbers = np.arange(30)
    batches = tuple(pa.record_batch({"n": numbers[at : at + 3], "s": [f"{at}", None, "x"]}) for at in range(0, 30, 3))
    pieces = Pieces()
    some, all_of_them = Batches(12, batches[:4], pieces), Batches(30, batches, pieces)

    assert some.column("n").to_pylist() == numbers[:12].tolist()
    first = some.column("n")
    assert all_of_them.column("n").to_pylist() == numbers.tolist()
    again = all_of_them.column("n")
    assert again.buffers()[1].address == all_of_them.column("n").buffers()[1].address
    assert some.column("n").to_pylist() == first.to_pylist() == numbers[:12].tolist(), "who read before sees no more"
    assert all_of_them.column("s").to_pylist() == [s for at in range(0, 30, 3) for s in (f"{at}", None, "x")]
    assert some.column("s").null_count == 4
