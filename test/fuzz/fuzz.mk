# Fuzzers, as part of the Makefile (included by test/test.mk). Each test/fuzz/fuzz_*.c is a program of its own,
# and a libFuzzer target:
#   clang -fsanitize=fuzzer,address -DLIBFUZZER ... test/fuzz/fuzz_image.c <objects built by clang>
FUZZERS := $(patsubst %.c,$B/%,$(wildcard test/fuzz/fuzz_*.c))

$(FUZZERS:=.o): | $B/.deps-build $(PB_H)
$(FUZZERS): %: %.o $(PARTS)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What `make asan` runs: every truncation and ten thousand changes of a small image, in seconds.
fuzz-replay: $(FUZZERS)
	$(Q)for fuzzer in $(FUZZERS); do $$fuzzer -p 20000 || exit 1; done
fuzz-long: $(FUZZERS)
	$(Q)for fuzzer in $(FUZZERS); do $$fuzzer -s $$(date +%s) -n 50000 -p 1000000 || exit 1; done
fuzz: ## damaged and hostile images, a million of them, under ASan and UBSan
	$(MAKE_ASAN) fuzz-long

.PHONY: fuzz fuzz-replay fuzz-long
-include $(FUZZERS:=.d)
