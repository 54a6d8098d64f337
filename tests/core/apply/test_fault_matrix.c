/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix of goals.md R5: every kind of file call fails in every way, at its first to tenth time
 * while the log is appended to, rotated, snapshotted or opened, once or until the cause is gone,
 * and once more for appending under policy os, where an ack is what was synced on request.
 *
 * Whatever fails: no ack leaves after it, a file whose sync failed is not written again, pushes get
 * a typed refusal and reads go on, the reason names the file, the engine resumes when the cause is
 * gone, and both a restart and a power loss find every acknowledged event and no wrong state. A
 * sync that is answered and not done can lose events to a power loss, and still no state is wrong.
 *
 * Each cell runs in a child. CELL=<number> runs one of them. */
#include "world_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fault.h"

#if defined(__SANITIZE_THREAD__)
static const uint64_t occurrences[] = {2};
#elif defined(__SANITIZE_ADDRESS__)
static const uint64_t occurrences[] = {1, 4};
#else
static const uint64_t occurrences[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
#endif
#define OCCURRENCES (sizeof occurrences / sizeof occurrences[0])

#define STEPS        14
#define RESUME_TRIES 4000

/* ---- the cells ---- */

enum scene { SCENE_APPEND, SCENE_ROTATION, SCENE_SNAPSHOT, SCENE_BOOT, SCENE_OS, SCENE_COUNT };
enum manner { MANNER_ERROR, MANNER_SHORT, MANNER_SLOW, MANNER_LOST };

struct way {
    const char *name;
    enum manner manner;
    int error;
    bool once_only;
};

static const struct way ways[] = {
    {"EIO", MANNER_ERROR, EIO, false},        {"ENOSPC", MANNER_ERROR, ENOSPC, false},
    {"EINTR", MANNER_ERROR, EINTR, true}, /* for ever it would be no interruption */
    {"short", MANNER_SHORT, 0, false},        {"slow", MANNER_SLOW, 0, false},
    {"ok, then lost", MANNER_LOST, 0, false},
};
#define WAYS (sizeof ways / sizeof ways[0])

struct call_kind {
    const char *name;
    enum os_call call;
    bool can_be_short;
    bool can_be_slow;
    bool can_lie;
};

static const struct call_kind calls[] = {
    {"open", OS_CALL_OPEN, false, false, false},
    {"pwritev", OS_CALL_WRITE, true, true, false},
    {"fdatasync", OS_CALL_SYNC, false, true, true},
    {"rename", OS_CALL_RENAME, false, false, false},
    {"ftruncate", OS_CALL_TRUNCATE, false, false, false},
    {"read", OS_CALL_READ, true, false, false},
    {"unlink", OS_CALL_UNLINK, false, false, false},
    {"list", OS_CALL_LIST, false, false, false},
    {"size", OS_CALL_SIZE, false, false, false},
};
#define CALLS (sizeof calls / sizeof calls[0])

static const char *const scenes[] = {"append", "rotation", "snapshot", "boot", "policy os"};

struct cell {
    enum scene scene;
    const struct call_kind *call;
    const struct way *way;
    uint64_t occurrence;
    bool is_lasting;
};

static bool
cell_exists(const struct cell *cell)
{
    switch (cell->way->manner) {
    case MANNER_SHORT:
        return cell->call->can_be_short;
    case MANNER_SLOW:
        /* a delay has no occurrence: it is there or not */
        return cell->call->can_be_slow && cell->is_lasting && cell->occurrence == 1;
    case MANNER_LOST:
        return cell->call->can_lie;
    case MANNER_ERROR:
        return !(cell->way->once_only && cell->is_lasting);
    }
    return false;
}

/* Number -> cell; false past the last. */
static bool
cell_at(struct cell *out, uint64_t number)
{
    uint64_t rest = number;

    out->is_lasting = rest % 2 != 0;
    rest /= 2;
    out->occurrence = occurrences[rest % OCCURRENCES];
    rest /= OCCURRENCES;
    out->way = &ways[rest % WAYS];
    rest /= WAYS;
    out->call = &calls[rest % CALLS];
    rest /= CALLS;
    out->scene = (enum scene)rest;
    return rest < SCENE_COUNT;
}

/* ---- a file whose sync failed ---- */

struct watched_fd {
    char path[RECORDING_PATH_SIZE];
};

/* Between the engine and the faults: knows which paths had a failed sync. */
struct watch {
    struct os os; /* first */
    struct os *below;
    pthread_mutex_t lock;
    struct watched_fd fds[RECORDING_FDS];
    char spoiled[16][RECORDING_PATH_SIZE];
    unsigned spoiled_count;
    unsigned violations;
    char first[RECORDING_PATH_SIZE + 8];
};

static struct watch *
watch_of(struct os *os)
{
    return (struct watch *)os;
}

static unsigned
spoiled_index(const struct watch *watch, const char *path)
{
    unsigned i = 0;

    while (i < watch->spoiled_count && strcmp(watch->spoiled[i], path) != 0) {
        i++;
    }
    return i;
}

/* What is made anew under a name is another file. */
static void
forget_spoiled(struct watch *watch, const char *path)
{
    unsigned i = spoiled_index(watch, path);

    if (i < watch->spoiled_count) {
        memcpy(watch->spoiled[i], watch->spoiled[--watch->spoiled_count], RECORDING_PATH_SIZE);
    }
}

static int
watch_open(struct os *os, const char *path, int flags)
{
    struct watch *watch = watch_of(os);
    int fd = watch->below->open(watch->below, path, flags);
    int number = errno;

    if (fd >= 0) {
        (void)pthread_mutex_lock(&watch->lock);
        (void)snprintf(watch->fds[fd].path, RECORDING_PATH_SIZE, "%s", path);
        if ((flags & O_TRUNC) != 0) {
            forget_spoiled(watch, path);
        }
        (void)pthread_mutex_unlock(&watch->lock);
    }
    errno = number;
    return fd;
}

/* A write or sync: its result, and whether it should have been tried. */
static void
watch_look(struct watch *watch, int fd, bool is_sync, bool has_failed)
{
    int number = errno;

    (void)pthread_mutex_lock(&watch->lock);
    char path[RECORDING_PATH_SIZE];
    memcpy(path, watch->fds[fd].path, sizeof path);
    bool is_spoiled = spoiled_index(watch, path) < watch->spoiled_count;
    bool is_directory = strlen(path) < 3 || strchr(path + 3, '/') == NULL;
    if (is_spoiled && !is_directory && watch->violations++ == 0) {
        (void)snprintf(watch->first, sizeof watch->first, "%s %s", is_sync ? "sync" : "write",
                       path);
    }
    if (is_sync && has_failed && !is_spoiled && watch->spoiled_count < 16) {
        (void)snprintf(watch->spoiled[watch->spoiled_count++], RECORDING_PATH_SIZE, "%s", path);
    }
    (void)pthread_mutex_unlock(&watch->lock);
    errno = number;
}

static ssize_t
watch_write(struct os *os, int fd, const struct iovec *parts, int part_count, uint64_t offset,
            int flags)
{
    struct watch *watch = watch_of(os);
    ssize_t written = watch->below->write(watch->below, fd, parts, part_count, offset, flags);

    watch_look(watch, fd, (flags & RWF_DSYNC) != 0, written < 0 && errno != EINTR);
    return written;
}

static int
watch_sync(struct os *os, int fd, bool data_only)
{
    struct watch *watch = watch_of(os);
    int result = watch->below->sync(watch->below, fd, data_only);

    watch_look(watch, fd, true, result < 0);
    return result;
}

static int
watch_rename(struct os *os, const char *from, const char *to)
{
    struct watch *watch = watch_of(os);
    int result = watch->below->rename(watch->below, from, to);
    int number = errno;

    if (result == 0) {
        (void)pthread_mutex_lock(&watch->lock);
        forget_spoiled(watch, to);
        unsigned i = spoiled_index(watch, from);
        if (i < watch->spoiled_count) {
            (void)snprintf(watch->spoiled[i], RECORDING_PATH_SIZE, "%s", to);
        }
        for (unsigned fd = 0; fd < RECORDING_FDS; fd++) {
            if (strcmp(watch->fds[fd].path, from) == 0) {
                (void)snprintf(watch->fds[fd].path, RECORDING_PATH_SIZE, "%s", to);
            }
        }
        (void)pthread_mutex_unlock(&watch->lock);
    }
    errno = number;
    return result;
}

/* What is not watched goes down as it came. */
static int
pass_close(struct os *os, int fd)
{
    return watch_of(os)->below->close(watch_of(os)->below, fd);
}

static ssize_t
pass_read(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    return watch_of(os)->below->read(watch_of(os)->below, fd, data, size, offset);
}

static int
pass_truncate(struct os *os, int fd, uint64_t size)
{
    return watch_of(os)->below->truncate(watch_of(os)->below, fd, size);
}

static int64_t
pass_size(struct os *os, int fd)
{
    return watch_of(os)->below->size(watch_of(os)->below, fd);
}

static int
pass_unlink(struct os *os, const char *path)
{
    return watch_of(os)->below->unlink(watch_of(os)->below, path);
}

static int
pass_list(struct os *os, const char *path, os_list_entry entry, void *context)
{
    return watch_of(os)->below->list(watch_of(os)->below, path, entry, context);
}

static int
pass_mkdir(struct os *os, const char *path)
{
    return watch_of(os)->below->mkdir(watch_of(os)->below, path);
}

static int64_t
free_of_nothing(struct os *os, const char *path)
{
    return INT64_MAX;
}

static void
watch_init(struct watch *watch, struct os *below)
{
    memset(watch, 0, sizeof *watch);
    (void)pthread_mutex_init(&watch->lock, NULL);
    watch->below = below;
    watch->os = (struct os){.open = watch_open,
                            .close = pass_close,
                            .read = pass_read,
                            .write = watch_write,
                            .sync = watch_sync,
                            .truncate = pass_truncate,
                            .size = pass_size,
                            .rename = watch_rename,
                            .unlink = pass_unlink,
                            .mkdir = pass_mkdir,
                            .list = pass_list,
                            .lock = recording_lock_file,
                            .fs_type = recording_fs_type,
                            .fs_free = free_of_nothing};
}

/* ---- one cell, in a child ---- */

enum outcome {
    OUTCOME_NOT_REACHED, /* the call was not made so often */
    OUTCOME_HARMLESS,    /* repeated, or not needed for what was promised */
    OUTCOME_REFUSED,     /* the boot, with a reason */
    OUTCOME_RESUMED,     /* the log failed and came back */
    OUTCOME_LOST,        /* by a power loss after a sync that was a lie */
    OUTCOME_WRONG,
    OUTCOME_COUNT,
};

#define OUTCOME_EXIT 10 /* exit codes begin here: 0 and 1 are others' */

struct trial {
    const struct cell *cell;
    struct world world;
    struct recording_os disk;
    struct os_fault fault;
    struct watch watch;
    uint64_t acked;
    uint64_t skew_ns; /* the background's clock runs ahead, so that nothing waits a second */
    bool has_failed;
    bool has_lost;
};

static _Noreturn void
say_wrong(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    _exit(OUTCOME_EXIT + OUTCOME_WRONG);
}

static void
arm(struct trial *trial)
{
    const struct cell *cell = trial->cell;
    struct os_fault_rule rule = {
        .at = cell->occurrence, .times = cell->is_lasting ? 0 : 1, .error = cell->way->error};

    if (cell->way->manner == MANNER_SLOW) {
        atomic_store(cell->call->call == OS_CALL_SYNC ? &trial->fault.sync_delay_us
                                                      : &trial->fault.write_delay_us,
                     2000);
        return;
    }
    os_fault_set_next(&trial->fault, cell->call->call, rule);
}

static void
disarm(struct trial *trial)
{
    os_fault_set(&trial->fault, trial->cell->call->call, (struct os_fault_rule){0});
    atomic_store(&trial->fault.sync_delay_us, 0);
    atomic_store(&trial->fault.write_delay_us, 0);
}

static bool
is_struck(struct trial *trial)
{
    return trial->cell->way->manner == MANNER_SLOW || atomic_load(&trial->fault.failures) > 0;
}

static void
background(struct trial *trial)
{
    (void)engine_background(trial->world.engine, clock_monotonic_ns() + trial->skew_ns, 0);
    trial->skew_ns += 20000000;
}

static uint64_t
resumes(struct trial *trial)
{
    struct engine_stats stats;

    engine_stats_get(trial->world.engine, &stats);
    return stats.wal_resumes;
}

/* One tick, and everything that must hold after it, failed log or not. */
static void
step(struct trial *trial, unsigned events)
{
    struct world *world = &trial->world;
    uint64_t refused = world->refused;
    uint64_t resumed = resumes(trial);
    bool was_failed = engine_failed(world->engine);
    uint64_t acked_before = engine_acked_lsn(world->engine);
    struct bv_error error = {0};

    world_push(world, events);
    world_remember(world);
    world->now_ms += 700;
    if (world->refused != refused &&
        (world->error.status != BV_WAL_UNAVAILABLE || world->error.message[0] == '\0')) {
        say_wrong("a push was refused without the reason", world->error.message);
    }
    if (engine_wait(world->engine, world->last_lsn, true, &error) == BV_OK) {
        if (was_failed && world->refused == refused && resumes(trial) == resumed &&
            engine_acked_lsn(world->engine) > acked_before) {
            say_wrong("an ack left after the failure", "");
        }
        trial->acked = world->last_lsn;
    } else if (error.status != BV_WAL_UNAVAILABLE) {
        say_wrong("waiting ended in another way", error.message);
    }
    if (was_failed && resumes(trial) == resumed &&
        engine_acked_lsn(world->engine) != acked_before) {
        say_wrong("the acknowledged LSN moved in a failed log", "");
    }
    if (engine_failed(world->engine) && engine_readiness(world->engine) == ENGINE_FAILED) {
        const struct bv_error *failure = engine_failure(world->engine);
        trial->has_failed = true;
        if (failure == NULL || strstr(failure->message, "/d/") == NULL) {
            say_wrong("the failure names no file", failure == NULL ? "" : failure->message);
        }
    }
    enum bv_status status =
        world_request(world, REQUEST_GET, "{\"table\":\"Users\",\"key\":\"u1\"}");
    if (status != BV_OK && status != BV_KEY_NOT_FOUND) {
        say_wrong("a read was refused", world->error.message);
    }
}

/* The cause is gone: pushes have to be taken again. */
static void
await_resume(struct trial *trial)
{
    struct world *world = &trial->world;

    for (unsigned i = 0; engine_readiness(world->engine) != ENGINE_READY; i++) {
        if (i == RESUME_TRIES) {
            const struct bv_error *failure = engine_failure(world->engine);
            say_wrong("it does not resume", failure == NULL ? "" : failure->message);
        }
        background(trial);
        usleep(500);
    }
    uint64_t refused = world->refused;
    step(trial, 5);
    if (world->refused != refused || trial->acked != world->last_lsn) {
        say_wrong("no ack after it resumed", world->error.message);
    }
}

/* An engine on `os` holds `least` or more, and what was remembered for its LSN. */
static void
check_engine(struct trial *trial, struct os *os, uint64_t least, const char *what)
{
    struct engine_options options = trial->world.options;
    struct bv_error error = {0};
    struct engine *engine = NULL;
    bool may_lose = trial->cell->way->manner == MANNER_LOST;
    bv_digest digest;

    options.os = os;
    if (engine_open(&engine, &options, &error) != BV_OK) {
        if (!may_lose || strstr(error.message, "/d/") == NULL) {
            say_wrong(what, error.message);
        }
        trial->has_lost = true;
        return;
    }
    engine_digest(engine, &digest);
    engine_close(engine);
    const bv_digest *wanted = world_remembered(&trial->world, digest.last_lsn);
    if (wanted == NULL || memcmp(wanted, &digest, sizeof digest) != 0) {
        say_wrong(what, "it holds another state");
    }
    if (digest.last_lsn < least) {
        if (!may_lose) {
            say_wrong(what, "an acknowledged event is lost");
        }
        trial->has_lost = true;
    }
}

static void
check_power_loss(struct trial *trial)
{
    struct recording_os empty;
    struct disk disk;

    recording_stop(&trial->disk); /* the log's writer goes on looking for the end of a failure */
    recording_init(&empty, false);
    disk_init(&disk, &empty);
    for (size_t i = 0; i < trial->disk.call_count; i++) {
        disk_step(&disk, &trial->disk.calls[i]);
    }
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct recording_os state;
        disk_after_power_loss(&state, &disk, NULL, seed * 7919 + trial->cell->occurrence);
        check_engine(trial, &state.os, trial->acked, "after a power loss");
        recording_deinit(&state);
    }
    disk_deinit(&disk);
    recording_deinit(&empty);
}

