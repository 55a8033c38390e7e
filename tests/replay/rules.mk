# A replay that goes to and fro; for tests/replay/*checkpoints.sh.
travel := $(BUILD)/tests/replay/travel
$(travel): $(BUILD)/tests/replay/travel.o $(library)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)
tests: $(travel)
-include $(travel:=.d)
