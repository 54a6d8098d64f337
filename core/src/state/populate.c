/* SPDX-License-Identifier: Apache-2.0 */
/* First touch, away from the apply thread.
 *
 * Enters:  how far memory shall be touched, through populate_ask().
 * Leaves:  touched memory; populate_done_bytes() for those who want to know.
 * Owner:   the populate thread, which sleeps on a semaphore while there is nothing to do.
 *
 * Invariants
 *   (1) It writes no byte: MADV_POPULATE_WRITE faults pages in and leaves contents alone, so it may
 *       run beside the apply thread in the same page.
 *   (2) When it cannot touch (an old kernel, memory spent) it ends, and apply pays its own faults:
 *       slower, never wrong.
 *
 * asked_bytes and is_stopping are written by the apply thread, done_bytes by this one. The
 * semaphore orders them; release and acquire are stated where they are read without it. */
#include "state/populate.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define POPULATE_STACK_BYTES (64u * 1024)

struct populate {
    uint8_t *base;
    uint64_t limit_bytes;
    _Atomic uint64_t asked_bytes;
    _Atomic uint64_t done_bytes;
    atomic_bool is_stopping;
    sem_t work;
    pthread_t thread;
};

/* One step; false when this machine will not do it. */
static bool
touch_step(struct populate *populate)
{
    uint64_t done = atomic_load_explicit(&populate->done_bytes, memory_order_relaxed);
    uint64_t step = populate->limit_bytes - done;

    if (step > POPULATE_STEP_BYTES) {
        step = POPULATE_STEP_BYTES;
    }
    while (madvise(populate->base + done, step, MADV_POPULATE_WRITE) != 0) {
        if (errno != EINTR && errno != EAGAIN) {
            return false;
        }
    }
    atomic_store_explicit(&populate->done_bytes, done + step, memory_order_release);
    return true;
}

static void *
populate_main(void *context)
{
    struct populate *populate = context;

    for (;;) {
        while (sem_wait(&populate->work) != 0) {
            /* interrupted */
        }
        for (;;) {
            uint64_t done = atomic_load_explicit(&populate->done_bytes, memory_order_relaxed);

            if (atomic_load_explicit(&populate->is_stopping, memory_order_acquire)) {
                return NULL;
            }
            if (done >= atomic_load_explicit(&populate->asked_bytes, memory_order_acquire) ||
                done >= populate->limit_bytes) {
                break;
            }
            if (!touch_step(populate)) {
                return NULL;
            }
        }
    }
}

/* Signals belong to the thread that serves them, so this one blocks all. */
static int
start_thread(struct populate *populate)
{
    sigset_t all;
    sigset_t before;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);

    if (error != 0) {
        return error;
    }
    pthread_attr_setstacksize(&attributes, POPULATE_STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&populate->thread, &attributes, populate_main, populate);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error == 0) {
        pthread_setname_np(populate->thread, "bv-populate");
    }
    return error;
}

enum bv_status
populate_create(struct populate **out, uint8_t *base, uint64_t limit_bytes, struct bv_error *err)
{
    struct populate *populate = calloc(1, sizeof *populate);
    int error;

    if (populate == NULL) {
        return bv_error_set(err, BV_NO_MEMORY, "populate thread");
    }
    populate->base = base;
    populate->limit_bytes = limit_bytes;
    sem_init(&populate->work, 0, 0);
    error = start_thread(populate);
    if (error != 0) {
        sem_destroy(&populate->work);
        free(populate);
        return bv_error_set(err, BV_NO_MEMORY, "populate thread: %s", strerror(error));
    }
    *out = populate;
    return BV_OK;
}

void
populate_destroy(struct populate *populate)
{
    if (populate == NULL) {
        return;
    }
    atomic_store_explicit(&populate->is_stopping, true, memory_order_release);
    sem_post(&populate->work);
    pthread_join(populate->thread, NULL);
    sem_destroy(&populate->work);
    free(populate);
}

void
populate_ask(struct populate *populate, uint64_t bytes)
{
    atomic_store_explicit(&populate->asked_bytes, bytes, memory_order_release);
    sem_post(&populate->work);
}

uint64_t
populate_done_bytes(const struct populate *populate)
{
    return atomic_load_explicit(&populate->done_bytes, memory_order_acquire);
}
