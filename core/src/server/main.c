/* SPDX-License-Identifier: Apache-2.0 */
#include "beava.h"

int
main(int argc, char **argv)
{
    return bv_command(argc, argv);
}
