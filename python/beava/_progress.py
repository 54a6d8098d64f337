# SPDX-License-Identifier: Apache-2.0
"""Progress of long calls: tqdm where it is installed, else one line that is rewritten; nothing when
the output is neither a terminal nor a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

_REDRAW_SECONDS = 0.1


class Progress:
    """Counts rows and shows nothing."""

    def __init__(self) -> None:
        self.done = 0

    def add(self, count: int) -> None:
        """`count` more rows are done."""
        self.done += count

    def close(self) -> None:
        """The last word."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Callback(Progress):
    def __init__(self, callback: Callable[[int], None]) -> None:
        super().__init__()
        self._callback = callback

    def add(self, count: int) -> None:
        super().add(count)
        self._callback(self.done)


class _Bar(Progress):
    def __init__(self, total: int | None) -> None:
        super().__init__()
        from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]

        self._bar: Any = tqdm(total=total, unit="event", unit_scale=True)

    def add(self, count: int) -> None:
        super().add(count)
        self._bar.update(count)

    def close(self) -> None:
        self._bar.close()


class _Line(Progress):
    def __init__(self, total: int | None) -> None:
        super().__init__()
        self._total = total
        self._drawn_at = 0.0

    def _draw(self) -> None:
        of = f" of {self._total:,}" if self._total else ""
        sys.stderr.write(f"\r{self.done:,}{of} events")
        sys.stderr.flush()

    def add(self, count: int) -> None:
        super().add(count)
        now = time.monotonic()
        if now - self._drawn_at >= _REDRAW_SECONDS:
            self._drawn_at = now
            self._draw()

    def close(self) -> None:
        self._draw()
        sys.stderr.write("\n")


def _is_visible() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell" or sys.stderr.isatty()


def open_progress(progress: bool | Callable[[int], None] | None, total: int | None) -> Progress:
    """The progress that was asked for.

    Args:
        progress: True for a bar, a callable to be given the number of rows done, or nothing.
        total: Number of rows, where it is known.
    """
    if callable(progress):
        return _Callback(progress)
    if not progress or not _is_visible():
        return Progress()
    try:
        return _Bar(total)
    except ImportError:
        return _Line(total)
