/*
 * The user's terminal: raw mode on standard input, size.
 */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

/* Standard input, if it is a terminal and we are its foreground job, gives
 * each key at once and unchanged from now on; Ctrl-C too is only a byte, and
 * output is not changed either: a line of ours ends with CR and LF then.
 * Returns whether it does. Undone by terminal_restore, which exit calls. */
bool terminal_raw(void);
/* Puts the terminal back as terminal_raw found it. Safe in signal handlers;
 * does nothing when there is nothing to put back. */
void terminal_restore(void);

bool terminal_is_output(int descriptor);
/* Columns of the terminal behind standard error, 80 when unknown. */
unsigned terminal_columns(void);

#endif
