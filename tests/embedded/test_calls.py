"""Every call of a program on collections with structs, by both of pymilvus's clients, against plain Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, RRFRanker, WeightedRanker
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus.maxsim import maxsim
from tests.embedded.clients import client_of
from tests.embedded.pages import FIELD, METRICS, Patches, draw, query, row, schema

Scored: TypeAlias = list[tuple[int, float]]
NOTE = "notes[vec]"
PAGES = 24
WORDS = ("plum", "plum cake", "apple", "apple plum pie with plum")


class Library:
    """What the collection holds, for the oracles: patches, notes, summaries and texts by key."""

    def __init__(self) -> None:
        self.patches = draw(1, PAGES, most=12)
        rng = np.random.default_rng(2)
        self.notes = {key: rng.normal(size=(1 + key % 3, 4)).astype(np.float32) for key in range(PAGES)}
        self.summaries = {key: rng.normal(size=4).astype(np.float32) for key in range(PAGES)}
        self.texts = {key: WORDS[key % len(WORDS)] for key in range(PAGES)}

    def rows(self) -> list[dict[str, Any]]:
        made = []
        for key, patches in self.patches.items():
            notes = [{"vec": vector, "author": f"a{key}-{i}"} for i, vector in enumerate(self.notes[key])]
            made.append(row(key, patches, notes=notes, summary=self.summaries[key], text=self.texts[key]))
        return made


LIBRARY = Library()


def library_schema() -> Any:
    made = schema(MilvusClient, text=True)
    notes = MilvusClient.create_struct_field_schema()
    notes.add_field("vec", DataType.FLOAT_VECTOR, dim=4)
    notes.add_field("author", DataType.VARCHAR, max_length=10)
    made.add_field("notes", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=notes, max_capacity=5)
    made.add_field("summary", DataType.FLOAT_VECTOR, dim=4)
    return made


def library_indexes(summary: str = "COSINE") -> Any:
    params = MilvusClient.prepare_index_params()
    params.add_index(FIELD, index_type="HNSW", metric_type="MAX_SIM_COSINE", params={"M": 16})
    params.add_index(NOTE, index_type="AUTOINDEX", metric_type="MAX_SIM_L2")
    params.add_index("summary", index_type="HNSW", metric_type=summary)
    params.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    return params


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with client_of(tmp_path / "kb.db", request.param) as client:
        yield client


def fill(client: Any, name: str = "pages", **options: Any) -> None:
    """The library, without pymilvus's pause of half a second for each index."""
    client.create_collection(name, schema=library_schema(), consistency_level="Strong")
    for params in library_indexes(**options):
        one = MilvusClient.prepare_index_params()
        one.append(params)
        client.create_index(name, one, sync=False)
    client.load_collection(name)
    client.insert(name, LIBRARY.rows())


def ids(hits: Sequence[Mapping[str, Any]]) -> list[int]:
    return [hit["id"] for hit in hits]


def ranked(vectors: Mapping[int, Patches], question: Patches, metric: str, limit: int) -> Scored:
    scores = [(key, maxsim(question, each, METRICS[metric])) for key, each in vectors.items()]
    return sorted(scores, key=lambda pair: pair[1] if metric == "MAX_SIM_L2" else -pair[1])[:limit]


