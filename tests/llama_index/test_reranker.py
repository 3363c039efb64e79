"""The nodes of any retriever in the order of MaxSim."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    MediaResource,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index_instrumentation import get_dispatcher

from colmilvus import Entity, MultiVector, Unreadable, maxsim
from colmilvus.entity import Metric
from colmilvus.errors import InvalidInput, InvalidQuery, InvalidVectors
from colmilvus.llama_index import LateInteractionReranker, PageReader
from tests.colours import ColourEmbedder, png
from tests.words import VOCABULARY, WordEmbedder

NODES = [
    NodeWithScore(node=TextNode(id_="a", text="dog"), score=0.9),
    NodeWithScore(node=TextNode(id_="b", text="red sea", metadata={"n": 1}, excluded_embed_metadata_keys=["n"])),
    NodeWithScore(node=TextNode(id_="c", text="red dog"), score=0.1),
]


def of(*nodes: BaseNode) -> list[NodeWithScore]:
    return [NodeWithScore(node=node) for node in nodes]


def ids(found: Sequence[NodeWithScore]) -> list[str]:
    return [each.node_id for each in found]


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_the_order_is_that_of_maxsim(metric: Metric) -> None:
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice(VOCABULARY, random.integers(1, 9))) for _ in range(40)]
    nodes = of(*(TextNode(id_=str(number), text=text) for number, text in enumerate(texts)))
    embedder = WordEmbedder(metric)

    for question in ("red", "tree dog cat", "one two red"):
        found = LateInteractionReranker(embedder, top_n=None).postprocess_nodes(nodes, query_str=question)
        (query,) = embedder.embed_queries([question])
        vectors = embedder.embed_entities([Entity("x", each.text) for each in found])
        scores = [maxsim(query, vector, metric) for vector in vectors if isinstance(vector, MultiVector)]

        assert sorted(ids(found), key=int) == ids(nodes)
        assert scores == sorted(scores, reverse=metric != "L2")
        length = 1 if metric == "L2" else len(question.split())
        assert [each.score for each in found] == pytest.approx([score / length for score in scores], abs=1e-6)


@pytest.mark.parametrize(("top_n", "expected"), [(1, ["b"]), (2, ["b", "c"]), (9, ["b", "c", "a"]), (None, [*"bca"])])
def test_so_many_are_kept(top_n: int | None, expected: list[str]) -> None:
    assert ids(LateInteractionReranker(WordEmbedder(), top_n).postprocess_nodes(NODES, query_str="red sea")) == expected


def test_four_are_kept_if_nothing_is_said() -> None:
    nodes = of(*(TextNode(text=f"red {number}") for number in range(6)))

    assert LateInteractionReranker(WordEmbedder()).top_n == 4
    assert len(LateInteractionReranker(embedder=WordEmbedder()).postprocess_nodes(nodes, query_str="red")) == 4


@pytest.mark.parametrize("top_n", [0, -1, True, 2.0, "3"])
def test_a_number_that_is_none_is_refused(top_n: Any) -> None:
    with pytest.raises(InvalidInput, match="top_n is a number from 1, or None for all, not"):
        LateInteractionReranker(WordEmbedder(), top_n)


def test_what_is_no_embedder_is_refused() -> None:
    with pytest.raises(InvalidInput, match="SegmentEmbedder takes"):
        LateInteractionReranker(3)


async def test_the_nodes_come_back_as_they_are_and_stay_so() -> None:
    before = [each.model_copy(deep=True) for each in NODES]
    ranked = LateInteractionReranker(WordEmbedder(), top_n=2)

    found = ranked.postprocess_nodes(NODES, query_str="red sea")

    assert [(each.node_id, each.score) for each in found] == [("b", 1.0), ("c", 0.5)]
    assert found[0].node is NODES[1].node
    assert before == NODES
    assert await ranked.apostprocess_nodes(NODES, query_str="red sea") == found
    assert [each.score for each in ranked.postprocess_nodes(found[::-1], query_str="dog")] == [1.0, 0.0]
    assert ranked.postprocess_nodes([], query_str="red") == []


def test_each_node_is_embedded_once() -> None:
    embedder = WordEmbedder()
    ranked = LateInteractionReranker(embedder, top_n=None)

    for question in ("red", "sea", "dog"):
        assert len(ranked.postprocess_nodes([*NODES, *NODES], query_str=question)) == 6

    assert embedder.embedded == 3


def test_the_text_is_what_llama_index_embeds() -> None:
    plain = TextNode(id_="plain", text="red")
    with_metadata = TextNode(id_="metadata", text="red", metadata={"place": "sea"})
    excluded = TextNode(id_="excluded", text="red", metadata={"place": "sea"}, excluded_embed_metadata_keys=["place"])
    in_template = TextNode(id_="template", text="red", metadata={"place": "x"}, text_template="{content} sea sky")
    nodes = of(plain, with_metadata, excluded, in_template)

    found = LateInteractionReranker(WordEmbedder(), None).postprocess_nodes(nodes, query_str="sea")

    assert [(each.node_id, each.score) for each in found] == [
        *(("metadata", 1.0), ("template", 1.0), ("plain", 0.0), ("excluded", 0.0))
    ]


def test_metadata_alone_are_nothing_to_rank_by() -> None:
    nodes = of(TextNode(id_="blank", text=" ", metadata={"place": "sea"}), TextNode(id_="dog", text="dog"))
    with pytest.warns(UserWarning, match="node 'blank' is not ranked and comes last: no words"):
        found = LateInteractionReranker(WordEmbedder()).postprocess_nodes(nodes, query_str="sea")

    assert [(each.node_id, each.score) for each in found] == [("dog", 0.0), ("blank", None)]


def test_nodes_of_every_class_are_ranked() -> None:
    nodes = of(
        TextNode(id_="text", text="red"),
        Document(id_="document", text="red sea"),
        Node(id_="node", text_resource=MediaResource(text="red sea bird")),
        ImageNode(id_="image", text="red sea bird tree", image_path="not looked at"),
    )
    found = LateInteractionReranker(WordEmbedder()).postprocess_nodes(nodes, query_str="red sea bird tree")

    assert ids(found) == ["image", "node", "document", "text"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for colour in ("red", "green", "blue"):
        (tmp_path / f"{colour}.png").write_bytes(png(colour))
    return tmp_path


class TestPictures:
    def test_they_are_looked_at_wherever_they_are(self, photos: Path) -> None:
        inline = b64encode(png("red")).decode()
        red: list[BaseNode] = [
            ImageNode(id_="inline", image=inline),
            ImageNode(id_="data URI", image=f"data:image/png;base64,{inline}"),
            ImageNode(id_="path", image_path=str(photos / "red.png")),
            ImageNode(id_="address", image_url=(photos / "red.png").as_uri()),
            ImageNode(id_="reference", image_url=f"{(photos / 'red.png').as_uri()}#page=1&dpi=150"),
            ImageDocument(id_="document", image=inline),
            Node(id_="resource", image_resource=MediaResource(path=photos / "red.png")),
            *PageReader().load_data(photos / "red.png"),
        ]
        other = ImageNode(id_="green", text="red", image_path=str(photos / "green.png"))

        found = LateInteractionReranker(ColourEmbedder(), None).postprocess_nodes(of(other, *red), query_str="red")

        assert ids(found) == [*(node.node_id for node in red), "green"]
        assert [each.score for each in found[:-1]] == pytest.approx([1.0] * len(red), abs=0.01)

    @pytest.mark.parametrize("form", ["path", "reference"])
    def test_one_can_be_the_question(self, photos: Path, form: str) -> None:
        (green,) = PageReader().load_data(photos / "green.png")
        place = {"path": str(photos / "green.png"), "reference": green.image_url}[form]  # type: ignore[attr-defined]
        ranked = LateInteractionReranker(ColourEmbedder(), 1)

        (found,) = ranked.postprocess_nodes(of(*PageReader().load_data(photos)), QueryBundle("", image_path=place))

        assert found.node_id == f"{photos / 'green.png'}#1"

    def test_an_embedder_of_words_takes_no_picture_for_a_question(self, photos: Path) -> None:
        question = QueryBundle("red", image_path=str(photos / "red.png"))
        with pytest.raises(InvalidQuery, match="cannot look at pictures"):
            LateInteractionReranker(WordEmbedder()).postprocess_nodes(NODES, question)

    def test_what_cannot_be_looked_at_comes_last_with_a_warning(self, photos: Path) -> None:
        (photos / "bad.png").write_bytes(b"no picture")
        (gone,) = PageReader().load_data(photos / "blue.png")
        (photos / "blue.png").unlink()
        nodes = of(
            ImageNode(id_="bad", image_path=str(photos / "bad.png")),
            gone,
            ImageNode(id_="missing", image_path=str(photos / "missing.png")),
            ImageNode(id_="garbled", image="!?"),
            ImageNode(id_="unreachable", image_url="http://127.0.0.1:9/red.png"),
            ImageNode(id_="green", image_path=str(photos / "green.png")),
            ImageNode(id_="red", image_path=str(photos / "red.png")),
        )
        ranked = LateInteractionReranker(ColourEmbedder(), None)

        with pytest.warns(UserWarning, match="is not ranked and comes last") as told:
            found = ranked.postprocess_nodes(nodes, query_str="red")

        last = ["bad", gone.node_id, "missing", "garbled", "unreachable"]
        assert ids(found) == ["red", "green", *last]
        assert [each.score for each in found[2:]] == [None] * 5
        for name, warning in zip(last, told, strict=True):
            assert f"node {name!r} is not ranked and comes last: " in str(warning.message)

    def test_a_file_that_is_mended_is_looked_at_again(self, photos: Path) -> None:
        (photos / "red.png").rename(photos / "away.png")
        nodes = of(ImageNode(id_="red", image_path=str(photos / "red.png")))
        ranked = LateInteractionReranker(ColourEmbedder())
        with pytest.warns(UserWarning, match="there is no such file"):
            ranked.postprocess_nodes(nodes, query_str="red")

        (photos / "away.png").rename(photos / "red.png")

        assert ranked.postprocess_nodes(nodes, query_str="red")[0].score == pytest.approx(1.0)


class Turns(BaseEmbedding):
    """A text with "dog" points one way, all others another."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [0.6, 0.8] if "dog" in text else [1.0, 0.0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def test_llama_indexs_own_embedding_ranks_by_one_vector() -> None:
    found = LateInteractionReranker(Turns(), 3).postprocess_nodes(NODES, query_str="a cat")

    assert ids(found) == ["b", "a", "c"]
    assert [each.score for each in found] == pytest.approx([1.0, 0.6, 0.6])


