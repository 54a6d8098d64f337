"""The pipelines that the benchmarks register are those of the specification, and the two of P6."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks/configs"
FEATURES = {
    "small": 1,
    "medium": 5,
    "large": 15,
    "fraud-team": 111,
    "counters": 10,
    "mixed": 30,
}


def load(name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return config


def tables(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    nodes = config["register"]["nodes"]
    return {node["name"]: node for node in nodes if node["kind"] == "derivation"}


def features(table: dict[str, Any]) -> dict[str, Any]:
    return {name: spec for op in table["ops"] for name, spec in op["agg"].items()}


def test_there_is_no_other_config() -> None:
    assert {path.stem for path in CONFIGS.glob("*.json")} == set(FEATURES)


@pytest.mark.parametrize("name", FEATURES)
def test_config_has_the_published_number_of_features(name: str) -> None:
    config = load(name)
    count = sum(len(features(table)) for table in tables(config).values())
    assert count == config["features"] == FEATURES[name]


@pytest.mark.parametrize("name", FEATURES)
def test_driven_event_is_described_as_it_is_registered(name: str) -> None:
    config = load(name)
    events = [node for node in config["register"]["nodes"] if node["kind"] == "event"]
    schema = next(node for node in events if node["name"] == config["event"])["schema"]["fields"]
    assert schema == {"event_time": "i64", config["key_field"]: "str", **config["fields"]}


@pytest.mark.parametrize("name", FEATURES)
def test_sampled_features_exist_in_the_read_table(name: str) -> None:
    config = load(name)
    assert set(config["read_features"]) <= set(features(tables(config)[config["table"]]))


def test_one_fraud_event_updates_88_features_by_52_operators_in_all() -> None:
    every = tables(load("fraud-team")).values()
    driven = [table for table in every if table["upstreams"] == ["Txn"]]
    assert sum(len(features(table)) for table in driven) == 88
    assert len({spec["op"] for table in every for spec in features(table).values()}) == 52
