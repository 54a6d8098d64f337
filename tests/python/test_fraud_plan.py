# SPDX-License-Identifier: Apache-2.0
"""What `fraud-team` costs: its accumulators, counted, and the bytes of its entities, bounded.

A number that grows here is a feature that no longer shares. 111 features stand over them.
"""

import json
from pathlib import Path

import beava as bv
import pytest

CONFIG = Path(__file__).resolve().parents[2] / "benchmarks" / "configs" / "fraud-team.json"
START = 1_700_000_000_000
USERS = 2_000
OP_REGISTER, CT_JSON = 1, 1
TABLES_PER_TXN = 5

ACCUMULATORS = 85  # of 111 features
BYTES_AFTER_ONE = 490  # per entity of the five tables that a Txn updates
BYTES_AFTER_16 = 2690


def txn(user, turn):
    """Everything but the user is drawn from a few hundred values, as in the benchmark."""
    n = user * 31 + turn * 17
    row = {
        "event_time": turn,
        "user_id": f"k{user:08d}",
        "card_fp": f"c{user:08d}",
        "device_id": f"d{user:08d}",
        "ip_address": f"i{user:08d}",
        "merchant_id": f"m{user:08d}",
        "amount": n % 997 / 3.0,
        "lat": n % 180 - 90.0,
        "lon": n % 360 - 180.0,
        "declined": n % 2,
        "is_3ds": n % 3 % 2,
    }
    texts = "ip_block currency mcc card_country ip_country billing_country card_funding ssn_hash"
    return {**row, **dict.fromkeys(texts.split(), f"s{n % 1000}")}


@pytest.fixture(scope="module")
def config():
    return json.loads(CONFIG.read_text())


def measured(config, turns):
    now = START
    with bv.Engine(clock=lambda: now) as engine:
        engine._request(OP_REGISTER, CT_JSON, json.dumps(config["register"]).encode())
        before = engine.stats()["state_bytes"]
        for turn in range(turns):
            now += 5_400_000  # a day in 16 turns
            summary = engine.push_many("Txn", [txn(user, turn) for user in range(USERS)])
            assert summary.accepted == USERS
        stats = engine.stats()
    assert stats["entities"] == USERS * TABLES_PER_TXN
    return stats["accumulators"], (stats["state_bytes"] - before) / stats["entities"]


def test_the_accumulators_of_fraud_team(config):
    accumulators, _ = measured(config, 1)
    assert accumulators == ACCUMULATORS
    assert accumulators < config["features"]


@pytest.mark.parametrize(("turns", "limit"), [(1, BYTES_AFTER_ONE), (16, BYTES_AFTER_16)])
def test_the_bytes_of_its_entities(config, turns, limit):
    _, size = measured(config, turns)
    assert 0.8 * limit < size <= limit
