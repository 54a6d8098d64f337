/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config.h"
#include "server/server.h"

static struct config config;

static int
reset(void **state)
{
    config_init(&config);
    return 0;
}

static enum bv_status
read_yaml(const char *text, struct bv_error *err)
{
    char path[] = "/tmp/beava-test-config-XXXXXX";
    int fd = mkstemp(path);
    enum bv_status status;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    status = config_read_file(&config, path, err);
    unlink(path);
    return status;
}

static enum bv_status
read_variable(const char *variable, struct bv_error *err)
{
    char copy[256];
    char *environment[] = {copy, NULL};

    snprintf(copy, sizeof copy, "%s", variable);
    return config_read_environment(&config, environment, err);
}

static enum bv_status
read_flag(const char *flag, const char *value)
{
    bool takes_next;
    struct bv_error err = {0};

    return config_read_flag(&config, flag, value, &takes_next, &err);
}

static void
test_defaults_are_the_published_ones(void **state)
{
    assert_string_equal(config_text(&config, CONFIG_LISTEN_ADDR), "127.0.0.1:8080");
    assert_int_equal(config_number(&config, CONFIG_TCP_PORT), 8081);
    assert_int_equal(config_number(&config, CONFIG_MAX_FRAME), 4194304);
    assert_string_equal(config_text(&config, CONFIG_WAL_DIR), "./beava-wal");
    assert_int_equal(config_number(&config, CONFIG_WAL_SYNC_MODE), BV_POLICY_ALWAYS);
    assert_int_equal(config_number(&config, CONFIG_CHECK_OPTIONAL), 1);
}

static void
test_flags_beat_variables_beat_the_file(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(read_flag("tcp-port", "3"), BV_OK);
    assert_int_equal(read_variable("BEAVA_TCP_PORT=2", &err), BV_OK);
    assert_int_equal(read_variable("BEAVA_TCP_HOST=::1", &err), BV_OK);
    assert_int_equal(read_yaml("tcp:\n  port: 1\n  host: a\n  max_frame_bytes: 64KiB\n", &err),
                     BV_OK);
    assert_int_equal(config_number(&config, CONFIG_TCP_PORT), 3);
    assert_string_equal(config_text(&config, CONFIG_TCP_HOST), "::1");
    assert_int_equal(config_number(&config, CONFIG_MAX_FRAME), 65536);
}

static void
test_data_dir_sets_both_directories_over_their_variables(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(read_flag("data-dir", "/d"), BV_OK);
    assert_int_equal(read_variable("BEAVA_WAL_DIR=/other", &err), BV_OK);
    assert_string_equal(config_text(&config, CONFIG_WAL_DIR), "/d/wal");
    assert_string_equal(config_text(&config, CONFIG_SNAPSHOT_DIR), "/d/snapshots");
    assert_string_equal(config.flags, "--data-dir");
}

static void
test_tcp_addr_switches_the_listener_on(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(read_variable("BEAVA_TCP_ENABLED=no", &err), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_TCP_ENABLED), 0);
    assert_int_equal(read_flag("tcp-addr", "[::1]:9000"), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_TCP_ENABLED), 1);
    assert_string_equal(config_text(&config, CONFIG_TCP_HOST), "[::1]");
    assert_int_equal(config_number(&config, CONFIG_TCP_PORT), 9000);
}

static void
test_an_empty_file_means_all_defaults(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(config_read_file(&config, "/dev/null", &err), BV_OK);
    assert_int_equal(read_yaml("---\n", &err), BV_OK);
    assert_int_equal(read_yaml("# nothing\n", &err), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_TCP_PORT), 8081);
}

static void
test_a_missing_file_is_named(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(config_read_file(&config, "/nowhere/beava.yaml", &err), BV_CONFIG);
    assert_string_equal(err.message, "config file not found: /nowhere/beava.yaml");
}

