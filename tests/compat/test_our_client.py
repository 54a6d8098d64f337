# SPDX-License-Identifier: Apache-2.0
"""Our client against the published server: a service may be upgraded before its server is."""

from __future__ import annotations

import beava as bv
import pytest
from published import UrlOf
from support.server import Server


@bv.event
class Click:
    user_id: str
    page: str
    amount: float
    n: int


@bv.table(key="user_id")
def Spend(click: Click):
    return click.group_by("user_id").agg(
        clicks=bv.count(),
        total=bv.sum("amount", window="24h"),
        mean_amount=bv.mean("amount", window="1h"),
        least=bv.min("n", window="1h"),
        spread=bv.std("amount", window="1h"),
        big_share=bv.ratio(where=bv.col("amount") > 5.0, window="1h"),
        last_page=bv.last("page"),
    )


@bv.table(key=["user_id", "page"])
def Pages(click: Click):
    return (
        click.filter((bv.col("n") >= 0) & (bv.col("page") != "it's"))
        .group_by("user_id", "page")
        .agg(page_clicks=bv.count())
    )


@pytest.fixture
def app(theirs: Server, url_of: UrlOf):
    with bv.App(url_of(theirs)) as app:
        app.register(Click, Spend, Pages)
        for n, amount in ((1, 1.5), (5, 8.0), (-2, 2.5)):
            app.push("Click", {"user_id": "ann", "page": "/a", "amount": amount, "n": n})
        yield app


def test_it_registers_pushes_and_reads(app: bv.App) -> None:
    row = app.get("Spend", "ann")
    assert row["spread"] == pytest.approx(3.5)
    assert {name: row[name] for name in row if name != "spread"} == {
        "big_share": pytest.approx(1 / 3),
        "clicks": 3,
        "last_page": "/a",
        "least": -2,
        "mean_amount": 4.0,
        "total": 12.0,
    }
    assert app.get(Spend, "ann", features=["clicks"]) == {"clicks": 3}
    assert app.get("Pages", "ann|/a") == {"page_clicks": 2}
    assert app.batch_get([("Spend", "ann", ["clicks"]), ("Spend", "bob")]) == [{"clicks": 3}, {}]
    assert app.ping()["registry_version"] == 1


def test_its_refusals_arrive_with_their_codes(app: bv.App) -> None:
    fields = {"user_id": "ann", "page": "/a", "amount": 1.0, "n": 1}
    for code, call in {
        "event_not_found": lambda: app.push("Nope", {}),
        "invalid_event": lambda: app.push("Click", {**fields, "n": "1"}),
        "unknown_field_v0": lambda: app.push("Click", {**fields, "zz": 1}),
        "unknown_table": lambda: app.get("Nope", "ann"),
        "key_parse_failure": lambda: app.get("Pages", "ann"),
        "internal_error": lambda: app.get("Spend", "ann", features=["zz"]),
        "force_required": lambda: app.register(Click, Spend),
    }.items():
        with pytest.raises(bv.RegistrationError) as caught:
            call()
        assert caught.value.code == code
    assert app.get("Spend", "ann", features=["clicks"]) == {"clicks": 3}


def test_changes_are_planned_forced_and_reset(app: bv.App) -> None:
    plan = app.register(Click, Spend, dry_run=True)
    assert plan["would_apply"] is False
    assert [entry["table"] for entry in plan["diff"]["destructive"]] == ["Pages"]
    assert app.register(Click, Spend, force=True)["status"] == "ok"
    with pytest.raises(bv.RegistrationError) as caught:
        app.get("Pages", "ann|/a")
    assert caught.value.code == "unknown_table"
    app.reset()
    with pytest.raises(bv.RegistrationError) as caught:
        app.get("Spend", "ann")
    assert caught.value.code == "unknown_table"
