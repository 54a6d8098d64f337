/* SPDX-License-Identifier: Apache-2.0 */
#include "drive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "link.h"

#define EVENT_BATCH       512
#define RECEIVE_SIZE      (256u << 10)
#define DRAIN_PATIENCE_NS UINT64_C(30000000000)
#define SECOND_NS         1e9

struct drive {
    const struct options *options;
    struct drive_result *result;
    struct link *links; /* pushes, then readers, then the sampler */
    uint32_t push_count;
    uint32_t link_count;
    uint32_t sampler; /* index, link_count when there is none */
    int epoll_fd;
    char *space;
    bool is_stopping; /* nothing new is sent */
    bool is_broken;
    uint64_t start_ns;
    uint64_t stop_ns;
    uint64_t sample_ns; /* when the next sampled read is due */
    uint64_t first_send_ns;
    uint64_t last_send_ns;
    uint64_t last_ack_ns;
    uint64_t progress_ns; /* when something last arrived */
    uint64_t scheduled;   /* open loop: pushes whose time has come */
    double period_ns;     /* open loop: between two pushes of all connections */
};

static uint64_t
clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t
cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool
is_push(const struct drive *drive, const struct link *link)
{
    return (uint32_t)(link - drive->links) < drive->push_count;
}

/* epoll reports room in a socket only to those who wait for it. */
static void
watch(struct drive *drive, struct link *link)
{
    bool is_waiting = link->write_at < link->write_end;
    struct epoll_event event = {
        .events = EPOLLIN | (is_waiting ? EPOLLOUT : 0u),
        .data.ptr = link,
    };

    if (is_waiting != link->is_waiting_to_write) {
        epoll_ctl(drive->epoll_fd, EPOLL_CTL_MOD, link->fd, &event);
        link->is_waiting_to_write = is_waiting;
    }
}

static void
send_some(struct drive *drive, struct link *link, uint64_t count, uint64_t now_ns)
{
    if (!link_send(link, count, now_ns)) {
        drive->is_broken = true;
        return;
    }
    watch(drive, link);
    if (is_push(drive, link)) {
        if (drive->first_send_ns == 0) {
            drive->first_send_ns = now_ns;
        }
        drive->last_send_ns = now_ns;
    }
}

/* How many frames to collect before a write. Waiting for more than one holds back the
 * acknowledgement that travels with them: against a server that leaves Nagle's algorithm on, both
 * sides then wait for the other's timer. So it is one unless asked for. */
static uint32_t
batch_size(const struct options *options)
{
    uint32_t size = options->send_batch < options->pipeline_depth ? options->send_batch
                                                                  : options->pipeline_depth;

    return options->is_continuous ? size : options->pipeline_depth;
}

/* Closed loop: fills the connection up to its depth. */
static void
refill(struct drive *drive, struct link *link, uint64_t now_ns)
{
    uint64_t room = link->depth - link->in_flight;
    uint64_t least = is_push(drive, link) ? batch_size(drive->options) : 1;

    if (drive->is_stopping || link->write_at < link->write_end) {
        return;
    }
    room = room < link->quota ? room : link->quota;
    if (room > 0 && (room >= least || room == link->quota)) {
        send_some(drive, link, room, now_ns);
    }
}

static uint64_t
due_ns(const struct drive *drive, const struct link *link, uint64_t index)
{
    uint64_t global = index * drive->push_count + (uint64_t)(link - drive->links);

    return drive->start_ns + (uint64_t)((double)global * drive->period_ns);
}

/* Open loop: sends what is due and fits into the depth. */
static void
send_due(struct drive *drive, struct link *link, uint64_t now_ns)
{
    uint64_t count = link->due - link->sent;
    uint64_t room = link->depth - link->in_flight;
    uint64_t late_ns;

    if (count == 0 || room == 0 || link->write_at < link->write_end) {
        return;
    }
    late_ns = now_ns - due_ns(drive, link, link->sent);
    if (now_ns > due_ns(drive, link, link->sent) && late_ns > drive->result->late_ns_max) {
        drive->result->late_ns_max = late_ns;
    }
    count = count < room ? count : room;
    send_some(drive, link, count < link->quota ? count : link->quota, now_ns);
}

/* Hands out the pushes that became due, one connection after the other. */
static void
schedule(struct drive *drive, uint64_t now_ns)
{
    uint64_t until_ns = now_ns < drive->stop_ns ? now_ns : drive->stop_ns;
    uint64_t due = (uint64_t)((double)(until_ns - drive->start_ns) / drive->period_ns) + 1;
    uint64_t fresh;

    if (drive->result->requested != 0 && due > drive->result->requested) {
        due = drive->result->requested;
    }
    if (due <= drive->scheduled) {
        return;
    }
    fresh = due - drive->scheduled;
    for (uint64_t i = drive->scheduled; i < due; i++) {
        drive->links[i % drive->push_count].due++;
    }
    if (fresh > drive->push_count) {
        fresh = drive->push_count;
    }
    for (uint64_t i = 0; i < fresh; i++) {
        send_due(drive, &drive->links[(drive->scheduled + i) % drive->push_count], now_ns);
    }
    drive->scheduled = due;
}

