"""Many tenants in one collection: which rows are whose."""

from __future__ import annotations

from dataclasses import dataclass

from colmilvus.errors import InvalidInput
from colmilvus.filters import one_of

__all__ = ["TENANT_BYTES", "Tenant", "check_tenant_name"]

TENANT_BYTES = 255


@dataclass(frozen=True)
class Tenant:
    """One tenant: the value that the column ``field`` has in all its rows."""

    field: str
    name: str

    @property
    def condition(self) -> str:
        """True of this tenant's rows alone."""
        return one_of(self.field, [self.name])


def check_tenant_name(name: str) -> None:
    """Raise InvalidInput for what names no tenant."""
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput(f"a tenant's name is a string with something in it, not {name!r}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"the tenant's name {name!r} has half of a surrogate pair, which is no text") from None
    if size > TENANT_BYTES or "\0" in name:
        raise InvalidInput(f"a tenant's name has at most {TENANT_BYTES} bytes, and no NUL; {name!r} has {size}")
