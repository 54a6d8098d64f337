/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_OS_FAULT_H
#define BV_OS_FAULT_H

#include <pthread.h>
#include <stdatomic.h>

#include "os/file.h"

/* The twin of os_posix() that fails on command: the n-th call of a kind, once or for ever, with an
 * errno, a short count, or an "ok" for what was not done. For tests; any thread may call through
 * it while rules are set. */
enum os_call {
    OS_CALL_OPEN,
    OS_CALL_CLOSE,
    OS_CALL_READ,
    OS_CALL_WRITE,
    OS_CALL_SYNC, /* also the sync inside a write with RWF_DSYNC */
    OS_CALL_TRUNCATE,
    OS_CALL_SIZE,
    OS_CALL_RENAME,
    OS_CALL_UNLINK,
    OS_CALL_MKDIR,
    OS_CALL_LIST,
    OS_CALL_LOCK,
    OS_CALL_FS_TYPE,
    OS_CALL_FS_FREE,
    OS_CALL_COUNT,
};

struct os_fault_rule {
    uint64_t at;     /* fails from the at-th call on, counted from 1; 0: never */
    uint64_t times;  /* so many calls; 0: for ever */
    int error;       /* errno; 0: a short count (half), or "ok" without doing it for other calls */
    uint64_t result; /* FS_TYPE, FS_FREE: what to answer when error is 0 */
};

struct os_fault {
    struct os os; /* first: a struct os * is a struct os_fault * */
    struct os *real;
    pthread_mutex_t lock;                      /* of the rules */
    struct os_fault_rule rules[OS_CALL_COUNT]; /* set through os_fault_set */
    _Atomic uint64_t armed_at[OS_CALL_COUNT];  /* release: the rule's `at` */
    _Atomic uint64_t calls[OS_CALL_COUNT];
    _Atomic uint64_t failures;
    _Atomic uint32_t sync_delay_us;  /* every sync takes at least so long: makes groups gather */
    _Atomic uint32_t write_delay_us; /* the same for writes: a slow disk */
    bool refuse_direct;              /* O_DIRECT answers EINVAL, as some file systems do */
};

/* Passes everything through until rules are set. */
void os_fault_init(struct os_fault *fault, struct os *real);

/* From now on; `at` counts from the first call of all. A rule of zeros ends the old one. */
void os_fault_set(struct os_fault *fault, enum os_call call, struct os_fault_rule rule);
/* The same, with `at` counted from now: 1 is the next call. */
void os_fault_set_next(struct os_fault *fault, enum os_call call, struct os_fault_rule rule);

#endif
