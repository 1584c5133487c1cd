# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# make help lists what there is.

BUILD ?= build
PREFIX ?= /usr/local
ARGS ?=
V ?= 0

VERSION := $(shell sed -n 's/^\#\# \[\([0-9][^]]*\)\].*/\1/p' CHANGELOG.md | head -n 1)

# --- tools ------------------------------------------------------------------------------------

ARCH ?= $(shell uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
BPF_ARCH_amd64 := x86
BPF_ARCH_arm64 := arm64
TRIPLET_amd64 := x86_64-linux-gnu
TRIPLET_arm64 := aarch64-linux-gnu

CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/lib/linux-tools/*/bpftool) bpftool)
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

.PHONY: all
