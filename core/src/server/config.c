/* SPDX-License-Identifier: Apache-2.0 */
/* Options: one table, four sources, one policy for bad values.
 *
 * Enters:  texts, from flags, variables, the file (config_file.c) or bv_server's settings.
 * Leaves:  checked values with their origin, and warnings to be logged.
 * Owner:   whoever boots; afterwards it is only read.
 *
 * Invariants
 *   (1) A stronger source is never overwritten by a weaker one, in whatever order they are read.
 *   (2) A stored value lies within its row's bounds. */
#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "os/machine.h"
#include "util/log.h"
#include "wire/number.h"

#define MEMORY_SHARE_PERCENT 80
#define WAL_MAX_BYTES_LEAST  (4u << 20)

const struct config_row config_rows[CONFIG_OPTION_COUNT] = {
#define OPTION(id, name, flag, variable, type, unit, default_text, lowest, highest, traits, help)  \
    [CONFIG_##id] = {                                                                              \
        name,    flag,   variable, CONFIG_TYPE_##type, CONFIG_UNIT_##unit, default_text, lowest,   \
        highest, traits, help},
#include "server/config.def"
#undef OPTION
};

void
config_init(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        config_store(config, (enum config_option)i, CONFIG_FROM_DEFAULT, "default",
                     config_rows[i].default_text, NULL);
    }
}

static void
warn(struct config *config, const char *kind, const char *subject, const char *value,
     uint64_t clamped, const struct config_row *row)
{
    struct config_warning *warning;

    if (config->warning_count == CONFIG_WARNING_MAX) {
        return;
    }
    warning = &config->warnings[config->warning_count++];
    warning->kind = kind;
    snprintf(warning->subject, sizeof warning->subject, "%s", subject);
    snprintf(warning->value, sizeof warning->value, "%s", value);
    warning->clamped = clamped;
    warning->lowest = row == NULL ? 0 : row->lowest;
    warning->highest = row == NULL ? 0 : row->highest;
}

struct suffix {
    enum config_unit unit;
    const char *text;
    uint64_t numerator; /* times this */
    uint64_t denominator;
};

static const struct suffix suffixes[] = {
    {CONFIG_UNIT_BYTES, "B", 1, 1},
    {CONFIG_UNIT_BYTES, "KiB", 1024, 1},
    {CONFIG_UNIT_BYTES, "MiB", 1024 * 1024, 1},
    {CONFIG_UNIT_BYTES, "GiB", 1024 * 1024 * 1024, 1},
    {CONFIG_UNIT_MIB, "MiB", 1, 1},
    {CONFIG_UNIT_MIB, "GiB", 1024, 1},
    {CONFIG_UNIT_US, "us", 1, 1},
    {CONFIG_UNIT_US, "ms", 1000, 1},
    {CONFIG_UNIT_MS, "ms", 1, 1},
    {CONFIG_UNIT_MS, "s", 1000, 1},
    {CONFIG_UNIT_MS, "m", 60 * 1000, 1},
    {CONFIG_UNIT_MS, "h", 3600 * 1000, 1},
    {CONFIG_UNIT_SECS, "s", 1, 1},
    {CONFIG_UNIT_SECS, "m", 60, 1},
    {CONFIG_UNIT_SECS, "h", 3600, 1},
};

