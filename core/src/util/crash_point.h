/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_CRASH_POINT_H
#define BV_UTIL_CRASH_POINT_H

/* Named places where a test build can be made to die as by `kill -9`: BEAVA_CRASH_AT=<name>, or
 * <name>:<n> for the n-th time this process comes by. Only with -DBEAVA_CRASH_POINTS=ON; a release
 * build has no such places. The names, each between what it says and what follows:
 *
 *   apply.after_update      state has changed, nothing is logged yet
 *   wal.before_write  wal.after_write (not synced)  wal.after_sync (nobody has been told)
 *   wal.segment.before_rename  wal.segment.after_rename
 *   before-snapshot  snapshot.mid_write  before-rename  after-rename-before-truncate
 *   snapshot.after_dirsync  retire.mid
 *   resume.before_segment  resume.after_segment
 *   recovery.mid            some of the log has been replayed
 *   recovery.before_cut     a torn tail is in quarantine and still in the log */
#ifdef BEAVA_CRASH_POINTS
#define CRASH_POINT(name) crash_point_pass(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

/* Any thread. Does not return when it is this point's turn. */
void crash_point_pass(const char *name);

#endif