/* Takes answered frames off the front of the connection's runs. */
static void
record_closed(struct histogram *histogram, struct link *link, uint64_t replies, uint64_t now_ns)
{
    while (replies > 0 && link->run_count > 0) {
        struct link_run *run = &link->runs[link->run_head];
        uint32_t count = run->count < replies ? run->count : (uint32_t)replies;

        histogram_add(histogram, now_ns - run->sent_ns, count);
        run->count -= count;
        replies -= count;
        if (run->count == 0) {
            link->run_head = (link->run_head + 1) & link->run_mask;
            link->run_count--;
        }
    }
}

static void
record_open(struct drive *drive, struct link *link, uint64_t replies, uint64_t now_ns)
{
    static struct histogram discarded;

    for (uint64_t i = 0; i < replies; i++) {
        uint64_t intended_ns = due_ns(drive, link, link->answered + i);

        histogram_add(&drive->result->push, now_ns > intended_ns ? now_ns - intended_ns : 0, 1);
    }
    record_closed(&discarded, link, replies, now_ns);
}

static void
take_replies(struct drive *drive, struct link *link, uint64_t replies, uint64_t now_ns)
{
    if (replies > link->in_flight) {
        fprintf(stderr, "more replies than requests\n");
        drive->is_broken = true;
        return;
    }
    if (!is_push(drive, link)) {
        record_closed(&drive->result->read, link, replies, now_ns);
    } else {
        if (drive->period_ns > 0.0) {
            record_open(drive, link, replies, now_ns);
        } else {
            record_closed(&drive->result->push, link, replies, now_ns);
        }
        drive->last_ack_ns = now_ns;
    }
    link->in_flight -= (uint32_t)replies;
    link->answered += replies;
    drive->progress_ns = now_ns;
}

static void
go_on(struct drive *drive, struct link *link, uint64_t now_ns)
{
    if ((uint32_t)(link - drive->links) == drive->sampler) {
        return; /* sends when its time comes */
    }
    if (drive->period_ns > 0.0 && is_push(drive, link)) {
        send_due(drive, link, now_ns);
    } else {
        refill(drive, link, now_ns);
    }
}

static void
serve(struct drive *drive, struct link *link, uint32_t events)
{
    uint64_t now_ns = 0;

    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        bool is_drained = false;

        while (!is_drained && !drive->is_broken) {
            uint64_t replies = 0;

            if (!link_receive(link, drive->space, RECEIVE_SIZE, &replies, &is_drained)) {
                drive->is_broken = true;
                return;
            }
            now_ns = clock_ns();
            if (replies > 0) {
                take_replies(drive, link, replies, now_ns);
            }
        }
    }
    if ((events & EPOLLOUT) != 0) {
        if (!link_flush(link)) {
            drive->is_broken = true;
            return;
        }
        watch(drive, link);
    }
    go_on(drive, link, now_ns != 0 ? now_ns : clock_ns());
}

static void
sample(struct drive *drive, uint64_t now_ns)
{
    if (drive->sampler < drive->link_count && now_ns >= drive->sample_ns && !drive->is_stopping) {
        struct link *link = &drive->links[drive->sampler];

        drive->sample_ns = now_ns + drive->options->get_sample_interval_ms * UINT64_C(1000000);
        if (link->in_flight == 0) {
            send_some(drive, link, 1, now_ns);
        }
    }
}

/* Nothing in flight, and nothing more to send. */
static bool
is_finished(const struct drive *drive)
{
    for (uint32_t i = 0; i < drive->push_count; i++) {
        const struct link *link = &drive->links[i];

        if (link->in_flight > 0 || (!drive->is_stopping && link->quota > 0) ||
            link->due > link->sent) {
            return false;
        }
    }
    return true;
}

static int
wait_ms(const struct drive *drive, uint64_t now_ns)
{
    uint64_t until_ns = now_ns + 100000000;

    if (drive->period_ns > 0.0 || drive->options->is_busy_polling) {
        return 0;
    }
    if (!drive->is_stopping && drive->stop_ns < until_ns) {
        until_ns = drive->stop_ns;
    }
    if (drive->sampler < drive->link_count && drive->sample_ns < until_ns) {
        until_ns = drive->sample_ns;
    }
    return until_ns > now_ns ? (int)((until_ns - now_ns) / 1000000) + 1 : 0;
}

static bool
is_over(struct drive *drive, uint64_t now_ns)
{
    if (now_ns >= drive->stop_ns) {
        drive->is_stopping = true;
    }
    if (now_ns - drive->progress_ns > DRAIN_PATIENCE_NS) {
        fprintf(stderr, "no reply for %u s\n", (unsigned)(DRAIN_PATIENCE_NS / 1000000000));
        drive->is_broken = true;
        return true;
    }
    return drive->is_broken;
}

