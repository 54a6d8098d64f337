/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_OS_MACHINE_H
#define BV_OS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* What the kernel says about the machine and about this process. */

/* Bytes that this process may use: the tightest of its control groups (v2 or v1) and the machine's
 * memory; 0: nobody says. `root` stands before /proc and /sys: "" but in tests. */
uint64_t machine_memory_limit(const char *root);

struct machine_process {
    uint64_t cpu_us; /* user and system */
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t open_fds;
    uint64_t max_fds;
    uint64_t start_time_ms; /* UTC epoch */
};

/* What cannot be read stays 0. */
void machine_process_read(struct machine_process *out);

#endif
