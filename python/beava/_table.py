# SPDX-License-Identifier: Apache-2.0
"""Tables: `@bv.table` on a function that groups one event and aggregates it.

Enters: a function. Leaves: a `TableDescriptor`. Invariant: the chain of a descriptor ends in its
only `agg`, and the keys of that are the table's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from ._events import EventDerivation, Step, parent_of_function, root_of


class TableDescriptor:
    """A declared table: one row of features per key."""

    def __init__(self, name: str, key_cols: list[str], chain: EventDerivation) -> None:
        self._name = name
        self._key_cols = key_cols
        self._chain: list[Step] = chain._chain
        self._parent = chain._parent
        self._kind = "table"
        self._derivation = chain

    def __repr__(self) -> str:
        features = ", ".join(self._chain[-1]["aggs"])
        source = root_of(self._derivation)._name
        return f"<table {self._name} by {self._key_cols} of {source}: {features}>"


@overload
def table(fn: Callable[..., Any], /, *, key: Any = None) -> TableDescriptor: ...
@overload
def table(
    fn: None = None, /, *, key: str | list[str] | tuple[str, ...] | None = None
) -> Callable[[Callable[..., Any]], TableDescriptor]: ...
def table(fn: Any = None, /, *, key: Any = None) -> Any:
    """Declares a table.

    Args:
        fn: A function whose one parameter is annotated with an event, and which returns
            `event.group_by(...).agg(...)`.
        key: The key columns, those of `group_by`; none for a table of one row.

    Raises:
        TypeError: The declaration is wrong.

    Example:
        >>> import beava as bv
        >>> @bv.event
        ... class Click:
        ...     user_id: str
        >>> @bv.table(key="user_id")
        ... def Clicks(c: Click):
        ...     return c.group_by("user_id").agg(n=bv.count(window="1h"))
    """
    if fn is not None and not callable(fn):
        raise TypeError("@bv.table without parens requires a function below it")
    if key is None:
        key_cols = []
    elif isinstance(key, str):
        key_cols = [key]
    elif isinstance(key, (list, tuple)):
        key_cols = list(key)
    else:
        raise TypeError(f"@bv.table key= must be str, list, or tuple; got {type(key).__name__}")
    if fn is None:
        return lambda decorated: _table(decorated, key_cols)
    return _table(fn, key_cols)


def _table(fn: Callable[..., Any], key_cols: list[str]) -> TableDescriptor:
    arguments = parent_of_function(fn, "@bv.table")
    chain = fn(*arguments.values())
    if not isinstance(chain, EventDerivation):
        raise TypeError(
            f"@bv.table function '{fn.__name__}' must return a chain such as "
            f"`return event.group_by(...).agg(...)`; got {type(chain).__name__}"
        )
    _check_chain(fn.__name__, chain, key_cols)
    return TableDescriptor(fn.__name__, list(key_cols), chain)


def _check_chain(name: str, chain: EventDerivation, key_cols: list[str]) -> None:
    steps = [step for step in chain._chain if step["op"] != "rename_self"]
    aggregations = [step for step in steps if step["op"] == "agg"]
    if not aggregations:
        raise TypeError(
            f"@bv.table function '{name}' must end in an aggregation: "
            "`return event.group_by(...).agg(...)`"
        )
    if len(aggregations) > 1:
        raise TypeError(f"@bv.table function '{name}': a chain has one group_by().agg(); found two")
    if steps[-1] is not aggregations[0]:
        raise TypeError(
            f"@bv.table function '{name}': {steps[-1]['op']} after agg is not supported; put it "
            "before the group_by"
        )
    if list(aggregations[0]["keys"]) != key_cols:
        raise TypeError(
            f"@bv.table function '{name}': group_by keys {aggregations[0]['keys']} are not the "
            f"table's key= {key_cols}"
        )
