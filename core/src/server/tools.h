/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_SERVER_TOOLS_H
#define BV_SERVER_TOOLS_H

/* Verbs that work on a data directory without a server. Arguments are those behind the verb. Exit
 * codes: 0 sound (or nothing lost), 1 damaged (or lost, or failed), 2 usage. */
int tools_verify(int argc, char **argv);
int tools_salvage(int argc, char **argv);

#endif
