"""Calls about texts."""

from __future__ import annotations

import json
from typing import Any

from pymilvus.grpc_gen import milvus_pb2

from colmilvus.embedded.analyzers import TermAnalyzer, create_analyzer
from colmilvus.embedded.lite import analyzer_params
from colmilvus.embedded.refusal import Refused, status
from colmilvus.embedded.servicer.calls import Calls

__all__ = ["Texts"]


class Texts(Calls):
    """The call that shows what an analyzer makes of texts; Milvus Lite has none."""

    def RunAnalyzer(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.with_hash or request.with_detail or list(request.analyzer_names):
            raise Refused(
                "run_analyzer with_hash, with_detail or analyzer_names is not supported by the embedded engine"
            )
        analyzer = self._analyzer(request, context)
        results = [
            milvus_pb2.AnalyzerResult(
                tokens=[milvus_pb2.AnalyzerToken(token=term) for term in analyzer.tokenize(text.decode())]
            )
            for text in request.placeholder
        ]
        return milvus_pb2.RunAnalyzerResponse(status=status(), results=results)

    def _analyzer(self, request: Any, context: Any) -> TermAnalyzer:
        if not request.collection_name:
            return create_analyzer(json.loads(request.analyzer_params or "{}"))
        fields = self._get_collection(request, context).proto.fields
        field = next((field for field in fields if field.name == request.field_name), None)
        if field is None:
            raise Refused(f"field not found[field={request.field_name}]")
        return create_analyzer(analyzer_params(field))
