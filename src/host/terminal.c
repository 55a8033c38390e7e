/* The user's terminal; see terminal.h. */
#include "host/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved_mode;
static volatile sig_atomic_t mode_is_saved;

bool terminal_raw(void)
{
    struct termios raw;
    if (mode_is_saved)
        return true;
    if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
        tcgetattr(STDIN_FILENO, &saved_mode) < 0)
        return false;
    raw = saved_mode;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_oflag &= ~(tcflag_t)OPOST; /* a guest's editor means a bare LF as one */
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return false;
    mode_is_saved = 1;
    atexit(terminal_restore);
    return true;
}

void terminal_restore(void)
{
    if (!mode_is_saved)
        return;
    mode_is_saved = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved_mode);
}

bool terminal_is_output(int descriptor)
{
    return isatty(descriptor);
}

unsigned terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
        return 80;
    return size.ws_col;
}
