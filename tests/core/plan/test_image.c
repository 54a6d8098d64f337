/* SPDX-License-Identifier: Apache-2.0 */
/* Entities as images, and the section that says what is in them: there and back, over additive
 * changes, and refused when anything does not fit. */
#include "plan_fixture.h"
#include "wire/json.h"

#define HEAP_UNITS 262144

/* 16-byte units that are handed out once; counts what is out. */
struct counting_heap {
    struct agg_heap heap; /* first */
    uint32_t next;
    int64_t live;
};

static uint8_t *memory;

static uint32_t
counting_alloc(struct agg_heap *heap, uint32_t size)
{
    struct counting_heap *counting = (struct counting_heap *)heap;
    const uint32_t ref = counting->next;

    if (HEAP_UNITS - ref < (size + 15) / 16) {
        return 0;
    }
    counting->next += (size + 15) / 16;
    counting->live++;
    return ref;
}

static void
counting_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    memset(agg_heap_at(heap, ref), 0xdd, size);
    ((struct counting_heap *)heap)->live--;
}

static void
heap_init(struct counting_heap *heap)
{
    if (memory == NULL) {
        memory = calloc(HEAP_UNITS, 16);
        assert_non_null(memory);
    }
    *heap = (struct counting_heap){{memory, counting_alloc, counting_release}, 1, 0};
}

/* One event (user u, amount, n 1, page) to every step of a block, as push.c does. */
static void
update(const struct plan_layout *layout, uint8_t *block, double amount, const char *page,
       uint64_t now_ms, struct agg_heap *heap)
{
    const struct value values[4] = {value_str(slice_text("u")), value_f64(amount), value_i64(1),
                                    value_str(slice_text(page))};
    const struct agg_moment moment = {.now_ms = now_ms, .is_match = true, .heap = heap};
    uint64_t dropped = 0;

    for (uint32_t i = 0; i < layout->group_count; i++) {
        const struct plan_group *group = &layout->groups[i];
        uint8_t *base = block;

        if (i != 0) {
            base = window_row((struct window_head *)(void *)(block + group->head_offset),
                              &group->shape, now_ms, heap, &dropped);
            assert_non_null(base);
        }
        for (uint32_t k = 0; k < group->step_count; k++) {
            const struct plan_step *step = &group->steps[k];
            const struct value *inputs[AGG_INPUTS_MAX] = {
                &values[step->inputs[0] == EXPR_NODE_NONE ? 0 : step->inputs[0]], &values[0]};

            step->accumulator->update(base + step->offset, step->config, inputs, &moment);
        }
    }
}

#define SOME                                                                                       \
    FEATURE("b_count", "count")                                                                    \
    "," FEATURE_OF("c_sum", "sum", AMOUNT) "," FEATURE_OF(                                         \
        "d_max", "max",                                                                            \
        "\"field\":\"page\"") "," FEATURE_OF("e_var", "var",                                       \
                                             AMOUNT                                                \
                                             ",\"window\":\"5m\"") "," FEATURE_OF("f_distinct",    \
                                                                                  "n_unique",      \
                                                                                  "\"field\":"     \
                                                                                  "\"page\","      \
                                                                                  "\"window\":"    \
                                                                                  "\"1h\"")
#define MORE                                                                                       \
    "," FEATURE_OF("a_mean", "mean", AMOUNT) "," FEATURE_OF(                                       \
        "g_low", "min", AMOUNT) "," FEATURE_OF("h_count", "count", "\"window\":\"5m\"")

/* What a snapshot holds of one table. */
struct saved {
    struct arena arena;
    struct buf section;
    struct buf image;
    struct buf form; /* canonical */
};

static void
save(struct saved *out, const struct plan_table *table, const void *state, uint64_t now_ms,
     const struct agg_heap *heap)
{
    struct plan_image image;

    arena_init(&out->arena, 4096, 0);
    buf_init(&out->section);
    buf_init(&out->image);
    buf_init(&out->form);
    assert_int_equal(plan_image_create(&image, table->layout, &out->arena, NULL), BV_OK);
    buf_text(&out->section, "{\"name\":\"T\",");
    plan_image_describe(&out->section, &image, table);
    buf_text(&out->section, "}");
    plan_image_write(&out->image, &image, state, now_ms, heap);
    plan_layout_encode(&out->form, table->layout, state, now_ms, heap);
    assert_false(out->section.failed || out->image.failed || out->form.failed);
}

static void
forget(struct saved *saved)
{
    buf_deinit(&saved->section);
    buf_deinit(&saved->image);
    buf_deinit(&saved->form);
    arena_deinit(&saved->arena);
}

/* A plan compiled from the registry and the section, as a restart does. */
static enum bv_status
restore(struct plan **plan, struct plan_image *image, struct saved *saved,
        struct registry *registry, const char *section_json, struct bv_error *err)
{
    struct plan_former_table former;
    struct value section;
    enum bv_status status;

