// SPDX-License-Identifier: MIT
// Where the tables are: from Cofferdam's note, else from the command line, else from the dead kernel, else
// from a scan, which is a guess.
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cofferdam/acpi.h>

#include "inspect/model_kernel.h"
#include "inspect/model_own.h"
#include "inspect/scan.h"
#include "iommu/vtd/regs.h"

#define WIDEST 52u // bits of a host address, when nobody tells

// A unit of which nothing is known can do everything: all widths and page sizes, all modes and stages.
#define ANY_CAP                                                                                              \
    (dam_bits_put(6, VTD_CAP_ND) | dam_bits_put(14, VTD_CAP_SAGAW) | dam_bits_put(56, VTD_CAP_MGAW) |        \
     dam_bits_mask(VTD_CAP_SLLPS) | dam_bits_mask(VTD_CAP_FS1GP) | dam_bits_mask(VTD_CAP_FS5LP))
#define ANY_ECAP                                                                                             \
    (dam_bits_mask(VTD_ECAP_DT) | dam_bits_mask(VTD_ECAP_PT) | dam_bits_mask(VTD_ECAP_SC) |                  \
     dam_bits_mask(VTD_ECAP_NEST) | dam_bits_mask(VTD_ECAP_PRS) | dam_bits_mask(VTD_ECAP_PASID) |            \
     dam_bits_mask(VTD_ECAP_SMTS) | dam_bits_mask(VTD_ECAP_SSTS) | dam_bits_mask(VTD_ECAP_FSTS) |            \
     dam_bits_mask(VTD_ECAP_RPS) | dam_bits_mask(VTD_ECAP_ADMS))

struct vtd_unit inspect_vtd_unit(const struct inspect_unit *u)
{
    return (struct vtd_unit){
        .base = dam_pa_of(u->base),
        .cap = u->cap,
        .ecap = u->ecap,
        .scalable = vtd_mode_of(u->ecap, u->rtaddr) == VTD_MODE_SCALABLE,
    };
}

static const char *mode_word(const struct inspect_unit *u)
{
    switch (vtd_mode_of(u->ecap, u->rtaddr)) {
    case VTD_MODE_LEGACY:
    case VTD_MODE_IMPOSSIBLE:
        return "legacy";
    case VTD_MODE_SCALABLE:
        return "scalable";
    case VTD_MODE_ABORT:
        return "abort";
    case VTD_MODE_UNSUPPORTED:
        break;
    }
    return "unknown";
}

// Adds a unit with what is known of it; the rest follows. false: no memory, or too many.
static bool add_unit(struct inspection *in, const struct inspect_unit *unit)
{
    if (in->unit_count == MAX_UNITS ||
        !inspect_grow((void **)&in->units, in->unit_count, &in->own->unit_capacity, sizeof *in->units))
        return false;
    struct inspect_unit *u = &in->units[in->unit_count];
    *u = *unit;
    u->index = (uint16_t)in->unit_count++;
    u->kind = "VT-d";
    if (!u->has_registers) {
        u->cap = ANY_CAP;
        u->ecap = ANY_ECAP;
    }
    u->root = dam_pa_of(u->rtaddr & dam_bits_mask(VTD_RTADDR_RTA));
    u->mode = u->has_registers || u->translating ? mode_word(u) : "unknown";
    u->host_address_width = in->own->host_address_width;
    if (u->name[0] == '\0')
        snprintf(u->name, sizeof u->name, "unit %u", u->index);
    return true;
}

static bool known_root(const struct inspection *in, dam_pa root)
{
    for (size_t i = 0; i < in->unit_count; i++)
        if (in->units[i].translating && in->units[i].root.v == root.v)
            return true;
    return false;
}

static enum tool_status no_memory(struct tool_error *error)
{
    return tool_fail(error, TOOL_SYSTEM, "no memory for the units, or more than %u of them", MAX_UNITS);
}

// ---- the note
// -----------------------------------------------------------------------------------------------
static uint8_t width_of(const struct note *note)
{
    for (size_t i = 0; i < note->acpi_table_count; i++) {
        struct dmar_table dmar;
        const struct note_section *s = &note->acpi_tables[i];
        if (!dmar_open(s->bytes, s->count, &dmar) && dmar.host_address_width >= 32 &&
            dmar.host_address_width <= WIDEST)
            return dmar.host_address_width;
    }
    return WIDEST;
}

