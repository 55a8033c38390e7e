# Firmware of our own: a flat 16-bit binary, linked into the program as data.
# $(BUILD)/bios/linuxboot.o defines linuxboot_rom and linuxboot_rom_end.

BIOS_AS ?= as
BIOS_LD ?= ld
BIOS_OBJECTS := $(BUILD)/bios/linuxboot.o

$(BUILD)/bios/linuxboot.bin: bios/linuxboot.S bios/sign-rom.sh
	@mkdir -p $(@D)
	$(BIOS_AS) --32 -o $(@D)/linuxboot.elf.o bios/linuxboot.S
	$(BIOS_LD) -m elf_i386 -Ttext 0 -e 0 --oformat binary -o $@.tmp $(@D)/linuxboot.elf.o
	sh bios/sign-rom.sh $@.tmp
	mv $@.tmp $@

$(BUILD)/bios/linuxboot.o: bios/linuxboot_rom.S $(BUILD)/bios/linuxboot.bin
	$(CC) -c -DLINUXBOOT_BINARY='"$(BUILD)/bios/linuxboot.bin"' -o $@ $<
