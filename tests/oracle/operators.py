# SPDX-License-Identifier: Apache-2.0
"""What each operator means (operators.md 2, 3, 4, 6, 7), slow and obvious.

Written from the specification alone and not from the C. The model keeps every event of an entity
and computes a feature anew at each read, so there is no state that could be wrong.

    model = Model({"nodes": [...]})
    model.push("Tx", {"user_id": "u1", "amount": 5}, now=1000)
    model.get("Spend", "u1", now=1500)   # {"total": 5.0}

It takes registrations and pushes that the server accepts and does not validate them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import agreement, buffer, decay, dedupe, distinct, geo, recency, shape, velocity
from . import expr as language
from .common import PANES, Params, Seen, as_float, scalar_text, total, variance
from .common import float_text as float_text

Row = dict[str, Any]

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration(text: str | None) -> int | None:
    """Milliseconds of a duration, None for no window."""
    if text is None or text == "forever":
        return None
    match = re.fullmatch(r"([0-9]+)(ms|s|m|h|d)", text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"not a duration: {text!r}")
    return int(match[1]) * _UNITS[match[2]]


# ---- keys (7) ---------------------------------------------------------------------------------


def key_part(value: Any) -> str | None:
    """The text of a group-by value, None when the event is skipped."""
    return None if isinstance(value, float) and math.isnan(value) else scalar_text(value)


# ---- chain steps (6) --------------------------------------------------------------------------


def _filter(op: Mapping[str, Any]) -> Callable[[Row], Row | None]:
    node = language.parse(op["expr"])
    return lambda row: row if language.evaluate(node, row) is True else None


def _rename(op: Mapping[str, Any]) -> Callable[[Row], Row | None]:
    mapping = op["mapping"]

    def step(row: Row) -> Row:
        kept = {name: value for name, value in row.items() if name not in mapping}
        kept.update({mapping[name]: row[name] for name in mapping if name in row})
        return kept

    return step


def _with_columns(op: Mapping[str, Any]) -> Callable[[Row], Row | None]:
    nodes = sorted((name.encode(), language.parse(text)) for name, text in op["exprs"].items())

    def step(row: Row) -> Row:
        row = dict(row)
        for name, node in nodes:
            row[name.decode()] = language.evaluate(node, row)
        return row

    return step


def _fillna(op: Mapping[str, Any]) -> Callable[[Row], Row | None]:
    def step(row: Row) -> Row:
        row = dict(row)
        for name, default in op["defaults"].items():
            if row.get(name) is None:
                row[name] = None if isinstance(default, (list, dict)) else default
        return row

    return step


def chain_step(op: Mapping[str, Any]) -> Callable[[Row], Row | None]:
    """Row to row, or to None when the event is dropped."""
    kind = op["op"]
    if kind == "filter":
        return _filter(op)
    if kind == "select":
        return lambda row: {name: row.get(name) for name in op["fields"]}
    if kind == "drop":
        return lambda row: {n: v for n, v in row.items() if n not in op["fields"]}
    if kind == "rename":
        return _rename(op)
    if kind in ("with_columns", "map"):
        return _with_columns(op)
    if kind == "cast":
        types = op["type_map"]
        return lambda row: {
            n: language.cast(v, types[n]) if n in types else v for n, v in row.items()
        }
    if kind == "fillna":
        return _fillna(op)
    raise ValueError(f"unknown chain step {kind!r}")


# ---- operators (4.3, 4.4) ---------------------------------------------------------------------


def numbers(values: Sequence[Any]) -> list[int | float]:
    """num(v): ints and floats; booleans are not numbers."""
    return [v for v in values if language.is_number(v)]


def _finite_numbers(values: Sequence[Any]) -> list[float] | None:
    """The doubles of the values, None when one is not finite."""
    doubles = [float(v) for v in numbers(values)]
    return doubles if all(map(math.isfinite, doubles)) else None


def op_sum(values: Sequence[Any]) -> float | None:
    xs = _finite_numbers(values)
    return as_float(total(xs)) if xs else None


def op_mean(values: Sequence[Any]) -> float | None:
    xs = _finite_numbers(values)
    return as_float(total(xs) / len(xs)) if xs else None


def op_var(values: Sequence[Any]) -> float | None:
    xs = _finite_numbers(values)
    return as_float(variance(xs)) if xs else None


def op_std(values: Sequence[Any]) -> float | None:
    variance = op_var(values)
    return None if variance is None else math.sqrt(variance)


def is_less(a: Any, b: Any) -> bool:
    """Order of 4.3 with W16: numbers by exact value, str by bytes, false before true."""
    if language.is_number(a) and language.is_number(b):
        return bool(a < b)  # Python compares int and float exactly; NaN is less than nothing
    if isinstance(a, str) and isinstance(b, str):
        return a.encode("utf-8", "surrogateescape") < b.encode("utf-8", "surrogateescape")
    return isinstance(a, bool) and isinstance(b, bool) and a < b


def op_min(values: Sequence[Any]) -> Any:
    best = None
    for v in values:
        if v is not None and (best is None or is_less(v, best)):
            best = v
    return best


def op_max(values: Sequence[Any]) -> Any:
    best = None
    for v in values:
        if v is not None and (best is None or is_less(best, v)):
            best = v
    return best


def op_first(values: Sequence[Any]) -> Any:
    return next((v for v in values if v is not None), None)


def op_last(values: Sequence[Any]) -> Any:
    return op_first(list(reversed(values)))


_VALUE_OPERATORS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "sum": op_sum,
    "mean": op_mean,
    "var": op_var,
    "std": op_std,
    "min": op_min,
    "max": op_max,
    "first": op_first,
    "last": op_last,
}

_FAMILIES: dict[str, Callable[[Sequence[Seen], Params, int], Any]] = {
    op: model
    for family in (recency, decay, velocity, shape, distinct, buffer, geo)
    for op, model in family.OPERATORS.items()
}
OPERATORS = ("count", "ratio", *_VALUE_OPERATORS, *_FAMILIES)
# These look at everything there ever was and mind the window themselves.
_TAKE_ALL = ("first_seen_in_window", "outlier_count")


# ---- tables -----------------------------------------------------------------------------------


@dataclass
class Arrival:
    """One event that reached a table, its row as the chain left it."""

    now: int
    row: Row
    number: int = 0  # of the push, so that a feature knows what came before it


@dataclass
class Feature:
    op: str
    params: Mapping[str, Any]  # as registered, durations in ms and the field's type beside them
    field: str | None
    window: int | None
    where: Any  # a tree of the language, None without
    since: int = 0  # the first push it sees: a feature that is added later starts empty
    # What `where` said of a row that was looked at before; the row is kept, or its id would not be
    judged: dict[int, tuple[Mapping[str, Any], bool]] = field(default_factory=dict, repr=False)

    def pane(self, now: int) -> int:
        """Start of the pane of an event (3.3)."""
        length = -(-(self.window or PANES) // PANES)
        return now // length * length

    def matches(self, row: Mapping[str, Any]) -> bool:
        if self.where is None:
            return True
        if id(row) not in self.judged:
            self.judged[id(row)] = row, language.evaluate(self.where, row) is True
        return self.judged[id(row)][1]

    def seen(self, arrivals: Sequence[Arrival], query: int) -> list[Seen]:
        """What counts at the query, oldest first (3.4)."""
        known = (a for a in arrivals if a.number >= self.since)
        if self.window is None:
            return [Seen(a.now, a.row, self.matches(a.row)) for a in known]
        found = ((a, self.pane(a.now)) for a in known)
        return [
            Seen(a.now, a.row, self.matches(a.row), pane)
            for a, pane in found
            if self.op in _TAKE_ALL or 0 <= query - pane < self.window
        ]

    def value(self, seen: Sequence[Seen], query: int) -> Any:
        """The value over what counts."""
        if self.op in _FAMILIES:
            return _FAMILIES[self.op](seen, self.params, query)
        count = sum(one.matched for one in seen)
        if self.op == "count":
            return count
        if self.op == "ratio":
            return count / len(seen) if seen else None
        operator = _VALUE_OPERATORS[self.op]
        panes: dict[int, list[Any]] = {}
        for one in seen:
            if one.matched and self.field is not None:
                panes.setdefault(one.pane, []).append(one.row.get(self.field))
        if self.op in ("min", "max"):
            # The extreme of the panes' extremes: not the same thing where kinds are mixed.
            return operator([operator(pane) for pane in panes.values()])
        return operator([v for pane in panes.values() for v in pane])

    def read(self, arrivals: Sequence[Arrival], query: int) -> Any:
        return self.value(self.seen(arrivals, query), query)

    def agrees(self, arrivals: Sequence[Arrival], query: int, got: Any, want: Any) -> bool:
        context = agreement.Context(self.seen(arrivals, query), query)
        return agreement.agrees(self.op, self.params, got, want, context)


def read_feature(descriptor: Mapping[str, Any], types: Mapping[str, str]) -> Feature:
    """A feature as registered, over columns of these types."""
    params = dict(descriptor.get("params") or {})
    where = params.get("where")
    window = duration(params.get("window") or params.get("baseline_window"))
    params["window_ms"] = window
    for name in ("half_life", "sub_window"):
        if name in params:
            params[f"{name}_ms"] = duration(params[name])
    params["declared"] = types.get(params.get("field") or "")
    return Feature(
        op=descriptor["op"],
        params=params,
        field=params.get("field"),
        window=window,
        where=None if where is None else language.parse(where),
    )


def columns(fields: Mapping[str, str], op: Mapping[str, Any]) -> dict[str, str]:
    """The types of the columns behind a chain step (6)."""
    found = dict(fields)
    if op["op"] == "select":
        found = {name: fields[name] for name in op["fields"]}
    elif op["op"] == "drop":
        found = {name: kind for name, kind in fields.items() if name not in op["fields"]}
    elif op["op"] == "rename":
        found = {n: kind for n, kind in fields.items() if n not in op["mapping"]}
        found |= {new: fields[old] for old, new in op["mapping"].items()}
    elif op["op"] in ("with_columns", "map"):
        for name in sorted(op["exprs"], key=str.encode):
            kind = language.infer(language.parse(op["exprs"][name]), found)
            found[name] = "str" if kind == "null" else kind
    elif op["op"] == "cast":
        words = {"int": "i64", "float": "f64"}
        found |= {name: words.get(word, word) for name, word in op["type_map"].items()}
    return found


@dataclass
class Table:
    source: str
    steps: list[Callable[[Row], Row | None]]
    keys: list[str]
    features: dict[str, Feature]
    entities: dict[tuple[str, ...], list[Arrival]] = field(default_factory=dict)
    cold_after: int | None = None
    expired_before: int = 0  # under an earlier cold_after

    def cutoff(self, now: int) -> int:
        """Who was last touched before it is gone."""
        return max(self.expired_before, now - self.cold_after if self.cold_after else 0)

    def change(self, cold_after: int | None, now: int) -> None:
        """What had expired under the old time to live stays gone."""
        if self.cold_after != cold_after:
            self.expired_before = self.cutoff(now)
            self.cold_after = cold_after

    def alive(self, entity: tuple[str, ...], query: int) -> list[Arrival] | None:
        arrivals = self.entities.get(entity)
        return arrivals if arrivals and arrivals[-1].now >= self.cutoff(query) else None

    def push(self, row: Row, now: int, number: int = 0) -> None:
        current: Row | None = row
        for step in self.steps:
            current = step(current)
            if current is None:
                return
        parts = [key_part(current.get(name)) for name in self.keys]
        if any(part is None for part in parts):
            return
        arrivals = self.entities.setdefault(tuple(str(part) for part in parts), [])
        if arrivals and arrivals[-1].now < self.cutoff(now):
            arrivals.clear()
        arrivals.append(Arrival(now, current, number))

    def address(self, key: str | Sequence[Any]) -> list[tuple[str, ...]]:
        """The entities a read key may mean, in order of preference (7.2, W41 to W43)."""
        if not isinstance(key, str):
            return [tuple(str(key_part(part)) for part in key)]
        if not self.keys:
            if key:
                raise KeyError("key_parse_failure")
            return [()]
        if len(self.keys) == 1:
            return [(key,), (key.replace("%7C", "|").replace("%7c", "|"),)]
        parts = key.split("|")
        if len(parts) != len(self.keys):
            raise KeyError("key_parse_failure")
        return [
            tuple(parts),
            tuple(part.replace("%7C", "|").replace("%7c", "|") for part in parts),
        ]


class Model:
    """Sources and tables of registrations, and what their features read."""

    def __init__(self, payload: Any = None) -> None:
        self.sources: dict[str, Mapping[str, Any]] = {}
        self.derivations: dict[str, Mapping[str, Any]] = {}
        self.tables: dict[str, Table] = {}
        self.remembered: dict[str, dedupe.Remembered] = {}
        self.latest = 0
        self.pushes = 0
        if payload is not None:
            self.register(payload)

    def register(self, payload: Any, now: int = 0) -> None:
        """Adds what is new (V37): what comes later starts empty, what was there keeps its state.

        A change that is not additive is not modelled.
        """
        self.latest = max(self.latest, now)
        if isinstance(payload, (str, bytes)):
            payload = json.loads(payload)
        nodes = payload["nodes"] if isinstance(payload, Mapping) else payload
        for node in nodes:
            if node["kind"] == "event":
                self.sources[node["name"]] = node
            else:
                self.derivations[node["name"]] = node
        for node in nodes:
            is_table = any(op["op"] == "group_by" for op in node.get("ops") or [])
            if node["kind"] != "derivation" or not is_table:
                continue
            table = self._table(node)
            known = self.tables.setdefault(node["name"], table)
            known.change(self.sources[known.source].get("cold_after_ms"), self.latest)
            for name, feature in table.features.items():
                if name not in known.features or known is table:
                    feature.since = self.pushes
                    known.features[name] = feature

    def _table(self, node: Mapping[str, Any]) -> Table:
        ops = list(node["ops"])
        source = node["upstreams"][0]
        while source in self.derivations:  # flattened onto the event (W47)
            upstream = self.derivations[source]
            ops = list(upstream.get("ops") or []) + ops
            source = upstream["upstreams"][0]
        group = next(op for op in ops if op["op"] == "group_by")
        chain = [op for op in ops if op["op"] != "group_by"]
        types = dict(self.sources[source]["schema"]["fields"])
        for op in chain:
            types = columns(types, op)
        return Table(
            source=source,
            steps=[chain_step(op) for op in chain],
            keys=list(group["keys"]),
            features={name: read_feature(d, types) for name, d in group["agg"].items()},
        )

    def repeated(self, event: str, body: Mapping[str, Any], now: int) -> tuple[bool, Any]:
        """Whether a valid event was accepted before, and what was kept of it then."""
        key = self.sources[event].get("dedupe_key")
        memory = self.remembered.setdefault(event, dedupe.Remembered())
        return memory.find(body.get(key), max(self.latest, now)) if key else (False, None)

    def push(self, event: str, body: Mapping[str, Any], now: int, first: Any = None) -> None:
        """One accepted event. A clock that goes back stands still (W11)."""
        self.latest = max(self.latest, now)
        source = self.sources[event]
        key = source.get("dedupe_key")
        if key:
            window = source.get("dedupe_window_ms", 86_400_000)
            memory = self.remembered.setdefault(event, dedupe.Remembered())
            memory.remember(body.get(key), self.latest, window, first)
        row = {name: body.get(name) for name in source["schema"]["fields"]}
        for table in self.tables.values():
            if table.source == event:
                table.push(row, self.latest, self.pushes)
        self.pushes += 1

    def get(
        self, table: str, key: str | Sequence[Any], now: int, features: Sequence[str] | None = None
    ) -> Row:
        """The row of an entity, {} when it is cold."""
        found = self.tables[table]
        query = max(self.latest, now)
        for entity in found.address(key):
            arrivals = found.alive(entity, query)
            if arrivals is None:
                continue
            names = sorted(found.features if features is None else set(features))
            return {name: found.features[name].read(arrivals, query) for name in names}
        return {}
