/* SPDX-License-Identifier: Apache-2.0 */
/* Repeated events: what counts as the same, for how long, and what a replay is answered. */
#include "apply_fixture.h"
#include "place_fixture.h"

#include "apply/apply.h"
#include "durability/record.h"

#define WINDOW_MS 1000

#define PAY(fields, more)                                                                          \
    "{\"kind\":\"event\",\"name\":\"Pay\",\"schema\":{\"fields\":{\"user\":\"str\",\"id\":"        \
    "\"json\"" fields "},\"optional_fields\":[\"id\"]}" more "}"
#define WINDOW(ms) ",\"dedupe_key\":\"id\",\"dedupe_window_ms\":" #ms
#define PAID(agg)                                                                                  \
    "{\"kind\":\"derivation\",\"name\":\"Paid\",\"output_kind\":\"table\",\"upstreams\":[\"Pay\"]" \
    ","                                                                                            \
    "\"table_primary_key\":[\"user\"],\"ops\":[{\"op\":\"group_by\",\"keys\":[\"user\"],\"agg\":{" \
    "\"n\":{\"op\":\"count\"}" agg "}}]}"
#define NODES          "{\"nodes\":[" PAY("", WINDOW(1000)) "," PAID("") "]}"
#define FORCED(p, agg) "{\"force\":true,\"nodes\":[" p "," PAID(agg) "]}"

static void
push_id(struct fixture *f, const char *id)
{
    char body[256];

    snprintf(body, sizeof body, "{\"user\":\"u\",\"id\":%s}", id);
    fixture_push(f, "Pay", body);
    assert_int_equal(f->response.kind, RESPONSE_ACK);
}

static void
assert_new(struct fixture *f, const char *id)
{
    push_id(f, id);
    if (f->response.is_replay) {
        fail_msg("%s is taken for a repeated one", id);
    }
}

static void
assert_repeated(struct fixture *f, const char *id, uint64_t lsn)
{
    push_id(f, id);
    if (!f->response.is_replay) {
        fail_msg("%s is taken for a new one", id);
    }
    assert_int_equal(f->response.lsn, lsn);
    assert_int_equal(f->response.wait_lsn, lsn);
}

static void
assert_paid(struct fixture *f, unsigned wanted)
{
    char reply[32];

    snprintf(reply, sizeof reply, "{\"n\":%u}", wanted);
    fixture_get(f, "Paid", "\"u\"");
    assert_reply(f, reply);
}

static void
open_world(struct fixture *f, uint64_t entries_max)
{
    const struct engine_options options = {
        .policy = BV_POLICY_MEMORY, .is_test_mode = true, .dedupe_max_entries = entries_max};

    fixture_open(f, &options);
    fixture_register(f, NODES);
}

static void
test_a_repeated_event_is_answered_as_the_first_and_not_counted(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0);
    assert_new(&f, "\"a\"");
    const uint64_t first = f.response.lsn;

    fixture_register(&f, FORCED(PAY("", WINDOW(1000)), ",\"m\":{\"op\":\"count\"}"));
    assert_repeated(&f, "\"a\"", first);
    assert_int_equal(f.response.registry_version, 1); /* HTTP: the first ack, word for word */
    fixture_request(&f, REQUEST_PUSH,
                    "{\"event\":\"Pay\",\"body\":{\"user\":\"other\",\"id\":\"a\"}}");
    assert_true(f.response.is_replay);
    assert_int_equal(f.response.lsn, first);
    assert_int_equal(f.response.registry_version, 2); /* elsewhere: what is in force */
    assert_new(&f, "\"b\"");
    assert_int_equal(f.response.lsn, first + 2); /* a replay takes no LSN, the registration did */
    assert_int_equal(f.engine->events_replayed, 2);
    assert_int_equal(f.engine->events_accepted, 2);
    fixture_get(&f, "Paid", "\"other\"");
    assert_reply(&f, "{}");
    fixture_close(&f);
}

static void
test_a_key_keeps_its_type_and_null_is_none(void **state)
{
    static const char *const keys[] = {"5",         "\"5\"",    "5.5",  "\"5.5\"", "true",
                                       "false",     "1",        "\"\"", "[1]",     "[1.5]",
                                       "{\"a\":1}", "\"true\"", "-5",   "0.0",     "0"};
    static const char *const none[] = {"null", "null"};
    struct fixture f;

    (void)state;
    open_world(&f, 0);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_new(&f, keys[i]);
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_repeated(&f, keys[i], i + 2);
    }
    assert_repeated(&f, "-0.0", 15);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_new(&f, none[i]);
        fixture_push(&f, "Pay", "{\"user\":\"u\"}");
        assert_false(f.response.is_replay);
    }
    assert_int_equal(dedupe_entry_count(f.engine), sizeof keys / sizeof keys[0]);
    fixture_close(&f);
}

