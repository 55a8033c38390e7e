# The silicon test: several objects, one program.
silicon_objects := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/insn/silicon*.c))
$(BUILD)/tests/insn/silicon: $(silicon_objects) $(library)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)
tests: $(BUILD)/tests/insn/silicon
-include $(silicon_objects:.o=.d)
