"""The inverted file: its candidates hold the best by MaxSim, it follows what is written, and damage costs no answer."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from packaging.version import Version
from pymilvus import DataType, MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus import maxsim
from colmilvus.embedded import connect
from colmilvus.embedded.bounded import Bounded
from colmilvus.embedded.inverted import candidates, plan, probe
from colmilvus.embedded.inverted.candidates import best
from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.lists import Codes, Lists, rows_of
from colmilvus.embedded.inverted.plan import Discard, Encode, Limits, Live, Merge, Rebuild, next_step
from colmilvus.embedded.inverted.probe import Probe
from colmilvus.embedded.inverted.quantizer import Quantizer, prepared
from colmilvus.embedded.inverted.writing import merged, sorted_by_list
from colmilvus.embedded.scoring import Scorer
from colmilvus.entity import Metric

DIM = 16
LENGTH = 24
Pages = list[NDArray[np.float32]]


def draw(number: int, seed: int = 0, dim: int = DIM, length: int = LENGTH) -> Pages:
    """Pages of words in context: a word's vector, the page's topic, and noise."""
    random = np.random.default_rng(seed)
    shared = np.random.default_rng(99)
    words, topics = shared.standard_normal((300, dim)), shared.standard_normal((20, dim))
    pages = []
    for _ in range(number):
        topic = topics[random.integers(20)]
        found = words[random.zipf(1.3, length) % 300] + 0.7 * topic + 0.3 * random.standard_normal((length, dim))
        pages.append(found.astype(np.float32))
    return pages


class Known(Scorer):
    """Scores that are known beforehand; ``asked`` are the positions that were asked for."""

    def __init__(self, scores: NDArray[Any]) -> None:
        self._scores = scores.astype(np.float32)
        self.asked: list[int] = []

    def bounded(self, positions: NDArray[np.int64]) -> Bounded:
        self.asked.extend(positions.tolist())
        return Bounded(self._scores[positions], np.zeros(len(positions), np.float32))


def queries(pages: Pages, number: int = 30) -> Pages:
    random = np.random.default_rng(5)
    found = []
    for _ in range(number):
        page = pages[random.integers(len(pages))]
        some = page[random.permutation(len(page))[:6]]
        found.append((some + 0.3 * random.standard_normal(some.shape)).astype(np.float32))
    return found


def oracle(query: NDArray[np.float32], pages: Pages, kind: Metric) -> NDArray[np.float64]:
    return np.array([maxsim(query, page, metric=kind) for page in pages])


# The parts


def generation(folder: Path, pages: Pages, kind: Metric, parts: int = 1) -> Generation:
    vectors = [prepared(page, kind) for page in pages]
    quantizer = Quantizer.train(kind, np.concatenate(vectors), 64, lambda: None)
    written = []
    for part, numbers in enumerate(np.array_split(np.arange(len(pages)), parts)):
        coded = []
        for member, number in enumerate(numbers.tolist()):
            lists = quantizer.assign(vectors[number])
            codes = quantizer.encode(vectors[number], lists)
            coded.append(Codes(lists, codes, np.full(len(lists), member)))
        rows = rows_of(numbers.tolist(), [1] * len(numbers), [len(pages[number]) for number in numbers])
        written.append(Lists.write(folder / f"{part}.part", rows, quantizer.shape, sorted_by_list(coded)))
    return Generation("q", quantizer, sum(map(len, pages)), len(pages), len(pages), tuple(written))


@pytest.mark.parametrize(
    ("kind", "levels"),
    [("COSINE", (5_000, 100_000)), ("IP", (5_000, 100_000)), ("L2", (5_000, 100_000)), ("COSINE", (400, 6_000))],
)
def test_candidates_hold_the_best(
    tmp_path: Path, kind: Metric, levels: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colmilvus.embedded.inverted.candidates.FEW", 0)
    monkeypatch.setattr(probe, "LEVELS", levels)
    monkeypatch.setattr("colmilvus.embedded.inverted.candidates.FIRST", 16)
    pages = draw(900)
    made = generation(tmp_path, pages, kind, parts=3)
    sign = -1 if kind == "L2" else 1
    recalls, compared = [], []
    for query in queries(pages, 12):
        exact = sign * oracle(query, pages, kind)
        scorer = Known(exact)
        positions, scores = best(made, query, np.arange(len(pages)), scorer, 10, 3.0)
        np.testing.assert_allclose(scores, exact[positions], rtol=1e-5)
        found = positions[np.argsort(-scores)[:10]]
        recalls.append(len({*found.tolist()} & {*np.argsort(-exact)[:10].tolist()}) / 10)
        compared.append(len(scorer.asked))
        assert len(scorer.asked) == len(set(scorer.asked))
        taken = []
        for ratio in (0.01, 3):
            scorer = Known(exact)
            best(made, query, np.arange(len(pages)), scorer, 10, ratio)
            taken.append(len(scorer.asked))
        assert 10 <= taken[0] < 50 <= taken[1]
    assert np.mean(recalls) >= 0.97
    assert np.mean(compared) < len(pages) / 2


def test_estimates_are_trusted_less_among_few_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colmilvus.embedded.inverted.candidates.FIRST", 16)
    pages = draw(900)
    made = generation(tmp_path, pages, "COSINE")
    found, compared = [], []
    for few in (0, 901):
        monkeypatch.setattr("colmilvus.embedded.inverted.candidates.FEW", few)
        scorers, right = [], 0
        for query in queries(pages, 12):
            exact = oracle(query, pages, "COSINE")
            scorers.append(Known(exact))
            positions, scores = best(made, query, np.arange(len(pages)), scorers[-1], 10, 3.0)
            right += len({*positions[np.argsort(-scores)[:10]].tolist()} & {*np.argsort(-exact)[:10].tolist()})
        found.append(right)
        compared.append(sum(len(scorer.asked) for scorer in scorers))

    assert compared[1] > 1.1 * compared[0]
    assert found[1] >= found[0]


@pytest.mark.parametrize("kind", ["COSINE", "IP", "L2"])
def test_estimates_of_all_lists_differ_from_maxsim_by_the_codes_alone(tmp_path: Path, kind: Metric) -> None:
    pages = draw(200)
    made = generation(tmp_path, pages, kind)
    rows, sign = np.arange(len(pages)), -1 if kind == "L2" else 1
    for query in queries(pages, 5):
        looking = Probe(made, query, rows)
        while looking.deeper(len(rows)) < math.inf:
            looking.look_deeper(rows)
        estimates, unmet = looking.estimates()
        assert not unmet.any()
        seen = oracle(prepared(query, kind), decoded(made), "L2" if kind == "L2" else "IP")
        np.testing.assert_allclose(sign * estimates, seen, rtol=1e-4, atol=1e-3)
        assert np.corrcoef(seen, oracle(query, pages, kind))[0, 1] > 0.9


@pytest.mark.parametrize("kind", ["COSINE", "L2"])
def test_looking_deeper_betters_the_estimates_of_the_records_it_is_done_for(
    tmp_path: Path, kind: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "LEVELS", (100, 2_000))
    pages = draw(200)
    made = generation(tmp_path, pages, kind, parts=3)
    rows = np.flatnonzero(np.arange(len(pages)) % 7)  # some that a filter leaves
    for query in queries(pages, 5):
        exact = (-1 if kind == "L2" else 1) * oracle(query, pages, kind)[rows]
        whole, some = Probe(made, query, rows), Probe(made, query, rows)
        before, unmet = some.estimates()
        places = np.sort(np.random.default_rng(1).permutation(len(rows))[:30])
        assert some.deeper(len(places)) < whole.deeper(len(rows)) < math.inf
        whole.look_deeper(np.arange(len(rows)))
        some.look_deeper(places)
        assert some.deeper(len(places)) == math.inf
        after, left = some.estimates()
        np.testing.assert_array_equal(after[places], whole.estimates()[0][places])
        np.testing.assert_array_equal(np.delete(after, places), np.delete(before, places))
        assert left[places].sum() < unmet[places].sum()
        assert np.std((exact - after)[places]) < np.std((exact - before)[places])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_searches_leave_memory_as_it_was(tmp_path: Path) -> None:
    made, pages = generation(tmp_path, draw(50), "IP"), draw(50)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    sizes = []
    for _ in range(2):
        for number in range(200):
            best(made, pages[number % 50], np.arange(50), Known(np.zeros(50)), 5, 3.0)
        sizes.append(resident())
    assert sizes[1] < sizes[0] + (8 << 20)


@pytest.mark.parametrize("kind", ["IP", "L2"])
def test_queries_and_records_too_large_for_codes_are_compared(
    client: MilvusClient, caplog: pytest.LogCaptureFixture, kind: Metric
) -> None:
    create(client, f"MAX_SIM_{kind}")
    pages = dict(enumerate(draw(300)))
    pages[7] = pages[7] * np.float32(1e19)
    with caplog.at_level(logging.CRITICAL):
        upsert(client, list(pages.values()))
        followed(client)
    (query,) = queries(list(draw(300)), 1)
    best = np.argsort(oracle(query, list(pages.values()), kind), kind="stable")
    for size in (1, 1e16) if kind == "IP" else (1,):
        (hits,) = client.search("c", [EmbeddingList(query * np.float32(size))], anns_field="patches[emb]", limit=3)
        assert [hit["id"] for hit in hits] == (best[:3] if kind == "L2" else best[::-1][:3]).tolist()


def decoded(made: Generation) -> Pages:
    """What the codes of a generation say that the pages' vectors are."""
    (part,) = made.parts
    everything = part.between(0, made.quantizer.lists)
    codewords = made.quantizer.codewords
    rest = codewords[np.arange(len(codewords)), everything.codes].reshape(len(everything.codes), -1)
    vectors = made.quantizer.centroids[everything.lists] + rest
    return [vectors[everything.members == member][:, :DIM] for member in range(len(part.rows))]


