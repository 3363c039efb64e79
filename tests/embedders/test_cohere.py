"""CohereEmbedder against a server that speaks /v2/embed and means no mock: the client is cohere's own."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import cohere
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Segment, Unreadable, group, maxsim
from colmilvus.embedder import Embedder
from colmilvus.embedders.cohere import CohereEmbedder, Usage
from colmilvus.errors import EmbeddingServiceError, InvalidInput, InvalidQuery, MissingExtra
from tests.embedders.cohere_server import (
    KEY,
    CohereServer,
    Json,
    answering,
    breaking_off,
    html,
    refusing,
    vector_of,
)

MULTILINGUAL = "embed-multilingual-v3.0"
LIGHT = "embed-multilingual-light-v3.0"
Connect: TypeAlias = Callable[..., CohereEmbedder]
"""Makes an embedder that asks the server, with the options that are given besides."""

QUICK = 0.25
"""Seconds of pauses at most: what fails for the moment is sent again within milliseconds."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("CO_API_KEY", raising=False)
    monkeypatch.delenv("COHERE_API_KEY", raising=False)


@pytest.fixture
def server() -> Iterator[CohereServer]:
    with CohereServer() as server:
        yield server
    assert not server.errors


@pytest.fixture
def connect(server: CohereServer) -> Connect:
    def embedder(model: str = LIGHT, **options: Any) -> CohereEmbedder:
        return CohereEmbedder(model, **{"api_key": KEY, "base_url": server.url, "max_wait": QUICK, **options})

    return embedder


def texts(count: int) -> list[Entity]:
    return [Entity(str(number), f"text {number}") for number in range(count)]


def rows(answer: MultiVector | Unreadable) -> NDArray[np.float32]:
    assert isinstance(answer, MultiVector)
    return answer.vectors


def expected(*contents: str, dim: int = 384) -> NDArray[np.float32]:
    return np.stack([vector_of(content, dim) for content in contents])


def jpeg(colour: str | tuple[int, int, int] = "red", size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def sent_pictures(body: Json) -> list[Image.Image]:
    uris = body.get("images") or [one["content"][0]["image_url"]["url"] for one in body["inputs"]]
    return [Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in uris]


class TestConstruction:
    def test_it_is_an_embedder_with_what_changes_its_vectors_as_settings(self) -> None:
        embedder = CohereEmbedder(api_key=KEY)

        assert isinstance(embedder, Embedder)
        assert (embedder.name, embedder.dim, embedder.metric, embedder.reads_images) == ("cohere", 1536, "COSINE", True)
        assert embedder.settings == {
            "model": "embed-v4.0",
            "output_dimension": 1536,
            "input_type": "search_document",
            "query_input_type": "search_query",
            "query": "whole",
            "content": "both",
        }

    @pytest.mark.parametrize(
        ("model", "dim"),
        [("embed-v4.0", 1536), ("embed-english-v3.0", 1024), (MULTILINGUAL, 1024), ("embed-english-light-v3.0", 384)],
    )
    def test_the_dimension_of_a_known_model_is_not_asked_for(
        self, server: CohereServer, connect: Connect, model: str, dim: int
    ) -> None:
        assert connect(model).dim == dim
        assert server.requests == []

    def test_the_dimension_of_an_unknown_model_is_asked_for_once_and_held_to(
        self, server: CohereServer, connect: Connect
    ) -> None:
        embedder = connect("private-model")

        assert embedder.dim == 7
        assert len(server.requests) == 1
        server.always = answering(lambda answer: {**answer, "embeddings": {"float": [[1.0, 2.0]]}})
        with pytest.raises(EmbeddingServiceError, match="vectors of 2 dimensions, expected 7"):
            embedder.embed_queries(["x"])

    def test_an_output_dimension_is_asked_for_and_given(self, server: CohereServer, connect: Connect) -> None:
        embedder = connect("embed-v4.0", output_dimension=256)
        [answer] = embedder.embed_entities([Entity("a", "red sea")])

        assert embedder.dim == embedder.settings["output_dimension"] == 256
        assert server.requests[0]["output_dimension"] == 256
        assert np.array_equal(rows(answer), expected("red sea", dim=256))

    def test_an_output_dimension_that_a_model_cannot_give_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match=r"for embed-v4\.0 and newer models; 'embed-multi.* gives 1024"):
            CohereEmbedder(MULTILINGUAL, output_dimension=512, api_key=KEY)
        with pytest.raises(InvalidInput, match="one of 256, 512, 1024, 1536; got 300"):
            CohereEmbedder(output_dimension=300, api_key=KEY)

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("content", "pictures", "content is one of 'both', 'text', 'images'; got 'pictures'"),
            ("query", "word", "query is one of 'whole', 'words'; got 'word'"),
            ("input_type", "document", "input_type is one of 'search_document'"),
            ("query_input_type", "image", "query_input_type is one of 'search_document'"),
            ("concurrency", 0, "concurrency is a number of requests from 1; got 0"),
            ("concurrency", True, "concurrency"),
            ("timeout", 0, "timeout is a number of seconds above 0; got 0"),
            ("max_wait", -1, "max_wait is a number of seconds from 0; got -1"),
            ("max_wait", float("inf"), "max_wait"),
            ("split_text", 512, "split_text is a function of a text, or an object with such a method; got 512"),
            ("base_url", "localhost:8080", "base_url is an address such as https://.*; got 'localhost:8080'"),
            ("base_url", "http://host:port", "base_url"),
            ("client", object(), r"client is a cohere\.ClientV2; got object"),
        ],
    )
    def test_a_value_that_cannot_be_is_refused(self, option: str, value: object, message: str) -> None:
        key = None if option == "client" else KEY
        with pytest.raises(InvalidInput, match=message):
            CohereEmbedder(**{"api_key": key, option: value})  # type: ignore[arg-type]  # that is the point

    def test_importing_it_loads_neither_cohere_nor_tenacity_nor_httpx(self) -> None:
        code = "import sys, colmilvus.embedders.cohere as _; print({'cohere', 'tenacity', 'httpx'} & {*sys.modules})"

        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"

    @pytest.mark.parametrize("missing", ["cohere", "tenacity"])
    def test_without_the_extra_it_says_what_to_install(self, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, missing, None)  # what an import finds of a library that is not there

        with pytest.raises(MissingExtra, match=r"CohereEmbedder needs .* pip install 'colmilvus\[cohere\]'"):
            CohereEmbedder(api_key=KEY)


