# The program that `make bench` runs on the host and in its guests.
loads := $(BUILD)/bench/loads
$(loads): $(wildcard tests/bench/*.c) tests/bench/loads.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -O2 -fno-math-errno -Wall -Wextra -Werror \
	    -static -o $@ $(filter %.c,$^) -lz -lm
bench: $(loads)
