#!/bin/bash
# The guests with a digest after every instruction, or after every few where they
# are long: each boundary between two instructions ends a slice, and the end must
# be that of a run without.
SPACINGS=1 tests/guest/guests.sh triple dead apic reset faults smc timers || exit 1
SPACINGS=7 exec tests/guest/guests.sh storm smp paging strings
