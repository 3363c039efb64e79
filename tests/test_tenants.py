"""Many tenants in one collection: nobody reads, changes or frees what is another's, whatever is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from colmilvus import Collection, Entity, MultiVector, Server
from colmilvus.errors import CollectionMismatch, ColmilvusError, InvalidInput
from colmilvus.layouts.flat.keys import first_key
from colmilvus.layouts.rows import key_of
from colmilvus.layouts.table import Table
from colmilvus.layouts.tenants import Tenant

pytestmark = pytest.mark.everywhere

DIM = 4
TENANTS = ("acme", 'o"r (1 == 1) or', "acme/b", "100%")
IDS = ("a", "b", "acme/b", 'x" or id != "', "c")
EXPRESSIONS = (
    'id != ""',
    'id != "" or id == "a"',
    'part >= 0 or tenant == "acme"',
    'id == "nothing" or part >= 0',
    'not (tenant == "acme")',
    'tenant != "acme"',
    'tenant in ["acme", "acme/b", "100%"]',
    'id == "a") or (id != ""',
    'id == "a" or (id != "")) or ((id != ""',
    'id == "a\\" or id != "',
    'id in ["a"] or tenant like "%"',
    'key > "" or key <= ""',
    "key > 0 or key <= 0",
)
FILTERS: tuple[Any, ...] = (
    None,
    {},
    {"tenant": "acme"},
    {"$id": ["a", "b", 'x" or id != "']},
    {"$not": {"$id": "nothing"}},
    {"$or": [{"$id": "a"}, {"n": {"$exists": True}}]},
    {"n": {"$gte": -1}},
)


@pytest.fixture
def shared(database: Path | Server, tmp_path: Path) -> Iterator[Collection]:
    images = None if isinstance(database, Path) else tmp_path / "images"
    with Collection(
        "shared", dim=DIM, metric="IP", uri=database, tenant_field="tenant", fields={"n": int}, images=images
    ) as collection:
        yield collection


def vector_of(tenant: str, name: str) -> Any:
    random = np.random.default_rng([TENANTS.index(tenant), IDS.index(name)])
    return random.normal(size=(3, DIM)).astype(np.float32)


def fill(shared: Collection) -> None:
    for number, tenant in enumerate(TENANTS):
        entities = [Entity(name, text=tenant, document="d", metadata={"n": number}) for name in IDS[: 3 + number % 2]]
        view = shared.for_tenant(tenant)
        view.clear()
        report = view.add(entities, vectors=[vector_of(tenant, entity.id) for entity in entities], progress=False)
        assert len(entities) == report.added


def held_by(shared: Collection, tenant: str) -> dict[str, tuple[Entity, list[float]]]:
    view = shared.for_tenant(tenant)
    found = view.with_vectors(view.ids())
    return {name: (entity, vectors.vectors.ravel().tolist()) for name, (entity, vectors) in found.items()}


def everything(shared: Collection) -> dict[str, dict[str, tuple[Entity, list[float]]]]:
    return {tenant: held_by(shared, tenant) for tenant in TENANTS}


conditions = st.one_of(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(FILTERS),
    st.tuples(st.sampled_from(EXPRESSIONS), st.sampled_from(EXPRESSIONS)).map(" or ".join),
    st.text(alphabet='()"\\ ora=1', max_size=12).map(lambda text: f'id == "a{text}" or id != ""'),
)
actions = st.one_of(
    st.tuples(st.just("filter"), conditions),
    st.tuples(st.just("ids"), st.lists(st.sampled_from(IDS), min_size=1, max_size=3)),
    st.tuples(st.just("put"), st.sampled_from(IDS)),
    st.tuples(st.just("document"), st.just("d")),
    st.tuples(st.just("clear"), st.none()),
)


def reads_only_its_own(view: Collection, condition: Any) -> None:
    """Whatever the filter lets through is this tenant's: every way to read is tried."""
    try:
        answers = view.search([vector_of(other, "a") for other in TENANTS], 50, filter=condition)
        found = [hit.entity for hits in answers for hit in hits]
        found += view.get(filter={} if condition is None else condition)
        count, ids = view.count(condition), view.ids(condition)
    except ColmilvusError:
        return  # refused: nothing was read
    assert {entity.text for entity in found} <= {view.tenant}
    assert count == len(ids) == len({entity.id for entity in found})
    assert {len(hits) for hits in answers} == {count}


def act(view: Collection, action: tuple[str, Any]) -> None:
    what, given = action
    try:
        if what == "filter":
            view.delete(filter=given)
        elif what == "ids":
            view.delete(given)
        elif what == "document":
            view.delete(document=given)
        elif what == "clear":
            view.clear()
        else:
            other = Entity(given, text=str(view.tenant), document="e", metadata={"n": 7})
            view.add([other], vectors=[np.ones((5, DIM))], progress=False)
    except ColmilvusError:
        return


def test_two_tenants_use_the_same_id(shared: Collection) -> None:
    fill(shared)

    assert shared.tenants() == {tenant: 3 + n % 2 for n, tenant in enumerate(TENANTS)}
    for tenant in TENANTS:
        held = held_by(shared, tenant)
        assert held["a"][0].text == tenant
        assert held["a"][1] == vector_of(tenant, "a").ravel().tolist()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(condition=conditions, tenant=st.sampled_from(TENANTS))