def test_parts_become_one_without_what_is_dead(tmp_path: Path) -> None:
    made = generation(tmp_path, draw(60), "COSINE", parts=3)
    positions = [np.arange(20), np.where(np.arange(20) < 5, 20 + np.arange(20), -1), 25 + np.arange(20)]
    rows = np.concatenate([made.parts[0].rows, made.parts[1].rows[:5], made.parts[2].rows])
    whole = Lists.write(tmp_path / "whole.part", rows, made.quantizer.shape, merged(made.parts, positions))
    assert whole.rows["row"].tolist() == [*range(25), *range(40, 60)]
    assert whole.vectors == len(whole.codes) == 45 * LENGTH
    for number in range(made.quantizer.lists):
        found = whole.between(number, number + 1)
        seen = {(int(row), *code) for row, code in zip(rows["row"][found.members], found.codes.tolist(), strict=True)}
        wanted = set()
        for part, places in zip(made.parts, positions, strict=True):
            some = part.between(number, number + 1)
            kept = places[some.members] >= 0
            numbers = part.rows["row"][some.members[kept]]
            wanted |= {(int(row), *code) for row, code in zip(numbers, some.codes[kept].tolist(), strict=True)}
        assert seen == wanted
        assert (np.diff(found.members) >= 0).all()


