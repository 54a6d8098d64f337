/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

/* One descriptor, then and now: wire.md 4.6 step 4 and V36. */

#define E(fields, rest) "{'kind':'event','name':'E','schema':{'fields':{" fields "}" rest "}"
#define U               "{'kind':'event','name':'E','schema':{'fields':{'u':'str','n':'i64'}}}"
#define T(ops, pk)                                                                                 \
    U ",{'kind':'derivation','name':'T','output_kind':'table','upstreams':['E'],'ops':[" ops       \
      "],'table_primary_key':[" pk "]}"
#define GROUP(keys, agg) "{'op':'group_by','keys':[" keys "],'agg':{" agg "}}"
#define SUM(params)      "'s':{'op':'sum','params':{" params "}}"
#define D(rest)          U ",{'kind':'derivation','name':'D'," rest "}"

struct change {
    const char *before, *after, *additive, *destructive;
};

static void
expect_change(const struct change *change)
{
    struct world world;
    struct buf text;
    char payload[2048];

    world_init(&world);
    (void)snprintf(payload, sizeof payload, NODES("%s"), change->before);
    world_expect_ok(&world, payload);
    (void)snprintf(payload, sizeof payload, DRY("%s"), change->after);
    world_expect_ok(&world, payload);
    const struct value *diff = value_find(&world.reply, "diff");

    buf_init(&text);
    json_write(&text, value_find(diff, "additive"));
    json_write(&text, value_find(diff, "destructive"));
    for (size_t i = 0; i < text.size; i++) {
        text.data[i] = text.data[i] == '"' ? '\'' : text.data[i];
    }
    (void)snprintf(payload, sizeof payload, "[%s][%s]", change->additive, change->destructive);
    if (!slice_equal(buf_slice(&text), slice_text(payload))) {
        fail_msg("%s\n-> %s\nexpected %s\ngot %.*s", change->before, change->after, payload,
                 (int)text.size, (const char *)text.data);
    }
    buf_deinit(&text);
    world_deinit(&world);
}

static void
expect_changes(const struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        expect_change(&changes[i]);
    }
}

#define DEFINITION(name, part) "{'agg':'" part "','kind':'definition_change','table':'" name "'}"
#define SETTING(part)          "{'agg':'" part "','kind':'setting_change','table':'E'}"

static void
test_changes_of_events_have_their_entries(void **state)
{
    static const struct change changes[] = {
        {E("'a':'str','b':'i64'", "}"), E("'b':'i64','a':'str'", "}"), "", ""},
        {E("'a':'str','b':'i64'", "}"), E("'a':'str'", "}"), "",
         "{'field':'E.b','from':'i64','kind':'type_change','to':'<absent>'}"},
        {E("'a':'str','b':'i64'", "}"), E("'a':'str','b':'f64'", "}"), "",
         "{'field':'E.b','from':'i64','kind':'type_change','to':'f64'}"},
        {E("'a':'str'", "}"), E("'a':'str','z':'i64'", "}"),
         "{'event':'E','field':'z','kind':'new_field','type':'i64'}", ""},
        {E("'a':'str'", "}"), E("'a':'str'", ",'optional_fields':['a']}"),
         SETTING("optional_fields"), ""},
        {E("'a':'str'", ",'optional_fields':['a']}"), E("'a':'str'", "}"), "",
         DEFINITION("E", "optional_fields")},
        {E("'a':'str'", "}"), E("'a':'str'", ",'optional_fields':['x']}"),
         SETTING("optional_fields"), ""},
        {E("'a':'str'", ",'optional_fields':['x']}"), E("'a':'str'", "}"), "",
         DEFINITION("E", "optional_fields")},
        {E("'a':'str'", "}"), E("'a':'str'", "},'dedupe_key':'a'"), SETTING("dedupe_window_ms"),
         DEFINITION("E", "dedupe_key")},
        {E("'a':'str'", "},'dedupe_key':'a'"),
         E("'a':'str'", "},'dedupe_key':'a','dedupe_window_ms':5"), SETTING("dedupe_window_ms"),
         ""},
        {E("'a':'str'", "}"), E("'a':'str'", "},'cold_after_ms':5"), SETTING("cold_after_ms"), ""},
        {E("'a':'str'", "},'keep_events_for_ms':6"), E("'a':'str'", "}"),
         SETTING("keep_events_for_ms"), ""},
    };

    expect_changes(changes, sizeof changes / sizeof changes[0]);
}

