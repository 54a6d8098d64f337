/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_CONFIG_H
#define BV_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* What the server was told, from four sources: flags over environment over file over defaults.
 * config.def holds every option once. All sources are read once, at boot. */

enum config_option {
#define OPTION(id, ...) CONFIG_##id,
#include "server/config.def"
#undef OPTION
    CONFIG_OPTION_COUNT
};

enum config_origin { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENV, CONFIG_FROM_FLAG };

/* Traits of an option. */
#define CONFIG_NO_KEY               0x01u /* not in the configuration file */
#define CONFIG_CLAMPED              0x02u /* out of bounds or no number: warn and go on */
#define CONFIG_ENV_EXACTLY_ONE      0x04u /* published readings of boolean variables */
#define CONFIG_ENV_ONE_OR_TRUE      0x08u
#define CONFIG_ENV_NOT_ZERO         0x10u
#define CONFIG_NO_EFFECT            0x20u /* accepted, without a mechanism: one warning when set */
#define CONFIG_NO_EFFECT_ABOVE_ZERO 0x40u
#ifdef BEAVA_CRASH_POINTS
#define CONFIG_IN_TEST_BUILDS 0u
#else
#define CONFIG_IN_TEST_BUILDS CONFIG_NO_EFFECT
#endif

#define CONFIG_TEXT_MAX    1024
#define CONFIG_WARNING_MAX 48

struct config_value {
    uint64_t number; /* numbers and booleans */
    enum config_origin origin;
    char text[CONFIG_TEXT_MAX];
};

/* Said once logging works. */
struct config_warning {
    const char *kind;
    char subject[64]; /* variable or option */
    char value[128];
    uint64_t clamped;
    uint64_t lowest;
    uint64_t highest;
};

struct config {
    struct config_value values[CONFIG_OPTION_COUNT];
    char file[CONFIG_TEXT_MAX]; /* --config, "" = none */
    char flags[128];            /* which address flags were given, for the start-up block */
    struct config_warning warnings[CONFIG_WARNING_MAX];
    size_t warning_count;
};

void config_init(struct config *config);
/* One setting by its name ("tcp.port"), from a caller: as strong as a flag. */
enum bv_status config_set(struct config *config, const char *name, const char *value,
                          struct bv_error *err);
/* The file of --config. */
enum bv_status config_read_file(struct config *config, const char *path, struct bv_error *err);
/* All BEAVA_* of an environment ("NAME=value", NULL at the end). */
enum bv_status config_read_environment(struct config *config, char *const *environment,
                                       struct bv_error *err);
/* One flag, without its dashes; `value` is NULL when none was given (--flag or --flag=value).
 * *takes_next: the value is the next argument, call again with it. BV_NOT_FOUND: no such flag. */
enum bv_status config_read_flag(struct config *config, const char *flag, const char *value,
                                bool *takes_next, struct bv_error *err);
/* Rules between options; after all sources. */
enum bv_status config_finish(struct config *config, struct bv_error *err);

static inline uint64_t
config_number(const struct config *config, enum config_option option)
{
    return config->values[option].number;
}
static inline const char *
config_text(const struct config *config, enum config_option option)
{
    return config->values[option].text;
}
static inline bool
config_is_set(const struct config *config, enum config_option option)
{
    return config->values[option].origin != CONFIG_FROM_DEFAULT;
}

/* Bytes of state that are allowed: what was set, or a share of what the process may use. */
uint64_t config_memory_limit(const struct config *config);
/* Bytes of the log's ring as set; 0: left to the log. */
uint64_t config_ring_bytes(const struct config *config);

/* Logs what was odd: clamped, unknown variables, options without effect. */
void config_log_warnings(const struct config *config);
/* "tcp.port=0 log_level=debug": what differs from the defaults; false when nothing does. */
bool config_describe(char *out, size_t size, const struct config *config);
/* The options part of --help, and its block of variables. */
void config_print_help(void);

/* config_table.c: the rows. */
enum config_type {
    CONFIG_TYPE_TEXT,
    CONFIG_TYPE_ADDRESS,
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_NUMBER,
    CONFIG_TYPE_SYNC_MODE,
    CONFIG_TYPE_LOG_LEVEL,
    CONFIG_TYPE_LOG_FORMAT,
    CONFIG_TYPE_FULL_POLICY,
};
enum config_unit {
    CONFIG_UNIT_NONE,
    CONFIG_UNIT_BYTES,
    CONFIG_UNIT_MIB,
    CONFIG_UNIT_US,
    CONFIG_UNIT_MS,
    CONFIG_UNIT_SECS,
};
struct config_row {
    const char *name;
    const char *flag;
    const char *variable;
    enum config_type type;
    enum config_unit unit;
    const char *default_text;
    uint64_t lowest;
    uint64_t highest;
    unsigned traits;
    const char *help;
};
extern const struct config_row config_rows[CONFIG_OPTION_COUNT];

/* Checks and stores; on failure the message names the option, its source and its bounds.
 * `source` is what the user wrote ("--tcp-port", "BEAVA_TCP_PORT", the file). */
enum bv_status config_store(struct config *config, enum config_option option,
                            enum config_origin origin, const char *source, const char *text,
                            struct bv_error *err);
/* The key or variable most like this one, NULL if none is near. */
const char *config_suggest_key(const char *text);
const char *config_suggest_variable(const char *text);

#endif
