/* SPDX-License-Identifier: Apache-2.0 */
/* `beava verify` and `beava salvage`: arguments in, a report on stdout, an exit code.
 *
 * Enters:  the arguments behind the verb.
 * Leaves:  the report, as lines or as one JSON object; what goes wrong with the work itself on
 *          stderr.
 * Owner:   the main thread.
 *
 * Invariant: verify writes no file; salvage writes below --out only. A salvaged directory has been
 * started once, in this process, before it is called good. */
#include "server/tools.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beava.h"
#include "durability/salvage.h"
#include "durability/verify.h"
#include "util/log.h"
#include "wire/json.h"

#define EXIT_DAMAGED 1
#define EXIT_USAGE   2

static const char verify_usage[] =
    "Usage: beava verify [DIR] [--wal-dir DIR] [--snapshot-dir DIR] [--json]\n"
    "\n"
    "Checks every checksum and chain below a data directory (or a log's, or the snapshots'), and\n"
    "whether a server could start from it. Changes nothing; may run beside a server.\n"
    "Exit code: 0 sound, 1 damaged, 2 usage.\n";

static const char salvage_usage[] =
    "Usage: beava salvage [DIR] --out NEWDIR [--until LSN] [--wal-dir DIR] [--snapshot-dir DIR]\n"
    "                     [--json]\n"
    "\n"
    "Writes what can be read of a damaged data directory to a new one and lists the LSNs that are\n"
    "lost, also to NEWDIR/salvage.json. Never changes DIR.\n"
    "Exit code: 0 nothing lost, 1 something is lost or nothing can start from it, 2 usage.\n";

struct arguments {
    const char *usage;
    const char *directory, *wal_dir, *snapshot_dir, *out, *until; /* NULL: not given */
    bool wants_json;
    bool wants_help;
};

static int
usage_error(const struct arguments *arguments, const char *what, const char *argument)
{
    fprintf(stderr, "beava: error: %s%s%s\n\n%s", what, argument[0] == '\0' ? "" : " ", argument,
            arguments->usage);
    return EXIT_USAGE;
}

/* "--name value" or "--name=value". */
static int
read_option(struct arguments *arguments, int argc, char **argv, int *index)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {
        {"--wal-dir", &arguments->wal_dir},
        {"--snapshot-dir", &arguments->snapshot_dir},
        {"--out", arguments->usage == salvage_usage ? &arguments->out : NULL},
        {"--until", arguments->usage == salvage_usage ? &arguments->until : NULL},
    };
    const char *text = argv[*index];

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        size_t size = strlen(options[i].name);
        if (options[i].value == NULL || strncmp(text, options[i].name, size) != 0) {
            continue;
        }
        if (text[size] == '=') {
            *options[i].value = text + size + 1;
            return 0;
        }
        if (text[size] == '\0') {
            if (*index + 1 >= argc) {
                return usage_error(arguments, "a value is required for", text);
            }
            *options[i].value = argv[++*index];
            return 0;
        }
    }
    return usage_error(arguments, "unexpected argument", text);
}

static int
read_arguments(struct arguments *arguments, int argc, char **argv)
{
    int code = 0;

    for (int i = 0; i < argc && code == 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            arguments->wants_json = true;
        } else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            arguments->wants_help = true;
        } else if (argv[i][0] == '-') {
            code = read_option(arguments, argc, argv, &i);
        } else if (arguments->directory != NULL) {
            code = usage_error(arguments, "unexpected argument", argv[i]);
        } else {
            arguments->directory = argv[i];
        }
    }
    return code;
}

static int
failed(const struct bv_error *err)
{
    fprintf(stderr, "beava: error: %s\n", err->message);
    if (err->hint[0] != '\0') {
        fprintf(stderr, "  hint: %s\n", err->hint);
    }
    return err->status == BV_CONFIG ? EXIT_USAGE : EXIT_DAMAGED;
}

/* The two directories that the arguments mean; a named one beats what lies in DIR. */
static int
find_paths(struct verify_paths *out, const struct arguments *arguments)
{
    struct bv_error err = {0};

    memset(out, 0, sizeof *out);
    if (arguments->directory == NULL && arguments->wal_dir == NULL &&
        arguments->snapshot_dir == NULL) {
        return usage_error(arguments, "which directory?", "");
    }
    if (arguments->directory != NULL &&
        verify_find(out, os_posix(), arguments->directory, &err) != BV_OK) {
        return failed(&err);
    }
    if (arguments->wal_dir != NULL) {
        (void)snprintf(out->wal, sizeof out->wal, "%s", arguments->wal_dir);
    }
    if (arguments->snapshot_dir != NULL) {
        (void)snprintf(out->snapshots, sizeof out->snapshots, "%s", arguments->snapshot_dir);
    }
    if (arguments->directory == NULL) {
        out->is_part = arguments->wal_dir == NULL || arguments->snapshot_dir == NULL;
    }
    return 0;
}

