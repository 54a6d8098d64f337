/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_APPLY_SECTIONS_H
#define BV_APPLY_SECTIONS_H

#include "apply/apply.h"

/* What a snapshot says about itself before its entities: the registry, and per table the
 * accumulators of its images (docs/formats.md 5.1, 5.2). */

enum section_kind { SECTION_TABLE, SECTION_GONE, SECTION_DEDUPE };

struct section {
    enum section_kind kind;
    uint32_t id;              /* of a table, or of a gone one */
    struct live_table *table; /* SECTION_TABLE */
    struct dedupe *dedupe;    /* SECTION_DEDUPE */
    struct plan_image image;  /* SECTION_TABLE */
};

struct sections {
    struct arena arena;
    struct section *list;
    uint32_t count;
};

/* {"fresh":[],"nodes":[..],"renamed":[],"version":V}: as in the record of a registration. */
void sections_write_registry(struct buf *out, const struct registry *registry);
/* The sections of the plan in force; the section of a table has the number of its id. Tables must
 * be uniform. */
enum bv_status sections_create(struct sections *out, struct engine *engine, struct bv_error *err);
void sections_write(struct buf *out, const struct sections *sections, const struct engine *engine);
void sections_destroy(struct sections *sections); /* accepts all zero */
/* Which section the blocks of a page belong to; NULL for none (out-of-line memory, the index). */
const struct section *sections_of_owner(const struct sections *sections, uint32_t owner);

/* From the two chunks of a snapshot: installs the registry with its empty tables in an engine that
 * has none, under the ids they had, and says how their images are read. BV_CORRUPT,
 * BV_UNSUPPORTED_FORMAT. */
enum bv_status sections_restore(struct sections *out, struct engine *engine,
                                struct slice registry_json, struct slice sections_json,
                                struct bv_error *err);

#endif
