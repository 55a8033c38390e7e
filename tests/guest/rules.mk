# Bare-metal test guests: tests/guest/NAME.S becomes $(BUILD)/tests/guest/NAME.rom,
# a 64 KiB ROM. guests.sh and golden.sh run them.

GUEST_AS ?= as
GUEST_LD ?= ld

guest_roms := $(patsubst tests/guest/%.S,$(BUILD)/tests/guest/%.rom,$(wildcard tests/guest/*.S))

tests: $(guest_roms)
.PHONY: guests
guests: $(guest_roms)

$(BUILD)/tests/guest/%.rom: tests/guest/%.S $(wildcard tests/guest/*.inc) tests/guest/guest.ld
	@mkdir -p $(@D)
	$(GUEST_AS) --64 -o $@.o $<
	$(GUEST_LD) -m elf_x86_64 -T tests/guest/guest.ld -e 0 --oformat binary -o $@ $@.o
