# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# make help lists what there is.

BUILD ?= build
PREFIX ?= /usr/local
ARGS ?=
V ?= 0

VERSION := $(shell sed -n 's/^\#\# \[\([0-9][^]]*\)\].*/\1/p' CHANGELOG.md | head -n 1)

# --- tools ------------------------------------------------------------------------------------

NATIVE_ARCH := $(shell uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
ARCH ?= $(NATIVE_ARCH)
BPF_ARCH_amd64 := x86
BPF_ARCH_arm64 := arm64
TRIPLET_amd64 := x86_64-linux-gnu
TRIPLET_arm64 := aarch64-linux-gnu

# Another processor than this machine's: Debian's cross compiler, against the libraries that
# test/vm/sysroot.sh unpacks. BUILD=build/arm64 keeps the two apart.
ifneq ($(ARCH),$(NATIVE_ARCH))
SYSROOT ?= $(abspath build/$(ARCH)/sysroot)
CC := $(TRIPLET_$(ARCH))-gcc --sysroot=$(SYSROOT)
INCLUDES := $(SYSROOT)/usr/include/$(TRIPLET_$(ARCH))
export PKG_CONFIG_LIBDIR := $(SYSROOT)/usr/lib/$(TRIPLET_$(ARCH))/pkgconfig:$(SYSROOT)/usr/share/pkgconfig
export PKG_CONFIG_SYSROOT_DIR := $(SYSROOT)
endif

CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/lib/linux-tools/*/bpftool /usr/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
PACKAGES := libbpf libelf zlib libmicrohttpd jansson
INCLUDES ?= /usr/include/$(TRIPLET_$(ARCH))

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DTRAPLINE_VERSION='"$(VERSION)"' $(CFLAGS) $(WARNINGS) \
	-Isrc -I$(BUILD)/gen -pthread $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -pthread

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n'
endif

# --- the program ------------------------------------------------------------------------------

SOURCES := $(sort $(wildcard src/*.c src/*/*.c))
SOURCES := $(filter-out src/bpf/%,$(SOURCES))
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/obj/%.o)
SKELETON := $(BUILD)/gen/trapline.skel.h

all: $(BUILD)/trapline

$(BUILD)/trapline: $(OBJECTS)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(LIBS)

$(BUILD)/obj/%.o: src/%.c Makefile
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The skeleton has to be there before what includes it is first compiled; after that the
# dependency files know.
$(filter $(BUILD)/obj/probe/%,$(OBJECTS)): | $(SKELETON)

$(BUILD)/bpf/trapline.bpf.o: src/bpf/trapline.bpf.c Makefile
	$(say) BPF $<
	@mkdir -p $(@D)
	$(Q)$(CLANG) -g -O2 -target bpf -D__TARGET_ARCH_$(BPF_ARCH_$(ARCH)) -I$(INCLUDES) -Isrc \
		-Wall -Werror -MMD -MP -c -o $@ $<

$(SKELETON): $(BUILD)/bpf/trapline.bpf.o
	$(say) SKEL $@
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen object $(BUILD)/bpf/trapline.linked.o $<
	$(Q)$(BPFTOOL) gen skeleton $(BUILD)/bpf/trapline.linked.o name trapline_bpf > $@.new
	$(Q)mv $@.new $@

-include $(OBJECTS:.o=.d) $(BUILD)/bpf/trapline.bpf.d


# --- install ----------------------------------------------------------------------------------

install: $(BUILD)/trapline
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/doc/trapline
	install -m 0755 $(BUILD)/trapline $(DESTDIR)$(PREFIX)/sbin/trapline
	install -m 0644 docs/trapline.8 $(DESTDIR)$(PREFIX)/share/man/man8/trapline.8
	install -m 0644 packaging/trapline.bash-completion \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/trapline
	install -m 0644 README.md CHANGELOG.md LICENSE LICENSE.BSD-2-Clause LICENSE.GPL-2.0 \
		$(DESTDIR)$(PREFIX)/share/doc/trapline

