/* SPDX-License-Identifier: Apache-2.0 */
/* A server in the foreground: from the configuration to the exit code.
 *
 * Enters:  what the command line said, the file, the environment; signals.
 * Leaves:  a running server, its lines, an exit code.
 * Owner:   the main thread. Signals are taken by a thread of their own, so that no handler ever
 *          runs inside other code.
 *
 * Invariants
 *   (1) Signals are dealt with from the first line on: a stop asked for during recovery is a stop.
 */
#include "server/serve.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "server/boot.h"
#include "server/server.h"
#include "util/clock.h"

#define EXIT_FAILED 1
#define EXIT_TWICE  130

extern char **environ;

enum life { LIFE_BOOTING, LIFE_SERVING, LIFE_STOPPING };

/* Between the signal thread and main. */
struct signals {
    sigset_t set;
    sem_t stop;
    atomic_int life;
    struct server *_Atomic server; /* to ask for snapshots; NULL: not serving */
};

static const char *
signal_name(int number)
{
    return number == SIGINT ? "SIGINT" : number == SIGHUP ? "SIGHUP" : "SIGTERM";
}

static void *
take_signals(void *context)
{
    struct signals *signals = context;
    bool is_second = false;

    pthread_setname_np(pthread_self(), "beava-signal");
    for (;;) {
        int number = 0;

        if (sigwait(&signals->set, &number) != 0) {
            continue;
        }
        if (number == SIGUSR1) {
            struct server *server = atomic_load(&signals->server);

            /* The server is freed only after a stop that has passed through here. */
            if (server != NULL && !is_second) {
                server_snapshot(server);
            }
            continue;
        }
        if (is_second) {
            _exit(EXIT_TWICE);
        }
        is_second = true;
        boot_stopping(signal_name(number));
        if (atomic_exchange(&signals->life, LIFE_STOPPING) == LIFE_BOOTING) {
            _exit(0); /* recovery only reads and cuts what nobody was promised */
        }
        sem_post(&signals->stop);
    }
    return NULL;
}

static bool
start_signals(struct signals *signals)
{
    pthread_t thread;

    sigemptyset(&signals->set);
    sigaddset(&signals->set, SIGTERM);
    sigaddset(&signals->set, SIGINT);
    sigaddset(&signals->set, SIGHUP);
    sigaddset(&signals->set, SIGUSR1);
    atomic_init(&signals->life, LIFE_BOOTING);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is a write that fails, and is dealt with */
    return sem_init(&signals->stop, 0, 0) == 0 &&
           pthread_sigmask(SIG_BLOCK, &signals->set, NULL) == 0 &&
           pthread_create(&thread, NULL, take_signals, signals) == 0 && pthread_detach(thread) == 0;
}

enum bv_status
serve_configure(struct config *config, struct bv_error *err)
{
    enum bv_status status = BV_OK;

    if (config->file[0] != '\0') {
        status = config_read_file(config, config->file, err);
    }
    if (status == BV_OK) {
        status = config_read_environment(config, environ, err);
    }
    return status == BV_OK ? config_finish(config, err) : status;
}

static int
stop(struct server *server)
{
    uint64_t start_ns = clock_monotonic_ns();
    uint64_t last_lsn = 0;
    int code = server_stop(server, &last_lsn);

    boot_stopped(last_lsn, (clock_monotonic_ns() - start_ns) / 1000000);
    return code;
}

int
serve_run(struct config *config)
{
    static struct signals signals; /* its thread outlives this frame */
    struct server_addresses addresses;
    struct server *server = NULL;
    struct bv_error err = {0};
    int expected = LIFE_BOOTING;

    if (!start_signals(&signals)) {
        fputs("beava: error: cannot start the signal thread\n", stderr);
        return EXIT_FAILED;
    }
    if (serve_configure(config, &err) != BV_OK ||
        server_resolve(&addresses, config, &err) != BV_OK) {
        boot_failed(&err, "configuration");
        return EXIT_FAILED;
    }
    boot_announce(config);
    boot_warn(config, &addresses);
    if (server_open(&server, config, &addresses, &err) != BV_OK) {
        boot_failed(&err, "boot");
        return EXIT_FAILED;
    }
    boot_admin(server);
    if (server_serve(server, config, false, &err) != BV_OK) {
        boot_failed(&err, "boot");
        server_stop(server, NULL);
        return EXIT_FAILED;
    }
    atomic_store(&signals.server, server);
    if (atomic_compare_exchange_strong(&signals.life, &expected, LIFE_SERVING)) {
        boot_ready(server);
        while (sem_wait(&signals.stop) != 0) {
        }
    } else {
        for (;;) {
            pause(); /* the signal thread is about to end the process */
        }
    }
    return stop(server);
}
