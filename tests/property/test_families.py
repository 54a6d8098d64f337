# SPDX-License-Identifier: Apache-2.0
"""A million random events for every family of operators, held against the models.

A round is one registration of a dozen features, read now and then for a few entities, also after
features were added and, every other round, after the engine was opened again from its log. It is
named by its number, which is its seed: `pytest tests/property/test_families.py -k "decay-3"`.
"""

from __future__ import annotations

import pathlib
import random
import struct
import tempfile
from typing import Any

import catalog
import pytest
import streams
import tally
from driver import OP_PUSH_MANY, Driver, packed
from oracle import events, operators

EVENTS = 1_000_000
ROUNDS = tally.examples(10)
BATCHES = (1, 3, 40, 300, 2_000, 5_000)
READS = 30  # of a round
LARGE = 3_000  # events of an entity; the models take their time over more, so few are read


def bodies(encoding: str, parts: list[bytes]) -> bytes:
    """A push_many of bodies that are encoded already."""
    if encoding == "json":
        return b'{"event":"Ev","bodies":[' + b",".join(parts) + b"]}"
    head = b"\x82\xa5event\xa2Ev\xa6bodies" + struct.pack(">BI", 0xDD, len(parts))
    return head + b"".join(parts)


class Round:
    def __init__(self, family: str, seed: int, directory: pathlib.Path | None) -> None:
        self.chance = random.Random(f"{family} {seed}")
        self.family = family
        self.driver = Driver(directory, now=self.chance.choice((0, 1_700_000_000_000)))
        self.pace = self.chance.choice((1, 20, 1_000, 60_000, 3_600_000))
        self.encoding = self.chance.choice(("json", "msgpack"))
        self.large = 0
        self.features: dict[str, Any] = {}
        self.keys = [f"u{i}" for i in range(self.chance.choice((5, 80, 400)))]
        maker = streams.Maker(self.chance, self.keys)
        self.rows, self.parts = [], []
        for _ in range(4_000):
            body = maker.body(self._key())
            plain = events.as_json(body) if self.encoding == "json" else events.as_msgpack(body)
            self.rows.append({name: plain.get(name) for name in streams.TYPES})
            self.parts.append(packed(self.encoding, body))

    def _key(self) -> str:
        """A few come often."""
        return self.keys[int(len(self.keys) * self.chance.random() ** 3)]

    def grow(self, number: int) -> None:
        """Registers so many more features."""
        ops = list(catalog.FAMILIES[self.family])
        self.chance.shuffle(ops)
        for i in range(number):
            name = f"{ops[i % len(ops)]}_{len(self.features)}"
            self.features[name] = streams.feature(ops[i % len(ops)], self.chance, self.pace)
        self.driver.register(
            [
                streams.SOURCE,
                streams.table("T", ["k"], dict(self.features)),
                streams.table("All", [], {f"all_{n}": f for n, f in self.features.items()}),
            ]
        )

    def push(self, count: int) -> None:
        driver, model = self.driver, self.driver.model
        picked = self.chance.choices(range(len(self.rows)), k=count)
        payload = bodies(self.encoding, [self.parts[i] for i in picked])
        now = driver.ask(is_logged=True)
        reply = driver.call(OP_PUSH_MANY, self.encoding, payload)
        assert (reply["accepted"], reply["refused"]) == (count, [])
        model.latest = max(model.latest, now)
        one, everything = model.tables["T"], model.tables["All"].entities.setdefault((), [])
        for i in picked:
            row = self.rows[i]
            arrival = operators.Arrival(now, row, model.pushes)
            one.entities.setdefault((row["k"],), []).append(arrival)
            everything.append(arrival)
            model.pushes += 1
        tally.COUNTS[f"{self.family} events"] += count

    def step(self) -> None:
        """Time goes on, stands still, or is said to go back."""
        pick = self.chance.random()
        if pick < 0.6:
            self.driver.now += int(self.chance.expovariate(1) * self.pace)
        elif pick < 0.65:
            self.driver.now = max(0, self.driver.now - self.pace)
        elif pick < 0.67:
            self.driver.now += 200 * self.pace

    def read(self, name: str, entity: tuple[str, ...]) -> None:
        table = self.driver.model.tables[name]
        if len(table.entities.get(entity, ())) > LARGE:
            self.large += 1
            if self.large > 2:
                return
        self.driver._check_entity(self.chance, name, table, entity)

    def read_some(self) -> None:
        self.read("T", (self._key(),))
        known = self.driver.model.tables["All"].entities[()]
        if len(known) < 3_000:
            self.read("All", ())

    def play(self, total: int, is_on_disk: bool) -> None:
        self.grow(8)
        sent = reads = 0
        grown = restarted = False
        while sent < total:
            count = min(self.chance.choice(BATCHES), total - sent)
            self.push(count)
            sent += count
            self.step()
            if reads < READS * (sent / total) ** 0.3:
                self.read_some()
                reads += 1
            if not grown and sent > total // 4:
                self.grow(4)
                grown = True
            if is_on_disk and not restarted and sent > total // 2:
                self.driver.restart()
                restarted = True
        if is_on_disk:
            self.driver.restart()
        self.read_some()


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("family", catalog.FAMILIES)
def test_a_family_answers_as_its_model(family: str, number: int) -> None:
    is_on_disk = number % 2 == 1
    with tempfile.TemporaryDirectory(prefix="beava-families-") as directory:
        stream = Round(family, number, pathlib.Path(directory) if is_on_disk else None)
        try:
            stream.play(EVENTS // 10, is_on_disk)
        finally:
            stream.driver.close()


def test_a_text_of_a_mebibyte_is_a_value_like_any_other() -> None:
    chance = random.Random(1)
    driver = Driver()
    try:
        features = {op: streams.feature(op, chance, 1_000) for op in catalog.ANY_FIELD}
        for spec in features.values():
            spec["params"] = {**catalog.own_params(spec["op"], chance), "field": "s"}
        driver.register([streams.SOURCE, streams.table("T", ["k"], features)])
        texts = ("a", "x" * 2**20, "", "x" * 2**20, "y" * 2**20, "a")
        driver.push_singly([("msgpack", "Ev", {"k": "u", "s": text}) for text in texts])
        driver.check(chance)
    finally:
        driver.close()