static void
loop(struct drive *drive)
{
    struct epoll_event events[EVENT_BATCH];
    uint64_t now_ns = drive->start_ns;
    bool has_quota = drive->result->requested != 0;

    while (!is_over(drive, now_ns)) {
        int count;

        if (drive->period_ns > 0.0) {
            schedule(drive, now_ns);
        }
        sample(drive, now_ns);
        count = epoll_wait(drive->epoll_fd, events, EVENT_BATCH, wait_ms(drive, now_ns));
        for (int i = 0; i < count; i++) {
            serve(drive, events[i].data.ptr, events[i].events);
        }
        now_ns = clock_ns();
        if ((drive->is_stopping || has_quota) && is_finished(drive)) {
            break;
        }
    }
}

static bool
open_link(struct drive *drive, const struct pool *pool, uint64_t first, uint32_t depth,
          bool is_read)
{
    struct link *link = &drive->links[drive->link_count];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};

    if (!link_open(link, drive->options, pool, first, depth, is_read)) {
        return false;
    }
    drive->link_count++;
    return epoll_ctl(drive->epoll_fd, EPOLL_CTL_ADD, link->fd, &event) == 0;
}

/* Each connection begins elsewhere in the pool, so that together they send all of it. */
static bool
open_links(struct drive *drive, const struct pool *pushes, const struct pool *reads)
{
    const struct options *options = drive->options;
    uint64_t total = options->total_events;
    uint32_t count = options->parallel;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t share = pushes->count / count;
        uint64_t extra = pushes->count % count;
        uint64_t first = i * share + (i < extra ? i : extra);

        if (!open_link(drive, pushes, first % pushes->count, options->pipeline_depth, false)) {
            return false;
        }
        if (total != 0) {
            drive->links[i].quota = total / count + (i < total % count);
        }
    }
    drive->push_count = count;
    for (uint32_t i = 0; i < options->read_workers; i++) {
        if (!open_link(drive, reads, i % reads->count, 1, true)) {
            return false;
        }
    }
    drive->sampler = drive->link_count;
    if (options->get_sample_interval_ms > 0 && reads->count > 0 &&
        !open_link(drive, reads, 0, 1, true)) {
        return false;
    }
    return true;
}

static void
collect(struct drive *drive)
{
    struct drive_result *result = drive->result;

    for (uint32_t i = 0; i < drive->link_count; i++) {
        const struct link *link = &drive->links[i];
        const struct scan *scan = &link->scan;

        if (!is_push(drive, link)) {
            result->reads += scan->good;
            result->read_errors += scan->bad;
        } else {
            result->pushed += link->sent;
            result->acked += scan->good;
            result->push_errors += scan->bad;
            if (scan->good > 0) {
                if (result->lsn_first == 0 || scan->lsn_first < result->lsn_first) {
                    result->lsn_first = scan->lsn_first;
                }
                if (scan->lsn_last > result->lsn_last) {
                    result->lsn_last = scan->lsn_last;
                }
            }
        }
        if (result->error[0] == '\0') {
            memcpy(result->error, scan->error, sizeof result->error);
        }
    }
    if (result->requested == 0) {
        result->requested = result->pushed;
    }
    result->elapsed_ns =
        drive->last_ack_ns > drive->start_ns ? drive->last_ack_ns - drive->start_ns : 0;
    result->send_drain_ns = drive->last_send_ns - drive->first_send_ns;
}

static void
start(struct drive *drive)
{
    const struct options *options = drive->options;
    double limit_secs = options->duration_secs;

    if (options->total_events != 0 && limit_secs < 3600.0) {
        limit_secs = 3600.0;
    }
    if (options->rate > 0.0) {
        drive->period_ns = SECOND_NS / options->rate;
    }
    drive->start_ns = clock_ns();
    drive->stop_ns = drive->start_ns + (uint64_t)(limit_secs * SECOND_NS);
    drive->sample_ns = drive->start_ns;
    drive->progress_ns = drive->start_ns;
    for (uint32_t i = 0; i < drive->link_count && !drive->is_broken; i++) {
        go_on(drive, &drive->links[i], clock_ns());
    }
}

bool
drive_run(struct drive_result *out, const struct options *options, const struct pool *pushes,
          const struct pool *reads)
{
    struct drive drive = {
        .options = options,
        .result = out,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .space = malloc(SCAN_CARRY_MAX + RECEIVE_SIZE),
        .links = calloc((size_t)options->parallel + options->read_workers + 1, sizeof(struct link)),
    };

    memset(out, 0, sizeof *out);
    out->requested = options->total_events;
    drive.is_broken = drive.epoll_fd < 0 || drive.space == NULL || drive.links == NULL ||
                      !open_links(&drive, pushes, reads);
    if (!drive.is_broken) {
        uint64_t before_ns = cpu_ns();

        start(&drive);
        loop(&drive);
        out->cpu_ns = cpu_ns() - before_ns;
        collect(&drive);
    }
    for (uint32_t i = 0; i < drive.link_count; i++) {
        link_close(&drive.links[i]);
    }
    if (drive.epoll_fd >= 0) {
        close(drive.epoll_fd);
    }
    free(drive.links);
    free(drive.space);
    return !drive.is_broken;
}
