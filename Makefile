# Groundhog. `make` builds $(BUILD)/groundhog; `make check` runs the tests.
#
#   make [all]        CC=gcc|clang  CFLAGS=...  BUILD=directory
#   make check        all tests that finish in minutes   (TESTS='a b': only these)
#   make check-long   the slow ones too
#   make sanitize     check, built with AddressSanitizer and UBSan; sanitize-units:
#                     only the unit and instruction tests
#   make demo         record Debian's kernel booting, and replay it
#   make mutate       plants faults in src/cpu and counts what the tests catch
#                     (SEED=1 COUNT=50)
#   make second-opinion   compares the test guests with QEMU (docs/second-opinion.md)
#   make bench        guest loads: natively, under Groundhog and under QEMU
#                     (LOADS='hash fork' MODES='run record' REPEAT=2 CLOCK=wall|cpu)
#   make lint clean

CC := gcc
BUILD := build
CFLAGS := -O2 -g
LDFLAGS :=
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined

all_cflags = -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Isrc $(CFLAGS)
libs := -lzstd -lxxhash -lm

sources := $(sort $(shell find src -name '*.c'))
main := $(BUILD)/src/main.o
objects := $(filter-out $(main),$(sources:%.c=$(BUILD)/%.o))
library := $(BUILD)/libgroundhog.a
program := $(BUILD)/groundhog

# One test executable a file; tests/insn and tests/replay may hold some too.
test_sources := $(sort $(wildcard tests/*/test_*.c))
test_programs := $(test_sources:%.c=$(BUILD)/%)
test_scripts := $(sort $(filter-out tests/unit/% tests/bench/%,$(wildcard tests/*/*.sh)))
TESTS := $(test_programs) $(filter-out $(wildcard tests/*/long_*.sh),$(test_scripts))
LONG_TESTS := $(test_programs) $(test_scripts)

.PHONY: all tests check check-units check-long sanitize sanitize-units demo bench lint mutate clean
.PHONY: second-opinion
.DELETE_ON_ERROR:
.SECONDARY:

all: $(program)

# The option ROMs as objects.
-include bios/bios.mk
# Other tests with rules of their own.
-include $(wildcard tests/*/rules.mk)
bios_objects := $(if $(wildcard bios/bios.mk),$(BUILD)/bios/linuxboot.o $(BUILD)/bios/multiboot.o)

$(program): $(main) $(library)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)

$(library): $(objects) $(bios_objects)
	@rm -f $@
	ar rcs $@ $^

# Flags and compiler are part of what an object depends on.
flags := $(CC) $(all_cflags)
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@echo '$(flags)' | cmp -s - $@ || echo '$(flags)' > $@
.PHONY: force

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

# Called on hosts that have it.
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
$(BUILD)/src/replay/page_hash_avx2.o: all_cflags += -mavx2
endif

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(library)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(libs)

tests: $(test_programs)

check: all tests
	@BUILD=$(BUILD) tests/run.sh $(TESTS)

check-long: all tests
	@BUILD=$(BUILD) GROUNDHOG_LONG=1 TIMEOUT=$${TIMEOUT:-3600} tests/run.sh $(LONG_TESTS)

sanitize:
	$(MAKE) check BUILD=build-asan CC='$(CC)' CFLAGS='-O1 -g $(SANITIZERS)'

sanitize-units:
	$(MAKE) check-units BUILD=build-asan CC='$(CC)' CFLAGS='-O1 -g $(SANITIZERS)'

check-units: all tests
	@BUILD=$(BUILD) tests/run.sh $(test_programs) $(wildcard tests/insn/*.sh)

second-opinion: all
	@mkdir -p $(BUILD)/second-opinion
	@BUILD=$(abspath $(BUILD)) GROUNDHOG=$(abspath $(program)) \
		WORK=$(abspath $(BUILD)/second-opinion) tests/guest/long_second_opinion.sh

demo:
	ci/demo.sh

bench: all
	@BUILD=$(BUILD) tests/bench/bench.py

lint:
	@ci/lint.sh

SEED := 1
COUNT := 50
mutate:
	@CC='$(CC)' tests/mutation/mutate.py --seed $(SEED) --count $(COUNT)

clean:
	rm -rf build build-asan build-clang

-include $(objects:.o=.d) $(main:.o=.d) $(test_programs:=.d)
