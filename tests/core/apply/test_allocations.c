/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, n = 1, 2, ..., until the operation no longer makes so many (goals.md
 * R6): the operation is refused with BV_NO_MEMORY (or does without), nothing has changed, the next
 * one is served, and a restart finds the state that the engine had.
 *
 * One way out ends the process by design: an event that has its LSN is applied whole or not at all,
 * and "not at all" is only possible by ending before it is acknowledged. Its log record may be on
 * disk; recovery applies it then. The test holds the list of these places and accepts no other.
 *
 * Each attempt runs in a child, so that one that crashes is counted and told, too. malloc and its
 * kin are interposed by the linker (--wrap); pages of state by pages_fail_from. */
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

/* The test's own memory is not what is tested. */
#define malloc  __real_malloc
#define calloc  __real_calloc
#define realloc __real_realloc
#define strdup  __real_strdup
#include "world_fixture.h"
#undef malloc
#undef calloc
#undef realloc
#undef strdup

#include "apply/apply.h"

/* A child is dear where memory is watched. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 13
#else
#define STRIDE 1
#endif

/* ---- the failing allocator ---- */

static _Atomic bool is_armed;
static _Atomic uint64_t allocations;
static uint64_t fails_from; /* counted from arming */
static bool fails_on;       /* all after it fail, too */

static bool
has_to_fail(void)
{
    if (!atomic_load(&is_armed)) {
        return false;
    }
    uint64_t number = atomic_fetch_add(&allocations, 1) + 1;
    return number == fails_from || (fails_on && number > fails_from);
}

void *
__wrap_malloc(size_t size)
{
    return has_to_fail() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return has_to_fail() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    return has_to_fail() ? NULL : __real_realloc(old, size);
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return has_to_fail() ? NULL : __real_aligned_alloc(alignment, size);
}

char *
__wrap_strdup(const char *text)
{
    return has_to_fail() ? NULL : __real_strdup(text);
}

char *
__wrap_strndup(const char *text, size_t size)
{
    return has_to_fail() ? NULL : __real_strndup(text, size);
}

void *
__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return has_to_fail() ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

/* ---- operations ---- */

struct attempt {
    struct world world;
    struct recording_os disk;
};

/* The status of the operation; BV_OK also for one that did without the memory. */
typedef enum bv_status (*operation_fn)(struct attempt *attempt);

struct operation {
    const char *name;
    operation_fn run;
    bool is_opening;    /* it opens the engine itself */
    bool has_log;       /* over a log with a past */
    bool may_fail_stop; /* it gives LSNs */
    bool has_snapshot;
};

static enum bv_status
run_open(struct attempt *attempt)
{
    return world_open(&attempt->world);
}

static enum bv_status
run_register(struct attempt *attempt)
{
    return world_request(&attempt->world, REQUEST_REGISTER, WORLD_NODES_MORE);
}

static enum bv_status
run_reset(struct attempt *attempt)
{
    return world_request(&attempt->world, REQUEST_RESET, "{}");
}

static enum bv_status
run_push(struct attempt *attempt)
{
    uint64_t refused = attempt->world.refused;

    for (unsigned i = 0; i < 4; i++) {
        world_push(&attempt->world, 150);
        attempt->world.now_ms += 3000;
    }
    return attempt->world.refused == refused ? BV_OK : (enum bv_status)attempt->world.error.status;
}

/* Blocks of the old layout move when they are touched. */
static enum bv_status
run_push_after_register(struct attempt *attempt)
{
    enum bv_status status = run_register(attempt);

    return status == BV_OK ? run_push(attempt) : status;
}

static enum bv_status
run_get(struct attempt *attempt)
{
    enum bv_status status =
        world_request(&attempt->world, REQUEST_GET, "{\"table\":\"Users\",\"key\":\"u3\"}");

    return status == BV_KEY_NOT_FOUND ? BV_OK : status;
}

/* More than an arena block holds. */
static enum bv_status
run_batch_get(struct attempt *attempt)
{
    static char json[4096];
    size_t size = (size_t)snprintf(json, sizeof json, "{\"requests\":[");

    for (unsigned i = 0; i < 30; i++) {
        size += (size_t)snprintf(json + size, sizeof json - size,
                                 "{\"table\":\"Users\",\"key\":\"u%u\"},", i);
    }
    (void)snprintf(json + size, sizeof json - size,
                   "{\"table\":\"Pairs\",\"key\":[\"u1\",\"shop number 1\"]}]}");
    return world_request(&attempt->world, REQUEST_BATCH_GET, json);
}

