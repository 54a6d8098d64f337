/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener, on libmicrohttpd.
 *
 * Enters:  GET and HEAD on five paths.
 * Leaves:  what the source writes, with its status and content type; 405 and 404 without a body.
 * Owner:   the thread "beava-admin"; admin_start and admin_stop belong to whoever starts it.
 *
 * Invariants
 *   (1) The library runs on our thread only, which waits for its descriptor and ours: so the thread
 *       has its name, and stopping it is one write.
 *   (2) Nothing that a client sends is kept: bodies are discarded as they come. */
#include "admin/admin.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/listener.h"

#define CONNECTIONS_MAX 64
#define IDLE_SECONDS    30

struct admin {
    struct admin_source source;
    struct MHD_Daemon *daemon;
    struct listener listener; /* its descriptor is the library's once that has started */
    pthread_t thread;
    int wake_fd; /* readable: stop */
    int poll_fd; /* the library's */
    char address[NET_ADDRESS_TEXT_MAX];
};

/* ---- answers ---- */

static int
write_health(const struct admin *admin, struct buf *out)
{
    buf_text(out, "{\"status\":\"ok\"}");
    return MHD_HTTP_OK;
}

static int
write_ready(const struct admin *admin, struct buf *out)
{
    static const char *const names[] = {
        [ADMIN_READY] = "ready",         [ADMIN_RECOVERING] = "recovering",
        [ADMIN_READ_ONLY] = "read_only", [ADMIN_STOPPING] = "stopping",
        [ADMIN_STALLED] = "stalled",
    };
    enum admin_state state;
    struct buf reasons;

    buf_init(&reasons);
    state = admin->source.readiness(admin->source.context, &reasons);
    if (state != ADMIN_READY) {
        buf_text(out, "{\"reasons\":[");
        buf_append(out, reasons.data, reasons.size);
        buf_text(out, "],");
    } else {
        buf_text(out, "{");
    }
    buf_printf(out, "\"status\":\"%s\"}", names[state]);
    buf_deinit(&reasons);
    return state == ADMIN_READY ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static int
write_registry(const struct admin *admin, struct buf *out)
{
    admin->source.registry(admin->source.context, out);
    return MHD_HTTP_OK;
}

static int
write_metrics(const struct admin *admin, struct buf *out)
{
    admin->source.metrics(admin->source.context, out);
    return MHD_HTTP_OK;
}

static int
write_version(const struct admin *admin, struct buf *out)
{
    buf_text(out, "{\"version\":\"" BEAVA_VERSION "\"}");
    return MHD_HTTP_OK;
}

struct path {
    const char *text;
    const char *content_type;
    int (*write)(const struct admin *admin, struct buf *out); /* returns the HTTP status */
};

#define TYPE_JSON    "application/json"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

static const struct path paths[] = {
    {"/health", TYPE_JSON, write_health},     {"/ready", TYPE_JSON, write_ready},
    {"/registry", TYPE_JSON, write_registry}, {"/metrics", TYPE_METRICS, write_metrics},
    {"/version", TYPE_JSON, write_version},
};

static const struct path *
find_path(const char *text)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (strcmp(paths[i].text, text) == 0) {
            return &paths[i];
        }
    }
    return NULL;
}

static enum MHD_Result
send_reply(struct MHD_Connection *connection, int status, const struct buf *body,
           const char *header, const char *value)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->size, body->data, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_NO;

    if (response == NULL) {
        return MHD_NO;
    }
    /* Published tests tell the planes apart by this word. */
    if (MHD_add_response_header(response, "x-runtime", "tokio") == MHD_YES &&
        (header == NULL || MHD_add_response_header(response, header, value) == MHD_YES)) {
        result = MHD_queue_response(connection, (unsigned)status, response);
    }
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result
answer(const struct admin *admin, struct MHD_Connection *connection, const char *url,
       const char *method)
{
    const struct path *path = find_path(url);
    bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    enum MHD_Result result;
    struct buf body;
    int status;

    buf_init(&body);
    if (path == NULL) {
        result = send_reply(connection, MHD_HTTP_NOT_FOUND, &body, NULL, NULL);
    } else if (!is_read) {
        result = send_reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, &body, "allow", "GET,HEAD");
    } else {
        status = path->write(admin, &body);
        result = body.failed
                     ? MHD_NO
                     : send_reply(connection, status, &body, "content-type", path->content_type);
    }
    buf_deinit(&body);
    return result;
}

