/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_QUARANTINE_H
#define BV_DURABILITY_QUARANTINE_H

#include "durability/scan.h"

/* Bytes the log no longer counts, kept for people: <directory>/quarantine/. Nothing there is ever
 * replaced: a name that is taken gets a number behind it. */

/* Copies [from, to) of the open segment and syncs the copy; the segment is not changed. */
enum bv_status quarantine_tail(struct scan *scan, const char *directory, uint64_t from, uint64_t to,
                               struct bv_error *err);
/* Moves a whole file of the directory there. */
enum bv_status quarantine_file(struct os *os, const char *directory, const char *name,
                               struct bv_error *err);
enum bv_status quarantine_segment(struct os *os, const char *directory, uint64_t number,
                                  struct bv_error *err);

#endif
