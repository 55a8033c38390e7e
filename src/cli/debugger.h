/* replay --gdb: a debugger attached to a replay. */
#ifndef CLI_DEBUGGER_H
#define CLI_DEBUGGER_H

#include <stdbool.h>

#include "replay/player.h"

#define DEBUGGER_ADDRESS "localhost:1234"

/* Serves one gdb after the other at `address` ("": DEBUGGER_ADDRESS), until one
 * kills the replay or a signal asks to stop. Says on stderr where it waits,
 * unless `quiet`. Returns 0 or a negative code. */
int debugger_serve(struct player *player, const char *address, bool quiet, struct error *error);

#endif