/* Called first when the head is there, then for each piece of a body, then at its end. */
static enum MHD_Result
handle_request(void *context, struct MHD_Connection *connection, const char *url,
               const char *method, const char *version, const char *upload, size_t *upload_size,
               void **request_context)
{
    static char has_head;

    if (*request_context == NULL) {
        *request_context = &has_head;
        return MHD_YES;
    }
    if (*upload_size != 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    return answer(context, connection, url, method);
}

/* ---- life ---- */

static void *
run_admin(void *context)
{
    struct admin *admin = context;
    struct pollfd fds[2] = {
        {.fd = admin->wake_fd, .events = POLLIN},
        {.fd = admin->poll_fd, .events = POLLIN},
    };
    sigset_t all;

    sigfillset(&all); /* they are the program's; and a peer that is gone is no reason to die */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "beava-admin");
    while ((fds[0].revents & POLLIN) == 0) {
        MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
        bool has_timeout = MHD_get_timeout(admin->daemon, &timeout_ms) == MHD_YES;

        poll(fds, 2, has_timeout ? (int)timeout_ms : -1);
        MHD_run(admin->daemon);
    }
    return NULL;
}

static enum bv_status
listen_on(struct admin *admin, const char *address, struct bv_error *err)
{
    struct net_address parsed;
    struct bv_error why;
    enum bv_status status = net_address_parse(&parsed, address, &why);

    if (status == BV_OK) {
        status = listener_bind(&admin->listener, TRANSPORT_HTTP, &parsed, &why);
    }
    if (status == BV_OK) {
        status = listener_listen(&admin->listener, &why);
    }
    if (status != BV_OK) {
        return bv_error_set(err, BV_IO, "failed to bind %.200s: %.300s", address, why.message);
    }
    net_address_format(admin->address, &admin->listener.address);
    return BV_OK;
}

static enum bv_status
start_library(struct admin *admin, struct bv_error *err)
{
    const union MHD_DaemonInfo *info;

    admin->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, handle_request, admin, MHD_OPTION_LISTEN_SOCKET,
        admin->listener.fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_END);
    if (admin->daemon == NULL) {
        return bv_error_set(err, BV_IO, "failed to start the admin listener: %s", strerror(errno));
    }
    admin->listener.fd = -1; /* closed with the daemon */
    info = MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || info->epoll_fd < 0) {
        return bv_error_set(err, BV_IO, "the admin listener has nothing to wait for");
    }
    admin->poll_fd = info->epoll_fd;
    return BV_OK;
}

static void
destroy(struct admin *admin)
{
    if (admin->daemon != NULL) {
        MHD_stop_daemon(admin->daemon);
    }
    listener_close(&admin->listener);
    if (admin->wake_fd >= 0) {
        close(admin->wake_fd);
    }
    free(admin);
}

enum bv_status
admin_start(struct admin **out, const char *address, const struct admin_source *source,
            struct bv_error *err)
{
    enum bv_status status = BV_OK;
    struct admin *admin = calloc(1, sizeof *admin);

    if (admin == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "no memory for the admin listener");
    }
    admin->source = *source;
    admin->listener = (struct listener){.fd = -1, .reserve_fd = -1};
    admin->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (admin->wake_fd < 0) {
        status = bv_error_set(err, BV_IO, "eventfd: %s", strerror(errno));
        goto done;
    }
    status = listen_on(admin, address, err);
    if (status == BV_OK) {
        status = start_library(admin, err);
    }
    if (status == BV_OK && pthread_create(&admin->thread, NULL, run_admin, admin) != 0) {
        status = bv_error_set(err, BV_NO_MEMORY, "cannot start the admin thread");
    }
    if (status != BV_OK) {
        goto done;
    }
    *out = admin;
    admin = NULL;
done:
    if (admin != NULL) {
        destroy(admin);
    }
    return status;
}

const char *
admin_address(const struct admin *admin)
{
    return admin->address;
}

void
admin_stop(struct admin *admin)
{
    const uint64_t one = 1;

    if (admin == NULL) {
        return;
    }
    if (write(admin->wake_fd, &one, sizeof one) == (ssize_t)sizeof one) {
        pthread_join(admin->thread, NULL);
    }
    destroy(admin);
}