static void
test_a_key_is_known_until_its_window_is_over_and_a_replay_extends_nothing(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0);
    assert_new(&f, "\"a\"");
    f.now_ms += WINDOW_MS - 1;
    assert_repeated(&f, "\"a\"", 2);
    f.now_ms += 1;
    assert_new(&f, "\"a\"");
    f.now_ms += WINDOW_MS - 1;
    assert_repeated(&f, "\"a\"", 3);
    assert_paid(&f, 2);
    assert_int_equal(dedupe_entry_count(f.engine), 1);
    fixture_close(&f);
}

static void
test_only_accepted_events_are_remembered_and_invalid_copies_are_refused(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0);
    fixture_push(&f, "Pay", "{\"user\":5,\"id\":\"a\"}");
    assert_reply_has(&f, "invalid_event");
    assert_new(&f, "\"a\"");
    fixture_push(&f, "Pay", "{\"user\":5,\"id\":\"a\"}");
    assert_reply_has(&f, "invalid_event");
    assert_int_equal(f.engine->events_refused, 2);
    fixture_close(&f);
}

static void
test_a_batch_lists_what_it_has_seen_before_or_in_itself(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0);
    assert_new(&f, "\"a\"");
    fixture_request(
        &f, REQUEST_PUSH_MANY,
        "{\"event\":\"Pay\",\"bodies\":[{\"user\":\"u\",\"id\":\"a\"},{\"user\":\"u\","
        "\"id\":\"b\"},{\"user\":\"u\",\"id\":\"b\"},{\"id\":\"c\"},{\"user\":\"u\"}]}");
    assert_reply_has(&f, "{\"accepted\":2,\"ack_lsn\":4,");
    assert_reply_has(&f, "\"index\":3}");
    assert_reply_has(&f, "\"replayed\":[0,2]}");
    fixture_send(&f, (struct request){.kind = REQUEST_PUSH_BATCH,
                                      .transport = TRANSPORT_HTTP,
                                      .has_name = true,
                                      .name = slice_text("Pay"),
                                      .payload = slice_text("[{\"user\":\"u\",\"id\":\"b\"}]")});
    assert_reply(&f, "{\"accepted\":0,\"ack_lsn\":null,\"refused\":[],\"registry_version\":1,"
                     "\"replayed\":[0]}");
    assert_int_equal(f.response.wait_lsn, 3); /* of the first push of b */
    assert_paid(&f, 3);
    fixture_close(&f);
}

static void
test_beyond_the_most_the_oldest_are_forgotten(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 3);
    assert_new(&f, "1");
    assert_new(&f, "2");
    assert_new(&f, "3");
    assert_repeated(&f, "1", 2); /* which makes it no younger */
    assert_new(&f, "4");
    assert_repeated(&f, "2", 3);
    assert_new(&f, "1");
    assert_new(&f, "2");
    assert_int_equal(dedupe_entry_count(f.engine), 3);
    assert_int_equal(f.engine->dedupe_evictions, 3);
    f.now_ms += WINDOW_MS;
    assert_new(&f, "5"); /* takes the place of one that counts for nothing any more */
    assert_int_equal(f.engine->dedupe_evictions, 3);
    fixture_close(&f);
}

