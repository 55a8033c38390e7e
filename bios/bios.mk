# Firmware of our own: flat 16-bit binaries.
# $(BUILD)/bios/linuxboot.o  the boot option ROM as data of the program, between
#                            linuxboot_rom and linuxboot_rom_end
# $(BUILD)/bios/reset.bin    a ROM for tests; see bios/reset.S

BIOS_AS ?= as
BIOS_LD ?= ld

tests: $(BUILD)/bios/reset.bin

$(BUILD)/bios/%.raw: bios/%.S
	@mkdir -p $(@D)
	$(BIOS_AS) --32 -o $@.o $<
	$(BIOS_LD) -m elf_i386 -Ttext 0 -e 0 --oformat binary -o $@ $@.o

$(BUILD)/bios/linuxboot.bin: $(BUILD)/bios/linuxboot.raw bios/sign-rom.sh
	cp $< $@
	sh bios/sign-rom.sh $@

$(BUILD)/bios/reset.bin: $(BUILD)/bios/reset.raw
	cp $< $@

$(BUILD)/bios/linuxboot.o: bios/linuxboot_rom.S $(BUILD)/bios/linuxboot.bin
	$(CC) -c -DLINUXBOOT_BINARY='"$(BUILD)/bios/linuxboot.bin"' -o $@ $<
