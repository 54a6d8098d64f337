/* SPDX-License-Identifier: Apache-2.0 */
/* Boots from snapshots that read, do not read, or lie. */
#include "apply/apply.h"
#include "durability/snapshot_file.h"
#include "snapshot_fixture.h"
#include "util/crc.h"

/* Opens the place; the status and its error when that is refused. */
static enum bv_status
try_open(struct fixture *f, const struct place *place, struct bv_error *err)
{
    const enum bv_status status = engine_open(&f->engine, &place->options, err);

    if (status == BV_OK) {
        engine_close(f->engine);
    }
    return status;
}

/* An engine with two snapshots and events after each; its digest when it stopped. */
static void
make_history(struct place *place, uint64_t lsns[2], bv_digest *digest, bool restarts)
{
    struct fixture f;

    place_make(place, BV_POLICY_OS);
    place->options.snapshot_retain = restarts ? 2 : 3;
    fixture_open(&f, &place->options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    for (unsigned i = 0; i < 2; i++) {
        snap_feed(&f, i * 400, 300, 50);
        lsns[i] = snap_take(&f);
        snap_feed(&f, i * 400 + 300, 100, 70);
        if (restarts) {
            place_reopen(place, &f);
        }
    }
    if (restarts) {
        snap_feed(&f, 800, 10, 70);
        lsns[0] = lsns[1];
        lsns[1] = snap_take(&f);
        snap_feed(&f, 900, 10, 70);
    }
    engine_digest(f.engine, digest);
    fixture_close(&f);
}

static void
damage(const struct place *place, uint64_t lsn, long offset)
{
    char path[160];

    snap_path(path, place, lsn);
    snap_damage(path, offset);
}

static void
open_and_check(struct fixture *f, const struct place *place, const bv_digest *digest,
               uint64_t from_lsn)
{
    struct engine_stats stats;

    fixture_open(f, &place->options);
    engine_stats_get(f->engine, &stats);
    assert_true(stats.recovered_from_snapshot_lsn == from_lsn);
    snap_assert_same(digest, f);
}

static void
test_the_older_snapshot_serves_without_loss(void **state)
{
    static const long offsets[] = {10, 4096 + 40, 20000, -4096, -100};
    struct place place;
    struct place copy;
    struct fixture f;
    uint64_t lsns[2];
    bv_digest digest;

    (void)state;
    make_history(&place, lsns, &digest, true);
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        snap_crash(&copy, &place);
        damage(&copy, lsns[1], offsets[i]);
        open_and_check(&f, &copy, &digest, lsns[0]);
        /* The damaged one is out of the way; the next snapshot finds its place. */
        assert_int_equal(snap_count(&copy), 1);
        snap_feed(&f, 2000, 5, 5);
        const uint64_t next = snap_take(&f);

        assert_int_equal(snap_count(&copy), 2);
        engine_digest(f.engine, &(bv_digest){0});
        snap_check_crash(&copy, &f, next);
        fixture_close(&f);
        place_remove(&copy);
    }
    place_remove(&place);
}

static void
test_the_log_alone_serves_where_it_reaches_back(void **state)
{
    struct place place;
    struct fixture f;
    uint64_t lsns[2];
    bv_digest digest;

    (void)state;
    make_history(&place, lsns, &digest, false); /* too few yet to retire any of the log */
    damage(&place, lsns[0], 5000);
    damage(&place, lsns[1], 5000);
    open_and_check(&f, &place, &digest, 0);
    fixture_close(&f);
    place_remove(&place);
}

static void
test_without_a_snapshot_that_reads_a_shorter_log_is_refused(void **state)
{
    struct place place;
    struct fixture f;
    struct bv_error err;
    uint64_t lsns[2];
    bv_digest digest;
    char path[160];

    (void)state;
    make_history(&place, lsns, &digest, true);
    damage(&place, lsns[0], 5000);
    damage(&place, lsns[1], 5000);
    assert_int_equal(try_open(&f, &place, &err), BV_CORRUPT);
    snap_path(path, &place, lsns[1]);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(snap_count(&place), 2); /* and nothing is moved */
    damage(&place, lsns[1], 5000);           /* the same bit again: whole */
    open_and_check(&f, &place, &digest, lsns[1]);
    fixture_close(&f);
    place_remove(&place);
}

static void
remove_log(const struct place *place)
{
    char command[200];

    snprintf(command, sizeof command, "rm %s/segment-*", place->wal);
    assert_int_equal(system(command), 0);
}

