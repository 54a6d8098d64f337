/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP on a connection: any bytes, any cuts, the same requests and replies. */
#include "fuzz_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_both_ways(TRANSPORT_HTTP, data, size);
    return 0;
}
