/* SPDX-License-Identifier: Apache-2.0 */
/* The admin room inside libbeava.so: not there.
 *
 * Enters:  a wish for an admin listener.
 * Leaves:  BV_CONFIG, and where to find one.
 * Owner:   nobody.
 *
 * The library is loaded into other programs and shipped in a wheel; an HTTP library, and the TLS
 * library that comes with it, would outweigh the engine. The program `beava` carries the real one.
 */
#include <stddef.h>

#include "admin/admin.h"

enum bv_status
admin_start(struct admin **out, const char *address, const struct admin_source *source,
            struct bv_error *err)
{
    bv_error_set(err, BV_CONFIG, "admin_addr: a server inside a program has no admin listener");
    bv_error_hint(err, "leave admin_addr out, or run the program `beava`");
    return BV_CONFIG;
}

const char *
admin_address(const struct admin *admin)
{
    return "";
}

void
admin_stop(struct admin *admin)
{
}
