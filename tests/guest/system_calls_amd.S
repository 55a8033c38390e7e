/*
 * system_calls.S by AMD's rules.
 *
 * guest: -cpu max,vendor=AuthenticAMD
 */
    .include "tests/guest/lib.inc"
    .include "tests/guest/system_calls.inc"
