/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a boot: a contract with every launcher and with the tests that read them.
 *
 * Enters:  the configuration, then the running server.
 * Leaves:  lines on stdout; on failure one line on stderr as well.
 * Owner:   the thread that boots.
 *
 * Invariants
 *   (1) Bound records are printed when requests are answered, not when a port is bound, and no log
 *       level hides them: launchers take them for readiness.
 *   (2) A default boot prints no other INFO record than `beava starting` and the two bound ones. */
#include "server/boot.h"

#include <stdio.h>
#include <sys/resource.h>

#include "durability/wal.h"
#include "os/machine.h"
#include "util/log.h"

static void
describe_source(char *out, size_t size, const struct config *config)
{
    int at = config->file[0] == '\0' ? snprintf(out, size, "built-in defaults + BEAVA_* env")
                                     : snprintf(out, size, "--config %s", config->file);

    if (config->flags[0] != '\0' && (size_t)at < size) {
        snprintf(out + at, size - (size_t)at, " + CLI [%s]", config->flags);
    }
}

static void
print_block(const struct config *config, const char *source)
{
    bool is_memory = config_number(config, CONFIG_MEMORY_ONLY) != 0;

    printf("beava v%s\n"
           "config source : %s\n"
           "HTTP listen   : %s\n"
           "Admin listen  : %s\n"
           "TCP listen    : %s:%u (enabled=%s)\n"
           "WAL dir       : %s\n"
           "Snapshot dir  : %s\n"
           "Log level     : %s\n",
           BEAVA_VERSION, source, config_text(config, CONFIG_LISTEN_ADDR),
           config_text(config, CONFIG_ADMIN_ADDR), config_text(config, CONFIG_TCP_HOST),
           (unsigned)config_number(config, CONFIG_TCP_PORT),
           config_text(config, CONFIG_TCP_ENABLED),
           is_memory ? "(memory only)" : config_text(config, CONFIG_WAL_DIR),
           is_memory ? "(memory only)" : config_text(config, CONFIG_SNAPSHOT_DIR),
           config_text(config, CONFIG_LOG_LEVEL));
    fflush(stdout);
}

void
boot_announce(const struct config *config)
{
    char source[CONFIG_TEXT_MAX + 256];

    log_configure((enum log_level)config_number(config, CONFIG_LOG_LEVEL),
                  (enum log_format)config_number(config, CONFIG_LOG_FORMAT));
    describe_source(source, sizeof source, config);
    log_line(LOG_INFO, NULL, "beava.server", "beava starting",
             (struct log_field[]){LOG_TEXT("version", BEAVA_VERSION), LOG_TEXT("source", source)},
             2);
    print_block(config, source);
}

static void
warn_open_bind(const char *listener, const struct net_address *address)
{
    char text[NET_ADDRESS_TEXT_MAX];

    if (net_address_is_loopback(address)) {
        return;
    }
    net_address_format(text, address);
    log_line(LOG_WARN, "server.open_bind", "beava.server",
             "anyone who reaches this address can read and replace the pipeline",
             (struct log_field[]){LOG_TEXT("listener", listener), LOG_TEXT("addr", text)}, 2);
}

static void
log_limits(const struct config *config)
{
    struct rlimit limit = {0};
    uint64_t machine_bytes = machine_memory_limit("");
    uint64_t ring_bytes = config_ring_bytes(config);

    getrlimit(RLIMIT_NOFILE, &limit);
    log_line(LOG_DEBUG, "server.limits", "beava.server", "process limits",
             (struct log_field[]){
                 LOG_INT("nofile", limit.rlim_cur), LOG_INT("memory_bytes", machine_bytes),
                 LOG_INT("memory_limit_bytes", config_memory_limit(config)),
                 LOG_INT("wal_ring_bytes", ring_bytes != 0 ? ring_bytes : WAL_RING_BYTES_DEFAULT)},
             4);
    if (machine_bytes != 0 && ring_bytes > machine_bytes / 4) {
        log_line(LOG_WARN, "server.wal_ring_large", "beava.server",
                 "the log's ring is larger than a quarter of the memory",
                 (struct log_field[]){LOG_INT("wal_ring_bytes", ring_bytes),
                                      LOG_INT("memory_bytes", machine_bytes)},
                 2);
    }
}

