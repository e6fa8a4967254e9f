// SPDX-License-Identifier: MIT
// VT-d, as inspect asks for it: where root tables are, and what lies between them and the page tables.
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cofferdam/acpi.h>

#include "inspect/vtd.h"
#include "iommu/vtd/lookup.h"
#include "iommu/vtd/regs.h"
#include "json.h"

#define FUNCTION_TABLES 1024u // directory pages and PASID tables of one function

// A unit of which nothing is known can do everything: all widths and page sizes, all modes and stages.
#define ANY_CAP                                                                                              \
    (dam_bits_put(6, VTD_CAP_ND) | dam_bits_put(14, VTD_CAP_SAGAW) | dam_bits_put(56, VTD_CAP_MGAW) |        \
     dam_bits_mask(VTD_CAP_SLLPS) | dam_bits_mask(VTD_CAP_FS1GP) | dam_bits_mask(VTD_CAP_FS5LP))
#define ANY_ECAP                                                                                             \
    (dam_bits_mask(VTD_ECAP_DT) | dam_bits_mask(VTD_ECAP_PT) | dam_bits_mask(VTD_ECAP_SC) |                  \
     dam_bits_mask(VTD_ECAP_NEST) | dam_bits_mask(VTD_ECAP_PRS) | dam_bits_mask(VTD_ECAP_PASID) |            \
     dam_bits_mask(VTD_ECAP_SMTS) | dam_bits_mask(VTD_ECAP_SSTS) | dam_bits_mask(VTD_ECAP_FSTS) |            \
     dam_bits_mask(VTD_ECAP_RPS) | dam_bits_mask(VTD_ECAP_ADMS))

static enum vtd_mode mode_of(const struct inspect_unit *u)
{
    return vtd_mode_of(u->ecap, u->registers.vtd.rtaddr);
}

// What the engine wants to know of a unit.
static struct vtd_unit engine_unit(const struct inspect_unit *u)
{
    return (struct vtd_unit){
        .iommu = {.base = dam_pa_of(u->base), .cap = u->cap, .ecap = u->ecap},
        .scalable = mode_of(u) == VTD_MODE_SCALABLE,
    };
}

// ---- units -----------------------------------------------------------------------------------------------
static enum tool_status bad_root(const char *text, struct tool_error *error)
{
    return tool_fail(error, TOOL_USAGE,
                     "--vtd-root %s: an address of a page is wanted, and \",legacy\" or \",scalable\" behind "
                     "it, or the mode in bits 11:10 as the register has it",
                     text);
}

static enum tool_status given(struct inspection *in, const char *text, struct inspect_unit *unit,
                              struct tool_error *error)
{
    char *end;
    (void)in;
    if (!isdigit((unsigned char)text[0]))
        return bad_root(text, error);
    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    uint64_t mode = dam_bits_get(value, VTD_RTADDR_TTM), low = dam_bits_get(value, 9, 0);
    if (errno != 0 || low || value >> INSPECT_WIDEST)
        return bad_root(text, error);
    if (strcmp(end, ",legacy") == 0)
        mode = VTD_TTM_LEGACY;
    else if (strcmp(end, ",scalable") == 0)
        mode = VTD_TTM_SCALABLE;
    else if (*end != '\0' || mode > VTD_TTM_SCALABLE)
        return bad_root(text, error);
    unit->registers.vtd.rtaddr = dam_bits_set(value, mode, VTD_RTADDR_TTM);
    return TOOL_OK;
}

static void guessed(const struct scan_root *root, struct inspect_unit *unit)
{
    unit->registers.vtd.rtaddr =
        (root->root.v & dam_bits_mask(VTD_RTADDR_RTA)) |
        dam_bits_put(root->scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY, VTD_RTADDR_TTM);
}

static bool translates(const struct inspect_unit *unit)
{
    return dam_bits_get(unit->registers.vtd.gsts, VTD_G_TE);
}