/* "64MiB" for a row in bytes; a plain number is in the row's unit. */
static bool
parse_number(uint64_t *out, const struct config_row *row, const char *text)
{
    uint64_t number = 0;
    const char *at = text;

    if (*at < '0' || *at > '9') {
        return false;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    if (*at == '\0') {
        *out = number;
        return true;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (suffixes[i].unit == row->unit && strcmp(suffixes[i].text, at) == 0 &&
            number <= UINT64_MAX / suffixes[i].numerator) {
            *out = number * suffixes[i].numerator;
            return true;
        }
    }
    return false;
}

static bool
parse_bool(uint64_t *out, const struct config_row *row, enum config_origin origin, const char *text)
{
    bool is_true = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
    bool is_false = strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0;

    if (origin == CONFIG_FROM_ENV) {
        unsigned reading =
            row->traits & (CONFIG_ENV_EXACTLY_ONE | CONFIG_ENV_ONE_OR_TRUE | CONFIG_ENV_NOT_ZERO);

        if (reading != 0) { /* any text means something here */
            *out = reading == CONFIG_ENV_EXACTLY_ONE   ? strcmp(text, "1") == 0
                   : reading == CONFIG_ENV_ONE_OR_TRUE ? is_true
                                                       : strcmp(text, "0") != 0;
            return true;
        }
    }
    *out = is_true;
    return is_true || is_false;
}

/* Words of an option and what they are stored as. */
struct word {
    enum config_type type;
    const char *text;
    uint64_t number;
    const char *stored;
};

static const struct word words[] = {
    {CONFIG_TYPE_SYNC_MODE, "always", BV_POLICY_ALWAYS, "always"},
    {CONFIG_TYPE_SYNC_MODE, "per-event", BV_POLICY_ALWAYS, "always"},
    {CONFIG_TYPE_SYNC_MODE, "perevent", BV_POLICY_ALWAYS, "always"},
    {CONFIG_TYPE_SYNC_MODE, "per_event", BV_POLICY_ALWAYS, "always"},
    {CONFIG_TYPE_SYNC_MODE, "os", BV_POLICY_OS, "os"},
    {CONFIG_TYPE_SYNC_MODE, "periodic", BV_POLICY_OS, "os"},
    {CONFIG_TYPE_LOG_LEVEL, "trace", LOG_TRACE, "trace"},
    {CONFIG_TYPE_LOG_LEVEL, "debug", LOG_DEBUG, "debug"},
    {CONFIG_TYPE_LOG_LEVEL, "info", LOG_INFO, "info"},
    {CONFIG_TYPE_LOG_LEVEL, "notice", LOG_NOTICE, "notice"},
    {CONFIG_TYPE_LOG_LEVEL, "warn", LOG_WARN, "warn"},
    {CONFIG_TYPE_LOG_LEVEL, "error", LOG_ERROR, "error"},
    {CONFIG_TYPE_LOG_FORMAT, "json", LOG_FORMAT_JSON, "json"},
    {CONFIG_TYPE_LOG_FORMAT, "text", LOG_FORMAT_TEXT, "text"},
    {CONFIG_TYPE_FULL_POLICY, "refuse", 0, "refuse"},
    {CONFIG_TYPE_FULL_POLICY, "evict_idle", 1, "evict_idle"},
};

static const struct word *
find_word(enum config_type type, const char *text)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (words[i].type == type && strcasecmp(words[i].text, text) == 0) {
            return &words[i];
        }
    }
    return NULL;
}

static enum bv_status
refuse(const struct config_row *row, const char *source, const char *expected, const char *text,
       struct bv_error *err)
{
    return bv_error_set(err, BV_CONFIG,
                        "invalid config field `%s`: %s: expected %s, got \"%.200s\"", row->name,
                        source, expected, text);
}

static enum bv_status
refuse_number(const struct config_row *row, const char *source, const char *text,
              struct bv_error *err)
{
    static const char *const units[] = {
        [CONFIG_UNIT_NONE] = "a whole number",
        [CONFIG_UNIT_BYTES] = "bytes or a size (64MiB)",
        [CONFIG_UNIT_MIB] = "MiB",
        [CONFIG_UNIT_US] = "microseconds",
        [CONFIG_UNIT_MS] = "milliseconds or a duration (250ms)",
        [CONFIG_UNIT_SECS] = "seconds",
    };
    char expected[128];

    snprintf(expected, sizeof expected, "%s from %llu to %llu", units[row->unit],
             (unsigned long long)row->lowest, (unsigned long long)row->highest);
    return refuse(row, source, expected, text, err);
}

static enum bv_status
store_number(struct config *config, struct config_value *value, const struct config_row *row,
             const char *source, const char *text, struct bv_error *err)
{
    uint64_t number = 0;

    if (!parse_number(&number, row, text)) {
        if ((row->traits & CONFIG_CLAMPED) == 0) {
            return refuse_number(row, source, text, err);
        }
        warn(config, "wal.config.parse_error", row->variable, text, 0, row);
        return BV_NOT_FOUND; /* keep what was there */
    }
    if (number < row->lowest || number > row->highest) {
        uint64_t clamped = number < row->lowest ? row->lowest : row->highest;

        if ((row->traits & CONFIG_CLAMPED) == 0) {
            return refuse_number(row, source, text, err);
        }
        warn(config, "wal.config.clamp", row->variable, text, clamped, row);
        number = clamped;
    }
    value->number = number;
    snprintf(value->text, sizeof value->text, "%llu", (unsigned long long)number);
    return BV_OK;
}

