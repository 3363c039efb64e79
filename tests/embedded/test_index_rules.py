"""Indexes as a server takes, describes, alters, drops and refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from colmilvus.embedded import connect
from tests.embedded.pages import (
    DIM,
    FIELD,
    assert_ranked,
    create,
    draw,
    expected,
    index,
    make,
    query,
    rows,
    schema,
    search,
)
from tests.embedded.raw import refused


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    """``pages`` without an index, and ``half`` with vectors of 16 bits."""
    client = connect(tmp_path_factory.mktemp("indexes") / "kb.db")
    client.create_collection("pages", schema=schema(client, scalars=True, text=True))
    made = client.create_schema()
    made.add_field("id", DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    patch.add_field("emb", DataType.FLOAT16_VECTOR, dim=DIM)
    made.add_field("patches", DataType.ARRAY, element_type=DataType.STRUCT, struct_schema=patch, max_capacity=9)
    client.create_collection("half", schema=made)
    yield client
    assert client.list_indexes("pages") == client.list_indexes("half") == []
    client.close()


def wanted(client: MilvusClient, **given: Any) -> Any:
    params = client.prepare_index_params()
    params.add_index(**{"field_name": FIELD, "index_type": "HNSW", "metric_type": "MAX_SIM", **given})
    return params


def make_index(client: MilvusClient, name: str = "pages", **given: Any) -> None:
    client.create_index(name, wanted(client, **given), sync=False)


SUPPORTED = "supported: [MAX_SIM MAX_SIM_COSINE MAX_SIM_L2 MAX_SIM_IP]"
REFUSED: list[tuple[dict[str, Any], str]] = [
    *(
        ({"index_type": kind}, f"data type ArrayOfVector can't build with this index {kind}")
        for kind in ("FLAT", "IVF_SQ8", "IVF_PQ", "SCANN", "GPU_CAGRA", "BIN_FLAT", "SPARSE_INVERTED_INDEX", "INVERTED")
    ),
    *(
        ({"index_type": kind}, f"invalid parameter[expected=valid index][actual=invalid index type: {kind}]")
        for kind in ("NOPE", "hnsw")
    ),
    *(
        (
            {"metric_type": metric},
            f"array of vector index does not support metric type: {metric}; the embedded engine has",
        )
        for metric in ("COSINE", "IP", "L2")
    ),
    *(
        (
            {"metric_type": metric},
            f"array of vector with float element type does not support metric type: {metric}, {SUPPORTED}",
        )
        for metric in ("MAX_SIM_HAMMING", "MAX_SIM_JACCARD", "HAMMING", "BM25", "DTW", "max_sim_cosine")
    ),
    ({"metric_type": ""}, "metric type not set for vector index"),
    (
        {"index_type": "AUTOINDEX", "metric_type": "COSINE"},
        "array of vector index does not support metric type: COSINE",
    ),
    ({"index_type": "AUTOINDEX", "params": {"M": 16}}, "only metric type can be passed when use AutoIndex"),
    ({"params": {"M": 1}}, "M should be an integer in range [2, 2048], not 1"),
    ({"params": {"M": 2049}}, "M should be an integer in range [2, 2048], not 2049"),
    ({"params": {"efConstruction": "many"}}, "efConstruction should be an integer in range [1, 2147483647], not many"),
    (
        {"index_type": "IVF_FLAT", "params": {"nlist": 65537}},
        "nlist should be an integer in range [1, 65536], not 65537",
    ),
    (
        {"params": {"emb_list_strategy": "magic"}},
        "invalid emb_list_strategy: magic, expected one of tokenann, muvera, l",
    ),
    ({"params": {"muvera_num_projections": 8}}, "muvera_num_projections should be an integer in range [1, 7], not 8"),
    ({"params": {"muvera_num_repeats": 33}}, "muvera_num_repeats should be an integer in range [1, 32], not 33"),
    (
        {"index_type": "DISKANN", "params": {"emb_list_strategy": "lemur"}},
        "DiskANN only supports TokenANN strategy",
    ),
    ({"params": {"dim": 9}}, "dimension mismatch, dimension in schema: 8, dimension: 9"),
    ({"field_name": "patches"}, "cannot create index on non-exist field: patches"),
    ({"field_name": "patches[other]"}, "the embedded engine has no index on patches[other]"),
    ({"field_name": "nope"}, "cannot create index on non-exist field: nope"),
    ({"field_name": "patches[label]", "index_type": "INVERTED"}, "the embedded engine has no index on patches[label]"),
    (
        {"index_name": "1st"},
        "Invalid index name: 1st. The first character of a index name must be an underscore or lett",
    ),
    ({"index_name": "a-b"}, "Invalid index name: a-b. Index name can only contain numbers, letters, and underscores."),
    ({"index_name": "x" * 256}, "The length of a index name must be less than 255 characters."),
    ({"field_name": "year", "index_type": "TRIE", "metric_type": ""}, "TRIE are only supported on varchar field"),
    (
        {"field_name": "id", "index_type": "BITMAP", "metric_type": ""},
        "create bitmap index on primary key not supported",
    ),
    (
        {
            "field_name": "words",
            "index_type": "SPARSE_INVERTED_INDEX",
            "metric_type": "BM25",
            "params": {"inverted_index_algo": "magic"},
        },
        "sparse inverted index algo magic not found or not supported, supported: [TAAT_NAIVE DAAT_WAND DAAT_MAXSCORE",
    ),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=[f"{i}-{said[:40]}" for i, (_, said) in enumerate(REFUSED)])
def test_an_index_that_a_server_would_not_build_is_refused(
    bare: MilvusClient, given: dict[str, Any], said: str
) -> None:
    assert said in refused(make_index, bare, **given)


def test_muvera_and_lemur_take_float32_alone(bare: MilvusClient) -> None:
    for strategy in ("muvera", "lemur"):
        said = refused(make_index, bare, "half", params={"emb_list_strategy": strategy})
        assert said == f"emb_list_strategy {strategy} takes FloatVector alone, not the vectors of patches[emb]"


KINDS = ["HNSW", "HNSW_SQ", "HNSW_PQ", "HNSW_PRQ", "IVF_FLAT", "IVF_FLAT_CC", "DISKANN", "SCANN_DVR"]
EMPTY = {"state": "Finished", "total_rows": 0, "indexed_rows": 0, "pending_index_rows": 0}


@pytest.mark.parametrize("name", ["pages", "half"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_index_is_described_as_it_was_asked_for(bare: MilvusClient, kind: str, name: str) -> None:
    make_index(bare, name, index_type=kind, index_name="by_patch", params={"emb_list_strategy": "tokenann", "x": 1})
    assert bare.describe_index(name, "by_patch") == {
        "index_type": kind,
        "metric_type": "MAX_SIM",
        "emb_list_strategy": "tokenann",
        "x": "1",
        "field_name": FIELD,
        "index_name": "by_patch",
        **EMPTY,
    }
    assert bare.list_indexes(name) == bare.list_indexes(name, field_name=FIELD) == ["by_patch"]
    assert bare.list_indexes(name, field_name="id") == []
    bare.drop_index(name, "by_patch")
    assert bare.describe_index(name, "by_patch") is None


@pytest.mark.parametrize("name", ["pages", "half"])
@pytest.mark.parametrize("given", [{"index_type": "AUTOINDEX"}, {"index_type": ""}, {}])
@pytest.mark.parametrize("metric", ["MAX_SIM", "MAX_SIM_COSINE", "MAX_SIM_IP", "MAX_SIM_L2", ""])
def test_an_index_of_no_type_is_described_as_an_autoindex(
    bare: MilvusClient, metric: str, given: dict[str, Any], name: str
) -> None:
    params = bare.prepare_index_params()
    params.add_index(FIELD, **given, **({"metric_type": metric} if metric else {}))
    bare.create_index(name, params, sync=False)
    assert bare.list_indexes(name) == [FIELD]
    assert bare.describe_index(name, FIELD) == {
        "index_type": "AUTOINDEX",
        "metric_type": metric or "MAX_SIM_COSINE",
        "field_name": FIELD,
        "index_name": FIELD,
        **EMPTY,
    }
    bare.drop_index(name, FIELD)


def test_every_type_of_index_is_described_and_searched_alike_after_reopening(path: Path) -> None:
    pages, question = draw(1, 20), query(1)
    client = connect(path)
    for kind in (*KINDS, "AUTOINDEX"):
        make(client, kind, schema(client), index(client, "MAX_SIM_IP", index_type=kind))
        client.insert(kind, rows(pages))
    described = {kind: client.describe_index(kind, FIELD) for kind in client.list_collections()}
    assert {found["total_rows"] for found in described.values()} == {20}
    client.close()
    client = connect(path)
    for kind in (*KINDS, "AUTOINDEX"):
        assert client.list_indexes(kind) == [FIELD]
        assert client.describe_index(kind, FIELD) == described[kind]
        assert (described[kind]["index_type"], described[kind]["metric_type"]) == (kind, "MAX_SIM_IP")
        assert_ranked(search(client, question, kind), expected(question, pages, "MAX_SIM_IP"), tolerance=1e-4)
    client.close()


@pytest.mark.parametrize(
    ("field", "kind"), [("year", ""), ("year", "AUTOINDEX"), ("year", "STL_SORT"), ("year", "BITMAP"), ("text", "TRIE")]
)
def test_indexes_of_scalars_are_taken_as_a_server_does(bare: MilvusClient, field: str, kind: str) -> None:
    params = bare.prepare_index_params()
    params.add_index(field, index_type=kind)
    bare.create_index("pages", params, sync=False)
    assert bare.describe_index("pages", field)["index_type"] == (kind or "AUTOINDEX")
    bare.drop_index("pages", field)


def test_a_field_has_one_index(client: MilvusClient) -> None:
    create(client)
    client.create_index("pages", index(client), sync=False)
    said = refused(client.create_index, "pages", index(client, "MAX_SIM_IP"), sync=False)
    assert said == "at most one distinct index is allowed per field"
    said = refused(make_index, client, index_name="other")
    assert said == "CreateIndex failed: creating multiple indexes on same field is not supported"
    params = client.prepare_index_params()
    params.add_index("year", index_name=FIELD, index_type="INVERTED")
    said = refused(client.create_index, "pages", params, sync=False)
    assert said == "at most one distinct index is allowed per field"
    assert client.describe_index("pages", FIELD)["metric_type"] == "MAX_SIM_COSINE"


def test_properties_of_an_index_are_altered_after_release(client: MilvusClient) -> None:
    create(client)
    properties = {"mmap.enabled": True}
    said = refused(client.alter_index_properties, "pages", FIELD, properties, code=104)
    assert said.startswith("can't alter index on loaded collection, please release the collection first")
    client.release_collection("pages")
    said = refused(client.alter_index_properties, "pages", FIELD, {"M": 3})
    assert said == "M is not a configable index property"
    assert "indexName=nope" in refused(client.alter_index_properties, "pages", "nope", properties, code=700)
    client.alter_index_properties("pages", FIELD, properties)
    assert client.describe_index("pages", FIELD)["mmap.enabled"] == "True"
    client.drop_index_properties("pages", FIELD, ["mmap.enabled"])
    assert "mmap.enabled" not in client.describe_index("pages", FIELD)
    client.load_collection("pages")
    client.insert("pages", rows(draw(1, 3)))
    assert len(search(client, query(1))) == 3


def test_an_index_of_a_scalar_is_dropped_while_loaded(client: MilvusClient) -> None:
    params = index(client)
    params.add_index("year", index_type="STL_SORT")
    make(client, "pages", schema(client), params)
    client.insert("pages", rows(draw(1, 9)))
    client.flush("pages")
    assert len(search(client, query(1), filter="year > 2004")) == 4
    client.drop_index("pages", "year")
    assert client.list_indexes("pages") == [FIELD]
    assert len(search(client, query(1), filter="year > 2004")) == 4
    assert client.get_load_state("pages")["state"].name == "Loaded"


def test_an_index_tells_how_many_rows_it_holds(client: MilvusClient) -> None:
    create(client)
    client.insert("pages", rows(draw(1, 7)))
    client.delete("pages", ids=[0, 1])
    described = client.describe_index("pages", FIELD)
    assert {name: described[name] for name in ("total_rows", "indexed_rows", "pending_index_rows", "state")} == {
        "total_rows": 5,
        "indexed_rows": 5,
        "pending_index_rows": 0,
        "state": "Finished",
    }
    assert client.list_indexes("pages", field_name=FIELD) == [FIELD]
    assert client.list_indexes("pages", field_name="year") == []
    assert client.describe_index("pages", "nope") is None
