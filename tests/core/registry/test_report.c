/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/report.h"
#include "registry/world.h"
#include "util/utf8.h"

static void
test_findings_keep_their_order_path_and_hint(void **state)
{
    struct arena arena;
    struct report report;
    struct bv_error err;

    arena_init(&arena, 4096, 0);
    report_init(&report, &arena);
    report_path(&report, "nodes[%d]", 1);
    report_path_append(&report, ".%s", "name");
    report_hint(&report, "did you mean %s?", "b");
    report_error(&report, BV_INVALID_REGISTRATION, "x", "first %d", 1);
    report_error(&report, BV_AGG_UNKNOWN_OP, "y", "second");
    report_path(&report, "p");
    report_warning(&report, "careful");
    assert_int_equal(report.error_count, 2);
    assert_int_equal(report.warning_count, 1);
    assert_int_equal(report.errors[1].path.size, 0);
    assert_int_equal(report.errors[1].hint.size, 0);
    assert_int_equal(report.warnings[0].status, BV_OK);
    report_first(&report, &err);
    assert_int_equal(err.status, BV_INVALID_REGISTRATION);
    assert_string_equal(err.path, "nodes[1].name");
    assert_string_equal(err.message, "first 1");
    assert_string_equal(err.hint, "did you mean b?");
    arena_deinit(&arena);
}

static void
test_a_long_text_is_cut_between_characters(void **state)
{
    struct arena arena;
    struct report report;
    char text[2000];

    arena_init(&arena, 4096, 0);
    for (size_t shift = 0; shift < 3; shift++) {
        report_init(&report, &arena);
        memset(text, 'a', sizeof text);
        for (size_t i = shift; i + 3 < sizeof text; i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 3);
        }
        text[sizeof text - 1] = '\0';
        report_path(&report, "%s", text);
        report_error(&report, BV_INVALID_REGISTRATION, NULL, "%s", text);
        assert_true(utf8_is_valid(report.errors[0].message));
        assert_true(utf8_is_valid(report.errors[0].path));
        assert_in_range(report.errors[0].message.size, 700, 767);
    }
    arena_deinit(&arena);
}

static void
test_a_finding_without_memory_marks_the_report(void **state)
{
    struct arena arena;
    struct report report;

    arena_init(&arena, 64, 64);
    report_init(&report, &arena);
    report_error(&report, BV_INVALID_REGISTRATION, NULL, "x");
    assert_true(report.is_out_of_memory);
    assert_int_equal(report.error_count, 0);
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings_keep_their_order_path_and_hint),
        cmocka_unit_test(test_a_long_text_is_cut_between_characters),
        cmocka_unit_test(test_a_finding_without_memory_marks_the_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