static void
test_changes_of_tables_have_their_entries(void **state)
{
    static const struct change changes[] = {
        {T(GROUP("'u'", COUNT("a")), "'u'"), T(GROUP("'u'", COUNT("a") "," COUNT("b")), "'u'"),
         "{'agg':'b','kind':'new_agg','source':'count','table':'T'}", ""},
        {T(GROUP("'u'", COUNT("a") "," COUNT("b")), "'u'"), T(GROUP("'u'", COUNT("a")), "'u'"), "",
         "{'agg':'b','kind':'agg_removal','table':'T'}"},
        {T(GROUP("'u'", SUM("'field':'n'")), "'u'"),
         T(GROUP("'u'", SUM("'field':'n','window':'1h'")), "'u'"), "",
         "{'agg':'T.s','from':'','kind':'window_change','to':'1h'}"},
        {T(GROUP("'u'", SUM("'field':'n','window':'1h'")), "'u'"),
         T(GROUP("'u'", SUM("'field':'n','window':'2h'")), "'u'"), "",
         "{'agg':'T.s','from':'1h','kind':'window_change','to':'2h'}"},
        {T(GROUP("'u'", SUM("'field':'n'")), "'u'"),
         T(GROUP("'u'", "'s':{'op':'max','params':{'field':'n'}}"), "'u'"),
         "{'agg':'s','kind':'new_agg','source':'max','table':'T'}",
         "{'agg':'s','kind':'agg_removal','table':'T'}"},
        {T(GROUP("'u'", SUM("'field':'n'")), "'u'"),
         T(GROUP("'u'", SUM("'field':'n','where':'(n > 1)'")), "'u'"), "", DEFINITION("T", "s")},
        {T(GROUP("'u'", SUM("'field':'n','where':'(n > 1)'")), "'u'"),
         T(GROUP("'u'", SUM("'field':'n','where':'(n > 2)'")), "'u'"), "", DEFINITION("T", "s")},
        {T(GROUP("'u'", COUNT("a")), "'u'"), T(GROUP("'n'", COUNT("a")), "'n'"), "",
         "{'from':['u'],'kind':'key_cols_change','table':'T','to':['n']},"
         "{'from':['u'],'kind':'key_cols_change','table':'T','to':['n']}"},
        {T(GROUP("'u'", COUNT("a")), "'u'"), T(GROUP("'u'", COUNT("a")), "'n'"), "",
         "{'from':['u'],'kind':'key_cols_change','table':'T','to':['n']}"},
        {T(GROUP("'u'", COUNT("a")), "'u'"),
         T("{'op':'filter','expr':'(n > 1)'}," GROUP("'u'", COUNT("a")), "'u'"), "",
         DEFINITION("T", "ops[0]") "," DEFINITION("T", "ops[1]")},
        {T("{'op':'filter','expr':'(n > 1)'}," GROUP("'u'", COUNT("a")), "'u'"),
         T(GROUP("'u'", COUNT("a")), "'u'"), "",
         "{'agg':'group_by[1]','kind':'op_removal','table':'T'}," DEFINITION("T", "ops[0]")},
        {T("{'op':'filter','expr':'(n > 1)'}," GROUP("'u'", COUNT("a")), "'u'"),
         T("{'op':'filter','expr':'(n > 2)'}," GROUP("'u'", COUNT("a")), "'u'"), "",
         DEFINITION("T", "ops[0]")},
    };

    expect_changes(changes, sizeof changes / sizeof changes[0]);
}

static void
test_changes_of_derived_events_have_their_entries(void **state)
{
    static const struct change changes[] = {
        {D("'output_kind':'event','upstreams':['E'],'schema':{'fields':{'u':'str'}}"),
         D("'output_kind':'event','upstreams':['E'],'schema':{'fields':{'n':'str'}}"), "", ""},
        {D("'output_kind':'event','upstreams':['E'],'schema':{'fields':{'u':'str'}}"),
         D("'output_kind':'event','upstreams':[],'schema':{'fields':{'u':'str'}}"), "",
         DEFINITION("D", "upstreams")},
        {D("'output_kind':'event','upstreams':['E'],'schema':{'fields':{'u':'str'}}"),
         D("'output_kind':'table','upstreams':['E'],'schema':{'fields':{'u':'str'}},"
           "'table_primary_key':[]"),
         "",
         "{'from':[],'kind':'key_cols_change','table':'D','to':[]}," DEFINITION("D",
                                                                                "output_kind")},
        {D("'output_kind':'event','upstreams':['E'],'schema':{'fields':{'u':'str'}}"),
         D("'output_kind':'event','upstreams':['E'],'schema':{'fields':{'u':'str'}},"
           "'table_primary_key':['u']"),
         "", DEFINITION("D", "table_primary_key")},
        {U "," EVENT("D", "'a':'str'"),
         D("'output_kind':'event','upstreams':['E'],'schema':{'fields':{'u':'str'}}"), "",
         DEFINITION("D", "kind")},
    };

    expect_changes(changes, sizeof changes / sizeof changes[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_of_events_have_their_entries),
        cmocka_unit_test(test_changes_of_tables_have_their_entries),
        cmocka_unit_test(test_changes_of_derived_events_have_their_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
