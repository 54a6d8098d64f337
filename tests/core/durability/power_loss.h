/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_TEST_POWER_LOSS_H
#define BV_TEST_POWER_LOSS_H

/* What a disk may hold after the power failed, from a recording of the calls before.
 *
 * The rules are more pessimistic than any file system we know:
 *   - Of what was written and not synced since, each 512-byte sector is, on its own: kept, dropped
 *     (the bytes before, or zeros past the old end), or torn (a part of either kind, or zeros). So
 *     writes arrive in any order.
 *   - The size is that after any of the calls since the last sync.
 *   - A name that was made, moved or removed since the last sync of its directory is as before or
 *     as after, each for itself in one half of the states and in their order in the other.
 *   - The call during which the power failed did a part of its work, or nothing, or all.
 *   - A sync of a file says nothing about its name. A write with RWF_DSYNC makes its own sectors
 *     durable and the size that reaches over them, and nothing else. */
#include "recording_os.h"

#define DISK_SECTOR 512u

struct disk_change {
    bool is_truncate;
    uint64_t offset;
    size_t size;
    const uint8_t *data; /* the recording's */
};

struct disk_file {
    uint8_t *base; /* durable */
    size_t base_size;
    size_t base_capacity;
    struct disk_change *changes; /* since */
    size_t change_count;
    size_t change_capacity;
};

struct disk_name {
    const char *path;
    uint32_t file;
};

struct disk_names {
    struct disk_name *names;
    size_t count;
    size_t capacity;
};

struct disk {
    struct disk_file *files;
    uint32_t file_count;
    struct disk_names names;              /* durable */
    const struct recorded_call **renames; /* calls on names since */
    size_t rename_count;
    size_t rename_capacity;
};

struct chance {
    uint64_t state;
};

static inline uint64_t
chance_next(struct chance *chance)
{
    uint64_t mixed = chance->state += 0x9e3779b97f4a7c15u;

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

static inline uint32_t
chance_below(struct chance *chance, uint32_t limit)
{
    return (uint32_t)((chance_next(chance) >> 32) * limit >> 32);
}

/* ---- names ---- */

static inline struct disk_name *
disk_names_find(struct disk_names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->names[i].path, path) == 0) {
            return &names->names[i];
        }
    }
    return NULL;
}

static inline void
disk_names_put(struct disk_names *names, const char *path, uint32_t file)
{
    struct disk_name *found = disk_names_find(names, path);

    if (found == NULL) {
        if (names->count == names->capacity) {
            names->capacity = names->capacity * 2 + 16;
            names->names = realloc(names->names, names->capacity * sizeof *names->names);
        }
        found = &names->names[names->count++];
    }
    *found = (struct disk_name){path, file};
}

static inline void
disk_names_remove(struct disk_names *names, const char *path)
{
    struct disk_name *found = disk_names_find(names, path);

    if (found != NULL) {
        *found = names->names[--names->count];
    }
}

static inline void
disk_names_apply(struct disk_names *names, const struct recorded_call *call)
{
    if (call->kind == RECORDED_CREATE) {
        disk_names_put(names, call->from, call->file);
    } else if (call->kind == RECORDED_UNLINK) {
        disk_names_remove(names, call->from);
    } else {
        const struct disk_name *source = disk_names_find(names, call->from);

        if (source != NULL) {
            uint32_t file = source->file;
            disk_names_remove(names, call->from);
            disk_names_put(names, call->to, file);
        }
    }
}

static inline bool
disk_is_in(const char *directory, const char *path)
{
    size_t size = strlen(directory);

    return path != NULL && strncmp(path, directory, size) == 0 && path[size] == '/' &&
           strchr(path + size + 1, '/') == NULL;
}

static inline void
disk_sync_directory(struct disk *disk, const char *directory)
{
    size_t kept = 0;

    for (size_t i = 0; i < disk->rename_count; i++) {
        const struct recorded_call *call = disk->renames[i];
        if (disk_is_in(directory, call->from) || disk_is_in(directory, call->to)) {
            disk_names_apply(&disk->names, call);
        } else {
            disk->renames[kept++] = call;
        }
    }
    disk->rename_count = kept;
}

/* ---- bytes ---- */

static inline void
disk_resize(struct disk_file *file, size_t size)
{
    if (size > file->base_capacity) {
        file->base_capacity = size + size / 2;
        file->base = realloc(file->base, file->base_capacity);
    }
    if (size > file->base_size) {
        memset(file->base + file->base_size, 0, size - file->base_size);
    }
    file->base_size = size;
}

static inline void
disk_make_durable(struct disk_file *file, const struct disk_change *change)
{
    if (change->is_truncate) {
        disk_resize(file, (size_t)change->offset);
        return;
    }
    if (change->offset + change->size > file->base_size) {
        disk_resize(file, (size_t)change->offset + change->size);
    }
    memcpy(file->base + change->offset, change->data, change->size);
}

