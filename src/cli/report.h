/*
 * What Groundhog itself says about a run, on standard error.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "replay/outcome.h"
#include "replay/trace_reader.h"

/* "1,234,567" */
#define REPORT_NUMBER 32
const char *report_number(char text[REPORT_NUMBER], uint64_t number);

/* Copies a text, cut to fit, control characters as "?": what came from a file
 * must not reach the user's terminal as a command. Returns `to`. */
const char *report_printable(char *to, uint64_t size, const char *text);

/* How the run ended, instructions, virtual and host time, MIPS, peak memory. */
void report_run(const char *verb, const struct outcome *outcome, uint64_t instructions,
                uint64_t virtual_ns, double host_seconds);

/* A report on standard error, and frees it. NULL: nothing. */
void report_statistics(char *text);

/* The trace's size, by kind of record. */
void report_trace(FILE *to, const char *path, const struct trace_info *info);

#endif
