/* SPDX-License-Identifier: Apache-2.0 */
/* Power loss at every call: what was acknowledged is there after the restart, and what is there is
 * what the engine had (goals.md R3).
 *
 * An engine runs over the recording twin; each tick leaves a digest by LSN. For random instants of
 * the recording a state of the disk is drawn (power_loss.h) and an engine is opened on it: its last
 * LSN must be at least the one acknowledged at that instant, its digest the one remembered for that
 * LSN. Some states become the disk of the next recording, so that recovery, too, loses power.
 *
 * POWER_STATES sets the number of states, SEED repeats a run (the threads' interleaving aside). */
#include "world_fixture.h"

#include <signal.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STATES_DEFAULT 600
#else
#define STATES_DEFAULT 10000
#endif
#define STATES_PER_RUN 250
#define TICKS_PER_RUN  40
#define RUNS_PER_LIFE  6 /* then a new, empty disk */

struct campaign {
    struct world world;
    struct recording_os disk; /* of the next run: what the last one left */
    uint64_t floor;           /* acknowledged when that state was drawn */
    uint64_t runs;
    uint64_t states;
    uint64_t calls;
    uint64_t snapshots;
    uint64_t from_snapshot;
    uint64_t refused;
    uint64_t short_of_last; /* states that lost something nobody was promised */
    uint64_t lost;          /* states that lost something acknowledged */
    uint64_t wrong;         /* states with another digest than remembered */
    bool is_lying;          /* syncs are answered and not done: losses are wanted */
};

static char doing[160];