static inline void
disk_add_change(struct disk_file *file, struct disk_change change)
{
    if (file->change_count == file->change_capacity) {
        file->change_capacity = file->change_capacity * 2 + 16;
        file->changes = realloc(file->changes, file->change_capacity * sizeof *file->changes);
    }
    file->changes[file->change_count++] = change;
}

static inline void
disk_sync_file(struct disk_file *file)
{
    for (size_t i = 0; i < file->change_count; i++) {
        disk_make_durable(file, &file->changes[i]);
    }
    file->change_count = 0;
}

/* A synced write: what earlier writes put below it can no longer appear there. */
static inline void
disk_write_through(struct disk_file *file, const struct disk_change *written)
{
    struct disk_change *old = file->changes;
    size_t old_count = file->change_count;
    uint64_t end = written->offset + written->size;

    file->changes = NULL;
    file->change_count = 0;
    file->change_capacity = 0;
    for (size_t i = 0; i < old_count; i++) {
        struct disk_change change = old[i];
        uint64_t change_end = change.offset + change.size;

        if (change.is_truncate) {
            disk_make_durable(file, &change); /* size and blocks are one transaction */
            continue;
        }
        if (change.offset < written->offset) {
            uint64_t stop = change_end < written->offset ? change_end : written->offset;
            disk_add_change(file,
                            (struct disk_change){false, change.offset,
                                                 (size_t)(stop - change.offset), change.data});
        }
        if (change_end > end) {
            uint64_t start = change.offset > end ? change.offset : end;
            disk_add_change(file, (struct disk_change){false, start, (size_t)(change_end - start),
                                                       change.data + (start - change.offset)});
        }
    }
    free(old);
    disk_make_durable(file, written);
}

static inline struct disk_change
disk_change_of(const struct recorded_call *call)
{
    return (struct disk_change){call->kind == RECORDED_TRUNCATE, call->offset, call->size,
                                call->data};
}

/* The disk after one more call. */
static inline void
disk_step(struct disk *disk, const struct recorded_call *call)
{
    while (call->file >= disk->file_count) {
        disk->files = realloc(disk->files, (disk->file_count + 1) * sizeof *disk->files);
        disk->files[disk->file_count++] = (struct disk_file){0};
    }
    struct disk_file *file = &disk->files[call->file];
    struct disk_change change = disk_change_of(call);

    switch (call->kind) {
    case RECORDED_WRITE:
        if (call->is_synced) {
            disk_write_through(file, &change);
        } else {
            disk_add_change(file, change);
        }
        break;
    case RECORDED_TRUNCATE:
        disk_add_change(file, change);
        break;
    case RECORDED_SYNC:
        disk_sync_file(file);
        break;
    case RECORDED_CREATE:
    case RECORDED_RENAME:
    case RECORDED_UNLINK:
        if (disk->rename_count == disk->rename_capacity) {
            disk->rename_capacity = disk->rename_capacity * 2 + 16;
            disk->renames = realloc(disk->renames, disk->rename_capacity * sizeof *disk->renames);
        }
        disk->renames[disk->rename_count++] = call;
        break;
    case RECORDED_SYNC_DIRECTORY:
        disk_sync_directory(disk, call->from);
        break;
    case RECORDED_NOTE:
    case RECORDED_NOTHING:
        break;
    }
}

/* A disk that holds what another state left, all of it durable. */
static inline void
disk_init(struct disk *disk, const struct recording_os *from)
{
    memset(disk, 0, sizeof *disk);
    for (size_t i = 0; i < from->name_count; i++) {
        disk_names_put(&disk->names, from->names[i].path, from->names[i].file);
    }
    disk->files = calloc(from->file_count + 1, sizeof *disk->files);
    disk->file_count = from->file_count;
    for (uint32_t i = 0; i < from->file_count; i++) {
        disk_resize(&disk->files[i], from->files[i].size);
        if (from->files[i].size > 0) {
            memcpy(disk->files[i].base, from->files[i].data, from->files[i].size);
        }
    }
}

static inline void
disk_deinit(struct disk *disk)
{
    for (uint32_t i = 0; i < disk->file_count; i++) {
        free(disk->files[i].base);
        free(disk->files[i].changes);
    }
    free(disk->files);
    free(disk->names.names);
    free(disk->renames);
}

/* ---- after the power came back ---- */

/* How a state is drawn: everything, nothing, or by these odds of 256. */
struct disk_mood {
    uint32_t keep;
    uint32_t tear;
    bool names_in_order;
};

static inline bool
disk_keeps(struct chance *chance, const struct disk_mood *mood)
{
    return chance_below(chance, 256) < mood->keep;
}

static inline void
disk_tear(struct chance *chance, uint8_t *sector, const uint8_t *data, size_t size)
{
    size_t cut = chance_below(chance, (uint32_t)size);

    switch (chance_below(chance, 4)) {
    case 0: /* its beginning arrived */
        memcpy(sector, data, cut);
        break;
    case 1: /* its end did */
        memcpy(sector + cut, data + cut, size - cut);
        break;
    case 2: /* its beginning, and the rest was cleared */
        memcpy(sector, data, cut);
        memset(sector + cut, 0, size - cut);
        break;
    default: /* it was only cleared */
        memset(sector, 0, size);
        break;
    }
}

