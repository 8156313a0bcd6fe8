# The tests, as part of the Makefile. Everything that is tested is below $B, also what tests run:
#   $B/test/unit/NAME   one program for each test/unit/NAME.c, linked with all of snapctl but main()
#   $B/test/target      all of test/targets/*.c: states for the round trips
#   $B/test/server...   the small servers, for each C library and language

TEST_DEPS := bats bats-support bats-assert libcmocka-dev mandoc shellcheck strace gdb procps iproute2 curl \
	jq bc musl-tools redis-server memcached python3-numpy nodejs \
	openjdk-17-jdk-headless/default-jdk-headless ruby ruby-webrick libhttp-daemon-perl lighttpd \
	dnsmasq-base mosquitto sqlite3 php8.2-fpm postgresql-15 xxhash tmux vim \
	puma postfix nginx-light gunicorn haproxy vim-tiny libjetty9-java systemd socat pkg-config/pkgconf g++ \
	bash-completion zsh fish
C_FILES = $(wildcard *.[ch] lib/*.[ch] base/*.[ch] images/*.[ch] images/*/*.[ch] tracee/*.[ch] dump/*.[ch] dump/*/*.[ch] \
	restore/*.[ch] restorer-blob/*.[ch] test/*/*.[ch] test/*/*/*.[ch])

.PHONY: check-lint check-unit check-roundtrip check-real asan fuzz fuzz-replay fuzz-search soak sweep moments bench

