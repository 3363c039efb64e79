"""What servers answer, in the words that they answer in, becomes the error that says what to do."""

from __future__ import annotations

import grpc
import pytest
from pymilvus.exceptions import MilvusException

from colmilvus.errors import (
    CollectionNotFound,
    ColmilvusError,
    DatabaseDamaged,
    DatabaseError,
    InvalidFilter,
    ServerError,
)
from colmilvus.requests import request

EXPRESSION = 'token == "permission denied"'


def translated(error: Exception, expression: str = EXPRESSION) -> ColmilvusError:
    with pytest.raises(ColmilvusError) as caught, request("search 'c'", expression, at="http://h:1", timeout=3):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (65_535, f"failed to create query plan: cannot parse expression: {EXPRESSION}, error: field token not exist"),
        (65_535, "cannot parse expression: $, error: line 1:0 token recognition error at: '$'"),
        (65_535, "failed to create query plan: predicate is not a boolean expression: 1 + 1, data type: Int64"),
        (65_535, f"failed to create expr plan, expr = {EXPRESSION}"),
        (1_100, f"failed to create query plan: cannot parse expression: {EXPRESSION}, error: ...: invalid parameter"),
        (1_100, f"failed to create delete plan: cannot parse expression: {EXPRESSION}: invalid parameter"),
    ],
)
def test_a_complaint_about_the_expression_is_of_the_filter(code: int, told: str) -> None:
    error = translated(MilvusException(code=code, message=told))

    assert isinstance(error, InvalidFilter)
    assert str(error) == f"Milvus cannot read the filter {EXPRESSION!r}: {told}"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1_100, "metric type not match: invalid parameter[expected=COSINE][actual=L2]"),
        (65_535, "fail to Search, QueryNode ID=1, reason=metric type not match: invalid parameter[expected=IP]"),
        (1_100, "topk [20000] is invalid, it should be in range [1, 16384]: invalid parameter"),
        (65_535, "failed to create query plan: failed to get field schema by name: fieldName(filter) not found"),
        (65_535, "quota exceeded for the collection expressions"),
    ],
)
def test_another_complaint_is_not_of_the_filter_that_the_request_carries(code: int, told: str) -> None:
    error = translated(MilvusException(code=code, message=told))

    assert type(error) is ServerError
    assert str(error) == f"http://h:1: could not search 'c': {told} (code {code})"


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (MilvusException(100, "can't find collection"), CollectionNotFound, "no such collection any more"),
        (MilvusException(101, "collection not loaded"), ServerError, "has not loaded the collection; some time after"),
        (MilvusException(1_800, "the token is unknown"), ServerError, "refused the login; check the token, or user"),
        (MilvusException(65_534, "checksum of vectors"), DatabaseDamaged, "checksum of vectors"),
        (MilvusException(65_535, "PrivilegeSearch: permission deny to bob"), ServerError, "lacks the right to"),
        (
            MilvusException(grpc.StatusCode.UNAVAILABLE, "[search] Retry timeout: 3s, StatusCode.UNAVAILABLE"),
            ServerError,
            r"did not answer in time; is it running, and is this its address\? timeout= \(3 s\) gives it longer",
        ),
        (
            MilvusException(1, "should create connection first."),
            DatabaseError,
            "it was closed; open the collection again",
        ),
        (MilvusException(65_535, "no token bucket is left"), ServerError, r"no token bucket is left \(code 65535\)"),
    ],
)
def test_what_is_known_is_told_with_what_to_do(error: MilvusException, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told) as caught:
        raise translated(error)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("http://h:1: could not search 'c': ")