def test_what_is_not_allowed_or_not_held(tmp_path: Path) -> None:
    pages = draw(400)
    made = generation(tmp_path, pages[:300], "IP")
    rows = np.arange(1, 400, 3)
    exact = oracle(queries(pages, 1)[0], pages, "IP")
    scorer = Known(exact[rows])
    positions, _ = best(made, queries(pages, 1)[0], rows, scorer, 5, 3.0)
    assert {*np.flatnonzero(rows >= 300)} <= {*scorer.asked}
    assert set(np.argsort(-exact[rows])[:5]) <= {*positions.tolist()}


def test_a_score_without_bounds_is_no_reason_to_stop() -> None:
    found = Bounded(np.array([-3, 0, -1], np.float32), np.array([0.1, np.inf, 0], np.float32))
    assert candidates._told(found).tolist() == [-3, -np.inf, -1]


@pytest.mark.parametrize("dim", [2, 3, 7, 130])
def test_any_dimension(tmp_path: Path, dim: int) -> None:
    pages = draw(300, dim=dim, length=8)
    made = generation(tmp_path, pages, "COSINE")
    query = queries(pages, 1)[0][:4]
    exact = oracle(query, pages, "COSINE")
    positions, _ = best(made, query, np.arange(300), Known(exact), 3, 3.0)
    kept = np.sort(exact[positions])[-3:]
    np.testing.assert_allclose(kept, np.sort(exact)[-3:], atol=1e-5)


