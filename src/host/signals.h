/*
 * Signals of the host: a polite request to stop, and putting the terminal
 * back before the process dies of something else.
 */
#ifndef HOST_SIGNALS_H
#define HOST_SIGNALS_H

/*
 * From now on SIGINT, SIGTERM and SIGHUP ask the run to stop (a second one
 * ends the process at once), SIGPIPE is ignored, a fatal signal first restores
 * the terminal, and a mapped file that was cut short ends the process with
 * one line and status 125.
 */
void signals_install(void);

/* The signal that asked to stop, 0 when none did. */
int signals_stop(void);

/* As if the signal had come: the user asked from the console. */
void signals_request_stop(int signal);

#endif