def test_a_collection_lives_through_all_calls_about_it(client: Any) -> None:
    client.create_collection("pages", schema=library_schema(), index_params=library_indexes())
    assert client.get_load_state("pages")["state"].name == "Loaded"
    assert client.has_collection("pages")
    assert client.list_collections() == ["pages"]
    assert sorted(client.list_indexes("pages")) == [NOTE, FIELD, "summary", "words"]
    assert client.describe_index("pages", FIELD)["M"] == "16"
    described = client.describe_collection("pages")
    assert [field["name"] for field in described["fields"]] == [
        "id",
        "year",
        "text",
        "words",
        "summary",
        "patches",
        "notes",
    ]
    client.create_alias("pages", "current")
    client.create_partition("pages", "old")
    assert (client.has_partition("pages", "old"), client.list_partitions("pages")) == (True, ["_default", "old"])
    rows = LIBRARY.rows()
    assert client.insert("current", rows[:20], partition_name="old")["insert_count"] == 20
    assert client.insert("pages", rows[20:])["insert_count"] == 4
    client.flush("pages")
    assert client.get_collection_stats("pages") == {"row_count": PAGES}
    assert client.get_partition_stats("pages", "old") == {"row_count": 20}
    client.drop_alias("current")
    client.rename_collection("pages", "leaves")
    assert client.describe_collection("leaves")["collection_name"] == "leaves"
    client.release_collection("leaves")
    assert client.get_load_state("leaves")["state"].name == "NotLoad"
    client.load_collection("leaves")
    client.truncate_collection("leaves")
    assert client.query("leaves", output_fields=["count(*)"])[0]["count(*)"] == 0
    client.insert("leaves", rows[:3])
    assert client.query("leaves", output_fields=["count(*)"])[0]["count(*)"] == 3
    client.drop_collection("leaves")
    assert not client.has_collection("leaves")
    client.create_database("second")
    assert client.list_databases() == ["default", "second"]
    client.drop_database("second")


def test_rows_are_written_read_and_removed(client: Any) -> None:
    fill(client)
    kept = dict(LIBRARY.patches)

    def held() -> dict[int, list[list[float]]]:
        found = client.query("pages", filter="id >= 0", output_fields=["id", FIELD])
        return {each["id"]: [patch["emb"] for patch in each["patches"]] for each in found}

    assert client.delete("pages", ids=[1, 2]) == {"delete_count": 2, "cost": 0}
    assert client.delete("pages", filter="year == 2003")["delete_count"] == 3
    for key in (1, 2, 3, 13, 23):
        del kept[key]
    new = draw(5, 2, most=4)
    rows = LIBRARY.rows()
    changed = [rows[4] | {"patches": [{"emb": v} for v in new[0]]}, rows[3] | {"patches": [{"emb": v} for v in new[1]]}]
    assert client.upsert("pages", changed)["upsert_count"] == 2
    kept |= {4: new[0], 3: new[1]}
    assert held() == {key: patches.tolist() for key, patches in kept.items()}
    got = client.get("pages", ids=[4, 999], output_fields=["notes", "year"])
    assert [(each["id"], each["year"], len(each["notes"])) for each in got] == [(4, 2004, 2)]
    assert got[0]["notes"][1] == {"vec": LIBRARY.notes[4][1].tolist(), "author": "a4-1"}
    only = client.query("pages", filter="id == 4", output_fields=["notes[author]"])[0]
    assert only["notes"] == [{"author": "a4-0"}, {"author": "a4-1"}]
    whole = client.query("pages", filter="id == 4")[0]
    assert set(whole) == {"id", "year", "text", "summary", "patches", "notes"}
    assert len(client.query("pages", filter="", limit=5, offset=2, output_fields=["id"])) == 5
    assert client.query("pages", filter="year == 2004", output_fields=["count(*)"])[0]["count(*)"] == 2


