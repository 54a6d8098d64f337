# SPDX-License-Identifier: Apache-2.0
"""Writes the table of settings in docs/durability.md from the option table of the server.

    python docs/durability.py

tests/docs/test_durability_page.py fails when the page does not say what the table says.
"""

from __future__ import annotations

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/durability.md"
TABLE = ROOT / "core/src/server/config.def"
HEAD = "| setting | default | |\n| --- | --- | --- |\n"
ROW = re.compile(
    r'^OPTION\(\w+, "(?P<name>[^"]+)", "[^"]*", "[^"]*", \w+, (?P<unit>\w+), "(?P<default>[^"]*)", '
    r'[^"]* "(?P<help>[^"]+)"\)$',
    re.M,
)
SHOWN = (
    "wal_dir",
    "wal_sync_mode",
    "wal_fsync_interval_ms",
    "wal_fsync_bytes",
    "wal_segment_bytes",
    "wal_max_bytes",
    "min_free_bytes",
    "snapshot_dir",
    "snapshot_interval_ms",
    "snapshot_wal_bytes",
    "snapshot_min_events",
    "snapshot_retain_count",
    "memory_limit_bytes",
    "table_max_entities",
    "table_full_policy",
    "dedupe_max_entries",
    "shutdown_timeout_ms",
    "allow_network_fs",
    "accept_data_loss_after",
)


def rows() -> str:
    """The lines of the table, in the order of SHOWN."""
    found = {match["name"].split(".")[-1]: match for match in ROW.finditer(TABLE.read_text())}
    return "".join(
        f"| `{name}` | `{found[name]['default']}` | {found[name]['help']} |\n" for name in SHOWN
    )


def main() -> None:
    """Replaces the table in the page."""
    before, rest = PAGE.read_text().split(HEAD)
    after = rest[rest.index("\nFlags are the same") :]
    PAGE.write_text(before + HEAD + rows() + after)


if __name__ == "__main__":
    main()