# ---- what is run ---------------------------------------------------------------------------------------
# Never with the caller's CFLAGS: a sanitizer's shadow memory is not what is tested here.
TARGET_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -pthread $(if $(CI),-Werror)
TARGET_OBJS := $(patsubst %.c,$B/%.o,$(wildcard test/targets/*.c))
RUSTC   := $(shell command -v rustc)
SERVERS := $B/test/server $B/test/server-musl $(if $(RUSTC),$B/test/server-rust)
UNIT_SRCS := $(wildcard test/unit/*.c)
UNIT    := $(UNIT_SRCS:%.c=$B/%)

$B/test/targets/%.o: test/targets/%.c | $B/.deps-test
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TARGET_CFLAGS) -MMD -MP -c -o $@ $<
$B/test/target: $(TARGET_OBJS)
	$(Q)$(CC) -pthread -o $@ $^ -lrt -lcap
$B/test/server: test/targets/static/server.c | $B/.deps-test
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TARGET_CFLAGS) -static -o $@ $<
$B/test/server-musl: test/targets/static/server.c | $B/.deps-test
	$(Q)mkdir -p $(@D)
	$(Q)musl-gcc $(TARGET_CFLAGS) -static -o $@ $<
$B/test/server-rust: test/targets/server.rs | $B/.deps-test
	$(Q)mkdir -p $(@D)
	$(Q)MAKEFLAGS= rustc -O -o $@ $<

# A program that checks in, linked with the library as it is for others.
$B/test/checkin: test/lib/checkin.c $B/libsnapctl.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TARGET_CFLAGS) -I. -o $@ $< $B/libsnapctl.a

# What gdb is shown.
$B/test/core: test/lib/core.c | $B/.deps-test
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TARGET_CFLAGS) -Werror=implicit -o $@ $<

$B/test/checkins: test/lib/checkins.c $B/libsnapctl.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TARGET_CFLAGS) -I. -o $@ $< $B/libsnapctl.a

$(UNIT:=.o): | $B/.deps-test $(PB_H)
$(UNIT): %: %.o $(PARTS)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# ---- make check ----------------------------------------------------------------------------------------
# test/run runs the parts it is given and sums them up; T selects tests by name.
HERE = $(abspath $B)
TEST_ENV = BUILD='$(HERE)' SNAPCTL='$(HERE)/snapctl' TARGET='$(HERE)/test/target' \
	SERVER='$(HERE)/test/server' SERVER_MUSL='$(HERE)/test/server-musl' \
	SERVER_RUST='$(if $(RUSTC),$(HERE)/test/server-rust)' \
	VISIBLE='$(CURDIR)/test/visible/visible.py' T='$(T)'
RUN_TESTS = $(Q)$(TEST_ENV) test/run
RUNNABLE  = $B/snapctl $B/test/target $(SERVERS) $B/test/checkin $B/test/checkins $B/test/core $(LIBS)

check: $(RUNNABLE) $(UNIT) ## run all tests; T=NAME runs the tests of that name
	$(RUN_TESTS) lint unit roundtrip real
check-lint: $B/snapctl $B/.deps-test ## includes, blob, layout, man pages, scripts
	$(RUN_TESTS) lint
check-unit: $(UNIT) $B/test/target $(SERVERS) ## one program per module
	$(RUN_TESTS) unit
check-roundtrip: $(RUNNABLE) ## dump, restore, compare: one kind of state at a time
	$(RUN_TESTS) roundtrip
check-real: $(RUNNABLE) ## the same with redis, python, node, Java ...
	$(RUN_TESTS) real

# ---- slower or rarer -------------------------------------------------------------------------------------
SANITIZE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# The same Makefile with another B. (ASan makes GCC find a format that may be NULL in vsnprintf.)
MAKE_ASAN = $(Q)$(MAKE) --no-print-directory B=$B/asan STATIC= CFLAGS='$(SANITIZE) -Wno-format-truncation'

asan: ## unit tests and the fuzzers' corpus under ASan and UBSan
	$(MAKE_ASAN) check-unit fuzz-replay

# The fuzzer is an ordinary program that tries a fixed set of damages; `make fuzz` lets libFuzzer search on.
FUZZ := $B/test/fuzz/fuzz_image.o $B/test/fuzz/mutate.o
$(FUZZ): | $(PB_H)
$B/test/fuzz/fuzz_image: $(FUZZ) $(PARTS)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
fuzz-replay: $B/test/fuzz/fuzz_image
	$(Q)$< -n 10000 -p 20000
fuzz: $B/snapctl $B/test/server ## libFuzzer (clang) on the reader of images, for FUZZ_SECONDS (600)
	$(Q).ci/deps clang libclang-rt-14-dev/libclang-rt-dev
	$(Q)mkdir -p $B/fuzz/corpus
	$(Q)$B/snapctl dump -q --force -o $B/fuzz/seed $B/test/server 0 && cp $B/fuzz/seed/state $B/fuzz/corpus/
	$(Q)$(MAKE) --no-print-directory B=$B/fuzz STATIC= CC=clang fuzz-search \
		CFLAGS='-O1 -g -fsanitize=address,undefined,fuzzer-no-link -DLIBFUZZER'
fuzz-search: $(FUZZ) $(PARTS)
	$(Q)clang $(CFLAGS) -fsanitize=fuzzer -o $B/fuzz_image $^ $(LDLIBS)
	$(Q)$B/fuzz_image -max_total_time=$(or $(FUZZ_SECONDS),600) -max_len=65536 -artifact_prefix=$B/ $B/corpus

soak: $(RUNNABLE) ## half an hour: 200 round trips under load, kills, full disk, damaged images
	$(MAKE_ASAN) $B/asan/snapctl $B/asan/test/fuzz/fuzz_image
	$(Q)$(TEST_ENV) SNAPCTL_ASAN='$(HERE)/asan/snapctl' \
		FUZZ_IMAGE='$(HERE)/asan/test/fuzz/fuzz_image' test/soak/soak.sh

sweep: $(RUNNABLE) ## about three hundred programs of all sorts, those that are installed; SWEEP='NAME ...'
	$(Q)$(TEST_ENV) test/soak/sweep.sh $(SWEEP)

moments: $(RUNNABLE) ## programs that judge themselves, dumped at random moments; COMMANDS=FILE, one on each line
	$(Q)$(TEST_ENV) test/soak/moments.sh '$(COMMANDS)'

bench: $(RUNNABLE) $B/test/bench/stopwatch $B/test/bench/empty ## restore against start, and against the floor
	$(Q)$(TEST_ENV) test/bench/bench.sh
$B/test/bench/stopwatch: test/bench/stopwatch.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g -Wall -Wextra -o $@ $<
$B/test/bench/empty: test/bench/empty.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -O2 -static -o $@ $<

-include $(UNIT:=.d) $B/test/fuzz/fuzz_image.d $(TARGET_OBJS:.o=.d)
