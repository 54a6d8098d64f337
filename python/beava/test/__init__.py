# SPDX-License-Identifier: Apache-2.0
"""For tests of programs that use beava: a server per fixture, replay, comparison, a mock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from beava._app import App, Row, batch_request, flag_errors
from beava._payload import check_descriptors, name_of
from beava._push_many import PushSummary, run

__all__ = ["MockApp", "assert_features_eq", "fixture", "replay"]


def fixture(
    *,
    reset_each: bool = True,
    test_mode: bool = True,
    url: str | None = None,
    timeout: float = 30.0,
) -> Iterator[App]:
    """A generator for a pytest fixture of your own: `yield from fixture()`.

    Args:
        reset_each: Whether to forget everything first; a refusal of that is ignored.
        test_mode: Whether a server that is started allows it.
        url: A server that runs already; None starts one.
        timeout: As of `App`.

    Yields:
        An entered `App`, closed afterwards.
    """
    with App(url, timeout=timeout, test_mode=test_mode) as app:
        if reset_each:
            try:
                app.reset()
            except Exception:
                pass
        yield app


def replay(app: Any, events: Iterable[Mapping[str, Any]]) -> None:
    """Pushes events one by one; "_event" of each names its source, the rest are its fields.

    Raises:
        ValueError: An event has no "_event".
    """
    for index, event in enumerate(events):
        if "_event" not in event:
            raise ValueError(f"events[{index}]: missing '_event' key; it names the source")
        fields = {name: value for name, value in event.items() if name != "_event"}
        app.push(event["_event"], fields)


def _is_equal(got: Any, want: Any, rel_tol: float, abs_tol: float) -> bool:
    if got is None or want is None:
        return got is want
    if isinstance(got, float) or isinstance(want, float):
        return math.isclose(float(got), float(want), rel_tol=rel_tol, abs_tol=abs_tol)
    return bool(got == want)


def assert_features_eq(
    got: Mapping[str, Any],
    want: Mapping[str, Any],
    *,
    rel_tol: float = 1e-9,
    abs_tol: float = 1e-12,
) -> None:
    """Asserts that two rows have the same features with the same values, floats nearly so.

    Raises:
        AssertionError: They differ; the text says where.
    """
    if got.keys() != want.keys():
        missing = sorted(want.keys() - got.keys())
        extra = sorted(got.keys() - want.keys())
        raise AssertionError(f"missing keys {missing}, extra keys {extra}")
    for name, wanted in want.items():
        if not _is_equal(got[name], wanted, rel_tol, abs_tol):
            raise AssertionError(f"feature {name!r} differs: got {got[name]!r}, want {wanted!r}")


def _hashable(key: Any) -> Any:
    if key is None:
        return ""
    return tuple(key) if isinstance(key, list) else key


class MockApp:
    """An `App` that records its calls and answers from what it was given."""

    def __init__(
        self, url: str | None = None, *, timeout: float = 30.0, test_mode: bool = False
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._test_mode = test_mode
        self._closed = False
        self._calls: list[tuple[Any, ...]] = []
        self._registered: list[Any] = []
        self._rows: dict[tuple[Any, Any], Row] = {}

    def __enter__(self) -> MockApp:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Marks it closed; nothing is enforced."""
        self._closed = True

    def register(
        self, *descriptors: Any, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Collects the descriptors."""
        check_descriptors(descriptors)
        self._calls.append(("register", descriptors, {"force": force, "dry_run": dry_run}))
        self._registered.extend(descriptors)
        return {"status": "ok", "registry_version": len(self._registered)}

    def push(self, event_name: Any, fields: dict[str, Any]) -> dict[str, Any]:
        """Records the event."""
        self._calls.append(("push", name_of(event_name), fields))
        return {"ack_lsn": len(self._calls), "registry_version": 1}

    def push_many(
        self,
        event_name: Any,
        rows: Iterable[dict[str, Any]],
        *,
        chunk_size: int = 1024,
        progress: Any = None,
    ) -> PushSummary:
        """Records every event as a push of its own."""

        def send(chunks: Any, summary: PushSummary, shown: Any) -> None:
            for chunk in chunks:
                for fields in chunk.rows:
                    summary.last_ack_lsn = self.push(event_name, fields)["ack_lsn"]
                    summary.accepted += 1
                shown.add(len(chunk.rows))

        return run(rows, chunk_size, progress, send)

    def _row(self, table: Any, key: Any, features: Sequence[str] | None) -> Row:
        row = self._rows.get((name_of(table), _hashable(key)), {})
        return {f: v for f, v in row.items() if features is None or f in features}

    def get(self, table: Any, key: Any = None, features: Sequence[str] | None = None) -> Row:
        """The row that was set, or {}."""
        self._calls.append(("get", name_of(table), key))
        return self._row(table, key, features)

    def batch_get(
        self, requests: Iterable[tuple[Any, ...]], *, errors: str = "return"
    ) -> list[Row]:
        """The rows that were set, or {}."""
        entries = list(requests)
        self._calls.append(("batch_get", entries))
        for entry in entries:
            batch_request(entry)
        rows = [self._row(e[0], e[1], e[2] if len(e) == 3 else None) for e in entries]
        return flag_errors(rows, errors)

    def reset(self) -> None:
        """Forgets the rows, keeps the record of calls."""
        self._calls.append(("reset",))
        self._rows.clear()

    def ping(self) -> dict[str, Any]:
        """A sign of life."""
        self._calls.append(("ping",))
        return {"server_version": "0.0.0-mock", "registry_version": len(self._registered)}

    def _set_get_response(self, table: str, key: Any, row: Row) -> None:
        self._rows[(table, _hashable(key))] = row
