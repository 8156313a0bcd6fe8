# snapctl: one Makefile, everything it makes is in $B. `make help` lists the targets.
B       ?= build
ifeq ($(origin CC),default)
CC      := gcc
endif
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
WARN    := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes $(if $(CI),-Werror)
VERSION := 0.1.0
Q       := $(if $(V),,@)

FOLDERS := base images images/fd tracee dump restore
SRCS    := snapctl.c $(sort $(wildcard $(FOLDERS:%=%/*.c)))
OBJS    := $(SRCS:%.c=$B/%.o)
LIBOBJS := $(filter-out $B/snapctl.o,$(OBJS)) $B/restore/blob_bytes.o
PROTOS  := $(wildcard proto/*.proto)
PB_C    := $(PROTOS:%.proto=$B/%.pb-c.c)
PB_H    := $(PROTOS:%.proto=$B/%.pb-c.h)
PB_OBJS := $(PB_C:.c=.o)
LDLIBS  := -lzstd -lprotobuf-c -lcap -lxxhash -ljson-c -lpthread
CPPFLAGS_ALL := -D_GNU_SOURCE -DSNAPCTL_VERSION='"$(VERSION)"' -I. -I$B $(CPPFLAGS)

.PHONY: all
all: deps-quiet
	$(Q)$(MAKE) --no-print-directory $B/snapctl

$B/snapctl: $(OBJS) $(PB_OBJS) $B/restore/blob_bytes.o
	$(Q)$(CC) -static $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 $(CPPFLAGS_ALL) -MMD -MP $(WARN) $(CFLAGS) -c -o $@ $<

# ---- protobuf: generated code is nobody's reading, so its warnings are off --------------------------
$B/proto/%.pb-c.c $B/proto/%.pb-c.h: proto/%.proto
	$(Q)mkdir -p $(@D)
	$(Q)protoc-c --c_out=$B $<
$B/proto/%.pb-c.o: $B/proto/%.pb-c.c $(PB_H)
	$(Q)$(CC) -std=c11 $(CPPFLAGS_ALL) -w $(CFLAGS) -c -o $@ $<
$(filter $B/images/%,$(OBJS)): | $(PB_H)

# ---- the blob: freestanding, checked, embedded (STYLE section 10) ------------------------------------
BLOB_CFLAGS := -std=c11 -ffreestanding -nostdlib -fPIE -fvisibility=hidden -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -mgeneral-regs-only -Os -Wall -Wextra -I.
BLOB_SRCS := $(wildcard restorer-blob/*.c) $(wildcard restorer-blob/*.S)
BLOB_OBJS := $(patsubst %.S,$B/%.o,$(patsubst %.c,$B/%.o,$(BLOB_SRCS)))

$B/restorer-blob/%.o: restorer-blob/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BLOB_CFLAGS) -MMD -MP -c -o $@ $<
$B/restorer-blob/%.o: restorer-blob/%.S
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -I. -c -o $@ $<
$B/blob.elf: $(BLOB_OBJS) restorer-blob/blob.lds test/lint/blob.sh
	$(Q)ld -pie --no-dynamic-linker -T restorer-blob/blob.lds -o $@ $(BLOB_OBJS)
	$(Q)test/lint/blob.sh $@ || { rm -f $@; exit 1; }
$B/blob.bin: $B/blob.elf
	$(Q)objcopy -O binary $< $@
$B/restore/blob_bytes.o: restore/blob_bytes.S $B/blob.bin
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -I$B -c -o $@ $<

include test/test.mk

-include $(shell find $B -name '*.d' 2>/dev/null)