def test_rare_vectors_are_in_lists_that_a_query_like_them_comes_to_soon() -> None:
    random = np.random.default_rng(3)

    def about(means: Pages | NDArray[np.float32], each: int) -> NDArray[np.float32]:
        found = np.repeat(means, each, axis=0)
        return prepared(found + 0.05 * random.standard_normal(found.shape).astype(np.float32), "COSINE")

    means = prepared(random.standard_normal((70, 32)).astype(np.float32), "COSINE")
    common, rare = about(means[:40], 200), about(means[40:], 10)
    portions = [np.concatenate([rare[at::3], common[at::20]]) for at in range(3)]

    def ranks(quantizer: Quantizer) -> NDArray[np.int64]:
        """How many lists a query like a rare vector comes to before that vector's."""
        near = quantizer.nearness(quantizer.prepare(about(means[40:], 10)))
        own = near[np.arange(len(rare)), quantizer.assign(rare)]
        return np.asarray((near > own[:, None]).sum(axis=1))

    asked: list[None] = []
    unseen = ranks(Quantizer.train("COSINE", common, 256, lambda: None))
    seen = ranks(Quantizer.train("COSINE", common, 256, lambda: asked.append(None), others=iter(portions)))
    assert np.percentile(seen, 90) < 10 < 20 < np.percentile(unseen, 90)
    assert seen.mean() < unseen.mean() / 4
    assert len(asked) >= len(portions)


def test_a_quantizer_comes_back_as_it_was(tmp_path: Path) -> None:
    quantizer = Quantizer.train("L2", prepared(np.concatenate(draw(50)), "L2"), 16, lambda: None)
    quantizer.save(tmp_path / "q")
    found = Quantizer.load(tmp_path / "q")
    assert found.kind == "L2"
    for name in ("groups", "centroids", "codewords"):
        np.testing.assert_array_equal(getattr(found, name), getattr(quantizer, name))


def step_of(made: Generation | None, rows: NDArray[np.int64], limits: Limits) -> Any:
    return next_step(made, Live(rows, np.full(len(rows), LENGTH, np.int64)), limits)


def test_the_next_step(tmp_path: Path) -> None:
    rows = np.arange(300)
    limits = Limits(least=100 * LENGTH, pending=20 * LENGTH, part=1000 * LENGTH)
    assert step_of(None, rows[:99], limits) is None
    assert isinstance(step_of(None, rows[:100], limits), Rebuild)
    made = generation(tmp_path, draw(100), "IP")
    made = Generation("q", made.quantizer, made.trained, 100, 99, made.parts)
    assert step_of(made, rows[:119], limits) is None
    encode = step_of(made, rows[:120], limits)
    assert isinstance(encode, Encode)
    assert encode.live.rows.tolist() == list(range(100, 120))
    assert isinstance(step_of(made, np.arange(400), limits), Rebuild)
    assert isinstance(step_of(made, rows[:49], limits), Discard)
    assert isinstance(step_of(made, rows[35:100], limits), Merge), "a third of the only part is dead"
    assert isinstance(step_of(made, rows[76:200], limits), Rebuild), "few of those are left that it was learnt from"
    two = generation(tmp_path, draw(100), "IP", parts=2)
    two = Generation("q", two.quantizer, two.trained, 100, 99, two.parts)
    merge = step_of(two, rows[:100], limits)
    assert isinstance(merge, Merge)
    assert len(merge.parts) == 2


