# SPDX-License-Identifier: Apache-2.0
"""The published package is used as it was published and never looked into: its client, its server,
its embedded mode."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from published import Published, UrlOf, install
from support.server import Server, binary


@pytest.fixture(scope="session")
def published() -> Published:
    return install()


@pytest.fixture
def ours() -> Iterator[Server]:
    with Server(None) as server:
        yield server


@pytest.fixture
def theirs(published: Published) -> Iterator[Server]:
    with Server(None, program=published.server) as server:
        yield server


@pytest.fixture
def our_binary() -> pathlib.Path:
    return binary()


@pytest.fixture(params=["http", "tcp"])
def url_of(request: pytest.FixtureRequest) -> UrlOf:
    """The URL of a server, by each of its two transports."""

    def url(server: Server) -> str:
        host, port = server.http if request.param == "http" else server.tcp
        return f"{request.param}://{host}:{port}"

    return url
