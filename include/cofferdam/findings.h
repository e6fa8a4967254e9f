// SPDX-License-Identifier: MIT
// What can be odd about the old tables, the firmware or the hardware: one list of code, severity and text.
// The engine uses the codes alone; the tool and the console print the texts. Values are stable: add at the
// end.
#ifndef COFFERDAM_FINDINGS_H
#define COFFERDAM_FINDINGS_H

#include <cofferdam/abi.h>

enum dam_severity {
    DAM_INFO = 0,  // worth knowing
    DAM_WARN = 1,  // odd, and dealt with
    DAM_ERROR = 2, // something is not as it should be, and it costs somebody something
};

// X(constant, value, severity, text); address, raw and index mean what the text says.
#define DAM_FINDINGS(X)                                                                                      \
    X(DAM_F_NONE, 0, DAM_INFO, "nothing")                                                                    \
    X(DAM_F_ACPI_CHECKSUM, 1, DAM_WARN, "ACPI table with a wrong checksum (address, raw: its signature)")    \
    X(DAM_F_ACPI_LENGTH, 2, DAM_ERROR, "ACPI table or structure with a wrong length (address, raw: length)") \
    X(DAM_F_ACPI_UNKNOWN, 3, DAM_INFO,                                                                       \
      "DMAR structure or IVRS block of unknown type, skipped (address, raw: type)")                          \
    X(DAM_F_ACPI_SCOPE, 4, DAM_WARN, "device scope that leads to no device (address, raw: path)")            \
    X(DAM_F_ACPI_REVISION, 5, DAM_INFO, "ACPI table of an unknown revision (address, raw: revision)")        \
    X(DAM_F_UNIT_ABSENT, 10, DAM_WARN, "unit reads all ones (address: registers)")                           \
    X(DAM_F_UNIT_OFF, 11, DAM_WARN, "unit with translation off, left alone (raw: GSTS or control)")          \
    X(DAM_F_UNIT_MODE, 12, DAM_WARN, "unit in a table mode that is not supported, left alone (raw: RTADDR)") \
    X(DAM_F_UNIT_DUPLICATE, 13, DAM_WARN, "the firmware names the same registers twice (address)")           \
    X(DAM_F_UNIT_FAULTS, 14, DAM_INFO, "the old kernel left fault status bits (raw: FSTS or status)")        \
    X(DAM_F_UNIT_PMR, 15, DAM_INFO, "protected memory regions are enabled (raw: PMEN)")                      \
    X(DAM_F_UNIT_QUEUE_ERROR, 16, DAM_WARN,                                                                  \
      "the old invalidation queue or command buffer had stopped (raw: FSTS or status; index: IQEI)")         \
    X(DAM_F_UNIT_ROOT, 17, DAM_ERROR, "root table outside known memory: all quarantined (raw: RTADDR)")      \
    X(DAM_F_ROOT_RESERVED, 20, DAM_WARN, "root entry with reserved bits set (address, raw)")                 \
    X(DAM_F_ROOT_POINTER, 21, DAM_ERROR, "root entry that leads outside known memory: bus dropped")          \
    X(DAM_F_CTX_RESERVED, 22, DAM_ERROR, "context entry with reserved bits set: quarantined")                \
    X(DAM_F_CTX_TYPE, 23, DAM_ERROR, "context entry of an unsupported type: quarantined")                    \
    X(DAM_F_CTX_WIDTH, 24, DAM_ERROR, "context entry with an unsupported address width: quarantined")        \
    X(DAM_F_CTX_POINTER, 25, DAM_ERROR, "context entry that leads outside known memory: quarantined")        \
    X(DAM_F_CTX_DID, 26, DAM_WARN, "domain id beyond what the unit supports: replaced")                      \
    X(DAM_F_DID_SHARED, 27, DAM_WARN, "one domain id with two page tables: the second one gets a new id")    \
    X(DAM_F_PASSTHROUGH, 28, DAM_INFO, "requester was passed through untranslated")                          \
    X(DAM_F_ATS_REFUSED, 29, DAM_INFO, "requester was allowed translated requests; they are refused now")    \
    X(DAM_F_PT_RESERVED, 30, DAM_ERROR, "page-table entry with reserved bits set: cut out")                  \
    X(DAM_F_PT_POINTER, 31, DAM_ERROR, "page-table entry that leads outside known memory: cut out")          \
    X(DAM_F_PT_KEEP_OUT, 32, DAM_ERROR, "mapping into the crash region or the pool: cut out")                \
    X(DAM_F_PT_TOO_MANY_CUTS, 33, DAM_ERROR, "too many broken mappings: requester quarantined")              \
    X(DAM_F_PT_BUDGET, 34, DAM_ERROR, "page tables larger than the budget: requester quarantined")           \
    X(DAM_F_PT_CHANGED, 35, DAM_WARN, "page tables changed while they were read")                            \
    X(DAM_F_PT_LOW_MEMORY, 36, DAM_INFO,                                                                     \
      "mapping into memory below 1 MiB that the capture kernel uses: cut out")                               \
    X(DAM_F_PT_RUN, 37, DAM_WARN, "entries of one large page that are not all alike: cut out")               \
    X(DAM_F_RMRR_KEEP_OUT, 40, DAM_ERROR, "firmware region overlaps the crash region or pool: refused")      \
    X(DAM_F_RMRR_BAD, 41, DAM_WARN, "firmware region with a bad base or limit: ignored (address, raw)")      \
    X(DAM_F_RMRR_IN_RAM, 42, DAM_WARN, "firmware region inside the old kernel's memory")                     \
    X(DAM_F_VERIFY_REGISTER, 50, DAM_ERROR, "register does not read back as written (address, raw)")         \
    X(DAM_F_VERIFY_CONTEXT, 51, DAM_ERROR, "context or device table entry does not read back as written")    \
    X(DAM_F_VERIFY_TREE, 52, DAM_ERROR, "new page tables failed verification: requester blocked")            \
    X(DAM_F_WAIT_TIMEOUT, 53, DAM_ERROR, "hardware did not answer in time (address: register, raw)")         \
    X(DAM_F_CMDLINE_WORD, 60, DAM_WARN, "cofferdam.* word not understood, ignored (index: its number)")      \
    X(DAM_F_CMDLINE_LONG, 61, DAM_WARN, "command line too long, or not terminated")                          \
    X(DAM_F_CHOICE_UNUSED, 62, DAM_WARN, "a policy was chosen for a requester that does not exist")          \
    X(DAM_F_NMI, 63, DAM_WARN, "a non-maskable interrupt arrived in the stage (address: rip)")               \
    X(DAM_F_ELFCOREHDR, 64, DAM_WARN, "the ELF core headers could not be extended (raw: reason)")            \
    X(DAM_F_ECAM, 65, DAM_INFO, "ECAM does not answer like port CF8h, not used (address)")                   \
    X(DAM_F_UNITS_MIXED, 66, DAM_WARN, "a unit was not taken over; others were (raw: how many not)")         \
    /* 70-89: scalable mode and broken tables */                                                             \
    X(DAM_F_SM_CONTEXT, 70, DAM_ERROR, "scalable-mode context entry that the unit refuses: quarantined")     \
    X(DAM_F_PASID_DIRECTORY, 71, DAM_ERROR,                                                                  \
      "PASID directory (AMD: GCR3 table) outside known memory: quarantined")                                 \
    X(DAM_F_PASID_DIR_RESERVED, 72, DAM_ERROR,                                                               \
      "PASID-directory (AMD: upper GCR3) entry with reserved bits set: its PASIDs quarantined (iova: the "   \
      "first)")                                                                                              \
    X(DAM_F_PASID_DIR_POINTER, 73, DAM_ERROR,                                                                \
      "PASID-directory (AMD: upper GCR3) entry that leads outside known memory: its PASIDs quarantined "     \
      "(iova: the first)")                                                                                   \
    X(DAM_F_PASID_RESERVED, 74, DAM_ERROR, "PASID entry with reserved bits set: quarantined (iova: PASID)")  \
    X(DAM_F_PASID_TYPE, 75, DAM_ERROR, "PASID entry of an unsupported type: quarantined (iova: PASID)")      \
    X(DAM_F_PASID_WIDTH, 76, DAM_ERROR,                                                                      \
      "PASID entry with an unsupported number of levels: quarantined (iova: PASID)")                         \
    X(DAM_F_PASID_POINTER, 77, DAM_ERROR,                                                                    \
      "PASID entry that leads outside known memory: quarantined (iova: PASID)")                              \
    X(DAM_F_PASID_SHARE, 78, DAM_ERROR, "PASID tables beyond a function's share of the pool: quarantined")   \
    X(DAM_F_PAGE_REQUESTS, 79, DAM_INFO, "requester was allowed page requests; they are refused now")        \
    X(DAM_F_TABLES_CHANGED, 80, DAM_WARN,                                                                    \
      "root, context, PASID or device table changed since it was read (address)")                            \
    X(DAM_F_ROOT_MODE, 81, DAM_ERROR,                                                                        \
      "root pointer of a table mode that the unit does not have: all quarantined (raw: RTADDR)")             \
    X(DAM_F_UNIT_ABORTS, 82, DAM_INFO, "unit refuses all DMA (abort-DMA mode), left alone (raw: RTADDR)")    \
    X(DAM_F_ROOT_UNKNOWN, 83, DAM_ERROR,                                                                     \
      "root table outside known memory, of a unit with two table modes: left alone (raw: RTADDR)")           \
    /* 90-109: queues, faults, interrupt remapping */                                                        \
    X(DAM_F_QUEUE_ADDRESS, 90, DAM_WARN,                                                                     \
      "old invalidation queue or command buffer outside known memory (raw: base register)")                  \
    X(DAM_F_QUEUE_POINTER, 91, DAM_WARN,                                                                     \
      "head or tail of the old invalidation queue or command buffer is wrong (address: head, raw: tail)")    \
    X(DAM_F_QUEUE_DROPPED, 92, DAM_WARN,                                                                     \
      "requests left in the old invalidation queue were dropped (address: head, raw: tail)")                 \
    X(DAM_F_QUEUE_STUCK, 93, DAM_ERROR,                                                                      \
      "no invalidation interface could be had: unit left alone (address: register, raw)")                    \
    X(DAM_F_FAULT, 94, DAM_INFO,                                                                             \
      "fault or event that the old kernel left (address: record; index: reason; raw: what tells it)")        \
    X(DAM_F_FAULT_LOG, 95, DAM_WARN, "faults were logged into memory: switched off (raw: AFLOG)")            \
    X(DAM_F_PAGE_QUEUE, 96, DAM_WARN,                                                                        \
      "page requests were written into memory: not any more (raw: PQA or PPR log base)")                     \
    X(DAM_F_IRT_POINTER, 97, DAM_ERROR,                                                                      \
      "interrupt remapping table outside known memory: silenced (raw: what leads to it)")                    \
    X(DAM_F_IRT_KEPT, 98, DAM_WARN,                                                                          \
      "no room for the interrupt remapping table, or no queue: left in old memory")                          \
    X(DAM_F_IRTE_RESERVED, 99, DAM_WARN,                                                                     \
      "interrupt entry that the hardware would refuse: silenced (index, raw)")                               \
    X(DAM_F_IRTE_STRANGE, 100, DAM_ERROR,                                                                    \
      "interrupt entry that is no device's (SMI, NMI, INIT, vector): silenced")                              \
    X(DAM_F_IRTE_POSTED, 101, DAM_WARN, "interrupt entry that posts into old memory: silenced (index, raw)") \
    X(DAM_F_IRTE_MASKED, 102, DAM_INFO, "interrupts masked as cofferdam.irq=mask says (raw: how many)")      \
    X(DAM_F_STATE_LEFT, 103, DAM_WARN, "faults or page requests could not be put in order (raw: error)")     \
    /* 110-129: hiding, crash window, raising */                                                             \
    X(DAM_F_HIDE_ACPI, 110, DAM_WARN,                                                                        \
      "no ACPI root without the IOMMU can be made: it is shown (raw: reason)")                               \
    X(DAM_F_HIDE_CMDLINE, 111, DAM_WARN,                                                                     \
      "no room for the new ACPI root's address: the IOMMU is shown (raw)")                                   \
    X(DAM_F_HIDE_APIC, 112, DAM_WARN, "x2APIC needs interrupt remapping: the IOMMU is shown (raw: its id)")  \
    X(DAM_F_HIDE_WINDOW, 113, DAM_WARN, "no memory for a crash window is known: the IOMMU is shown")         \
    X(DAM_F_HIDE_UNIT, 114, DAM_ERROR, "a unit runs on other tables than ours: the IOMMU is shown")          \
    X(DAM_F_HIDE_HARDWARE, 115, DAM_ERROR,                                                                   \
      "interrupt remapping or protected memory cannot be turned off: the IOMMU is shown (address, raw)")     \
    X(DAM_F_WINDOW_COLLISION, 116, DAM_WARN,                                                                 \
      "crash window refused: the old kernel mapped its addresses elsewhere (address, iova, raw: pages)")     \
    X(DAM_F_WINDOW_REPLACES, 117, DAM_WARN,                                                                  \
      "the crash window asked for replaces old mappings (address, iova, raw: pages)")                        \
    X(DAM_F_WINDOW_WIDTH, 118, DAM_WARN,                                                                     \
      "the crash window ends where the page tables do (address, raw: end)")                                  \
    X(DAM_F_WINDOW_NESTED, 121, DAM_WARN, "crash window refused: translation was nested")                    \
    X(DAM_F_RAISED, 119, DAM_INFO, "translation was off and was turned on (raw: GSTS or control)")           \
    X(DAM_F_RAISE_FAILED, 120, DAM_ERROR, "translation could not be turned on (raw: GSTS or control)")       \
    X(DAM_F_ATS_CONFIG, 130, DAM_WARN,                                                                       \
      "ATS cannot be switched off in the device: no way to its registers (raw: error)")                      \
    X(DAM_F_ATS_STAYS_ON, 131, DAM_WARN, "ATS or page requests stay on (address: register, raw)")            \
    X(DAM_F_ATS_SILENT, 132, DAM_WARN,                                                                       \
      "device does not confirm that it forgot translations (raw: FSTS or status)")                           \
    X(DAM_F_ATS_UNASKED, 133, DAM_WARN, "ATS was on in a device that was not allowed translated requests")   \
    X(DAM_F_PCI_CAPABILITIES, 134, DAM_WARN, "list of PCI capabilities that does not end or leads outside")  \
    X(DAM_F_ATS_TIME, 135, DAM_WARN, "no time left to switch ATS off (raw: requesters not looked at)")       \
    X(DAM_F_UNIT_BASE, 136, DAM_ERROR, "unit with an impossible register base, ignored (address)")           \
    X(DAM_F_UNIT_LEFT, 137, DAM_ERROR, "unit could not be planned, left alone (raw: stop code)")             \
    X(DAM_F_NO_PLACE, 138, DAM_WARN, "no place in the unit's tables for a requester that was named")         \
    X(DAM_F_FREEZE_SHALLOW, 139, DAM_WARN,                                                                   \
      "no room for tables without W in their leaves: pages in use may still be written (raw: tables)")       \
    /* 138-149: ATS, units, segments */                                                                      \
    /* 150-169: the stage */                                                                                 \
    X(DAM_F_LOW_POOL, 150, DAM_INFO, "pages below 4 GiB were taken for device tables (address, raw: bytes)") \
    X(DAM_F_LOW_POOL_MISSING, 151, DAM_WARN,                                                                 \
      "no pages below 4 GiB for device tables, and the pool lies above (raw: reason)")                       \
    /* 170-209: AMD-Vi */                                                                                    \
    X(DAM_F_DTE_RESERVED, 170, DAM_ERROR, "device table entry with reserved bits set: quarantined")          \
    X(DAM_F_DTE_TYPE, 171, DAM_ERROR, "device table entry of an unsupported type: quarantined")              \
    X(DAM_F_DTE_WIDTH, 172, DAM_ERROR,                                                                       \
      "device table entry with an unsupported number of levels: quarantined")                                \
    X(DAM_F_DTE_POINTER, 173, DAM_ERROR, "device table entry that leads outside known memory: quarantined")  \
    X(DAM_F_DEVTAB_POINTER, 174, DAM_ERROR,                                                                  \
      "device table outside known memory (address, raw: its base register)")                                 \
    X(DAM_F_DEVTAB_PAGE, 175, DAM_ERROR,                                                                     \
      "page of the device table that cannot be read: its 128 functions quarantined (raw: the first)")        \
    X(DAM_F_DEVTAB_SEGMENTS, 176, DAM_ERROR,                                                                 \
      "device table in more segments than the unit has, left alone (raw: control)")                          \
    X(DAM_F_NO_HOST_TABLES, 177, DAM_WARN, "unit without host translation, left alone (raw: control)")       \
    X(DAM_F_UNIT_LOCKED, 178, DAM_ERROR,                                                                     \
      "register keeps its value, as under SNP: unit left alone (address, raw)")                              \
    X(DAM_F_GUEST_LOG, 179, DAM_WARN,                                                                        \
      "interrupts of guests were logged into memory: switched off (raw: base register)")                     \
    X(DAM_F_EXCLUSION, 180, DAM_WARN, "an exclusion range was open: closed (address: base, raw: limit)")     \
    X(DAM_F_PASIDS_BELOW, 181, DAM_INFO,                                                                     \
      "requests with PASID are contained by the tables of those without (raw: device table entry)")          \
    X(DAM_F_LEAF_RIGHTS, 182, DAM_INFO,                                                                      \
      "QEMU's unit, which forgets what entries above a leaf take away: frozen leaf by leaf (address)")       \
    X(DAM_F_APERTURES, 183, DAM_WARN,                                                                        \
      "unit that leads translated addresses elsewhere (MARC), left alone (raw: control)")                    \
    X(DAM_F_IRT_FORM, 184, DAM_WARN,                                                                         \
      "interrupts remapped by a table of another size than all others, or in no known way: refused (raw)")

enum dam_finding_code {
#define DAM_X(name, value, severity, text) name = value,
    DAM_FINDINGS(DAM_X)
#undef DAM_X
};

#endif
