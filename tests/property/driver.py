# SPDX-License-Identifier: Apache-2.0
"""An engine and the model side by side: the same events go into both, the same reads come out."""

from __future__ import annotations

import json
import pathlib
import random
import struct
from collections.abc import Sequence
from typing import Any

import beava as bv
import msgpack
import tally
import worlds
from oracle import events, operators

OP_REGISTER, OP_PUSH, OP_PUSH_MANY, OP_GET, OP_BATCH_GET = 0x01, 0x10, 0x12, 0x20, 0x24
CONTENT_TYPES = {"json": 1, "msgpack": 2}

REPLAYED = "replayed"

Sent = tuple[str, str, worlds.Node]  # encoding, event name, body


def packed(encoding: str, value: Any) -> bytes:
    if encoding == "msgpack":
        packer = msgpack.Packer(use_bin_type=True)
        return bytes(packer.pack(events.as_msgpack(value)))
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def unpacked(content_type: int, data: bytes) -> Any:
    if content_type == 2:
        return msgpack.unpackb(data, strict_map_key=False)
    return json.loads(data)


def frame(encoding: str, payload: bytes) -> bytes:
    return struct.pack(">IHB", len(payload) + 3, OP_PUSH, CONTENT_TYPES[encoding]) + payload


class Refused(Exception):
    """An error reply."""

    def __init__(self, code: str, text: object) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Driver:
    """`now` is the caller's clock; it may go anywhere.

    An engine never goes back behind a time it has seen (W11), reads included; one that is opened
    again never behind a time that is in its log.
    """

    def __init__(self, data_dir: pathlib.Path | None = None, now: int = 1_700_000_000_000) -> None:
        self.now = now
        self.seen = 0
        self.logged = 0
        self.data_dir = data_dir
        self.engine = self._open()
        self.model = operators.Model()
        self.nodes: list[worlds.Node] = []
        self.firsts: list[int] = []  # per event of the last call: which push it was, or repeats
        self.acks: dict[int, int] = {}  # their LSNs, where the call told

    def _open(self) -> bv.Engine:
        policy = {} if self.data_dir is None else {"policy": "os"}
        return bv.Engine(self.data_dir, clock=lambda: self.now, **policy)

    def ask(self, is_logged: bool = False) -> int:
        """The time of a call that is about to be made."""
        self.seen = max(self.seen, self.now)
        if is_logged:
            self.logged = self.seen
        return self.seen

    def close(self) -> None:
        self.engine.close()

    def call(self, op: int, encoding: str, payload: bytes) -> Any:
        """Any request through the C interface, its bytes our own."""
        ffi, lib = self.engine._ffi, self.engine._lib
        reply_op, reply_type = ffi.new("uint16_t *"), ffi.new("uint8_t *")
        reply, error = ffi.new("bv_bytes *"), ffi.new("bv_error *")
        status = lib.bv_engine_request(
            self.engine._require(), op, CONTENT_TYPES[encoding], payload, len(payload),
            reply_op, reply_type, reply, error,
        )  # fmt: skip
        assert status == 0, ffi.string(error.message)
        body = unpacked(reply_type[0], ffi.buffer(reply.data, reply.size)[:])
        lib.bv_bytes_free(reply)
        if reply_op[0] == 0xFFFF:
            raise Refused(body["error"]["code"], body)
        return body

    # ---- changes ----------------------------------------------------------------------------

    def register(self, nodes: Sequence[worlds.Node]) -> None:
        now = self.ask(is_logged=True)
        reply = self.call(OP_REGISTER, "json", packed("json", {"nodes": list(nodes)}))
        assert reply["status"] == "ok"
        old = {node["name"]: node for node in self.nodes}
        changed = [node["name"] for node in nodes if old.get(node["name"]) != node]
        assert reply["added"] == changed, "what was (re)installed, in payload order"
        self.nodes = list(nodes)
        self.model.register({"nodes": self.nodes}, now)

    def source(self, name: str) -> worlds.Node | None:
        found = (n for n in self.nodes if n["name"] == name and n["kind"] == "event")
        return next(found, None)

    def _expect(self, sent: Sequence[Sent]) -> list[str | None]:
        """The codes that the events must get, REPLAYED for those that were accepted before; the
        accepted ones go into the model."""
        codes: list[str | None] = []
        self.firsts = []
        now = self.ask()
        for encoding, name, body in sent:
            arrived = events.as_json(body) if encoding == "json" else events.as_msgpack(body)
            code = events.refusal(self.source(name), name, arrived)
            first = self.model.pushes
            if code is None:
                is_repeated, known = self.model.repeated(name, arrived, now)
                code, first = (REPLAYED, known) if is_repeated else (None, first)
            self.firsts.append(first)
            codes.append(code)
            if code is None:
                self.logged = now
                self.model.push(name, arrived, now, self.model.pushes)
        tally.COUNTS["events"] += len(sent)
        tally.COUNTS["replayed events"] += codes.count(REPLAYED)
        tally.COUNTS["refused events"] += sum(code not in (None, REPLAYED) for code in codes)
        return codes

    def push_singly(self, sent: Sequence[Sent]) -> None:
        codes = self._expect(sent)
        for one, code, first in zip(sent, codes, self.firsts, strict=True):
            encoding, name, body = one
            payload = packed(encoding, {"event": name, "body": body})
            try:
                reply = self.call(OP_PUSH, encoding, payload)
                got = REPLAYED if reply["idempotent_replay"] else None
                assert self.acks.setdefault(first, reply["ack_lsn"]) == reply["ack_lsn"]
            except Refused as refused:
                got = refused.code
            assert got == code, f"{one}: got {got}, expected {code}"

    def push_body(self, sent: Sequence[Sent]) -> None:
        """By bv_engine_push."""
        ffi, lib = self.engine._ffi, self.engine._lib
        for one, code in zip(sent, self._expect(sent), strict=True):
            encoding, name, body = one
            event, payload, error = name.encode(), packed(encoding, body), ffi.new("bv_error *")
            status = lib.bv_engine_push(
                self.engine._require(), event, len(event), CONTENT_TYPES[encoding], payload,
                len(payload), ffi.NULL, error,
            )  # fmt: skip
            got = ffi.string(lib.bv_status_name(status)).decode() or None
            code = None if code == REPLAYED else code  # the call does not tell
            assert got == code, f"{one}: got {got}, expected {code}"

    def push_many(self, sent: Sequence[Sent]) -> None:
        """One call for neighbours of one encoding and one event."""
        at = 0
        while at < len(sent):
            end = at
            while end < len(sent) and sent[end][:2] == sent[at][:2]:
                end += 1
            self._push_run(sent[at:end])
            at = end

    def _push_run(self, run: Sequence[Sent]) -> None:
        encoding, name, _ = run[0]
        payload = packed(encoding, {"event": name, "bodies": [body for _, _, body in run]})
        codes = self._expect(run)
        try:
            reply = self.call(OP_PUSH_MANY, encoding, payload)
        except Refused as refused:
            assert set(codes) == {refused.code}, f"the whole call refused: {refused}, {codes}"
            return
        got: list[str | None] = [None] * len(run)
        for entry in reply["refused"]:
            got[entry["index"]] = entry["error"]["code"]
        for index in reply["replayed"]:
            got[index] = REPLAYED
        assert got == codes, [(g, c, r) for g, c, r in zip(got, codes, run, strict=True) if g != c]
        assert reply["accepted"] == codes.count(None)

    def push_frames(self, sent: Sequence[Sent]) -> None:
        """Pipelined, as from a socket."""
        frames = b"".join(
            frame(encoding, packed(encoding, {"event": name, "body": body}))
            for encoding, name, body in sent
        )
        codes = self._expect(sent)
        accepted, refused = push_frames(self.engine, frames)
        taken = codes.count(None) + codes.count(REPLAYED)
        assert (accepted, refused) == (taken, len(codes) - taken)

    def restart(self) -> None:
        before = self.engine.digest()
        self.engine.close()
        self.engine = self._open()
        self.seen = self.logged
        assert self.engine.digest() == before, "recovery changed the state"
        tally.COUNTS["restarts"] += 1

    def snapshot(self) -> None:
        """The next restart begins from here."""
        ffi, lib = self.engine._ffi, self.engine._lib
        error = ffi.new("bv_error *")
        self.ask()
        status = lib.bv_engine_snapshot(self.engine._require(), ffi.NULL, error)
        assert status == 0, ffi.string(error.message)
        tally.COUNTS["snapshots"] += 1

    # ---- reads ------------------------------------------------------------------------------

    def check(self, chance: random.Random) -> None:
        """Every feature of every entity, and a few that are not there."""
        for name in sorted(self.model.tables):
            table = self.model.tables[name]
            entities = sorted(table.entities)
            extra = tuple(chance.choice(worlds.KEYS) for _ in table.keys)
            for entity in [*entities, extra]:
                self._check_entity(chance, name, table, entity)

    def _check_entity(
        self, chance: random.Random, name: str, table: operators.Table, entity: Sequence[str]
    ) -> None:
        key: Any = list(entity)
        if chance.random() < 0.5:
            key = "|".join(entity)
            if len(entity) > 1 and any("|" in part for part in entity):
                key = "|".join(part.replace("|", "%7C") for part in entity)
        request: dict[str, Any] = {"table": name, "key": key}
        if chance.random() < 0.2:
            features = sorted(table.features)
            request["features"] = chance.sample(features, chance.randint(0, len(features)))
        now = self.ask()
        want = self.model.get(name, key, now, request.get("features"))
        how = chance.random()
        encoding = "json" if how < 0.5 else "msgpack"
        if how < 0.9:
            got = self.call(OP_GET, encoding, packed(encoding, request))
        else:
            body = packed(encoding, {"requests": [request]})
            (got,) = self.call(OP_BATCH_GET, encoding, body)["results"]
        assert list(got) == sorted(want), f"{request}: got {got}, expected {want}"
        for feature in want:
            compare(self.model, name, feature, key, now, got[feature], want[feature])
        tally.COUNTS["values compared"] += len(want)


def push_frames(engine: bv.Engine, frames: bytes) -> tuple[int, int]:
    ffi, lib = engine._ffi, engine._lib
    counts = ffi.new("uint64_t[3]")
    error = ffi.new("bv_error *")
    status = lib.bv_engine_push_frames(
        engine._require(), frames, len(frames), counts, counts + 1, counts + 2, error
    )
    assert status == 0, ffi.string(error.message)
    return counts[0], counts[1]


# ---- comparison ---------------------------------------------------------------------------------


def compare(
    model: operators.Model, table: str, name: str, key: Any, now: int, got: Any, want: Any
) -> None:
    found = model.tables[table]
    feature = found.features[name]
    query = max(model.latest, now)
    arrivals = next(a for e in found.address(key) if (a := found.alive(e, query)) is not None)
    if not feature.agrees(arrivals, query, got, want):
        raise AssertionError(
            f"{table}.{name} of {key!r}: got {got!r}, expected {want!r}; {feature}"
        )