# The engine


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inverted files from 200 pages of these tests on, in parts of 150."""
    monkeypatch.setattr(plan, "SCANNED_BYTES", 200 * LENGTH * DIM * 4)
    monkeypatch.setattr(plan, "PENDING", 20 * LENGTH)
    monkeypatch.setattr(plan, "PART", 150 * LENGTH)
    monkeypatch.setattr("colmilvus.embedded.inverted.FEW", 8 * LENGTH)


@pytest.fixture
def client(tmp_path: Path, small: None) -> Iterator[MilvusClient]:  # noqa: ARG001
    found = connect(tmp_path / "kb.db")
    yield found
    found.close()


def create(client: MilvusClient, metric: str = "MAX_SIM_COSINE", kind: DataType = DataType.FLOAT_VECTOR) -> None:
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("group", DataType.INT64)
    struct = client.create_struct_field_schema()
    struct.add_field("emb", kind, dim=DIM)
    schema.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=struct, max_capacity=100)
    params = client.prepare_index_params()
    params.add_index("patches[emb]", index_type="HNSW", metric_type=metric)
    client.create_collection("c", schema=schema, index_params=params, consistency_level="Strong")


def upsert(client: MilvusClient, pages: Pages, first: int = 0, kind: Any = np.float32) -> None:
    rows = [
        {"id": first + i, "group": (first + i) % 10, "patches": [{"emb": vector} for vector in page.astype(kind)]}
        for i, page in enumerate(pages)
    ]
    for start in range(0, len(rows), 200):
        client.upsert("c", rows[start : start + 200])


def followed(client: MilvusClient) -> dict[str, Any]:
    """The description of the index, once nothing or less than a portion is waiting."""
    for _ in range(600):
        found: dict[str, Any] = client.describe_index("c", "patches[emb]")
        if found["pending_index_rows"] < 20:
            return found
        time.sleep(0.05)
    raise AssertionError(f"the inverted file does not follow: {found}")


def recall(client: MilvusClient, pages: dict[int, Any], kind: Metric = "COSINE", **options: Any) -> float:
    """Of ten hits the share that are among the ten best; every score is checked."""
    allowed = {name: page for name, page in pages.items() if not options or name % 10 < 5}
    shares = []
    for query in queries(list(pages.values()), 12):
        scores = {name: maxsim(query, page, metric=kind) for name, page in allowed.items()}
        (hits,) = client.search("c", [EmbeddingList(query)], anns_field="patches[emb]", limit=10, **options)
        for hit in hits:
            assert hit["distance"] == pytest.approx(scores[hit["id"]], abs=1e-3)
        least = sorted(scores.values(), reverse=kind != "L2")[9]
        good = [
            hit
            for hit in hits
            if (hit["distance"] <= least + 1e-3 if kind == "L2" else hit["distance"] >= least - 1e-3)
        ]
        shares.append(len(good) / 10)
    return float(np.mean(shares))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("kb.db/lite/collections/c/structs/0/inverted-0/*"))


def written(folder: Path) -> dict[str, int]:
    found = {}
    for path in files(folder):
        with contextlib.suppress(FileNotFoundError):
            found[path.name] = path.stat().st_mtime_ns
    return found


def settled(folder: Path) -> dict[str, int]:
    """The files, once parts have become one and nothing is written any more."""
    before: dict[str, int] = {}
    while (now := written(folder)) != before:
        time.sleep(0.5)
        before = now
    return before


@pytest.mark.parametrize("kind", ["COSINE", "IP", "L2"])
def test_a_collection_is_followed(client: MilvusClient, tmp_path: Path, kind: Metric) -> None:
    create(client, f"MAX_SIM_{kind}")
    pages = dict(enumerate(draw(450)))
    upsert(client, list(pages.values())[:150])
    assert client.describe_index("c", "patches[emb]")["pending_index_rows"] == 0
    assert not files(tmp_path), "so few are compared exactly"
    assert recall(client, dict(list(pages.items())[:150]), kind) == 1
    upsert(client, list(pages.values())[150:], 150)
    assert followed(client)["total_rows"] == 450
    assert [path for path in files(tmp_path) if path.suffix == ".codes"]
    assert recall(client, pages, kind) >= 0.98
    assert recall(client, pages, kind, filter="group < 5") >= 0.98


def test_searches_go_on_while_centroids_are_learnt_and_the_index_says_how_far_behind_it_is(
    client: MilvusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, learning, go_on = Quantizer.train.__func__, threading.Event(), threading.Event()  # type: ignore[attr-defined]

    def held(*arguments: Any, **named: Any) -> Quantizer:
        learning.set()
        assert go_on.wait(60)
        return learn(Quantizer, *arguments, **named)  # type: ignore[no-any-return]

    create(client)
    pages = dict(enumerate(draw(1000)))
    upsert(client, list(pages.values())[:300])
    assert followed(client)["total_rows"] == 300
    monkeypatch.setattr(Quantizer, "train", held)
    upsert(client, list(pages.values())[300:], 300)
    assert learning.wait(60), "there are three times as many"
    found = client.describe_index("c", "patches[emb]")
    assert found["total_rows"] == found["indexed_rows"] + found["pending_index_rows"] == 1000
    assert found["pending_index_rows"] >= 400, "the rest came before the next look"
    assert recall(client, pages) >= 0.98
    assert recall(client, pages, filter="group < 5") >= 0.98
    go_on.set()
    assert followed(client)["pending_index_rows"] < 20
    assert recall(client, pages) >= 0.98


def test_replaced_and_deleted(client: MilvusClient, tmp_path: Path) -> None:
    create(client)
    pages = dict(enumerate(draw(400)))
    upsert(client, list(pages.values()))
    followed(client)
    again = draw(200, seed=7)
    upsert(client, again)
    pages.update(enumerate(again))
    client.delete("c", filter="id >= 300 and id < 340")
    pages = {name: page for name, page in pages.items() if not 300 <= name < 340}
    assert recall(client, pages) >= 0.98, "while the inverted file follows"
    followed(client)
    assert recall(client, pages) >= 0.98
    client.delete("c", filter="id >= 50")
    deadline = time.monotonic() + 20
    while files(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not files(tmp_path), "what is left is compared exactly"
    assert recall(client, {name: page for name, page in pages.items() if name < 50}) == 1


@pytest.mark.skipif(
    Version(version("pymilvus")) < Version("2.6.16"), reason="pymilvus sends no such structs before 2.6.16"
)
def test_float16(client: MilvusClient) -> None:
    create(client, kind=DataType.FLOAT16_VECTOR)
    pages = {i: page.astype(np.float16).astype(np.float32) for i, page in enumerate(draw(300))}
    upsert(client, list(pages.values()), kind=np.float16)
    followed(client)
    query = queries(list(pages.values()), 1)[0].astype(np.float16)
    (hits,) = client.search("c", [EmbeddingList(query, dtype="float16")], anns_field="patches[emb]", limit=5)
    scores = sorted((maxsim(query.astype(np.float32), page) for page in pages.values()), reverse=True)
    np.testing.assert_allclose([hit["distance"] for hit in hits], scores[:5], atol=1e-3)


def test_a_reopened_one_is_used_again(client: MilvusClient, tmp_path: Path) -> None:
    create(client)
    pages = dict(enumerate(draw(300)))
    upsert(client, list(pages.values()))
    followed(client)
    before = settled(tmp_path)
    client.close()
    again = connect(tmp_path / "kb.db")
    assert again.describe_index("c", "patches[emb]")["pending_index_rows"] < 20
    assert recall(again, pages) >= 0.98
    again.close()
    assert written(tmp_path) == before


@pytest.mark.parametrize(
    ("suffix", "harm"),
    [
        (".codes", "cut"),
        (".codes", "flip"),
        (".members", "cut"),
        (".members", "flip"),
        (".rows", "remove"),
        (".rows", "flip"),
        (".quantizer", "flip"),
        (".json", "nonsense"),
    ],
)
def test_a_damaged_one_is_made_anew(
    client: MilvusClient, tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, harm: str
) -> None:
    create(client)
    pages = dict(enumerate(draw(250)))
    upsert(client, list(pages.values()))
    followed(client)
    client.close()
    path = next(path for path in files(tmp_path) if path.suffix == suffix)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    harmed = {"cut": bytes(data[: len(data) // 2]), "flip": bytes(data), "nonsense": b"nonsense"}
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(harmed[harm])
    with caplog.at_level(logging.CRITICAL):
        again = connect(tmp_path / "kb.db")
        assert recall(again, pages) >= 0.98
        deadline = time.monotonic() + 20
        while path.exists() and path.read_bytes() in harmed.values() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not path.exists() or path.read_bytes() not in harmed.values(), "made anew"
        followed(again)
        assert recall(again, pages) >= 0.98
        again.close()


def test_one_cut_while_it_is_open(client: MilvusClient, tmp_path: Path) -> None:
    create(client)
    pages = dict(enumerate(draw(250)))
    upsert(client, list(pages.values()))
    followed(client)
    settled(tmp_path)
    for path in files(tmp_path):
        if path.suffix in (".codes", ".members"):
            with path.open("rb+") as file:
                file.truncate(100)
    assert recall(client, pages) == 1, "compared exactly"


def test_an_index_of_another_metric(client: MilvusClient) -> None:
    create(client, "MAX_SIM_IP")
    pages = dict(enumerate(draw(250)))
    upsert(client, list(pages.values()))
    followed(client)
    client.release_collection("c")
    client.drop_index("c", "patches[emb]")
    params = client.prepare_index_params()
    params.add_index("patches[emb]", index_type="HNSW", metric_type="MAX_SIM_L2")
    client.create_index("c", params)
    client.load_collection("c")
    followed(client)
    assert recall(client, pages, "L2") >= 0.98
