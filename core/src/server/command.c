/* SPDX-License-Identifier: Apache-2.0 */
/* The `beava` program: verbs, flags, exit codes.
 *
 * Enters:  arguments and environment.
 * Leaves:  a server in the foreground; or a text; or a tool's report; or another program, for the
 *          verbs that are written in Python.
 * Owner:   the main thread.
 *
 * Invariants
 *   (1) A verb is handed over at most once; what came back unknown is a usage error.
 *
 * Exit codes: 0 fine, 1 failed, 2 usage, 3 a stop was cut off, 130 a second signal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beava.h"
#include "server/boot.h"
#include "server/config.h"
#include "server/serve.h"
#include "server/tools.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2

/* Verbs that are handed to `python3 -m beava`, which knows those that this version has. */
static const char *const python_verbs[] = {
    "demo", "init",     "check", "plan",   "apply",  "push",       "get",        "tail",
    "top",  "snapshot", "bench", "doctor", "config", "completion", "quickstart",
};

struct invocation {
    struct config *config;
    const char *verb; /* NULL: serve */
    int verb_index;
    bool wants_help;
    bool wants_version;
};

static void
print_usage(FILE *out)
{
    fputs("Usage: beava [OPTIONS] [COMMAND]\n"
          "\n"
          "  beava --data-dir ./data            serve on 127.0.0.1:8080 (HTTP) and :8081 (TCP)\n"
          "\n"
          "Commands:\n"
          "  serve       run the server in the foreground (the default)\n"
          "  snapshot    ask a running server to save its state now\n"
          "  verify      check the files of a data directory, without a server\n"
          "  salvage     write what can be read of a damaged one to a new directory\n"
          "  version     print the version\n"
          "  help        print this text\n"
          "\n",
          out);
}

static int
usage_error(const char *what, const char *argument)
{
    fprintf(stderr, "beava: error: %s '%s'\n\n", what, argument);
    print_usage(stderr);
    return EXIT_USAGE;
}

/* Verbs that read the arguments behind them themselves. */
typedef int (*tool_fn)(int argc, char **argv);
static const struct {
    const char *verb;
    tool_fn run;
} tools[] = {
    {"verify", tools_verify},
    {"salvage", tools_salvage},
};

static tool_fn
find_tool(const char *verb)
{
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
        if (strcmp(tools[i].verb, verb) == 0) {
            return tools[i].run;
        }
    }
    return NULL;
}

static bool
is_python_verb(const char *verb)
{
    for (size_t i = 0; i < sizeof python_verbs / sizeof python_verbs[0]; i++) {
        if (strcmp(python_verbs[i], verb) == 0) {
            return true;
        }
    }
    return false;
}

/* One "--flag", "--flag=value" or "--flag value". Moves *index over a value it took. */
static int
read_long_flag(struct invocation *invocation, int argc, char **argv, int *index)
{
    const char *text = argv[*index] + 2;
    const char *equals = strchr(text, '=');
    const char *value = equals == NULL ? NULL : equals + 1;
    bool takes_next = false;
    char flag[64];
    struct bv_error err = {0};
    enum bv_status status;

    snprintf(flag, sizeof flag, "%.*s", equals == NULL ? (int)strlen(text) : (int)(equals - text),
             text);
    status = config_read_flag(invocation->config, flag, value, &takes_next, &err);
    if (takes_next) {
        if (*index + 1 >= argc) {
            return usage_error("a value is required for", argv[*index]);
        }
        (*index)++;
        status = config_read_flag(invocation->config, flag, argv[*index], &takes_next, &err);
    }
    if (status == BV_NOT_FOUND) {
        return usage_error("unexpected argument", argv[*index]);
    }
    if (status != BV_OK) {
        boot_failed(&err, "configuration");
        return EXIT_FAILED;
    }
    return 0;
}

