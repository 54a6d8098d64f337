# SPDX-License-Identifier: Apache-2.0
"""Whatever is registered, pushed and read, in whatever order: the engine answers as the model.

Hypothesis chooses the shape of a run and the seeds; events come from the seeds, so that a run may
have thousands of them. What a failing run did is printed step by step.
"""

from __future__ import annotations

import pathlib
import random
import tempfile

import tally
import worlds
from driver import Driver, Sent
from hypothesis import event, given, note, settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)
WAYS = ("push_singly", "push_body", "push_many", "push_frames")
PUSHES = st.tuples(st.just("push"), SEEDS, st.integers(1, 120), st.sampled_from(WAYS))
READS = st.tuples(st.just("read"), SEEDS)
CLOCKS = st.tuples(
    st.just("clock"),
    st.sampled_from(
        (1, 2, 10, 63, 64, 65, 100, 999, 5_000, 60_000, 3_600_000, 86_400_000, -1, -70, -100_000)
    ),
)
CHANGES = st.tuples(st.just("evolve"), SEEDS)
RESTARTS = st.tuples(st.just("restart"))
SNAPSHOTS = st.tuples(st.just("snapshot"))
STEPS = st.lists(
    st.one_of(PUSHES, PUSHES, PUSHES, READS, CLOCKS, CLOCKS, CHANGES), min_size=6, max_size=16
)
STEPS_ON_DISK = st.lists(
    st.one_of(PUSHES, PUSHES, PUSHES, READS, CLOCKS, CHANGES, RESTARTS, SNAPSHOTS),
    min_size=6,
    max_size=14,
)
SHAPES = st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(1, 8))


def batch(driver: Driver, seed: int, count: int) -> list[Sent]:
    chance = random.Random(seed)
    sources = [node for node in driver.nodes if node["kind"] == "event"]
    sent: list[Sent] = []
    node, encoding = chance.choice(sources), chance.choice(("json", "msgpack"))
    while len(sent) < count:
        if chance.random() < 0.1:
            node, encoding = chance.choice(sources), chance.choice(("json", "msgpack"))
        body = worlds.event(chance, node, encoding)
        name = node["name"]
        if chance.random() < 0.08:
            body = worlds.spoiled(chance, node, body, encoding)
        elif chance.random() < 0.01:
            name = chance.choice(("T0", "nobody"))
        sent.append((encoding, name, body))
    return sent


def play(driver: Driver, world_seed: int, shape: tuple[int, int, int], steps: list[tuple]) -> None:
    tally.COUNTS["runs"] += 1
    chance = random.Random(world_seed)
    nodes = worlds.world(chance, *shape)
    note(f"world {world_seed} {shape}: {nodes}")
    driver.register(nodes)
    for step in steps:
        note(f"{step} at {driver.now}")
        if step[0] == "push":
            _, seed, count, way = step
            getattr(driver, way)(batch(driver, seed, count))
        elif step[0] == "read":
            driver.check(random.Random(step[1]))
        elif step[0] == "clock":
            driver.now = max(0, driver.now + step[1])
        elif step[0] == "evolve":
            driver.register(worlds.evolved(random.Random(step[1]), driver.nodes))
            event("evolved")
        elif step[0] == "snapshot":
            driver.snapshot()
        else:
            driver.restart()
    driver.check(chance)


@given(seed=SEEDS, shape=SHAPES, steps=STEPS)
@settings(max_examples=tally.examples(900))
def test_the_engine_answers_as_the_model(
    seed: int, shape: tuple[int, int, int], steps: list[tuple]
) -> None:
    driver = Driver(now=seed % 3 * 850_000_000_000)
    try:
        play(driver, seed, shape, steps)
    finally:
        driver.close()


@given(seed=SEEDS, shape=SHAPES, steps=STEPS_ON_DISK)
@settings(max_examples=tally.examples(120))
def test_a_reopened_engine_answers_as_the_model(
    seed: int, shape: tuple[int, int, int], steps: list[tuple]
) -> None:
    with tempfile.TemporaryDirectory(prefix="beava-property-") as directory:
        driver = Driver(pathlib.Path(directory))
        try:
            play(driver, seed, shape, steps)
            driver.restart()
            driver.check(random.Random(seed))
        finally:
            driver.close()