/* Below four segments of the least size the log has no room to hold and retire anything; an empty
 * path would mean the root of the file system. */
static enum bv_status
check_meaning(enum config_option option, const char *source, const char *text, uint64_t number,
              struct bv_error *err)
{
    if (option == CONFIG_WAL_MAX_BYTES && number != 0 && number < WAL_MAX_BYTES_LEAST) {
        return refuse(&config_rows[option], source,
                      "0 for no bound, or bytes or a size (64MiB) from 4194304 on", text, err);
    }
    if ((option == CONFIG_WAL_DIR || option == CONFIG_SNAPSHOT_DIR) && text[0] == '\0') {
        return refuse(&config_rows[option], source, "the path of a directory", text, err);
    }
    return BV_OK;
}

enum bv_status
config_store(struct config *config, enum config_option option, enum config_origin origin,
             const char *source, const char *text, struct bv_error *err)
{
    const struct config_row *row = &config_rows[option];
    struct config_value *stored = &config->values[option];
    struct config_value value = {.origin = origin};
    enum bv_status status = BV_OK;

    if (strlen(text) >= sizeof value.text) {
        return refuse(row, source, "at most 1023 bytes", text, err);
    }
    strcpy(value.text, text);
    if (row->type == CONFIG_TYPE_NUMBER) {
        status = store_number(config, &value, row, source, text, err);
        if (status == BV_NOT_FOUND) {
            return BV_OK;
        }
    } else if (row->type == CONFIG_TYPE_BOOL) {
        if (!parse_bool(&value.number, row, origin, text)) {
            status = refuse(row, source, "true or false", text, err);
        }
        strcpy(value.text, value.number != 0 ? "true" : "false");
    } else if (row->type != CONFIG_TYPE_TEXT && row->type != CONFIG_TYPE_ADDRESS) {
        const struct word *word = find_word(row->type, text);

        if (word == NULL) {
            return refuse(row, source, row->help, text, err);
        }
        value.number = word->number;
        strcpy(value.text, word->stored);
    }
    if (status == BV_OK) {
        status = check_meaning(option, source, text, value.number, err);
    }
    if (status == BV_OK && origin >= stored->origin) {
        *stored = value;
    }
    return status;
}

enum bv_status
config_set(struct config *config, const char *name, const char *value, struct bv_error *err)
{
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        if (strcmp(config_rows[i].name, name) == 0) {
            return config_store(config, (enum config_option)i, CONFIG_FROM_FLAG, name, value, err);
        }
    }
    bv_error_set(err, BV_CONFIG, "unknown setting \"%s\"", name);
    if (config_suggest_key(name) != NULL) {
        bv_error_hint(err, "did you mean \"%s\"?", config_suggest_key(name));
    }
    return BV_CONFIG;
}