/* Options may stand before or after the command; a Python verb or a tool takes the rest. */
static int
read_arguments(struct invocation *invocation, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        int code = 0;

        if (strcmp(argument, "-h") == 0 || strcmp(argument, "--help") == 0) {
            invocation->wants_help = true;
        } else if (strcmp(argument, "-V") == 0 || strcmp(argument, "--version") == 0) {
            invocation->wants_version = true;
        } else if (strcmp(argument, "-c") == 0) {
            if (i + 1 >= argc) {
                return usage_error("a value is required for", argument);
            }
            snprintf(invocation->config->file, sizeof invocation->config->file, "%s", argv[++i]);
        } else if (strncmp(argument, "--", 2) == 0 && argument[2] != '\0') {
            code = read_long_flag(invocation, argc, argv, &i);
        } else if (argument[0] == '-' || invocation->verb != NULL) {
            return usage_error("unexpected argument", argument);
        } else {
            invocation->verb = argument;
            invocation->verb_index = i;
            if (is_python_verb(argument) || find_tool(argument) != NULL) {
                return 0;
            }
        }
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

/* Whether that interpreter has the package; its own words for that name no remedy. */
static bool
has_package(const char *python)
{
    static const char probe[] =
        "import importlib.util, sys; sys.exit(importlib.util.find_spec('beava') is None)";
    const pid_t child = fork();
    int code = 0;

    if (child == 0) {
        execlp(python, python, "-c", probe, (char *)NULL);
        _exit(1);
    }
    return child > 0 && waitpid(child, &code, 0) == child && WIFEXITED(code) &&
           WEXITSTATUS(code) == 0;
}

static int
refuse_without_package(const char *verb)
{
    fprintf(stderr, "beava: error: %s: needs the Python package; pip install beava\n", verb);
    return EXIT_FAILED;
}

/* python3 -m beava VERB ..., with the interpreter beside this binary if there is one. */
static int
hand_over(int argc, char **argv, int verb_index)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 16);
    int count = argc - verb_index;
    char **arguments = calloc((size_t)count + 4, sizeof *arguments);
    char python[] = "python3";
    char module_flag[] = "-m";
    char module[] = "beava";
    char *slash;

    if (getenv("BEAVA_HANDED_OVER") != NULL) {
        free(arguments);
        return usage_error("unrecognized command", argv[verb_index]);
    }
    if (arguments == NULL) {
        return EXIT_FAILED;
    }
    setenv("BEAVA_HANDED_OVER", "1", 1);
    arguments[0] = python;
    arguments[1] = module_flag;
    arguments[2] = module;
    memcpy(arguments + 3, argv + verb_index, (size_t)count * sizeof *arguments);
    if (size > 0) {
        path[size] = '\0';
        slash = strrchr(path, '/');
        strcpy(slash + 1, python);
        arguments[0] = path; /* by which a virtual environment's Python finds its packages */
        if (access(path, X_OK) != 0) {
            arguments[0] = python;
        }
    }
    if (has_package(arguments[0])) {
        execvp(arguments[0], arguments);
    }
    free(arguments);
    return refuse_without_package(argv[verb_index]);
}

int
bv_command(int argc, char **argv)
{
    struct config *config = malloc(sizeof *config);
    struct invocation invocation = {.config = config};
    int code;

    if (config == NULL) {
        return EXIT_FAILED;
    }
    config_init(config);
    code = read_arguments(&invocation, argc, argv);
    if (code != 0) {
        goto done;
    }
    if (invocation.verb != NULL && find_tool(invocation.verb) != NULL) {
        code = find_tool(invocation.verb)(argc - invocation.verb_index - 1,
                                          argv + invocation.verb_index + 1);
    } else if (invocation.verb != NULL && is_python_verb(invocation.verb)) {
        code = hand_over(argc, argv, invocation.verb_index);
    } else if (invocation.wants_help ||
               (invocation.verb != NULL && strcmp(invocation.verb, "help") == 0)) {
        print_usage(stdout);
        config_print_help();
    } else if (invocation.wants_version ||
               (invocation.verb != NULL && strcmp(invocation.verb, "version") == 0)) {
        printf("beava %s\n", BEAVA_VERSION);
    } else if (invocation.verb == NULL || strcmp(invocation.verb, "serve") == 0) {
        code = serve_run(config);
    } else {
        code = usage_error("unrecognized command", invocation.verb);
    }
done:
    free(config);
    return code;
}
