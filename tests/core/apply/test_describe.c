/* SPDX-License-Identifier: Apache-2.0 */
#include "apply_fixture.h"

static void
expect(struct fixture *f, const char *wanted)
{
    struct buf json;

    buf_init(&json);
    engine_describe_registry(f->engine, &json);
    buf_byte(&json, 0);
    assert_false(json.failed);
    assert_string_equal((const char *)json.data, wanted);
    buf_deinit(&json);
}

static void
test_every_node_stands_in_one_list(void **state)
{
    struct fixture f;

    fixture_open_memory(&f);
    expect(&f, "{\"node_count\":0,\"version\":0,\"events\":[],\"tables\":[],\"derivations\":[]}");
    fixture_register(
        &f, "{\"nodes\":["
            "{\"kind\":\"event\",\"name\":\"Tx\",\"schema\":{\"fields\":{\"user\":\"str\","
            "\"amount\":\"f64\"},\"optional_fields\":[]}},"
            "{\"kind\":\"derivation\",\"name\":\"Large\",\"output_kind\":\"event\",\"upstreams\":["
            "\"Tx\"],\"ops\":[{\"op\":\"filter\",\"expr\":\"(amount > 5)\"}]},"
            "{\"kind\":\"derivation\",\"name\":\"ByUser\",\"output_kind\":\"table\",\"upstreams\":["
            "\"Large\"],\"table_primary_key\":[\"user\"],\"ops\":[{\"op\":\"group_by\",\"keys\":["
            "\"user\"],\"agg\":{\"total\":{\"op\":\"sum\",\"params\":{\"field\":\"amount\"}},"
            "\"count\":{\"op\":\"count\"}}}]}]}");
    assert_reply_has(&f, "\"registry_version\":1");
    expect(&f, "{\"node_count\":3,\"version\":1,"
               "\"events\":[{\"fields\":[\"user\",\"amount\"],\"name\":\"Tx\"}],"
               "\"tables\":[{\"features\":[\"count\",\"total\"],\"keys\":[\"user\"],\"name\":"
               "\"ByUser\"}],"
               "\"derivations\":[{\"upstreams\":[\"Tx\"],\"name\":\"Large\"}]}");
    fixture_request(&f, REQUEST_RESET, "{}");
    expect(&f, "{\"node_count\":0,\"version\":2,\"events\":[],\"tables\":[],\"derivations\":[]}");
    fixture_close(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_node_stands_in_one_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
