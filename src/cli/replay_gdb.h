/* groundhog replay --gdb: waits for gdb and lets it drive the replay. */
#ifndef CLI_REPLAY_GDB_H
#define CLI_REPLAY_GDB_H

#include <stdbool.h>

#include "replay/player.h"
#include "util/error.h"

/* Serves gdb at `address` until it kills the replay, or (after detaching) no
 * longer; says where it waits on stderr unless `quiet`. Returns 0 or a
 * negative code. */
int replay_gdb(struct player *player, const char *address, bool quiet, struct error *error);

#endif