/* What a log that failed leaves when the process dies before it was resumed. */
static void
test_a_missing_log_beside_a_snapshot_is_refused_until_accepted(void **state)
{
    struct place place;
    struct fixture f;
    struct bv_error err;
    bv_digest digest;

    (void)state;
    place_make(&place, BV_POLICY_OS);
    fixture_open(&f, &place.options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    snap_feed(&f, 0, 300, 50);
    const uint64_t lsn = snap_take(&f);

    engine_digest(f.engine, &digest);
    fixture_close(&f);
    remove_log(&place);
    assert_int_equal(try_open(&f, &place, &err), BV_CORRUPT);
    assert_non_null(strstr(err.message, "the log is missing"));
    place.options.accept_data_loss = true;
    place.options.accept_data_loss_after = lsn + 1;
    assert_int_equal(try_open(&f, &place, &err), BV_CORRUPT);
    place.options.accept_data_loss_after = lsn;
    open_and_check(&f, &place, &digest, lsn);
    place.options.accept_data_loss = false;
    place.options.accept_data_loss_after = 0;
    snap_feed(&f, 300, 10, 50);
    place_reopen(&place, &f);
    fixture_close(&f);
    /* Without log and snapshot there is something missing, and it is said. */
    remove_log(&place);
    damage(&place, lsn, 5000);
    assert_int_equal(try_open(&f, &place, &err), BV_CORRUPT);
    assert_non_null(strstr(err.hint, "--accept-data-loss-after 0"));
    place.options.accept_data_loss = true;
    assert_int_equal(try_open(&f, &place, &err), BV_OK);
    place_remove(&place);
}

static void
test_another_version_is_refused_and_named(void **state)
{
    struct place place;
    struct fixture f;
    struct bv_error err = {0};
    uint64_t lsns[2];
    bv_digest digest;
    char path[160];
    uint8_t page[4096];

    (void)state;
    make_history(&place, lsns, &digest, false);
    snap_path(path, &place, lsns[1]);
    FILE *file = fopen(path, "r+b");

    assert_non_null(file);
    assert_int_equal(fread(page, 1, sizeof page, file), sizeof page);
    page[16] = 2;
    const uint32_t crc = crc32c(0, page + 8, sizeof page - 8);

    memcpy(page + 4, &crc, sizeof crc);
    rewind(file);
    assert_int_equal(fwrite(page, 1, sizeof page, file), sizeof page);
    fclose(file);
    assert_int_equal(try_open(&f, &place, &err), BV_UNSUPPORTED_FORMAT);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "2"));
    assert_int_equal(snap_count(&place), 2);
    place_remove(&place);
}

/* ---- files that check and lie ---- */

struct chunk {
    enum snapshot_chunk_type type;
    uint64_t image_lsn;
    uint8_t *data;
    size_t size;
};

struct forgery {
    struct place place;
    struct fixture f;
    struct wal_directory directory;
    struct snapshot_info info;
    struct chunk chunks[400];
    size_t count;
};

static enum bv_status
keep_chunk(void *context, enum snapshot_chunk_type type, uint64_t image_lsn, struct slice body,
           struct bv_error *err)
{
    struct forgery *forgery = context;
    struct chunk *chunk = &forgery->chunks[forgery->count++];

    (void)err;
    assert_true(forgery->count <= 400);
    *chunk = (struct chunk){type, image_lsn, malloc(body.size + 1), body.size};
    memcpy(chunk->data, body.data, body.size);
    chunk->data[body.size] = '\0';
    return BV_OK;
}

/* A sound snapshot, chunk by chunk, and an engine without a log to load forged ones into. */
static void
forgery_open(struct forgery *forgery)
{
    struct fixture f;

    memset(forgery, 0, sizeof *forgery);
    place_make(&forgery->place, BV_POLICY_OS);
    fixture_open(&f, &forgery->place.options);
    fixture_register(&f, SNAP_NODES("", "Pairs"));
    snap_feed(&f, 0, 200, 40);
    fixture_register(&f, SNAP_NODES(SNAP_MORE_FEATURES, "Pairs"));
    snap_feed(&f, 200, 200, 40);
    const uint64_t lsn = snap_take(&f);

    snap_read(&forgery->place, lsn, &forgery->info, keep_chunk, forgery);
    fixture_close(&f);
    fixture_open_memory(&forgery->f);
    forgery->directory.os = os_posix();
    snprintf(forgery->directory.snapshot_path, sizeof forgery->directory.snapshot_path, "%s/forged",
             forgery->place.root);
    assert_int_equal(mkdir(forgery->directory.snapshot_path, 0700), 0);
}