/* A snapshot that there is no memory for is no harm: the log is kept. */
static enum bv_status
run_snapshot(struct attempt *attempt)
{
    struct engine *engine = attempt->world.engine;
    uint64_t ticket = engine_snapshot_request(engine);
    struct engine_snapshot result;

    for (unsigned i = 0; !engine_snapshot_result(engine, ticket, &result); i++) {
        engine_tick_begin(engine, attempt->world.now_ms);
        engine_tick_end(engine); /* what has gathered in the log goes to its writer */
        (void)engine_background(engine, clock_monotonic_ns(), 0);
        if (i % 8 == 7) {
            usleep(100);
        }
    }
    (void)snprintf(attempt->world.error.message, sizeof attempt->world.error.message, "%s",
                   result.error.message);
    return result.status == BV_SNAPSHOT_UNAVAILABLE ? BV_NO_MEMORY : result.status;
}

static const struct operation operations[] = {
    {.name = "open", .run = run_open, .is_opening = true},
    {.name = "recovery", .run = run_open, .is_opening = true, .has_log = true},
    {.name = "snapshot", .run = run_snapshot, .has_log = true},
    {.name = "from snapshot",
     .run = run_open,
     .is_opening = true,
     .has_log = true,
     .has_snapshot = true},
    {.name = "first register", .run = run_register, .may_fail_stop = true},
    {.name = "register", .run = run_register, .has_log = true, .may_fail_stop = true},
    {.name = "push", .run = run_push, .has_log = true, .may_fail_stop = true},
    {.name = "register, push",
     .run = run_push_after_register,
     .has_log = true,
     .may_fail_stop = true},
    {.name = "get", .run = run_get, .has_log = true},
    {.name = "batch_get", .run = run_batch_get, .has_log = true},
    {.name = "reset", .run = run_reset, .has_log = true, .may_fail_stop = true},
};

/* ---- one attempt, in a child ---- */

enum outcome {
    OUTCOME_DONE,    /* fewer allocations than that were made */
    OUTCOME_REFUSED, /* and all was as it should be afterwards */
    OUTCOME_DID_WITHOUT,
    OUTCOME_FAIL_STOP,
    OUTCOME_WRONG,
    OUTCOME_COUNT,
};

#define OUTCOME_EXIT 10 /* exit codes begin here: 0 and 1 are others' */

static void
say_wrong(const char *what)
{
    fprintf(stderr, "%s\n", what);
    _exit(OUTCOME_EXIT + OUTCOME_WRONG);
}

/* A log of ticks of all kinds. */
static void
prepare(struct attempt *attempt, const struct operation *operation)
{
    recording_init(&attempt->disk, false);
    world_init(&attempt->world, &attempt->disk.os, 6);
    if (operation->has_log || !operation->is_opening) {
        (void)world_open(&attempt->world);
    }
    if (operation->has_log) {
        (void)world_request(&attempt->world, REQUEST_REGISTER, WORLD_NODES);
        for (unsigned i = 0; i < 12; i++) {
            world_push(&attempt->world, 20);
            attempt->world.now_ms += 2500;
        }
    }
    if (operation->has_snapshot && run_snapshot(attempt) != BV_OK) {
        say_wrong("no snapshot to begin with");
    }
    if (operation->is_opening && operation->has_log) {
        world_close(&attempt->world);
    }
}

/* As if nothing had ever been asked of it: buffers are empty, and nearly every piece of scratch
 * memory is an allocation of its own. */
static void
make_cold(struct engine *engine)
{
    arena_deinit(&engine->arena);
    engine->arena.block_size = 64;
    buf_deinit(&engine->reply);
    buf_deinit(&engine->scratch);
}

/* The engine goes on, and what it holds is what its log says. */
static void
check_after(struct attempt *attempt)
{
    struct world *world = &attempt->world;
    bv_digest before;
    bv_digest after;

    if (world->engine == NULL && world_open(world) != BV_OK) {
        say_wrong(world->error.message);
    }
    if (world_request(world, REQUEST_REGISTER, WORLD_NODES_MORE) != BV_OK) {
        say_wrong("a registration is refused afterwards");
    }
    world->refused = 0;
    world_push(world, 30);
    if (world->refused != 0) {
        say_wrong("a push is refused afterwards");
    }
    if (run_batch_get(attempt) != BV_OK) {
        say_wrong("a read is refused afterwards");
    }
    engine_digest(world->engine, &before);
    world_close(world);
    if (world_open(world) != BV_OK) {
        say_wrong(world->error.message);
    }
    engine_digest(world->engine, &after);
    if (memcmp(&before, &after, sizeof before) != 0) {
        say_wrong("the log gives another state");
    }
    world_close(world);
}

