# The silicon test: several objects, one program.
silicon_objects := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/insn/silicon*.c))
$(BUILD)/tests/insn/silicon: $(silicon_objects) $(library)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)
tests: $(BUILD)/tests/insn/silicon
-include $(silicon_objects:.o=.d)

# The x87's transcendental functions beside MPFR, where that is installed.
ifneq ($(wildcard /usr/include/mpfr.h),)
$(BUILD)/tests/insn/transcendental: $(BUILD)/tests/insn/transcendental.o $(library)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lmpfr -lgmp $(libs)
tests: $(BUILD)/tests/insn/transcendental
-include $(BUILD)/tests/insn/transcendental.d
endif

# The decoder beside libzydis, where that is installed.
ifneq ($(wildcard /usr/include/Zydis/Zydis.h),)
$(BUILD)/tests/insn/decoder: $(BUILD)/tests/insn/decoder.o $(library)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lZydis $(libs)
tests: $(BUILD)/tests/insn/decoder
-include $(BUILD)/tests/insn/decoder.d
endif