static inline void
disk_write_some(struct chance *chance, const struct disk_mood *mood, uint8_t *out,
                const struct disk_change *change)
{
    for (size_t done = 0; done < change->size;) {
        size_t at = (size_t)change->offset + done;
        size_t size = DISK_SECTOR - at % DISK_SECTOR;

        size = size < change->size - done ? size : change->size - done;
        if (chance_below(chance, 256) < mood->tear) {
            disk_tear(chance, out + at, change->data + done, size);
        } else if (disk_keeps(chance, mood)) {
            memcpy(out + at, change->data + done, size);
        }
        done += size;
    }
}

/* One file's bytes; `last` is what was under way on it, NULL: nothing. */
static inline void
disk_file_after(struct recording_file *out, struct chance *chance, const struct disk_mood *mood,
                const struct disk_file *file, const struct disk_change *last)
{
    size_t count = file->change_count + (last != NULL ? 1 : 0);
    size_t stop = mood->keep == 256 ? count : 0;
    size_t live = file->base_size;
    size_t most = live;

    if (mood->keep != 256 && mood->keep != 0) {
        stop = chance_below(chance, (uint32_t)count + 1);
    }
    size_t size = live;
    for (size_t i = 0; i < count; i++) {
        const struct disk_change *change = i < file->change_count ? &file->changes[i] : last;
        uint64_t end = change->offset + change->size;

        live = change->is_truncate || end > live ? (size_t)end : live;
        size = i < stop ? live : size;
        most = live > most ? live : most;
    }
    recording_resize(out, most);
    if (file->base_size > 0) {
        memcpy(out->data, file->base, file->base_size);
    }
    for (size_t i = 0; i < count; i++) {
        const struct disk_change *change = i < file->change_count ? &file->changes[i] : last;

        if (!change->is_truncate) {
            disk_write_some(chance, mood, out->data, change);
        } else if (disk_keeps(chance, mood) && change->offset < most) {
            memset(out->data + change->offset, 0, most - (size_t)change->offset);
        }
    }
    out->size = size;
}

static inline void
disk_names_after(struct disk_names *out, struct chance *chance, const struct disk_mood *mood,
                 const struct disk *disk, const struct recorded_call *last)
{
    size_t count = disk->rename_count + (last != NULL ? 1 : 0);
    size_t stop = chance_below(chance, (uint32_t)count + 1);

    for (size_t i = 0; i < disk->names.count; i++) {
        disk_names_put(out, disk->names.names[i].path, disk->names.names[i].file);
    }
    for (size_t i = 0; i < count; i++) {
        bool is_kept = mood->names_in_order && mood->keep != 0 && mood->keep != 256
                           ? i < stop
                           : disk_keeps(chance, mood);
        if (is_kept) {
            disk_names_apply(out, i < disk->rename_count ? disk->renames[i] : last);
        }
    }
}

/* A state after power loss during `under_way` (NULL: between calls), drawn from `seed`, as a file
 * system to boot from; `out` is uninitialised. */
static inline void
disk_after_power_loss(struct recording_os *out, const struct disk *disk,
                      const struct recorded_call *under_way, uint64_t seed)
{
    static const uint32_t odds[] = {0, 256, 24, 128, 232, 250};
    struct chance chance = {seed};
    struct disk_mood mood = {.keep = odds[chance_below(&chance, 6)],
                             .names_in_order = chance_below(&chance, 2) == 0};
    struct disk_names names = {0};
    struct disk_change last = {0};
    bool is_bytes = false;
    bool is_name = false;

    if (mood.keep != 0 && mood.keep != 256) {
        mood.tear = (uint32_t[]){0, 4, 64}[chance_below(&chance, 3)];
    }
    if (under_way != NULL) {
        is_bytes = under_way->kind == RECORDED_WRITE || under_way->kind == RECORDED_TRUNCATE;
        is_name = under_way->kind == RECORDED_CREATE || under_way->kind == RECORDED_RENAME ||
                  under_way->kind == RECORDED_UNLINK;
        last = disk_change_of(under_way);
    }
    recording_init(out, false);
    disk_names_after(&names, &chance, &mood, disk, is_name ? under_way : NULL);
    for (size_t i = 0; i < names.count; i++) {
        static const struct disk_file empty;
        uint32_t number = names.names[i].file;
        const struct disk_file *file = number < disk->file_count ? &disk->files[number] : &empty;
        uint32_t copy = recording_create(out, names.names[i].path, 0);

        disk_file_after(&out->files[copy], &chance, &mood, file,
                        is_bytes && under_way->file == number ? &last : NULL);
    }
    free(names.names);
}

#endif