static const char *mode_word(const struct inspect_unit *u)
{
    switch (mode_of(u)) {
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

static void complete(struct inspect_unit *u)
{
    if (!u->has_registers) {
        u->cap = ANY_CAP;
        u->ecap = ANY_ECAP;
    }
    u->root = dam_pa_of(u->registers.vtd.rtaddr & dam_bits_mask(VTD_RTADDR_RTA));
    u->table_size = DAM_PAGE_SIZE;
    u->mode = mode_word(u);
}

static uint8_t width(const uint8_t *table, size_t length)
{
    struct dmar_table dmar;
    return !dmar_open(table, length, &dmar) ? dmar.host_address_width : 0;
}

static void put_registers(const struct inspect_unit *u, struct json_object *out)
{
    json_put_hex(out, "rtaddr", u->registers.vtd.rtaddr);
    if (!u->has_registers)
        return;
    json_put_hex(out, "cap", u->cap);
    json_put_hex(out, "ecap", u->ecap);
    json_put_hex(out, "gsts", u->registers.vtd.gsts);
}

static struct inspect_register table_register(const struct inspect_unit *unit)
{
    return (struct inspect_register){VTD_RTADDR_REG, unit->registers.vtd.rtaddr};
}

static struct inspect_register state_register(const struct inspect_unit *unit)
{
    return (struct inspect_register){VTD_GSTS_REG, unit->registers.vtd.gsts};
}

// ---- tables ----------------------------------------------------------------------------------------------
static enum inspect_tables tables(const struct inspect_unit *unit, uint16_t *finding)
{
    *finding = DAM_F_NONE;
    switch (mode_of(unit)) {
    case VTD_MODE_ABORT:
        *finding = DAM_F_UNIT_ABORTS;
        return TABLES_NONE;
    case VTD_MODE_UNSUPPORTED:
        *finding = DAM_F_UNIT_MODE;
        return TABLES_UNKNOWN;
    case VTD_MODE_IMPOSSIBLE:
        *finding = DAM_F_ROOT_MODE;
        break;
    case VTD_MODE_LEGACY:
    case VTD_MODE_SCALABLE:
        break;
    }
    return TABLES_READ;
}

static dam_err look_up(const struct inspect_unit *unit, struct inspect_reading *reading, void *ctx,
                       dam_err (*found)(void *ctx, const struct iommu_hit *hit))
{
    const struct vtd_unit vtd = engine_unit(unit);
    const struct vtd_lookup lookup = {
        .unit = &vtd,
        .haw = unit->host_address_width,
        .memory = &reading->memory,
        .buffers = reading->buffers,
        .function_tables = FUNCTION_TABLES,
        .ctx = ctx,
        .found = found,
    };
    return vtd_lookup(&lookup, unit->root);
}

static void format(enum dam_stage stage, struct pt_format *out)
{
    if (stage == DAM_STAGE_FIRST)
        pt_format_vtdfs(out);
    else
        pt_format_vtdss(out);
}

static struct pt_params params(const struct inspect_unit *unit, enum dam_stage stage, uint8_t levels)
{
    const struct vtd_unit vtd = engine_unit(unit);
    return vtd_tree_params(&vtd, unit->host_address_width, stage, levels);
}

static uint32_t domain_ids(const struct inspect_unit *unit)
{
    const struct vtd_unit vtd = engine_unit(unit);
    return vtd_domain_ids(&vtd.iommu);
}

static unsigned entry_words(const struct iommu_hit *hit)
{
    return hit->binding.scalable ? VTD_PASID_WORDS : sizeof(struct vtd_context_entry) / sizeof(uint64_t);
}

static const char *const steps[IOMMU_STEPS] = {"root entry", "context entry", "PASID directory entry"};

const struct unit_kind inspect_vtd = {
    .id = DAM_IOMMU_VTD,
    .name = "VT-d",
    .option = "--vtd-root",
    .option_help = "      --vtd-root ADDR[,legacy|scalable]\n"
                   "                        a root table of a VT-d unit; may be given several times\n",
    .first_name = "first-stage tables",
    .step_names = steps,
    .has_debugfs = true,
    .given = given,
    .guessed = guessed,
    .translates = translates,
    .complete = complete,
    .width = width,
    .put_registers = put_registers,
    .table_register = table_register,
    .state_register = state_register,
    .kernel_units = kernel_vtd_units,
    .scan_page = scan_vtd_page,
    .scan_end = NULL,
    .tables = tables,
    .look_up = look_up,
    .format = format,
    .params = params,
    .domain_ids = domain_ids,
    .entry_words = entry_words,
    .step_fields = vtd_step_fields,
    .entry_fields = vtd_entry_fields,
    .entry_name = vtd_entry_name,
};