static void
test_what_changes_the_events_meaning_forgets_its_keys(void **state)
{
    static const struct {
        const char *what, *json;
        bool is_known;
    } rows[] = {
        {"the same", NODES, true},
        {"another feature", FORCED(PAY("", WINDOW(1000)), ",\"m\":{\"op\":\"count\"}"), true},
        {"another field", FORCED(PAY(",\"x\":\"i64\"", WINDOW(1000)), ""), true},
        {"another window", FORCED(PAY("", WINDOW(5000)), ""), true},
        {"a time to live", FORCED(PAY("", WINDOW(1000) ",\"cold_after_ms\":5"), ""), true},
        {"a field of another type",
         "{\"force\":true,\"nodes\":[{\"kind\":\"event\",\"name\":\"Pay\",\"schema\":{\"fields\":{"
         "\"user\":\"i64\",\"id\":\"json\"},\"optional_fields\":[\"id\"]}" WINDOW(1000) "}," PAID(
             "") "]}",
         false},
        {"no key", FORCED(PAY("", ""), ""), false},
        {"another key", FORCED(PAY("", ",\"dedupe_key\":\"user\""), ""), false},
        {"nothing", "{\"force\":true,\"nodes\":[]}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;

        open_world(&f, 0);
        assert_new(&f, "\"a\"");
        fixture_register(&f, rows[i].json);
        if (!rows[i].is_known) {
            fixture_register(&f, FORCED(PAY("", WINDOW(1000)), ""));
        }
        fixture_push(&f, "Pay",
                     i == 2 ? "{\"user\":\"u\",\"id\":\"a\",\"x\":1}"
                            : "{\"user\":\"u\",\"id\":\"a\"}");
        assert_int_equal(f.response.kind, RESPONSE_ACK);
        if (f.response.is_replay != rows[i].is_known) {
            fail_msg("%s: replay %d", rows[i].what, f.response.is_replay);
        }
        fixture_close(&f);
    }
}

static void
test_a_reset_forgets_all_keys(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0);
    assert_new(&f, "\"a\"");
    fixture_request(&f, REQUEST_RESET, "{}");
    assert_int_equal(dedupe_entry_count(f.engine), 0);
    fixture_register(&f, NODES);
    assert_new(&f, "\"a\"");
    assert_paid(&f, 1);
    fixture_close(&f);
}

static void
test_entries_keep_the_window_that_they_were_given(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0);
    assert_new(&f, "1");
    fixture_register(&f, FORCED(PAY("", WINDOW(10)), ""));
    assert_new(&f, "2");
    f.now_ms += 10;
    assert_repeated(&f, "1", 2);
    for (unsigned i = 0; i < 5; i++) {
        assert_new(&f, "2"); /* an expired entry behind one that has not: its place moves */
        f.now_ms += 10;
    }
    assert_int_equal(dedupe_entry_count(f.engine), 2);
    fixture_register(&f, FORCED(PAY("", WINDOW(9223372036854775807)), ""));
    assert_new(&f, "3");
    f.now_ms = UINT64_C(1) << 47;
    assert_repeated(&f, "3", f.engine->next_lsn - 1);
    fixture_close(&f);
}

static void
test_the_sweep_frees_what_has_expired_by_recorded_time(void **state)
{
    struct fixture f;
    bv_digest before;
    bv_digest after;

    (void)state;
    open_world(&f, 0);
    for (unsigned i = 0; i < 500; i++) {
        char id[16];

        snprintf(id, sizeof id, "%u", i);
        assert_new(&f, id);
        f.now_ms++;
    }
    f.now_ms += 10 * WINDOW_MS;
    assert_false(dedupe_sweep(f.engine, 64, UINT64_MAX)); /* nothing has happened since */
    assert_int_equal(dedupe_entry_count(f.engine), 500);
    f.now_ms -= 10 * WINDOW_MS;
    f.engine->now_ms = f.now_ms;
    f.now_ms += WINDOW_MS - 250;
    assert_new(&f, "\"x\"");
    engine_digest(f.engine, &before);
    assert_true(dedupe_sweep(f.engine, 64, UINT64_MAX));
    assert_int_equal(dedupe_entry_count(f.engine), 501 - 64);
    assert_true(dedupe_sweep(f.engine, UINT32_MAX, 0)); /* time is over after a few */
    assert_true(dedupe_entry_count(f.engine) > 251);
    assert_false(dedupe_sweep(f.engine, UINT32_MAX, UINT64_MAX));
    assert_int_equal(dedupe_entry_count(f.engine), 250);
    engine_digest(f.engine, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_repeated(&f, "251", 253);
    fixture_close(&f);
}

static void
test_a_push_is_refused_whole_when_its_key_cannot_be_remembered(void **state)
{
    struct fixture f;

    (void)state;
    open_world(&f, 0);
    push_id(&f, "null"); /* the entity is there */
    pages_fail_from(f.engine->pages, 1);
    fixture_push(&f, "Pay", "{\"user\":\"u\",\"id\":\"a\"}");
    assert_reply_has(&f, "memory_limit");
    assert_reply_has(&f, "dedupe_window_ms");
    pages_fail_from(f.engine->pages, 0);
    assert_paid(&f, 1);
    assert_new(&f, "\"a\"");
    assert_int_equal(f.response.lsn, 3);
    assert_paid(&f, 2);
    fixture_close(&f);
}

static void
feed(struct fixture *f, uint32_t *chance, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char id[32];

        *chance = *chance * 1664525u + 1013904223u;
        snprintf(id, sizeof id, *chance >> 30 == 0 ? "%u" : "\"%u\"", *chance >> 16 & 63);
        push_id(f, id);
        f->now_ms += *chance >> 8 & 31;
        if (i % 11 == 0) {
            dedupe_sweep(f->engine, *chance >> 20 & 7, UINT64_MAX);
        }
        place_go_on_beside(f, i);
    }
}