static void
forgery_close(struct forgery *forgery)
{
    fixture_close(&forgery->f);
    for (size_t i = 0; i < forgery->count; i++) {
        free(forgery->chunks[i].data);
    }
    place_remove(&forgery->place);
}

/* Writes the chunks as a file of their own; whoever reads it finds every checksum right. */
static void
forgery_write(struct forgery *forgery, const struct snapshot_totals *totals)
{
    const struct snapshot_start start = {.start_lsn = forgery->info.start_lsn,
                                         .time_ms = forgery->info.time_ms,
                                         .registry_version = forgery->info.registry_version};
    struct snapshot_file file;
    struct bv_error err;

    assert_int_equal(
        snapshot_file_create(&file, os_posix(), forgery->directory.snapshot_path, &start, &err),
        BV_OK);
    for (size_t i = 0; i < forgery->count; i++) {
        const struct chunk *chunk = &forgery->chunks[i];

        assert_int_equal(snapshot_file_append(&file, chunk->type, chunk->image_lsn,
                                              slice_of(chunk->data, chunk->size), slice_of(NULL, 0),
                                              &err),
                         BV_OK);
    }
    assert_int_equal(snapshot_file_end(&file, totals, &err), BV_OK);
    assert_int_equal(snapshot_file_publish(&file, &err), BV_OK);
    snapshot_file_deinit(&file);
}

static enum bv_status
forgery_load(struct forgery *forgery, struct snapshot_loaded *loaded, struct bv_error *err)
{
    struct engine *engine = forgery->f.engine;

    engine->directory = &forgery->directory;
    const enum bv_status status = snapshot_load(loaded, engine, err);

    engine->directory = NULL;
    return status;
}

/* The engine is empty again for the next one. */
static void
forgery_clear(struct forgery *forgery, struct snapshot_loaded *loaded)
{
    struct engine *engine = forgery->f.engine;

    assert_int_equal(reset_replay(engine, 0, NULL), BV_OK);
    for (uint32_t i = 0; i < engine->identity_count; i++) {
        free(engine->identities[i].name);
    }
    engine->identity_count = 0;
    snapshot_loaded_deinit(loaded);
}

static void
test_sections_that_do_not_fit_are_not_believed(void **state)
{
    static const struct {
        size_t chunk;
        const char *from;
        const char *to;
        enum bv_status status;
    } cases[] = {
        {0, "\"version\":2", "\"version\":2 ", BV_OK},
        {0, "\"nodes\"", "\"knots\"", BV_CORRUPT},
        {0, "{", "[", BV_CORRUPT},
        {0, "\"name\":\"Pairs\"", "\"name\":\"Peers\"", BV_CORRUPT},
        {1, "[{", "{{", BV_CORRUPT},
        {1, "\"kind\":\"table\",\"id\":0", "\"kind\":\"table\",\"id\":1", BV_CORRUPT},
        {1, "\"kind\":\"table\"", "\"kind\":\"gone\" ", BV_CORRUPT},
        {1, "\"kind\":\"table\"", "\"kind\":\"cable\"", BV_UNSUPPORTED_FORMAT},
        {1, "\"kind\":\"table\"", "\"mind\":\"table\"", BV_CORRUPT},
        {1, "\"name\":\"Users\"", "\"name\":\"Pairs\"", BV_CORRUPT},
        {1, "\"name\":\"Users\"", "\"name\":1      ", BV_CORRUPT},
        {1, "\"generation\":0", "\"generation\":-", BV_CORRUPT},
        {1, "\"generation\":0", "\"generatio_\":0", BV_CORRUPT},
        {1, "\"expired_before_ms\"", "\"expired_before_xx\"", BV_CORRUPT},
        {1, "\"version\":1", "\"version\":9", BV_UNSUPPORTED_FORMAT},
        {1, " since 2", " since 3", BV_CORRUPT},
        {1, "\"kind\":\"dedupe\"", "\"kind\":\"gone\"  ", BV_CORRUPT},
        {1, "\"dedupe_key\":\"id\"", "\"dedupe_key\":\"ie\"", BV_CORRUPT},
        {1, "\"event\":\"Pay\"", "\"event\":\"Tx\" ", BV_CORRUPT},
    };
    struct forgery *forgery = malloc(sizeof *forgery);

    (void)state;
    forgery_open(forgery);
    const struct snapshot_totals totals = {.entities = forgery->info.entities,
                                           .dedupe_entries = forgery->info.dedupe_entries};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct chunk *chunk = &forgery->chunks[cases[i].chunk];
        uint8_t *sound = chunk->data;
        const size_t sound_size = chunk->size;
        const char *at = strstr((const char *)sound, cases[i].from);
        char *forged = malloc(sound_size + 100);
        struct snapshot_loaded loaded;
        struct bv_error err = {0};

        assert_non_null(at);
        chunk->size =
            (size_t)snprintf(forged, sound_size + 100, "%.*s%s%s", (int)(at - (const char *)sound),
                             sound, cases[i].to, at + strlen(cases[i].from));
        chunk->data = (uint8_t *)forged;
        forgery_write(forgery, &totals);
        const enum bv_status status = forgery_load(forgery, &loaded, &err);
        const bool is_passed_over =
            status == BV_OK && loaded.failed_count == 1 && loaded.info.start_lsn == 0;

        if (cases[i].status == BV_CORRUPT ? !is_passed_over : status != cases[i].status) {
            fail_msg("%s -> %s: status %d, %s", cases[i].from, cases[i].to, status, err.message);
        }
        forgery_clear(forgery, &loaded);
        free(forged);
        chunk->data = sound;
        chunk->size = sound_size;
    }
    forgery_close(forgery);
    free(forgery);
}

