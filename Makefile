# snapctl: one Makefile, all that it makes is in $B. `make help` lists the targets.
B       ?= build
ifeq ($(origin CC),default)
CC      := gcc
endif
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
LIBDIR  ?= lib
ZSHDIR  ?= share/zsh/site-functions
STATIC  ?= -static
VERSION := 0.1.0
WARN    := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes $(if $(CI),-Werror)
Q       := $(if $(V),,@)
# All processors build, without being told; a make below this one shares them.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

# Debian packages: what `make` and `make demo` need; what `make check` needs is in test/test.mk.
BUILD_DEPS := gcc binutils libc6-dev libzstd-dev libprotobuf-c-dev protobuf-c-compiler libcap-dev \
	libxxhash-dev libjson-c-dev
DEMO_DEPS  := python3

FOLDERS := base images images/fd images/diff images/pack images/core tracee dump dump/until restore
SRCS    := snapctl.c commands.c opts.c complete.c topics.c $(sort $(wildcard $(FOLDERS:%=%/*.c)))
OBJS    := $(SRCS:%.c=$B/%.o)
PROTOS  := $(wildcard proto/*.proto)
PB_C    := $(PROTOS:%.proto=$B/%.pb-c.c)
PB_H    := $(PB_C:.c=.h)
PB_OBJS := $(PB_C:.c=.o)
# All of snapctl but its main(): what unit tests and fuzzers are linked with.
PARTS   := $(filter-out $B/snapctl.o,$(OBJS)) $(PB_OBJS) $B/restore/blob_bytes.o
LIBS    := $B/libsnapctl.so.0 $B/libsnapctl.a
LDLIBS  := -lzstd -lprotobuf-c -lcap -lxxhash -ljson-c -lpthread
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -DSNAPCTL_VERSION='"$(VERSION)"' -I. -I$B $(CPPFLAGS) $(CFLAGS)

.PHONY: all demo check deps install uninstall deb format clean help compile_commands.json
.DELETE_ON_ERROR:
.SECONDARY:

all: $B/snapctl $(LIBS) ## build snapctl and libsnapctl (default)

$B/snapctl: $B/snapctl.o $(PARTS)
	$(Q)$(CC) $(STATIC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/%.o: %.c | $B/.deps-build
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(WARN) -MMD -MP -c -o $@ $<

# ---- protobuf: nobody reads generated code, so its warnings are off ---------------------------------
$B/proto/%.pb-c.c $B/proto/%.pb-c.h: proto/%.proto | $B/.deps-build
	$(Q)mkdir -p $(@D)
	$(Q)protoc-c --c_out=$B $<
$B/proto/%.pb-c.o: $B/proto/%.pb-c.c
	$(Q)$(COMPILE) -w -MMD -MP -c -o $@ $<
$(PB_OBJS) $(filter $B/images/% $B/test/%,$(OBJS)): | $(PB_H)

# ---- the blob: freestanding, checked, embedded; never with the caller's CFLAGS (STYLE section 10) ----
BLOB_CFLAGS := -std=c11 -ffreestanding -nostdlib -fPIE -fvisibility=hidden -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -mgeneral-regs-only -Os -Wall -Wextra -I.
BLOB_OBJS := $(patsubst %,$B/%.o,$(basename $(wildcard restorer-blob/*.c restorer-blob/*.S)))

$B/restorer-blob/%.o: restorer-blob/%.c | $B/.deps-build
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BLOB_CFLAGS) -MMD -MP -c -o $@ $<
$B/restorer-blob/%.o: restorer-blob/%.S | $B/.deps-build
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -I. -c -o $@ $<
$B/blob.elf: $(BLOB_OBJS) restorer-blob/blob.lds test/lint/blob.sh
	$(Q)ld -pie --no-dynamic-linker -T restorer-blob/blob.lds -o $@ $(BLOB_OBJS)
	$(Q)test/lint/blob.sh $@
$B/blob.bin: $B/blob.elf
	$(Q)objcopy -O binary -j .text $< $@
$B/restore/blob_bytes.o: restore/blob_bytes.S $B/blob.bin
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -I$B -c -o $@ $<

# ---- libsnapctl: what applications may link; snapctl.map says what is seen --------------------------
LIB_CFLAGS := -std=c11 -D_GNU_SOURCE -fPIC -O2 -g -I.
LIB_OBJS := $(patsubst %.c,$B/%.o,$(wildcard lib/*.c))

$B/lib/%.o: lib/%.c | $B/.deps-build
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LIB_CFLAGS) $(WARN) -MMD -MP -c -o $@ $<
$B/libsnapctl.so.0: $(LIB_OBJS) lib/snapctl.map
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=lib/snapctl.map -o $@ $(LIB_OBJS) -lpthread
	$(Q)ln -sf $(@F) $B/libsnapctl.so
$B/libsnapctl.a: $(LIB_OBJS)
	$(Q)rm -f $@ && ar rcs $@ $^
# ---- for people --------------------------------------------------------------------------------------
demo: $B/snapctl $B/.deps-demo ## dump a sample server, restore it, show both times
	$(Q)python3 examples/demo.py $B/snapctl

include test/test.mk

deps: ## install the Debian packages that are missing, of build and tests
	$(Q).ci/deps $(BUILD_DEPS) $(DEMO_DEPS) $(TEST_DEPS)
# So that the other targets ask only once. One after the other: apt takes no two at a time.
$B/.deps-build: Makefile .ci/deps
	$(Q).ci/deps $(BUILD_DEPS)
	$(Q)mkdir -p $B && touch $@
$B/.deps-demo: $B/.deps-build
	$(Q).ci/deps $(DEMO_DEPS) && touch $@
$B/.deps-test: $B/.deps-build test/test.mk
	$(Q).ci/deps $(DEMO_DEPS) $(TEST_DEPS) && touch $@

# What is installed, where below PREFIX, and from what: one list for install and uninstall.
MAN_PAGES := $(notdir $(wildcard doc/*.[135]))
INSTALLED = bin/snapctl:$B/snapctl \
	$(foreach page,$(MAN_PAGES),share/man/man$(subst .,,$(suffix $(page)))/$(page):doc/$(page)) \
	share/bash-completion/completions/snapctl:completion/snapctl.bash \
	$(ZSHDIR)/_snapctl:completion/_snapctl \
	share/fish/vendor_completions.d/snapctl.fish:completion/snapctl.fish \
	share/doc/snapctl/README.md:README.md share/doc/snapctl/SECURITY.md:doc/SECURITY.md \
	include/snapctl.h:lib/snapctl.h \
	$(LIBDIR)/libsnapctl.a:$B/libsnapctl.a $(LIBDIR)/libsnapctl.so.0:$B/libsnapctl.so.0 \
	$(LIBDIR)/pkgconfig/snapctl.pc:lib/snapctl.pc.in \
	lib/python3/dist-packages/snapctl.py:lib/python/snapctl.py

install: $B/snapctl $(LIBS) ## install programs, man pages, completions, libsnapctl below DESTDIR/PREFIX
	$(Q)set -e; for entry in $(INSTALLED); do \
		case $$entry in bin/*) mode=755 ;; *) mode=644 ;; esac; \
		install -D -m $$mode "$${entry#*:}" "$(DESTDIR)$(PREFIX)/$${entry%%:*}"; done
	$(Q)sed -i 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' \
		"$(DESTDIR)$(PREFIX)/$(LIBDIR)/pkgconfig/snapctl.pc"
	$(Q)ln -sf libsnapctl.so.0 "$(DESTDIR)$(PREFIX)/$(LIBDIR)/libsnapctl.so"
uninstall: ## remove them again
	$(Q)for entry in $(INSTALLED) $(LIBDIR)/libsnapctl.so; do \
		rm -f "$(DESTDIR)$(PREFIX)/$${entry%%:*}"; done

# Staged as Debian has its folders.
DEB_LIBDIR = lib/$(shell $(CC) -print-multiarch)
deb: $B/snapctl $(LIBS) ## Debian packages in $B/deb
	$(Q)rm -rf $B/deb
	$(Q)$(MAKE) --no-print-directory install DESTDIR='$(abspath $B)/deb/stage' PREFIX=/usr LIBDIR=$(DEB_LIBDIR) \
		ZSHDIR=share/zsh/vendor-completions
	$(Q)packaging/deb.sh $B/deb/stage $B/deb $(VERSION)
	$(Q)rm -rf $B/deb/stage

format: ## lay out all C files by .clang-format
	$(Q)clang-format -i $(C_FILES)

# Headers have no command of their own: clangd takes the one of a file beside them.
COMMA := ,
CC_ENTRY = {"directory": "$(CURDIR)", "file": "$1", "command": "$(subst ",\",$(COMPILE)) $(WARN) -c $1"}
compile_commands.json: $(PB_H) ## for clangd and other tools
	$(file >$@,[$(call CC_ENTRY,snapctl.c))
	$(foreach f,$(filter-out snapctl.c,$(SRCS)) $(UNIT_SRCS),$(file >>$@,$(COMMA) $(call CC_ENTRY,$f)))
	$(file >>$@,])

clean: ## remove all that was made
	rm -rf $B compile_commands.json

help: ## this list
	@sed -nE 's/^([a-z_.-]+):.*## /\1\t/p' $(MAKEFILE_LIST) | \
		 awk -F '\t' '{ printf "  make %-22s %s\n", $$1, $$2 }'
	@echo '  T=NAME: only tests of that name (check); V=1: show commands; B=DIR: instead of build/'

-include $(OBJS:.o=.d) $(PB_OBJS:.o=.d) $(BLOB_OBJS:.o=.d) $(LIB_OBJS:.o=.d)
