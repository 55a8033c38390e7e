/*
 * A small kernel and its user, some hundred rounds, so that translated code does it all:
 * SYSCALL and SYSRET with all kinds of flags, STAC and CLAC around accesses to user
 * memory under SMAP, page faults that IRETQ returns from with RF set, RDTSC and RDTSCP
 * with TSD and without, the bases of FS and GS, PAUSE, fences, INVLPG, control registers; and a
 * timer that interrupts user code wherever it is, and the kernel behind STI. All
 * that is seen, also by the timer, goes into one hash, which is printed at some rounds.
 *
 * guest: -cpu max
 */
    .include "tests/guest/lib.inc"
    .include "tests/guest/system_calls.inc"