static int
run_attempt(const struct operation *operation, uint64_t from, bool all_after, uint64_t page)
{
    struct attempt attempt;

    prepare(&attempt, operation);
    if (attempt.world.engine != NULL) {
        make_cold(attempt.world.engine);
    }
    if (page != 0) {
        pages_fail_from(attempt.world.engine->pages, page);
    } else {
        fails_from = from;
        fails_on = all_after;
        atomic_store(&is_armed, true);
    }
    enum bv_status status = operation->run(&attempt);
    atomic_store(&is_armed, false);
    bool has_failed = page != 0 ? status != BV_OK : atomic_load(&allocations) >= from;
    if (attempt.world.engine != NULL) {
        pages_fail_from(attempt.world.engine->pages, 0);
    }
    if (status != BV_OK && status != BV_NO_MEMORY && status != BV_MEMORY_LIMIT) {
        say_wrong(attempt.world.error.message);
    }
    if (status != BV_OK && !has_failed) {
        say_wrong("refused without a reason");
    }
    check_after(&attempt);
    recording_deinit(&attempt.disk);
    world_deinit(&attempt.world);
    return !has_failed ? OUTCOME_DONE : status == BV_OK ? OUTCOME_DID_WITHOUT : OUTCOME_REFUSED;
}

/* What ends the process by design (core/src/apply/README.md, 6), all of it pages of state. */
static const char *const fail_stops[][2] = {
    {"ref != 0 (", "apply/push.c"},    /* no block for a new entity */
    {"row != NULL (", "apply/push.c"}, /* no pane */
    {"moved != 0 (", "apply/live.c"},  /* no block of the new layout */
    {"ref != 0 (", "apply/engine.c"},  /* no out-of-line memory */
};

static bool
is_by_design(const char *text)
{
    for (size_t i = 0; i < sizeof fail_stops / sizeof fail_stops[0]; i++) {
        if (strstr(text, fail_stops[i][0]) != NULL && strstr(text, fail_stops[i][1]) != NULL) {
            return true;
        }
    }
    return false;
}

static enum outcome
run_child(const struct operation *operation, uint64_t from, bool all_after, uint64_t page)
{
    char text[512];
    size_t size = 0;
    ssize_t got;
    int pipe_fds[2];
    int status = 0;

    assert_int_equal(pipe(pipe_fds), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(pipe_fds[1], 2);
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)alarm(20);
        _exit(OUTCOME_EXIT + run_attempt(operation, from, all_after, page));
    }
    (void)close(pipe_fds[1]);
    while ((got = read(pipe_fds[0], text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)got;
    }
    (void)close(pipe_fds[0]);
    text[size] = '\0';
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) >= OUTCOME_EXIT &&
        WEXITSTATUS(status) < OUTCOME_EXIT + OUTCOME_WRONG) {
        return (enum outcome)(WEXITSTATUS(status) - OUTCOME_EXIT);
    }
    if (operation->may_fail_stop && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
        is_by_design(text)) {
        return OUTCOME_FAIL_STOP;
    }
    print_error("%s, %s %llu%s: status %x: %s", operation->name, page != 0 ? "page" : "allocation",
                (unsigned long long)(page != 0 ? page : from), all_after ? " and all after" : "",
                status, text);
    return OUTCOME_WRONG;
}

static void
run_operation(const struct operation *operation, uint64_t outcomes[OUTCOME_COUNT])
{
    for (int all_after = 0; all_after < 2; all_after++) {
        enum outcome outcome = OUTCOME_REFUSED;

        for (uint64_t n = 1; outcome != OUTCOME_DONE; n += STRIDE) {
            outcome = run_child(operation, n, all_after != 0, 0);
            outcomes[outcome]++;
        }
    }
    if (operation->is_opening) {
        return;
    }
    enum outcome outcome = OUTCOME_REFUSED;
    for (uint64_t page = 1; outcome != OUTCOME_DONE; page++) {
        outcome = run_child(operation, 0, false, page);
        outcomes[outcome]++;
    }
}

static void
test_the_nth_allocation_fails_and_the_engine_goes_on(void **state)
{
    uint64_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        uint64_t outcomes[OUTCOME_COUNT] = {0};

        run_operation(&operations[i], outcomes);
        print_message("%-14s %5llu failures: %llu refused, %llu done without, %llu fail stops by "
                      "design, %llu wrong\n",
                      operations[i].name,
                      (unsigned long long)(outcomes[OUTCOME_REFUSED] +
                                           outcomes[OUTCOME_DID_WITHOUT] +
                                           outcomes[OUTCOME_FAIL_STOP] + outcomes[OUTCOME_WRONG]),
                      (unsigned long long)outcomes[OUTCOME_REFUSED],
                      (unsigned long long)outcomes[OUTCOME_DID_WITHOUT],
                      (unsigned long long)outcomes[OUTCOME_FAIL_STOP],
                      (unsigned long long)outcomes[OUTCOME_WRONG]);
        wrong += outcomes[OUTCOME_WRONG];
    }
    assert_int_equal(wrong, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nth_allocation_fails_and_the_engine_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
