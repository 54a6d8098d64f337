/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_NET_REACTOR_H
#define BV_NET_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

/* What is ready: one contract, one file per back end. Level-triggered: what was not taken is
 * reported again. One thread owns a reactor; only reactor_wake may be called from another. */
struct reactor;

#define REACTOR_READ   1u
#define REACTOR_WRITE  2u
#define REACTOR_HANGUP 4u /* only reported: error, or both directions are shut */

struct reactor_event {
    void *data;
    unsigned ready; /* REACTOR_* */
};

enum bv_status reactor_create(struct reactor **out, struct bv_error *err);
void reactor_destroy(struct reactor *reactor); /* accepts NULL */

enum bv_status reactor_add(struct reactor *reactor, int fd, unsigned interest, void *data,
                           struct bv_error *err);
void reactor_change(struct reactor *reactor, int fd, unsigned interest, void *data);
/* Before the descriptor is closed. */
void reactor_remove(struct reactor *reactor, int fd);

/* At most event_max events; 0 after the timeout (-1: none), a wake or a signal. */
unsigned reactor_wait(struct reactor *reactor, struct reactor_event *events, unsigned event_max,
                      int timeout_ms);
/* Makes the current or the next wait return. Any thread; async-signal-safe. */
void reactor_wake(struct reactor *reactor);
/* True once after a wake that reactor_wait has seen. */
bool reactor_take_wake(struct reactor *reactor);
/* Readable after reactor_wake, for whoever must wait for something else as well. */
int reactor_wake_fd(const struct reactor *reactor);

#endif