    assert_int_equal(json_parse(&section, slice_text(section_json), 16, &saved->arena, NULL),
                     BV_OK);
    *plan = NULL;
    status = plan_former_read(&former, &section, &saved->arena, err);
    if (status == BV_OK) {
        status = plan_compile_restored(plan, registry, &former, 1, 0, err);
    }
    if (status == BV_OK) {
        const struct plan_table *table = plan_find_table(*plan, slice_text("T"));

        status = plan_image_read_groups(image, table->layout, &section, &saved->arena, err);
    }
    return status;
}

static char *
text_of(struct saved *saved)
{
    return arena_copy(&saved->arena, buf_slice(&saved->section).data, saved->section.size + 1);
}

/* Events before and after an additive change, then image and back. */
static uint8_t *
fill(struct fixture *f, struct counting_heap *heap, bool changes)
{
    fixture_init(f);
    fixture_compile(f, SOME);
    const struct plan_layout *layout = fixture_table(f)->layout;
    uint8_t *block = calloc(1, layout->state_size);

    plan_layout_init_state(layout, block);
    for (uint32_t i = 0; i < 500; i++) {
        char page[64];

        snprintf(page, sizeof page, "page number %u of the site", i % 300);
        update(layout, block, i * 1.5, page, 1000000 + i * 7000, &heap->heap);
    }
    if (changes) {
        fixture_compile(f, SOME MORE);
        const struct plan_layout *next = fixture_table(f)->layout;
        uint8_t *moved = calloc(1, next->state_size);

        assert_true(plan_layout_move(next, moved, layout, block, &heap->heap));
        free(block);
        block = moved;
        update(next, block, 3, "p", 1000000 + 500 * 7000, &heap->heap);
    }
    return block;
}

#define NOW_MS (1000000 + 500 * 7000)

static void
check_there_and_back(bool changes)
{
    struct fixture f;
    struct counting_heap heap;
    struct saved saved;
    struct plan *plan;
    struct plan_image image;
    struct bv_error err = {0};
    struct buf form;

    heap_init(&heap);
    uint8_t *block = fill(&f, &heap, changes);

    save(&saved, fixture_table(&f), block, NOW_MS, &heap.heap);
    buf_byte(&saved.section, 0);
    saved.section.size--;
    if (restore(&plan, &image, &saved, f.registry, text_of(&saved), &err) != BV_OK) {
        fail_msg("%s", err.message);
    }
    const struct plan_table *table = plan_find_table(plan, slice_text("T"));
    uint8_t *read = calloc(1, table->layout->state_size);

    assert_int_equal(plan_image_read(&image, read, buf_slice(&saved.image), &heap.heap, &err),
                     BV_OK);
    buf_init(&form);
    plan_layout_encode(&form, table->layout, read, NOW_MS, &heap.heap);
    assert_true(slice_equal(buf_slice(&form), buf_slice(&saved.form)));
    for (uint32_t i = 0; i < table->feature_count; i++) {
        const struct plan_feature *now = &table->features[i];
        const struct plan_feature *then = &fixture_table(&f)->features[i];

        assert_true(slice_equal(
            table->layout->groups[now->group].steps[now->steps[0]].identity,
            fixture_table(&f)->layout->groups[then->group].steps[then->steps[0]].identity));
    }
    plan_layout_release_state(table->layout, read, &heap.heap);
    plan_layout_release_state(fixture_table(&f)->layout, block, &heap.heap);
    assert_int_equal(heap.live, 0);
    buf_deinit(&form);
    free(read);
    free(block);
    plan_destroy(plan);
    forget(&saved);
    fixture_deinit(&f);
}

static void
test_an_entity_comes_back_from_its_image(void **state)
{
    (void)state;
    check_there_and_back(false);
}

/* Features that were added keep accumulators of their own: what they share was decided then. */
static void
test_features_that_were_added_read_what_they_read_before(void **state)
{
    (void)state;
    check_there_and_back(true);
}

static void
test_panes_that_left_are_left_out(void **state)
{
    struct fixture f;
    struct counting_heap heap;
    struct saved now;
    struct saved later;

    (void)state;
    heap_init(&heap);
    uint8_t *block = fill(&f, &heap, false);

    save(&now, fixture_table(&f), block, NOW_MS, &heap.heap);
    save(&later, fixture_table(&f), block, NOW_MS + 86400000, &heap.heap);
    assert_true(later.image.size < 200);
    assert_true(now.image.size > 1000);
    plan_layout_release_state(fixture_table(&f)->layout, block, &heap.heap);
    free(block);
    forget(&now);
    forget(&later);
    fixture_deinit(&f);
}