/* Read by others than the server. */
static bool
is_foreign_variable(const char *name)
{
    static const char *const names[] = {"BEAVA_BINARY", "BEAVA_DEV_ENDPOINTS", "BEAVA_URL",
                                        "BEAVA_STARTUP_TIMEOUT", "BEAVA_HANDED_OVER"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum bv_status
read_variable(struct config *config, const char *name, const char *value, struct bv_error *err)
{
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        if (strcmp(config_rows[i].variable, name) == 0) {
            return config_store(config, (enum config_option)i, CONFIG_FROM_ENV, name, value, err);
        }
    }
    if (!is_foreign_variable(name)) {
        const char *near = config_suggest_variable(name);

        warn(config, "config.unknown_env", name, near == NULL ? "" : near, 0, NULL);
    }
    return BV_OK;
}

enum bv_status
config_read_environment(struct config *config, char *const *environment, struct bv_error *err)
{
    for (size_t i = 0; environment[i] != NULL; i++) {
        const char *equals = strchr(environment[i], '=');
        char name[64];
        enum bv_status status;

        if (strncmp(environment[i], "BEAVA_", 6) != 0 || equals == NULL) {
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(equals - environment[i]), environment[i]);
        status = read_variable(config, name, equals + 1, err);
        if (status != BV_OK) {
            return status;
        }
    }
    return BV_OK;
}

static enum bv_status
read_data_dir(struct config *config, const char *path, struct bv_error *err)
{
    char directory[CONFIG_TEXT_MAX];
    enum bv_status status;

    if (path[0] == '\0') {
        return bv_error_set(err, BV_CONFIG,
                            "invalid config field `data_dir`: --data-dir: expected the path of a "
                            "directory, got \"\"");
    }
    if (strlen(path) > CONFIG_TEXT_MAX - 16) {
        return bv_error_set(err, BV_CONFIG,
                            "invalid config field `data_dir`: the path is too long");
    }
    snprintf(directory, sizeof directory, "%.1000s/wal", path);
    status = config_store(config, CONFIG_WAL_DIR, CONFIG_FROM_FLAG, "--data-dir", directory, err);
    if (status == BV_OK) {
        snprintf(directory, sizeof directory, "%.1000s/snapshots", path);
        status = config_store(config, CONFIG_SNAPSHOT_DIR, CONFIG_FROM_FLAG, "--data-dir",
                              directory, err);
    }
    return status;
}

/* "host:port" into the two options, and the listener on. */
static enum bv_status
read_tcp_addr(struct config *config, const char *text, struct bv_error *err)
{
    const char *colon = strrchr(text, ':');
    char host[256];
    enum bv_status status;

    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof host) {
        return bv_error_set(err, BV_CONFIG,
                            "invalid config field `tcp_addr`: --tcp-addr: expected ip:port, got "
                            "\"%.200s\"",
                            text);
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    status = config_store(config, CONFIG_TCP_HOST, CONFIG_FROM_FLAG, "--tcp-addr", host, err);
    if (status == BV_OK) {
        status =
            config_store(config, CONFIG_TCP_PORT, CONFIG_FROM_FLAG, "--tcp-addr", colon + 1, err);
    }
    if (status == BV_OK) {
        status =
            config_store(config, CONFIG_TCP_ENABLED, CONFIG_FROM_FLAG, "--tcp-addr", "true", err);
    }
    return status;
}

/* The start-up block names these three. */
static void
note_flag(struct config *config, const char *flag)
{
    if (strcmp(flag, "http-addr") == 0 || strcmp(flag, "tcp-addr") == 0 ||
        strcmp(flag, "data-dir") == 0) {
        size_t size = strlen(config->flags);

        snprintf(config->flags + size, sizeof config->flags - size, "%s--%s", size == 0 ? "" : ", ",
                 flag);
    }
}

enum bv_status
config_read_flag(struct config *config, const char *flag, const char *value, bool *takes_next,
                 struct bv_error *err)
{
    bool is_data_dir = strcmp(flag, "data-dir") == 0;
    bool is_tcp_addr = strcmp(flag, "tcp-addr") == 0;
    bool is_file = strcmp(flag, "config") == 0;

    *takes_next = false;
    if (is_data_dir || is_tcp_addr || is_file) {
        if (value == NULL) {
            *takes_next = true;
            return BV_OK;
        }
        if (is_file) {
            snprintf(config->file, sizeof config->file, "%s", value);
            return BV_OK;
        }
        note_flag(config, flag);
        return is_data_dir ? read_data_dir(config, value, err) : read_tcp_addr(config, value, err);
    }
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        char source[64];

        if (row->flag[0] == '\0' || strcmp(row->flag, flag) != 0) {
            continue;
        }
        if (value == NULL && row->type != CONFIG_TYPE_BOOL) {
            *takes_next = true;
            return BV_OK;
        }
        note_flag(config, flag);
        snprintf(source, sizeof source, "--%s", flag);
        return config_store(config, (enum config_option)i, CONFIG_FROM_FLAG, source,
                            value == NULL ? "true" : value, err);
    }
    return bv_error_set(err, BV_NOT_FOUND, "unknown option --%s", flag);
}

