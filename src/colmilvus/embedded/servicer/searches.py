"""Calls that search."""

from __future__ import annotations

from typing import Any

from colmilvus.embedded.limits import check_bytes
from colmilvus.embedded.lite import EngineCollection, decode_hybrid_function_score
from colmilvus.embedded.outputs import Outputs
from colmilvus.embedded.searches import prepare_hybrid, prepare_search
from colmilvus.embedded.servicer.calls import Calls

__all__ = ["Searches"]


class Searches(Calls):
    """Milvus Lite's searches, by embedding lists too."""

    def Search(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        prepare_search(request, collection)
        answer = self._searched(super().Search, request, context, collection)
        if not answer.status.code and _ranks_by_bm25(request, collection):
            scores = [-score for score in answer.results.scores]
            del answer.results.scores[:]
            answer.results.scores.extend(scores)
        return answer

    def HybridSearch(self, request: Any, context: Any) -> Any:  # noqa: N802
        collection = self._get_collection(request, context)
        prepare_hybrid(request, collection)
        return self._searched(super().HybridSearch, request, context, collection)

    def _searched(self, handler: Any, request: Any, context: Any, collection: EngineCollection) -> Any:
        outputs = Outputs.of(request.output_fields, collection)
        del request.output_fields[:]
        request.output_fields.extend(outputs.lite)
        with collection.reading_records(), self._bound(collection):
            answer = handler(request, context)
            if not answer.status.code:
                outputs.fill(answer.results.fields_data, answer.results.output_fields, collection)
                if collection.structs:
                    check_bytes("search", answer.results.fields_data)
        return answer


def _ranks_by_bm25(request: Any, collection: EngineCollection) -> bool:
    """Whether the scores are BM25's own, which Milvus Lite gives the wrong sign, and no reranker's."""
    field = next((pair.value for pair in request.search_params if pair.key == "anns_field"), None)
    if collection.resolve_search_metric(field or None) != "BM25" or list(getattr(request, "function_chains", [])):
        return False
    return decode_hybrid_function_score(request.function_score).get("rerank") is None