class TestKey:
    @pytest.mark.parametrize("key", [None, "", " \n"])
    def test_without_a_key_both_ways_to_give_one_are_named(self, key: str | None) -> None:
        with pytest.raises(InvalidInput, match="pass api_key=, or set the environment variable CO_API_KEY"):
            CohereEmbedder(api_key=key)

    def test_a_key_of_the_environment_is_used(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CO_API_KEY", f"{KEY}\n")

        assert len(connect(api_key=None).embed_queries(["x"])) == 1

    @pytest.mark.parametrize("key", ["two words", "se\ncret", "schlüssel"])
    def test_what_no_request_can_carry_is_refused_and_not_shown(self, key: str) -> None:
        with pytest.raises(InvalidInput, match="characters that no key has") as raised:
            CohereEmbedder(api_key=key)

        assert key not in str(raised.value)

    def test_a_refused_key_is_said_once_and_never_shown(self, server: CohereServer, connect: Connect) -> None:
        embedder = connect(api_key="a-wrong-key")
        told = r"it refused the key with status 401, 'invalid api token'; .*CO_API_KEY"
        with pytest.raises(EmbeddingServiceError, match=told) as raised:
            embedder.embed_queries(["x"])

        assert len(server.requests) == 1
        assert "a-wrong-key" not in "".join(traceback.format_exception(raised.value))

    def test_a_ready_client_is_used(self, server: CohereServer) -> None:
        with cohere.ClientV2(KEY, base_url=server.url) as client:
            embedder = CohereEmbedder(LIGHT, client=client)

            assert np.array_equal(rows(embedder.embed_queries(["red"])[0]), expected("red"))

    def test_a_ready_client_has_its_own_key_and_address(self, server: CohereServer) -> None:
        with cohere.ClientV2(KEY, base_url=server.url) as client:
            for option in ({"api_key": KEY}, {"base_url": server.url}):
                with pytest.raises(InvalidInput, match="leave api_key= and base_url= out"):
                    CohereEmbedder(client=client, **option)  # type: ignore[arg-type]

    def test_the_bad_key_of_a_ready_client_is_not_shown(self, server: CohereServer) -> None:
        embedder = CohereEmbedder(LIGHT, client=cohere.ClientV2("se\ncret", base_url=server.url))
        with pytest.raises(EmbeddingServiceError, match="the key of the client; check it") as raised:
            embedder.embed_queries(["x"])

        assert "cret" not in "".join(traceback.format_exception(raised.value))


class TestTexts:
    def test_a_text_has_one_vector_and_is_sent_as_a_document_whole(
        self, server: CohereServer, connect: Connect
    ) -> None:
        [answer] = connect().embed_entities([Entity("a", "red sea")])

        assert isinstance(answer, MultiVector)
        assert answer.segments is None
        assert np.array_equal(answer.vectors, expected("red sea"))
        assert server.requests == [
            {
                "model": LIGHT,
                "texts": ["red sea"],
                "input_type": "search_document",
                "embedding_types": ["float"],
                "truncate": "NONE",
            }
        ]

    def test_each_segment_has_one_that_names_it_and_blank_ones_have_none(self, connect: Connect) -> None:
        segments = (Segment("s", "red"), Segment("t", " \n"), Segment("u", "blue sky"))
        [answer] = connect(split_text=str.split).embed_entities([Entity("a", "not read", segments=segments)])

        assert isinstance(answer, MultiVector)
        assert answer.segments is not None
        assert answer.segments.tolist() == [0, 2]
        assert np.array_equal(answer.vectors, expected("red", "blue sky"))

    def test_each_piece_that_a_function_makes_has_one(self, connect: Connect) -> None:
        embedder = connect(split_text=lambda text: text.split("."))
        [answer] = embedder.embed_entities([Entity("a", "one dog. .two cats")])

        assert isinstance(answer, MultiVector)
        assert answer.segments is None
        assert np.array_equal(answer.vectors, expected("one dog", "two cats"))

    def test_an_object_with_such_a_method_splits_too(self, connect: Connect) -> None:
        class Splitter:  # the shape of LangChain's text splitters
            def split_text(self, text: str) -> list[str]:
                return text.split(", ")

            def __call__(self, nodes: object) -> object:  # and of LlamaIndex's, which can be called, with nodes
                raise AssertionError(nodes)

        [answer] = connect(split_text=Splitter()).embed_entities([Entity("a", "one, two")])

        assert np.array_equal(rows(answer), expected("one", "two"))

    def test_a_splitter_of_llama_index_fits_as_it_is(self, server: CohereServer, connect: Connect) -> None:
        node_parser = pytest.importorskip("llama_index.core.node_parser")
        splitter = node_parser.SentenceSplitter(chunk_size=20, chunk_overlap=0)
        text = "The sea is red in the evening sun. " * 6
        [answer] = connect(split_text=splitter).embed_entities([Entity("a", text)])

        assert len(rows(answer)) == len(splitter.split_text(text)) > 1
        assert server.requests[0]["texts"] == splitter.split_text(text)

    def test_a_parser_of_llama_index_that_splits_documents_fits_as_it_is(
        self, connect: Connect, server: CohereServer
    ) -> None:
        from llama_index.core.node_parser import MarkdownNodeParser

        text = "# One\n\nwhales\n\n# Two\n\nsharks"
        [answer] = connect(split_text=MarkdownNodeParser()).embed_entities([Entity("a", text)])

        assert len(rows(answer)) == 2
        assert server.requests[0]["texts"] == ["# One\n\nwhales", "# Two\n\nsharks"]

    def test_pieces_may_be_documents(self, connect: Connect, server: CohereServer) -> None:
        from langchain_core.documents import Document

        connect(split_text=lambda text: [Document(word) for word in text.split()]).embed_entities(
            [Entity("a", "one two")]
        )

        assert server.requests[0]["texts"] == ["one", "two"]

    def test_one_question_in_place_of_a_list_is_refused(self, connect: Connect) -> None:
        with pytest.raises(InvalidQuery, match=r"takes a list of queries: \['What"):
            connect().embed_queries("What?")

    @pytest.mark.parametrize("split", [str.strip, lambda _: None, lambda text: [text, 3], lambda text: [text.encode()]])
    def test_a_splitter_that_gives_no_list_of_texts_is_refused(
        self, connect: Connect, split: Callable[[str], Any]
    ) -> None:
        with pytest.raises(InvalidInput, match="split_text gives a list of texts for a text; for 'letters' it gave"):
            connect(split_text=split).embed_entities([Entity("a", "letters")])

    def test_at_most_96_go_into_a_request_and_come_back_in_order(self, server: CohereServer, connect: Connect) -> None:
        entities = texts(97 + 96)
        answers = connect().embed_entities(entities)

        assert sorted(len(body["texts"]) for body in server.requests) == [1, 96, 96]
        assert np.array_equal(np.concatenate([*map(rows, answers)]), expected(*(entity.text for entity in entities)))

    def test_halves_of_characters_are_replaced(self, server: CohereServer, connect: Connect) -> None:
        connect().embed_entities([Entity("a", "half \ud83d whole \ud83d\ude00")])

        assert server.requests[0]["texts"] == ["half \ufffd whole \N{GRINNING FACE}"]

    def test_nothing_is_asked_where_there_is_nothing_to_embed(self, server: CohereServer, connect: Connect) -> None:
        blank = Entity("b", "text", segments=(Segment("s", " "),))
        embedder = connect(split_text=lambda _: [])

        assert embedder.embed_entities([]) == []
        assert embedder.embed_queries([]) == []
        assert embedder.embed_entities([Entity("a", " \n"), blank, Entity("c", "text")]) == [
            Unreadable("neither text nor picture"),
            Unreadable("no text"),
            Unreadable("neither text nor picture"),
        ]
        assert server.requests == []

    def test_the_input_types_are_those_given(self, server: CohereServer, connect: Connect) -> None:
        embedder = connect(input_type="classification", query_input_type="clustering")
        embedder.embed_entities(texts(1))
        embedder.embed_queries(["x"])

        assert [body["input_type"] for body in server.requests] == ["classification", "clustering"]


class TestPictures:
    def test_an_entity_with_a_picture_has_one_more_vector(self, server: CohereServer, connect: Connect) -> None:
        embedder = connect("embed-v4.0", split_text=str.split)
        plain, both, picture = embedder.embed_entities(
            [Entity("a", "one"), Entity("b", "two three", image=jpeg()), Entity("c", image=jpeg("blue"))]
        )
        words, pictures = server.requests if "texts" in server.requests[0] else reversed(server.requests)
        red, blue = (one["content"][0]["image_url"]["url"] for one in pictures["inputs"])

        assert words["texts"] == ["one", "two", "three"]
        assert pictures["input_type"] == "search_document"
        assert "truncate" not in pictures
        assert np.array_equal(rows(plain), expected("one", dim=1536))
        assert np.array_equal(rows(both), expected("two", "three", red, dim=1536))
        assert np.array_equal(rows(picture), expected(blue, dim=1536))

    def test_an_older_model_gets_one_picture_a_request(self, server: CohereServer, connect: Connect) -> None:
        answers = connect().embed_entities([Entity(name, image=jpeg(name)) for name in ("red", "blue", "green")])

        assert [(len(body["images"]), body["input_type"]) for body in server.requests] == [(1, "image")] * 3
        by_uri = {body["images"][0] for body in server.requests}
        assert {tuple(rows(answer)[0]) for answer in answers} == {tuple(vector_of(uri, 384)) for uri in by_uri}

    def test_a_newer_model_gets_few_that_stay_below_its_limit_together(
        self, server: CohereServer, connect: Connect
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 2, (1600, 1600, 3), dtype=np.uint8) * 255
        pages = [Entity(str(number), image=Image.fromarray(np.roll(noise, number))) for number in range(5)]
        connect("embed-v4.0").embed_entities(pages)

        assert sorted(len(body["inputs"]) for body in server.requests) == [1, 4]

    def test_pictures_are_sent_as_a_reader_sees_them_no_larger_than_the_model_looks(
        self, server: CohereServer, connect: Connect
    ) -> None:
        connect("embed-v4.0").embed_entities(
            [
                Entity("large", image=Image.new("RGB", (4000, 3000), "red")),
                Entity("long", image=Image.new("L", (9000, 1))),
                Entity("clear", image=Image.new("RGBA", (50, 40), (255, 0, 0, 0))),
            ]
        )
        large, long, clear = sent_pictures(server.requests[0])

        assert 2_400_000 < large.width * large.height <= 2_458_624
        assert large.width / large.height == pytest.approx(4 / 3, rel=0.01)
        assert (large.mode, long.size) == ("RGB", (9000, 1))
        assert (clear.size, clear.getpixel((0, 0))) == ((50, 40), (255, 255, 255))

    def test_content_text_leaves_pictures_unread(self, connect: Connect, tmp_path: Path) -> None:
        embedder = connect(content="text")
        read, unread = embedder.embed_entities(
            [Entity("a", "text", image=tmp_path / "not there.png"), Entity("b", image=jpeg())]
        )

        assert not embedder.reads_images
        assert np.array_equal(rows(read), expected("text"))
        assert unread == Unreadable("no text, and content='text' leaves its picture unread")

    def test_content_images_reads_nothing_else(self, server: CohereServer, connect: Connect) -> None:
        embedder = connect(content="images")
        segments = (Segment("s", "text"),)
        picture, text, parts = embedder.embed_entities(
            [Entity("a", "text", image=jpeg()), Entity("b", "text"), Entity("c", image=jpeg(), segments=segments)]
        )

        assert len(rows(picture)) == 1
        assert [[*body] for body in server.requests] == [["images", "model", "input_type", "embedding_types"]]
        assert text == Unreadable("no picture, and content='images' reads pictures only")
        assert parts == Unreadable("its segments are texts, and content='images' reads pictures only")

    def test_a_picture_beside_segments_has_no_place(self, connect: Connect) -> None:
        [answer] = connect().embed_entities([Entity("a", image=jpeg(), segments=(Segment("s", "red"),))])

        assert np.array_equal(rows(answer), expected("red"))

    def test_a_picture_that_cannot_be_read_is_told(self, connect: Connect) -> None:
        damaged, fine = connect().embed_entities([Entity("a", image=b"no picture"), Entity("b", image=jpeg())])

        assert isinstance(damaged, Unreadable)
        assert damaged.reason.startswith("its picture cannot be read: cannot be read as a picture")
        assert len(rows(fine)) == 1

    def test_beside_a_text_it_is_a_warning_for_the_caller(self, connect: Connect) -> None:
        with pytest.warns(UserWarning, match=r"picture of entity 'a' .*no such file.*only its text") as caught:
            [answer] = connect().embed_entities([Entity("a", "red", image=Path("not there.png"))])

        assert caught[0].filename == __file__
        assert np.array_equal(rows(answer), expected("red"))


class TestAtOnce:
    def test_so_many_requests_are_sent_at_once_and_order_is_kept_whichever_answers_first(
        self, server: CohereServer, connect: Connect
    ) -> None:
        server.delay = lambda body: 0.3 if "text 0" in body["texts"] else 0.05
        entities = texts(5 * 96)
        answers = connect(concurrency=3).embed_entities(entities)

        assert server.most_at_once == 3
        assert np.array_equal(np.concatenate([*map(rows, answers)]), expected(*(entity.text for entity in entities)))

    def test_one_at_a_time_is_one_at_a_time(self, server: CohereServer, connect: Connect) -> None:
        server.delay = lambda _: 0.02
        connect(concurrency=1).embed_entities(texts(300))

        assert (len(server.requests), server.most_at_once) == (4, 1)

    def test_when_one_fails_for_good_the_others_are_not_waited_for(
        self, server: CohereServer, connect: Connect
    ) -> None:
        server.delay = lambda body: 4.0 if "text 0" in body["texts"] else 0.0
        server.always = lambda handler, body: (  # only the first is answered
            handler.send(200, server.answer(body))
            if "text 0" in body["texts"]
            else handler.send(403, {"message": "no"})
        )
        start = time.monotonic()
        with pytest.raises(EmbeddingServiceError, match="403"):
            connect(concurrency=2).embed_entities(texts(1000))

        assert time.monotonic() - start < 3
        assert len(server.requests) <= 3

    def test_and_those_that_wait_to_be_sent_again_give_up(self, server: CohereServer, connect: Connect) -> None:
        server.delay = lambda body: 0.0 if "text 0" in body["texts"] else 0.2
        server.always = lambda handler, body: (
            handler.send(429, {"message": "wait"}, {"Retry-After": "50"})
            if "text 0" in body["texts"]
            else handler.send(403, {"message": "no"})
        )
        with pytest.raises(EmbeddingServiceError, match="403"):
            connect(concurrency=2, max_wait=100).embed_entities(texts(192))

        deadline = time.monotonic() + 10
        while any(thread.name.startswith("colmilvus-cohere") for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_nor_is_what_is_too_long_looked_for_any_longer(self, server: CohereServer, connect: Connect) -> None:
        server.most_words = 1
        server.delay = lambda body: 0.1 if len(body["texts"]) == 1 or "text 100" in body["texts"] else 0.05
        refuse = refusing(403)
        server.always = lambda handler, body: (
            refuse(handler, body) if "text 100" in body["texts"] else handler.respond(body, 0)
        )
        with pytest.raises(EmbeddingServiceError, match="403"):
            connect(concurrency=2).embed_entities(texts(192))

        before = len(server.requests)
        time.sleep(0.4)
        assert len(server.requests) <= before + 1


class TestRetries:
    @pytest.mark.parametrize(
        "faults",
        [
            [refusing(429, "You are past the per minute request limit, please wait and try again later.")],
            [refusing(500), refusing(503)],
            [refusing(408), refusing(502), refusing(504), refusing(499)],
            [html(502)],
            [breaking_off, breaking_off],
        ],
    )
    def test_what_fails_for_the_moment_is_sent_again(
        self, server: CohereServer, connect: Connect, faults: list[Any]
    ) -> None:
        server.faults.extend(faults)
        [answer] = connect().embed_queries(["red"])

        assert len(server.requests) == len(faults) + 1
        assert np.array_equal(answer.vectors, expected("red"))

    def test_so_is_what_does_not_come_in_time(self, server: CohereServer, connect: Connect) -> None:
        server.delay = lambda _: 0.5 if len(server.requests) == 1 else 0.0
        embedder = connect(timeout=0.2)

        assert len(embedder.embed_queries(["red"])) == 1
        assert len(server.requests) == 2

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
    def test_what_is_refused_for_good_is_not(self, server: CohereServer, connect: Connect, status: int) -> None:
        server.always = refusing(status, "this will not do")

        with pytest.raises(EmbeddingServiceError, match=f"1 text with .*tried once: .*{status}, 'this will not do'"):
            connect().embed_queries(["red"])
        assert len(server.requests) == 1

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_the_service_says_how_long_to_wait(self, server: CohereServer, connect: Connect, form: str) -> None:
        until = datetime.now(timezone.utc) + timedelta(seconds=2)
        server.faults.append(
            refusing(429, Retry_After="1" if form == "seconds" else format_datetime(until, usegmt=True))
        )
        connect(max_wait=5).embed_queries(["red"])

        first, second = server.times
        assert 0.9 < second - first < 3

    @pytest.mark.parametrize("value", ["soon", "-5", "inf", "nan", "Thu, 01 Jan 1970 00:00:00 GMT", ""])
    def test_a_header_that_says_nothing_of_use_is_passed_over(
        self, server: CohereServer, connect: Connect, value: str
    ) -> None:
        server.faults.append(refusing(503, Retry_After=value))

        assert len(connect().embed_queries(["red"])) == 1

    def test_longer_than_the_user_would_is_not_waited(self, server: CohereServer, connect: Connect) -> None:
        server.always = refusing(429, "come back in an hour", Retry_After="3600")

        with pytest.raises(EmbeddingServiceError, match=r"tried once: .*429, 'come back in an hour'; .*max_wait="):
            connect(max_wait=60).embed_queries(["red"])

    def test_it_is_tried_eight_times_and_no_more_by_anybody(self, server: CohereServer, connect: Connect) -> None:
        server.always = refusing(500, "internal server error")

        with pytest.raises(
            EmbeddingServiceError,
            match=r"2 texts with .*, tried 8 times: .*500, 'internal server error'; try again later",
        ) as raised:
            connect().embed_queries(["red", "blue"])
        assert len(server.requests) == 8
        assert server.times[-1] - server.times[0] < QUICK + 1
        assert isinstance(raised.value.__cause__, cohere.core.ApiError)

    def test_a_ready_client_does_not_try_beyond_that(self, server: CohereServer) -> None:
        server.always = refusing(503)
        with (
            cohere.ClientV2(KEY, base_url=server.url) as client,
            pytest.raises(EmbeddingServiceError, match="tried 8 times"),
        ):
            CohereEmbedder(LIGHT, client=client, max_wait=QUICK).embed_queries(["red"])

        assert len(server.requests) == 8

    def test_a_ready_client_waits_as_it_is_told_where_its_errors_say_how_long(self, server: CohereServer) -> None:
        if not hasattr(cohere.core.ApiError(), "headers"):
            pytest.skip("the errors of this version of cohere do not carry the headers of an answer")
        server.faults.append(refusing(429, Retry_After="0.5"))
        with cohere.ClientV2(KEY, base_url=server.url) as client:
            CohereEmbedder(LIGHT, client=client, max_wait=1).embed_queries(["red"])

        assert server.times[1] - server.times[0] > 0.45

    def test_without_waiting_it_is_tried_once(self, server: CohereServer, connect: Connect) -> None:
        server.always = refusing(500)

        with pytest.raises(EmbeddingServiceError, match="tried once"):
            connect(max_wait=0).embed_queries(["red"])

    def test_where_nobody_answers_that_is_said(self, connect: Connect) -> None:
        embedder = connect(base_url="http://127.0.0.1:1", max_wait=0.05)

        with pytest.raises(EmbeddingServiceError, match=r"tried 8 times: no answer came \(ConnectError: .*base_url="):
            embedder.embed_queries(["red"])


TOO_LONG = [
    "too many tokens: total number of tokens in the prompt cannot exceed {most} - received {words}.",
    "invalid request: text is too long, it has {words} tokens",
    "Input exceeds the maximum token length of {most}",
    "Input length {words} exceeds maximum length {most}",
]


class TestTooLong:
    @pytest.mark.parametrize("wording", TOO_LONG)
    def test_a_text_longer_than_the_model_reads_is_cut_and_named(
        self, server: CohereServer, connect: Connect, wording: str
    ) -> None:
        server.most_words, server.too_long = 3, wording
        entities = [Entity("a", "one two"), Entity("b", "one two three four"), Entity("c", "three")]
        with pytest.warns(UserWarning, match=f"beginning .*'{LIGHT}' reads: entity 'b'; .*split_text=") as caught:
            answers = connect().embed_entities(entities)

        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert np.array_equal(np.concatenate([*map(rows, answers)]), expected("one two", "one two three", "three"))

    def test_among_many_it_is_found_by_halves_and_the_others_stay_whole(
        self, server: CohereServer, connect: Connect
    ) -> None:
        server.most_words = 3
        entities = texts(96)
        entities[70] = Entity("long", "one two three four")
        with pytest.warns(UserWarning, match="reads: entity 'long'; "):
            answers = connect().embed_entities(entities)

        whole = [entity.text for entity in entities]
        assert np.array_equal(
            np.concatenate([*map(rows, answers)]), expected(*whole[:70], "one two three", *whole[71:])
        )
        assert [body["texts"] for body in server.requests if body["truncate"] == "END"] == [["one two three four"]]
        assert len(server.requests) < 18

    def test_segments_are_named_and_of_many_only_some(self, server: CohereServer, connect: Connect) -> None:
        server.most_words = 3
        segments = tuple(Segment(f"s{number}", f"one two three {number}") for number in range(7))
        with pytest.warns(UserWarning, match="segment 's0' of entity 'a', .*segment 's4' of entity 'a' and 2 more; "):
            [answer] = connect().embed_entities([Entity("a", segments=segments)])

        assert len(rows(answer)) == 7

    def test_a_query_is_cut_likewise(self, server: CohereServer, connect: Connect) -> None:
        server.most_words = 3
        with pytest.warns(UserWarning, match="reads: query 'one two three four'; ask more briefly") as caught:
            [answer] = connect().embed_queries(["one two three four"])

        assert caught[0].filename == __file__
        assert np.array_equal(answer.vectors, expected("one two three"))

    def test_texts_that_are_too_much_together_are_asked_apart_without_a_word(
        self, server: CohereServer, connect: Connect
    ) -> None:
        refuse = refusing(413, "request entity too large")
        server.always = lambda handler, body: (
            refuse(handler, body) if len(body["texts"]) > 2 else handler.send(200, server.answer(body))
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answers = connect().embed_entities(texts(8))

        assert np.array_equal(np.concatenate([*map(rows, answers)]), expected(*(f"text {n}" for n in range(8))))

    def test_what_is_refused_though_it_may_be_cut_is_an_error(self, server: CohereServer, connect: Connect) -> None:
        server.always = refusing(400, "too many tokens: multi-hop prompt is too long even after truncation")

        with pytest.raises(EmbeddingServiceError, match="400, 'too many tokens: multi-hop"):
            connect().embed_entities(texts(4))
        assert [(len(body["texts"]), body["truncate"]) for body in server.requests] == [
            (4, "NONE"),
            (2, "NONE"),
            (1, "NONE"),
            (1, "END"),
        ]


def with_rows(change: Callable[[list[list[float]]], object]) -> Callable[[Json], Json]:
    return lambda answer: {**answer, "embeddings": {"float": change(answer["embeddings"]["float"])}}


class TestAnswers:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (with_rows(lambda rows: rows[:1]), "2 texts with '.*' with 1 vectors"),
            (with_rows(lambda rows: [*rows, rows[0]]), "2 texts with '.*' with 3 vectors"),
            (with_rows(lambda rows: [row[:7] for row in rows]), "vectors of 7 dimensions, expected 384"),
            (with_rows(lambda rows: [rows[0], rows[1][:7]]), "something else than vectors: a multi-vector is a matrix"),
            (
                with_rows(lambda rows: [rows[0], [float("nan")] * 384]),
                "something else than vectors: vector 1 of 2 holds",
            ),
            (with_rows(lambda _: [["a"], ["b"]]), "something else than vectors"),
            (with_rows(lambda _: 3), "without float embeddings"),
            (lambda answer: {**answer, "embeddings": {"int8": [[1], [2]]}}, "without float embeddings"),
            (lambda _: {}, "without float embeddings"),
            (lambda _: None, "without float embeddings"),
            (lambda _: [1, 2], "its answer could not be read"),
            (lambda answer: {**answer, "embeddings": [[1.0]]}, "its answer could not be read"),
        ],
    )
    def test_what_is_not_one_vector_for_each_text_is_an_error_and_not_asked_for_again(
        self,
        server: CohereServer,
        connect: Connect,
        change: Callable[[Json], object],
        message: str,
    ) -> None:
        server.always = answering(change)

        with pytest.raises(EmbeddingServiceError, match=message):
            connect().embed_queries(["red", "blue"])
        assert len(server.requests) == 1

    def test_a_page_in_place_of_json_is_shown_in_short(self, server: CohereServer, connect: Connect) -> None:
        server.always = html()

        with pytest.raises(EmbeddingServiceError, match=r"else than JSON: '<html><body>A page of some proxy</body>"):
            connect().embed_queries(["red"])

    def test_an_address_without_this_service_is_named(self, server: CohereServer, connect: Connect) -> None:
        with pytest.raises(EmbeddingServiceError, match="404, '404 page not found'; check model=, and base_url="):
            connect(base_url=f"{server.url}/elsewhere/").embed_queries(["red"])

    def test_a_slash_at_the_end_of_the_address_does_no_harm(self, server: CohereServer, connect: Connect) -> None:
        assert len(connect(base_url=f"{server.url}/").embed_queries(["red"])) == 1


class TestUsage:
    def test_what_was_embedded_and_billed_is_counted(self, connect: Connect) -> None:
        embedder = connect("embed-v4.0", query="words")

        assert embedder.usage == Usage()
        embedder.embed_entities([Entity("a", "one two"), Entity("b", "three", image=jpeg(size=(280, 280)))])
        embedder.embed_queries(["red sea"])
        assert embedder.usage == Usage(requests=3, texts=4, images=1, input_tokens=5, image_tokens=100)

    def test_nothing_is_lost_among_threads(self, connect: Connect) -> None:
        embedder = connect(concurrency=8)
        threads = [threading.Thread(target=embedder.embed_entities, args=(texts(200),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert embedder.usage == Usage(requests=12, texts=800, input_tokens=1600)

    def test_an_answer_without_a_bill_counts_too(self, server: CohereServer, connect: Connect) -> None:
        server.faults.append(answering(lambda answer: {**answer, "meta": None}))
        server.faults.append(answering(lambda answer: {**answer, "meta": {"billed_units": {"input_tokens": None}}}))
        embedder = connect()
        embedder.embed_queries(["red"])
        embedder.embed_queries(["red"])

        assert embedder.usage == Usage(requests=2, texts=2)


class Drawn:
    """A picture that is drawn when somebody looks."""

    key = "red square"

    def open(self) -> Image.Image:
        return Image.new("RGB", (40, 30), "red")


class TestQueries:
    def test_a_question_is_one_vector_and_sent_as_a_question(self, server: CohereServer, connect: Connect) -> None:
        answers = connect().embed_queries(["red sea", "blue"])

        assert [answer.vectors.tolist() for answer in answers] == [
            expected("red sea").tolist(),
            expected("blue").tolist(),
        ]
        assert [(body["input_type"], body["texts"]) for body in server.requests] == [
            ("search_query", ["red sea", "blue"])
        ]

    def test_or_one_a_word_in_order_all_in_one_request(self, server: CohereServer, connect: Connect) -> None:
        first, second = connect(query="words").embed_queries(["Adobe  software\n Adobe", "blue"])

        assert np.array_equal(first.vectors, expected("Adobe", "software", "Adobe"))
        assert np.array_equal(second.vectors, expected("blue"))
        assert [body["texts"] for body in server.requests] == [["Adobe", "software", "Adobe", "blue"]]

    @pytest.mark.parametrize("query", ["words", "whole"])
    def test_a_blank_one_is_refused_before_anything_is_asked(
        self, server: CohereServer, connect: Connect, query: str
    ) -> None:
        with pytest.raises(InvalidQuery, match="the query is blank"):
            connect(query=query).embed_queries(["good", " \n"])
        assert server.requests == []

    @pytest.mark.parametrize("model", ["embed-v4.0", LIGHT])
    def test_a_picture_is_one_vector_in_whatever_form_it_comes(
        self, server: CohereServer, connect: Connect, tmp_path: Path, model: str
    ) -> None:
        path = tmp_path / "red.png"
        Drawn().open().save(path)
        answers = connect(model, query="words").embed_queries([path, path.read_bytes(), Drawn().open(), Drawn(), "red"])

        assert [len(answer) for answer in answers] == [1] * 5
        assert len({tuple(answer.vectors[0]) for answer in answers[:4]}) == 1
        kinds = {body["input_type"] for body in server.requests if "texts" not in body}
        assert kinds == ({"search_query"} if model == "embed-v4.0" else {"image"})

    def test_a_picture_needs_an_embedder_that_looks(self, connect: Connect) -> None:
        with pytest.raises(InvalidQuery, match=r"this embedder reads text .*content='both', or a visual model"):
            connect(content="text").embed_queries([jpeg()])

    def test_what_is_no_picture_is_refused(self, server: CohereServer, connect: Connect) -> None:
        with pytest.raises(InvalidQuery, match=r"the picture to ask with cannot be read: .*no such file"):
            connect().embed_queries(["red", Path("not there.png")])
        with pytest.raises(InvalidQuery, match=r"a query is a text or a picture: .*got int"):
            connect().embed_queries([3])  # type: ignore[list-item]
        assert server.requests == []


PARAGRAPHS = [
    ("Adobe", "Adobe sells software for pictures"),
    ("Adobe", "the firm was founded by two engineers"),
    ("Sea", "the sea is blue and wide"),
    ("Sea", "ships cross the sea"),
    ("Compilers", "software that turns software into machine code"),
    ("Bread", "bread is made of flour and water"),
]


class TestCollection:
    def test_grouped_paragraphs_are_found_by_words_as_maxsim_ranks_them(self, connect: Connect, database: Path) -> None:
        paragraphs = [
            Entity(f"p{number}", text, metadata={"title": title}) for number, (title, text) in enumerate(PARAGRAPHS)
        ]
        embedder = connect(MULTILINGUAL, query="words")
        with Collection("articles", embedder, uri=database, segments=True) as collection:
            collection.add(group(paragraphs, by="title"))
            hits = collection.search("Adobe software", 10, mode="late_interaction")

        asked = expected("Adobe", "software", dim=1024)
        scores = {
            title: maxsim(asked, expected(*(text for of, text in PARAGRAPHS if of == title), dim=1024))
            for title, _ in PARAGRAPHS
        }
        assert [hit.entity.id for hit in hits] == sorted(scores, key=lambda title: -scores[title])
        assert [hit.score for hit in hits] == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-5)
        assert hits[0].entity.id == "Adobe"
        assert hits[0].segments[0][0].id == "p0"

    def test_pages_are_found_by_their_picture_and_again_by_another_embedder_of_the_same_kind(
        self, connect: Connect, database: Path
    ) -> None:
        colours = ["red", "green", "blue"]
        pages = [Entity(colour, f"page {colour}", image=jpeg(colour)) for colour in colours]
        with Collection("pages", connect("embed-v4.0"), uri=database) as collection:
            report = collection.add(pages)
            assert report.added == 3

        with Collection("pages", connect("embed-v4.0", split_text=str.split), uri=database) as collection:
            [hit] = collection.search(jpeg("green"), 1)
            assert hit.entity.id == "green"
            assert hit.similarity == pytest.approx(1, abs=1e-5)
            assert collection.search("page blue", 1)[0].entity.id == "blue"
