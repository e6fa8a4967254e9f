// SPDX-License-Identifier: MIT
#include <string.h>

#include "inspect/vtd.h"
#include "iommu/vtd/scalable.h"
#include "iommu/vtd/tables.h"

#define PAGE_MASK (~(uint64_t)(DAM_PAGE_SIZE - 1))

static bool is_scalable(const struct inspect_requester *r)
{
    return r->words > 2 || (r->flags & DAM_REQ_PASID) || strcmp(r->unit->mode, "scalable") == 0;
}

static void root_fields(const struct inspect_requester *r, const struct inspect_step *step,
                        struct entry_fields *out)
{
    // In scalable mode each half of a root entry is for half of the bus.
    unsigned half = is_scalable(r) && step->words > 1 && (r->rid & 0x80);
    entry_flag(out, "present", dam_bits_get(step->raw[half], VTD_ROOT_P));
    entry_address(out, "context table", step->raw[half] & PAGE_MASK);
}

static void scalable_context_fields(const uint64_t raw[4], struct entry_fields *out)
{
    entry_flag(out, "present", dam_bits_get(raw[0], VTD_SM_CTX_P));
    entry_flag(out, "faults off", dam_bits_get(raw[0], VTD_SM_CTX_FPD));
    entry_flag(out, "device TLB", dam_bits_get(raw[0], VTD_SM_CTX_DTE));
    entry_flag(out, "requests with PASID", dam_bits_get(raw[0], VTD_SM_CTX_PASIDE));
    entry_flag(out, "page requests", dam_bits_get(raw[0], VTD_SM_CTX_PRE));
    entry_address(out, "PASID directory", raw[0] & PAGE_MASK);
    entry_number(out, "directory entries", 1ull << (dam_bits_get(raw[0], VTD_SM_CTX_PDTS) + 7));
    entry_number(out, "PASID of requests without", dam_bits_get(raw[1], VTD_SM_CTX_RID_PASID));
}

void vtd_step_fields(const struct inspect_requester *r, const struct inspect_step *step,
                     struct entry_fields *out)
{
    out->count = 0;
    if (strcmp(step->what, "root entry") == 0) {
        root_fields(r, step, out);
    } else if (strcmp(step->what, "context entry") == 0) {
        scalable_context_fields(step->raw, out);
    } else {
        entry_flag(out, "present", dam_bits_get(step->raw[0], VTD_PASID_DIR_P));
        entry_flag(out, "faults off", dam_bits_get(step->raw[0], VTD_PASID_DIR_FPD));
        entry_address(out, "PASID table", step->raw[0] & PAGE_MASK);
    }
}

static void legacy_fields(const uint64_t *raw, struct entry_fields *out)
{
    static const char *const types[] = {"second stage", "second stage, device TLB", "pass-through",
                                        "reserved"};
    entry_flag(out, "present", dam_bits_get(raw[0], VTD_CTX_P));
    entry_flag(out, "faults off", dam_bits_get(raw[0], VTD_CTX_FPD));
    entry_word(out, "type", types[dam_bits_get(raw[0], VTD_CTX_T)]);
    if (dam_bits_get(raw[0], VTD_CTX_T) != VTD_T_PASSTHROUGH)
        entry_address(out, "page table", raw[0] & PAGE_MASK);
    entry_number(out, "levels", dam_bits_get(raw[1], VTD_CTX_AW) + 2);
    entry_number(out, "domain", dam_bits_get(raw[1], VTD_CTX_DID));
}

static void pasid_fields(const uint64_t *raw, struct entry_fields *out)
{
    static const char *const types[] = {"reserved",     "first stage", "second stage", "nested",
                                        "pass-through", "reserved",    "reserved",     "reserved"};
    uint64_t type = dam_bits_get(raw[0], VTD_PASID_PGTT);
    entry_flag(out, "present", dam_bits_get(raw[0], VTD_PASID_P));
    entry_flag(out, "faults off", dam_bits_get(raw[0], VTD_PASID_FPD));
    entry_word(out, "type", types[type]);
    entry_number(out, "domain", dam_bits_get(raw[1], VTD_PASID_DID));
    if (type == DAM_STAGE_SECOND || type == DAM_STAGE_NESTED) {
        entry_address(out, "second-stage table", raw[0] & PAGE_MASK);
        entry_number(out, "second-stage levels", dam_bits_get(raw[0], VTD_PASID_AW) + 2);
        entry_flag(out, "accessed and dirty bits", dam_bits_get(raw[0], VTD_PASID_SSADE));
    }
    if (type == DAM_STAGE_FIRST || type == DAM_STAGE_NESTED) {
        entry_address(out, "first-stage table", raw[2] & PAGE_MASK);
        entry_number(out, "first-stage levels", dam_bits_get(raw[2], VTD_PASID_FSPM) + 4);
        entry_flag(out, "supervisor requests", dam_bits_get(raw[2], VTD_PASID_SRE));
    }
    entry_flag(out, "walks snoop", dam_bits_get(raw[1], VTD_PASID_PWSNP));
}

void vtd_entry_fields(const struct inspect_requester *r, struct entry_fields *out)
{
    out->count = 0;
    if (r->words == VTD_PASID_WORDS)
        pasid_fields(r->raw, out);
    else if (r->words == VTD_SM_CTX_WORDS)
        scalable_context_fields(r->raw, out);
    else if (r->words == 2)
        legacy_fields(r->raw, out);
}

const char *vtd_entry_name(const struct inspect_requester *r)
{
    return r->words == VTD_PASID_WORDS ? "PASID-table entry" : "context entry";
}
