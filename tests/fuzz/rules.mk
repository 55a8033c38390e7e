# The fixed part of a fuzzed guest's ROM, as data of the test that uses it:
# 12 KiB from fuzz_prelude on.
$(BUILD)/tests/fuzz/prelude.bin: tests/fuzz/prelude.S tests/fuzz/prelude.ld
	@mkdir -p $(@D)
	as --64 -o $@.o $<
	ld -m elf_x86_64 -T tests/fuzz/prelude.ld -e 0 --oformat binary -o $@ $@.o
$(BUILD)/tests/fuzz/prelude.o: tests/fuzz/prelude_binary.S $(BUILD)/tests/fuzz/prelude.bin
	$(CC) -c -DPRELUDE_BINARY='"$(BUILD)/tests/fuzz/prelude.bin"' -o $@ $<
$(BUILD)/tests/fuzz/test_fuzz_guest $(BUILD)/tests/fuzz/test_fuzz_trace: $(BUILD)/tests/fuzz/prelude.o
