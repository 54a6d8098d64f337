/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "net/route.h"

struct expectation {
    const char *method;
    const char *target;
    enum route_result result;
    enum request_kind kind;
    const char *name;
    const char *key; /* NULL: none */
};

static void
test_paths_mean_what_the_contract_says(void **state)
{
    static const struct expectation rows[] = {
        {"POST", "/ping", ROUTE_FOUND, REQUEST_PING, "", NULL},
        {"POST", "/ping///?x=/y", ROUTE_FOUND, REQUEST_PING, "", NULL},
        {"POST", "/push", ROUTE_FOUND, REQUEST_PUSH, "", NULL},
        {"POST", "/push/", ROUTE_FOUND, REQUEST_PUSH, "", NULL},
        {"POST", "/push/E", ROUTE_FOUND, REQUEST_PUSH, "E", NULL},
        {"POST", "/push/E/", ROUTE_FOUND, REQUEST_PUSH, "E", NULL},
        {"POST", "/push/E/f", ROUTE_FOUND, REQUEST_PUSH, "E/f", NULL},
        {"POST", "/push-sync/E", ROUTE_FOUND, REQUEST_PUSH, "E", NULL},
        {"POST", "/push-batch/E", ROUTE_FOUND, REQUEST_PUSH_BATCH, "E", NULL},
        {"POST", "/push-batch", ROUTE_UNKNOWN, REQUEST_PING, "", NULL},
        {"POST", "/get", ROUTE_FOUND, REQUEST_GET, "", NULL},
        {"POST", "/get/", ROUTE_FOUND, REQUEST_GET, "", NULL},
        {"GET", "/get/f/k", ROUTE_FOUND, REQUEST_GET_SINGLE, "f", "k"},
        {"GET", "/get/f/k/", ROUTE_FOUND, REQUEST_GET_SINGLE, "f", "k/"},
        {"GET", "/get/f/a/b?c", ROUTE_FOUND, REQUEST_GET_SINGLE, "f", "a/b"},
        {"GET", "/get/f", ROUTE_FOUND, REQUEST_GET_SINGLE, "f", NULL},
        {"GET", "/get/f/", ROUTE_FOUND, REQUEST_GET_SINGLE, "f", NULL},
        {"HEAD", "/get/f/k", ROUTE_FOUND, REQUEST_GET_SINGLE, "f", "k"},
        {"POST", "/get/f/k", ROUTE_WRONG_METHOD, REQUEST_GET_SINGLE, "", NULL},
        {"GET", "/get", ROUTE_WRONG_METHOD, REQUEST_GET, "", NULL},
        {"get", "/health", ROUTE_WRONG_METHOD, REQUEST_PING, "", NULL},
        {"HEAD", "/health", ROUTE_FOUND, REQUEST_PING, "", NULL},
        {"POST", "/Ping", ROUTE_UNKNOWN, REQUEST_PING, "", NULL},
        {"POST", "//ping", ROUTE_UNKNOWN, REQUEST_PING, "", NULL},
        {"POST", "/%70ing", ROUTE_UNKNOWN, REQUEST_PING, "", NULL},
        {"GET", "http://host/health", ROUTE_UNKNOWN, REQUEST_PING, "", NULL},
        {"GET", "/registry", ROUTE_UNKNOWN, REQUEST_PING, "", NULL},
        {"POST", "/snapshot", ROUTE_FOUND, REQUEST_SNAPSHOT, "", NULL},
        {"GET", "/snapshot", ROUTE_WRONG_METHOD, REQUEST_SNAPSHOT, "", NULL},
        {"GET", "/", ROUTE_UNKNOWN, REQUEST_PING, "", NULL},
        {"OPTIONS", "*", ROUTE_UNKNOWN, REQUEST_PING, "", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct expectation *row = &rows[i];
        struct route_match match;
        enum route_result result =
            route_find(&match, slice_text(row->method), slice_text(row->target));

        if (result != row->result || (match.route != NULL && match.route->kind != row->kind) ||
            !slice_equal(match.name, slice_text(row->name)) ||
            match.has_key != (row->key != NULL) ||
            (row->key != NULL && !slice_equal(match.key, slice_text(row->key)))) {
            fail_msg("%s %s", row->method, row->target);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_mean_what_the_contract_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
