/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TESTS_PLAN_FIXTURE_H
#define BV_TESTS_PLAN_FIXTURE_H

/* Plans compiled from registration payloads, one after the other as an engine would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plan/plan.h"

struct fixture {
    struct registry *registry;
    struct plan *plan;
    struct registry *former_registry; /* lives as long as the plan before */
    struct plan *former;
};

static inline void
fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    assert_int_equal(registry_create_empty(&f->registry, 0, NULL), BV_OK);
}

static inline void
fixture_deinit(struct fixture *f)
{
    plan_destroy(f->plan);
    plan_destroy(f->former);
    registry_destroy(f->registry);
    registry_destroy(f->former_registry);
}

/* Registers one source `S` (user str, amount f64, n i64, page str) and a table with these keys and
 * this "agg" object. */
static inline void
fixture_compile(struct fixture *f, const char *agg)
{
    char json[4096];
    struct registration registration;
    struct bv_error err = {0};

    snprintf(
        json, sizeof json,
        "{\"nodes\":[{\"kind\":\"event\",\"name\":\"S\",\"schema\":{\"fields\":{\"user\":"
        "\"str\",\"amount\":\"f64\",\"n\":\"i64\",\"page\":\"str\"}}},{\"kind\":\"derivation\","
        "\"name\":\"T\",\"output_kind\":\"table\",\"upstreams\":[\"S\"],\"table_primary_key\":"
        "[\"user\"],\"ops\":[{\"op\":\"group_by\",\"keys\":[\"user\"],\"agg\":{%s}}]}]}",
        agg);
    assert_int_equal(registration_prepare(&registration, f->registry, slice_text(json), 0, &err),
                     BV_OK);
    if (registration.next == NULL) {
        fail_msg("%s: %s", agg, registration.error.message);
    }
    struct plan *plan = NULL;

    if (plan_compile(&plan, registration.next, f->plan, registration.fresh,
                     registration.fresh_count, registration.renamed, registration.renamed_count, 0,
                     &err) != BV_OK) {
        fail_msg("plan_compile: %s", err.message);
    }
    plan_destroy(f->former);
    registry_destroy(f->former_registry);
    f->former = f->plan;
    f->former_registry = f->registry;
    f->plan = plan;
    f->registry = registration.next;
    registration.next = NULL;
    registration_deinit(&registration);
}

static inline const struct plan_table *
fixture_table(const struct fixture *f)
{
    const struct plan_table *table = plan_find_table(f->plan, slice_text("T"));

    assert_non_null(table);
    return table;
}

static inline uint32_t
fixture_accumulators(const struct fixture *f)
{
    const struct plan_layout *layout = fixture_table(f)->layout;
    uint32_t count = 0;

    for (uint32_t i = 0; i < layout->group_count; i++) {
        count += layout->groups[i].step_count;
    }
    return count;
}

#define FEATURE(name, op)            "\"" name "\":{\"op\":\"" op "\"}"
#define FEATURE_OF(name, op, params) "\"" name "\":{\"op\":\"" op "\",\"params\":{" params "}}"
#define AMOUNT                       "\"field\":\"amount\""

#endif