static void keep_out(struct inspection *in, uint64_t start, uint64_t end)
{
    // A set that is full says less than it could; nothing else goes wrong.
    if (dam_ranges_add(&in->own->keep_out, start, end))
        return;
}

static enum tool_status units_of_note(struct inspection *in, struct tool_error *error)
{
    for (uint32_t i = 0; i < in->note.units.count; i++) {
        struct dam_note_unit n;
        note_unit_at(&in->note, i, &n);
        const struct inspect_unit unit = {
            .segment = n.segment,
            .origin = ORIGIN_NOTE,
            .base = n.register_base,
            .rtaddr = n.before.vtd.rtaddr,
            .has_registers = n.status != DAM_UNIT_ABSENT,
            .translating = n.status != DAM_UNIT_ABSENT && dam_bits_get(n.before.vtd.gsts, VTD_G_TE),
            .cap = n.cap,
            .ecap = n.ecap,
            .gsts = n.before.vtd.gsts,
        };
        if (!add_unit(in, &unit))
            return no_memory(error);
    }
    for (uint32_t i = 0; i < in->note.keep_out.count; i++) {
        struct dam_note_range r;
        note_range_at(&in->note, i, &r);
        keep_out(in, r.start, r.end);
    }
    return TOOL_OK;
}

static void read_note(struct inspection *in, struct tool_error *problem)
{
    size_t size;
    const uint8_t *bytes = memory_note(in->memory, &size);
    if (bytes == NULL)
        tool_fail(problem, TOOL_NO_NOTE, "the dump has no note of ours");
    else
        in->has_note = note_read(bytes, size, &in->note, problem) == TOOL_OK;
    if (in->has_note)
        in->own->host_address_width = width_of(&in->note);
}

// ---- the command line
// ---------------------------------------------------------------------------------------
static enum tool_status bad_root(const char *text, struct tool_error *error)
{
    return tool_fail(error, TOOL_USAGE,
                     "--vtd-root %s: an address of a page is wanted, and \",legacy\" or \",scalable\" behind "
                     "it, or the mode in bits 11:10 as the register has it",
                     text);
}

static enum tool_status parse_root(const char *text, uint64_t *rtaddr, struct tool_error *error)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return bad_root(text, error);
    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    uint64_t mode = dam_bits_get(value, VTD_RTADDR_TTM), low = dam_bits_get(value, 9, 0);
    if (errno != 0 || low || value >> WIDEST)
        return bad_root(text, error);
    if (strcmp(end, ",legacy") == 0)
        mode = VTD_TTM_LEGACY;
    else if (strcmp(end, ",scalable") == 0)
        mode = VTD_TTM_SCALABLE;
    else if (*end != '\0' || mode > VTD_TTM_SCALABLE)
        return bad_root(text, error);
    *rtaddr = dam_bits_set(value, mode, VTD_RTADDR_TTM);
    return TOOL_OK;
}

static enum tool_status units_of_command(struct inspection *in, const struct inspect_options *options,
                                         struct tool_error *error)
{
    for (size_t i = 0; i < options->vtd_root_count; i++) {
        struct inspect_unit unit = {.origin = ORIGIN_COMMAND, .translating = true};
        enum tool_status status = parse_root(options->vtd_roots[i], &unit.rtaddr, error);
        if (status != TOOL_OK)
            return status;
        if (!known_root(in, dam_pa_of(unit.rtaddr & dam_bits_mask(VTD_RTADDR_RTA))) && !add_unit(in, &unit))
            return no_memory(error);
    }
    return TOOL_OK;
}

// ---- the dead kernel
// ----------------------------------------------------------------------------------------
static enum tool_status units_of_kernel(struct inspection *in, const struct kernel_unit *list, size_t count,
                                        struct tool_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const struct kernel_unit *k = &list[i];
        // Of one that is not known, nothing else is: not even whether it translates.
        struct inspect_unit unit = {
            .segment = k->segment,
            .origin = ORIGIN_KERNEL,
            .base = k->register_base,
            .rtaddr = (k->has_root ? k->root.v & dam_bits_mask(VTD_RTADDR_RTA) : 0) |
                      dam_bits_put(k->scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY, VTD_RTADDR_TTM),
            .has_registers = k->known,
            .translating = k->has_root && dam_bits_get(k->gcmd, VTD_G_TE),
            .cap = k->cap,
            .ecap = k->ecap,
            .gsts = k->gcmd,
        };
        snprintf(unit.name, sizeof unit.name, "%.15s", k->name);
        if (!add_unit(in, &unit))
            return no_memory(error);
    }
    return TOOL_OK;
}