static void
test_unknown_keys_are_refused_with_a_suggestion(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(read_yaml("listen_adr: x\n", &err), BV_CONFIG);
    assert_non_null(strstr(err.message, "failed to parse YAML config "));
    assert_non_null(strstr(err.message, "unknown field `listen_adr`, expected one of `"));
    assert_string_equal(err.hint, "did you mean `listen_addr`?");
    assert_int_equal(read_yaml("tcp:\n  prot: 1\n", &err), BV_CONFIG);
    assert_non_null(strstr(err.message, "unknown field `tcp.prot`"));
    assert_string_equal(err.hint, "did you mean `tcp.port`?");
    assert_int_equal(read_yaml("durability:\n  test_mode: true\n", &err), BV_CONFIG);
    assert_int_equal(read_yaml("test_mode: true\n", &err), BV_CONFIG); /* has no key */
}

static void
test_odd_documents_are_refused(void **state)
{
    static const char *const documents[] = {
        "[1, 2]",
        "just text",
        "tcp: 5",
        "tcp: [1]",
        "tcp:\n  port:\n    deep: 1",
        "tcp:\n  port: \"8081\"",
        "tcp:\n  port:\n",
        "tcp:\n  port: 1\n  port: 2\n",
        "log_level: &a info\nlog_format: *a",
        "a: 1\n---\nb: 2\n",
        "\tlog_level: info",
        "log_level: {x: 1}",
        "? [a]\n: b",
    };

    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct bv_error err = {0};

        config_init(&config);
        if (read_yaml(documents[i], &err) != BV_CONFIG) {
            fail_msg("accepted: %s", documents[i]);
        }
        assert_string_not_equal(err.message, "");
    }
}

static void
test_a_bad_value_names_option_source_and_bounds(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(read_variable("BEAVA_TCP_PORT=70000", &err), BV_CONFIG);
    assert_string_equal(err.message, "invalid config field `tcp.port`: BEAVA_TCP_PORT: expected a "
                                     "whole number from 0 to 65535, got \"70000\"");
    assert_int_equal(read_variable("BEAVA_LOG_LEVEL=loud", &err), BV_CONFIG);
    assert_non_null(strstr(err.message, "`log_level`"));
    assert_int_equal(read_variable("BEAVA_IO_THREADS=x", &err), BV_CONFIG);
    assert_int_equal(read_variable("BEAVA_ALLOW_NETWORK_FS=maybe", &err), BV_CONFIG);
    assert_int_equal(read_flag("wal-segment-bytes", "1"), BV_CONFIG);
    assert_int_equal(read_flag("wal-segment-bytes", "2MiB"), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_WAL_SEGMENT_BYTES), 2097152);
    assert_int_equal(read_flag("request-timeout-ms", "2s"), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_REQUEST_TIMEOUT_MS), 2000);
    assert_int_equal(read_flag("request-timeout-ms", "18446744073709551616"), BV_CONFIG);
}

static void
test_three_published_settings_are_clamped_with_a_warning(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(read_variable("BEAVA_WAL_BUFFERS=99999", &err), BV_OK);
    assert_int_equal(read_variable("BEAVA_WAL_TICK_MS=0", &err), BV_OK);
    assert_int_equal(read_variable("BEAVA_WAL_BUFFER_SIZE_MB=lots", &err), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_WAL_BUFFERS), 32);
    assert_int_equal(config_number(&config, CONFIG_WAL_TICK_MS), 1);
    assert_int_equal(config_number(&config, CONFIG_WAL_BUFFER_SIZE_MB), 32);
    assert_int_equal(config.warning_count, 3);
    assert_string_equal(config.warnings[0].kind, "wal.config.clamp");
    assert_string_equal(config.warnings[0].subject, "BEAVA_WAL_BUFFERS");
    assert_int_equal(config.warnings[0].clamped, 32);
    assert_string_equal(config.warnings[2].kind, "wal.config.parse_error");
}

