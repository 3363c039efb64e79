"""What a server does not store, and what it does not search: each refused in words, with nothing changed."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from pymilvus import AnnSearchRequest, DataType, MilvusClient, RRFRanker
from pymilvus.client.embedding_list import EmbeddingList
from pymilvus.exceptions import MilvusException
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from colmilvus.embedded.refusal import Refused
from colmilvus.embedded.server import ENGINES
from colmilvus.embedded.servicer import EngineServicer
from tests.embedded.pages import CAPACITY, DIM, FIELD, count, create, draw, index, query, row, rows, schema


@pytest.fixture
def pages(client: MilvusClient) -> MilvusClient:
    create(client, scalars=True, text=True)
    client.insert("pages", rows(draw(1, 5), scalars=True, text="plum"))
    return client


def refused(call: Any, *args: Any, code: int = 1100, **options: Any) -> str:
    with pytest.raises(MilvusException) as caught:
        call(*args, **options)
    assert caught.value.code == code
    return str(caught.value.message)


def structs(**changed: Any) -> list[dict[str, Any]]:
    return [{"emb": [1.0] * DIM, "label": "a", "number": 1} | changed]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"emb": [1.0] * 12}, "the length(12) of float data should divide the dim(8): field patches[emb], row 0"),
        (
            {"emb": [1.0] * 16},
            "inconsistent struct element count in struct 'patches' at row 0: 'emb' has 2, 'label' has 1; "
            "'emb' was given 16 numbers a vector, and its dim is 8",
        ),
        (
            {"emb": []},
            "inconsistent struct element count in struct 'patches' at row 0: 'emb' has 0, 'label' has 1",
        ),
        ({"emb": [float("nan")] * DIM}, "value 'nan' is not a number or infinity: field patches[emb], row 0"),
        ({"emb": [float("inf")] * DIM}, "value 'inf' is not a number or infinity"),
        ({"label": "ÄÄÄÄÄÄ"}, "field patches[label] exceeds max length, row number: 0, length: 12, max length: 10"),
        ({"number": 40000}, "field patches[number], row 0: 40000 is out of range"),
    ],
)
@pytest.mark.parametrize("method", ["insert", "upsert"])
def test_a_page_that_does_not_fit_is_refused_whole(
    pages: MilvusClient, method: str, changed: dict[str, Any], said: str
) -> None:
    good, bad = (
        row(10, np.ones((2, DIM)), scalars=True, text=""),
        row(11, [], text="") | {"patches": structs(**changed)},
    )
    assert said.replace("row 0", "row 1") in refused(getattr(pages, method), "pages", [good, bad]).replace(
        "row 0", "row 1"
    )
    assert count(pages) == 5


def test_more_patches_than_capacity_are_refused_with_both_numbers(pages: MilvusClient) -> None:
    full = row(10, np.ones((CAPACITY, DIM)), scalars=True, text="")
    pages.insert("pages", [full])
    more = row(11, np.ones((CAPACITY + 1, DIM)), scalars=True, text="")
    said = refused(pages.insert, "pages", [more])
    assert said.startswith("array length exceeds max capacity: the length(65) of row 0, field patches, exceeds")
    assert count(pages) == 6


def test_a_text_longer_than_declared_in_bytes_is_refused(pages: MilvusClient) -> None:
    pages.insert("pages", [row(10, np.ones((1, DIM)), scalars=True, text="x" * 100)])
    long = row(11, np.ones((1, DIM)), scalars=True, text="ü" * 51)
    assert "field text exceeds max length, row number: 0, length: 102, max length: 100" in refused(
        pages.insert, "pages", [long]
    )


def test_a_dense_vector_that_is_not_finite_is_refused(client: MilvusClient) -> None:
    client.create_collection("plain", dimension=2)
    assert "is not a number or infinity: field vector" in refused(
        client.insert, "plain", [{"id": 1, "vector": [float("nan"), 1.0]}]
    )


class Context:
    """What a handler asks of gRPC, for a request that pymilvus would not send."""

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return []


@pytest.mark.usefixtures("pages")
def test_requests_that_pymilvus_would_not_send_are_refused_too(path: Any) -> None:
    engine = ENGINES.running(path)
    assert engine is not None
    servicer: Any = EngineServicer(engine._database)
    emb = schema_pb2.FieldData(field_name="emb", type=schema_pb2.ArrayOfVector)
    emb.vectors.vector_array.data.add(dim=4).float_vector.data.extend([1.0] * DIM)
    patches = schema_pb2.FieldData(field_name="patches", type=schema_pb2.ArrayOfStruct)
    patches.struct_arrays.fields.append(emb)
    request = milvus_pb2.InsertRequest(collection_name="pages", num_rows=1, fields_data=[patches])
    with pytest.raises(Refused, match=r"fieldSchema\(patches\[label\]\) has no corresponding fieldData pass in"):
        servicer.Insert(request, Context())
    with pytest.raises(Refused, match=r"fieldSchema\(patches\) has no corresponding fieldData pass in"):
        servicer.Insert(milvus_pb2.InsertRequest(collection_name="pages", num_rows=1), Context())
    for name in ("label", "number"):
        column = patches.struct_arrays.fields.add(field_name=name, type=schema_pb2.Array)
        column.scalars.array_data.data.add()
    with pytest.raises(
        Refused, match=r"the dim \(4\) of field data\(patches\[emb\]\) is not equal to schema dim \(8\)"
    ):
        servicer.Insert(milvus_pb2.InsertRequest(collection_name="pages", num_rows=1, fields_data=[patches]), Context())
    with pytest.raises(
        Refused, match=r"the num_rows\(1\) of field patches\[emb\] is not equal to passed num_rows\(2\)"
    ):
        servicer.Insert(milvus_pb2.InsertRequest(collection_name="pages", num_rows=2, fields_data=[patches]), Context())
    empty = common_pb2.PlaceholderGroup(placeholders=[common_pb2.PlaceholderValue(tag="$0", type=301, values=[b""])])
    searched = milvus_pb2.SearchRequest(collection_name="pages", placeholder_group=empty.SerializeToString())
    searched.search_params.add(key="anns_field", value=FIELD)
    searched.search_params.add(key="topk", value="3")
    with pytest.raises(Refused, match=r"an embedding list for patches\[emb\] is empty"):
        servicer.Search(searched, Context())


def lists(dim: int = DIM) -> list[EmbeddingList]:
    return [EmbeddingList(query(1, dim=dim))]


def test_plain_vectors_are_refused_on_embedding_lists(pages: MilvusClient) -> None:
    said = refused(pages.search, "pages", query(1).tolist(), anns_field=FIELD, limit=3)
    assert said.startswith("search type mismatch for VECTOR_ARRAY field patches[emb]")
    assert "EmbeddingList" in said


def test_embedding_lists_are_refused_on_plain_vectors(client: MilvusClient) -> None:
    client.create_collection("plain", dimension=DIM)
    assert "search type mismatch" in refused(client.search, "plain", lists(), anns_field="vector", limit=3)


def test_a_query_of_another_dim_is_refused(pages: MilvusClient) -> None:
    said = refused(pages.search, "pages", lists(6), anns_field=FIELD, limit=3)
    assert said.startswith("vector dimension mismatch, expected vector size(byte) a multiple of 32, actual 120")


def test_a_query_that_is_not_finite_is_refused(pages: MilvusClient) -> None:
    bad = EmbeddingList(np.full((2, DIM), np.nan, np.float32))
    assert "not a number or infinity" in refused(pages.search, "pages", [bad], anns_field=FIELD, limit=3)


@pytest.mark.parametrize("metric", ["MAX_SIM_IP", "MAX_SIM", "COSINE"])
def test_another_metric_than_that_of_the_index_is_refused(pages: MilvusClient, metric: str) -> None:
    said = refused(pages.search, "pages", lists(), anns_field=FIELD, limit=3, search_params={"metric_type": metric})
    assert said == f"metric type not match: invalid parameter[expected=MAX_SIM_COSINE][actual={metric}]"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"search_params": {"params": {"radius": 0.1}}}, "range search is not supported"),
        ({"search_params": {"params": {"radius": 0.1, "range_filter": 1}}}, "range search is not supported"),
        ({"group_by_field": "year"}, "group by is not supported"),
    ],
)
def test_what_a_server_lacks_for_embedding_lists_is_refused(
    pages: MilvusClient, options: dict[str, Any], said: str
) -> None:
    assert said in refused(pages.search, "pages", lists(), anns_field=FIELD, limit=3, **options)
    part = AnnSearchRequest(lists(), FIELD, options.get("search_params", {}), limit=3)
    rest = {key: value for key, value in options.items() if key != "search_params"}
    assert said in refused(pages.hybrid_search, "pages", [part, part], RRFRanker(), limit=3, **rest)


def test_a_search_iterator_is_refused(pages: MilvusClient) -> None:
    with pytest.raises(MilvusException, match="search iterator is not supported for vector array"):
        pages.search_iterator("pages", query(1, 1).tolist(), anns_field=FIELD, batch_size=3, limit=3).next()


@pytest.mark.parametrize(("limit", "offset"), [(16385, 0), (16000, 385), (3, 16384)])
def test_a_window_beyond_16384_is_refused(pages: MilvusClient, limit: int, offset: int) -> None:
    options: dict[str, Any] = {"anns_field": FIELD, "limit": limit, "search_params": {"offset": offset}}
    assert "16384" in refused(pages.search, "pages", lists(), **options)
    assert "16384" in refused(pages.query, "pages", filter="id > 0", limit=limit, offset=offset)


def test_more_than_16384_queries_are_refused(client: MilvusClient) -> None:
    client.create_collection("plain", dimension=2)
    assert "nq [16385] is invalid" in refused(client.search, "plain", [[1.0, 2.0]] * 16385, limit=1)


def test_a_search_without_an_index_is_refused(client: MilvusClient) -> None:
    client.create_collection("pages", schema=schema(client))
    said = refused(client.search, "pages", lists(), anns_field=FIELD, limit=3, code=700)
    assert said.startswith("index not found[field=patches[emb]]")


@pytest.mark.parametrize("name", ["pictures[emb]", "patches[embedding]", "patches"])
def test_a_search_on_an_unknown_field_is_refused(pages: MilvusClient, name: str) -> None:
    assert "not found" in refused(pages.search, "pages", lists(), anns_field=name, limit=3)


@pytest.mark.parametrize("name", ["pictures", "patches[embedding]", "pictures[emb]", "patches[]"])
def test_an_unknown_output_field_is_refused(pages: MilvusClient, name: str) -> None:
    assert f"field {name} not exist" in refused(
        pages.search, "pages", lists(), anns_field=FIELD, limit=3, output_fields=[name]
    )
    assert f"field {name} not exist" in refused(pages.query, "pages", filter="id > 0", output_fields=[name])


def test_a_query_without_filter_needs_a_limit(pages: MilvusClient) -> None:
    assert refused(pages.query, "pages", filter="") == "empty expression should be used with limit"
    assert len(pages.query("pages", filter="", limit=3)) == 3


def test_a_filter_with_a_fault_of_syntax_is_refused(pages: MilvusClient) -> None:
    searching: dict[str, Any] = {"data": lists(), "anns_field": FIELD}
    for call, more in ((pages.query, {}), (pages.delete, {}), (pages.search, searching)):
        assert refused(call, "pages", filter="year ==== 3", **more)
    assert count(pages) == 5


def test_unknown_collections_are_refused_as_such(client: MilvusClient) -> None:
    for call in (client.describe_collection, client.load_collection):
        with pytest.raises(MilvusException) as caught:
            call("nothing")
        assert caught.value.code == 100
    assert not client.has_collection("nothing")
    with pytest.raises(MilvusException):
        client.search("nothing", lists(), anns_field=FIELD, limit=3)


def test_what_the_engine_lacks_is_refused_by_name_and_not_repeated(pages: MilvusClient) -> None:
    import grpc

    with pytest.raises((MilvusException, grpc.RpcError), match="does not support AddCollectionField"):
        pages.add_collection_field("pages", "extra", DataType.INT64, nullable=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metric": "COSINE"}, "array of vector index does not support metric type: COSINE"),
        ({"metric": "MAX_SIM_HAMMING"}, "array of vector index does not support metric type: MAX_SIM_HAMMING"),
        ({"index_type": "FLAT"}, "index type FLAT does not support array of vector"),
        ({"index_type": "IVF_SQ8"}, "index type IVF_SQ8 does not support array of vector"),
        ({"index_type": "SCANN"}, "index type SCANN does not support array of vector"),
        ({"params": {"M": 1}}, "M should be an integer in range [2, 2048], not 1"),
        ({"params": {"efConstruction": "many"}}, "efConstruction should be an integer"),
        ({"index_type": "AUTOINDEX", "params": {"M": 16}}, "only metric type can be passed when use AutoIndex"),
        ({"params": {"emb_list_strategy": "magic"}}, "invalid emb_list_strategy: magic"),
    ],
)
def test_indexes_that_a_server_would_not_build_are_refused(
    client: MilvusClient, options: dict[str, Any], said: str
) -> None:
    client.create_collection("pages", schema=schema(client))
    assert said in refused(client.create_index, "pages", index(client, **options), sync=False)
    assert client.list_indexes("pages") == []


@pytest.mark.parametrize("field", ["patches", "patches[label]", "patches[other]"])
def test_an_index_on_anything_else_of_a_struct_is_refused(client: MilvusClient, field: str) -> None:
    client.create_collection("pages", schema=schema(client, scalars=True))
    params = client.prepare_index_params()
    params.add_index(field, index_type="INVERTED")
    assert f"no index on {field}" in refused(client.create_index, "pages", params, sync=False)


@pytest.mark.skipif(version("pymilvus") < "3", reason="pymilvus 2.6 does not send them")
@pytest.mark.parametrize(
    ("options", "name"),
    [({"order_by": ["year"]}, "order_by_fields"), ({"group_by_fields": ["year"]}, "group_by_fields")],
)
def test_queries_in_an_order_or_by_groups_are_refused_by_name(
    pages: MilvusClient, options: dict[str, Any], name: str
) -> None:
    for fields in (["year"], ["year", "count(*)"]):
        said = refused(pages.query, "pages", filter="id >= 0", output_fields=fields, **options)
        assert said == f"query parameter {name} is not supported by the embedded engine"


def test_an_unknown_partition_is_refused_by_every_read_and_delete(pages: MilvusClient) -> None:
    pages.create_partition("pages", "known")
    part = AnnSearchRequest(lists(), FIELD, {}, limit=3)
    calls: list[tuple[Any, dict[str, Any]]] = [
        (pages.search, {"data": lists(), "anns_field": FIELD}),
        (pages.search, {"data": ["plum"], "anns_field": "words"}),
        (pages.hybrid_search, {"reqs": [part, part], "ranker": RRFRanker(), "limit": 3}),
        (pages.query, {"filter": "id >= 0"}),
        (pages.query, {"output_fields": ["count(*)"]}),
        (pages.get, {"ids": [1]}),
    ]
    for call, options in calls:
        said = refused(call, "pages", partition_names=["known", "nope"], code=200, **options)
        assert said == "partition not found[partition=nope]"
        call("pages", partition_names=["known"], **options)
    assert "nope" in refused(pages.delete, "pages", filter="id >= 0", partition_name="nope", code=200)
    assert count(pages) == 5


def test_hidden_columns_are_in_no_words_of_a_refusal(pages: MilvusClient) -> None:
    searching: dict[str, Any] = {"data": lists(), "anns_field": FIELD}
    for call, more in ((pages.query, {}), (pages.delete, {}), (pages.search, searching)):
        said = refused(call, "pages", filter="patche == 3", **more)
        assert "unknown field 'patche'" in said
        assert "available fields: ['id', 'text', 'words', 'year']" in said
        assert "[]" not in said
        assert FIELD not in said
    assert "did you mean 'year'?" in refused(pages.query, "pages", filter="yeer == 3")


@pytest.mark.parametrize("filter", ["patches == 3", "id > 0 and patches[emb] == 1", "array_length(patches) > 1"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_filter_on_a_struct_is_refused_everywhere(client: MilvusClient, filter: str, dynamic: bool) -> None:
    create(client, enable_dynamic_field=dynamic)
    client.insert("pages", rows(draw(1, 3)))
    counting: dict[str, Any] = {"output_fields": ["count(*)"]}
    searching: dict[str, Any] = {"data": lists(), "anns_field": FIELD}
    part = AnnSearchRequest(lists(), FIELD, {}, limit=3, expr=filter)
    assert "cannot filter on patches" in refused(client.hybrid_search, "pages", [part, part], RRFRanker(), limit=3)
    for call, more in ((client.query, {}), (client.query, counting), (client.delete, {}), (client.search, searching)):
        assert "cannot filter on patches" in refused(call, "pages", filter=filter, **more)
    assert count(client) == 3


def test_the_name_of_a_struct_in_a_text_or_a_key_is_no_filter_on_it(client: MilvusClient) -> None:
    create(client, enable_dynamic_field=True)
    client.insert("pages", rows(draw(1, 3), note='the "patches" isn\'t', about={"patches": 3}))
    for expression in (
        'note == "the \\"patches\\" isn\'t"',
        "note like 'the%' and about['patches'] == 3",
        "patches_2 == 1",
    ):
        assert count(client, filter=expression) == (0 if "patches_2" in expression else 3)


@pytest.mark.parametrize(("method", "name"), [("insert", "patches[]"), ("upsert", "patches[]"), ("insert", FIELD)])
def test_a_dynamic_key_of_a_hidden_column_is_refused(client: MilvusClient, name: str, method: str) -> None:
    create(client, enable_dynamic_field=True)
    client.insert("pages", rows(draw(1, 3)))
    said = refused(getattr(client, method), "pages", [row(1, np.ones((1, DIM))) | {name: 0}])
    assert said == f"dynamic field name cannot include the static field name: {name}"
    assert count(client) == 3


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"retrieval_ann_ratio": 0}, "retrieval_ann_ratio should be larger than 0, not 0"),
        ({"retrieval_ann_ratio": -1.5}, "retrieval_ann_ratio should be larger than 0, not -1.5"),
        ({"retrieval_ann_ratio": "many"}, "retrieval_ann_ratio should be a number, not 'many'"),
        ({"retrieval_ann_ratio": True}, "retrieval_ann_ratio should be a number, not True"),
        ({"emb_list_rerank": "zz"}, "emb_list_rerank should be true or false, not zz"),
        ({"emb_list_rerank": 1}, "emb_list_rerank should be true or false, not 1"),
        ({"ef": 2}, "ef(2) should be larger than k(3)"),
        ({"ef": "wide"}, "ef should be a number, not 'wide'"),
    ],
)
def test_tuning_that_a_server_refuses_is_refused(pages: MilvusClient, params: dict[str, Any], said: str) -> None:
    options: dict[str, Any] = {"anns_field": FIELD, "limit": 3, "search_params": {"params": params}}
    assert refused(pages.search, "pages", lists(), **options) == said
    part = AnnSearchRequest(lists(), FIELD, {"params": params}, limit=3)
    assert refused(pages.hybrid_search, "pages", [part, part], RRFRanker(), limit=3) == said


def test_tuning_that_a_server_takes_changes_no_answer(pages: MilvusClient) -> None:
    params = {"retrieval_ann_ratio": 0.5, "emb_list_rerank": False, "ef": 3}
    options: dict[str, Any] = {"anns_field": FIELD, "limit": 3}
    tuned = pages.search("pages", lists(), search_params={"params": params}, **options)
    assert [list(hits) for hits in tuned] == [list(hits) for hits in pages.search("pages", lists(), **options)]