static void
snapshot_now(struct trial *trial)
{
    uint64_t ticket = engine_snapshot_request(trial->world.engine);
    struct engine_snapshot result;

    for (unsigned i = 0; !engine_snapshot_result(trial->world.engine, ticket, &result); i++) {
        if (i == RESUME_TRIES) {
            say_wrong("a snapshot does not end", "");
        }
        background(trial);
        usleep(200);
    }
    if (result.status != BV_OK) {
        say_wrong("no snapshot", result.error.message);
    }
}

static void
prepare(struct trial *trial)
{
    struct world *world = &trial->world;

    recording_init(&trial->disk, true);
    os_fault_init(&trial->fault, &trial->disk.os);
    watch_init(&trial->watch, &trial->fault.os);
    world_init(world, &trial->watch.os, 5);
    world->options.look_ms = 1;
    world->options.policy = trial->cell->scene == SCENE_OS ? BV_POLICY_OS : BV_POLICY_ALWAYS;
    world->options.sync_interval_ms = 1;
    world->options.segment_bytes = (trial->cell->scene == SCENE_ROTATION ? 24 : 64) << 10;
    if (world_open(world) != BV_OK) {
        say_wrong("preparing", world->error.message);
    }
    world_remember(world);
    if (world_request(world, REQUEST_REGISTER, WORLD_NODES) != BV_OK) {
        say_wrong("preparing", world->error.message);
    }
    for (unsigned i = 0; i < 4; i++) {
        step(trial, 30);
    }
    snapshot_now(trial);
    step(trial, 5);
    snapshot_now(trial);
    step(trial, 5);
}

