/* SPDX-License-Identifier: Apache-2.0 */
#include "tool_fixture.h"

#include "util/arena.h"
#include "wire/json.h"

static const struct value *
member(const struct value *object, const char *name)
{
    assert_int_equal(object->kind, VALUE_MAP);
    for (uint32_t i = 0; i < object->length; i++) {
        const struct value_member *m = &object->as.members[i];
        if (slice_equal(value_slice(&m->key), slice_text(name))) {
            return &m->value;
        }
    }
    fail_msg("no member %s", name);
    return NULL;
}

static void
test_the_object_says_what_the_report_holds(void **state)
{
    struct memory_os memory;
    struct verify_report report;
    struct arena arena;
    struct value object;
    struct buf text;

    arena_init(&arena, 4096, 0);
    buf_init(&text);
    tool_log(&memory);
    tool_snapshot(&memory, 20, 20);
    tool_flip(&memory, SEGMENT_1, 8192 + RECORD_MARK_SIZE + 100);
    assert_int_equal(verify_run(&report, &memory.os, &both_paths, NULL), BV_OK);
    verify_write_json(&text, &report);
    assert_int_equal(json_parse(&object, buf_slice(&text), 8, &arena, NULL), BV_OK);
    assert_int_equal(member(&object, "sound")->as.bits, 0);
    assert_int_equal(member(&object, "in_use_by")->kind, VALUE_NULL);
    assert_int_equal(member(member(&object, "log"), "last_lsn")->as.i64, 24);
    assert_int_equal(member(member(&object, "start"), "snapshot_lsn")->as.i64, 20);
    assert_int_equal(member(member(&object, "start"), "fallback_lsn")->kind, VALUE_NULL);
    const struct value *snapshots = member(&object, "snapshots");
    assert_int_equal(snapshots->length, 1);
    assert_int_equal(member(&snapshots->as.items[0], "entities")->as.i64, 7);
    const struct value *findings = member(&object, "findings");
    assert_int_equal(findings->length, 1);
    assert_int_equal(member(&findings->as.items[0], "last_lsn")->as.i64, 6);
    struct slice kind = value_slice(member(&findings->as.items[0], "kind"));
    assert_true(slice_equal(kind, slice_text("gap")));
    verify_report_deinit(&report);
    buf_deinit(&text);
    arena_deinit(&arena);
    memory_os_deinit(&memory);
}

static void
test_an_empty_report_is_an_object_too(void **state)
{
    struct verify_report report = {0};
    struct arena arena;
    struct value object;
    struct buf text;

    arena_init(&arena, 4096, 0);
    buf_init(&text);
    verify_write_json(&text, &report);
    assert_int_equal(json_parse(&object, buf_slice(&text), 8, &arena, NULL), BV_OK);
    assert_int_equal(member(&object, "log")->kind, VALUE_NULL);
    assert_int_equal(member(&object, "start")->kind, VALUE_NULL);
    buf_clear(&text);
    verify_write_text(&text, &report);
    assert_true(slice_equal(buf_slice(&text),
                            slice_text("start    not judged: the log or the snapshots were not "
                                       "given\nsound\n")));
    buf_deinit(&text);
    arena_deinit(&arena);
}

static void
test_every_kind_has_a_name(void **state)
{
    for (unsigned kind = 0; kind < SURVEY_KIND_COUNT; kind++) {
        assert_non_null(verify_kind_name(kind));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_object_says_what_the_report_holds),
        cmocka_unit_test(test_an_empty_report_is_an_object_too),
        cmocka_unit_test(test_every_kind_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