/* Cut anywhere or longer: refused, and nothing stays behind. */
static void
test_an_image_of_another_size_is_refused_and_leaves_nothing(void **state)
{
    struct fixture f;
    struct counting_heap heap;
    struct saved saved;
    struct plan *plan;
    struct plan_image image;
    struct bv_error err;

    (void)state;
    heap_init(&heap);
    uint8_t *block = fill(&f, &heap, true);

    save(&saved, fixture_table(&f), block, NOW_MS, &heap.heap);
    buf_byte(&saved.section, 0);
    saved.section.size--;
    assert_int_equal(restore(&plan, &image, &saved, f.registry, text_of(&saved), &err), BV_OK);
    const struct plan_layout *layout = plan_find_table(plan, slice_text("T"))->layout;
    uint8_t *read = calloc(1, layout->state_size);
    const int64_t live = heap.live;
    const uint32_t next = heap.next;

    for (size_t size = 0; size < saved.image.size; size += size < 300 ? 1 : 37) {
        memset(read, 0, layout->state_size);
        heap.next = next;
        assert_int_equal(
            plan_image_read(&image, read, slice_of(saved.image.data, size), &heap.heap, &err),
            BV_CORRUPT);
        assert_int_equal(heap.live, live);
    }
    buf_byte(&saved.image, 0);
    memset(read, 0, layout->state_size);
    heap.next = next;
    assert_int_equal(plan_image_read(&image, read, buf_slice(&saved.image), &heap.heap, &err),
                     BV_CORRUPT);
    assert_int_equal(heap.live, live);
    plan_layout_release_state(fixture_table(&f)->layout, block, &heap.heap);
    free(read);
    free(block);
    plan_destroy(plan);
    forget(&saved);
    fixture_deinit(&f);
}

/* The section's text with one piece replaced. */
static char *
altered(struct saved *saved, const char *from, const char *to)
{
    const char *text = text_of(saved);
    const char *at = strstr(text, from);
    const size_t size = saved->section.size + strlen(to) + 1;
    char *out = arena_alloc(&saved->arena, size);

    assert_non_null(at);
    snprintf(out, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static void
test_a_section_that_does_not_fit_the_registry_is_refused(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        enum bv_status status;
    } cases[] = {
        {"\"version\":1", "\"version\":2", BV_UNSUPPORTED_FORMAT},
        {"\"version\":1", "\"version\":0", BV_CORRUPT},
        {"\"version\":1,", "", BV_CORRUPT},
        {"\"size\":8", "\"size\":16", BV_CORRUPT},
        {"\"form\":\"raw\"", "\"form\":\"encoded\"", BV_CORRUPT},
        {"\"accumulator\":\"count\"", "\"accumulator\":\"sum\"", BV_CORRUPT},
        {"\"identity\":\"count\"", "\"identity\":\"count where x\"", BV_CORRUPT},
        {"\"b_count\":[\"count\"]", "\"z\":[\"count\"]", BV_CORRUPT},
        {"\"b_count\":[\"count\"]", "\"b_count\":[\"other\"]", BV_CORRUPT},
        {"\"b_count\":[\"count\"]", "\"b_count\":[1]", BV_CORRUPT},
        {"\"b_count\":[\"count\"]", "\"b_count\":[]", BV_CORRUPT},
        {"\"b_count\":[\"count\"]", "\"b_count\":[\"count\",\"count\"]", BV_CORRUPT},
        {"\"window_ms\":300000", "\"window_ms\":300001", BV_CORRUPT},
        {"\"window_ms\":300000", "\"window_ms\":3600000", BV_CORRUPT},
        {"\"groups\":[", "\"groups\":[{\"window_ms\":5,\"steps\":[]},", BV_CORRUPT},
        {"\"groups\"", "\"other\"", BV_CORRUPT},
        {"\"name\":\"T\"", "\"name\":\"U\"", BV_CORRUPT},
        {"\"name\":\"T\"", "\"name\":7", BV_CORRUPT},
    };
    struct fixture f;
    struct counting_heap heap;
    struct saved saved;

    (void)state;
    heap_init(&heap);
    uint8_t *block = fill(&f, &heap, false);

    save(&saved, fixture_table(&f), block, NOW_MS, &heap.heap);
    buf_byte(&saved.section, 0);
    saved.section.size--;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan *plan = NULL;
        struct plan_image image;
        struct bv_error err = {0};
        const enum bv_status status = restore(&plan, &image, &saved, f.registry,
                                              altered(&saved, cases[i].from, cases[i].to), &err);

        if (status != cases[i].status) {
            fail_msg("%s -> %s: status %d, %s", cases[i].from, cases[i].to, status, err.message);
        }
        plan_destroy(plan);
    }
    plan_layout_release_state(fixture_table(&f)->layout, block, &heap.heap);
    free(block);
    forget(&saved);
    fixture_deinit(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entity_comes_back_from_its_image),
        cmocka_unit_test(test_features_that_were_added_read_what_they_read_before),
        cmocka_unit_test(test_panes_that_left_are_left_out),
        cmocka_unit_test(test_an_image_of_another_size_is_refused_and_leaves_nothing),
        cmocka_unit_test(test_a_section_that_does_not_fit_the_registry_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
