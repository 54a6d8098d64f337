"""docs/durability.md says what the option table, the metrics and the Makefile say."""

from __future__ import annotations

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/durability.md").read_text()
sys.path.insert(0, str(ROOT / "docs"))
import durability  # noqa: E402


def test_the_table_of_settings_is_the_option_table() -> None:
    assert durability.HEAD + durability.rows() in PAGE
    assert len(durability.rows().splitlines()) == len(durability.SHOWN)


def test_every_metric_of_the_page_is_one() -> None:
    source = (ROOT / "core/src/server/metrics.c").read_text()
    named = set(re.findall(r"`(beava_\w+)`", PAGE))
    assert len(named) >= 8
    assert [name for name in sorted(named) if name not in source] == []


def test_every_command_of_the_page_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for targets in re.findall(r"`make ([a-z -]+)", PAGE):
        for target in targets.split():
            assert re.search(rf"^{target}\b.*:", makefile, re.M) or re.search(
                rf"^[\w -]*\b{target}\b[\w -]*:", makefile, re.M
            ), target
    for variable in re.findall(r"`make [a-z-]+ (\w+)=", PAGE):
        assert re.search(rf"^{variable} \?=", makefile, re.M), variable
    verbs = set(re.findall(r"`?beava (verify|salvage|snapshot)\b", PAGE))
    assert verbs == {"verify", "salvage", "snapshot"}


def test_every_status_and_option_of_the_page_is_one() -> None:
    options = (ROOT / "core/src/server/config.def").read_text()
    named = set(re.findall(r"`--([a-z-]+)", PAGE)) - {"until", "json"}
    assert [name for name in sorted(named) if f'"{name}"' not in options] == []
    codes = (ROOT / "core/src/util/status.def").read_text()
    for status, code in re.findall(r"`(\d{3}) (\w+)`", PAGE):
        assert re.search(rf', {status}, "{code}"', codes), code
