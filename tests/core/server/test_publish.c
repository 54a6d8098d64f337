/* SPDX-License-Identifier: Apache-2.0 */
/* One thread writes, one reads; run under TSan, this is the test of their agreement. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "server/publish.h"

struct world {
    struct publication publication;
    uint64_t version;
    uint64_t number; /* all of the engine's numbers say this */
    uint32_t table_count;
};

static void
say_stats(const void *context, struct engine_stats *out)
{
    const struct world *world = context;
    uint64_t words[sizeof *out / sizeof(uint64_t)];

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        words[i] = world->number;
    }
    memcpy(out, words, sizeof words);
    out->registry_version = world->version;
    out->snapshot_count = world->version / 2;
    out->snapshot_duration_ns = 3000;
}

static bool
say_table(const void *context, uint32_t index, struct engine_table_stats *out)
{
    static const char *const names[] = {"a", "b", "c"};
    const struct world *world = context;

    if (index >= world->table_count) {
        return false;
    }
    *out = (struct engine_table_stats){slice_text(names[index]), world->number, world->number + 1,
                                       world->number + 2, world->number + 3};
    return true;
}

static void
say_registry(const void *context, struct buf *json)
{
    const struct world *world = context;

    buf_printf(json, "{\"version\":%llu}", (unsigned long long)world->version);
}

static void
write_now(struct world *world)
{
    const struct publish_source source = {world, say_stats, say_table, say_registry};
    const uint64_t connections[2] = {world->number, world->number};

    publication_write(&world->publication, &source, ENGINE_READY, connections);
}

static void
open_world(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->table_count = 3;
    publication_init(&world->publication);
}

static void
test_a_description_follows_the_registrys_version(void **state)
{
    static struct world world;
    struct description *first;
    struct description *second;

    open_world(&world);
    assert_null(publication_take(&world.publication));
    publication_give(&world.publication, NULL);
    write_now(&world);
    first = publication_take(&world.publication);
    assert_int_equal(first->json_size, 13);
    assert_memory_equal(first->json, "{\"version\":0}", 13);
    assert_int_equal(first->table_count, 3);
    assert_string_equal(first->tables[2].name, "c");
    world.number = 40; /* numbers move in what is being read, too */
    write_now(&world);
    assert_int_equal(first->tables[1].entities, 40);
    assert_int_equal(first->tables[1].idle_evictions, 43);
    publication_give(&world.publication, first);
    assert_ptr_equal(publication_take(&world.publication), first);
    world.version = 1; /* replaced while it is being read */
    world.table_count = 1;
    write_now(&world);
    publication_give(&world.publication, first);
    second = publication_take(&world.publication);
    assert_memory_equal(second->json, "{\"version\":1}", 13);
    assert_int_equal(second->table_count, 1);
    publication_give(&world.publication, second);
    publication_deinit(&world.publication);
}

static void
test_numbers_arrive_and_snapshots_are_timed_once(void **state)
{
    static struct world world;
    struct published numbers;

    open_world(&world);
    for (world.version = 0; world.version < 7; world.version++) {
        world.number = 100 + world.version;
        write_now(&world);
        write_now(&world);
    }
    publication_read(&world.publication, &numbers);
    assert_int_equal(numbers.engine.entities, 106);
    assert_int_equal(numbers.engine.recovery_skipped_bytes, 106);
    assert_int_equal(numbers.connections[1], 106);
    assert_int_equal(world.publication.snapshot_times.counts[2], 3);
    assert_int_equal(world.publication.snapshot_times.sum_ns, 9000);
    publication_deinit(&world.publication);
}

static void
test_requests_are_counted_by_kind_transport_and_status(void **state)
{
    static struct world world;
    const struct request push = {.kind = REQUEST_PUSH, .transport = TRANSPORT_HTTP};

    open_world(&world);
    publication_count(&world.publication, &push, BV_OK);
    publication_count(&world.publication, &push, BV_OK);
    publication_count(&world.publication, &push, BV_MISUSE);
    assert_int_equal(world.publication.requests[TRANSPORT_HTTP][REQUEST_PUSH][BV_OK], 2);
    assert_int_equal(world.publication.requests[TRANSPORT_HTTP][REQUEST_PUSH][BV_MISUSE], 1);
    assert_int_equal(world.publication.requests[TRANSPORT_TCP][REQUEST_PUSH][BV_OK], 0);
    publication_deinit(&world.publication);
}

static void *
write_many(void *context)
{
    struct world *world = context;

    for (unsigned i = 0; i < 20000; i++) {
        world->number++;
        world->version += i % 3 == 0;
        world->table_count = 1 + (uint32_t)(world->version % 3);
        write_now(world);
    }
    return NULL;
}

static void
test_a_reader_sees_numbers_of_one_moment(void **state)
{
    static struct world world;
    struct published numbers = {0};
    pthread_t writer;
    uint64_t seen = 0;

    open_world(&world);
    assert_int_equal(pthread_create(&writer, NULL, write_many, &world), 0);
    while (seen < 20000) {
        struct description *description = publication_take(&world.publication);

        if (description != NULL) {
            assert_memory_equal(description->json, "{\"version\":", 11);
            assert_in_range(description->table_count, 1, 3);
        }
        publication_read(&world.publication, &numbers);
        assert_int_equal(numbers.engine.entities, numbers.engine.recovery_skipped_bytes);
        assert_int_equal(numbers.engine.entities, numbers.connections[0]);
        assert_true(numbers.engine.entities >= seen);
        seen = numbers.engine.entities;
        publication_give(&world.publication, description);
    }
    pthread_join(writer, NULL);
    publication_deinit(&world.publication);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_description_follows_the_registrys_version),
        cmocka_unit_test(test_numbers_arrive_and_snapshots_are_timed_once),
        cmocka_unit_test(test_requests_are_counted_by_kind_transport_and_status),
        cmocka_unit_test(test_a_reader_sees_numbers_of_one_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
