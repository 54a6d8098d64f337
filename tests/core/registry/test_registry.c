/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/world.h"

static void
test_an_empty_registry_has_a_version_and_nothing_else(void **state)
{
    struct registry *registry;

    assert_int_equal(registry_create_empty(&registry, 12, NULL), BV_OK);
    assert_int_equal(registry->version, 12);
    assert_int_equal(registry->descriptor_count, 0);
    assert_int_equal(registry->source_count, 0);
    assert_null(registry_find(registry, slice_text("E")));
    registry_destroy(registry);
    registry_destroy(NULL);
}

static void
test_descriptors_are_found_by_their_whole_name(void **state)
{
    struct world world;

    world_init(&world);
    world_expect_ok(&world, NODES(EVENT("Ab", "'a':'str'") "," EVENT("A", "'a':'str'")));
    assert_ptr_equal(registry_find(world.registry, slice_text("A")),
                     &world.registry->descriptors[1]);
    assert_null(registry_find(world.registry, slice_text("")));
    assert_null(registry_find(world.registry, slice_text("Abc")));
    world_deinit(&world);
}

static void
test_versions_continue_from_the_registry_in_force(void **state)
{
    struct world world;

    world_init(&world);
    registry_destroy(world.registry);
    assert_int_equal(registry_create_empty(&world.registry, 41, NULL), BV_OK);
    world_expect_ok(&world, NODES(EVENT("A", "'a':'str'")));
    assert_int_equal(world.registry->version, 42);
    world_deinit(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_registry_has_a_version_and_nothing_else),
        cmocka_unit_test(test_descriptors_are_found_by_their_whole_name),
        cmocka_unit_test(test_versions_continue_from_the_registry_in_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
