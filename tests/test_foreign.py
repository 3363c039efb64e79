"""Collections of other programs are read by the names that their fields have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from colmilvus import Collection, Entity, MultiVector, maxsim
from colmilvus.embedded import connect
from colmilvus.errors import CollectionMismatch, CollectionNotFound, InvalidInput, Unsupported
from tests.words import WordEmbedder

DIM = 6
COUNT = 30
VECTORS = [np.random.default_rng(n).normal(size=(2 + n % 5, DIM)).astype(np.float32) for n in range(COUNT)]
NAMES: dict[str, Any] = {
    "struct": "patches",
    "vector": "emb",
    "id": "corpus_id",
    "text": "body",
    "document": "source",
    "metadata": "m",
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MilvusClient]:
    client = connect(tmp_path / "kb.db")
    yield client
    client.close()


@pytest.fixture
def theirs(client: MilvusClient, tmp_path: Path) -> Path:
    """A database in which another program made a collection, with fields of its own."""
    schema = client.create_schema()
    schema.add_field("pk", DataType.INT64, is_primary=True)
    schema.add_field("corpus_id", DataType.VARCHAR, max_length=100)
    schema.add_field("body", DataType.VARCHAR, max_length=1_000)
    schema.add_field("source", DataType.VARCHAR, max_length=100, nullable=True)
    schema.add_field("year", DataType.INT32)
    schema.add_field("m", DataType.JSON)
    struct = client.create_struct_field_schema()
    struct.add_field("emb", DataType.FLOAT_VECTOR, dim=DIM)
    struct.add_field("patch", DataType.INT32)
    schema.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=struct, max_capacity=50)
    params = client.prepare_index_params()
    params.add_index("patches[emb]", index_type="HNSW", metric_type="MAX_SIM_COSINE")
    client.create_collection("theirs", schema=schema, index_params=params)
    client.insert("theirs", [row(number) for number in range(COUNT)])
    return tmp_path / "kb.db"


def row(number: int) -> dict[str, Any]:
    return {
        "pk": number,
        "corpus_id": f"c{number}",
        "body": f"text {number}",
        "source": None if number % 4 == 0 else f"d{number % 3}",
        "year": 2000 + number,
        "m": {"lang": "de" if number % 2 else "en"},
        "patches": [{"emb": vector, "patch": n} for n, vector in enumerate(VECTORS[number])],
    }


def test_what_it_holds_is_found_as_the_oracle_ranks(theirs: Path) -> None:
    query = MultiVector(np.random.default_rng(100).normal(size=(4, DIM)))
    scores = {f"c{n}": maxsim(query, MultiVector(vectors), "COSINE") for n, vectors in enumerate(VECTORS)}
    best = sorted(scores, key=lambda name: -scores[name])

    with Collection.open("theirs", uri=theirs, **NAMES) as opened:
        hits = opened.search(query, 5)
        exact = opened.search(query, 5, exact=True)

    assert [hit.entity.id for hit in hits] == [hit.entity.id for hit in exact] == best[:5]
    assert [hit.score for hit in hits] == pytest.approx([scores[name] for name in best[:5]], abs=1e-4)
    number = int(best[0][1:])
    assert hits[0].entity == Entity(
        best[0],
        text=f"text {number}",
        document=None if number % 4 == 0 else f"d{number % 3}",
        metadata={"pk": number, "year": 2000 + number, "lang": "de" if number % 2 else "en"},
    )


@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        ({"year": {"$lt": 2005}}, lambda n: n < 5),
        ({"lang": "de", "year": {"$gte": 2020}}, lambda n: n % 2 and n >= 20),
        ({"$not": {"lang": "de"}}, lambda n: n % 2 == 0),
        ({"$id": ["c1", "c2", "none"]}, lambda n: n in (1, 2)),
        ({"$document": "d1"}, lambda n: n % 4 and n % 3 == 1),
        ({"$document": None}, lambda n: n % 4 == 0),
        ({"$document": {"$ne": "d1"}}, lambda n: not (n % 4 and n % 3 == 1)),
        ("year > 2003 and year < 2006", lambda n: n in (4, 5)),
    ],
)
def test_filters_ask_for_the_fields_by_what_they_mean(theirs: Path, condition: Any, meant: Any) -> None:
    wanted = {f"c{n}" for n in range(COUNT) if meant(n)}

    with Collection.open("theirs", uri=theirs, **NAMES) as opened:
        assert set(opened.ids(condition)) == wanted
        assert opened.count(condition) == len(wanted)
        assert {hit.entity.id for hit in opened.search(MultiVector(np.eye(DIM)), 50, filter=condition)} == wanted


def test_reading_by_id_and_document(theirs: Path) -> None:
    with Collection.open("theirs", uri=theirs, **NAMES) as opened:
        assert [entity.id for entity in opened.get(["c3", "none", "c1"])] == ["c3", "c1"]
        assert opened.documents() == {f"d{k}": sum(n % 4 != 0 and n % 3 == k for n in range(COUNT)) for k in range(3)}
        assert np.array_equal(opened.multi_vectors(["c7"])["c7"].vectors, VECTORS[7])


def test_the_primary_key_is_the_id_if_no_other_is_named(theirs: Path) -> None:
    with Collection.open("theirs", uri=theirs, struct="patches", vector="emb") as opened:
        assert [entity.id for entity in opened.get(["7", "8"])] == ["7", "8"]
        assert opened.delete(["7"]) == 1
        assert opened.count() == COUNT - 1
        with pytest.raises(InvalidInput, match="whole numbers"):
            opened.get(["c7"])
        with pytest.raises(InvalidInput, match=r"there is no field 'lang': .*year"):
            opened.ids({"lang": "de"})


def test_it_is_deleted_from_and_cleared(theirs: Path) -> None:
    with Collection.open("theirs", uri=theirs, **NAMES) as opened:
        assert opened.delete(["c1", "none"]) == 1
        assert opened.delete(document="d1") == 6
        assert opened.delete(filter={"lang": "en"}) == sum(
            n % 2 == 0 and not (n % 4 and n % 3 == 1) for n in range(COUNT)
        )
        opened.clear()
        assert opened.count() == 0


def test_it_is_copied_into_a_collection_of_this_package(theirs: Path, tmp_path: Path) -> None:
    query = MultiVector(np.random.default_rng(5).normal(size=(4, DIM)))
    with Collection.open("theirs", uri=theirs, **NAMES) as opened:
        report = opened.copy_to(tmp_path / "ours.db", "pages", progress=False)
        before: list[Any] = [(hit.entity, hit.score) for hit in opened.search(query, 10)]
    with Collection("pages", uri=tmp_path / "ours.db") as ours:
        assert report.copied == COUNT
        assert [(hit.entity, pytest.approx(hit.score, abs=1e-4)) for hit in ours.search(query, 10)] == before


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"struct": "tiles"}, r"'tiles' is no array of structs in 'theirs'; there are: pk, corpus_id"),
        ({"struct": "body"}, "'body' is no array of structs"),
        ({"vector": "vec"}, r"'vec' is no vector in 'patches' of 'theirs'; there are: emb, patch"),
        ({"vector": "patch"}, r"patches\[patch\] is INT32"),
        ({"text": "year"}, "'year' is no field in 'theirs'"),
        ({"id": "m"}, "'m' is no field of texts or whole numbers in 'theirs': pk, corpus_id"),
    ],
)
def test_names_that_do_not_fit_are_refused_with_what_there_is(theirs: Path, names: dict[str, Any], told: str) -> None:
    with pytest.raises(CollectionMismatch, match=told):
        Collection.open("theirs", uri=theirs, **{**NAMES, **names})


def test_what_cannot_be_done_with_it_raises_by_name(theirs: Path, words: WordEmbedder) -> None:
    with Collection.open("theirs", uri=theirs, **NAMES) as opened:
        with pytest.raises(Unsupported, match="made by another program"):
            opened.add([Entity("a")], vectors=[np.eye(DIM)], progress=False)
        with pytest.raises(Unsupported, match="mode='late_interaction'"):
            opened.search("text", mode="text")
    with pytest.raises(CollectionNotFound, match="there is no collection 'none'"):
        Collection.open("none", uri=theirs, **NAMES)
    with pytest.raises(CollectionMismatch, match="vectors of 6 dimensions"):
        Collection.open("theirs", words, uri=theirs, **NAMES)