// Names of the units that others told of, by their registers.
static void name_units(struct inspection *in, const struct kernel_unit *list, size_t count)
{
    for (size_t i = 0; i < in->unit_count; i++)
        for (size_t k = 0; k < count; k++)
            if (in->units[i].base && in->units[i].base == list[k].register_base && list[k].name[0])
                snprintf(in->units[i].name, sizeof in->units[i].name, "%.15s", list[k].name);
}

// What it cannot tell is no reason to give up, but the answer is then incomplete if nobody else tells it.
static enum tool_status ask_kernel(struct inspection *in, bool wanted, bool *told, struct tool_error *error)
{
    struct kernel_unit *list = NULL;
    size_t count = 0;
    struct tool_error problem;
    inspect_kernel_memory(in);
    enum tool_status status = kernel_units(in->kernel, &list, &count, &problem);
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        known += list[i].known;
    if (status != TOOL_OK) {
        snprintf(in->kernel_problem, sizeof in->kernel_problem, "%s", problem.text);
        in->incomplete |= wanted && count;
    }
    *told |= known == count && (status == TOOL_OK || count);
    status = TOOL_OK;
    if (wanted)
        status = units_of_kernel(in, list, count, error);
    else
        name_units(in, list, count);
    free(list);
    return status;
}

// ---- a guess
// ------------------------------------------------------------------------------------------------
static enum tool_status units_of_scan(struct inspection *in, struct tool_error *error)
{
    struct scan_result found;
    const struct dam_ranges crash = {in->crash, in->crash_count, in->crash_count};
    dam_err err = scan_roots(in->memory, &crash, &found);
    if (err == DAM_E_STATE)
        return tool_fail(error, TOOL_SYSTEM, "interrupted");
    if (err)
        return no_memory(error);
    in->incomplete |= found.more || found.gave_up;
    for (size_t i = 0; i < found.count; i++) {
        const struct scan_root *r = &found.roots[i];
        if (i > 0 && !r->strong)
            break; // well-formed at best: the first may be all there is, the others are noise
        const struct inspect_unit unit = {
            .origin = ORIGIN_GUESS,
            .translating = true,
            .rtaddr = (r->root.v & dam_bits_mask(VTD_RTADDR_RTA)) |
                      dam_bits_put(r->scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY, VTD_RTADDR_TTM),
        };
        if (!known_root(in, r->root) && !add_unit(in, &unit))
            return no_memory(error);
    }
    return TOOL_OK;
}

// What the capture kernel's memory is, for everybody to see: without the first MiB, which it borrows.
static void copy_crash_regions(struct inspection *in)
{
    const struct dam_ranges *set = &in->own->keep_out;
    for (size_t i = 0; i < set->count && in->crash_count < 4; i++)
        if (set->at[i].end > 0x100000)
            in->crash[in->crash_count++] = set->at[i];
}

enum tool_status inspect_find_units(struct inspection *in, const struct inspect_options *options,
                                    struct tool_error *error)
{
    struct tool_error note_problem = {"the note is not asked"};
    enum tool_status status = TOOL_OK;
    bool told = false; // somebody knows, be it that there are none
    in->own->host_address_width = WIDEST;
    if (!options->ignore_note)
        read_note(in, &note_problem);
    if (in->has_note)
        status = units_of_note(in, error);
    told = in->unit_count > 0 || (in->has_note && in->note.summary.stop == DAM_STOP_NO_DMAR);
    if (status == TOOL_OK)
        status = units_of_command(in, options, error);
    told |= options->vtd_root_count > 0;
    snprintf(in->kernel_problem, sizeof in->kernel_problem, "it is not asked");
    if (status == TOOL_OK && !options->ignore_kernel && inspect_kernel_open(in))
        status = ask_kernel(in, !told, &told, error);
    copy_crash_regions(in);
    bool scanned = status == TOOL_OK && (options->scan || !told);
    if (scanned)
        status = units_of_scan(in, error);
    if (status == TOOL_OK && scanned && !told && in->unit_count == 0)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "where the IOMMU's tables are is not known: %s; the dead kernel: %s; a scan found "
                         "nothing that looks like a root table (--vtd-root says it)",
                         note_problem.text, in->kernel_problem);
    return status;
}
