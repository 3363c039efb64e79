"""LlamaIndex's view of a collection: vector store, index, retriever, reader, reranker, agent tool, content blocks."""

from colmilvus.errors import MissingExtra

try:
    import llama_index.core  # noqa: F401 - the modules below need it, and say so less clearly
except ImportError as error:
    raise MissingExtra("colmilvus.llama_index", "llama-index") from error

from colmilvus.llama_index.agent import PageAgent
from colmilvus.llama_index.content import to_citations, to_content_blocks
from colmilvus.llama_index.embedding import EmbedInStore
from colmilvus.llama_index.index import LateInteractionIndex, as_index
from colmilvus.llama_index.nodes import DocumentNode, PageNode
from colmilvus.llama_index.reader import PageDocument, PageReader
from colmilvus.llama_index.reranker import LateInteractionReranker
from colmilvus.llama_index.retriever import LateInteractionRetriever
from colmilvus.llama_index.tool import SearchTool, create_search_tool
from colmilvus.llama_index.transformations import KeepPages
from colmilvus.llama_index.vectorstore import LateInteractionVectorStore

__all__ = [
    "DocumentNode",
    "EmbedInStore",
    "KeepPages",
    "LateInteractionIndex",
    "LateInteractionReranker",
    "LateInteractionRetriever",
    "LateInteractionVectorStore",
    "PageAgent",
    "PageDocument",
    "PageNode",
    "PageReader",
    "SearchTool",
    "as_index",
    "create_search_tool",
    "to_citations",
    "to_content_blocks",
]