def test_searches_rank_as_maxsim_does(client: Any) -> None:
    fill(client)
    question, other = query(1, 5), query(2, 3)
    common = {"anns_field": FIELD, "limit": 6}
    found = client.search("pages", [EmbeddingList(question), EmbeddingList(other)], **common)
    for hits, asked in zip(found, (question, other), strict=True):
        wanted = ranked(LIBRARY.patches, asked, "MAX_SIM_COSINE", 6)
        assert ids(hits) == [key for key, _ in wanted]
        assert [hit["distance"] for hit in hits] == pytest.approx([score for _, score in wanted], rel=1e-5)
    one = client.search("pages", [EmbeddingList(question)], **common)[0]
    assert ids(client.search("pages", [EmbeddingList(question)], **common, offset=2)[0])[:4] == ids(one)[2:]
    if version("pymilvus") >= "3":  # before, pymilvus does not know the names of sub-fields
        raw = client.search("pages", [question.tobytes()], is_embedding_list=True, **common)
        assert list(raw[0]) == list(one)
    even = {key: patches for key, patches in LIBRARY.patches.items() if key % 2 == 0}
    hits = client.search("pages", [EmbeddingList(question)], filter="year % 2 == 0", **common)[0]
    assert ids(hits) == [key for key, _ in ranked(even, question, "MAX_SIM_COSINE", 6)]
    for level in ("Strong", "Bounded", "Session", "Eventually"):
        assert list(client.search("pages", [EmbeddingList(question)], consistency_level=level, **common)[0]) == list(
            one
        )
    rounded = client.search("pages", [EmbeddingList(question)], round_decimal=2, **common)[0]
    assert [hit["distance"] for hit in rounded] == pytest.approx([round(hit["distance"], 2) for hit in one], abs=1e-6)
    best = one[0]["id"]
    shown = client.search(
        "pages", [EmbeddingList(question)], output_fields=["patches", "notes[author]", "year"], **common
    )
    assert shown[0][0]["entity"] == {
        "patches": [{"emb": vector} for vector in LIBRARY.patches[best].tolist()],
        "notes": [{"author": f"a{best}-{i}"} for i in range(len(LIBRARY.notes[best]))],
        "year": 2000 + best % 10,
    }
    every = client.search("pages", [EmbeddingList(question)], output_fields=["*"], **common)[0][0]["entity"]
    assert set(every) == {"id", "year", "text", "summary", "patches", "notes"}
    nearest = client.search("pages", [EmbeddingList(query(3, 2, 4))], anns_field=NOTE, limit=4)[0]
    assert ids(nearest) == [key for key, _ in ranked(LIBRARY.notes, query(3, 2, 4), "MAX_SIM_L2", 4)]


# Hybrid searches: each part a route with its metric, the rankers computed anew from the routes.

PATCH_QUESTION, NOTE_QUESTION = query(1, 5), query(3, 2, 4)
SUMMARY_QUESTION = query(4, 1, 4)[0]
FILTERS = {"": range(PAGES), "id < 15": range(15), "year in [2001, 2002, 2004]": (1, 2, 4, 11, 12, 14, 21, 22)}


def normal(metric: str, score: float) -> float:
    """Milvus 3.0, internal/util/function/chain/operator_merge.go: getNormalizeFunc."""
    if metric == "COSINE":
        return (1 + score) / 2
    if metric == "BM25":
        return float(2 * np.arctan(score) / np.pi)
    if metric in ("L2", "MAX_SIM_L2"):
        return float(1 - 2 * np.arctan(score) / np.pi)
    return float(0.5 + np.arctan(score) / np.pi)


def turned(metric: str, score: float) -> float:
    """The same file, getDirectionConvertFunc."""
    return normal(metric, score) if metric.endswith("L2") else score


def dense(question: Patches, metric: str, limit: int) -> Scored:
    scores = {}
    for key, vector in LIBRARY.summaries.items():
        inner = float(question @ vector)
        cosine = inner / float(np.linalg.norm(question) * np.linalg.norm(vector))
        scores[key] = {"IP": inner, "COSINE": cosine, "L2": float(((question - vector) ** 2).sum())}[metric]
    return sorted(scores.items(), key=lambda pair: pair[1] if metric == "L2" else -pair[1])[:limit]