static void
say_what(int signal_number)
{
    (void)!write(2, doing, strlen(doing));
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static uint64_t
number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* Acks that may have left by now. */
static void
note_acks(struct campaign *campaign, struct recording_os *recording)
{
    const struct engine *engine = campaign->world.engine;

    recording_note(recording, campaign->world.options.policy == BV_POLICY_ALWAYS
                                  ? engine_acked_lsn(engine)
                                  : engine_synced_lsn(engine));
}

static void
count_snapshots(struct campaign *campaign)
{
    struct engine_stats stats;

    engine_stats_get(campaign->world.engine, &stats);
    campaign->snapshots += stats.snapshot_count;
}

/* One life of the engine over `recording`. */
static void
record_run(struct campaign *campaign, struct recording_os *recording)
{
    struct world *world = &campaign->world;

    world->options.os = &recording->os;
    recording_note(recording, campaign->floor);
    enum bv_status status = world_open(world);
    if (status != BV_OK) {
        fail_msg("%s: %s", doing, world->error.message);
    }
    note_acks(campaign, recording);
    if (world->last_lsn == 0) {
        world_remember(world);
        assert_int_equal(world_request(world, REQUEST_REGISTER, WORLD_NODES), BV_OK);
        world_remember(world);
    }
    for (unsigned i = 0; i < TICKS_PER_RUN; i++) {
        world_tick(world);
        uint32_t what = chance_below(&world->chance, 8);
        if (what == 0) {
            assert_int_equal(engine_wait(world->engine, world->last_lsn, true, NULL), BV_OK);
        } else if (what == 1) {
            usleep(1500); /* the writer falls idle and leaves a mark */
        }
        if (chance_below(&world->chance, 10) == 0) {
            (void)engine_snapshot_request(world->engine);
        }
        /* A slice is up to 200 us of work: all of this state, or some of it. */
        (void)engine_background(world->engine, clock_monotonic_ns(),
                                chance_below(&world->chance, 2) == 0 ? 0 : 300000);
        note_acks(campaign, recording);
    }
    count_snapshots(campaign);
    world_close(world);
    recording_note(recording, world->last_lsn);
}

/* Opens an engine on a state and looks; false when it is refused or not as it should be. */
static bool
check_state(struct campaign *campaign, struct recording_os *state, uint64_t floor)
{
    struct engine_options options = campaign->world.options;
    struct bv_error error = {0};
    struct engine *engine = NULL;
    struct engine_stats stats;
    bv_digest digest;

    options.os = &state->os;
    campaign->states++;
    if (engine_open(&engine, &options, &error) != BV_OK) {
        campaign->refused++;
        if (strstr(error.message, "/d/") == NULL) {
            fail_msg("%s: the refusal names no file: %s", doing, error.message);
        }
        if (!campaign->is_lying) {
            fail_msg("%s: refused: %s", doing, error.message);
        }
        return false;
    }
    engine_digest(engine, &digest);
    engine_stats_get(engine, &stats);
    engine_close(engine);
    campaign->from_snapshot += stats.recovered_from_snapshot_lsn != 0 ? 1 : 0;
    const bv_digest *wanted = world_remembered(&campaign->world, digest.last_lsn);
    bool is_right = wanted != NULL && memcmp(wanted, &digest, sizeof digest) == 0;

    campaign->wrong += is_right ? 0 : 1;
    campaign->lost += digest.last_lsn < floor ? 1 : 0;
    campaign->short_of_last += digest.last_lsn < campaign->world.last_lsn ? 1 : 0;
    if (!is_right) {
        fail_msg("%s: the state at LSN %llu is not the one that was", doing,
                 (unsigned long long)digest.last_lsn);
    }
    if (digest.last_lsn < floor && !campaign->is_lying) {
        fail_msg("%s: LSN %llu was acknowledged, the log ends at %llu", doing,
                 (unsigned long long)floor, (unsigned long long)digest.last_lsn);
    }
    return is_right && digest.last_lsn >= floor;
}

static int
compare_instants(const void *a, const void *b)
{
    const uint32_t *left = a;
    const uint32_t *right = b;

    return *left < *right ? -1 : *left > *right;
}

/* States of one recording, at instants in rising order so that the disk is stepped once. One good
 * state in the middle becomes the disk of the next run. */
static void
lose_power(struct campaign *campaign, const struct recording_os *start,
           struct recording_os *recording)
{
    struct chance *chance = &campaign->world.chance;
    uint32_t instants[STATES_PER_RUN];
    struct recording_os next;
    struct disk disk;
    uint64_t floor = campaign->floor;
    size_t at = 0;
    bool has_next = false;

    for (uint32_t i = 0; i < STATES_PER_RUN; i++) {
        instants[i] = chance_below(chance, (uint32_t)recording->call_count + 1);
    }
    qsort(instants, STATES_PER_RUN, sizeof instants[0], compare_instants);
    disk_init(&disk, start);
    for (uint32_t i = 0; i < STATES_PER_RUN; i++) {
        struct recording_os state;
        uint64_t seed = chance_next(chance);
        const struct recorded_call *under_way = NULL;

        for (; at < instants[i]; at++) {
            struct recorded_call *call = &recording->calls[at];
            floor = call->kind == RECORDED_NOTE ? call->offset : floor;
            disk_step(&disk, call);
        }
        if (at < recording->call_count && (seed & 1) != 0) {
            under_way = &recording->calls[at];
        }
        (void)snprintf(doing, sizeof doing, "run %llu, call %zu of %zu, state %016llx",
                       (unsigned long long)campaign->runs, at, recording->call_count,
                       (unsigned long long)seed);
        disk_after_power_loss(&state, &disk, under_way, seed);
        (void)check_state(campaign, &state, floor);
        recording_deinit(&state);
        if (i == STATES_PER_RUN / 2) {
            disk_after_power_loss(&next, &disk, under_way, seed);
            has_next = true;
            campaign->floor = floor;
        }
    }
    disk_deinit(&disk);
    assert_true(has_next);
    recording_deinit(&campaign->disk);
    campaign->disk = next;
}

/* The bytes of `from`, as what a new recording begins with. */
static void
copy_files(struct recording_os *to, const struct recording_os *from)
{
    for (size_t i = 0; i < from->name_count; i++) {
        const struct recording_file *file = &from->files[from->names[i].file];
        uint32_t copy = recording_create(to, from->names[i].path, file->size);
        if (file->size > 0) {
            memcpy(to->files[copy].data, file->data, file->size);
        }
    }
}

/* As a disk would have it that answers every sync and does none. */
static void
forget_syncs(struct recording_os *recording)
{
    for (size_t i = 0; i < recording->call_count; i++) {
        struct recorded_call *call = &recording->calls[i];

        call->is_synced = false;
        if (call->kind == RECORDED_SYNC) {
            call->kind = RECORDED_NOTHING;
        }
    }
}

static void
begin_life(struct campaign *campaign)
{
    struct world *world = &campaign->world;

    recording_deinit(&campaign->disk);
    recording_init(&campaign->disk, false);
    campaign->floor = 0;
    world_forget(world);
}

static void
campaign_run(struct campaign *campaign, uint64_t states, bool refuse_direct)
{
    recording_init(&campaign->disk, false);
    while (campaign->states < states) {
        struct recording_os recording;
        struct recording_os start;

        if (campaign->is_lying || campaign->runs % RUNS_PER_LIFE == 0) {
            begin_life(campaign);
        }
        recording_init(&start, false);
        copy_files(&start, &campaign->disk);
        recording_init(&recording, true);
        copy_files(&recording, &campaign->disk);
        recording.refuse_direct = refuse_direct;
        campaign->runs++;
        (void)snprintf(doing, sizeof doing, "run %llu", (unsigned long long)campaign->runs);
        record_run(campaign, &recording);
        if (campaign->is_lying) {
            forget_syncs(&recording);
        }
        campaign->calls += recording.call_count;
        lose_power(campaign, &start, &recording);
        recording_deinit(&recording);
        recording_deinit(&start);
    }
    recording_deinit(&campaign->disk);
}

static void
campaign_of(struct campaign *campaign, uint32_t policy, bool refuse_direct, uint64_t states,
            const char *name)
{
    uint64_t seed = number_from("SEED", 20261121) + policy * 2 + (refuse_direct ? 1 : 0);
    uint64_t started_ns = clock_monotonic_ns();

    (void)signal(SIGABRT, say_what);
    world_init(&campaign->world, NULL, seed);
    campaign->world.options.policy = policy;
    campaign->world.options.sync_interval_ms = 1;
    campaign_run(campaign, states, refuse_direct);
    world_deinit(&campaign->world);
    print_message("%s: %llu states of %llu calls and %llu snapshots in %llu runs (%llu began from "
                  "a snapshot): %llu refused, %llu lost an acknowledged event, %llu differ; %llu "
                  "ended before the last LSN; %.1f s\n",
                  name, (unsigned long long)campaign->states, (unsigned long long)campaign->calls,
                  (unsigned long long)campaign->snapshots, (unsigned long long)campaign->runs,
                  (unsigned long long)campaign->from_snapshot,
                  (unsigned long long)campaign->refused, (unsigned long long)campaign->lost,
                  (unsigned long long)campaign->wrong, (unsigned long long)campaign->short_of_last,
                  (double)(clock_monotonic_ns() - started_ns) / 1e9);
}

static void
run_policy(uint32_t policy, bool refuse_direct, const char *name)
{
    struct campaign campaign = {0};

    campaign_of(&campaign, policy, refuse_direct, number_from("POWER_STATES", STATES_DEFAULT) / 3,
                name);
    assert_int_equal(campaign.lost + campaign.wrong + campaign.refused, 0);
    assert_true(campaign.short_of_last > 0);
}

static void
test_power_loss_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    run_policy(BV_POLICY_ALWAYS, false, "always");
}