# --- the two commands -------------------------------------------------------------------------

deps:
	$(Q)tools/deps.sh build

# sudo only where it is needed: on a machine where one is root already there may be none.
run: deps
	$(Q)$(MAKE) --no-print-directory $(BUILD)/trapline
	$(Q)$$(test "$$(id -u)" = 0 || echo sudo) $(BUILD)/trapline monitor $(ARGS)

test:
	$(Q)tools/deps.sh build test image
	$(Q)$(MAKE) --no-print-directory $(BUILD)/trapline
	$(Q)test/run.sh check unit live vm image

# --- tests ------------------------------------------------------------------------------------

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_TESTS := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(wildcard test/unit/test_*.c))
UNIT_OBJECTS := $(patsubst src/%.c,$(BUILD)/unit/%.o,$(filter-out src/main.c,$(SOURCES)))
LIVE_HELPERS := $(patsubst test/live/%.c,$(BUILD)/test/live/%,$(wildcard test/live/*.c))

$(BUILD)/unit/%.o: src/%.c Makefile | $(SKELETON)
	$(say) CC "$< (sanitized)"
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/test/unit/%: test/unit/%.c $(UNIT_OBJECTS) Makefile
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(shell $(PKG_CONFIG) --cflags cmocka) $(SANITIZE) -MMD -MP -o $@ $< \
		$(UNIT_OBJECTS) $(LIBS) $(shell $(PKG_CONFIG) --libs cmocka)

$(BUILD)/test/live/%: test/live/%.c Makefile
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 $(WARNINGS) -static -pthread -MMD -MP -o $@ $<

-include $(UNIT_OBJECTS:.o=.d) $(UNIT_TESTS:=.d) $(LIVE_HELPERS:=.d)

.SECONDARY: $(UNIT_OBJECTS)

unit-tests: $(UNIT_TESTS)
live-helpers: $(BUILD)/trapline $(LIVE_HELPERS)

check:
	$(Q)tools/deps.sh build test
	$(Q)test/run.sh check

test-unit:
	$(Q)tools/deps.sh build test
	$(Q)test/run.sh unit

test-live:
	$(Q)tools/deps.sh build test
	$(Q)test/run.sh live

ifeq ($(ARCH),arm64)
test-vm:
	$(Q)tools/deps.sh build test arm64
	$(Q)test/run.sh vm-arm64
else
test-vm:
	$(Q)tools/deps.sh build test
	$(Q)test/run.sh vm
endif

test-image:
	$(Q)tools/deps.sh build image
	$(Q)test/run.sh image

# --- the rest ---------------------------------------------------------------------------------

# What was fetched for the tests' kernels and images is kept: build/vm/cache, build/image/cache.
clean:
	rm -rf $(BUILD)/bpf $(BUILD)/gen $(BUILD)/obj $(BUILD)/test $(BUILD)/unit $(BUILD)/trapline

distclean:
	rm -rf $(BUILD)

help:
	@echo 'make                 build $(BUILD)/trapline'
	@echo 'make run             install what is missing, build, run the monitor (ARGS=--all)'
	@echo 'make test            install what is missing, build, run every test'
	@echo 'make deps            install what building needs'
	@echo 'make check           style, include rules, linters'
	@echo 'make test-unit       tests that need no rights, with sanitizers'
	@echo 'make test-live       tests on this kernel, as root'
	@echo 'make test-vm         the same on other kernels, in QEMU (ARCH=arm64)'
	@echo 'make test-image      the container image'
	@echo 'make install         DESTDIR= PREFIX=$(PREFIX)'
	@echo 'make clean           remove what was built; distclean: also what was fetched'
	@echo 'V=1 shows commands.'

.PHONY: all run test deps check unit-tests live-helpers test-unit test-live test-vm test-image \
	install clean distclean help