enum bv_status
config_finish(struct config *config, struct bv_error *err)
{
    (void)err;
    /* One limit for both transports, unless frames have one of their own (D27). */
    if (config_is_set(config, CONFIG_MAX_BODY) && !config_is_set(config, CONFIG_MAX_FRAME)) {
        config->values[CONFIG_MAX_FRAME].number = config_number(config, CONFIG_MAX_BODY);
    }
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        const struct config_value *value = &config->values[i];
        bool is_idle = (row->traits & CONFIG_NO_EFFECT) != 0 ||
                       ((row->traits & CONFIG_NO_EFFECT_ABOVE_ZERO) != 0 && value->number > 0);

        if (is_idle && value->origin != CONFIG_FROM_DEFAULT) {
            warn(config, "config.no_effect", row->name, value->text, 0, NULL);
        }
    }
    return BV_OK;
}

uint64_t
config_memory_limit(const struct config *config)
{
    uint64_t limit = config_number(config, CONFIG_MEMORY_LIMIT);

    return limit != 0 ? limit : machine_memory_limit("") / 100 * MEMORY_SHARE_PERCENT;
}

uint64_t
config_ring_bytes(const struct config *config)
{
    /* It stays small enough for the cache unless one of the published settings is given. */
    if (!config_is_set(config, CONFIG_WAL_BUFFERS) &&
        !config_is_set(config, CONFIG_WAL_BUFFER_SIZE_MB)) {
        return 0;
    }
    return config_number(config, CONFIG_WAL_BUFFERS) *
               config_number(config, CONFIG_WAL_BUFFER_SIZE_MB)
           << 20;
}

static void
log_warning(const struct config_warning *warning)
{
    if (strcmp(warning->kind, "wal.config.clamp") == 0) {
        log_line(LOG_WARN, warning->kind, "beava.config", "setting clamped to its bounds",
                 (struct log_field[]){
                     LOG_TEXT("env_var", warning->subject), LOG_TEXT("requested", warning->value),
                     LOG_INT("clamped", warning->clamped), LOG_INT("range_lo", warning->lowest),
                     LOG_INT("range_hi", warning->highest)},
                 5);
    } else if (strcmp(warning->kind, "wal.config.parse_error") == 0) {
        log_line(LOG_WARN, warning->kind, "beava.config", "setting is not a number; ignored",
                 (struct log_field[]){LOG_TEXT("env_var", warning->subject),
                                      LOG_TEXT("value", warning->value),
                                      LOG_TEXT("error", "not a whole number")},
                 3);
    } else if (strcmp(warning->kind, "config.unknown_env") == 0) {
        log_line(LOG_WARN, warning->kind, "beava.config", "unknown variable",
                 (struct log_field[]){LOG_TEXT("env_var", warning->subject),
                                      LOG_TEXT("did_you_mean", warning->value)},
                 warning->value[0] == '\0' ? 1 : 2);
    } else {
        log_line(LOG_WARN, warning->kind, "beava.config", "option accepted, but without effect",
                 (struct log_field[]){LOG_TEXT("option", warning->subject),
                                      LOG_TEXT("value", warning->value)},
                 2);
    }
}

void
config_log_warnings(const struct config *config)
{
    for (size_t i = 0; i < config->warning_count; i++) {
        log_warning(&config->warnings[i]);
    }
}

bool
config_describe(char *out, size_t size, const struct config *config)
{
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct config_value *value = &config->values[i];

        if (value->origin != CONFIG_FROM_DEFAULT && at < size) {
            at += (size_t)snprintf(out + at, size - at, "%s%s=%s", at == 0 ? "" : " ",
                                   config_rows[i].name, value->text);
        }
    }
    return at != 0;
}

void
config_print_help(void)
{
    printf("Options:\n"
           "  -c, --config PATH                 load this YAML file\n"
           "      --tcp-addr ADDR               framed TCP listener, ip:port; switches it on\n"
           "      --data-dir PATH               log in PATH/wal, snapshots in PATH/snapshots\n"
           "  -h, --help                        this text\n"
           "  -V, --version                     the version\n");
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct config_row *row = &config_rows[i];

        if (row->flag[0] != '\0') {
            printf("      --%-27s %s [%s]\n", row->flag, row->help, row->default_text);
        }
    }
    printf("\nConfiguration file keys are those of the documentation; flags beat variables, "
           "variables beat the file.\n"
           "\nEnvironment variables:\n");
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        if (config_rows[i].variable[0] != '\0') {
            printf("  %s=%s\n", config_rows[i].variable, config_rows[i].default_text);
        }
    }
}
