#!/bin/bash
# The guests with a digest after every instruction or two: each boundary between
# two instructions ends a slice, and the end must be that of a run without.
SPACINGS="1 2" tests/guest/guests.sh triple dead apic reset faults smc storm timers || exit 1
SPACINGS="5" exec tests/guest/guests.sh smp paging strings
