"""Flat rows, on a real Milvus server that has no arrays of structs, and on the embedded engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf, nan
from pathlib import Path
from typing import Any, ClassVar

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException
from pymilvus.grpc_gen import milvus_pb2_grpc

from colmilvus import Collection, Entity, MultiVector, Segment, Server, maxsim
from colmilvus.embedded import connect
from colmilvus.entity import Metric
from colmilvus.errors import CollectionMismatch, InvalidEntity, InvalidInput, Unsupported
from colmilvus.filters import matches, to_expression
from colmilvus.filters.dialects import Dialect, kinds_of
from colmilvus.layouts.flat.estimates import Estimates, Hits
from colmilvus.layouts.flat.inserting import request_for
from colmilvus.layouts.flat.keys import MOST_PARTS, Place, families, first_key, part_key, parts, writings
from colmilvus.layouts.flat.nearest import nearest
from colmilvus.layouts.flat.prospects import CLOSE, COMPARED, LEAST_DOUBT, MISSED, Prospects
from colmilvus.layouts.flat.reading import Portion, vectors_in
from colmilvus.layouts.flat.rows import flat_rows
from colmilvus.layouts.rows import Record
from colmilvus.layouts.spec import CollectionSpec
from colmilvus.layouts.tenants import Tenant
from tests.milvus_server import MilvusServer
from tests.test_filters import MEANING
from tests.test_filters_properties import ENTITIES, FIELDS, SCALARS

COLUMNS = {"year": DataType.INT64, "price": DataType.DOUBLE, "name": DataType.VARCHAR, "draft": DataType.BOOL}
STAND_INS: dict[type, Any] = {int: 0, float: 0.0, str: "", bool: False}


@pytest.fixture
def server(old_uri: str) -> Iterator[MilvusClient]:
    client = MilvusClient(old_uri)
    yield client
    client.close()


class TestChoosing:
    def test_a_server_without_arrays_of_structs_gets_flat_rows(
        self, server: MilvusClient, old_milvus: MilvusServer
    ) -> None:
        with Collection("c", dim=4, uri=old_milvus.uri) as collection:
            collection.add([Entity("a")], vectors=[np.eye(4)])

        fields = {field["name"]: field["type"] for field in server.describe_collection("c")["fields"]}
        assert fields["emb"] == DataType.FLOAT_VECTOR
        assert "vectors" not in fields

    def test_what_the_server_cannot_do_is_refused_and_leaves_nothing(
        self, server: MilvusClient, old_milvus: MilvusServer
    ) -> None:
        with pytest.raises(Unsupported, match="layout='struct_array' cannot be had"):
            Collection("c", dim=4, uri=old_milvus.uri, layout="struct_array")

        assert server.list_collections() == []

    @pytest.mark.everywhere(folder=False, flat=False)
    @pytest.mark.parametrize("release", ["2.6.4", "v2.6.7-gpu"])
    def test_releases_that_merge_the_wrong_way_round_get_flat_rows_and_a_warning(
        self, database: Server, monkeypatch: pytest.MonkeyPatch, release: str
    ) -> None:
        monkeypatch.setattr(MilvusClient, "get_server_version", lambda *_, **__: release)

        with pytest.warns(
            UserWarning, match=r"gets flat rows: Milvus 2\.6\.[47] merges .*; use Milvus 2\.6\.8 or later"
        ):
            made = Collection("c", dim=4, uri=database)
        made.close()
        with Collection("c", uri=database, layout="flat"):
            pass
        with pytest.raises(Unsupported, match="the wrong way round"):
            Collection("d", dim=4, uri=database, layout="struct_array")

    @pytest.mark.everywhere(folder=False, flat=False)
    @pytest.mark.parametrize("release", ["2.6.8", "v3.0.0-beta", "unknown"])
    def test_later_ones_have_arrays_of_structs(
        self, database: Server, monkeypatch: pytest.MonkeyPatch, release: str
    ) -> None:
        monkeypatch.setattr(MilvusClient, "get_server_version", lambda *_, **__: release)

        with Collection("c", dim=4, uri=database), Collection("c", uri=database, layout="struct_array"):
            client = database.client(timeout=10)
            assert client.list_collections() == ["c"]
            client.close()

    def test_float16_is_refused_by_name(self, server: MilvusClient, old_milvus: MilvusServer) -> None:
        with pytest.raises(Unsupported, match="float16"):
            Collection("c", dim=4, dtype="float16", uri=old_milvus.uri)

        assert server.list_collections() == []

    def test_a_collection_keeps_the_layout_that_it_was_made_with(self, database: Path) -> None:
        with Collection("flat", dim=4, uri=database, layout="flat") as made:
            made.add([Entity("a")], vectors=[np.eye(4)])
        with Collection("flat", uri=database) as opened:
            assert opened.count() == 1
        with pytest.raises(CollectionMismatch, match="layout='flat', not 'struct_array'"):
            Collection("flat", uri=database, layout="struct_array")

    def test_an_unknown_layout_is_refused(self, database: Path) -> None:
        with pytest.raises(InvalidInput, match="layout is"):
            Collection("c", dim=4, uri=database, layout="rows")  # type: ignore[arg-type]  # what is tested


def test_replaced_entities_leave_no_old_rows(server: MilvusClient, old_milvus: MilvusServer) -> None:
    random = np.random.default_rng(0)
    with Collection("c", dim=4, uri=old_milvus.uri) as collection:
        for size in (7, 3, 5):
            collection.add([Entity("a"), Entity("b")], vectors=[random.normal(size=(size, 4)), np.eye(4)])
        collection.delete(["b"])

    (answer,) = server.query("c", filter="part >= 0", output_fields=["count(*)"], consistency_level="Strong")
    assert answer["count(*)"] == 5


@pytest.mark.parametrize("mode", ["text", "hybrid"])
def test_text_is_refused_by_name(old_milvus: MilvusServer, server: MilvusClient, mode: Any) -> None:
    del server  # which removes the collection
    with Collection("c", dim=4, uri=old_milvus.uri) as collection, pytest.raises(Unsupported, match=r"2\.6\.8"):
        collection.search("red", mode=mode)


class TestFilters:
    """What an expression finds is what its meaning in Python says."""

    @pytest.fixture(params=["engine", "old"])
    def rows(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[MilvusClient, Dialect]]:
        old = request.param == "old"
        client = MilvusClient(request.getfixturevalue("old_milvus").uri) if old else connect(tmp_path / "kb.db")
        schema = client.create_schema(auto_id=False)
        for name in ("id", "document", "image"):
            schema.add_field(name, DataType.VARCHAR, max_length=100, is_primary=name == "id")
        schema.add_field("has_document", DataType.BOOL)
        schema.add_field("metadata", DataType.JSON)
        schema.add_field("kinds", DataType.JSON)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
        for name, kind in COLUMNS.items():
            schema.add_field(name, kind, **({"max_length": 100} if name == "name" else {}))
        indexes = client.prepare_index_params()
        indexes.add_index("vector", index_type="FLAT", metric_type="L2")
        client.create_collection("filters", schema=schema)
        client.create_index("filters", indexes, sync=False)
        client.load_collection("filters")
        client.insert("filters", [_row(entity) for entity in ENTITIES])
        client.query("filters", filter='id == ""', output_fields=["id"], consistency_level="Strong")
        yield client, Dialect(kinds=True, patterns=not old)
        client.drop_collection("filters")
        client.close()

    def agree(self, rows: tuple[MilvusClient, Dialect], filter: Any, fields: dict[str, type]) -> bool:
        client, dialect = rows
        try:
            expression = to_expression(filter, fields, dialect) or 'id != ""'
        except Unsupported:
            return False
        found = {hit["id"] for hit in client.query("filters", filter=expression, output_fields=["id"])}
        meant = {
            e["id"] for e in ENTITIES if matches(filter, e["metadata"], fields, id=e["id"], document=e["document"])
        }
        assert found == meant, expression
        return True

    def test_every_operator_on_every_kind_of_value(self, rows: tuple[MilvusClient, Dialect]) -> None:
        asked = 0
        for operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$contains", "$text", "$like"):
            for value in SCALARS:
                if operator in ("$text", "$like") and not isinstance(value, str):
                    continue
                if operator in ("$gt", "$gte", "$lt", "$lte") and isinstance(value, bool):
                    continue
                for condition in ({operator: value}, {"$not": {operator: value}}):
                    for key in ("k", *FIELDS):
                        asked += self.agree(rows, {key: condition}, FIELDS)
        assert asked > 3_000

    def test_presence_documents_and_lists_of_values(self, rows: tuple[MilvusClient, Dialect]) -> None:
        conditions: list[Any] = [None, {"$exists": True}, {"$empty": True}, {"$empty": False}, {"$ne": None}]
        conditions += [{"$in": [1, "a", True, 2.5, None]}, {"$nin": [1, "a", True, 2.5]}, {"$any": [1, "a"]}]
        for condition in conditions:
            for key in ("k", *FIELDS):
                assert self.agree(rows, {key: condition}, FIELDS)
        for condition in (None, "d0", {"$ne": "d0"}, {"$empty": True}, {"$nin": ["d0", "d1"]}, {"$exists": True}):
            assert self.agree(rows, {"$document": condition}, FIELDS)

    def test_the_examples_of_the_language(self, rows: tuple[MilvusClient, Dialect]) -> None:
        assert sum(self.agree(rows, asked, {}) for asked, _, _ in MEANING) >= 70

    def test_an_old_server_is_asked_for_no_pattern_that_it_reads_otherwise(self) -> None:
        old = Dialect(kinds=True, patterns=False)

        assert to_expression({"k": {"$like": "a b%"}}, {}, old) == 'metadata["k"] like "a b%"'
        for pattern in ("%a", "a_c%", "a%b"):
            with pytest.raises(Unsupported, match="begin with"):
                to_expression({"k": {"$like": pattern}}, {}, old)
        with pytest.raises(Unsupported, match="as floats"):
            to_expression({"k": 2**53 + 1}, {}, old)
        assert to_expression({"k": 2**53 + 1}, {"k": int}, old).startswith("((exists kinds")


def _row(entity: dict[str, Any]) -> dict[str, Any]:
    typed = {name: STAND_INS[kind] if entity[name] is None else entity[name] for name, kind in FIELDS.items()}
    return {
        **entity,
        **typed,
        "document": entity["document"] or "",
        "has_document": entity["document"] is not None,
        "image": "",
        "kinds": kinds_of(entity["metadata"]),
    }


@pytest.mark.everywhere(folder=False)
@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_keys_and_scores_are_those_of_pymilvus(database: Server, metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    with Collection("c", dim=4, metric=metric, uri=database, layout="flat") as collection:
        collection.add(
            [Entity(f"e{n}") for n in range(20)],
            vectors=[random.normal(size=(6, 4)) for _ in range(20)],
            progress=False,
        )
        table = collection._layout.table
        query = list(random.normal(size=(3, 4)).astype(np.float32))
        asked = table.asked(query, "emb", {"metric_type": metric, "params": {"nprobe": 1024}}, 'id != "e3"', [])
        public = table.client.search("c", limit=50, **asked)
        monkeypatch.setattr("pymilvus.client.search_result.SearchResult._parse_search_result_data", only_empty)

        found = nearest(table.client, "c", 50, **asked)

        assert [list(hits.keys) for hits in found] == [hits.ids for hits in public]
        assert [hits.scores.tolist() for hits in found] == [pytest.approx(hits.distances) for hits in public]
        assert {len(hits.keys) for hits in found} == {50}
        with pytest.raises(MilvusException):
            nearest(table.client, "c", 50, **{**asked, "filter": "no such >"})
        with pytest.raises(MilvusException):
            nearest(table.client, "none", 50, **asked)


def only_empty(_: Any, results: Any, *__: Any) -> list[Any]:
    """No hit is made an object of."""
    assert not results.scores
    return []


@pytest.mark.parametrize("id", ["a", "a/b#1", "ид \"'\\ #1", "100%", "\n", "x" * 4_096])
@pytest.mark.parametrize("tenant", [None, Tenant("tenant", "acme")])
def test_keys_tell_the_family_the_writing_and_the_part(id: str, tenant: Tenant | None) -> None:
    first = first_key(id, tenant)
    places = [Place.drawn(first) for _ in range(20)]
    keys = np.array([place.key(part) for place in places for part in (1, 2, MOST_PARTS - 1)], np.int64)

    assert first == first_key(id, tenant) != first_key(id, tenant, 1)
    assert {place.key(0) for place in places} == {first}
    assert parts(first) == 0
    assert parts(keys).tolist() == [1, 2, MOST_PARTS - 1] * 20
    assert set(families(keys).tolist()) == {families(first)}
    assert sorted({*writings(keys).tolist()}) == sorted({place.writing for place in places})
    assert len({place.writing for place in places}) > 10
    assert all(0 <= place.key(part) < 2**63 for place in places for part in (0, 1, MOST_PARTS - 1))


def test_more_vectors_than_can_be_numbered_are_refused() -> None:
    spec = CollectionSpec(dim=2)
    record = Record(Entity("book"), MultiVector(np.ones((MOST_PARTS + 1, 2), np.float32)))

    with pytest.raises(InvalidEntity, match="'book' has 524289 vectors, in flat rows it has at most 524288; add it as"):
        flat_rows(record, spec, Place.drawn(first_key("book")))


ALIKE = ("page-6759413", "page-9805372")
"""Two of ten million ids whose first rows would have one key."""


@pytest.mark.everywhere
@pytest.mark.parametrize("at_once", [True, False])
def test_entities_whose_first_rows_would_have_one_key_are_all_kept(database: Path | Server, *, at_once: bool) -> None:
    assert first_key(ALIKE[0]) == first_key(ALIKE[1])
    vectors = {name: np.eye(4)[n : n + 3] for n, name in enumerate(ALIKE)}
    with Collection("c", dim=4, metric="IP", uri=database, layout="flat") as collection:

        def add(*names: str) -> None:
            collection.add([Entity(name) for name in names], vectors=[vectors[name] for name in names], progress=False)

        def are_there(*names: str) -> None:
            assert {name: len(each) for name, each in collection.multi_vectors(ALIKE).items()} == {
                name: len(vectors[name]) for name in names
            }
            assert collection.count() == len(names)
            found = {hit.entity.id: hit.score for hit in collection.search(MultiVector(np.eye(4)), 5)}
            assert found == {name: float(vectors[name].max(axis=0).sum()) for name in names}

        for names in [ALIKE] if at_once else [ALIKE[:1], ALIKE[1:]]:
            add(*names)
        are_there(*ALIKE)
        vectors[ALIKE[1]] = np.eye(4)[:1]
        add(ALIKE[1])
        are_there(*ALIKE)
        collection.delete([ALIKE[0]])
        are_there(ALIKE[1])
        vectors[ALIKE[1]] = np.eye(4)[:4]
        add(*reversed(ALIKE))
        are_there(*ALIKE)


def test_an_estimate_is_exact_where_everything_was_found() -> None:
    random = np.random.default_rng(1)
    query = MultiVector(random.normal(size=(5, 8)))
    stored = {f"e{n}": MultiVector(random.normal(size=(9, 8))) for n in range(20)}
    places = [Place.drawn(first_key(name)) for name in stored]
    keys = np.array([place.key(part) for place in places for part in range(9)])
    scores = query.vectors.astype(np.float64) @ np.concatenate([each.vectors for each in stored.values()]).T
    hits = []
    for line in scores:
        order = np.argsort(-line)
        hits.append(Hits(keys[order], line[order]))

    found = Estimates.of(hits, less_is_better=False)

    assert found.most == pytest.approx(found.middle)
    assert dict(zip(found.families.tolist(), found.most, strict=True)) == {
        families(first_key(name)): pytest.approx(maxsim(query, vectors, "IP"), abs=1e-4)
        for name, vectors in stored.items()
    }


def keys_of(*rows: tuple[int, int]) -> Any:
    """Keys of the first row, or another part, of the entity of a family."""
    return np.array([part_key(family << 18, part) for family, part in rows])


def test_what_a_query_vector_did_not_find_lies_behind_its_last_row() -> None:
    a, b, c, d = (int(keys_of((family, 0))[0]) for family in range(4))
    first = Hits(keys_of((0, 0), (0, 1), (1, 0)), np.array([0.9, 0.8, 0.7]))
    second = Hits(keys_of((1, 0), (2, 0)), np.array([0.6, 0.5]))

    found = Estimates.of([first, second], less_is_better=False)

    assert found.families.tolist() == [0, 1, 2]
    assert found.most.tolist() == pytest.approx([1.4, 1.3, 1.2])
    assert found.middle.tolist() == pytest.approx([1.385, 1.3, 1.17])
    assert found.best(2).tolist() == keys_of((0, 0), (0, 1), (1, 0)).tolist()
    told = found.prospects([c, d, a])
    assert told.most.tolist() == pytest.approx([1.2, inf, 1.4])
    assert told.middle.tolist() == pytest.approx([1.17, inf, 1.385])
    assert told.nearest.tolist() == pytest.approx(np.array([[nan, 0.5], [nan, nan], [0.9, nan]]), nan_ok=True)
    assert told.last.tolist() == [0.7, 0.5]
    assert told.spans.tolist() == pytest.approx([0.2, 0.1])
    assert Estimates.of_nothing(2).prospects([a, b]).most.tolist() == [inf, inf]
    assert Estimates.of_nothing(2).prospects([a, b]).nearest.shape == (2, 2)


def looking(scores: Sequence[float], last: float = 0.0, span: float = 1.0) -> Prospects:
    """Entities that one query vector found with these scores, or of which nothing is known."""
    told = np.array(scores)
    return Prospects(told, told, np.where(np.isinf(told), nan, told)[:, None], np.array([last]), np.array([span]))


def test_what_looks_best_is_compared_first_as_long_as_it_is_small_and_all_of_which_nothing_is_known() -> None:
    seen, unknown = looking([1.0, 2.0, 4.0, 3.0]), looking([1.0, inf, 4.0, inf])

    assert seen.first(1, [COMPARED + 1] * 4).tolist() == [2]
    assert seen.first(3, [COMPARED + 1] * 4).tolist() == [2, 3, 1]
    assert seen.first(1, [COMPARED // 2] * 4).tolist() == [2, 3]
    assert seen.first(1, [COMPARED // 4] * 4).tolist() == [2, 3, 1, 0]
    assert seen.first(1, [1, COMPARED // 4, COMPARED // 4, COMPARED // 2]).tolist() == [2, 3, 1]
    assert seen.first(7, [1] * 4).tolist() == [2, 3, 1, 0]
    assert unknown.first(1, [COMPARED + 1] * 4).tolist() == [1, 3]
    assert unknown.first(3, [COMPARED + 1] * 4).tolist() == [1, 3, 2]


def others(seen: Prospects, compared: Mapping[int, float], limit: int) -> list[int]:
    found: list[int] = seen.others(np.array([*compared]), np.array([*compared.values()])[:, None], limit).tolist()
    return found


def test_others_are_compared_that_may_be_better_than_the_last_of_the_best() -> None:
    seen = looking([4.0, 3.0, 2.5, 2.0, 1.5, 1.0])

    assert others(seen, {0: 4.0, 1: 1.4}, 2) == [2, 3, 4]
    assert others(seen, {0: 4.0, 1: 3.0}, 2) == [2, 3], "the next best in any case: as many requests as ever"
    assert others(seen, {0: 4.0, 1: 3.0}, 3) == [2, 3, 4, 5], "with fewer than are asked for all may be"
    assert others(seen, {0: 4.0, 1: nan, 2: 1.8}, 2) == [3, 4], "what is gone is none of the best"
    assert others(seen, dict.fromkeys(range(6), 1.0), 2) == []


def test_what_is_little_behind_may_be_among_the_best_and_more_so_the_more_was_missed_of_those_compared() -> None:
    behind = [
        2.9,
        2.9,
        2.0 - 0.9 * LEAST_DOUBT,
        2.0 - 1.1 * LEAST_DOUBT,
        2.0 - 0.9 * MISSED / 2,
        2.0 - 1.1 * MISSED / 2,
    ]
    seen = looking([4.0, 2.0, *behind], last=-9.0)

    assert others(seen, {0: 4.0, 1: 2.0}, 2) == [2, 3, 4]
    assert others(seen, {0: 4.0 + CLOSE, 1: 2.0}, 2) == [2, 3, 4], "the arithmetic of a server differs by so much"
    assert others(seen, {0: 4.1, 1: 2.0}, 2) == [2, 3, 4, 5, 6], "half of the nearest rows were missed"
    assert others(seen._replace(last=np.array([4.2])), {0: 4.1, 1: 2.0}, 2) == [2, 3, 4], "not due: behind the last row"
    assert others(looking([inf, 4.0, 2.0, *behind], last=-9.0), {0: 9.0, 1: 4.0, 2: 2.0}, 3) == [3, 4, 5]


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_what_looks_worse_than_all_that_are_compared_first_is_found_if_it_is_better(
    old_uri: str, metric: Metric
) -> None:
    """The nearest row of the best page to one vector lies just behind the last row found, far behind the first."""
    one, two, beside_one, beside_two = np.eye(128)[:4]
    rng = np.random.default_rng(0)

    def page(ones: Sequence[float], best_two: float) -> NDArray[np.float32]:
        """Unit vectors with these products with ``one``, one with ``two``, and others that are far from both."""
        rows = [*((x, one, beside_one) for x in ones), (best_two, two, beside_two)]
        near = [x * towards + (1 - x * x) ** 0.5 * beside for x, towards, beside in rows]
        far = np.concatenate([np.zeros((1030 - len(near), 4)), rng.standard_normal((1030 - len(near), 124))], axis=1)
        return np.vstack([near, far / np.linalg.norm(far, axis=1, keepdims=True)]).astype(np.float32)

    turned_away = page([], 0.0) * 0.99 - 0.14 * two.astype(np.float32)
    turned_away[0] = 0.99 * one - 0.14 * two
    pages = {
        "best": page([0.499], 0.37),
        **{f"second {number}": page(np.linspace(0.505, 0.52, 140).tolist(), 0.3) for number in range(30)},
        "first of one": turned_away,
        **{f"far {number}": page([], 0.01) for number in range(16)},
    }
    query = np.stack([one, two]).astype(np.float32)
    exact = {name: maxsim(query, vectors, metric) for name, vectors in pages.items()}
    assert sorted(exact, key=lambda name: exact[name], reverse=metric != "L2")[0] == "best"
    assert 30 * pages["best"].nbytes > COMPARED
    with Collection("c", dim=128, metric=metric, uri=old_uri) as collection:
        collection.add([Entity(name) for name in pages], vectors=list(pages.values()))

        (hit,) = collection.search(query, k=1)

    assert hit.entity.id == "best"
    assert hit.score == pytest.approx(exact["best"])


def test_of_two_entities_of_one_family_nothing_is_taken_for_known() -> None:
    """Their rows were taken for those of one entity, which scores as much as neither may."""
    rows = Hits(keys_of((0, 1), (0, 0), (1, 0), (2, 0)), np.array([0.9, 0.8, 0.5, 0.1]))
    found = Estimates.of([rows], less_is_better=False)
    one, alone, last = (int(key) for key in keys_of((0, 0), (1, 0), (2, 0)))
    other = part_key(1, 0)

    assert families(one) == families(other)
    assert found.prospects([one, alone, last]).most.tolist() == pytest.approx([0.9, 0.5, 0.1])
    assert found.prospects([one, other, alone, last]).most.tolist() == pytest.approx([inf, inf, 0.5, 0.1])


def test_estimates_of_distances_are_of_their_negative() -> None:
    near = Hits(keys_of((0, 0), (1, 0)), np.array([0.5, 1.5]))
    far = Hits(keys_of((1, 0)), np.array([2.0]))

    found = Estimates.of([near, far], less_is_better=True)

    assert dict(zip(found.families.tolist(), found.most.tolist(), strict=True)) == {0: -2.5, 1: -3.5}
    assert families(found.best(1)).tolist() == [0]


def test_rows_under_new_keys_are_inserted_once_and_sent_again_under_others(old_uri: str) -> None:
    """The server would answer with gaps where rows are there twice: what breaks off is not sent again as it was."""
    sent: list[tuple[str, set[int]]] = []
    was_broken: list[bool] = []

    class Breaking(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
        """Hands the first insertion on, and says that the connection broke."""

        def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            call, method = continuation(details, request), details.method.rpartition("/")[2]
            if method in ("Insert", "Upsert"):
                (keys,) = (
                    list(field.scalars.long_data.data) for field in request.fields_data if field.field_name == "key"
                )
                sent.append((method, {writings(key) for key in keys}))
            if len(sent) == 1 and method == "Insert" and not was_broken:
                was_broken.append(True)
                call.result()
                raise Broken
            return call

    class Broken(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNAVAILABLE

        def details(self) -> str:
            return "broken off"

    server = MilvusClient(old_uri, dedicated=True)
    handler = server._get_connection()
    handler._stub = milvus_pb2_grpc.MilvusServiceStub(grpc.intercept_channel(handler._final_channel, Breaking()))
    vectors = np.random.default_rng(5).normal(size=(6, 4))
    with Collection("c", dim=4, uri=server) as collection:
        collection.add([Entity("a")], vectors=[vectors], progress=False)

        (first, again, *_) = sent
        assert (first[0], again[0]) == ("Insert", "Upsert")
        assert not first[1] & again[1]
        assert collection.multi_vectors(["a"])["a"].vectors == pytest.approx(vectors, rel=1e-6)
        assert len(server.query("c", 'id == "a"', output_fields=["key"], consistency_level="Strong")) == 6
        sent.clear()
        collection.add([Entity("b")], vectors=[vectors], progress=False)
        assert [method for method, _ in sent] == ["Insert", "Upsert"]
    server.close()


class TestInserting:
    """What goes to the server is what pymilvus would send, made column by column."""

    SPECS: ClassVar[dict[str, dict[str, Any]]] = {
        "plain": {},
        "with segments": {"segments": True},
        "with typed fields": {"fields": {"year": int, "price": float, "draft": bool, "name": str}},
    }

    @pytest.fixture(params=SPECS)
    def made(self, request: pytest.FixtureRequest, database: Path) -> Iterator[tuple[list[dict[str, Any]], Any]]:
        options = self.SPECS[request.param]
        with Collection("c", dim=4, uri=database, layout="flat", **options) as collection:
            segments = (Segment("s", "текст"), Segment("t", "two", {"n": 1})) if "segments" in options else ()
            vectors = MultiVector([[1, -1e-45, 3.4e38, -0.0]] * 3, [0, 0, 1] if segments else None)
            entities = [
                Entity("ид \"'\\ #1", document="a", metadata={"year": 3, "deep": {"er": [1, None]}}, internal={"x": 1}),
                Entity("b", "" if segments else "Grüße", segments=segments, metadata={"price": 2.5, "draft": True}),
            ]
            records = [
                Record(entity, vectors if entity.segments or not segments else MultiVector(np.eye(4)))
                for entity in entities
            ]
            rows = [row for record in records for row in flat_rows(record, collection.spec, Place(1 << 40, 2))]
            client = collection._connection.client
            handler, context = client._get_connection(), client._generate_call_context()
            yield (
                rows,
                lambda given: handler._prepare_row_insert_request("c", list(given), None, None, 10, context=context),
            )

    def test_the_request_is_pymilvuss_own_to_the_byte(self, made: tuple[list[dict[str, Any]], Any]) -> None:
        rows, prepared = made
        for given in (rows, rows[1:], rows[:1]):
            assert request_for(given, prepared).SerializeToString() == prepared(given).SerializeToString()

    def test_where_pymilvus_does_it_otherwise_its_own_way_is_taken(
        self, made: tuple[list[dict[str, Any]], Any]
    ) -> None:
        rows, prepared = made

        def otherwise(given: Sequence[dict[str, Any]]) -> Any:
            request = prepared(given)
            request.hash_keys.extend(range(len(given)))
            return request

        assert request_for(rows, otherwise) == otherwise(rows)


class TestReading:
    """Vectors come out of answers as bytes, with pymilvus as it is and as it might be."""

    @pytest.fixture
    def answer(self, tmp_path: Path) -> Iterator[Any]:
        with Collection("c", dim=4, uri=tmp_path / "kb.db", layout="flat") as made:
            made.add([Entity("a"), Entity("b")], vectors=[np.eye(4), np.arange(12).reshape(3, 4)])
        client = connect(tmp_path / "kb.db")
        yield client.query("c", filter='id == "b"', output_fields=["key", "writing", "emb"])
        client.close()

    def test_as_it_is(self, answer: Any) -> None:
        (portion,) = (Portion.of(answer, {"b": first}) for first in answer if parts(first["key"]) == 0)

        np.testing.assert_array_equal(portion.vectors[portion.places["b"]], np.arange(12).reshape(3, 4))
        assert portion.matches(MultiVector(np.eye(4)), "IP")["b"].tolist() == [8, 9, 10, 11]
        assert portion.matches(MultiVector(np.eye(4)[:1]), "L2")["b"].tolist() == [14 - 0 + 1]

    def test_of_another_writing_only_the_first_row_counts(self, answer: Any) -> None:
        (key,) = (row["key"] for row in answer if parts(row["key"]) == 0)

        found = Portion.of(
            answer, {"b": {"key": key, "writing": Place.drawn(key).writing}, "gone": {"key": 1, "writing": 1}}
        )

        assert [row["key"] for row in found.rows_of("b")] == [key]
        assert found.places.keys() == {"b"}

    def test_as_it_might_be(self, answer: Any) -> None:
        expected = vectors_in(answer, "emb")

        np.testing.assert_array_equal(vectors_in(list(answer), "emb"), expected)
        assert vectors_in([], "emb").size == 0
