/* SPDX-License-Identifier: Apache-2.0 */
/* The program `beava`: the command line of beava.h and nothing else. */
#include "beava.h"

int
main(int argc, char **argv)
{
    return bv_command(argc, argv);
}