/* What happens while the fault is there. False: the boot was refused. */
static bool
play(struct trial *trial)
{
    struct world *world = &trial->world;
    enum scene scene = trial->cell->scene;

    if (scene == SCENE_BOOT) {
        world_close(world);
        arm(trial);
        if (world_open(world) != BV_OK) {
            if (strstr(world->error.message, " /") == NULL) {
                say_wrong("the refusal names no file", world->error.message);
            }
            return false;
        }
    } else {
        arm(trial);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        if (scene == SCENE_SNAPSHOT && i % 3 == 0) {
            (void)engine_snapshot_request(world->engine);
        }
        step(trial, scene == SCENE_ROTATION ? 40 : 6);
        if (scene == SCENE_SNAPSHOT || i % 4 == 0) {
            background(trial);
            usleep(300);
        }
    }
    return true;
}

static enum outcome
run_trial(const struct cell *cell)
{
    static struct trial trial;
    bv_digest before;
    bv_digest after;

    trial.cell = cell;
    prepare(&trial);
    bool is_open = play(&trial);
    bool has_failed = trial.has_failed;
    check_power_loss(&trial);
    disarm(&trial);
    if (!is_open) {
        trial.watch.spoiled_count = 0; /* another process, which knows nothing of the first */
    }
    if (!is_open && world_open(&trial.world) != BV_OK) {
        say_wrong("it does not start when the cause is gone", trial.world.error.message);
    }
    await_resume(&trial);
    snapshot_now(&trial);
    step(&trial, 5);
    engine_digest(trial.world.engine, &before);
    world_close(&trial.world);
    trial.watch.spoiled_count = 0;
    if (world_open(&trial.world) != BV_OK) {
        say_wrong("it does not start again", trial.world.error.message);
    }
    engine_digest(trial.world.engine, &after);
    if (memcmp(&before, &after, sizeof before) != 0) {
        say_wrong("after a restart", "it holds another state");
    }
    world_close(&trial.world);
    if (trial.watch.violations != 0) {
        say_wrong("a file was used after its sync had failed", trial.watch.first);
    }
    return !is_struck(&trial) ? OUTCOME_NOT_REACHED
           : trial.has_lost   ? OUTCOME_LOST
           : !is_open         ? OUTCOME_REFUSED
           : has_failed       ? OUTCOME_RESUMED
                              : OUTCOME_HARMLESS;
}