static int
print_text(const struct buf *text)
{
    if (text->failed) {
        fputs("beava: error: no memory for the report\n", stderr);
        return EXIT_DAMAGED;
    }
    if (fwrite(text->data, 1, text->size, stdout) != text->size || fflush(stdout) != 0) {
        return EXIT_DAMAGED;
    }
    return 0;
}

int
tools_verify(int argc, char **argv)
{
    struct arguments arguments = {.usage = verify_usage};
    struct verify_report report = {0};
    struct verify_paths paths;
    struct bv_error err = {0};
    struct buf text;
    int code = read_arguments(&arguments, argc, argv);

    buf_init(&text);
    if (code == 0 && arguments.wants_help) {
        fputs(verify_usage, stdout);
        goto done;
    }
    if (code == 0) {
        code = find_paths(&paths, &arguments);
    }
    if (code != 0) {
        goto done;
    }
    if (verify_run(&report, os_posix(), &paths, &err) != BV_OK) {
        code = failed(&err);
        goto done;
    }
    if (arguments.wants_json) {
        verify_write_json(&text, &report);
        buf_text(&text, "\n");
    } else {
        verify_write_text(&text, &report);
    }
    code = print_text(&text);
    if (code == 0 && !verify_is_sound(&report)) {
        code = EXIT_DAMAGED;
    }
done:
    buf_deinit(&text);
    verify_report_deinit(&report);
    return code;
}

/* Starts an engine on the new directory, and says how that went. */
static bool
try_start(struct buf *text, const char *directory, bool as_json)
{
    bv_engine_options options = BV_ENGINE_OPTIONS_INIT;
    bv_engine *engine = NULL;
    bv_digest digest = {0};
    bv_error err = {0};

    log_configure(LOG_ERROR + 1, LOG_FORMAT_JSON); /* stdout is the report's */
    options.data_dir = directory;
    bool starts = bv_engine_open(&engine, &options, &err) == BV_OK &&
                  bv_engine_digest(engine, &digest, &err) == BV_OK;
    bv_engine_close(engine);
    if (as_json) {
        buf_printf(text, ",\"starts\":%s,\"entities\":%" PRIu64 ",\"problem\":",
                   starts ? "true" : "false", digest.entities);
        if (starts) {
            buf_text(text, "null");
        } else {
            json_write_string(text, slice_text(err.message));
        }
    } else if (starts) {
        buf_printf(text, "starts   yes: %" PRIu64 " entities, next LSN %" PRIu64 "\n",
                   digest.entities, digest.last_lsn + 1);
    } else {
        buf_printf(text,
                   "starts   NO: %s\n         --until with an earlier LSN leaves out what does not "
                   "fit\n",
                   err.message);
    }
    return starts;
}

static int
read_until(struct salvage_options *options, const struct arguments *arguments)
{
    char *end = NULL;

    if (arguments->until == NULL) {
        return 0;
    }
    options->until = strtoull(arguments->until, &end, 10);
    if (options->until == 0 || *end != '\0' || arguments->until[0] == '-') {
        return usage_error(arguments, "--until wants an LSN, not", arguments->until);
    }
    return 0;
}

int
tools_salvage(int argc, char **argv)
{
    struct arguments arguments = {.usage = salvage_usage};
    struct salvage_options options = {0};
    struct salvage_result result = {0};
    struct bv_error err = {0};
    struct buf text;
    int code = read_arguments(&arguments, argc, argv);

    buf_init(&text);
    if (code == 0 && arguments.wants_help) {
        fputs(salvage_usage, stdout);
        goto done;
    }
    if (code == 0 && arguments.out == NULL) {
        code = usage_error(&arguments, "--out names the directory to write", "");
    }
    if (code == 0) {
        code = read_until(&options, &arguments);
    }
    if (code == 0) {
        code = find_paths(&options.from, &arguments);
    }
    if (code != 0) {
        goto done;
    }
    options.to = arguments.out;
    if (salvage_run(&result, os_posix(), &options, &err) != BV_OK) {
        code = failed(&err);
        goto done;
    }
    if (arguments.wants_json) {
        salvage_write_json(&text, &result);
        text.size -= text.size > 0 ? 1 : 0; /* the brace: more members follow */
    } else {
        salvage_write_text(&text, &result);
    }
    bool starts = try_start(&text, arguments.out, arguments.wants_json);
    buf_text(&text, arguments.wants_json ? "}\n" : "");
    code = print_text(&text);
    if (code == 0 && (result.lost != 0 || !starts)) {
        code = EXIT_DAMAGED;
    }
done:
    buf_deinit(&text);
    salvage_result_deinit(&result);
    return code;
}
