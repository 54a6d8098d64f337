/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "admin/admin.h"
#include "net/listener.h"

static _Atomic int current_state;

static enum admin_state
say_readiness(void *context, struct buf *reasons)
{
    int state = atomic_load(&current_state);

    if (state != ADMIN_READY) {
        buf_text(reasons, "\"one\",\"two\"");
    }
    return (enum admin_state)state;
}

static void
say_registry(void *context, struct buf *json)
{
    buf_text(json, context);
}

static void
say_metrics(void *context, struct buf *text)
{
    for (int i = 0; i < 3000; i++) { /* more than a socket takes at once on some days */
        buf_printf(text, "line{n=\"%d\"} 1\n", i);
    }
}

static struct admin *
start(const char *address)
{
    static char registry[] = "{\"node_count\":0,\"version\":0}";
    const struct admin_source source = {registry, say_readiness, say_registry, say_metrics};
    struct admin *admin = NULL;
    struct bv_error err = {0};

    if (admin_start(&admin, address, &source, &err) != BV_OK) {
        fail_msg("%s", err.message);
    }
    return admin;
}

static int
connect_to(const struct admin *admin)
{
    struct net_address address;
    int fd;

    assert_int_equal(net_address_parse(&address, admin_address(admin), NULL), BV_OK);
    fd = socket(address.at.any.sa_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &address.at.any, address.size), 0);
    return fd;
}

/* One request on a connection of its own; the whole reply as a string, to be freed. */
static char *
ask(const struct admin *admin, const char *method, const char *path, const char *rest)
{
    enum { SIZE = 1 << 20 };
    int fd = connect_to(admin);
    char *reply = calloc(1, SIZE);
    char request[1024];
    size_t got = 0;
    ssize_t count;

    assert_non_null(reply);
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
             method, path, rest == NULL ? "" : rest);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    while ((count = recv(fd, reply + got, SIZE - 1 - got, 0)) > 0) {
        got += (size_t)count;
    }
    close(fd);
    return reply;
}

static void
assert_has(const char *reply, const char *part)
{
    if (strcasestr(reply, part) == NULL) {
        fail_msg("no \"%s\" in:\n%s", part, reply);
    }
}

static void
check(const struct admin *admin, const char *method, const char *path, const char *status,
      const char *type, const char *body)
{
    char *reply = ask(admin, method, path, NULL);
    char header[128];

    assert_has(reply, status);
    assert_has(reply, "\r\nx-runtime: tokio\r\n");
    assert_has(reply, "\r\ndate: ");
    if (type == NULL) {
        assert_null(strcasestr(reply, "\r\ncontent-type:"));
    } else {
        snprintf(header, sizeof header, "\r\ncontent-type: %s\r\n", type);
        assert_has(reply, header);
    }
    if (body != NULL) {
        bool is_head = strcmp(method, "HEAD") == 0;

        snprintf(header, sizeof header, "\r\ncontent-length: %zu\r\n", strlen(body));
        assert_has(reply, header);
        assert_string_equal(strstr(reply, "\r\n\r\n") + 4, is_head ? "" : body);
    }
    free(reply);
}

static void
test_five_paths_answer_get_and_head(void **state)
{
    static const char *const methods[] = {"GET", "HEAD"};
    struct admin *admin = start("127.0.0.1:0");

    for (unsigned i = 0; i < 2; i++) {
        const char *method = methods[i];

        check(admin, method, "/health", " 200 ", "application/json", "{\"status\":\"ok\"}");
        check(admin, method, "/ready", " 200 ", "application/json", "{\"status\":\"ready\"}");
        check(admin, method, "/registry?x=1", " 200 ", "application/json",
              "{\"node_count\":0,\"version\":0}");
        check(admin, method, "/version", " 200 ", "application/json",
              "{\"version\":\"" BEAVA_VERSION "\"}");
        check(admin, method, "/metrics", " 200 ", "text/plain; version=0.0.4; charset=utf-8", NULL);
    }
    admin_stop(admin);
}

static void
test_a_long_reply_arrives_whole(void **state)
{
    struct admin *admin = start("127.0.0.1:0");
    char *reply = ask(admin, "GET", "/metrics", NULL);

    assert_has(reply, "line{n=\"2999\"} 1\n");
    free(reply);
    admin_stop(admin);
}