/* ---- all cells ---- */

struct child {
    pid_t pid;
    int text_fd;
    uint64_t number;
};

static struct child
start_child(uint64_t number, const struct cell *cell)
{
    struct child child = {.number = number};
    int pipe_fds[2];

    assert_int_equal(pipe(pipe_fds), 0);
    (void)fflush(NULL);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        (void)dup2(pipe_fds[1], 2);
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)alarm(30);
        _exit(OUTCOME_EXIT + (int)run_trial(cell));
    }
    (void)close(pipe_fds[1]);
    child.text_fd = pipe_fds[0];
    return child;
}

static enum outcome
end_child(const struct child *child)
{
    char text[512];
    size_t size = 0;
    ssize_t got;
    int status = 0;
    struct cell cell;

    while ((got = read(child->text_fd, text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)got;
    }
    text[size] = '\0';
    (void)close(child->text_fd);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) >= OUTCOME_EXIT &&
        WEXITSTATUS(status) < OUTCOME_EXIT + OUTCOME_WRONG) {
        return (enum outcome)(WEXITSTATUS(status) - OUTCOME_EXIT);
    }
    (void)cell_at(&cell, child->number);
    print_error("CELL=%llu %s, %s: %s, number %llu%s: status %x: %s",
                (unsigned long long)child->number, scenes[cell.scene], cell.call->name,
                cell.way->name, (unsigned long long)cell.occurrence,
                cell.is_lasting ? " and on" : "", status, text);
    return OUTCOME_WRONG;
}

