/* Signals of the host; see signals.h. A handler can reach only globals: the
 * two here and the saved terminal mode are all that src/host has. */
#include "host/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "host/terminal.h"

static volatile sig_atomic_t stop_signal;

static void stop_handler(int number)
{
    if (stop_signal) {
        terminal_restore();
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    stop_signal = number;
}

/* Installed with SA_RESETHAND: the second time the default action comes. */
static void fatal_handler(int number)
{
    terminal_restore();
    raise(number);
}

static void bus_handler(int number)
{
    static const char line[] =
        "groundhog: a file of the machine was cut short while it was in use\n";
    (void)number;
    terminal_restore();
    ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
    (void)written;
    _exit(125);
}

static void install(int number, void (*handler)(int), int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* nohup and shells in the background ignore these; leave that as it is. */
static void install_stop(int number)
{
    struct sigaction old;
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
        return;
    install(number, stop_handler, 0); /* no SA_RESTART: waits end */
}

void signals_install(void)
{
    install_stop(SIGINT);
    install_stop(SIGTERM);
    install_stop(SIGHUP);
    install(SIGPIPE, SIG_IGN, 0);
    install(SIGBUS, bus_handler, 0);
    install(SIGABRT, fatal_handler, (int)SA_RESETHAND);
    install(SIGSEGV, fatal_handler, (int)SA_RESETHAND);
    install(SIGQUIT, fatal_handler, (int)SA_RESETHAND);
}

int signals_stop(void)
{
    return stop_signal;
}

void signals_request_stop(int signal)
{
    stop_signal = signal;
}