static void
test_other_methods_and_paths_are_refused_without_a_body(void **state)
{
    struct admin *admin = start("127.0.0.1:0");
    char *reply;

    check(admin, "GET", "/", " 404 ", NULL, "");
    check(admin, "GET", "/health/", " 404 ", NULL, "");
    check(admin, "POST", "/snapshot", " 404 ", NULL, "");
    check(admin, "DELETE", "/health", " 405 ", NULL, "");
    reply = ask(admin, "POST", "/ready", "Content-Length: 5\r\n\r\nhello");
    assert_has(reply, " 405 ");
    assert_has(reply, "\r\nallow: GET,HEAD\r\n");
    free(reply);
    admin_stop(admin);
}

static void
test_what_is_not_ready_says_why(void **state)
{
    static const struct {
        enum admin_state state;
        const char *body;
    } cases[] = {
        {ADMIN_RECOVERING, "{\"reasons\":[\"one\",\"two\"],\"status\":\"recovering\"}"},
        {ADMIN_READ_ONLY, "{\"reasons\":[\"one\",\"two\"],\"status\":\"read_only\"}"},
        {ADMIN_STOPPING, "{\"reasons\":[\"one\",\"two\"],\"status\":\"stopping\"}"},
        {ADMIN_STALLED, "{\"reasons\":[\"one\",\"two\"],\"status\":\"stalled\"}"},
    };
    struct admin *admin = start("127.0.0.1:0");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        atomic_store(&current_state, cases[i].state);
        check(admin, "GET", "/ready", " 503 ", "application/json", cases[i].body);
        check(admin, "GET", "/health", " 200 ", "application/json", NULL);
    }
    atomic_store(&current_state, ADMIN_READY);
    admin_stop(admin);
}

static void
test_it_speaks_ipv6(void **state)
{
    struct admin *admin = start("[::1]:0");

    assert_memory_equal(admin_address(admin), "[::1]:", 6);
    assert_string_not_equal(admin_address(admin), "[::1]:0");
    check(admin, "GET", "/health", " 200 ", "application/json", NULL);
    admin_stop(admin);
}

static void
test_a_taken_port_and_a_bad_address_say_so(void **state)
{
    struct admin *first = start("127.0.0.1:0");
    const struct admin_source source = {NULL, say_readiness, say_registry, say_metrics};
    struct admin *second = NULL;
    struct bv_error err;
    char wanted[128];

    assert_int_equal(admin_start(&second, admin_address(first), &source, &err), BV_IO);
    snprintf(wanted, sizeof wanted, "failed to bind %s: Address already in use",
             admin_address(first));
    assert_string_equal(err.message, wanted);
    assert_int_equal(admin_start(&second, "nowhere", &source, &err), BV_IO);
    assert_null(second);
    admin_stop(first);
    admin_stop(NULL);
}

static void
test_its_thread_has_a_name(void **state)
{
    struct admin *admin = start("127.0.0.1:0");
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned found = 0;

    check(admin, "GET", "/health", " 200 ", "application/json", NULL); /* it runs by now */
    assert_non_null(tasks);
    while ((entry = readdir(tasks)) != NULL) {
        char path[300];
        char name[32] = "";
        FILE *file;

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        file = fopen(path, "r");
        if (file != NULL) {
            found += fgets(name, sizeof name, file) != NULL && strcmp(name, "beava-admin\n") == 0;
            fclose(file);
        }
    }
    closedir(tasks);
    assert_int_equal(found, 1);
    admin_stop(admin);
}

static void
test_it_stops_with_clients_connected(void **state)
{
    struct admin *admin = start("127.0.0.1:0");
    int silent = connect_to(admin);
    int half = connect_to(admin);
    char byte;

    assert_int_equal(send(half, "GET /he", 7, MSG_NOSIGNAL), 7);
    check(admin, "GET", "/health", " 200 ", "application/json", NULL);
    admin_stop(admin);
    assert_true(recv(silent, &byte, 1, 0) <= 0);
    assert_true(recv(half, &byte, 1, 0) <= 0);
    close(silent);
    close(half);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_paths_answer_get_and_head),
        cmocka_unit_test(test_a_long_reply_arrives_whole),
        cmocka_unit_test(test_other_methods_and_paths_are_refused_without_a_body),
        cmocka_unit_test(test_what_is_not_ready_says_why),
        cmocka_unit_test(test_it_speaks_ipv6),
        cmocka_unit_test(test_a_taken_port_and_a_bad_address_say_so),
        cmocka_unit_test(test_its_thread_has_a_name),
        cmocka_unit_test(test_it_stops_with_clients_connected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