static void
test_an_end_that_counts_others_is_not_believed(void **state)
{
    struct forgery *forgery = malloc(sizeof *forgery);
    struct snapshot_loaded loaded;
    struct bv_error err;

    (void)state;
    forgery_open(forgery);
    forgery_write(forgery,
                  &(struct snapshot_totals){.entities = forgery->info.entities + 1,
                                            .dedupe_entries = forgery->info.dedupe_entries});
    assert_int_equal(forgery_load(forgery, &loaded, &err), BV_OK);
    assert_int_equal(loaded.failed_count, 1);
    forgery_clear(forgery, &loaded);
    forgery_close(forgery);
    free(forgery);
}

/* Sizes, counts, keys and forms of entities, altered at random: refused or read, never trusted.
 * What was read is released again: nothing may be owned twice. */
static void
test_entities_altered_at_random_do_no_harm(void **state)
{
    struct forgery *forgery = malloc(sizeof *forgery);
    uint64_t random = 7;
    unsigned refused = 0;

    (void)state;
    forgery_open(forgery);
    const struct snapshot_totals totals = {.entities = forgery->info.entities,
                                           .dedupe_entries = forgery->info.dedupe_entries};
    const uint64_t empty_bytes = pages_used_bytes(forgery->f.engine->pages);

    for (unsigned round = 0; round < 250; round++) {
        struct snapshot_loaded loaded;
        struct bv_error err;

        random = random * 6364136223846793005u + 1442695040888963407u;
        struct chunk *chunk = &forgery->chunks[2 + (random >> 33) % (forgery->count - 2)];
        const size_t near = chunk->size < 64 ? chunk->size : 64;
        const size_t at = (random >> 40) % (round % 3 == 0 ? near : chunk->size);
        const uint8_t old = chunk->data[at];

        chunk->data[at] ^= (uint8_t)(1u << (random >> 20) % 8);
        forgery_write(forgery, &totals);
        const enum bv_status status = forgery_load(forgery, &loaded, &err);

        assert_true(status == BV_OK || status == BV_NO_MEMORY);
        refused += loaded.info.start_lsn == 0;
        chunk->data[at] = old;
        forgery_clear(forgery, &loaded);
        assert_true(pages_used_bytes(forgery->f.engine->pages) == empty_bytes);
    }
    assert_true(refused > 20 && refused < 250);
    forgery_close(forgery);
    free(forgery);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_older_snapshot_serves_without_loss),
        cmocka_unit_test(test_the_log_alone_serves_where_it_reaches_back),
        cmocka_unit_test(test_without_a_snapshot_that_reads_a_shorter_log_is_refused),
        cmocka_unit_test(test_a_missing_log_beside_a_snapshot_is_refused_until_accepted),
        cmocka_unit_test(test_another_version_is_refused_and_named),
        cmocka_unit_test(test_sections_that_do_not_fit_are_not_believed),
        cmocka_unit_test(test_an_end_that_counts_others_is_not_believed),
        cmocka_unit_test(test_entities_altered_at_random_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
