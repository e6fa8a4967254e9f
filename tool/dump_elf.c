// SPDX-License-Identifier: MIT
// ELF dumps. libelf reads the headers, from a copy of the file's beginning: so it works alike on
// /proc/vmcore, which must not be mapped as a whole, and on flattened streams; and no section or segment is
// ever loaded. Program headers that lie further back are moved to the end of that copy.
#include "dump.h"

#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

// What is done with the headers; more is the caller's.
struct visitor {
    enum tool_status (*header)(const struct visitor *self, const GElf_Ehdr *ehdr, struct tool_error *error);
    enum tool_status (*segment)(const struct visitor *self, const GElf_Phdr *phdr, struct tool_error *error);
    void *ctx;
};

#define FIRST_READ  (64u * 1024)
#define MAX_HEADERS (32u * 1024 * 1024) // 600,000 program headers

static enum tool_status add_area(struct dump *out, uint64_t offset, uint64_t size, struct tool_error *error)
{
    if (size == 0)
        return TOOL_OK;
    if (offset > INT64_MAX || size > INT64_MAX - offset)
        return tool_fail(error, TOOL_BAD_INPUT, "damaged: notes at 0x%" PRIx64 ", size 0x%" PRIx64, offset,
                         size);
    if (out->area_count == MAX_NOTE_AREAS)
        return tool_fail(error, TOOL_BAD_INPUT, "more than %u note segments", MAX_NOTE_AREAS);
    out->areas[out->area_count++] = (struct note_area){offset, size};
    return TOOL_OK;
}

static enum tool_status check_kind(Elf *elf, GElf_Ehdr *ehdr, struct tool_error *error)
{
    if (elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, ehdr) == NULL)
        return tool_fail(error, TOOL_BAD_INPUT, "an ELF file with a damaged header");
    if (ehdr->e_ident[EI_DATA] != ELFDATA2LSB)
        return tool_fail(error, TOOL_BAD_INPUT, "a dump of a big-endian machine");
    if (ehdr->e_type != ET_CORE)
        return tool_fail(error, TOOL_BAD_INPUT, "not a dump: an ELF file of type %u, not a core file",
                         ehdr->e_type);
    return TOOL_OK;
}

// Where the program headers are.
struct table {
    uint64_t offset, size;
    size_t count;
};

// With PN_XNUM in the header the number is in section 0.
static enum tool_status measure(Elf *elf, const GElf_Ehdr *ehdr, struct table *out, struct tool_error *error)
{
    *out = (struct table){.offset = ehdr->e_phoff, .count = ehdr->e_phnum};
    if (ehdr->e_phnum == PN_XNUM) {
        GElf_Shdr shdr;
        Elf_Scn *scn = elf_getscn(elf, 0);
        if (scn == NULL || gelf_getshdr(scn, &shdr) == NULL)
            return tool_fail(error, TOOL_BAD_INPUT, "damaged: the number of program headers is not there");
        out->count = shdr.sh_info;
    }
    out->size = (uint64_t)out->count * ehdr->e_phentsize;
    if (out->size > MAX_HEADERS || out->offset > INT64_MAX - MAX_HEADERS)
        return tool_fail(error, TOOL_BAD_INPUT, "damaged: %zu program headers at 0x%" PRIx64, out->count,
                         out->offset);
    return TOOL_OK;
}

static enum tool_status collect(Elf *elf, size_t count, const struct visitor *visitor,
                                struct tool_error *error)
{
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr phdr;
        if (gelf_getphdr(elf, (int)i, &phdr) == NULL)
            return tool_fail(error, TOOL_BAD_INPUT, "cut short: program header %zu of %zu is not there", i,
                             count);
        enum tool_status status = visitor->segment(visitor, &phdr, error);
        if (status != TOOL_OK)
            return status;
    }
    return TOOL_OK;
}

// One attempt over the first size bytes. *missing is set when the program headers lie behind them, and
// nothing else was done.
static enum tool_status read_headers(uint8_t *bytes, size_t size, const struct visitor *visitor,
                                     struct table *table, bool *missing, struct tool_error *error)
{
    GElf_Ehdr ehdr;
    Elf *elf = elf_memory((char *)bytes, size);
    *missing = false;
    if (elf == NULL)
        return tool_fail(error, TOOL_BAD_INPUT, "an ELF file with a damaged header");
    enum tool_status status = check_kind(elf, &ehdr, error);
    if (status == TOOL_OK)
        status = measure(elf, &ehdr, table, error);
    *missing = status == TOOL_OK && (table->offset > size || table->size > size - table->offset);
    if (status == TOOL_OK && !*missing)
        status = visitor->header(visitor, &ehdr, error);
    if (status == TOOL_OK && !*missing)
        status = collect(elf, table->count, visitor, error);
    elf_end(elf);
    return status;
}

