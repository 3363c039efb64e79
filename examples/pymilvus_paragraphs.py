"""Find articles by their paragraphs, with pymilvus alone: one entity an article, one of Cohere's vectors a paragraph.

    pip install '.[cohere,embedded]'
    export CO_API_KEY=...
    python examples/pymilvus_paragraphs.py moon gravity
    python examples/pymilvus_paragraphs.py moon gravity --uri http://localhost:19530 --token root:Milvus

The calls are those of Milvus's guide to embedding lists, made for a server: one line opens the collection elsewhere.
Without --uri it is kept in the folder colmilvus.db of the working directory, and no server runs; with it on any Milvus
from 2.6.8, or by ``colmilvus serve``. Each word is a vector of its own, and the distance of an article sums, over the
words, the cosine of its closest paragraph, so that it goes up to the number of words.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[cohere,embedded]"]
# ///

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cohere
from cohere.core.api_error import ApiError
from pymilvus import DataType, MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.sample_library.air_and_water import AIR_AND_WATER
from examples.sample_library.elements import ELEMENTS
from examples.sample_library.records import RECORDS
from examples.sample_library.solar_system import SOLAR_SYSTEM

DATABASE = "colmilvus.db"
COLLECTION = "articles"
MODEL = "embed-multilingual-v3.0"
DIM = 1024
CAPACITY = 4096  # paragraphs of an article; no server takes more
ARTICLES_A_REQUEST = 100
TEXTS_A_REQUEST = 96


def open_client(uri: str, token: str) -> MilvusClient:
    if uri:
        return MilvusClient(uri=uri, token=token)
    from colmilvus.embedded import connect

    return connect(DATABASE)


def sample_rows() -> Iterator[dict[str, Any]]:
    """The paragraphs of the sample reports, each a row as in a table of Wikipedia's."""
    for report in (SOLAR_SYSTEM, AIR_AND_WATER, ELEMENTS, RECORDS):
        for page in report.pages:
            for number, text in enumerate(page.text.strip().split("\n\n"), start=1):
                yield {"_id": f"{page.heading}-{number}", "url": report.file, "title": page.heading, "text": text}


def with_vectors(rows: Sequence[dict[str, Any]], co: cohere.ClientV2) -> list[dict[str, Any]]:
    """The rows with what Cohere's model makes of each text, in the column ``emb``."""
    vectors: list[list[float]] = []
    for start in range(0, len(rows), TEXTS_A_REQUEST):
        texts = [row["text"] for row in rows[start : start + TEXTS_A_REQUEST]]
        answer = co.embed(texts=texts, model=MODEL, input_type="search_document", embedding_types=["float"])
        vectors += answer.embeddings.float_ or []
    return [{**row, "emb": vector} for row, vector in zip(rows, vectors, strict=True)]


def embed_words(words: Iterable[str], co: cohere.ClientV2) -> list[list[float]]:
    inputs: Any = [{"content": [{"type": "text", "text": word}]} for word in words]
    answer = co.embed(inputs=inputs, model=MODEL, input_type="search_query", embedding_types=["float"])
    return answer.embeddings.float_ or []


def by_title(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """An entity for each title, its paragraphs as structs."""
    articles: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        articles.setdefault(row["title"], []).append({"text": row["text"], "emb": row["emb"]})
    return [{"title": title, "paragraphs": paragraphs} for title, paragraphs in articles.items()]


def article_schema(client: MilvusClient) -> Any:
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True, auto_id=True)
    schema.add_field("title", DataType.VARCHAR, max_length=512)
    paragraph = client.create_struct_field_schema()
    paragraph.add_field("text", DataType.VARCHAR, max_length=65535)
    paragraph.add_field("emb", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field(
        "paragraphs",
        DataType.ARRAY,
        element_type=DataType.STRUCT,
        struct_schema=paragraph,
        max_capacity=CAPACITY,
    )
    return schema


def create_collection(client: MilvusClient) -> None:
    if client.has_collection(COLLECTION):
        client.drop_collection(COLLECTION)
    index_params = client.prepare_index_params()
    index_params.add_index(field_name="paragraphs[emb]", index_type="AUTOINDEX", metric_type="MAX_SIM_COSINE")
    client.create_collection(
        collection_name=COLLECTION,
        schema=article_schema(client),
        index_params=index_params,
        consistency_level="Strong",
    )


def insert(client: MilvusClient, articles: Iterable[dict[str, Any]]) -> int:
    """Insert in portions, because a server takes 64 MB at a time, and return how many there were."""
    count = 0
    rest = iter(articles)
    while portion := list(islice(rest, ARTICLES_A_REQUEST)):
        count += client.insert(collection_name=COLLECTION, data=portion)["insert_count"]
    return count


def search(client: MilvusClient, vectors: Sequence[Sequence[float]], limit: int = 10) -> list[dict[str, Any]]:
    query = EmbeddingList()
    query.add_batch(vectors)
    found = client.search(
        collection_name=COLLECTION,
        data=[query],
        anns_field="paragraphs[emb]",
        search_params={"metric_type": "MAX_SIM_COSINE"},
        limit=limit,
        output_fields=["title"],
    )
    return list(found[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", metavar="WORD", nargs="+", help="each is a vector of its own")
    parser.add_argument("--uri", default="", help=f"a server, such as http://localhost:19530; else ./{DATABASE}")
    parser.add_argument("--token", default="", help="what the server asks for, such as root:Milvus")
    given = parser.parse_args()
    try:
        co = cohere.ClientV2()
        articles = by_title(with_vectors(list(sample_rows()), co))
        query = embed_words(given.words, co)
    except ApiError as error:
        parser.exit(2, f"{error.body}\n")
    client = open_client(given.uri, given.token)
    create_collection(client)
    print(f"{insert(client, articles)} articles are stored", file=sys.stderr)
    for hit in search(client, query):
        print(f"Document {hit['entity']['title']}: {hit['distance']:.4f}")
    client.close()


if __name__ == "__main__":
    main()
