# SPDX-License-Identifier: MIT
# Everything is built from here, under build/: host (the tool), asan (tests), fuzz (libFuzzer), stage, bench.
#   make          the tool, with the stage inside: build/host/cofferdam
#   make test     unit, property and tool tests with sanitizers (TAP on standard output)
#   make fuzz     the libFuzzer targets: build/fuzz/*
#   make bench    the benchmarks: build/bench/*
#   make install  the tool, its manual pages and its completion: PREFIX=/usr/local, DESTDIR=
# No configure step; CC=clang works everywhere.
# Make's own default is cc; an environment or a command line that names a compiler wins.
ifeq ($(origin CC),default)
CC := gcc
endif
FUZZ_CC ?= clang
B := build
VERSION := $(shell cat VERSION)

WARN := -Wall -Wextra -Wconversion -Wshadow -Werror -Wstrict-prototypes -Wmissing-prototypes -Wvla
COMMON := -std=c11 $(WARN) -Iinclude -Iengine -MMD -MP -DCOFFERDAM_VERSION='"$(VERSION)"'
GNU := -D_GNU_SOURCE
# The engine is freestanding everywhere, so that a forgotten libc call fails on the host as well.
FREE := -ffreestanding
# Small, because the image has 128 KiB; the page-table code alone has work enough to be fast (below).
STAGE_FLAGS := -include stage/hidden.h $(if $(findstring clang,$(CC)),-Oz,-Os) -g -ffunction-sections \
	-fdata-sections -ffreestanding -nostdlib -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
	-fcf-protection=none -fpie -fvisibility=hidden -fno-jump-tables -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing
SAN := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_SAN := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

