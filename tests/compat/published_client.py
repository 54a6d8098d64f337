# SPDX-License-Identifier: Apache-2.0
"""Run by the published package's interpreter: what its users do, with what they may expect.

python published_client.py work URL      every operation of App
python published_client.py refused URL   what a server outside test mode refuses
python published_client.py embed         App() starts the server that BEAVA_BINARY names
"""

from __future__ import annotations

import sys

import beava as bv


@bv.event
class Click:
    user_id: str
    page: str
    amount: float
    n: int
    ok: bool


@bv.event
class Visit:
    visitor: int


@bv.table(key="user_id")
def Spend(click: Click):
    return click.group_by("user_id").agg(
        clicks=bv.count(),
        clicks_1h=bv.count(window="1h"),
        total=bv.sum("amount", window="24h"),
        mean_amount=bv.mean("amount", window="1h"),
        least=bv.min("n", window="1h"),
        most=bv.max("n", window="1h"),
        spread=bv.std("amount", window="1h"),
        variance_1h=bv.var("amount", window="1h"),
        good=bv.ratio(where=bv.col("ok") == True, window="1h"),  # noqa: E712
        first_page=bv.first("page"),
        last_page=bv.last("page"),
        big=bv.count(where=bv.col("amount") > 5.0, window="1h"),
    )


@bv.table(key=["user_id", "page"])
def Pages(click: Click):
    return (
        click.filter(bv.col("n") >= 0)
        .with_columns(doubled=bv.col("amount") * 2)
        .group_by("user_id", "page")
        .agg(page_clicks=bv.count(), page_total=bv.sum("amount", window="1h"))
    )


@bv.table
def Everything(click: Click):
    return click.group_by().agg(all_clicks=bv.count())


PIPELINE = (Click, Visit, Spend, Pages, Everything)
EVENTS = [
    {"user_id": "ann", "page": "/a", "amount": 1.5, "n": 3, "ok": True},
    {"user_id": "ann", "page": "/b", "amount": 10.0, "n": -2, "ok": False},
    {"user_id": "ann", "page": "/a", "amount": 6.5, "n": 9, "ok": True},
    {"user_id": "bob", "page": "/ü", "amount": 2.0, "n": 1, "ok": False},
]


def check(got: object, want: object) -> None:
    assert got == want, f"got {got!r}, expected {want!r}"
    assert type(got) is type(want), f"got {got!r}, expected {want!r}"


def refusal(code: str, call, *arguments, **options) -> bv.RegistrationError:
    try:
        result = call(*arguments, **options)
    except bv.RegistrationError as error:
        assert error.code == code, f"{error.code}, expected {code}: {error}"
        return error
    raise AssertionError(f"{result!r} instead of {code}")


def work(app: bv.App) -> None:
    app.reset()
    version = app.ping()["registry_version"]
    plan = app.register(*PIPELINE, dry_run=True)
    check(plan["would_apply"], False)
    check(len(plan["diff"]["additive"]), len(PIPELINE))
    reply = app.register(*PIPELINE)
    check(reply["status"], "ok")
    check(reply["registry_version"], version + 1)
    check(reply["registered_descriptors"], [d._name for d in PIPELINE])
    check(sorted(reply["added"]), sorted(d._name for d in PIPELINE))
    again = app.register(*PIPELINE)
    check((again["added"], again["registry_version"]), ([], version + 1))
    check(sorted(again["already_present"]), sorted(d._name for d in PIPELINE))
    last_lsn = 0
    for fields in EVENTS:
        ack = app.push("Click", fields)
        assert ack["ack_lsn"] > last_lsn
        check((ack["idempotent_replay"], ack["registry_version"]), (False, version + 1))
        last_lsn = ack["ack_lsn"]
    reads(app)
    refusals(app)
    changes(app)


def reads(app: bv.App) -> None:
    row = app.get("Spend", "ann")
    check(list(row), sorted(row))
    for name, want in {
        "clicks": 3, "clicks_1h": 3, "total": 18.0, "mean_amount": 6.0, "least": -2, "most": 9,
        "first_page": "/a", "last_page": "/a", "big": 2, "good": 2 / 3,
    }.items():  # fmt: skip
        check(row[name], want)
    assert abs(row["variance_1h"] - 18.25) < 1e-9
    assert abs(row["spread"] ** 2 - 18.25) < 1e-9
    check(app.get("Spend", "ann", features=["clicks", "least"]), {"clicks": 3, "least": -2})
    check(app.get("Spend", "ann", features=[]), {})
    check(app.get("Spend", "nobody"), {})
    check(app.get("Pages", "ann|/a"), {"page_clicks": 2, "page_total": 8.0})
    check(app.get("Pages", "bob|/ü"), {"page_clicks": 1, "page_total": 2.0})
    check(app.get("Everything"), {"all_clicks": 4})
    rows = app.batch_get([("Spend", "bob", ["clicks"]), ("Everything", ""), ("Nope", "x"),
                          ("Pages", "ann"), ("Spend", "nobody")])  # fmt: skip
    check(rows[:2], [{"clicks": 1}, {"all_clicks": 4}])
    check(rows[2]["error"]["code"], "unknown_table")
    check(rows[3]["error"]["code"], "key_parse_failure")
    check(rows[4], {})
    check(app.batch_get([]), [])


