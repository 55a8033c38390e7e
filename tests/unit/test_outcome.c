/* Ends and exit statuses; the panic line in the output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay/outcome.h"

static int status(enum machine_end end, uint32_t exit_status, bool panic)
{
    struct machine_state state = {.end = end, .exit_status = exit_status};
    struct outcome outcome = outcome_of_machine(&state, panic);
    /* The machine's own ends are the replay's too, through the end record. */
    struct trace_event event = {0};
    outcome_to_end(&outcome, &event);
    struct outcome again = outcome_of_end(&event);
    assert_int_equal(again.kind, outcome.kind);
    assert_int_equal(again.detail, outcome.detail);
    assert_int_equal(again.panic, outcome.panic);
    assert_int_equal(outcome_exit_status(&outcome), outcome_replay_status(&outcome));
    return outcome_exit_status(&outcome);
}

static void machine_ends(void **state)
{
    (void)state;
    assert_int_equal(status(MACHINE_POWER_OFF, 0, false), 0);
    assert_int_equal(status(MACHINE_RESET, 0, false), 0);
    assert_int_equal(status(MACHINE_POWER_OFF, 0, true), 1);
    assert_int_equal(status(MACHINE_RESET, 0, true), 1);
    assert_int_equal(status(MACHINE_TRIPLE_FAULT, 0, false), 1);
    assert_int_equal(status(MACHINE_DEAD, 0, false), 1);
    assert_int_equal(status(MACHINE_DEBUG_EXIT, 33, false), 33);
}

static void other_ends(void **state)
{
    (void)state;
    struct outcome budget = {OUTCOME_BUDGET, 0, false}, signal = {OUTCOME_SIGNAL, 2, false};
    struct outcome cut = {OUTCOME_CUT, 0, false}, diverged = {OUTCOME_DIVERGED, 0, false};
    assert_int_equal(outcome_exit_status(&budget), 124);
    assert_int_equal(outcome_replay_status(&budget), 0);
    assert_int_equal(outcome_exit_status(&signal), 130);
    assert_int_equal(outcome_replay_status(&signal), 0);
    assert_int_equal(outcome_replay_status(&cut), 0);
    assert_int_equal(outcome_replay_status(&diverged), 3);
    for (uint32_t kind = 0; kind < 20; kind++) {
        struct outcome outcome = {kind, 0, false};
        assert_true(strlen(outcome_text(&outcome)) > 0);
    }
}

static bool seen(const char *text, unsigned step)
{
    struct outcome_watch watch = {{0}, 0};
    for (size_t i = 0; i < strlen(text); i += step) {
        size_t n = strlen(text) - i < step ? strlen(text) - i : step;
        outcome_watch_output(&watch, 0, (const uint8_t *)text + i, n);
        /* Another console does not disturb. */
        outcome_watch_output(&watch, 4, (const uint8_t *)"Kernel x", 8);
    }
    return watch.panic;
}

static void panics(void **state)
{
    (void)state;
    for (unsigned step = 1; step < 40; step++) {
        assert_true(seen("[ 1.2] Kernel panic - not syncing: Attempted to kill init!", step));
        assert_true(seen("KKernel panKernel panic - not syncing", step));
        assert_false(seen("Kernel panic - not syncin", step));
        assert_false(seen("Kernel panic: not syncing", step));
    }
    struct outcome_watch watch = {{0}, 0};
    outcome_watch_output(&watch, OUTCOME_UNITS, (const uint8_t *)"K", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machine_ends),
        cmocka_unit_test(other_ends),
        cmocka_unit_test(panics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
