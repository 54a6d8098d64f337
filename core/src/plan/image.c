/* SPDX-License-Identifier: Apache-2.0 */
/* Entities of a layout as a snapshot has them, and what a section says about them.
 *
 * Enters:  a layout and its plan when a snapshot is written; a section's JSON when one is read.
 * Leaves:  images; or entities, in the layout that was compiled from the registry.
 * Owner:   the caller; const once made.
 *
 * A section lists the accumulators in the order of its images, each under its identity. The layout
 * that reads them was compiled anew and may have another order, so every step is looked up. Both
 * must keep the same: a step that only one of them has means that features read another past than
 * they had. */
#include "util/assert.h"
#include "plan/plan.h"
#include "wire/json.h"

static enum bv_status
no_memory(struct bv_error *err)
{
    return bv_error_set(err, BV_NO_MEMORY, "images of a table");
}

static enum bv_status
corrupt(struct bv_error *err, const char *what)
{
    return bv_error_set(err, BV_CORRUPT, "section: %s", what);
}

/* ---- runs ---- */

/* Takes the group's steps in the order of out->steps. */
static bool
make_runs(struct plan_image_group *out, struct arena *arena)
{
    out->runs = arena_alloc(arena, (out->group->step_count + 1) * sizeof *out->runs);
    if (out->runs == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < out->group->step_count; i++) {
        const struct plan_step *step = &out->group->steps[out->steps[i]];

        image_run_add(out->runs, &out->run_count, step->accumulator, step->config, step->offset,
                      step->size);
    }
    return true;
}

/* As they lie: few identities, an insertion sort. */
static void
order_by_offset(uint32_t *out, const struct plan_group *group)
{
    for (uint32_t i = 0; i < group->step_count; i++) {
        uint32_t at = i;

        while (at > 0 && group->steps[out[at - 1]].offset > group->steps[i].offset) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = i;
    }
}

static bool
open_groups(struct plan_image *out, const struct plan_layout *layout, struct arena *arena)
{
    *out = (struct plan_image){.layout = layout};
    out->groups = arena_alloc(arena, layout->group_count * sizeof *out->groups);
    return out->groups != NULL;
}

static struct plan_image_group *
add_group(struct plan_image *out, const struct plan_group *group, struct arena *arena)
{
    struct plan_image_group *added = &out->groups[out->group_count++];

    *added = (struct plan_image_group){.group = group};
    added->steps = arena_alloc(arena, (group->step_count + 1) * sizeof *added->steps);
    return added->steps == NULL ? NULL : added;
}

enum bv_status
plan_image_create(struct plan_image *out, const struct plan_layout *layout, struct arena *arena,
                  struct bv_error *err)
{
    if (!open_groups(out, layout, arena)) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < layout->group_count; i++) {
        struct plan_image_group *group = add_group(out, &layout->groups[i], arena);

        if (group == NULL) {
            return no_memory(err);
        }
        order_by_offset(group->steps, group->group);
        if (!make_runs(group, arena)) {
            return no_memory(err);
        }
    }
    return BV_OK;
}

/* ---- the section, written ---- */

static void
describe_step(struct buf *out, const struct plan_step *step)
{
    const bool is_encoded = (step->accumulator->flags & AGG_OWNS_MEMORY) != 0;

    buf_text(out, "{\"accumulator\":");
    json_write_string(out, slice_text(step->accumulator->name));
    buf_printf(out, ",\"version\":%u,\"identity\":", AGG_STATE_VERSION);
    json_write_string(out, step->identity);
    buf_printf(out, ",\"size\":%u,\"form\":\"%s\"}", step->size, is_encoded ? "encoded" : "raw");
}

void
plan_image_describe(struct buf *out, const struct plan_image *image, const struct plan_table *table)
{
    const char *separator = "";

    buf_text(out, "\"features\":{");
    for (uint32_t i = 0; i < table->feature_count; i++) {
        const struct plan_feature *feature = &table->features[i];

        if (feature->is_blind) {
            continue; /* it reads nothing */
        }
        buf_text(out, separator);
        separator = ",";
        json_write_string(out, feature->name);
        for (unsigned k = 0; k < feature->op->use_count; k++) {
            buf_text(out, k == 0 ? ":[" : ",");
            json_write_string(
                out, image->layout->groups[feature->group].steps[feature->steps[k]].identity);
        }
        buf_text(out, "]");
    }
    buf_text(out, "},\"groups\":[");
    for (uint32_t i = 0; i < image->group_count; i++) {
        const struct plan_image_group *group = &image->groups[i];

        buf_printf(out, "%s{\"window_ms\":%llu,\"steps\":[", i == 0 ? "" : ",",
                   (unsigned long long)group->group->window_ms);
        for (uint32_t k = 0; k < group->group->step_count; k++) {
            buf_text(out, k == 0 ? "" : ",");
            describe_step(out, &group->group->steps[group->steps[k]]);
        }
        buf_text(out, "]}");
    }
    buf_text(out, "]");
}

