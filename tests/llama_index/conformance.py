"""What LlamaIndex expects of a vector store that holds nodes whole: a suite for any BasePydanticVectorStore.

LlamaIndex ships none. This one knows nothing of any store but LlamaIndex's own interface; it needs pytest, with
pytest-asyncio in its mode "auto", and hypothesis. A store is tested by a class of its own:

    class TestMyStore(VectorStoreConformance):
        @pytest.fixture
        def store(self):
            yield MyVectorStore(...)  # empty, and new for each test

        def embedding(self, text):  # for a store that does not embed; see there
            return my_model.get_text_embedding(text)

Each test runs with the store's methods and with their asynchronous twins. The texts are of a few English words, of
which questions repeat some, so that any sensible embedding ranks the same node first. Filters are held to LlamaIndex's
``build_metadata_filter_fn``; a store may refuse a filter by raising one of ``refusals`` where ``may_refuse`` says so,
but not answer otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageNode,
    IndexNode,
    MediaResource,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
    TransformComponent,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn, metadata_dict_to_node, node_to_metadata_dict

__all__ = ["VectorStoreConformance"]

Call: TypeAlias = Callable[..., Awaitable[Any]]
TWINS = {
    "add": "async_add",
    "delete": "adelete",
    "delete_nodes": "adelete_nodes",
    "get_nodes": "aget_nodes",
    "clear": "aclear",
    "query": "aquery",
}


def related(name: str, **metadata: Any) -> RelatedNodeInfo:
    return RelatedNodeInfo(node_id=name, metadata=metadata, hash=f"hash of {name}")


def node(name: str, text: str, document: str | None = None, **metadata: Any) -> TextNode:
    source = {} if document is None else {NodeRelationship.SOURCE: related(document)}
    return TextNode(id_=name, text=text, metadata=metadata, relationships=source)


def told(**fields: Any) -> dict[str, Any]:
    """Every field that all nodes have, with other values than the defaults."""
    shared: dict[str, Any] = {
        "metadata": {"title": "Boats", "year": 2025, "score": 2.5, "draft": False, "none": None},
        "excluded_embed_metadata_keys": ["year"],
        "excluded_llm_metadata_keys": ["score"],
        "metadata_template": "{key} is {value}",
        "metadata_separator": "; ",
        "relationships": {
            NodeRelationship.SOURCE: related("book", pages=3),
            NodeRelationship.PREVIOUS: related("before"),
            NodeRelationship.NEXT: related("after", title="Boats"),
            NodeRelationship.PARENT: related("chapter"),
            NodeRelationship.CHILD: [related("one"), related("two")],
        },
    }
    return {**shared, **fields}


def kinds() -> dict[str, BaseNode]:
    """A node of each class, none of its fields with the default."""
    text = {
        "text": "a red boat",
        "start_char_idx": 4,
        "end_char_idx": 14,
        "text_template": "<{content}> {metadata_str}",
    }
    resources = {
        "text_resource": MediaResource(text="a red boat", mimetype="text/markdown"),
        "audio_resource": MediaResource(data=b"a sound!", mimetype="audio/mpeg"),
        "video_resource": MediaResource(url="https://example.org/boat.mp4", mimetype="video/mp4"),  # type: ignore[arg-type]
    }
    return {
        "TextNode": TextNode(**told(id_="text", mimetype="text/markdown", **text)),
        "ImageNode": ImageNode(**told(id_="image", image_url="https://example.org/boat.png", **text)),
        "IndexNode": IndexNode(**told(id_="index", index_id="elsewhere", obj=TextNode(text="there"), **text)),
        "Node": Node(**told(id_="node", **resources)),
        "Document": Document(**told(id_="document", **resources)),
    }


BOATS = [
    node("red", "a red boat", "news", year=2025, tags=["sea", "sky"], note="a red note"),
    node("green", "a green tree", "news", year=2021, tags=[], note=""),
    node("blue", "a blue sky", "blog", year=2023, tags=["sky"]),
]
KEYS = ["year", "tags", "note", "absent"]
TEXTS = ["", "a", "red", "a red note", "it's", '"quoted"', "50%", "snake_case", "日本", "Red"]
NUMBERS = [0, 1, -1, 2, 1.0, 1.5, 2025]
SCALARS = st.sampled_from([*TEXTS, *NUMBERS, True, False])
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.none()
RANGES = [FilterOperator.GT, FilterOperator.GTE, FilterOperator.LT, FilterOperator.LTE]
OF_LISTS = [FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY]


def tests_of(operators: Sequence[FilterOperator], values: st.SearchStrategy[Any]) -> st.SearchStrategy[MetadataFilter]:
    keys = st.sampled_from(KEYS)
    return st.builds(MetadataFilter, key=keys, operator=st.sampled_from(operators), value=values)


TEXT = st.sampled_from(TEXTS)
NUMBER = st.sampled_from(NUMBERS)
LISTS = st.lists(TEXT, max_size=3) | st.lists(st.sampled_from([0, 1, 2, 2025]), max_size=3)
TESTS = st.one_of(
    tests_of([FilterOperator.EQ, FilterOperator.NE], TEXT | NUMBER | st.none()),
    tests_of(RANGES, TEXT | NUMBER),
    tests_of(OF_LISTS, LISTS | st.lists(st.sampled_from([1.0, 1.5]), max_size=2)),
    tests_of(
        [FilterOperator.ALL], LISTS.filter(bool)
    ),  # ALL of nothing tells an empty list from none; not all stores do
    tests_of([FilterOperator.CONTAINS], TEXT | NUMBER),
    tests_of([FilterOperator.TEXT_MATCH], TEXT),
    tests_of([FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE], TEXT),
    tests_of([FilterOperator.IS_EMPTY], st.none()),
)
FILTERS: st.SearchStrategy[MetadataFilters] = st.recursive(
    st.builds(
        MetadataFilters,
        filters=st.lists(TESTS, min_size=1, max_size=3),
        condition=st.sampled_from([*FilterCondition, None]),
    ),
    lambda inner: st.builds(
        MetadataFilters,
        filters=st.lists(TESTS | inner, min_size=1, max_size=3),
        condition=st.sampled_from(list(FilterCondition)),
    ),
    max_leaves=4,
)


def passes(filters: MetadataFilters, metadata: dict[str, Any]) -> bool:
    """What LlamaIndex itself says of one node; where it raises for the kinds of two values, the test has not passed.

    It does not take filters within filters, whose meaning is that of their conditions.
    """
    answers = []
    for part in filters.filters:
        if isinstance(part, MetadataFilters):
            answers.append(passes(part, metadata))
            continue
        try:
            answers.append(build_metadata_filter_fn(lambda _: metadata, MetadataFilters(filters=[part]))("node"))
        except TypeError:
            answers.append(False)
    if filters.condition == FilterCondition.OR:
        return any(answers)
    return not any(answers) if filters.condition == FilterCondition.NOT else all(answers)


def is_newest_meaning() -> bool:
    """Whether a missing key is unequal to everything, as it is since llama-index-core 0.14.16."""
    unequal = MetadataFilters(filters=[MetadataFilter(key="k", value=0, operator=FilterOperator.NE)])
    return build_metadata_filter_fn(lambda _: {}, unequal)("node")


class VectorStoreConformance:
    """The suite; a subclass has the fixture ``store``, an empty store."""

    refusals: tuple[type[Exception], ...] = (NotImplementedError, ValueError)
    """What a store may raise for a filter that it cannot say, or a mode that it has not."""

    @pytest.fixture
    def store(self) -> BasePydanticVectorStore:
        raise NotImplementedError("a test class has a fixture 'store' with an empty vector store")

    @pytest.fixture(params=["sync", "async"])
    def call(self, request: pytest.FixtureRequest, store: BasePydanticVectorStore) -> Call:
        """Calls a method of the store by its name, or its asynchronous twin."""

        async def called(name: str, *arguments: Any, **keywords: Any) -> Any:
            if request.param == "async":
                return await getattr(store, TWINS[name])(*arguments, **keywords)
            return await asyncio.to_thread(getattr(store, name), *arguments, **keywords)

        return called

    def embedding(self, text: str) -> list[float]:  # noqa: ARG002
        """The embedding of a text; empty for a store that embeds by itself."""
        return []

    def embedded(self, nodes: Sequence[BaseNode]) -> list[BaseNode]:
        """Copies of the nodes with embeddings."""
        return [each.model_copy(deep=True, update={"embedding": self.embedding(each.get_content())}) for each in nodes]

    def asked(self, text: str, **fields: Any) -> VectorStoreQuery:
        embedding = self.embedding(text)
        return VectorStoreQuery(query_str=text, query_embedding=embedding or None, **{"similarity_top_k": 3, **fields})

    async def found(self, call: Call, text: str, **fields: Any) -> list[str]:
        result: VectorStoreQueryResult = await call("query", self.asked(text, **fields))
        return list(result.ids or [])

    async def test_it_is_a_store_that_holds_nodes(self, store: BasePydanticVectorStore) -> None:
        assert isinstance(store, BasePydanticVectorStore)
        assert store.stores_text
        assert store.client is not None
        json.dumps(store.to_dict())

    async def test_an_empty_store_finds_nothing(self, call: Call) -> None:
        result = await call("query", self.asked("a red boat"))

        assert (list(result.nodes), list(result.ids), list(result.similarities)) == ([], [], [])
        assert await call("get_nodes", ["red"]) == []

    async def test_the_best_node_comes_first_with_its_similarity(self, call: Call) -> None:
        assert await call("add", self.embedded(BOATS)) == ["red", "green", "blue"]

        result = await call("query", self.asked("green tree"))

        assert result.ids[0] == "green"
        assert [each.node_id for each in result.nodes] == result.ids
        assert list(result.similarities) == sorted(result.similarities, reverse=True)
        assert len(result.similarities) == len(result.ids) == 3
        assert await self.found(call, "green tree", similarity_top_k=1) == ["green"]

    async def test_nothing_that_is_added_is_changed(self, call: Call) -> None:
        nodes = self.embedded(BOATS)
        before = [each.model_dump() for each in nodes]

        await call("add", nodes)
        found = await call("query", self.asked("a red boat", similarity_top_k=1))
        found.nodes[0].metadata["tags"].append("changed")

        assert [each.model_dump() for each in nodes] == before
        again = await call("query", self.asked("a red boat", similarity_top_k=1))
        assert again.nodes[0].metadata["tags"] == ["sea", "sky"]

    @pytest.mark.parametrize("kind", kinds())
    async def test_a_node_of_each_class_comes_back_as_it_was(self, call: Call, kind: str) -> None:
        given = kinds()[kind]
        await call("add", self.embedded([given]))

        (read,) = await call("get_nodes", [given.node_id])
        found = (await call("query", self.asked("a red boat"))).nodes[0]

        for each in (read, found):
            assert type(each) is type(given)
            assert {**each.model_dump(), "embedding": None} == {**given.model_dump(), "embedding": None}
            assert (each.ref_doc_id, each.hash) == (given.ref_doc_id, given.hash)
            if isinstance(given, Node) and isinstance(each, Node):
                assert each.audio_resource == given.audio_resource  # with its data, which LlamaIndex's JSON leaves out

    async def test_what_comes_back_outlives_llama_indexs_json(self, call: Call) -> None:
        given = kinds()["Node"]
        await call("add", self.embedded([given]))

        (read,) = await call("get_nodes", [given.node_id])
        again = metadata_dict_to_node(node_to_metadata_dict(read))

        assert (again.node_id, again.get_content()) == (given.node_id, "a red boat")
        assert again.relationships == given.relationships

    async def test_metadata_may_have_any_key(self, call: Call) -> None:
        keys = ["doc_id", "document_id", "ref_doc_id", "_node_content", "_node_type", "id", "text", "key", "vectors"]
        metadata: dict[str, Any] = {key: f"my {key}" for key in [*keys, "", "with space", "it's", 'a "quote"', "ключ"]}
        metadata |= {"nested": {"deep": [1, None, "two"]}, "relationships": {}}
        given = node("red", "a red boat", "news").model_copy(update={"metadata": metadata})

        await call("add", self.embedded([given]))

        (read,) = await call("get_nodes", ["red"])
        assert read.metadata == metadata
        assert read.ref_doc_id == "news"
        for key in ("doc_id", "document_id", "ref_doc_id"):
            own = MetadataFilters(filters=[MetadataFilter(key=key, value=f"my {key}")])
            assert await self.found(call, "a boat", filters=own) == ["red"]
            theirs = MetadataFilters(filters=[MetadataFilter(key=key, value="news")])
            assert await self.found(call, "a boat", filters=theirs) == []
        assert await self.found(call, "a boat", doc_ids=["news"]) == ["red"]

    async def test_ids_and_texts_may_be_of_any_signs(self, call: Call) -> None:
        names = ["it's", 'a "quoted" id', "back\\slash", "new\nline", "日本", "100%_", "a" * 300]
        await call("add", self.embedded([node(name, f"a red boat {name}", f"of {name}") for name in names]))

        assert sorted(each.node_id for each in await call("get_nodes", names)) == sorted(names)
        for name in names:
            assert await self.found(call, "a red boat", node_ids=[name]) == [name]
            assert await self.found(call, "a red boat", doc_ids=[f"of {name}"]) == [name]
            await call("delete", f"of {name}")
        assert await call("get_nodes", names) == []

    async def test_a_node_that_is_added_again_replaces_itself(self, call: Call) -> None:
        await call("add", self.embedded(BOATS))
        changed = node("red", "a white ship", "news", colour="white")

        await call("add", self.embedded([changed, BOATS[1]]))

        nodes = await call("get_nodes")
        assert sorted(each.node_id for each in nodes) == ["blue", "green", "red"]
        (read,) = await call("get_nodes", ["red"])
        assert (read.get_content(), read.metadata) == ("a white ship", {"colour": "white"})

    async def test_a_document_is_deleted_with_all_its_nodes_and_no_others(self, call: Call) -> None:
        await call("add", self.embedded(BOATS))

        await call("delete", "news")
        await call("delete", "news")
        await call("delete", "never was there")

        assert [each.node_id for each in await call("get_nodes")] == ["blue"]

    async def test_the_id_of_a_node_is_not_that_of_its_document(self, call: Call) -> None:
        await call("add", self.embedded([node("a", "a red boat", "b"), node("b", "a green tree", "c")]))

        await call("delete", "b")

        assert [each.node_id for each in await call("get_nodes")] == ["b"]

    async def test_a_document_that_was_added_whole_is_deleted_by_its_id(self, call: Call) -> None:
        await call("add", self.embedded([Document(id_="whole", text="a red boat"), BOATS[2]]))

        await call("delete", "whole")

        assert [each.node_id for each in await call("get_nodes")] == ["blue"]

    async def test_nodes_are_deleted_by_ids_by_filters_and_by_both(self, call: Call) -> None:
        await call("add", self.embedded([*BOATS, node("old", "an old boat", year=2021)]))
        of_2021 = MetadataFilters(filters=[MetadataFilter(key="year", value=2021)])

        await call("delete_nodes", ["blue", "never was there"])
        assert sorted(each.node_id for each in await call("get_nodes")) == ["green", "old", "red"]
        await call("delete_nodes", ["red", "old"], of_2021)
        assert sorted(each.node_id for each in await call("get_nodes")) == ["green", "red"]
        await call("delete_nodes", None, of_2021)
        assert sorted(each.node_id for each in await call("get_nodes")) == ["red"]
        await call("delete_nodes", [])
        assert sorted(each.node_id for each in await call("get_nodes")) == ["red"]

    async def test_nodes_are_read_by_ids_by_filters_and_by_both(self, call: Call) -> None:
        await call("add", self.embedded(BOATS))
        recent = MetadataFilters(filters=[MetadataFilter(key="year", value=2022, operator=FilterOperator.GT)])

        assert [each.node_id for each in await call("get_nodes", ["blue", "lost", "red"])] == ["blue", "red"]
        assert sorted(each.node_id for each in await call("get_nodes", None, recent)) == ["blue", "red"]
        assert [each.node_id for each in await call("get_nodes", ["green", "blue"], recent)] == ["blue"]

    async def test_cleared_of_everything_a_store_can_be_filled_again(self, call: Call) -> None:
        await call("add", self.embedded(BOATS))

        await call("clear")
        assert await call("get_nodes") == []
        assert await self.found(call, "a red boat") == []
        await call("add", self.embedded(BOATS[:1]))
        assert await self.found(call, "a red boat") == ["red"]

    async def test_a_query_keeps_to_the_nodes_and_documents_that_it_names(self, call: Call) -> None:
        await call("add", self.embedded(BOATS))

        assert await self.found(call, "a red boat", node_ids=["green"]) == ["green"]
        assert sorted(await self.found(call, "a red boat", doc_ids=["news"])) == ["green", "red"]
        assert await self.found(call, "a red boat", doc_ids=["news"], node_ids=["blue", "green"]) == ["green"]
        assert len(await self.found(call, "a red boat", node_ids=[], doc_ids=[])) == 3
        recent = MetadataFilters(filters=[MetadataFilter(key="year", value=2022, operator=FilterOperator.GT)])
        assert await self.found(call, "a red boat", doc_ids=["news"], filters=recent) == ["red"]

    async def test_a_mode_that_a_store_has_not_is_refused_by_name(self, call: Call) -> None:
        await call("add", self.embedded(BOATS))
        for mode in (VectorStoreQueryMode.SVM, VectorStoreQueryMode.LINEAR_REGRESSION):
            with pytest.raises(self.refusals, match=mode.value):
                await call("query", self.asked("a red boat", mode=mode))

    async def test_asking_for_nothing_is_refused(self, call: Call) -> None:
        await call("add", self.embedded(BOATS))
        with pytest.raises(self.refusals):
            await call("query", self.asked("a red boat", similarity_top_k=0))
        with pytest.raises(self.refusals):
            await call("query", VectorStoreQuery(similarity_top_k=1))

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(data=st.data())
    def test_filters_mean_what_llama_index_itself_means(self, store: BasePydanticVectorStore, data: Any) -> None:
        if not is_newest_meaning():
            pytest.skip("in this llama-index-core a missing key is not unequal")
        keys = st.dictionaries(st.sampled_from(KEYS[:3]), VALUES, max_size=3)
        metadata = [{}, BOATS[0].metadata, *data.draw(st.lists(keys, min_size=5, max_size=5))]
        nodes = [TextNode(id_=f"n{n}", text="a red boat", metadata=each) for n, each in enumerate(metadata)]
        store.add(self.embedded(nodes))
        for filters in data.draw(st.lists(FILTERS, min_size=8, max_size=8)):
            expected = {f"n{n}" for n, each in enumerate(metadata) if passes(filters, each)}
            try:
                found = store.query(self.asked("a red boat", similarity_top_k=9, filters=filters))
            except self.refusals:
                assert self.may_refuse(filters), filters
            else:
                assert set(found.ids or []) == expected, filters

    def may_refuse(self, filters: MetadataFilters) -> bool:  # noqa: ARG002
        """Whether the store says in its documentation that it cannot say this."""
        return False

    @pytest.mark.parametrize("strategy", list(DocstoreStrategy))
    async def test_in_a_pipeline_with_each_strategy_of_the_docstore(
        self, call: Call, store: BasePydanticVectorStore, strategy: DocstoreStrategy
    ) -> None:
        pipeline = IngestionPipeline(
            transformations=[SentenceSplitter(), self.embedding_step()],
            vector_store=store,
            docstore=SimpleDocumentStore(),
            docstore_strategy=strategy,
        )

        def documents(*texts: str) -> list[Document]:
            return [Document(id_=f"d{n}", text=text) for n, text in enumerate(texts) if text]

        async def held() -> list[str]:
            return sorted(each.get_content() for each in await call("get_nodes"))

        pipeline.run(documents=documents("a red boat", "a green tree", "a blue sky"))
        assert len(await held()) == 3
        pipeline.run(documents=documents("a red boat", "a green tree", "a blue sky"))
        assert len(await held()) == 3
        await pipeline.arun(documents=documents("a red boat", "a white ship", ""))

        changed = {"a white ship", "a red boat"}
        if strategy == DocstoreStrategy.DUPLICATES_ONLY:
            assert await held() == sorted({*changed, "a green tree", "a blue sky"})
        elif strategy == DocstoreStrategy.UPSERTS:
            assert await held() == sorted({*changed, "a blue sky"})
        else:
            assert await held() == sorted(changed)

    def embedding_step(self) -> TransformComponent:
        """The last transformation of a pipeline: what gives nodes their embeddings."""
        raise NotImplementedError("a test class says how a pipeline embeds")
