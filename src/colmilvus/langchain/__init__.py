"""LangChain's view of a collection: vector store, retriever, loader, reranker, agent tool, and content for a model."""

from colmilvus.errors import MissingExtra

try:
    import langchain_core  # noqa: F401 - the modules below need it, and say so less clearly
except ImportError as error:
    raise MissingExtra("colmilvus.langchain", "langchain") from error

from colmilvus.langchain.content import pictures_from_user, to_citations, to_message_content
from colmilvus.langchain.filters import LateInteractionTranslator
from colmilvus.langchain.loader import PageLoader
from colmilvus.langchain.reranker import LateInteractionReranker
from colmilvus.langchain.retriever import LateInteractionRetriever
from colmilvus.langchain.tool import create_search_tool
from colmilvus.langchain.vectorstore import LateInteractionVectorStore

__all__ = [
    "LateInteractionReranker",
    "LateInteractionRetriever",
    "LateInteractionTranslator",
    "LateInteractionVectorStore",
    "PageLoader",
    "create_search_tool",
    "pictures_from_user",
    "to_citations",
    "to_message_content",
]
