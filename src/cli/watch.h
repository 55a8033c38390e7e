/*
 * What a run writes of the code that it translates: `-d in_asm,out_asm` with
 * `-D FILE`, and the map that perf reads (`--perf-map`).
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/options.h"

struct watch;

/* Opens what the options ask for and fills in options->runner.engine.watch.
 * *watch is NULL when they ask for nothing. */
int watch_open(struct watch **watch, struct options *options, struct error *error);
/* Also for NULL. */
void watch_close(struct watch *watch);

#endif
