// SPDX-License-Identifier: MIT
#include "efi.h"

#include "bytes.h"

// EFI_SYSTEM_TABLE, 64-bit.
#define SYSTAB_SIZE      0x78u
#define SYSTAB_SIGNATURE 0x5453595320494249ull // "IBI SYST"
#define SYSTAB_COUNT     0x68
#define SYSTAB_TABLES    0x70
// EFI_CONFIGURATION_TABLE: GUID, pointer.
#define CONFIG_SIZE    24u
#define CONFIG_POINTER 16
// Data of a SETUP_EFI node: firmware vendor, unused, tables, SMBIOS, …
#define SETUP_EFI_TABLES 16u

static const uint8_t guid_acpi20[16] = {0x71, 0xE8, 0x68, 0x88, 0xF1, 0xE4, 0xD3, 0x11,
                                        0xBC, 0x22, 0x00, 0x80, 0xC7, 0x3C, 0x88, 0x81};
static const uint8_t guid_acpi10[16] = {0x30, 0x2D, 0x9D, 0xEB, 0x88, 0x2D, 0xD3, 0x11,
                                        0x9A, 0x16, 0x00, 0x90, 0x27, 0x3F, 0xC1, 0x4D};

static dam_err tables_of_kexec(const struct dam_ops *ops, const struct setup_node *nodes, size_t count,
                               uint64_t *tables)
{
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].type != SETUP_DATA_EFI || nodes[i].len < SETUP_EFI_TABLES + 8)
            continue;
        uint8_t raw[8];
        dam_err err = dam_mem_read(ops, dam_pa_of(nodes[i].data.v + SETUP_EFI_TABLES), raw, sizeof(raw));
        if (err)
            return err;
        *tables = bytes_get64(raw);
        return DAM_OK;
    }
    return DAM_OK;
}

dam_err efi_find_rsdp(const struct dam_ops *ops, const uint8_t *bp, const struct setup_node *nodes,
                      size_t count, dam_pa *rsdp)
{
    *rsdp = dam_pa_of(0);
    uint64_t systab = bytes_get_halves(bp + BP_EFI_SYSTAB, bp + BP_EFI_SYSTAB_HIGH);
    if (bytes_get32(bp + BP_EFI_SIGNATURE) != BP_EFI_SIGNATURE_EL64 || systab == 0)
        return DAM_E_ABSENT;
    uint8_t raw[SYSTAB_SIZE];
    dam_err err = dam_mem_read(ops, dam_pa_of(systab), raw, sizeof(raw));
    if (err)
        return err;
    if (bytes_get64(raw) != SYSTAB_SIGNATURE)
        return DAM_E_SIGNATURE;
    uint64_t entries = bytes_get64(raw + SYSTAB_COUNT), tables = bytes_get64(raw + SYSTAB_TABLES);
    err = tables_of_kexec(ops, nodes, count, &tables);
    if (err)
        return err;
    for (uint64_t i = 0; i < entries && i < EFI_TABLES_MAX; i++) {
        uint8_t entry[CONFIG_SIZE];
        err = dam_mem_read(ops, dam_pa_of(tables + i * CONFIG_SIZE), entry, sizeof(entry));
        if (err)
            return err;
        bool acpi20 = memcmp(entry, guid_acpi20, sizeof(guid_acpi20)) == 0;
        if (acpi20 || (rsdp->v == 0 && memcmp(entry, guid_acpi10, sizeof(guid_acpi10)) == 0))
            *rsdp = dam_pa_of(bytes_get64(entry + CONFIG_POINTER));
        if (acpi20)
            break;
    }
    return DAM_OK;
}