class Parts:
    """The parts of a hybrid search, as requests and as what each finds alone."""

    def __init__(self, client: Any, summary: str) -> None:
        self.client, self.summary = client, summary
        self.requests: list[AnnSearchRequest] = []
        self.routes: list[tuple[str, Scored]] = []

    def add(self, name: str, limit: int = 30, expr: str = "") -> Parts:
        data, field = {
            "patches": ([EmbeddingList(PATCH_QUESTION)], FIELD),
            "notes": ([EmbeddingList(NOTE_QUESTION)], NOTE),
            "summary": ([SUMMARY_QUESTION.tolist()], "summary"),
            "words": (["plum"], "words"),
        }[name]
        self.requests.append(AnnSearchRequest(data, field, {}, limit=limit, expr=expr or None))
        self.routes.append(self._alone(name, limit, set(FILTERS[expr]), expr))
        return self

    def _alone(self, name: str, limit: int, left: set[int], expr: str) -> tuple[str, Scored]:
        if name == "words":
            hits = self.client.search(self.summary, ["plum"], anns_field="words", limit=limit, filter=expr)[0]
            return "BM25", [(hit["id"], hit["distance"]) for hit in hits]
        if name == "summary":
            found = [pair for pair in dense(SUMMARY_QUESTION, self.summary, PAGES) if pair[0] in left]
            return self.summary, found[:limit]
        metric = "MAX_SIM_COSINE" if name == "patches" else "MAX_SIM_L2"
        vectors, asked = (LIBRARY.patches, PATCH_QUESTION) if name == "patches" else (LIBRARY.notes, NOTE_QUESTION)
        return metric, ranked({key: each for key, each in vectors.items() if key in left}, asked, metric, limit)

    def by_rank(self, k: float) -> Scored:
        total: dict[int, float] = {}
        for _, route in self.routes:
            for place, (key, _) in enumerate(route, 1):
                total[key] = total.get(key, 0.0) + 1 / (k + place)
        return sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))

    def by_weight(self, weights: Sequence[float], *, norm: bool) -> Scored:
        down = {metric.endswith("L2") for metric, _ in self.routes}
        change = normal if norm else turned if len(down) == 2 else lambda _, score: score
        total: dict[int, float] = {}
        for weight, (metric, route) in zip(weights, self.routes, strict=True):
            for key, score in route:
                total[key] = total.get(key, 0.0) + weight * change(metric, score)
        sign = 1 if down == {True} and not norm else -1
        return sorted(total.items(), key=lambda pair: (sign * pair[1], pair[0]))

    def by_decay(self, origin: float, scale: float) -> Scored:
        """The largest of the scores, turned, times a linear decay of the year to a half."""
        total: dict[int, float] = {}
        for metric, route in self.routes:
            for key, score in route:
                total[key] = max(total.get(key, -np.inf), turned(metric, score))
        slope = scale / (1 - 0.5)
        aged = {key: score * max(0.0, (slope - abs(2000 + key % 10 - origin)) / slope) for key, score in total.items()}
        return sorted(aged.items(), key=lambda pair: (-pair[1], pair[0]))


def function(kind: str, *inputs: str, **given: Any) -> Any:
    options = {"name": "rank", "input_field_names": list(inputs), "function_type": FunctionType.RERANK}
    return Function(**options, params={"reranker": kind, **given})


