# SPDX-License-Identifier: Apache-2.0
"""Event sources and what is derived from them: `@bv.event`, and the steps of a chain.

Enters: annotated classes and functions. Leaves: descriptors that `_payload.py` turns into nodes.
Invariant: nothing is mutated by a step; every call returns a new derivation.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

from ._annotations import resolve
from ._col import _CAST_TARGETS, _coerce, _Expr
from ._descriptor import duration_ms, duration_text
from ._types import fields_of

_T = TypeVar("_T")
Step = dict[str, Any]

_SETTINGS = ("keep_events_for", "cold_after", "dedupe_key", "dedupe_window")
_UNSUPPORTED = ("tolerate_delay", "event_time_field")
_CHAIN_METHODS = (
    "filter",
    "select",
    "drop",
    "rename",
    "with_columns",
    "map",
    "cast",
    "fillna",
    "group_by",
    "agg",
    "named",
)
_COLD_AFTER_MS_MIN = 1_000
_COLD_AFTER_MS_MAX = 365 * 86_400_000


def _check_names(step: str, names: tuple[Any, ...]) -> tuple[str, ...]:
    """Names of fields, as several arguments.

    Raises:
        TypeError: One is not a string.
    """
    for name in names:
        if not isinstance(name, str):
            given = ", ".join(map(repr, name)) if isinstance(name, (list, tuple)) else "'name'"
            raise TypeError(f"{step} takes names of fields, {step}({given}); got {name!r}")
    return names


def _feature(name: str, spec: Any) -> Any:
    """What `agg` keeps of one feature.

    Raises:
        TypeError: An operator that was not called, or another function.
    """
    if hasattr(spec, "to_dict"):
        return spec.to_dict()
    if callable(spec):
        raise TypeError(
            f"agg({name}=...): expected an operator such as bv.count() or bv.sum('amount'); got "
            f"the function {getattr(spec, '__name__', spec)!r} itself"
        )
    if not isinstance(spec, dict):
        warnings.warn(
            f"agg({name}={spec!r}) is not an operator and counts events; write bv.count(), "
            "bv.sum('amount'), ...",
            UserWarning,
            stacklevel=3,
        )
    return spec


class _Chainable:
    """The steps that sources and derivations share."""

    _name: str
    _chain: list[Step]

    def _step(self, step: Step, exprs: dict[str, _Expr] | None = None) -> EventDerivation:
        return EventDerivation(self, step, exprs)

    def filter(self, expr: _Expr) -> EventDerivation:
        """Keeps the events for which `expr` is true.

        Raises:
            TypeError: `expr` is not an expression.
        """
        if not hasattr(expr, "to_expr_string"):
            raise TypeError(
                f"filter expects an expression such as bv.col('amount') > 100; got {expr!r}"
            )
        return self._step({"op": "filter", "expr": expr.to_expr_string()})

    def select(self, *cols: str) -> EventDerivation:
        """Keeps these fields only."""
        return self._step({"op": "select", "fields": list(_check_names("select", cols))})

    def drop(self, *cols: str) -> EventDerivation:
        """Removes these fields."""
        return self._step({"op": "drop", "fields": list(_check_names("drop", cols))})

    def rename(self, **old_to_new: str) -> EventDerivation:
        """Renames fields: `rename(old="new")`."""
        return self._step({"op": "rename", "mapping": dict(old_to_new)})

    def with_columns(self, **exprs: Any) -> EventDerivation:
        """Adds or replaces fields: `with_columns(ratio=bv.col("a") / bv.col("b"))`.

        Numbers, booleans and None become constants. A bare string is taken as expression text,
        with a warning: `bv.lit` makes it a constant, `bv.col` a column.
        """
        texts: dict[str, str] = {}
        typed: dict[str, _Expr] = {}
        for name, value in exprs.items():
            if isinstance(value, str):
                warnings.warn(
                    f"with_columns({name}={value!r}): a bare string is expression text and means "
                    f"the column {value!r}; write bv.col({value!r}) or bv.lit({value!r})",
                    UserWarning,
                    stacklevel=2,
                )
                texts[name] = value
            elif hasattr(value, "to_expr_string"):
                texts[name] = value.to_expr_string()
                typed[name] = value
            else:
                typed[name] = _coerce(value)
                texts[name] = typed[name].to_expr_string()
        return self._step({"op": "with_columns", "exprs": texts}, typed)

    def map(self, **exprs: Any) -> EventDerivation:
        """Another name of `with_columns`."""
        return self.with_columns(**exprs)

    def cast(self, **types: str) -> EventDerivation:
        """Converts fields to "str", "int", "float" or "bool"; what cannot be becomes null.

        Raises:
            ValueError: Another target.
        """
        for field, target in types.items():
            if target not in _CAST_TARGETS:
                raise ValueError(f"cast target {target!r} for {field!r} not in {_CAST_TARGETS}")
        return self._step({"op": "cast", "type_map": dict(types)})

    def fillna(self, **defaults: Any) -> EventDerivation:
        """Replaces nulls by constants.

        Raises:
            TypeError: A default is None.
        """
        for field, value in defaults.items():
            if value is None:
                raise TypeError(f"fillna({field}=None) would change nothing; give it a value")
        return self._step({"op": "fillna", "defaults": dict(defaults)})

    def named(self, name: str) -> EventDerivation:
        """The same chain under another name; the server never sees it."""
        derived = self._step({"op": "rename_self", "name": name})
        derived._name = name
        return derived

    def group_by(self, *keys: str) -> GroupBy:
        """Groups by these fields; without keys there is one group."""
        return GroupBy(self, _check_names("group_by", keys))

    def agg(self, **named: Any) -> EventDerivation:
        """The same as `group_by().agg(...)`: one row for all events."""
        return self.group_by().agg(**named)


class EventSource(_Chainable):
    """What a decorated class stands for."""

    def __init__(self, cls: type, settings: dict[str, Any]) -> None:
        declared, self._fields, self._optional_fields = fields_of(cls)
        self._name = cls.__name__
        self._schema = declared
        self._chain = []
        self._kind = "event_source"
        self._cls = cls
        self._keep_events_for = settings.get("keep_events_for")
        self._cold_after = settings.get("cold_after")
        self._dedupe_key = settings.get("dedupe_key")
        self._dedupe_window = settings.get("dedupe_window")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}: {kind}" for name, kind in self._fields.items())
        return f"<event {self._name}({fields})>"


class EventDerivation(_Chainable):
    """A chain of steps on a source; after `agg`, an aggregation."""

    def __init__(
        self, parent: _Chainable, step: Step, exprs: dict[str, _Expr] | None = None
    ) -> None:
        self._parent = parent
        self._chain = [*parent._chain, step]
        # The trees behind the texts of `step`, for the types of its columns.
        self._exprs = {} if exprs is None else exprs
        self._name = f"{parent._name}__derived_{len(self._chain)}"
        self._schema = None
        self._kind = "event_derivation"
        self._key_cols: list[str] | None = None
        self._is_bv_event_function = False

    def __or__(self, other: object) -> EventDerivation:
        # `def f(e: Big | None)` evaluates this.
        return self if other is None else NotImplemented

    def __repr__(self) -> str:
        steps = " -> ".join(str(step["op"]) for step in self._chain)
        return f"<{self._kind} {self._name}: {root_of(self)._name} -> {steps}>"


class GroupBy:
    """Events by key, waiting for `agg`."""

    def __init__(self, parent: _Chainable, keys: tuple[str, ...]) -> None:
        self._parent = parent
        self._keys = tuple(keys)

    def agg(self, **named: Any) -> EventDerivation:
        """The features of each key: `agg(n=bv.count(window="1h"), total=bv.sum("amount"))`."""
        aggs: dict[str, Any] = {}
        for name, spec in named.items():
            aggs[name] = _feature(name, spec)
        derived = EventDerivation(
            self._parent, {"op": "agg", "keys": list(self._keys), "aggs": aggs}
        )
        derived._name = f"{self._parent._name}__agg"
        derived._kind = "aggregation"
        derived._key_cols = list(self._keys)
        return derived

    def __repr__(self) -> str:
        return f"<group_by {list(self._keys)} of {self._parent._name}>"


def is_event_class(value: Any) -> bool:
    """Whether a class itself was passed through `@bv.event`; a base of it is not enough."""
    return inspect.isclass(value) and isinstance(vars(value).get("_source"), EventSource)


def root_of(node: Any) -> EventSource:
    """The source that a chain began with."""
    while isinstance(node, EventDerivation):
        node = node._parent
    source = vars(node).get("_source") if inspect.isclass(node) else node
    assert isinstance(source, EventSource)
    return source


# ---- @bv.event ----------------------------------------------------------------------------------


@overload
def event(cls_or_fn: type[_T], /, **kwargs: Any) -> type[_T]: ...
@overload
def event(cls_or_fn: Callable[..., EventDerivation], /, **kwargs: Any) -> EventDerivation: ...
@overload
def event(cls_or_fn: None = None, /, **kwargs: Any) -> Callable[[Any], Any]: ...
def event(cls_or_fn: Any = None, /, **kwargs: Any) -> Any:
    """Declares an event source (on a class) or a derived event (on a function).

    Args:
        cls_or_fn: A class whose annotations are the fields; or a function whose one parameter is
            annotated with an event, and which returns a chain on it.
        **kwargs: For classes, durations such as "24h":
            `dedupe_key` (a field) and `dedupe_window`: an event whose key was accepted within the
            window before is not counted again; `push` answers it with the first one's `ack_lsn`
            and `idempotent_replay` true. The key keeps its type, and None is no key.
            `cold_after` (1 s to 365 d): an entity without an event for longer than that reads as
            if it had never been there, and begins afresh.
            `keep_events_for`: how long the log of these events is kept as history.

    Raises:
        TypeError: The declaration is wrong.

    Example:
        >>> import beava as bv
        >>> @bv.event
        ... class Click:
        ...     user_id: str
        ...     amount: float
        >>> @bv.event
        ... def Big(c: Click):
        ...     return c.filter(bv.col("amount") > 100)
    """
    if cls_or_fn is None:
        return lambda decorated: event(decorated, **kwargs)
    if inspect.isclass(cls_or_fn):
        return _source(cls_or_fn, kwargs)
    return _derived(cls_or_fn)


def _setting_ms(name: str, value: Any) -> int:
    try:
        text = duration_text(value)
        ms = duration_ms(text)
    except ValueError as error:
        raise TypeError(f"{name}: invalid duration string {value!r}: {error}") from None
    if ms is None:
        raise TypeError(f"{name}='forever' is not supported; leave it out or give a finite time")
    if ms == 0:
        raise TypeError(f"{name} must be longer than 0; got {value!r}")
    return ms


def _check_settings(source: EventSource) -> dict[str, Any]:
    """The settings as the wire has them; only those that were given."""
    wire: dict[str, Any] = {}
    if (source._dedupe_key is None) != (source._dedupe_window is None):
        raise TypeError(f"{source._name}: dedupe_key and dedupe_window must be given together")
    if source._dedupe_key is not None:
        if source._dedupe_key not in source._fields:
            raise TypeError(f"{source._name}: dedupe_key {source._dedupe_key!r} is not a field")
        wire["dedupe_key"] = source._dedupe_key
        wire["dedupe_window_ms"] = _setting_ms("dedupe_window", source._dedupe_window)
    if source._keep_events_for is not None:
        wire["keep_events_for_ms"] = _setting_ms("keep_events_for", source._keep_events_for)
    if source._cold_after is not None:
        ms = _setting_ms("cold_after", source._cold_after)
        if ms < _COLD_AFTER_MS_MIN:
            raise TypeError(f"cold_after must be ≥ 1s; got {source._cold_after!r}")
        if ms > _COLD_AFTER_MS_MAX:
            raise TypeError(f"cold_after must be ≤ 365d in v0; got {source._cold_after!r}")
        wire["cold_after_ms"] = ms
    return wire


def _source(cls: type, kwargs: dict[str, Any]) -> type:
    for name in _UNSUPPORTED:
        if name in kwargs:
            raise TypeError(
                f"@bv.event on {cls.__name__}: '{name}' is not supported; the server stamps events"
            )
    source = EventSource(cls, kwargs)
    if "event_time" in source._fields:
        raise TypeError(
            f"@bv.event on {cls.__name__}: a field named 'event_time' is not supported; the "
            "server stamps events. Give the field another name."
        )
    for name in kwargs:
        if name not in _SETTINGS:
            import difflib

            near = difflib.get_close_matches(name, _SETTINGS, n=1)
            warnings.warn(
                f"@bv.event on {cls.__name__}: unknown keyword {name!r} is ignored"
                + (f"; did you mean {near[0]!r}?" if near else ""),
                UserWarning,
                stacklevel=3,
            )
    attributes: dict[str, Any] = {
        "_source": source,
        "_settings": _check_settings(source),
        "_name": source._name,
        "_schema": source._schema,
        "_chain": [],
        "_kind": source._kind,
    }
    for name in _SETTINGS:
        attributes[f"_{name}"] = getattr(source, f"_{name}")
    for name in _CHAIN_METHODS:
        attributes[name] = getattr(source, name)
    for name, value in attributes.items():
        setattr(cls, name, value)
    return cls


def parent_of_function(fn: Callable[..., Any], decorator: str) -> dict[str, Any]:
    """The arguments to call a decorated function with.

    Raises:
        TypeError: No event, more than one, or a raw chain among the parameters.
    """
    arguments = resolve(fn, decorator)
    events = []
    for name, value in arguments.items():
        if isinstance(value, EventDerivation):
            if not value._is_bv_event_function:
                raise TypeError(
                    f"{decorator} function '{fn.__name__}' parameter '{name}' is annotated with "
                    "an EventDerivation that is a raw chain. Give the chain a name:\n"
                    "    @bv.event\n    def Name(e: Source):\n        return e.filter(...)\n"
                    f"and annotate '{name}: Name'."
                )
            events.append(name)
        elif is_event_class(value):
            events.append(name)
    if len(events) > 1:
        raise TypeError(
            f"{decorator} function '{fn.__name__}': multi-upstream (parameters {events}) is not "
            "supported in v0; take one event"
        )
    if not events:
        name, value = next(iter(arguments.items()))
        what = getattr(value, "__name__", None) or repr(value)
        raise TypeError(
            f"{decorator} function '{fn.__name__}' parameter '{name}': {what} is not an event; "
            "decorate it with @bv.event"
        )
    return arguments


def _derived(fn: Callable[..., Any]) -> EventDerivation:
    arguments = parent_of_function(fn, "@bv.event")
    result = fn(*arguments.values())
    if not isinstance(result, EventDerivation):
        raise TypeError(
            f"@bv.event function '{fn.__name__}' must return a chain such as "
            f"`return event.filter(...)`; got {type(result).__name__}"
        )
    if result._is_bv_event_function:
        result = copy.copy(result)  # naming it must not rename somebody else's event
    result._name = fn.__name__
    result._is_bv_event_function = True
    return result