static void
test_power_loss_keeps_what_was_acknowledged_without_direct_writes(void **state)
{
    (void)state;
    run_policy(BV_POLICY_ALWAYS, true, "always, buffered");
}

static void
test_power_loss_keeps_what_was_synced_under_policy_os(void **state)
{
    (void)state;
    run_policy(BV_POLICY_OS, false, "os");
}

/* The check can fail: without syncs acknowledged events are missing, which most boots see. Even
 * then no state is served that never was: it is an earlier one, or the boot is refused. */
static void
test_a_disk_that_lies_about_syncs_loses_events_but_serves_no_wrong_state(void **state)
{
    struct campaign campaign = {.is_lying = true};

    (void)state;
    campaign_of(&campaign, BV_POLICY_ALWAYS, false,
                number_from("POWER_STATES", STATES_DEFAULT) / 10, "always, syncs not done");
    assert_int_equal(campaign.wrong, 0);
    assert_true(campaign.lost + campaign.refused > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_loss_keeps_what_was_acknowledged),
        cmocka_unit_test(test_power_loss_keeps_what_was_acknowledged_without_direct_writes),
        cmocka_unit_test(test_power_loss_keeps_what_was_synced_under_policy_os),
        cmocka_unit_test(test_a_disk_that_lies_about_syncs_loses_events_but_serves_no_wrong_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