ALL = ("patches", "notes", "summary", "words")
DECAY: dict[str, Any] = {"function": "linear", "origin": 2000, "scale": 8, "decay": 0.5}
RANKERS: dict[str, tuple[str, tuple[str, ...], Any, Any]] = {
    "rrf": ("COSINE", ALL, RRFRanker(), lambda p: p.by_rank(60)),
    "rrf 5": ("COSINE", ("patches", "notes"), RRFRanker(5), lambda p: p.by_rank(5)),
    "rrf function": ("COSINE", ALL, function("rrf", k=7), lambda p: p.by_rank(7)),
    "one list": ("COSINE", ("notes",), RRFRanker(), lambda p: p.by_rank(60)),
    "weights": (
        "COSINE",
        ALL,
        WeightedRanker(0.4, 0.3, 0.2, 0.1, norm_score=True),
        lambda p: p.by_weight([0.4, 0.3, 0.2, 0.1], norm=True),
    ),
    "weights ip": (
        "IP",
        ALL,
        WeightedRanker(0.4, 0.3, 0.2, 0.1, norm_score=True),
        lambda p: p.by_weight([0.4, 0.3, 0.2, 0.1], norm=True),
    ),
    "weights function": (
        "COSINE",
        ("patches", "words"),
        function("weighted", weights=[0.6, 0.4], norm_score=True),
        lambda p: p.by_weight([0.6, 0.4], norm=True),
    ),
    "raw weights": (
        "IP",
        ("patches", "summary", "words"),
        WeightedRanker(0.5, 0.2, 0.3, norm_score=False),
        lambda p: p.by_weight([0.5, 0.2, 0.3], norm=False),
    ),
    "raw weights, mixed": (
        "COSINE",
        ALL,
        WeightedRanker(0.4, 0.3, 0.2, 0.1, norm_score=False),
        lambda p: p.by_weight([0.4, 0.3, 0.2, 0.1], norm=False),
    ),
    "raw weights of distances": (
        "L2",
        ("notes", "summary"),
        WeightedRanker(0.7, 0.3, norm_score=False),
        lambda p: p.by_weight([0.7, 0.3], norm=False),
    ),
    "decay": ("COSINE", ("patches", "summary"), function("decay", "year", **DECAY), lambda p: p.by_decay(2000, 8)),
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Both clients of three collections, each named by the metric of its summaries."""
    path = tmp_path_factory.mktemp("libraries") / "kb.db"
    with client_of(path, "sync") as sync, client_of(path, "async") as asynchronous:
        for metric in ("COSINE", "IP", "L2"):
            fill(sync, metric, summary=metric)
        yield {"sync": sync, "async": asynchronous}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("case", RANKERS)
def test_hybrid_searches_fuse_as_milvus_3_does(libraries: dict[str, Any], case: str, kind: str) -> None:
    summary, names, ranker, oracle = RANKERS[case]
    client = libraries[kind]
    whole, cut = Parts(client, summary), Parts(client, summary)
    for i, name in enumerate(names):
        whole.add(name)
        cut.add(name, limit=7 + i, expr=list(FILTERS)[i % len(FILTERS)])
    for parts in (whole, cut):
        wanted = oracle(parts)
        found = client.hybrid_search(summary, parts.requests, ranker, limit=40)[0]
        assert {hit["id"]: hit["distance"] for hit in found} == pytest.approx(dict(wanted), rel=1e-4)
        assert ids(found) == [key for key, _ in wanted]
        asked = {"limit": 3, "offset": 2, "output_fields": ["year", FIELD]}
        page = client.hybrid_search(summary, parts.requests, ranker, **asked)[0]
        assert ids(page) == ids(found)[2:5]
        for hit in page:
            emb = [patch["emb"] for patch in hit["entity"]["patches"]]
            assert (hit["entity"]["year"], emb) == (2000 + hit["id"] % 10, LIBRARY.patches[hit["id"]].tolist())


def test_a_search_of_its_own_is_ranked_by_decay(libraries: dict[str, Any]) -> None:
    client = libraries["sync"]
    wanted = Parts(client, "COSINE").add("patches").by_decay(2000, 8)
    given = {"anns_field": FIELD, "limit": 5, "output_fields": ["notes[author]"]}
    decay = function("decay", "year", **DECAY)
    hits = client.search("COSINE", [EmbeddingList(PATCH_QUESTION)], ranker=decay, **given)[0]
    assert ids(hits) == [key for key, _ in wanted[:5]]
    assert [hit["distance"] for hit in hits] == pytest.approx([score for _, score in wanted[:5]], rel=1e-4)
    assert all(set(hit["entity"]) == {"notes"} for hit in hits)
