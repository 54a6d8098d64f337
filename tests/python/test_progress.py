# SPDX-License-Identifier: Apache-2.0
import io
import sys

from beava import _progress
from beava._progress import open_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_is_shown_unless_asked_or_where_nobody_looks(monkeypatch):
    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    for quiet in (None, False):
        with open_progress(quiet, 10) as shown:
            shown.add(5)
    monkeypatch.setattr(sys, "stderr", file)
    with open_progress(True, 10) as shown:
        shown.add(5)
    assert (terminal.getvalue(), file.getvalue()) == ("", "")


def test_a_callable_is_told_the_total():
    seen = []
    with open_progress(seen.append, None) as shown:
        shown.add(2)
        shown.add(3)
    assert seen == [2, 5]


def test_one_line_is_rewritten_without_tqdm(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with open_progress(True, 2000) as shown:
        shown.add(1000)
        shown.add(1000)
    assert terminal.getvalue().endswith("\r2,000 of 2,000 events\n")
    assert terminal.getvalue().count("\n") == 1


def test_a_bar_is_drawn_with_tqdm(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with open_progress(True, 2000) as shown:
        assert type(shown) is _progress._Bar
        shown.add(2000)
    assert "100%" in terminal.getvalue()