ENGINE := $(wildcard engine/*/*.c engine/*/*/*.c)
STAGE_C := $(wildcard stage/*.c)
STAGE_S := $(wildcard stage/*.S)
TOOL := $(wildcard tool/*.c tool/inspect/*.c)
TESTLIB := $(wildcard tests/lib/*.c)
TESTS := $(wildcard tests/unit/*_test.c tests/property/*_test.c)
QTESTS := $(wildcard tests/qtest/*_test.c)
FUZZERS := $(wildcard tests/fuzz/*_fuzz.c)
BENCHES := $(wildcard bench/*_bench.c)
# What tests may use of the tool: all but its main().
TOOL_LIB := $(filter-out tool/main.c,$(TOOL))
# What host tests may use of the stage: the parts that touch no hardware.
STAGE_PURE := $(wildcard stage/pure/*.c)

, := ,
TOOL_LIBS := -lkdumpfile -laddrxlat -lbpf -ljson-c -lelf -lz -lpci
TEST_LIBS := -lcmocka $(TOOL_LIBS)

.PHONY: all tool stage machine test tests qtests fuzz bench install clean format
all: tool
tool: $(B)/host/cofferdam
stage: $(B)/stage/stage.bin

# ---- the engine, once for each kind of build ----
obj = $(patsubst %.c,$(B)/$(1)/%.o,$(2))

$(B)/host/engine/%.o: engine/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(FREE) -O2 -g -c $< -o $@
$(B)/asan/engine/%.o: engine/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(FREE) $(SAN) -c $< -o $@
$(B)/fuzz/engine/%.o: engine/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(COMMON) $(FREE) $(FUZZ_SAN) -c $< -o $@
$(B)/stage/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(STAGE_FLAGS) -c $< -o $@
$(B)/stage/%.o: %.S
	@mkdir -p $(@D)
	$(CC) -Iinclude -Istage -MMD -MP $(STAGE_FLAGS) -c $< -o $@

# ---- the stage ----
$(B)/stage/engine/pgtable/%.o: STAGE_FLAGS += -O2
STAGE_OBJ := $(patsubst %.c,$(B)/stage/%.o,$(ENGINE) $(STAGE_C) $(STAGE_PURE)) $(patsubst %.S,$(B)/stage/%.o,$(STAGE_S))
$(B)/stage/stage.elf: $(STAGE_OBJ) stage/stage.ld
	$(CC) -nostdlib -Wl,-pie -Wl,--no-dynamic-linker -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro \
		-Wl,--gc-sections -Wl,-T,stage/stage.ld -static-pie -o $@ $(STAGE_OBJ)
$(B)/stage/stage.bin: $(B)/stage/stage.elf
	objcopy -O binary $< $@

# ---- the tool, stage inside ----
$(B)/host/tool/%.o: tool/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(GNU) -Itool -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -c $< -o $@
$(B)/host/stage/pure/%.o: stage/pure/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(FREE) -O2 -g -c $< -o $@
$(B)/%/stage_blob.o: tool/stage_blob.S $(B)/stage/stage.bin
	@mkdir -p $(@D)
	$(CC) -DSTAGE_BIN='"$(B)/stage/stage.bin"' -c $< -o $@
# The page of inspect's report.
$(B)/report_page.html: $(wildcard tool/inspect/report.html tool/inspect/report.css tool/inspect/report_*.js) \
		tool/inspect/report_page.sh
	@mkdir -p $(@D)
	tool/inspect/report_page.sh tool/inspect >$@.new && mv $@.new $@
$(B)/%/report_blob.o: tool/inspect/report_blob.S $(B)/report_page.html
	@mkdir -p $(@D)
	$(CC) -DREPORT_PAGE='"$(B)/report_page.html"' -c $< -o $@
$(B)/host/cofferdam: $(call obj,host,$(ENGINE) $(TOOL)) $(B)/host/stage_blob.o $(B)/host/report_blob.o
	$(CC) -o $@ $^ $(TOOL_LIBS)

# ---- tests: one program a file, all with sanitizers ----
$(B)/asan/tool/%.o: tool/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(GNU) -Itool $(SAN) -c $< -o $@
$(B)/asan/stage/pure/%.o: stage/pure/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(FREE) $(SAN) -c $< -o $@
$(B)/asan/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(GNU) $(SAN) -Itests -Itool -Istage -DTEST_DATA='"tests/data"' -c $< -o $@
TEST_OBJ := $(call obj,asan,$(ENGINE) $(TOOL_LIB) $(STAGE_PURE) $(TESTLIB))
$(B)/asan/testlib.a: $(TEST_OBJ) $(B)/asan/stage_blob.o $(B)/asan/report_blob.o
	@rm -f $@
	ar rcs $@ $^
TEST_BIN := $(patsubst %.c,$(B)/asan/%,$(TESTS))
QTEST_BIN := $(patsubst %.c,$(B)/asan/%,$(QTESTS))
$(TEST_BIN) $(QTEST_BIN): $(B)/asan/%: $(B)/asan/%.o $(B)/asan/testlib.a
	$(CC) $(SAN) $(TEST_LINK) -o $@ $< $(B)/asan/testlib.a $(TEST_LIBS)
# Calls between the engine's files that this one wants to fail.
$(B)/asan/tests/unit/amdvi_takeover_sweep_test: TEST_LINK := $(patsubst %,-Wl$(,)--wrap=%,dam_arena_pages \
	dam_arena_record dam_wait_register)
$(B)/asan/tests/unit/takeover_sweep_test: TEST_LINK := $(patsubst %,-Wl$(,)--wrap=%,dam_arena_pages \
	dam_arena_record dam_wait_register dam_wait_memory takeover_verify)
$(B)/asan/tests/unit/takeover_kind_test: TEST_LINK := -Wl$(,)--wrap=iommu_kinds
tests: $(TEST_BIN)
qtests: $(QTEST_BIN)
test: tests $(B)/host/cofferdam
	tests/run

# ---- the bench machine that the real stage is tested in: firmware, payload, pieces of code ----
BENCH_MACHINE := $(B)/machine/rom.bin $(B)/machine/payload.bin $(B)/machine/inject.bin
$(B)/machine/%.o: tests/stage/%.S tests/stage/layout.h
	@mkdir -p $(@D)
	$(CC) -c $< -o $@
$(B)/machine/rom.elf: LINK := -T tests/stage/rom.ld
$(B)/machine/payload.elf: LINK := -Ttext=0 -e payload_entry
$(B)/machine/inject.elf: LINK := -Ttext=0x400000 -e inject_de
$(B)/machine/%.elf: $(B)/machine/%.o tests/stage/rom.ld
	ld $(LINK) -o $@ $<
$(B)/machine/%.bin: $(B)/machine/%.elf
	objcopy -O binary -j .text -j .reset $< $@
machine: $(BENCH_MACHINE) $(B)/host/cofferdam

# ---- fuzzing ----
$(B)/fuzz/tool/%.o: tool/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(COMMON) $(GNU) -Itool $(FUZZ_SAN) -c $< -o $@
$(B)/fuzz/stage/pure/%.o: stage/pure/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(COMMON) $(FREE) $(FUZZ_SAN) -c $< -o $@
$(B)/fuzz/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(COMMON) $(GNU) $(FUZZ_SAN) -Itests -Itool -Istage -c $< -o $@
$(B)/fuzz/testlib.a: $(call obj,fuzz,$(ENGINE) $(TOOL_LIB) $(STAGE_PURE) $(TESTLIB)) $(B)/fuzz/stage_blob.o \
		$(B)/fuzz/report_blob.o
	@rm -f $@
	ar rcs $@ $^
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZERS))
$(FUZZ_BIN): $(B)/fuzz/%: $(B)/fuzz/tests/fuzz/%.o $(B)/fuzz/testlib.a
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $< $(B)/fuzz/testlib.a $(TEST_LIBS)
fuzz: $(FUZZ_BIN)

# ---- benchmarks: optimised as the tool is ----
$(B)/bench/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(GNU) -O2 -g -Itests -Itool -c $< -o $@
BENCH_BIN := $(patsubst bench/%.c,$(B)/bench/%,$(BENCHES))
BENCH_LIB := $(filter-out $(BENCHES),$(wildcard bench/*.c)) $(wildcard tests/lib/fake_vtd*.c) \
	tests/lib/firmware.c tests/lib/naive_vtd.c tests/lib/old_kernel.c
# The engine as the stage has it, with the stage's memcpy.
$(filter-out %/inspect_bench,$(BENCH_BIN)): $(B)/bench/%: $(B)/bench/bench/%.o $(call obj,bench,$(BENCH_LIB)) \
		$(call obj,stage,$(ENGINE)) $(B)/stage/stage/libc.o
	$(CC) -o $@ $^
# The tool's own code, and the tool itself.
$(B)/bench/inspect_bench: $(call obj,bench,bench/inspect_bench.c bench/bench.c tests/lib/old_kernel.c) \
		$(call obj,host,$(ENGINE) $(TOOL_LIB)) $(B)/host/stage_blob.o $(B)/host/report_blob.o | $(B)/host/cofferdam
	$(CC) -o $@ $^ $(TOOL_LIBS)
bench: $(BENCH_BIN)

# ---- what goes onto a machine ----
PREFIX ?= /usr/local
DESTDIR ?=
MAN_PAGES := $(wildcard tool/*.1)
install: $(B)/host/cofferdam
	install -D -m 755 $< $(DESTDIR)$(PREFIX)/bin/cofferdam
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(MAN_PAGES) $(DESTDIR)$(PREFIX)/share/man/man1
	install -D -m 644 tool/cofferdam.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/cofferdam
	install -D -m 644 docs/inspect.schema.json $(DESTDIR)$(PREFIX)/share/cofferdam/inspect.schema.json

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')
clean:
	rm -rf $(B)

.SECONDARY:
-include $(shell find $(B) -path $(B)/lab -prune -o -type f -name "*.d" -print 2>/dev/null)
