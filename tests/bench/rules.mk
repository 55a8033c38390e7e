# The program that `make bench` runs on the host and in its guests. Its functions are aligned so
# that no small loop crosses a page by luck: the translator leaves such an instruction out.
loads := $(BUILD)/bench/loads
$(loads): $(wildcard tests/bench/*.c) tests/bench/loads.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -O2 -fno-math-errno -falign-functions=1024 -Wall -Wextra -Werror \
	    -static -o $@ $(filter %.c,$^) -lz -lm
bench: $(loads)
