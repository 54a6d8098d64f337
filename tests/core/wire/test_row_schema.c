/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "wire/row_schema.h"

static struct row_field
field_of(const char *name, enum field_type type, bool is_optional)
{
    return (struct row_field){slice_text(name), type, is_optional};
}

static void
test_the_seven_types_are_known_by_name(void **state)
{
    static const char *const NAMES[] = {"str", "i64", "f64", "bool", "bytes", "datetime", "json"};

    for (size_t i = 0; i < 7; i++) {
        enum field_type type = FIELD_STR;

        assert_true(field_type_parse(&type, slice_text(NAMES[i])));
        assert_int_equal(type, i);
        assert_string_equal(field_type_name(type), NAMES[i]);
    }
    enum field_type type = FIELD_STR;

    assert_false(field_type_parse(&type, slice_text("int")));
    assert_false(field_type_parse(&type, slice_text("st")));
    assert_false(field_type_parse(&type, slice_text("")));
}

static void
test_every_name_of_a_large_schema_is_found(void **state)
{
    static struct row_field fields[1000];
    static char names[1000][24];
    struct row_schema *schema = NULL;

    for (size_t i = 0; i < 1000; i++) {
        /* Sizes on both sides of the hash's 8-byte steps. */
        (void)snprintf(names[i], sizeof names[i], "%0*zu", (int)(4 + i % 18), i);
        fields[i] = field_of(names[i], FIELD_I64, false);
    }
    assert_int_equal(row_schema_create(&schema, slice_text("E"), fields, 1000, 1000, 0, NULL),
                     BV_OK);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(row_schema_find(schema, slice_text(names[i])), i);
    }
    assert_int_equal(row_schema_find(schema, slice_text("0")), ROW_NO_FIELD);
    assert_int_equal(row_schema_find(schema, slice_text("")), ROW_NO_FIELD);
    row_schema_destroy(schema);
}

static void
test_schema_outlives_the_names_it_was_made_from(void **state)
{
    char name[] = "amount";
    struct row_field field = field_of(name, FIELD_F64, false);
    struct row_schema *schema = NULL;

    assert_int_equal(row_schema_create(&schema, slice_text("E"), &field, 1, 1, 0, NULL), BV_OK);
    memset(name, 'x', 6);
    assert_int_equal(row_schema_find(schema, slice_text("amount")), 0);
    assert_int_equal(row_schema_find(schema, slice_text("xxxxxx")), ROW_NO_FIELD);
    row_schema_destroy(schema);
}

static void
test_a_name_declared_twice_is_refused(void **state)
{
    struct row_field fields[] = {field_of("a", FIELD_STR, false), field_of("a", FIELD_I64, true)};
    struct row_schema *schema = NULL;
    struct bv_error err;

    assert_int_equal(row_schema_create(&schema, slice_text("E"), fields, 2, 2, 0, &err),
                     BV_INVALID_REGISTRATION);
    assert_string_equal(err.message, "field \"a\" is declared twice; rename one of them");
    assert_null(schema);
}

static void
test_a_name_with_a_control_character_is_never_found(void **state)
{
    struct row_field fields[] = {field_of("a\001", FIELD_STR, true),
                                 field_of("b", FIELD_STR, false)};
    struct row_schema *schema = NULL;

    assert_int_equal(row_schema_create(&schema, slice_text("E"), fields, 2, 2, 0, NULL), BV_OK);
    assert_int_equal(row_schema_find(schema, slice_text("a\001")), ROW_NO_FIELD);
    assert_int_equal(row_schema_find(schema, slice_text("b")), 1);
    row_schema_destroy(schema);
}

static void
test_names_that_do_not_fit_a_literal_are_not_predicted(void **state)
{
    /* 31 bytes fit MessagePack's short header, 28 JSON's quotes, comma and colon. */
    static const char NAME[] = "abcdefghijklmnopqrstuvwxyz012345";

    for (size_t size = 0; size <= 32; size++) {
        struct row_field field = {slice_of(NAME, size), FIELD_STR, false};
        struct row_schema *schema = NULL;

        assert_int_equal(row_schema_create(&schema, slice_text("E"), &field, 1, 1, 0, NULL), BV_OK);
        assert_int_equal(schema->guesses[ROW_MSGPACK].fields[0].mask == ROW_NEVER, size > 31);
        assert_int_equal(schema->guesses[ROW_JSON_COMPACT].fields[0].mask == ROW_NEVER, size > 28);
        assert_int_equal(schema->guesses[ROW_JSON_SPACED].fields[0].mask == ROW_NEVER, size > 26);
        row_schema_destroy(schema);
    }
}

static void
test_epochs_start_again_after_the_last_one(void **state)
{
    struct row_field field = field_of("a", FIELD_STR, true);
    struct row_schema *schema = NULL;
    struct row_guesses *guesses = NULL;

    assert_int_equal(row_schema_create(&schema, slice_text("E"), &field, 1, 1, 0, NULL), BV_OK);
    guesses = &schema->guesses[ROW_MSGPACK];
    guesses->epoch = UINT32_MAX;
    guesses->fields[0].epoch = 1; /* seen by the first event of all */
    assert_int_equal(row_guesses_begin(guesses, 1), 1);
    assert_int_equal(guesses->fields[0].epoch, 0);
    row_schema_destroy(schema);
}

static void
test_destroying_no_schema_is_harmless(void **state)
{
    row_schema_destroy(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_seven_types_are_known_by_name),
        cmocka_unit_test(test_every_name_of_a_large_schema_is_found),
        cmocka_unit_test(test_schema_outlives_the_names_it_was_made_from),
        cmocka_unit_test(test_a_name_declared_twice_is_refused),
        cmocka_unit_test(test_a_name_with_a_control_character_is_never_found),
        cmocka_unit_test(test_names_that_do_not_fit_a_literal_are_not_predicted),
        cmocka_unit_test(test_epochs_start_again_after_the_last_one),
        cmocka_unit_test(test_destroying_no_schema_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
