# SPDX-License-Identifier: Apache-2.0
"""The published client against our server, unchanged: what works on its own server works here."""

from __future__ import annotations

import pathlib

from published import Published, UrlOf
from support.server import Server


def test_its_client_does_its_work_on_our_server(
    published: Published, ours: Server, url_of: UrlOf
) -> None:
    assert published.run("work", url_of(ours)).strip() == "done"


def test_the_same_script_does_its_work_on_its_own_server(
    published: Published, theirs: Server, url_of: UrlOf
) -> None:
    """Otherwise the script would prove nothing about compatibility."""
    assert published.run("work", url_of(theirs)).strip() == "done"


def test_its_client_is_told_that_reset_is_off(published: Published, url_of: UrlOf) -> None:
    with Server(None, test_mode=False) as server:
        assert published.run("refused", url_of(server)).strip() == "done"


def test_its_embedded_mode_starts_our_server(
    published: Published, our_binary: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    env = {"BEAVA_BINARY": str(our_binary), "TMPDIR": str(tmp_path)}
    assert published.run("embed", env=env).strip() == "done"
