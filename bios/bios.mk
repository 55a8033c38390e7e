# Firmware of our own: flat 16-bit binaries.
# $(BUILD)/bios/NAME.o       a boot option ROM as data of the program, between
#                            NAME_rom and NAME_rom_end: linuxboot, multiboot
# $(BUILD)/bios/reset.bin    a ROM for tests; see bios/reset.S

BIOS_AS ?= as
BIOS_LD ?= ld

tests: $(BUILD)/bios/reset.bin

$(BUILD)/bios/%.raw: bios/%.S bios/rom.inc
	@mkdir -p $(@D)
	$(BIOS_AS) --32 -o $@.o $<
	$(BIOS_LD) -m elf_i386 -Ttext 0 -e 0 --oformat binary -o $@ $@.o

$(BUILD)/bios/%boot.bin: $(BUILD)/bios/%boot.raw bios/sign-rom.sh
	cp $< $@
	sh bios/sign-rom.sh $@

$(BUILD)/bios/reset.bin: $(BUILD)/bios/reset.raw
	cp $< $@

$(BUILD)/bios/%boot.o: bios/boot_rom.S $(BUILD)/bios/%boot.bin
	$(CC) -c -DROM=$*boot_rom -DBINARY='"$(BUILD)/bios/$*boot.bin"' -o $@ $<