static void
test_switches_keep_their_published_readings(void **state)
{
    struct bv_error err = {0};

    read_variable("BEAVA_TEST_MODE=true", &err);
    assert_int_equal(config_number(&config, CONFIG_TEST_MODE), 0);
    read_variable("BEAVA_TEST_MODE=1", &err);
    assert_int_equal(config_number(&config, CONFIG_TEST_MODE), 1);
    read_variable("BEAVA_TCP_ENABLED=TRUE", &err);
    assert_int_equal(config_number(&config, CONFIG_TCP_ENABLED), 1);
    read_variable("BEAVA_TCP_ENABLED=yes", &err);
    assert_int_equal(config_number(&config, CONFIG_TCP_ENABLED), 0);
    read_variable("BEAVA_MEMORY_GOV_ENFORCE=no", &err);
    assert_int_equal(config_number(&config, CONFIG_MEMORY_GOV), 1);
    read_variable("BEAVA_MEMORY_GOV_ENFORCE=0", &err);
    assert_int_equal(config_number(&config, CONFIG_MEMORY_GOV), 0);
    read_variable("BEAVA_WAL_SYNC_MODE=Per_Event", &err);
    assert_int_equal(config_number(&config, CONFIG_WAL_SYNC_MODE), BV_POLICY_ALWAYS);
    read_variable("BEAVA_WAL_SYNC_MODE=periodic", &err);
    assert_int_equal(config_number(&config, CONFIG_WAL_SYNC_MODE), BV_POLICY_OS);
}

static void
test_what_has_no_effect_or_no_meaning_is_warned_about_once(void **state)
{
    struct bv_error err = {0};

    read_variable("BEAVA_TCP_PROT=1", &err);
    read_variable("BEAVA_BINARY=/x", &err);
    read_variable("BEAVA_DEV_ENDPOINTS=1", &err);
    read_variable("BEAVA_IO_THREADS=4", &err);
    read_variable("BEAVA_DEDUPE_SWEEP_SECS=60", &err);
    read_variable("BEAVA_SNAPSHOT_DIR=/s", &err);
    read_variable("BEAVA_SNAPSHOT_INTERVAL_MS=1", &err);
    read_variable("BEAVA_ADMIN_ADDR=127.0.0.1:0", &err);
    assert_int_equal(config_finish(&config, &err), BV_OK);
    assert_int_equal(config.warning_count, 3);
    assert_string_equal(config.warnings[0].kind, "config.unknown_env");
    assert_string_equal(config.warnings[0].value, "BEAVA_TCP_PORT");
    assert_string_equal(config.warnings[1].kind, "config.no_effect");
    assert_string_equal(config.warnings[2].kind, "config.no_effect");
}

static void
test_one_body_limit_serves_both_transports(void **state)
{
    struct bv_error err = {0};

    read_flag("max-body-bytes", "1MiB");
    config_finish(&config, &err);
    assert_int_equal(config_number(&config, CONFIG_MAX_FRAME), 1048576);
    config_init(&config);
    read_flag("max-body-bytes", "1MiB");
    read_flag("tcp-max-frame-bytes", "2MiB");
    config_finish(&config, &err);
    assert_int_equal(config_number(&config, CONFIG_MAX_FRAME), 2097152);
}

static void
test_addresses_are_checked_before_anything_starts(void **state)
{
    struct server_addresses addresses;
    struct bv_error err = {0};

    read_flag("http-addr", "localhost:0");
    read_flag("tcp-host", "::1");
    assert_int_equal(server_resolve(&addresses, &config, &err), BV_OK);
    assert_true(net_address_is_loopback(&addresses.tcp));
    read_flag("http-addr", "127.0.0.1");
    assert_int_equal(server_resolve(&addresses, &config, &err), BV_CONFIG);
    assert_string_equal(err.message, "invalid config field `listen_addr`: expected ip:port, got "
                                     "\"127.0.0.1\"");
    read_flag("http-addr", "127.0.0.1:99999");
    assert_int_equal(server_resolve(&addresses, &config, &err), BV_CONFIG);
}

static void
test_settings_of_the_library_have_the_option_names(void **state)
{
    struct bv_error err = {0};

    assert_int_equal(config_set(&config, "durability.wal_dir", "/w", &err), BV_OK);
    assert_int_equal(config_set(&config, "memory_only", "1", &err), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_MEMORY_ONLY), 1);
    assert_int_equal(config_set(&config, "memory_onyl", "1", &err), BV_CONFIG);
    assert_string_equal(err.hint, "did you mean \"memory_only\"?");
}

