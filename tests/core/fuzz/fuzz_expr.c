/* SPDX-License-Identifier: Apache-2.0 */
/* Any text is refused or becomes a program that runs on any row. What a chain accepts, a where
 * accepts too, as the same node. */
#include <stdlib.h>

#include "expr/expr.h"
#include "util/assert.h"

#define FIELD_COUNT 7

static const struct expr_column columns[FIELD_COUNT] = {
    {{(const uint8_t *)"i", 1}, FIELD_I64, false, 0},
    {{(const uint8_t *)"f", 1}, FIELD_F64, true, 1},
    {{(const uint8_t *)"s", 1}, FIELD_STR, false, 2},
    {{(const uint8_t *)"b", 1}, FIELD_BOOL, false, 3},
    {{(const uint8_t *)"j", 1}, FIELD_JSON, false, 4},
    {{(const uint8_t *)"t.u", 3}, FIELD_DATETIME, false, 5},
    {{(const uint8_t *)"y", 1}, FIELD_BYTES, false, 6},
};

static const struct expr_column *
find(const struct expr_scope *scope, struct slice name)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (slice_equal(columns[i].name, name)) {
            return &columns[i];
        }
    }
    return NULL;
}

/* Row n: each field another kind in each row. */
static void
fill_row(struct value *values, unsigned n)
{
    static const struct value kinds[] = {
        {.kind = VALUE_NULL},
        {.as.i64 = INT64_MIN, .kind = VALUE_I64},
        {.as.f64 = -0.5, .kind = VALUE_F64},
        {.as.str = "true", .length = 4, .kind = VALUE_STR},
        {.as.bits = 1, .kind = VALUE_BOOL},
        {.as.bytes = (const uint8_t *)"\xFF", .length = 1, .kind = VALUE_BYTES},
        {.kind = VALUE_LIST},
        {.as.f64 = __builtin_nan(""), .kind = VALUE_F64},
        {.as.i64 = -1, .kind = VALUE_I64},
    };

    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        values[i] = kinds[(i + n) % (sizeof kinds / sizeof kinds[0])];
    }
}

static void
run(const struct expr_graph *graph, uint32_t root)
{
    struct expr_program *program = NULL;
    struct value *values = (struct value *)malloc(expr_graph_node_count(graph) * sizeof *values);
    struct arena arena;

    arena_init(&arena, 4096, 65536);
    BV_ASSERT(values != NULL);
    BV_ASSERT(expr_program_create(&program, graph, &root, 1, NULL) == BV_OK);
    for (unsigned row = 0; row < 9; row++) {
        fill_row(values, row);
        expr_program_run(program, values, &arena);
        BV_ASSERT(values[root].kind <= VALUE_MAP);
        arena_reset(&arena);
    }
    expr_program_destroy(program);
    arena_deinit(&arena);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct row_field fields[FIELD_COUNT];
    struct expr_scope scope = {.find = find};
    struct expr_graph *graph = NULL;
    struct expr_result chain = {0};
    struct expr_result where = {0};
    enum expr_failure failure = EXPR_FAILURE_NONE;
    enum bv_status chain_status = BV_OK;
    struct buf warnings;
    struct buf text;

    for (size_t i = 0; i < FIELD_COUNT; i++) {
        fields[i] = (struct row_field){columns[i].name, (enum field_type)columns[i].type,
                                       columns[i].is_optional};
    }
    BV_ASSERT(expr_graph_create(&graph, fields, FIELD_COUNT, NULL) == BV_OK);
    buf_init(&warnings);
    buf_init(&text);
    chain_status =
        expr_compile(&chain, graph, slice_of(data, size), &scope, EXPR_CHAIN, &failure, NULL, NULL);
    if (expr_compile(&where, graph, slice_of(data, size), &scope, EXPR_WHERE, &failure, &warnings,
                     NULL) == BV_OK) {
        run(graph, where.node);
        expr_graph_text(&text, graph, where.node);
        BV_ASSERT(text.size != 0);
        BV_ASSERT(chain_status != BV_OK || chain.node == where.node);
    } else {
        BV_ASSERT(failure != EXPR_FAILURE_TYPE);
        BV_ASSERT(chain_status != BV_OK);
    }
    buf_deinit(&text);
    buf_deinit(&warnings);
    expr_graph_destroy(graph);
    return 0;
}