void
boot_warn(const struct config *config, const struct server_addresses *addresses)
{
    char settings[2048];

    config_log_warnings(config);
    if (config_describe(settings, sizeof settings, config)) {
        log_line(LOG_NOTICE, "config.resolved", "beava.config", "settings beside the defaults",
                 (struct log_field[]){LOG_TEXT("settings", settings)}, 1);
    }
    if (config_number(config, CONFIG_TEST_MODE) != 0) {
        log_line(LOG_WARN, "server.test_mode_enabled", "beava.server",
                 "test mode: anyone may reset this server", NULL, 0);
    }
    if (config_number(config, CONFIG_MEMORY_ONLY) != 0) {
        log_line(LOG_NOTICE, "recovery.skipped_memory_mode", "beava.recovery",
                 "memory only: nothing is recovered and nothing will be", NULL, 0);
    } else if (config_number(config, CONFIG_WAL_SYNC_MODE) == BV_POLICY_OS) {
        log_line(LOG_WARN, "wal.ack_before_sync", "beava.wal",
                 "acks do not wait for the disk: a power cut may lose what was acknowledged since "
                 "the last sync",
                 (struct log_field[]){
                     LOG_INT("wal_fsync_interval_ms",
                             config_number(config, CONFIG_WAL_FSYNC_INTERVAL_MS)),
                     LOG_INT("wal_fsync_bytes", config_number(config, CONFIG_WAL_FSYNC_BYTES))},
                 2);
    }
    warn_open_bind("http", &addresses->http);
    if (addresses->has_tcp) {
        warn_open_bind("tcp", &addresses->tcp);
    }
    log_limits(config);
}

void
boot_admin(const struct server *server)
{
    log_line_always(LOG_NOTICE, "server.admin_bound", "beava.server", "admin listener bound",
                    (struct log_field[]){LOG_TEXT("addr", server_admin_address(server))}, 1);
}

void
boot_ready(const struct server *server)
{
    const struct net_address *http = server_address(server, TRANSPORT_HTTP);
    const struct net_address *tcp = server_address(server, TRANSPORT_TCP);
    const struct seat_report *report = server_report(server);
    char http_text[NET_ADDRESS_TEXT_MAX];
    char tcp_text[NET_ADDRESS_TEXT_MAX] = "";

    net_address_format(http_text, http);
    log_line_always(LOG_INFO, "server.http_bound", "beava.server", "HTTP server bound",
                    (struct log_field[]){LOG_TEXT("addr", http_text)}, 1);
    if (tcp != NULL) {
        net_address_format(tcp_text, tcp);
        log_line_always(LOG_INFO, "server.tcp_bound", "beava.server", "TCP wire listener bound",
                        (struct log_field[]){LOG_TEXT("addr", tcp_text)}, 1);
    }
    log_line_always(LOG_NOTICE, "server.ready", "beava.server", "ready",
                    (struct log_field[]){LOG_TEXT("http_addr", http_text),
                                         LOG_TEXT("tcp_addr", tcp_text),
                                         LOG_TEXT("admin_addr", server_admin_address(server)),
                                         LOG_INT("recovered_lsn", report->recovered_lsn),
                                         LOG_INT("recovery_ms", report->recovery_ms)},
                    5);
}

void
boot_failed(const struct bv_error *err, const char *what)
{
    log_line_always(LOG_ERROR, "server.boot_failed", "beava.server", "boot failed",
                    (struct log_field[]){LOG_TEXT("error", err->message)}, 1);
    fprintf(stderr, "beava: error: %s: %s\n", what, err->message);
    if (err->hint[0] != '\0') {
        fprintf(stderr, "beava: %s\n", err->hint);
    }
}

void
boot_stopping(const char *signal_name)
{
    log_line(LOG_INFO, NULL, "beava.shutdown", "shutdown initiated",
             (struct log_field[]){LOG_TEXT("signal", signal_name)}, 1);
}

void
boot_stopped(uint64_t last_lsn, uint64_t ms)
{
    log_line(LOG_NOTICE, "server.stopped", "beava.shutdown", "stopped",
             (struct log_field[]){LOG_INT("last_lsn", last_lsn), LOG_INT("ms", ms)}, 2);
}
