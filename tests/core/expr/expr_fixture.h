/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_EXPR_FIXTURE_H
#define BV_TESTS_EXPR_FIXTURE_H

/* The row of operators.md 10.4 and one more field of each kind, a scope over them, and one call
 * from text to value. */

#include "expr/expr.h"

enum {
    FIXTURE_AMOUNT,
    FIXTURE_F,
    FIXTURE_S,
    FIXTURE_B,
    FIXTURE_N,
    FIXTURE_X,
    FIXTURE_J,
    FIXTURE_BIN,
    FIXTURE_LAT,
    FIXTURE_FIELD_COUNT,
};

struct fixture {
    struct expr_graph *graph;
    struct expr_scope scope;
    struct arena arena;
    struct value *values;
    struct expr_program *program; /* of the last run: string literals live in it */
    struct bv_error err;
    enum expr_failure failure;
    struct buf warnings;
};

static const struct expr_column fixture_columns[FIXTURE_FIELD_COUNT] = {
    {{(const uint8_t *)"amount", 6}, FIELD_I64, false, FIXTURE_AMOUNT},
    {{(const uint8_t *)"f", 1}, FIELD_F64, false, FIXTURE_F},
    {{(const uint8_t *)"s", 1}, FIELD_STR, false, FIXTURE_S},
    {{(const uint8_t *)"b", 1}, FIELD_BOOL, false, FIXTURE_B},
    {{(const uint8_t *)"n", 1}, FIELD_I64, true, FIXTURE_N},
    {{(const uint8_t *)"x", 1}, FIELD_I64, true, FIXTURE_X},
    {{(const uint8_t *)"j", 1}, FIELD_JSON, false, FIXTURE_J},
    {{(const uint8_t *)"bin", 3}, FIELD_BYTES, false, FIXTURE_BIN},
    {{(const uint8_t *)"geo.lat", 7}, FIELD_F64, false, FIXTURE_LAT},
};

static inline const struct expr_column *
fixture_find(const struct expr_scope *scope, struct slice name)
{
    for (size_t i = 0; i < FIXTURE_FIELD_COUNT; i++) {
        if (slice_equal(fixture_columns[i].name, name)) {
            return &fixture_columns[i];
        }
    }
    return NULL;
}

static inline void
fixture_open(struct fixture *fixture)
{
    struct row_field fields[FIXTURE_FIELD_COUNT];

    memset(fixture, 0, sizeof *fixture);
    for (size_t i = 0; i < FIXTURE_FIELD_COUNT; i++) {
        fields[i] =
            (struct row_field){fixture_columns[i].name, (enum field_type)fixture_columns[i].type,
                               fixture_columns[i].is_optional};
    }
    assert_int_equal(expr_graph_create(&fixture->graph, fields, FIXTURE_FIELD_COUNT, &fixture->err),
                     BV_OK);
    fixture->scope.find = fixture_find;
    arena_init(&fixture->arena, 4096, 0);
    buf_init(&fixture->warnings);
}

static inline void
fixture_close(struct fixture *fixture)
{
    buf_deinit(&fixture->warnings);
    arena_deinit(&fixture->arena);
    free(fixture->values);
    expr_program_destroy(fixture->program);
    expr_graph_destroy(fixture->graph);
}

static inline enum bv_status
fixture_compile(struct fixture *fixture, struct expr_result *out, const char *text,
                enum expr_mode mode)
{
    buf_clear(&fixture->warnings);
    return expr_compile(out, fixture->graph, slice_text(text), &fixture->scope, mode,
                        &fixture->failure, &fixture->warnings, &fixture->err);
}

/* Fields set to the row of 10.4; the rest is garbage on purpose: what a program does not write must
 * not be read. */
static inline void
fixture_fill(struct fixture *fixture)
{
    uint32_t count = expr_graph_node_count(fixture->graph);
    struct value *values = NULL;

    free(fixture->values);
    fixture->values = (struct value *)malloc(count * sizeof *fixture->values);
    assert_non_null(fixture->values);
    values = fixture->values;
    memset(values, 0xEE, count * sizeof *values);
    values[FIXTURE_AMOUNT] = value_i64(150);
    values[FIXTURE_F] = value_f64(2.5);
    values[FIXTURE_S] = value_str(slice_text("ok"));
    values[FIXTURE_B] = value_bool(true);
    values[FIXTURE_N] = value_null();
    values[FIXTURE_X] = value_null();
    values[FIXTURE_J] = value_str(slice_text("caf\xC3\xA9"));
    values[FIXTURE_BIN] = value_str(slice_text("ab"));
    values[FIXTURE_BIN].kind = VALUE_BYTES;
    values[FIXTURE_LAT] = value_f64(40.7128);
}

/* Runs the program of one root over the fixture's values as they are. */
static inline struct value
fixture_run(struct fixture *fixture, uint32_t root)
{
    expr_program_destroy(fixture->program);
    fixture->program = NULL;
    assert_int_equal(
        expr_program_create(&fixture->program, fixture->graph, &root, 1, &fixture->err), BV_OK);
    expr_program_run(fixture->program, fixture->values, &fixture->arena);
    return fixture->values[root];
}

static inline struct value
fixture_eval(struct fixture *fixture, const char *text)
{
    struct expr_result result;

    if (fixture_compile(fixture, &result, text, EXPR_WHERE) != BV_OK) {
        fail_msg("%s: %s", text, fixture->err.message);
    }
    fixture_fill(fixture);
    return fixture_run(fixture, result.node);
}

#endif
