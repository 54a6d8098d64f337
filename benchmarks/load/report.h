/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_REPORT_H
#define BEAVA_LOAD_REPORT_H

#include "client.h"
#include "drive.h"

/* Lines for people and scripts on stderr, one JSON object with everything on stdout. `counted` is
 * NULL without --verify. */
void report_print(const struct options *options, const struct drive_result *result,
                  const struct client_count *counted, uint64_t pool_frames);

#endif