@pytest.mark.parametrize("question", ["", " \n"])
async def test_a_blank_question_is_refused(question: str) -> None:
    ranked = LateInteractionReranker(WordEmbedder())
    with pytest.raises(InvalidQuery, match="blank"):
        ranked.postprocess_nodes(NODES, query_str=question)
    with pytest.raises(InvalidQuery, match="blank"):
        await ranked.apostprocess_nodes(NODES, QueryBundle(question))


def test_without_a_question_it_says_how_to_ask() -> None:
    with pytest.raises(InvalidQuery, match="pass query_str= or query_bundle="):
        LateInteractionReranker(WordEmbedder()).postprocess_nodes(NODES)


def test_a_wrong_number_of_vectors_is_refused() -> None:
    class Short(WordEmbedder):
        def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
            return super().embed_entities(entities)[1:]

    with pytest.raises(InvalidVectors, match="2 multi-vectors for 3 documents"):
        LateInteractionReranker(Short()).postprocess_nodes(NODES, query_str="red")


class Events(BaseEventHandler):
    seen: list[Any] = []  # noqa: RUF012  # pydantic copies it for each handler

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **_: Any) -> None:
        if isinstance(event, ReRankStartEvent | ReRankEndEvent):
            self.seen.append(event)


@contextmanager
def watched() -> Iterator[list[Any]]:
    """The events of reranking that LlamaIndex's handlers hear of."""
    events, dispatcher = Events(), get_dispatcher()
    dispatcher.add_event_handler(events)
    try:
        yield events.seen
    finally:
        dispatcher.event_handlers.remove(events)