/* ---- the section, read ---- */

static bool
take_text(struct slice *out, const struct value *map, const char *name)
{
    const struct value *text = value_find(map, name);

    if (text == NULL || text->kind != VALUE_STR) {
        return false;
    }
    *out = value_slice(text);
    return true;
}

static bool
take_number(uint64_t *out, const struct value *map, const char *name)
{
    const struct value *number = value_find(map, name);

    if (number == NULL || number->kind != VALUE_I64 || number->as.i64 < 0) {
        return false;
    }
    *out = (uint64_t)number->as.i64;
    return true;
}

static bool
take_feature(struct plan_former_feature *out, const struct value_member *member)
{
    const struct value *list = &member->value;

    *out = (struct plan_former_feature){.name = value_slice(&member->key)};
    if (list->kind != VALUE_LIST || list->length == 0 || list->length > AGG_USES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < list->length; i++) {
        if (list->as.items[i].kind != VALUE_STR) {
            return false;
        }
        out->identities[out->use_count++] = value_slice(&list->as.items[i]);
    }
    return true;
}

enum bv_status
plan_former_read(struct plan_former_table *out, const struct value *section, struct arena *arena,
                 struct bv_error *err)
{
    const struct value *features = value_find(section, "features");

    *out = (struct plan_former_table){0};
    if (!take_text(&out->name, section, "name") || features == NULL ||
        features->kind != VALUE_MAP) {
        return corrupt(err, "a table without a name or features");
    }
    out->features = arena_alloc(arena, (features->length + 1) * sizeof *out->features);
    if (out->features == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < features->length; i++) {
        if (!take_feature(&out->features[i], &features->as.members[i])) {
            return corrupt(err, "a feature does not name what it reads");
        }
        out->feature_count++;
    }
    return BV_OK;
}

/* The listed step in the group that was compiled. */
static enum bv_status
match_step(uint32_t *out, const struct plan_layout *layout, const struct plan_group *group,
           const struct value *listed, struct bv_error *err)
{
    struct slice accumulator;
    struct slice identity;
    struct slice form;
    uint64_t version;
    uint64_t size;
    uint32_t group_index;

    if (listed->kind != VALUE_MAP || !take_text(&accumulator, listed, "accumulator") ||
        !take_text(&identity, listed, "identity") || !take_text(&form, listed, "form") ||
        !take_number(&version, listed, "version") || !take_number(&size, listed, "size")) {
        return corrupt(err, "a step lacks a member");
    }
    if (version > AGG_STATE_VERSION) {
        return bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                            "states of %s have version %llu, this program reads up to %u",
                            bv_error_quote(accumulator), (unsigned long long)version,
                            AGG_STATE_VERSION);
    }
    if (!plan_layout_find(layout, group->window_ms, identity, &group_index, out)) {
        return bv_error_set(err, BV_CORRUPT, "section: no feature reads \"%s\"",
                            bv_error_quote(identity));
    }
    const struct plan_step *step = &group->steps[*out];
    const bool is_encoded = (step->accumulator->flags & AGG_OWNS_MEMORY) != 0;

    if (version == 0 || !slice_equal(accumulator, slice_text(step->accumulator->name)) ||
        !slice_equal(form, slice_text(is_encoded ? "encoded" : "raw")) ||
        (!is_encoded && size != step->size)) {
        return bv_error_set(err, BV_CORRUPT, "section: \"%s\" is not kept as it is listed",
                            bv_error_quote(identity));
    }
    return BV_OK;
}

static const struct plan_group *
group_of(const struct plan_layout *layout, uint64_t window_ms)
{
    for (uint32_t i = 0; i < layout->group_count; i++) {
        if (layout->groups[i].window_ms == window_ms) {
            return &layout->groups[i];
        }
    }
    return NULL;
}

static bool
has_group(const struct plan_image *image, const struct plan_group *group)
{
    for (uint32_t i = 0; i < image->group_count; i++) {
        if (image->groups[i].group == group) {
            return true;
        }
    }
    return false;
}

