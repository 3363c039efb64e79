"""Find the pages of PDFs by what they look like, with pymilvus alone: one entity a page, one ColPali vector a patch.

    pip install '.[colpali,embedded,pdf]'
    python examples/pymilvus_pages.py FOLDER "a chart of the growth of revenue"
    python examples/pymilvus_pages.py FOLDER "..." --uri http://localhost:19530 --token root:Milvus

The calls are those of Milvus's guide to embedding lists, made for a server: one line opens the collection elsewhere.
Without --uri it is kept in the folder colmilvus.db of the working directory, and no server runs; with it on any Milvus
from 2.6.8, or by ``colmilvus serve``. The checkpoint is downloaded once from the Hugging Face hub, 6 GB; a folder with
one does as well. Without a GPU a page takes some ten seconds.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["colmilvus[colpali,embedded,pdf]"]
# ///

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image
from pymilvus import DataType, MilvusClient
from pymilvus.client.embedding_list import EmbeddingList

DATABASE = "colmilvus.db"
COLLECTION = "reports"
CHECKPOINT = "vidore/colpali-v1.3"
DIM = 128
PATCHES = 1031
PAGES_A_REQUEST = 64


class ColPaliModel:
    """Makes vectors, as rows of a float32 array, of a page's picture and of a question."""

    def __init__(self, checkpoint: str) -> None:
        import torch
        from colpali_engine.models import ColPali, ColPaliProcessor
        from colpali_engine.utils.torch_utils import get_torch_device

        self.model = ColPali.from_pretrained(
            checkpoint,
            torch_dtype=torch.bfloat16,
            device_map=get_torch_device("auto"),
        ).eval()
        self.processor = ColPaliProcessor.from_pretrained(checkpoint)

    def embed_page(self, picture: Image.Image) -> NDArray[np.float32]:
        return self._run(self.processor.process_images([picture.convert("RGB")]))

    def embed_question(self, question: str) -> NDArray[np.float32]:
        return self._run(self.processor.process_queries([question]))

    def _run(self, batch: Any) -> NDArray[np.float32]:
        import torch

        with torch.no_grad():
            vectors = self.model(**batch.to(self.model.device))[0]
        # Neither numpy nor pymilvus knows bfloat16, and the vectors of a GPU lie on it.
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)


def open_client(uri: str, token: str) -> MilvusClient:
    if uri:
        return MilvusClient(uri=uri, token=token)
    from colmilvus.embedded import connect

    return connect(DATABASE)


def page_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The pages of all PDFs in a folder, each a row as in a table of page images, in the order of files and pages."""
    corpus_id = 0
    for file in sorted(folder.glob("**/*.pdf")):
        with pypdfium2.PdfDocument(file) as document:
            for number, page in enumerate(document, start=1):
                picture = io.BytesIO()
                page.render(scale=100 / 72).to_pil().save(picture, "PNG")
                yield {
                    "corpus_id": corpus_id,
                    "image": {"bytes": picture.getvalue()},
                    "doc_id": file.relative_to(folder).as_posix(),
                    "page_number_in_doc": number,
                }
                corpus_id += 1


def with_patches(
    rows: Iterable[dict[str, Any]], embed: Callable[[Image.Image], NDArray[np.float32]]
) -> Iterator[dict[str, Any]]:
    """An entity for each row, the vectors of its picture as structs."""
    for row in rows:
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            patches = embed(picture)
        yield {
            "corpus_id": row["corpus_id"],
            "patches": [{"emb": vector} for vector in patches],
            "doc_id": row["doc_id"],
            "page_number_in_doc": row["page_number_in_doc"],
        }


def page_schema(client: MilvusClient) -> Any:
    schema = client.create_schema()
    schema.add_field(field_name="corpus_id", datatype=DataType.INT64, is_primary=True)
    patch = client.create_struct_field_schema()
    patch.add_field(field_name="emb", datatype=DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field(
        field_name="patches",
        datatype=DataType.ARRAY,
        element_type=DataType.STRUCT,
        struct_schema=patch,
        max_capacity=PATCHES,
    )
    schema.add_field(field_name="doc_id", datatype=DataType.VARCHAR, max_length=512)
    schema.add_field(field_name="page_number_in_doc", datatype=DataType.INT64)
    return schema


def create_collection(client: MilvusClient) -> None:
    if client.has_collection(COLLECTION):
        client.drop_collection(COLLECTION)
    index_params = client.prepare_index_params()
    index_params.add_index(field_name="patches[emb]", index_type="AUTOINDEX", metric_type="MAX_SIM_COSINE")
    client.create_collection(
        collection_name=COLLECTION,
        schema=page_schema(client),
        index_params=index_params,
        consistency_level="Strong",
    )


def insert(client: MilvusClient, pages: Iterable[dict[str, Any]]) -> int:
    """Insert in portions, because a server takes 64 MB at a time, and return how many there were."""
    count = 0
    rest = iter(pages)
    while portion := list(islice(rest, PAGES_A_REQUEST)):
        count += client.insert(collection_name=COLLECTION, data=portion)["insert_count"]
    return count


def search(client: MilvusClient, question: NDArray[np.float32], limit: int = 10) -> list[dict[str, Any]]:
    query = EmbeddingList()
    query.add_batch(question)
    found = client.search(
        collection_name=COLLECTION,
        data=[query],
        anns_field="patches[emb]",
        search_params={"metric_type": "MAX_SIM_COSINE"},
        limit=limit,
        output_fields=["doc_id", "page_number_in_doc"],
    )
    return list(found[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="PDFs, also in folders inside it")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--checkpoint", default=CHECKPOINT, help=f"a name on the hub, or a folder ({CHECKPOINT})")
    parser.add_argument("--uri", default="", help=f"a server, such as http://localhost:19530; else ./{DATABASE}")
    parser.add_argument("--token", default="", help="what the server asks for, such as root:Milvus")
    given = parser.parse_args()
    if not given.folder.is_dir():
        parser.error(f"there is no folder {given.folder}")
    model = ColPaliModel(given.checkpoint)
    client = open_client(given.uri, given.token)
    create_collection(client)
    count = insert(client, with_patches(page_rows(given.folder), model.embed_page))
    print(f"{count} pages are stored", file=sys.stderr)
    for hit in search(client, model.embed_question(given.question)):
        page = hit["entity"]
        print(f"{page['doc_id']}, page {page['page_number_in_doc']}: {hit['distance']:.4f}")
    client.close()


if __name__ == "__main__":
    main()