static void
test_a_restart_knows_what_was_accepted(void **state)
{
    struct place place;
    struct fixture f;
    uint32_t chance = 3;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    place.options.dedupe_max_entries = 40;
    fixture_open(&f, &place.options);
    fixture_register(&f, NODES);
    for (unsigned round = 0; round < 4; round++) {
        feed(&f, &chance, 150);
        assert_true(f.engine->events_replayed > 20);
        assert_true(f.engine->dedupe_evictions > 20);
        place_reopen(&place, &f);
    }
    fixture_register(&f, FORCED(PAY("", WINDOW(300)), ""));
    feed(&f, &chance, 100);
    place_snapshot(&f);
    feed(&f, &chance, 20);
    push_id(&f, "\"last\"");
    const uint64_t lsn = f.response.lsn;

    place_reopen(&place, &f);
    assert_true(f.engine->recovered_from_snapshot_lsn != 0);
    assert_repeated(&f, "\"last\"", lsn);
    fixture_close(&f);
    place_remove(&place);
}

/* As recovery does it over images: entries come by page, then by record, and some are there. */
static void
test_the_order_is_made_anew_after_images(void **state)
{
    static const struct {
        const char *text;
        uint64_t lsn;
    } images[] = {{"c", 30}, {"a", 10}, {"d", 40}, {"b", 20}};
    struct fixture f;
    struct bv_error err;

    (void)state;
    open_world(&f, 4);
    struct dedupe *dedupe = live_find_source(&f.engine->live, slice_text("Pay"))->dedupe;
    struct table *table = dedupe_table(dedupe);

    f.engine->is_over_images = true;
    f.engine->now_ms = f.now_ms;
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        char bytes[2] = {1, images[i].text[0]};
        const struct slice key = slice_of(bytes, 2);
        enum table_image outcome;
        const uint32_t ref =
            table_insert_image(table, table_hash(table, key), key, 1000, 40, &outcome);

        assert_int_not_equal(ref, 0);
        *(struct dedupe_entry *)table_state(table, ref) =
            (struct dedupe_entry){.expires_ms = 5000, .lsn = images[i].lsn};
    }
    struct value values[2] = {value_str(slice_text("u")), value_str(slice_text("a"))};
    static const struct {
        const char *text;
        uint64_t lsn;
    } records[] = {{"d", 40}, {"e", 35}, {"f", 50}, {"b", 60}};

    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        values[1] = value_str(slice_text(records[i].text));
        assert_true(dedupe_remember(f.engine, dedupe, values, records[i].lsn));
    }
    assert_int_equal(dedupe_entry_count(f.engine), 6);
    f.engine->is_over_images = false;
    assert_int_equal(dedupe_rebuild(f.engine, &err), BV_OK);
    /* a 10 and c 30 are the oldest of six; b was accepted again. */
    assert_int_equal(dedupe_entry_count(f.engine), 4);
    assert_repeated(&f, "\"e\"", 35);
    assert_repeated(&f, "\"d\"", 40);
    assert_repeated(&f, "\"f\"", 50);
    assert_repeated(&f, "\"b\"", 60);
    assert_new(&f, "\"a\"");
    assert_new(&f, "\"e\""); /* went for a */
    assert_repeated(&f, "\"f\"", 50);
    fixture_close(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_repeated_event_is_answered_as_the_first_and_not_counted),
        cmocka_unit_test(test_a_key_keeps_its_type_and_null_is_none),
        cmocka_unit_test(test_a_key_is_known_until_its_window_is_over_and_a_replay_extends_nothing),
        cmocka_unit_test(test_only_accepted_events_are_remembered_and_invalid_copies_are_refused),
        cmocka_unit_test(test_a_batch_lists_what_it_has_seen_before_or_in_itself),
        cmocka_unit_test(test_beyond_the_most_the_oldest_are_forgotten),
        cmocka_unit_test(test_what_changes_the_events_meaning_forgets_its_keys),
        cmocka_unit_test(test_a_reset_forgets_all_keys),
        cmocka_unit_test(test_entries_keep_the_window_that_they_were_given),
        cmocka_unit_test(test_the_sweep_frees_what_has_expired_by_recorded_time),
        cmocka_unit_test(test_a_push_is_refused_whole_when_its_key_cannot_be_remembered),
        cmocka_unit_test(test_a_restart_knows_what_was_accepted),
        cmocka_unit_test(test_the_order_is_made_anew_after_images),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
