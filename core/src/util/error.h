/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_ERROR_H
#define BV_UTIL_ERROR_H

#include "beava.h"
#include "util/slice.h"

/* Errors are caller-owned and never allocate. `struct bv_error` is public (beava.h): a status, the
 * path of what is wrong (`nodes[0].ops[1].expr`, `data.amount`), a one-line message that names the
 * thing and the limit, and a hint that names the fix where one is likely. */

/* Sets status and message (printf style), clears path and hint; returns status. err may be NULL. */
enum bv_status bv_error_set(struct bv_error *err, enum bv_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void bv_error_path(struct bv_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void bv_error_hint(struct bv_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Client text in a message: at most 200 bytes, cut on a UTF-8 boundary, in one of four rotating
 * thread-local buffers; for use as an argument of the calls above ("%s"). */
const char *bv_error_quote(struct slice text);

/* status -> HTTP status, wire code, sentence */
int bv_status_http(enum bv_status status);
const char *bv_status_code(enum bv_status status);
const char *bv_status_text(enum bv_status status);

#endif
