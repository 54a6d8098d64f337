# SPDX-License-Identifier: Apache-2.0
"""What `App` asks of a transport."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._push_many import Chunk, PushSummary

if TYPE_CHECKING:
    from ._progress import Progress


class Transport:
    """What every transport does; the base refuses."""

    def send_register(self, payload_json: bytes) -> dict[str, Any]:
        """Registers; the payload is ready JSON."""
        raise NotImplementedError

    def send_push(self, *, event_name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Pushes one event."""
        raise NotImplementedError

    def send_push_many(
        self, *, event_name: str, chunks: Iterator[Chunk], summary: PushSummary, shown: Progress
    ) -> None:
        """Pushes chunks of events and counts the answers."""
        raise NotImplementedError

    def send_get(self, *, table: str, key: Any, features: Any = None) -> dict[str, Any]:
        """Reads one row."""
        raise NotImplementedError

    def send_batch_get(self, *, requests: list[dict[str, Any]]) -> list[Any]:
        """Reads many rows."""
        raise NotImplementedError

    def send_reset(self) -> None:
        """Forgets everything (test mode)."""
        raise NotImplementedError

    def send_ping(self) -> dict[str, Any]:
        """Asks for a sign of life."""
        raise NotImplementedError

    def send_snapshot(self) -> dict[str, Any]:
        """Asks for a snapshot; returns when it is in place."""
        raise NotImplementedError(
            "snapshot needs an http:// URL: the framed protocol has no such operation; use "
            'bv.App("http://127.0.0.1:8080")'
        )

    def close(self) -> None:
        """Lets go of what it holds; twice is harmless."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