/* Two texts that a row accepts, unlike each other and unlike its default; what is stored for them.
 */
struct sample {
    char text[2][64];
    char stored[2][64];
};

static void
fill_sample(struct sample *out, const struct config_row *row)
{
    static const char *const words[][3] = {
        [CONFIG_TYPE_SYNC_MODE] = {"os", "always", "os"},
        [CONFIG_TYPE_LOG_LEVEL] = {"debug", "warn", "error"},
        [CONFIG_TYPE_LOG_FORMAT] = {"text", "json", "text"},
        [CONFIG_TYPE_FULL_POLICY] = {"evict_idle", "refuse", "evict_idle"},
    };

    for (unsigned i = 0; i < 2; i++) {
        char *text = out->text[i];

        if (row->type == CONFIG_TYPE_NUMBER) {
            snprintf(text, 64, "%llu", (unsigned long long)(row->highest - 1 - i));
        } else if (row->type == CONFIG_TYPE_BOOL) {
            snprintf(text, 64, "%s", i == 0 ? "true" : "false");
        } else if (row->type == CONFIG_TYPE_TEXT || row->type == CONFIG_TYPE_ADDRESS) {
            snprintf(text, 64, "127.0.0.%u:9", i + 1);
        } else {
            snprintf(text, 64, "%s", words[row->type][i]);
        }
        snprintf(out->stored[i], 64, "%s", text);
    }
}

static void
read_key(const struct config_row *row, const char *text)
{
    const char *dot = strchr(row->name, '.');
    const char *quote =
        row->type == CONFIG_TYPE_TEXT || row->type == CONFIG_TYPE_ADDRESS ? "\"" : "";
    struct bv_error err = {0};
    char yaml[256];

    if (dot == NULL) {
        snprintf(yaml, sizeof yaml, "%s: %s%s%s\n", row->name, quote, text, quote);
    } else {
        snprintf(yaml, sizeof yaml, "%.*s:\n  %s: %s%s%s\n", (int)(dot - row->name), row->name,
                 dot + 1, quote, text, quote);
    }
    if (read_yaml(yaml, &err) != BV_OK) {
        fail_msg("%s: %s", yaml, err.message);
    }
}

/* Every option, from every source it has, each stronger than the one before. */
static void
test_every_option_is_read_from_all_its_sources_in_their_order(void **state)
{
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        enum config_option option = (enum config_option)i;
        struct bv_error err = {0};
        struct sample sample;
        char variable[256];

        config_init(&config);
        fill_sample(&sample, row);
        if ((row->traits & CONFIG_NO_KEY) == 0) {
            read_key(row, sample.text[0]);
            assert_string_equal(config_text(&config, option), sample.stored[0]);
        }
        if (row->variable[0] != '\0' && row->type == CONFIG_TYPE_BOOL) {
            snprintf(variable, sizeof variable, "%s=0", row->variable);
            assert_int_equal(read_variable(variable, &err), BV_OK);
            assert_string_equal(config_text(&config, option), "false");
        } else if (row->variable[0] != '\0') {
            snprintf(variable, sizeof variable, "%s=%s", row->variable, sample.text[1]);
            assert_int_equal(read_variable(variable, &err), BV_OK);
            assert_string_equal(config_text(&config, option), sample.stored[1]);
        }
        if (row->flag[0] != '\0') {
            assert_int_equal(read_flag(row->flag, sample.text[0]), BV_OK);
            assert_string_equal(config_text(&config, option), sample.stored[0]);
            if (row->variable[0] != '\0') { /* a weaker source, read later, changes nothing */
                assert_int_equal(read_variable(variable, &err), BV_OK);
                assert_string_equal(config_text(&config, option), sample.stored[0]);
            }
        }
        assert_true(config_is_set(&config, option));
    }
}

