/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beava.h"

/* Control N: our reactor and our acks, with nothing in between.
 *
 * Enters:  settings as on the command line of `beava`, spelt name=value ("busy_poll_us=50").
 * Leaves:  the two lines that launchers look for, then an ack for every push until SIGTERM.
 * Owner:   the threads are bv_server's; this one waits for the signal. */
#define SETTING_COUNT_MAX 32

static void
print_bound(const char *kind, unsigned port)
{
    printf("{\"kind\":\"%s\",\"addr\":\"127.0.0.1:%u\"}\n", kind, port);
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    const char *settings[SETTING_COUNT_MAX] = {"listen_addr=127.0.0.1:0", "tcp.port=0"};
    bv_server_options options = BV_SERVER_OPTIONS_INIT;
    bv_server *server = NULL;
    bv_error error = {.status = 0};
    sigset_t signals;
    int which = 0;

    options.setting_count = 2;
    for (int i = 1; i < argc && options.setting_count < SETTING_COUNT_MAX; i++) {
        settings[options.setting_count++] = argv[i];
    }
    options.settings = settings;
    options.is_null = 1;
    /* Blocked before the server's threads exist, so that they inherit it. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (bv_server_start(&server, &options, &error) != BV_OK) {
        fprintf(stderr, "null server: %s\n", error.message);
        return 1;
    }
    print_bound("server.http_bound", bv_server_http_port(server));
    print_bound("server.tcp_bound", bv_server_tcp_port(server));
    sigwait(&signals, &which);
    return bv_server_stop(server);
}
