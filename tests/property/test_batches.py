# SPDX-License-Identifier: Apache-2.0
"""R16: the same events give the same state, however they are cut into calls and encoded."""

from __future__ import annotations

import random
from collections.abc import Callable

import tally
import worlds
from driver import Driver, Sent
from hypothesis import given, note, settings
from hypothesis import strategies as st
from test_engine import SEEDS, SHAPES, batch

Push = Callable[[list[Sent]], None]


def plain(driver: Driver, seed: int, count: int) -> list[Sent]:
    """Events that are the same in both encodings: no bytes, no NaN, no zero with a sign."""
    chance = random.Random(seed)
    sources = [node for node in driver.nodes if node["kind"] == "event"]
    sent: list[Sent] = []
    while len(sent) < count:
        node = chance.choice(sources)
        body = worlds.event(chance, node, "json")
        if chance.random() < 0.05:
            body = worlds.spoiled(chance, node, body, "json")
        body = {k: 0.0 if isinstance(v, float) and v == 0 else v for k, v in body.items()}
        sent.append(("json", node["name"], body))
    return sent


def cut(chance: random.Random, sent: list[Sent]) -> list[list[Sent]]:
    """In pieces of very different sizes."""
    pieces, at = [], 0
    while at < len(sent):
        size = chance.choice((1, 2, 3, 17, 128, 129, 500))
        pieces.append(sent[at : at + size])
        at += size
    return pieces


@given(seed=SEEDS, shape=SHAPES, counts=st.lists(st.integers(1, 400), min_size=1, max_size=5))
@settings(max_examples=tally.examples(60))
def test_any_batch_size_gives_the_same_digest(
    seed: int, shape: tuple[int, int, int], counts: list[int]
) -> None:
    """Each of `counts` is pushed at one time; between them the clock goes on."""
    chance = random.Random(seed)
    nodes = worlds.world(chance, *shape)
    note(f"world {seed} {shape}: {nodes}")
    ways = ("push_singly", "push_frames", "push_many", "push_body")
    drivers = [Driver() for _ in ways]
    try:
        for driver in drivers:
            driver.register(nodes)
        for count in counts:
            sent = batch(drivers[0], chance.randrange(2**32), count)
            for driver, way in zip(drivers, ways, strict=True):
                for piece in cut(chance, sent) if way != "push_frames" else [sent]:
                    getattr(driver, way)(piece)
            step = chance.choice((1, 40, 1000, 3_600_000))
            for driver in drivers:
                driver.now += step
        digests = [driver.engine.digest() for driver in drivers]
        assert digests == digests[:1] * len(drivers), dict(zip(ways, digests, strict=True))
        drivers[2].check(chance)
    finally:
        for driver in drivers:
            driver.close()


@given(seed=SEEDS, shape=SHAPES, counts=st.lists(st.integers(1, 200), min_size=1, max_size=3))
@settings(max_examples=tally.examples(25))
def test_both_encodings_give_the_same_digest(
    seed: int, shape: tuple[int, int, int], counts: list[int]
) -> None:
    chance = random.Random(seed)
    nodes = worlds.world(chance, *shape)
    note(f"world {seed} {shape}: {nodes}")
    drivers = {encoding: Driver() for encoding in ("json", "msgpack")}
    try:
        for driver in drivers.values():
            driver.register(nodes)
        for count in counts:
            sent = plain(drivers["json"], chance.randrange(2**32), count)
            for encoding, driver in drivers.items():
                driver.push_frames([(encoding, name, body) for _, name, body in sent])
                driver.now += 1000
        json_digest, msgpack_digest = (driver.engine.digest() for driver in drivers.values())
        assert json_digest == msgpack_digest
    finally:
        for driver in drivers.values():
            driver.close()
