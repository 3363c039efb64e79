"""The rows of one collection in Milvus: read, searched and removed by expressions, whatever they hold."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

from colmilvus.connection import Connection
from colmilvus.errors import InvalidFilter, InvalidInput
from colmilvus.filters import all_of, one_of
from colmilvus.filters.literals import literal
from colmilvus.layouts.portions import batches
from colmilvus.layouts.tenants import Tenant
from colmilvus.requests import request

__all__ = ["FIRST", "Row", "Table"]

FIRST = "part == 0"
"""The first row of every entity: the one that says what its others are."""
PAGE = 1_000
EVENTUALLY = 1
"""The time from which on it is enough to have read."""

Row = Mapping[str, Any]


_numbers = itertools.count(1)
_written: dict[str, int] = {}
"""By the place of each collection, the number of this process's last write there."""
_asked: dict[str, tuple[int, int]] = {}
"""By the place of each collection, the last write after which the server's time was asked for, and that time."""


class Table:
    """One collection of a database. Raises what ``requests.request`` does.

    ``search_params`` are what searches for vectors tell their index. With the consistency "Session" it reads all that
    this process has written; the embedded engine's reads are of all that was written, by whomever.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        search_params: Mapping[str, Any] = {},
        tenant: Tenant | None = None,
    ) -> None:
        self.client = connection.client
        self.name = name
        self.timeout = connection.attempt
        self.search_params = search_params
        self.tenant = tenant
        self.needs_tenant = False
        self.key = "key"
        self._connection = connection

    @property
    def is_embedded(self) -> bool:
        return self._connection.folder is not None

    @property
    def shown(self) -> str:
        """What to call the database in messages."""
        return self._connection.shown

    def for_tenant(self, tenant: Tenant) -> Table:
        """The rows of one tenant: the border that no expression crosses."""
        return Table(self._connection, self.name, self.search_params, tenant)

    def named(self, name: str) -> Table:
        """Another collection of the same database."""
        return Table(self._connection, name)

    def _inside(self, expression: str) -> str:
        """The expression, kept within the border."""
        if self.tenant is not None:
            return all_of(self.tenant.condition, expression)
        if self.needs_tenant:
            raise InvalidInput(
                f"collection {self.name!r} holds the entities of many tenants; name one: collection.for_tenant('acme')"
            )
        return expression

    def request(self, what: str, expression: str = "") -> AbstractContextManager[None]:
        """One request to the database, see ``requests.request``."""
        at = "" if self.is_embedded else self.shown
        return request(what, expression, at=at, timeout=self._connection.timeout)

    @property
    def _place(self) -> str:
        return f"{self.shown} {self.name}"

    @contextmanager
    def _writing(self, what: str, expression: str = "") -> Iterator[None]:
        """A request that writes, for which later reads wait: also one that failed may have written."""
        try:
            with self.request(what, expression):
                yield
        finally:
            _written[self._place] = next(_numbers)

    def storing(self, rows: int) -> AbstractContextManager[None]:
        """One request that stores so many rows."""
        return self._writing(f"store {rows} rows in {self.name!r}")

    def _guarantee(self) -> dict[str, Any]:
        """What a read passes on (Milvus, "Consistency Level")."""
        if self.is_embedded:
            return {}
        if self._connection.consistency != "Session":
            return {"consistency_level": self._connection.consistency}
        return {"consistency_level": "Customized", "guarantee_timestamp": self._last_write()}

    def _last_write(self) -> int:
        """A time of the server after this process's last write, which not every server tells when it is written."""
        written = _written.get(self._place, 0)
        asked_after, time = _asked.get(self._place, (0, EVENTUALLY))
        if written != asked_after:
            with self.request(f"ask the server of {self.name!r} for its time"):
                time = int(self.client._get_connection().alloc_timestamp(timeout=self.timeout))
            _asked[self._place] = written, time
        return time

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The server's release; what cannot be read is the newest."""
        with self.request("ask for the server's version"):
            told = str(self.client.get_server_version(timeout=self.timeout))
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", told)
        return tuple(map(int, found.groups())) if found else (99,)

    def exists(self) -> bool:
        with self.request(f"open collection {self.name!r}"):
            return bool(self.client.has_collection(self.name, timeout=self.timeout))

    def description(self) -> Mapping[str, Any]:
        """What the server says of the collection."""
        with self.request(f"open collection {self.name!r}"):
            found: Mapping[str, Any] = self.client.describe_collection(self.name, timeout=self.timeout)
            return found

    def metric_of(self, field: str) -> str | None:
        """The metric that a field of vectors is indexed for, None without an index."""
        with self.request(f"open collection {self.name!r}"):
            names = self.client.list_indexes(self.name, field_name=field, timeout=self.timeout)
            found = [self.client.describe_index(self.name, name, timeout=self.timeout) for name in names]
        return next((each["metric_type"] for each in found if each and each.get("field_name") == field), None)

    def create(self, schema: Any) -> None:
        with self.request(f"create collection {self.name!r}"):
            self.client.create_collection(self.name, schema=schema, consistency_level="Strong", timeout=self.timeout)

    def prepare(self, indexes: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the indexes that are not there, all of them where making the collection was cut short, and load it."""
        with self.request(f"prepare collection {self.name!r}"):
            present = set(self.client.list_indexes(self.name, timeout=self.timeout))
            missing = self.client.prepare_index_params()
            for field, index in indexes.items():
                if field not in present:
                    missing.add_index(field, **index)
            if len(missing):
                # Unlike create_collection(index_params=...), which sleeps half a second for each index
                self.client.create_index(self.name, missing, sync=False, timeout=self.timeout)
            self.client.load_collection(self.name, timeout=self.timeout)

    def search(
        self,
        queries: list[Any],
        field: str,
        parameters: Mapping[str, Any],
        limit: int,
        expression: str,
        fields: Sequence[str],
    ) -> Any:
        """What pymilvus gives for the queries: a list of hits for each."""
        with self.request(f"search {self.name!r}", expression):
            return self.client.search(
                self.name, limit=limit, **self.asked(queries, field, parameters, expression, fields)
            )

    def asked(
        self,
        queries: list[Any],
        field: str,
        parameters: Mapping[str, Any],
        expression: str,
        fields: Sequence[str],
    ) -> dict[str, Any]:
        """What a search passes to pymilvus, but for how many it asks for."""
        return {
            "data": queries,
            "anns_field": field,
            "search_params": dict(parameters),
            "filter": self._inside(expression),
            "output_fields": list(fields),
            "timeout": self.timeout,
            **self._guarantee(),
        }

    def understands(self, expression: str) -> bool:
        """Whether the server can read the expression."""
        try:
            with self.request(f"read {self.name!r}", expression):
                self.client.query(self.name, filter=expression, output_fields=[self.key], limit=1, timeout=self.timeout)
        except InvalidFilter:
            return False
        return True

    def read(self, expression: str, fields: Sequence[str]) -> list[Row]:
        """The rows that match, where it is known that they are few."""
        return list(self.answer(expression, fields))

    def answer(self, expression: str, fields: Sequence[str]) -> Sequence[Row]:
        """The same as pymilvus gives them, which reads vectors and JSON only when a row is looked at."""
        with self.request(f"read {self.name!r}", expression):
            found: Sequence[Row] = self.client.query(
                self.name,
                filter=self._inside(expression),
                output_fields=[self.key, *fields],
                timeout=self.timeout,
                **self._guarantee(),
            )
        return found

    def rows(self, expression: str, fields: Sequence[str]) -> list[Row]:
        """All rows that match, however many."""
        return [row for page in self.pages(expression, fields) for row in page]

    def pages(self, expression: str, fields: Sequence[str]) -> Iterator[list[Row]]:
        """All rows that match, by key, so many at a time: a server answers with at most 16,384."""
        return self._pages(self._inside(expression), fields)

    def taken(self, keys: Sequence[int]) -> set[int]:
        """Those of these keys under which there are rows, whosever they are: nothing else is told of them."""
        plain = Table(self._connection, self.name)
        asked = (one_of(self.key, some) for some in batches(keys, PAGE))
        return {row[self.key] for each in asked for row in plain.read(each, [])}

    def tenants(self, field: str) -> dict[str, int]:
        """How many entities each tenant has."""
        counts: dict[str, int] = {}
        for page in self._pages(FIRST, [field]):
            for row in page:
                counts[row[field]] = counts.get(row[field], 0) + 1
        return counts

    def _pages(self, expression: str, fields: Sequence[str]) -> Iterator[list[Row]]:
        after = ""
        while page := self._page(all_of(expression, after), fields):
            yield page
            if self.is_embedded and len(page) < PAGE:
                return  # the engine gives as many as there are; a server may leave out what it finds twice
            after = f"{self.key} > {literal(max(row[self.key] for row in page))}"

    def _page(self, expression: str, fields: Sequence[str]) -> list[Row]:
        """The rows that match with the first keys."""
        with self.request(f"read {self.name!r}", expression):
            return list(
                self.client.query(
                    self.name,
                    filter=expression,
                    output_fields=[self.key, *fields],
                    limit=PAGE,
                    # as pymilvus's iterators ask, so that what comes first are the first keys of all
                    iterator="True",
                    reduce_stop_for_best=True,
                    timeout=self.timeout,
                    **self._guarantee(),
                )
            )

    def delete(self, expression: str) -> None:
        """Remove the rows that match."""
        with self._writing(f"delete entities of {self.name!r}", expression):
            self.client.delete(self.name, filter=self._inside(expression), timeout=self.timeout)

    def count(self, expression: str) -> int:
        """How many rows match."""
        with self.request(f"count the entities of {self.name!r}", expression):
            (answer,) = self.client.query(
                self.name,
                filter=self._inside(expression),
                output_fields=["count(*)"],
                timeout=self.timeout,
                **self._guarantee(),
            )
        return int(answer["count(*)"])

    def drop(self) -> None:
        with self.request(f"drop collection {self.name!r}"):
            self.client.drop_collection(self.name, timeout=self.timeout)