static enum bv_status
take_group(struct plan_image *out, const struct value *listed, struct arena *arena,
           struct bv_error *err)
{
    const struct value *steps = value_find(listed, "steps");
    uint64_t window_ms;

    if (!take_number(&window_ms, listed, "window_ms") || steps == NULL ||
        steps->kind != VALUE_LIST) {
        return corrupt(err, "a group without window or steps");
    }
    const struct plan_group *group = group_of(out->layout, window_ms);

    if (group == NULL || has_group(out, group) || group->step_count != steps->length) {
        return corrupt(err, "its groups are not those of the registry");
    }
    struct plan_image_group *added = add_group(out, group, arena);
    uint8_t *seen = arena_alloc(arena, group->step_count + 1);

    if (added == NULL || seen == NULL) {
        return no_memory(err);
    }
    memset(seen, 0, group->step_count + 1);
    for (uint32_t i = 0; i < steps->length; i++) {
        const enum bv_status status =
            match_step(&added->steps[i], out->layout, group, &steps->as.items[i], err);

        if (status != BV_OK) {
            return status;
        }
        if (seen[added->steps[i]]++ != 0) {
            return corrupt(err, "a step is listed twice");
        }
    }
    return make_runs(added, arena) ? BV_OK : no_memory(err);
}

enum bv_status
plan_image_read_groups(struct plan_image *out, const struct plan_layout *layout,
                       const struct value *section, struct arena *arena, struct bv_error *err)
{
    const struct value *groups = value_find(section, "groups");

    if (!open_groups(out, layout, arena)) {
        return no_memory(err);
    }
    if (groups == NULL || groups->kind != VALUE_LIST || groups->length != layout->group_count) {
        return corrupt(err, "its groups are not those of the registry");
    }
    for (uint32_t i = 0; i < groups->length; i++) {
        const enum bv_status status = take_group(out, &groups->as.items[i], arena, err);

        if (status != BV_OK) {
            return status;
        }
    }
    return BV_OK;
}

/* ---- images ---- */

uint32_t
plan_image_plain_size(const struct plan_image *image, uint32_t *offset)
{
    const struct plan_image_group *group = image->groups;

    if (image->group_count != 1 || group->group->window_ms != 0 || group->run_count != 1 ||
        group->runs->encoded != NULL) {
        return 0;
    }
    *offset = group->runs->offset;
    return group->runs->size;
}

void
plan_image_write(struct buf *out, const struct plan_image *image, const void *state,
                 uint64_t now_ms, const struct agg_heap *heap)
{
    const uint8_t *bytes = state;

    for (uint32_t i = 0; i < image->group_count; i++) {
        const struct plan_image_group *group = &image->groups[i];

        if (group->group->window_ms == 0) {
            image_write(out, bytes, group->runs, group->run_count, heap);
        } else {
            window_image_write(
                out, (const struct window_head *)(const void *)(bytes + group->group->head_offset),
                &group->group->shape, group->runs, group->run_count, now_ms, heap);
        }
    }
}

static enum bv_status
read_group(const struct plan_image_group *group, uint8_t *state, struct codec_reader *reader,
           struct agg_heap *heap, struct bv_error *err)
{
    if (group->group->window_ms == 0) {
        return image_read(state, reader, group->runs, group->run_count, heap, err);
    }
    return window_image_read((struct window_head *)(void *)(state + group->group->head_offset),
                             reader, &group->group->shape, group->runs, group->run_count, heap,
                             err);
}

/* What the first groups own. */
static void
release_groups(const struct plan_image *image, uint32_t count, uint8_t *state,
               struct agg_heap *heap)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_image_group *group = &image->groups[i];

        if (group->group->window_ms == 0) {
            image_release(state, group->runs, group->run_count, heap);
        } else {
            window_release((struct window_head *)(void *)(state + group->group->head_offset),
                           &group->group->shape, heap);
        }
    }
}

enum bv_status
plan_image_read(const struct plan_image *image, void *state, struct slice bytes,
                struct agg_heap *heap, struct bv_error *err)
{
    struct codec_reader reader = {.bytes = bytes};
    enum bv_status status = BV_OK;
    uint32_t count = 0;

    for (; status == BV_OK && count < image->group_count; count++) {
        status = read_group(&image->groups[count], state, &reader, heap, err);
    }
    if (status != BV_OK) {
        count--; /* the group that failed owns nothing */
    } else if (reader.position != bytes.size) {
        status = corrupt(err, "an image has bytes left over");
    }
    if (status != BV_OK) {
        release_groups(image, count, state, heap);
        plan_layout_init_state(image->layout, state);
    }
    return status;
}