/* They mostly wait, so several run at once. */
#define CHILDREN 4

static void
test_every_file_call_fails_in_every_way_and_nothing_promised_is_lost(void **state)
{
    static const char *const names[] = {"not reached", "harmless", "refused", "resumed", "lost"};
    const char *only = getenv("CELL");
    uint64_t totals[SCENE_COUNT][OUTCOME_COUNT] = {{0}};
    struct child children[CHILDREN];
    unsigned running = 0;
    uint64_t cells = 0;
    uint64_t wrong = 0;
    struct cell cell;
    uint64_t started_ns = clock_monotonic_ns();

    (void)state;
    for (uint64_t number = 0; cell_at(&cell, number); number++) {
        if (!cell_exists(&cell) || (only != NULL && number != strtoull(only, NULL, 10))) {
            continue;
        }
        if (running == CHILDREN) {
            struct cell ended;
            (void)cell_at(&ended, children[0].number);
            totals[ended.scene][end_child(&children[0])]++;
            running--;
            memmove(children, children + 1, running * sizeof children[0]);
        }
        children[running++] = start_child(number, &cell);
        cells++;
    }
    for (unsigned i = 0; i < running; i++) {
        (void)cell_at(&cell, children[i].number);
        totals[cell.scene][end_child(&children[i])]++;
    }
    for (unsigned scene = 0; scene < SCENE_COUNT; scene++) {
        print_message("%-9s", scenes[scene]);
        for (unsigned i = 0; i < OUTCOME_WRONG; i++) {
            print_message(" %s %llu", names[i], (unsigned long long)totals[scene][i]);
        }
        print_message(" wrong %llu\n", (unsigned long long)totals[scene][OUTCOME_WRONG]);
        wrong += totals[scene][OUTCOME_WRONG];
    }
    print_message("%llu cells, %llu wrong, %.1f s\n", (unsigned long long)cells,
                  (unsigned long long)wrong, (double)(clock_monotonic_ns() - started_ns) / 1e9);
    assert_int_equal(wrong, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file_call_fails_in_every_way_and_nothing_promised_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
