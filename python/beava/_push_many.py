# SPDX-License-Identifier: Apache-2.0
"""Many pushes as one call: chunks, refusals by index, a summary.

Enters: an iterable of dicts. Leaves: a `PushSummary`. Invariant: every row is counted exactly once,
as accepted or as refused, unless the connection fails; then the exception carries the summary of
what was answered (`error.summary`), and the rows after that may or may not have been applied.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from typing import Any

from ._errors import RegistrationError, error_of_object, refusal
from ._json import culprit
from ._progress import Progress, open_progress

CHUNK_SIZE = 1024
# Twice this many refusals, each with a long text, stay well under the 8 MiB of unsent replies at
# which a server stops reading a connection: so a chunk can always be sent whole before its
# predecessor's replies are read.
CHUNK_SIZE_MAX = 4096
REFUSALS_KEPT_MAX = 1000


@dataclass(frozen=True)
class PushRefusal:
    """One row that was not applied."""

    index: int
    error: RegistrationError


@dataclass(repr=False)
class PushSummary:
    """What became of the rows of a `push_many`.

    Attributes:
        accepted: Rows that were applied, or recognised as sent before.
        refused: The first 1000 refusals, by index of the row.
        refused_count: All refusals.
        last_ack_lsn: LSN of the last applied row, None if there is none.
    """

    accepted: int = 0
    refused: list[PushRefusal] = field(default_factory=list)
    refused_count: int = 0
    last_ack_lsn: int | None = None

    def __repr__(self) -> str:
        text = f"accepted={self.accepted}, refused_count={self.refused_count}"
        if self.refused:
            first = self.refused[0]
            text += f", first refused: row {first.index}, {first.error!s:.200}"
        return f"<PushSummary {text}, last_ack_lsn={self.last_ack_lsn}>"

    def refuse(self, index: int, error: RegistrationError) -> None:
        """Counts one refusal."""
        self.refused_count += 1
        if len(self.refused) < REFUSALS_KEPT_MAX:
            self.refused.append(PushRefusal(index, error))

    def raise_for_refused(self) -> None:
        """Raises the first refusal, if there is one."""
        if self.refused:
            raise self.refused[0].error


@dataclass
class Chunk:
    """Rows that travel together: `rows[i]` is row `first + i` of the call."""

    first: int
    rows: list[Any]


def chunks_of(rows: Iterable[Any], chunk_size: int) -> Iterator[Chunk]:
    """Cuts an iterable into chunks."""
    iterator = iter(rows)
    first = 0
    while batch := list(itertools.islice(iterator, chunk_size)):
        yield Chunk(first, batch)
        first += len(batch)


def check_rows(rows: Any) -> None:
    """Refuses what iterates over something else than events.

    Raises:
        TypeError: One event, a text, a frame, or nothing.
    """
    if isinstance(rows, dict):
        raise TypeError("push_many takes an iterable of dicts; got one dict, which is for push")
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        raise TypeError(
            "push_many takes an iterable of dicts; of a pandas frame that is "
            'frame.to_dict("records"), of a Polars one frame.iter_rows(named=True)'
        )
    if isinstance(rows, (str, bytes)) or not isinstance(rows, Iterable):
        raise TypeError(f"push_many takes an iterable of dicts; got {type(rows).__name__}")


def check_chunk_size(chunk_size: int) -> int:
    """A usable chunk size.

    Raises:
        ValueError: It is out of bounds.
    """
    if type(chunk_size) is not int or not 1 <= chunk_size <= CHUNK_SIZE_MAX:
        raise ValueError(f"chunk_size must be between 1 and {CHUNK_SIZE_MAX}; got {chunk_size!r}")
    return chunk_size


def local_refusal(error: Exception, row: Any = None) -> RegistrationError:
    """A row that has no encoding, as the server would have refused it."""
    place = culprit(row)
    text = f"{type(error).__name__}: {error}"
    if place and place not in text:
        text += f" ({place})"
    made = refusal("invalid_event", text, path="data")
    made.__cause__ = error
    return made


def count_batch(reply: Any, indices: list[int], summary: PushSummary) -> None:
    """Adds the reply to a batch, {"accepted","ack_lsn","refused","replayed"}, to a summary.

    Args:
        reply: The body.
        indices: Row of the call by element of the batch.
        summary: Where to count.
    """
    refused = reply.get("refused") if isinstance(reply, dict) else None
    if not isinstance(refused, list):
        raise refusal(
            "unexpected_frame", f"the reply to a batch of pushes makes no sense: {reply!r:.200}"
        )
    for entry in refused:
        summary.refuse(indices[entry["index"]], error_of_object(entry.get("error")))
    summary.accepted += len(indices) - len(refused)
    if reply.get("ack_lsn") is not None:
        summary.last_ack_lsn = reply["ack_lsn"]


def run(
    rows: Iterable[Any],
    chunk_size: int,
    progress: bool | Callable[[int], None] | None,
    send: Callable[[Iterator[Chunk], PushSummary, Progress], None],
) -> PushSummary:
    """Cuts, sends, counts and shows progress; `send` is the transport's own part."""
    check_rows(rows)
    summary = PushSummary()
    total = len(rows) if isinstance(rows, Sized) else None
    with open_progress(progress, total) as shown:
        try:
            send(chunks_of(rows, check_chunk_size(chunk_size)), summary, shown)
            if not summary.accepted and summary.refused:
                first = summary.refused[0].error
                if first.code == "event_not_found":
                    raise first  # as transports do that send the name once
        except Exception as error:
            error.summary = summary  # type: ignore[attr-defined]
            raise
        finally:
            # Those found here come before those that the server found.
            summary.refused.sort(key=lambda refused: refused.index)
    return summary
