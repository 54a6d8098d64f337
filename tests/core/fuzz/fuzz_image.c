/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes are refused as the image of an entity, or become one that writes an image itself, no
 * longer than what was read, and owns what it holds once: releasing it gives everything back. The
 * entity has accumulators that own memory and others, in its block and in windows. */
#include <string.h>

#include "plan/plan.h"
#include "util/assert.h"

#define HEAP_UNITS 65536
#define STATE_MAX  4096

#define OP(name, op, params) "\"" name "\":{\"op\":\"" op "\",\"params\":{" params "}}"
#define PAGE                 "\"field\":\"page\""
#define AMOUNT               "\"field\":\"amount\""

/* clang-format off */
static const char declared[] =
    "{\"nodes\":[{\"kind\":\"event\",\"name\":\"S\",\"schema\":{\"fields\":{"
    "\"user\":\"str\",\"amount\":\"f64\",\"page\":\"str\"}}},"
    "{\"kind\":\"derivation\",\"name\":\"T\",\"output_kind\":\"table\",\"upstreams\":[\"S\"],"
    "\"table_primary_key\":[\"user\"],\"ops\":[{\"op\":\"group_by\",\"keys\":[\"user\"],\"agg\":{"
    "\"a\":{\"op\":\"count\"}"
    "," OP("b", "max", PAGE)
    "," OP("c", "n_unique", PAGE)
    "," OP("d", "quantile", AMOUNT ",\"q\":0.5")
    "," OP("e", "last_n", PAGE ",\"n\":9")
    "," OP("f", "top_k", PAGE ",\"k\":3,\"window\":\"1h\"")
    "," OP("g", "sum", AMOUNT ",\"window\":\"1h\"")
    "," OP("h", "n_unique", PAGE ",\"window\":\"5m\"")
    "," OP("i", "entropy", PAGE)
    "}}]}]}";
/* clang-format on */

struct bump_heap {
    struct agg_heap heap; /* first: the callbacks cast */
    uint32_t next;
    int64_t bytes_out;
};

static uint8_t memory[HEAP_UNITS * 16];

static uint32_t
bump_alloc(struct agg_heap *heap, uint32_t size)
{
    struct bump_heap *self = (struct bump_heap *)heap;
    const uint64_t units = ((uint64_t)size + 15) / 16;
    const uint32_t ref = self->next;

    if (HEAP_UNITS - self->next < units) {
        return 0;
    }
    self->next += (uint32_t)units;
    self->bytes_out += size;
    return ref;
}

static void
bump_release(struct agg_heap *heap, uint32_t ref, uint32_t size)
{
    (void)ref;
    ((struct bump_heap *)heap)->bytes_out -= size;
}

/* Made once: a plan and how its images are read. */
static const struct plan_layout *
prepare(struct plan_image *image)
{
    static struct arena arena;
    static struct registry *registry;
    static struct plan *plan;
    struct registry *empty = NULL;
    struct registration registration;

    arena_init(&arena, 4096, 0);
    BV_ASSERT(registry_create_empty(&empty, 0, NULL) == BV_OK);
    BV_ASSERT(registration_prepare(&registration, empty, slice_text(declared), 0, NULL) == BV_OK);
    BV_ASSERT(registration.next != NULL);
    registry = registration.next;
    registration.next = NULL;
    registration_deinit(&registration);
    registry_destroy(empty);
    BV_ASSERT(plan_compile(&plan, registry, NULL, NULL, 0, NULL, 0, 0, NULL) == BV_OK);
    const struct plan_layout *layout = plan->sources[0].tables[0].layout;

    BV_ASSERT(layout->state_size <= STATE_MAX);
    BV_ASSERT(plan_image_create(image, layout, &arena, NULL) == BV_OK);
    return layout;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct plan_layout *layout;
    static struct plan_image image;
    static uint64_t state[STATE_MAX / 8];
    struct bump_heap heap = {{memory, bump_alloc, bump_release}, 1, 0};
    struct buf again;

    if (layout == NULL) {
        layout = prepare(&image);
    }
    memset(state, 0, sizeof state);
    if (plan_image_read(&image, state, slice_of(data, size), &heap.heap, NULL) == BV_OK) {
        buf_init(&again);
        /* Whatever panes there are, some are active now and the others are left out. */
        plan_image_write(&again, &image, state, size % 2 == 0 ? 0 : UINT64_MAX / 2, &heap.heap);
        BV_ASSERT(!again.failed);
        BV_ASSERT(again.size <= size);
        buf_deinit(&again);
    }
    plan_layout_release_state(layout, state, &heap.heap);
    BV_ASSERT(heap.bytes_out == 0);
    return 0;
}
