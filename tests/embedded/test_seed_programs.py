"""Programs written for a Milvus server, call for call as readers of its guides write them, on the engine."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cohere
import httpx
import numpy as np
import pytest
from examples import pymilvus_flat_pages, pymilvus_pages, pymilvus_paragraphs
from examples.pymilvus_flat_pages import MilvusColbertRetriever
from examples.pymilvus_pages import ColPaliModel
from numpy.typing import NDArray
from PIL import Image
from pymilvus import AsyncMilvusClient, MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

from colmilvus import Server, maxsim
from colmilvus.connection import connect
from colmilvus.embedded import address
from colmilvus.entity import Metric
from tests.embedded import seed_client
from tests.embedded.seed_rows import drawn_pictures, page_rows, paragraph_rows, unit_vectors
from tests.embedded.test_serve import serving
from tests.embedders.cohere_server import KEY, CohereServer, vector_of
from tests.pdfs import text_pdf

# numpy of the PaliGemma processor in transformers, which hands it tensors
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

ROOT = Path(__file__).parents[2]
PROGRAMS = (pymilvus_paragraphs, pymilvus_pages, pymilvus_flat_pages)


@pytest.fixture
def client(database: Path | Server) -> Iterator[MilvusClient]:
    """Of the folder, where nothing else is asked for."""
    connection = connect(database, timeout=60)
    yield connection.client
    connection.close()


@pytest.fixture
def cohere_server() -> Iterator[CohereServer]:
    with CohereServer() as server:
        yield server
        assert not server.errors


@pytest.fixture(scope="module")
def model(checkpoint: Callable[[str], Path]) -> ColPaliModel:
    return ColPaliModel(str(checkpoint("ColPali")))


def run(main: Callable[[], None], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["example", *arguments])
    main()


def ranked(query: Any, multi_vectors: Mapping[Any, Any], metric: Metric = "COSINE") -> list[tuple[Any, float]]:
    """Names and scores by ``colmilvus.maxsim``, the best first."""
    scores = [(name, maxsim(query, np.asarray(vectors, np.float32), metric)) for name, vectors in multi_vectors.items()]
    return sorted(scores, key=lambda pair: -pair[1])


def assert_ranked(found: Sequence[tuple[Any, float]], wanted: Sequence[tuple[Any, float]]) -> None:
    assert [name for name, _ in found] == [name for name, _ in wanted]
    assert [score for _, score in found] == [pytest.approx(score, abs=1e-4) for _, score in wanted]


def assert_about(hits: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> None:
    """Each hit says which page of which document it is."""
    by_id = {row["corpus_id"]: {key: row[key] for key in ("doc_id", "page_number_in_doc")} for row in rows}
    assert [hit["entity"] for hit in hits] == [by_id[hit["corpus_id"]] for hit in hits]


def by_title(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {title: [row["emb"] for row in rows if row["title"] == title] for title in {row["title"] for row in rows}}


@pytest.mark.everywhere(flat=False)
def test_articles_by_the_words_of_a_question(client: MilvusClient, cohere_server: CohereServer) -> None:
    rows = paragraph_rows(1, titles=40)
    pymilvus_paragraphs.create_collection(client)
    assert pymilvus_paragraphs.insert(client, pymilvus_paragraphs.by_title(rows)) == 40
    with httpx.Client() as http:
        co = cohere.ClientV2(KEY, base_url=cohere_server.url, httpx_client=http)
        query = pymilvus_paragraphs.embed_words(["Adobe", "software"], co)
    hits = pymilvus_paragraphs.search(client, query)

    assert cohere_server.requests[-1]["input_type"] == "search_query"
    assert_ranked(
        [(hit["entity"]["title"], hit["distance"]) for hit in hits],
        ranked([vector_of("Adobe", 1024), vector_of("software", 1024)], by_title(rows))[:10],
    )
    assert 1 < hits[0]["distance"] < 2
    assert all(hit["entity"].keys() == {"title"} for hit in hits)
    (stored,) = client.query("articles", filter=f"id == {hits[0]['id']}", output_fields=["title", "paragraphs"])
    texts = [row["text"] for row in rows if row["title"] == stored["title"]]
    assert [paragraph["text"] for paragraph in stored["paragraphs"]] == texts


@pytest.mark.everywhere(flat=False)
def test_an_embedding_list_is_filled_at_once_or_one_by_one(client: MilvusClient) -> None:
    rows = paragraph_rows(2, titles=15)
    pymilvus_paragraphs.create_collection(client)
    pymilvus_paragraphs.insert(client, pymilvus_paragraphs.by_title(rows))
    words = [vector_of(word, 1024) for word in ("web", "browser", "free")]
    lists = [EmbeddingList() for _ in range(3)]
    for word in words:
        lists[0].add(word)
    lists[1].add_batch(words)
    lists[2].add_batch(np.stack(words)[:2]).add(words[2].tolist())
    found = client.search("articles", data=lists, anns_field="paragraphs[emb]", limit=5, output_fields=["title"])

    wanted = ranked(words, by_title(rows))[:5]
    for hits in found:
        assert_ranked([(hit["entity"]["title"], hit["distance"]) for hit in hits], wanted)


@pytest.mark.everywhere(flat=False)
def test_pages_by_their_patches(client: MilvusClient, model: ColPaliModel) -> None:
    import torch

    rows = list(page_rows(3, 12))
    pages = list(pymilvus_pages.with_patches(rows, model.embed_page))
    pymilvus_pages.create_collection(client)
    assert pymilvus_pages.insert(client, pages) == 12
    question = model.embed_question("quarterly revenue growth chart")
    hits = pymilvus_pages.search(client, question)

    assert model.model.dtype == torch.bfloat16
    wanted = ranked(question, {page["corpus_id"]: [patch["emb"] for patch in page["patches"]] for page in pages})
    assert_ranked([(hit["corpus_id"], hit["distance"]) for hit in hits], wanted[:10])
    assert_about(hits, rows)


def test_tensors_of_bfloat16_with_gradients_are_stored_as_they_are_and_make_no_question(
    client: MilvusClient, model: ColPaliModel
) -> None:
    (picture,) = drawn_pictures(1, 1)
    patches = model.model(**model.processor.process_images([picture]).to(model.model.device))[0]
    page = {"corpus_id": 1, "patches": [{"emb": emb} for emb in patches], "doc_id": "a.pdf", "page_number_in_doc": 1}
    pymilvus_pages.create_collection(client)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True")
        pymilvus_pages.insert(client, [page])

    (stored,) = client.get("reports", [1], output_fields=["patches[emb]"])
    np.testing.assert_array_equal([patch["emb"] for patch in stored["patches"]], patches.detach().float().numpy())
    with pytest.raises(TypeError, match="BFloat16"):
        EmbeddingList().add_batch(patches.detach())
    with pytest.raises(RuntimeError, match=r"Use tensor\.detach\(\)\.numpy\(\) instead"):
        EmbeddingList().add_batch(patches.float())


@pytest.mark.everywhere(flat=False)
def test_pages_by_one_row_a_patch(client: MilvusClient, model: ColPaliModel, tmp_path: Path) -> None:
    files = [tmp_path / f"page_{i}.png" for i in range(8)]
    vectors = {}
    for doc_id, (file, picture) in enumerate(zip(files, drawn_pictures(4, 8), strict=True)):
        picture.save(file)
        vectors[doc_id] = model.embed_page(picture)
    retriever = MilvusColbertRetriever(client, "colpali")
    pymilvus_flat_pages.store(retriever, files, model.embed_page)
    question = model.embed_question("Where is the table of results?")
    found = retriever.search(question, topk=3)

    assert_ranked([(doc_id, score) for score, doc_id in found], ranked(question, vectors, "IP")[:3])
    (first,) = client.query("colpali", filter="doc_id == 5 and seq_id == 0", output_fields=["doc"])
    assert first["doc"] == str(files[5])
    again = MilvusColbertRetriever(client, "colpali")
    assert again.search(question, topk=3) == found


def flat(client: MilvusClient, documents: Mapping[int, NDArray[np.float32]], dim: int) -> MilvusColbertRetriever:
    retriever = MilvusColbertRetriever(client, "flat", dim)
    retriever.create_collection()
    retriever.create_index()
    for doc_id, vectors in documents.items():
        retriever.insert({"colbert_vecs": vectors, "doc_id": doc_id, "filepath": f"{doc_id}.png"})
    return retriever


@pytest.mark.everywhere
def test_flat_pages_of_more_than_a_thousand_patches_are_ranked_by_all(client: MilvusClient) -> None:
    rng = np.random.default_rng(5)
    documents = {i: unit_vectors(rng, 1030, dim=8) for i in range(3)}
    question = documents[1][1010:1020]

    found = flat(client, documents, dim=8).search(question, topk=3)
    assert_ranked([(doc_id, score) for score, doc_id in found], ranked(question, documents))
    assert found[0][1] == 1


@pytest.mark.everywhere
def test_flat_pages_are_as_many_as_are_asked_for(client: MilvusClient) -> None:
    rng = np.random.default_rng(6)
    documents = {i: unit_vectors(rng, 4, dim=8) for i in range(60)}
    question = unit_vectors(rng, 1, dim=8)

    found = flat(client, documents, dim=8).search(question, topk=60)
    assert_ranked([(doc_id, score) for score, doc_id in found], ranked(question, documents))


async def test_the_same_calls_of_an_async_client(client: MilvusClient, path: Path) -> None:
    uri, token = address(path)
    rows = paragraph_rows(7, titles=20)
    words = [vector_of(word, 1024) for word in ("Adobe", "software")]
    schema = pymilvus_paragraphs.article_schema(client)
    params = client.prepare_index_params()
    params.add_index("paragraphs[emb]", index_type="AUTOINDEX", metric_type="MAX_SIM_COSINE")
    options: dict[str, Any] = {"search_params": {"metric_type": "MAX_SIM_COSINE"}, "output_fields": ["title"]}
    same = AsyncMilvusClient(uri=uri, token=token, grpc_options={"grpc.enable_http_proxy": 0})
    try:
        await same.create_collection("articles", schema=schema, index_params=params, consistency_level="Strong")
        await same.insert("articles", pymilvus_paragraphs.by_title(rows))
        (hits,) = await same.search("articles", [EmbeddingList(words)], anns_field="paragraphs[emb]", **options)
    finally:
        await same.close()

    assert [dict(hit) for hit in hits] == [
        dict(hit) for hit in pymilvus_paragraphs.search(client, [word.tolist() for word in words])
    ]
    assert_ranked([(hit["entity"]["title"], hit["distance"]) for hit in hits], ranked(words, by_title(rows))[:10])


def imported(program: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program.__name__))
def test_of_colmilvus_a_program_knows_how_to_open_a_folder_alone(program: Any) -> None:
    names = imported(Path(program.__file__))
    assert {name for name in names if name.startswith("colmilvus")} <= {"colmilvus.embedded"}
    assert any(name.startswith("pymilvus") for name in names)


def test_the_program_of_pages_with_a_folder_and_with_a_uri(
    client: MilvusClient,
    path: Path,
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files" / "inner").mkdir(parents=True)
    (tmp_path / "files" / "sea.pdf").write_bytes(text_pdf(["White sharks hunt seals.", "Coral reefs shelter fish."]))
    (tmp_path / "files" / "inner" / "air.pdf").write_bytes(text_pdf(["Air is mostly nitrogen."]))
    arguments = ["files", "Which fish?", "--checkpoint", str(checkpoint("ColPali"))]
    run(pymilvus_pages.main, monkeypatch, *arguments)
    here = capsys.readouterr()
    uri, token = address(path)
    run(pymilvus_pages.main, monkeypatch, *arguments, "--uri", uri, "--token", token)
    there = capsys.readouterr()

    assert "3 pages are stored" in here.err
    assert {line.rpartition(": ")[0] for line in here.out.splitlines()} == {
        "inner/air.pdf, page 1",
        "sea.pdf, page 1",
        "sea.pdf, page 2",
    }
    assert there.out == here.out
    assert client.query("reports", output_fields=["count(*)"])[0]["count(*)"] == 3


def test_the_program_of_flat_pages(
    checkpoint: Callable[[str], Path],
    model: ColPaliModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("paper.pdf").write_bytes(text_pdf([f"Results of the {i}th table" for i in range(5)]))
    questions = ["How does it work?", "Where is the table?"]
    run(pymilvus_flat_pages.main, monkeypatch, "paper.pdf", *questions, "--checkpoint", str(checkpoint("ColPali")))

    vectors = {}
    for number in range(1, 6):
        with Image.open(Path("pages") / f"paper_{number}.png") as picture:
            vectors[str(Path("pages") / f"paper_{number}.png")] = model.embed_page(picture)
    best = [ranked(model.embed_question(question), vectors, "IP")[0][0] for question in questions]
    assert capsys.readouterr().out.splitlines() == best


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        (pymilvus_paragraphs, ["moon"], "CO_API_KEY"),
        (pymilvus_pages, ["nowhere", "Which fish?"], "there is no folder nowhere"),
        (pymilvus_flat_pages, ["nowhere.pdf", "Which fish?"], "there is no file nowhere.pdf"),
    ],
)
def test_what_is_missing_is_said_in_a_line_before_anything_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: Any,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.delenv("CO_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(program.main, monkeypatch, *arguments)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_all_three_against_colmilvus_serve_from_a_process_that_imports_pymilvus_alone(
    path: Path, cohere_server: CohereServer, model: ColPaliModel, tmp_path: Path
) -> None:
    rows = list(page_rows(seed_client.SEED, seed_client.PAGES))
    pages = pymilvus_pages.with_patches(rows, model.embed_page)
    by_id = {page["corpus_id"]: np.stack([patch["emb"] for patch in page["patches"]]) for page in pages}
    by_number = {}
    for number, picture in enumerate(drawn_pictures(seed_client.SEED + 1, seed_client.PAGES)):
        picture.save(tmp_path / f"page_{number:02}.png")
        by_number[number] = model.embed_page(picture)
    question = model.embed_question("quarterly revenue growth chart")
    np.savez(tmp_path / "vectors.npz", *by_id.values(), *by_number.values(), question=question)
    unproxied = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **unproxied, "CO_API_KEY": KEY, "CO_API_URL": cohere_server.url}
    with serving(path, "--token-file", tmp_path / "token") as (_, uri, token):
        command = [sys.executable, str(ROOT / "tests" / "embedded" / "seed_client.py"), uri, token, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr

    printed = done.stdout.splitlines()
    paragraphs = [{**row, "emb": vector_of(row["text"], 1024)} for row in pymilvus_paragraphs.sample_rows()]
    articles = ranked([vector_of(word, 1024) for word in seed_client.WORDS], by_title(paragraphs))
    assert printed[:-1] == [f"Document {title}: {score:.4f}" for title, score in articles[:10]]
    assert {request["input_type"] for request in cohere_server.requests} == {"search_document", "search_query"}

    found = json.loads(printed[-1])
    assert_ranked([(hit["corpus_id"], hit["distance"]) for hit in found["pages"]], ranked(question, by_id)[:10])
    assert_about(found["pages"], rows)
    assert_ranked([(doc_id, score) for score, doc_id in found["flat"]], ranked(question, by_number, "IP")[:5])