def refusals(app: bv.App) -> None:
    refusal("event_not_found", app.push, "Nope", {})
    refusal("event_not_found", app.push, "Spend", {"user_id": "ann"})
    fields = EVENTS[0]
    refusal("invalid_event", app.push, "Click", {**fields, "n": "3"})
    refusal("invalid_event", app.push, "Click", {**fields, "n": None})
    refusal("invalid_event", app.push, "Click", {k: v for k, v in fields.items() if k != "n"})
    refusal("unknown_field_v0", app.push, "Click", {**fields, "colour": 1})
    refusal("unknown_field_event_time_v0", app.push, "Click", {**fields, "event_time": 1})
    refusal("control_character_in_string", app.push, "Click", {**fields, "page": "\x01"})
    refusal("unknown_table", app.get, "Nope", "ann")
    refusal("unknown_table", app.get, "Click", "ann")
    refusal("key_parse_failure", app.get, "Pages", "ann")
    refusal("key_parse_failure", app.get, "Everything", "ann")
    error = refusal("internal_error", app.get, "Spend", "ann", features=["zz"])
    assert "feature_not_found" in str(error)
    assert "zz" in str(error)
    refusal("internal_error", app.batch_get, [("Spend", "ann", ["zz"])])
    check(app.get("Spend", "ann", features=["clicks"]), {"clicks": 3})  # nothing half-applied
    node = {"kind": "derivation", "name": "Bad", "output_kind": "table", "upstreams": ["Click"],
            "table_primary_key": ["user_id"]}  # fmt: skip

    def bad(agg: object, *ops: object) -> tuple:
        group = {"op": "group_by", "keys": ["user_id"], "agg": agg}
        return (*PIPELINE, {**node, "ops": [*ops, group]})

    window = {"op": "count", "params": {"window": "5 minutes"}}
    error = refusal("aggregation_invalid_window", app.register, *bad({"x": window}))
    check(error.path, "nodes[5].ops[0].agg.x.params.window")
    where = {"op": "count", "params": {"where": "(zz > 1)"}}
    refusal("aggregation_invalid_where", app.register, *bad({"x": where}))
    field = {"op": "sum", "params": {"field": "zz"}}
    refusal("aggregation_unknown_field", app.register, *bad({"x": field}))
    unknown = {"op": "avg", "params": {"field": "n", "window": "1h"}}
    refusal("aggregation_unknown_op", app.register, *bad({"x": unknown}))
    refusal("unbounded_op_in_lifetime_mode", app.register, *bad({"x": {"op": "avg"}}))
    broken = {"op": "filter", "expr": "(n > )"}
    refusal("invalid_expression", app.register, *bad({"x": {"op": "count"}}, broken))
    collides = bad({"clicks": {"op": "count"}})
    code = "aggregation_feature_name_collision_across_aggregations"
    refusal(code, app.register, *collides)
    refusal("feature_removed_no_joins_v0", app.register, *bad({}, {"op": "join"}))
    refusal("unsupported_node_kind", app.register, *PIPELINE, {"kind": "table", "name": "X"})
    refusal("invalid_registration", app.register, *PIPELINE, {"kind": "event", "name": "X"})


def changes(app: bv.App) -> None:
    """Without force nothing is taken away; with it only what was asked for."""
    refusal("force_required", app.register, Click, Visit, Spend, Pages)
    check(app.get("Everything"), {"all_clicks": 4})
    plan = app.register(Click, Visit, Spend, Pages, dry_run=True, force=True)
    check(plan["diff"]["destructive"][0]["table"], "Everything")
    reply = app.register(Click, Visit, Spend, Pages, force=True)
    check(reply["status"], "ok")
    refusal("unknown_table", app.get, "Everything")
    app.reset()
    refusal("event_not_found", app.push, "Click", EVENTS[0])
    refusal("unknown_table", app.get, "Spend", "ann")


def refused(app: bv.App) -> None:
    error = refusal("reset_disabled_in_production", app.reset)
    assert "BEAVA_TEST_MODE" in str(error)
    assert "test_mode" in str(error)
    app.ping()


def main() -> None:
    what = sys.argv[1]
    if what == "embed":
        with bv.App(test_mode=True) as app:
            work(app)
        with bv.App() as app:
            refused(app)
    else:
        with bv.App(sys.argv[2]) as app:
            {"work": work, "refused": refused}[what](app)
    print("done")


if __name__ == "__main__":
    main()
