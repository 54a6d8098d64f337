/* SPDX-License-Identifier: Apache-2.0 */
/* The document says what the rows say: it parses, lists every row, and drops nothing of one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agg/op.h"
#include "wire/json.h"

static struct arena arena;
static struct buf text;
static struct value catalogue;

static int
open_catalogue(void **state)
{
    arena_init(&arena, 65536, 0);
    buf_init(&text);
    agg_catalog_json(&text);
    assert_false(text.failed);
    assert_int_equal(json_parse(&catalogue, buf_slice(&text), 16, &arena, NULL), BV_OK);
    return 0;
}

static int
close_catalogue(void **state)
{
    buf_deinit(&text);
    arena_deinit(&arena);
    return 0;
}

static const struct value *
row_at(size_t index)
{
    return &value_find(&catalogue, "operators")->as.items[index];
}

static void
assert_text(const struct value *map, const char *name, const char *wanted)
{
    const struct value *found = value_find(map, name);

    assert_non_null(found);
    if (wanted == NULL) {
        assert_int_equal(found->kind, VALUE_NULL);
    } else {
        assert_int_equal(found->kind, VALUE_STR);
        assert_true(slice_equal(value_slice(found), slice_text(wanted)));
    }
}

static void
test_every_operator_has_its_row_in_order(void **state)
{
    assert_int_equal(value_find(&catalogue, "operators")->length, agg_op_count());
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct agg_op *op = agg_op_at(i);

        assert_text(row_at(i), "name", op->name);
        assert_text(row_at(i), "family", agg_op_family(op));
        assert_text(row_at(i), "summary", op->summary);
        assert_text(row_at(i), "nulls", op->nulls);
        assert_text(row_at(i), "error", op->error_bound);
        assert_text(row_at(i), "window_alias", op->window_alias);
        assert_non_null(agg_op_family(op));
    }
}

static void
test_an_empty_value_is_the_json_of_the_row(void **state)
{
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct value *found = value_find(row_at(i), "empty");
        struct value wanted;

        assert_int_equal(json_parse(&wanted, slice_text(agg_op_at(i)->empty), 16, &arena, NULL),
                         BV_OK);
        assert_non_null(found);
        assert_int_equal(found->kind, wanted.kind);
    }
}

static void
test_parameters_carry_bounds_defaults_and_refusals(void **state)
{
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct agg_op *op = agg_op_at(i);
        const struct value *params = value_find(row_at(i), "params");

        assert_int_equal(params->length, op->param_count);
        for (unsigned k = 0; k < op->param_count; k++) {
            const struct agg_param *param = &op->params[k];
            const struct value *found = &params->as.items[k];
            const bool has_bounds = param->min <= param->max;

            assert_text(found, "name", param->name);
            assert_text(found, "help", param->help);
            assert_text(found, "refusal", bv_status_code(param->refusal));
            assert_int_equal(value_find(found, "required")->as.bits, param->is_required);
            assert_int_equal(value_find(found, "min") != NULL, has_bounds);
            assert_int_equal(value_find(found, "max") != NULL, has_bounds);
            assert_int_equal(value_find(found, "default") != NULL, param->fallback != NULL);
        }
    }
}

static void
test_every_use_lists_the_accumulators_that_may_serve_it(void **state)
{
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct agg_op *op = agg_op_at(i);
        const struct value *uses = value_find(row_at(i), "uses");

        assert_int_equal(uses->length, op->use_count);
        for (unsigned k = 0; k < op->use_count; k++) {
            const struct value *any_of = value_find(&uses->as.items[k], "any_of");

            assert_true(any_of->length >= 1);
            for (unsigned j = 0; j < any_of->length; j++) {
                const struct agg_accumulator *accumulator = op->uses[k].any_of[j];
                const struct value *flag = value_find(&any_of->as.items[j], "approximate");

                assert_text(&any_of->as.items[j], "name", accumulator->name);
                assert_int_equal(flag->as.bits, (accumulator->flags & AGG_APPROXIMATE) != 0);
            }
        }
    }
}

static void
test_an_input_names_the_parameters_that_choose_its_column(void **state)
{
    for (size_t i = 0; i < agg_op_count(); i++) {
        const struct value *inputs = value_find(row_at(i), "inputs");

        assert_int_equal(inputs->length, agg_op_at(i)->input_count);
        for (unsigned k = 0; k < inputs->length; k++) {
            assert_true(value_find(&inputs->as.items[k], "params")->length >= 1);
        }
    }
}

static void
test_an_alias_names_an_operator_that_is_there(void **state)
{
    const struct value *aliases = value_find(&catalogue, "aliases");

    assert_int_equal(aliases->kind, VALUE_MAP);
    for (unsigned i = 0; i < aliases->length; i++) {
        const struct agg_op *op = agg_op_find(value_slice(&aliases->as.members[i].value));

        assert_non_null(op);
        assert_ptr_equal(op, agg_op_find(value_slice(&aliases->as.members[i].key)));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operator_has_its_row_in_order),
        cmocka_unit_test(test_an_empty_value_is_the_json_of_the_row),
        cmocka_unit_test(test_parameters_carry_bounds_defaults_and_refusals),
        cmocka_unit_test(test_every_use_lists_the_accumulators_that_may_serve_it),
        cmocka_unit_test(test_an_input_names_the_parameters_that_choose_its_column),
        cmocka_unit_test(test_an_alias_names_an_operator_that_is_there),
    };

    return cmocka_run_group_tests(tests, open_catalogue, close_catalogue);
}
