# The sequences of guest code as data of the test.
$(BUILD)/tests/translator/sequences.o: tests/translator/sequences.S
	@mkdir -p $(@D)
	as --64 -o $@ $<
$(BUILD)/tests/translator/test_golden_code: $(BUILD)/tests/translator/sequences.o