def test_no_filter_reads_across(shared: Collection, condition: Any, tenant: str) -> None:
    if not shared.tenants():
        fill(shared)

    reads_only_its_own(shared.for_tenant(tenant), condition)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(action=actions, tenant=st.sampled_from(TENANTS))
def test_no_write_crosses(shared: Collection, action: tuple[str, Any], tenant: str) -> None:
    fill(shared)
    before = everything(shared)

    act(shared.for_tenant(tenant), action)

    after = everything(shared)
    assert {name: after[name] for name in TENANTS if name != tenant} == {
        name: before[name] for name in TENANTS if name != tenant
    }


@pytest.mark.everywhere(served=False, flat=False)  # flat rows are found by key after that, which is a tenant's own
@pytest.mark.parametrize("condition", ['id != "" or id == "a"', 'part >= 0 or tenant == "acme"'])
def test_these_checks_find_filters_that_are_joined_without_brackets(
    shared: Collection, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    fill(shared)
    monkeypatch.setattr(
        Table, "_inside", lambda table, asked: " and ".join(filter(None, [table.tenant.condition, asked]))
    )

    with pytest.raises(AssertionError):
        reads_only_its_own(shared.for_tenant("acme/b"), condition)


def test_pictures_of_one_stay_when_another_removes_the_same(shared: Collection) -> None:
    picture = Image.new("RGB", (20, 20), "red")
    for tenant in ("acme", "100%"):
        shared.for_tenant(tenant).add([Entity("a", image=picture)], vectors=[np.eye(DIM)], progress=False)
    shared.for_tenant("acme").delete(["a"])

    (kept,) = shared.for_tenant("100%").get(["a"])
    assert Path(str(kept.image)).is_file()


def test_what_concerns_all_has_to_name_one(shared: Collection) -> None:
    fill(shared)
    for ask in (shared.count, shared.ids, shared.documents, shared.clear, lambda: shared.get(["a"])):
        with pytest.raises(InvalidInput, match=r"many tenants; name one: collection\.for_tenant"):
            ask()
    with pytest.raises(InvalidInput, match="many tenants"):
        shared.search(MultiVector(np.eye(DIM)))
    with pytest.raises(InvalidInput, match="drop would remove all tenants"):
        shared.for_tenant("acme").drop()
    assert sum(shared.tenants().values()) == 14


def test_closing_a_view_leaves_the_collection_open(shared: Collection) -> None:
    fill(shared)
    with shared.for_tenant("acme") as view:
        assert view.count() == 3

    assert view.count() == 3
    assert "for_tenant('acme')" in repr(view)


class TestNames:
    def test_the_collection_remembers_that_it_has_tenants(self, database: Path | Server) -> None:
        Collection("c", dim=DIM, uri=database, tenant_field="customer").close()

        with Collection("c", uri=database) as opened:
            assert opened.spec.tenant_field == "customer"
        with pytest.raises(CollectionMismatch, match="tenant_field='customer'"):
            Collection("c", uri=database, tenant_field="tenant")

    @pytest.mark.parametrize("name", ["id", "emb", "in", "1a", "a b"])
    def test_a_field_that_can_be_no_column_is_refused(self, database: Path | Server, name: str) -> None:
        with pytest.raises(InvalidInput, match="tenant_field"):
            Collection("c", dim=DIM, uri=database, tenant_field=name)

    @pytest.mark.parametrize("name", ["", "  ", 7, "x" * 256, "\ud800", "a\0"])
    def test_what_names_no_tenant_is_refused(self, database: Path | Server, name: Any) -> None:
        with (
            Collection("c", dim=DIM, uri=database, tenant_field="tenant") as shared,
            pytest.raises(InvalidInput, match="tenant's name"),
        ):
            shared.for_tenant(name)

    def test_a_collection_without_the_field_has_no_tenants(self, database: Path | Server) -> None:
        with Collection("c", dim=DIM, uri=database) as plain:
            assert plain.tenants() == {}
            with pytest.raises(InvalidInput, match="made without tenant_field="):
                plain.for_tenant("acme")

    def test_keys_of_two_tenants_are_never_the_same(self) -> None:
        pairs = [(tenant, name) for tenant in (*TENANTS, "a", "a/b") for name in (*IDS, "b/a", "/")]

        keys = {key_of(name, 0, "", Tenant("tenant", tenant)) for tenant, name in pairs}

        assert len(keys) == len(pairs)

    def test_entities_of_two_tenants_that_would_have_one_key_are_both_kept(self, database: Path | Server) -> None:
        alike = {"acme": "page-1324216", "globex": "page-5599788"}
        assert len({first_key(name, Tenant("tenant", tenant)) for tenant, name in alike.items()}) == 1
        with Collection("c", dim=DIM, metric="IP", uri=database, tenant_field="tenant", layout="flat") as shared:
            for size in (3, 2):
                for tenant, name in alike.items():
                    vectors = [np.eye(DIM)[:size]]
                    shared.for_tenant(tenant).add([Entity(name)], vectors=vectors, progress=False)

            assert shared.tenants() == {"acme": 1, "globex": 1}
            for tenant, name in alike.items():
                own = shared.for_tenant(tenant)
                assert [(hit.entity.id, hit.score) for hit in own.search(MultiVector(np.eye(DIM)), 5)] == [(name, 2.0)]
                assert len(own.multi_vectors([name])[name]) == 2
            shared.for_tenant("acme").delete([alike["acme"]])
            assert shared.tenants() == {"globex": 1}
            assert shared.for_tenant("globex").get([alike["globex"]])