static void
test_bounds_have_their_published_defaults(void **state)
{
    assert_int_equal(config_number(&config, CONFIG_SNAPSHOT_INTERVAL_MS), 30000);
    assert_int_equal(config_number(&config, CONFIG_SNAPSHOT_RETAIN_COUNT), 2);
    assert_int_equal(config_number(&config, CONFIG_SNAPSHOT_WAL_BYTES), 512 << 20);
    assert_int_equal(config_number(&config, CONFIG_WAL_MAX_BYTES), 0);
    assert_int_equal(config_number(&config, CONFIG_MIN_FREE_BYTES), 16 << 20);
    assert_int_equal(config_number(&config, CONFIG_DEDUPE_MAX_ENTRIES), 10000000);
    assert_int_equal(config_number(&config, CONFIG_TABLE_MAX_ENTITIES), 0);
    assert_int_equal(config_number(&config, CONFIG_TABLE_FULL_POLICY), 0);
    assert_int_equal(read_flag("table-full-policy", "drop"), BV_CONFIG);
    assert_int_equal(read_flag("table-full-policy", "evict_idle"), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_TABLE_FULL_POLICY), 1);
    assert_false(config_is_set(&config, CONFIG_ACCEPT_DATA_LOSS));
    assert_int_equal(read_flag("accept-data-loss-after", "7"), BV_OK);
    assert_true(config_is_set(&config, CONFIG_ACCEPT_DATA_LOSS));
}

static void
test_an_empty_directory_or_too_small_a_log_is_refused(void **state)
{
    struct bv_error err = {0};
    bool takes_next = false;

    (void)state;
    assert_int_equal(config_read_flag(&config, "data-dir", "", &takes_next, &err), BV_CONFIG);
    assert_non_null(strstr(err.message, "`data_dir`"));
    assert_int_equal(config_read_flag(&config, "wal-dir", "", &takes_next, &err), BV_CONFIG);
    assert_non_null(strstr(err.message, "`durability.wal_dir`"));
    assert_int_equal(config_read_flag(&config, "snapshot-dir", "", &takes_next, &err), BV_CONFIG);
    assert_non_null(strstr(err.message, "`durability.snapshot_dir`"));
    assert_int_equal(config_read_flag(&config, "wal-max-bytes", "4194303", &takes_next, &err),
                     BV_CONFIG);
    assert_non_null(strstr(err.message, "4194304"));
    assert_int_equal(config_read_flag(&config, "wal-max-bytes", "4MiB", &takes_next, &err), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_WAL_MAX_BYTES), 4 << 20);
    assert_int_equal(config_read_flag(&config, "wal-max-bytes", "0", &takes_next, &err), BV_OK);
    assert_int_equal(config_number(&config, CONFIG_WAL_MAX_BYTES), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults_are_the_published_ones, reset),
        cmocka_unit_test_setup(test_flags_beat_variables_beat_the_file, reset),
        cmocka_unit_test_setup(test_data_dir_sets_both_directories_over_their_variables, reset),
        cmocka_unit_test_setup(test_tcp_addr_switches_the_listener_on, reset),
        cmocka_unit_test_setup(test_an_empty_file_means_all_defaults, reset),
        cmocka_unit_test_setup(test_a_missing_file_is_named, reset),
        cmocka_unit_test_setup(test_unknown_keys_are_refused_with_a_suggestion, reset),
        cmocka_unit_test_setup(test_odd_documents_are_refused, reset),
        cmocka_unit_test_setup(test_a_bad_value_names_option_source_and_bounds, reset),
        cmocka_unit_test_setup(test_three_published_settings_are_clamped_with_a_warning, reset),
        cmocka_unit_test_setup(test_switches_keep_their_published_readings, reset),
        cmocka_unit_test_setup(test_what_has_no_effect_or_no_meaning_is_warned_about_once, reset),
        cmocka_unit_test_setup(test_one_body_limit_serves_both_transports, reset),
        cmocka_unit_test_setup(test_addresses_are_checked_before_anything_starts, reset),
        cmocka_unit_test_setup(test_settings_of_the_library_have_the_option_names, reset),
        cmocka_unit_test(test_every_option_is_read_from_all_its_sources_in_their_order),
        cmocka_unit_test_setup(test_bounds_have_their_published_defaults, reset),
        cmocka_unit_test_setup(test_an_empty_directory_or_too_small_a_log_is_refused, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