// Moves the program headers to the end of the first size bytes, wherever in the file they are.
static enum tool_status fetch_table(const struct dump_source *source, uint8_t **bytes, size_t *size,
                                    const struct table *table, struct tool_error *error)
{
    size_t at = (*size + 7) & ~(size_t)7;
    uint8_t *all = realloc(*bytes, at + table->size);
    if (all == NULL)
        return tool_fail(error, TOOL_SYSTEM, "no memory for %" PRIu64 " bytes of headers", table->size);
    *bytes = all;
    if (source_read(source, table->offset, all + at, table->size) != table->size)
        return tool_fail(error, TOOL_BAD_INPUT, "cut short: the program headers are not all there");
    memset(all + *size, 0, at - *size);
    if (all[EI_CLASS] == ELFCLASS64)
        put_le64(all + offsetof(Elf64_Ehdr, e_phoff), at);
    else
        put_le32(all + offsetof(Elf32_Ehdr, e_phoff), (uint32_t)at);
    *size = at + table->size;
    return TOOL_OK;
}

static enum tool_status visit(const struct dump_source *source, const struct visitor *visitor,
                              struct tool_error *error)
{
    struct table table;
    bool missing;
    uint8_t *bytes = malloc(FIRST_READ);
    if (bytes == NULL)
        return tool_fail(error, TOOL_SYSTEM, "no memory for the headers of a dump");
    elf_version(EV_CURRENT);
    size_t size = source_read(source, 0, bytes, FIRST_READ);
    enum tool_status status = read_headers(bytes, size, visitor, &table, &missing, error);
    if (status == TOOL_OK && missing)
        status = fetch_table(source, &bytes, &size, &table, error);
    if (status == TOOL_OK && missing)
        status = read_headers(bytes, size, visitor, &table, &missing, error);
    if (status == TOOL_OK && missing)
        status = tool_fail(error, TOOL_BAD_INPUT, "damaged: the program headers are not where they are");
    free(bytes);
    return status;
}

// ---- notes -----------------------------------------------------------------------------------------------
static enum tool_status any_header(const struct visitor *self, const GElf_Ehdr *ehdr,
                                   struct tool_error *error)
{
    (void)self, (void)ehdr, (void)error;
    return TOOL_OK;
}

static enum tool_status note_segment(const struct visitor *self, const GElf_Phdr *phdr,
                                     struct tool_error *error)
{
    return phdr->p_type == PT_NOTE ? add_area(self->ctx, phdr->p_offset, phdr->p_filesz, error) : TOOL_OK;
}

enum tool_status dump_elf_read(const struct dump_source *source, struct dump *out, struct tool_error *error)
{
    const struct visitor visitor = {any_header, note_segment, out};
    return visit(source, &visitor, error);
}

// ---- memory ----------------------------------------------------------------------------------------------
struct loads {
    struct dump_load *at;
    size_t count, capacity;
};

static enum tool_status of_x86_64(const struct visitor *self, const GElf_Ehdr *ehdr, struct tool_error *error)
{
    (void)self;
    if (ehdr->e_machine == EM_X86_64 && ehdr->e_ident[EI_CLASS] == ELFCLASS64)
        return TOOL_OK;
    return tool_fail(error, TOOL_BAD_INPUT, "a dump of another machine (ELF machine %u, %s): only x86-64",
                     ehdr->e_machine, ehdr->e_ident[EI_CLASS] == ELFCLASS64 ? "64 bits" : "32 bits");
}

static enum tool_status load_segment(const struct visitor *self, const GElf_Phdr *phdr,
                                     struct tool_error *error)
{
    struct loads *loads = self->ctx;
    if (phdr->p_type != PT_LOAD)
        return TOOL_OK;
    if (loads->count == loads->capacity) {
        size_t capacity = loads->capacity ? loads->capacity * 2 : 32;
        struct dump_load *at = realloc(loads->at, capacity * sizeof *at);
        if (at == NULL)
            return tool_fail(error, TOOL_SYSTEM, "no memory for the segments of a dump");
        loads->at = at;
        loads->capacity = capacity;
    }
    loads->at[loads->count++] =
        (struct dump_load){phdr->p_paddr, phdr->p_offset, phdr->p_filesz, phdr->p_memsz};
    return TOOL_OK;
}

enum tool_status dump_elf_loads(const struct dump_source *source, struct dump_load **out, size_t *count,
                                struct tool_error *error)
{
    struct loads loads = {NULL, 0, 0};
    const struct visitor visitor = {of_x86_64, load_segment, &loads};
    enum tool_status status = visit(source, &visitor, error);
    if (status != TOOL_OK) {
        free(loads.at);
        return status;
    }
    *out = loads.at;
    *count = loads.count;
    return TOOL_OK;
}