@pytest.mark.parametrize(("top_n", "told"), [(2, 2), (None, 3)])
async def test_the_events_are_those_that_the_framework_knows(top_n: int | None, told: int) -> None:
    ranked = LateInteractionReranker(WordEmbedder(), top_n)
    with watched() as events:
        found = ranked.postprocess_nodes(NODES, query_str="red sea")
        await ranked.apostprocess_nodes(NODES, query_str="red sea")

    assert [type(event) for event in events] == [ReRankStartEvent, ReRankEndEvent] * 2
    start, end = events[:2]
    assert (start.query.query_str, start.top_n, start.model_name) == ("red sea", told, "words")
    assert start.nodes == NODES
    assert end.nodes == found


class Given(BaseRetriever):
    """Finds the same nodes whatever is asked."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:  # noqa: ARG002 - LlamaIndex's signature
        return list(NODES)


async def test_in_a_query_engine_the_best_reach_the_model() -> None:
    engine = RetrieverQueryEngine.from_args(
        Given(), llm=MockLLM(), node_postprocessors=[LateInteractionReranker(WordEmbedder(), 1)]
    )

    for response in (engine.query("red sea"), await engine.aquery("red sea")):
        assert ids(response.source_nodes) == ["b"]
        assert "red sea" in str(response).partition("Query:")[0]  # MockLLM answers with the prompt
        assert "dog" not in str(response)


def test_its_fields_are_what_llama_index_shows() -> None:
    ranked = LateInteractionReranker(WordEmbedder(), 2)

    assert ranked.to_dict() == {"top_n": 2, "class_name": "LateInteractionReranker"}
    assert ranked.embedder.name == "words"
