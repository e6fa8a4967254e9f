// SPDX-License-Identifier: MIT
// The registers of a unit. VT-d architecture specification, chapter 11; offsets are typed anew here on
// purpose.
#include "lib/fake_vtd.h"

#define TE    (1u << 31)
#define SRTP  (1u << 30)
#define SFL   (1u << 29)
#define EAFL  (1u << 28)
#define WBF   (1u << 27)
#define QIE   (1u << 26)
#define IRE   (1u << 25)
#define SIRTP (1u << 24)
#define CFI   (1u << 23)

#define IQE   (1u << 4) // FSTS
#define ITE   (1u << 6)

enum { VER = 0x00, CAP = 0x08, ECAP = 0x10, GCMD = 0x18, GSTS = 0x1C, RTADDR = 0x20, CCMD = 0x28 };
enum { FSTS = 0x34, FECTL = 0x38, FEDATA = 0x3C, FEADDR = 0x40, FEUADDR = 0x44, PMEN = 0x64 };
enum { IQH = 0x80, IQT = 0x88, IQA = 0x90, IQERCD = 0xB0, IRTA = 0xB8 };

static unsigned iotlb_base(const struct fake_unit *unit)
{
    return (unsigned)(unit->ecap >> 8 & 0x3FF) * 16;
}

// ---- reading ----------------------------------------------------------------------------------------------
// A command is done once its status has been read `latency` times more.
static uint32_t read_gsts(struct fake_unit *unit)
{
    if (unit->pending_set | unit->pending_clear) {
        if (unit->pending_reads == 0) {
            if (unit->pending_clear & TE & unit->gsts)
                unit->tes_off++;
            unit->gsts = (unit->gsts | unit->pending_set) & ~unit->pending_clear;
            unit->pending_set = unit->pending_clear = 0;
        } else {
            unit->pending_reads--;
        }
    }
    return unit->gsts;
}

static uint64_t read_ccmd(struct fake_unit *unit)
{
    if (unit->ccmd >> 63 && !(unit->stuck & FAKE_STUCK_CCMD) && !(unit->gsts & QIE)) {
        if (unit->ccmd_reads > 0) {
            unit->ccmd_reads--;
        } else {
            unsigned asked = (unsigned)(unit->ccmd >> 61 & 3);
            fake_invalidate_context(unit, asked, unit->ccmd & 0xFFFF, unit->ccmd >> 16 & 0xFFFF,
                                    unit->ccmd >> 32 & 3);
            unit->ccmd = (unit->ccmd & ~(1ull << 63 | 3ull << 59)) | (uint64_t)asked << 59;
        }
    }
    return unit->ccmd;
}

static uint64_t read_iotlb(struct fake_unit *unit)
{
    if (unit->iotlb >> 63 && !(unit->stuck & FAKE_STUCK_IOTLB) && !(unit->gsts & QIE)) {
        if (unit->iotlb_reads > 0) {
            unit->iotlb_reads--;
        } else {
            unsigned asked = (unsigned)(unit->iotlb >> 60 & 3);
            unit->iotlb &= ~(1ull << 63 | 3ull << 57);
            if (!(unit->stuck & FAKE_REFUSE_IOTLB)) {
                fake_invalidate_iotlb(unit, asked, unit->iotlb >> 32 & 0xFFFF, unit->iva & ~0xFFFull,
                                      unit->iva & 0x3F, unit->iotlb >> 48 & 1, unit->iotlb >> 49 & 1);
                unit->iotlb |= (uint64_t)asked << 57;
            }
        }
    }
    return unit->iotlb;
}

// Width of a register that the model has, 0 for what it has not.
static unsigned width_of(struct fake_unit *unit, uint16_t offset)
{
    switch (offset) {
    case CAP:
    case ECAP:
    case RTADDR:
    case CCMD:
    case IQH:
    case IQT:
    case IQA:
    case IQERCD:
    case IRTA:
        return 8;
    case VER:
    case GCMD:
    case GSTS:
    case FSTS:
    case FECTL:
    case FEDATA:
    case FEADDR:
    case FEUADDR:
    case PMEN:
        return 4;
    default:
        if (offset == iotlb_base(unit) || offset == iotlb_base(unit) + 8)
            return 8;
        return fake_fault_width(unit, offset);
    }
}

dam_err fake_unit_read(struct fake_vtd *fake, unsigned number, uint16_t offset, unsigned width,
                       uint64_t *value)
{
    struct fake_unit *unit = &fake->unit[number];
    if ((width != 4 && width != 8) || offset % width) {
        fake_violation(fake, "read of register %#x, width %u", offset, width);
        return DAM_E_RANGE;
    }
    unsigned real = width_of(unit, offset);
    if (real && real < width)
        fake_violation(fake, "64-bit read of 32-bit register %#x", offset);
    switch (offset) {
    case VER:
        *value = unit->ver;
        break;
    case CAP:
        *value = unit->cap;
        break;
    case ECAP:
        *value = unit->ecap;
        break;
    case GSTS:
        *value = read_gsts(unit);
        break;
    case RTADDR:
        *value = unit->rtaddr;
        break;
    case CCMD:
        *value = read_ccmd(unit);
        break;
    case FSTS:
        if (unit->unconfirmed && (unit->gsts & QIE))
            fake_queue_run(fake, number, ~0u);
        *value = unit->fsts;
        break;
    case FECTL:
        *value = unit->fectl;
        break;
    case PMEN:
        *value = unit->pmen;
        break;
    case IQH:
        if ((unit->gsts & QIE) && unit->queue_step)
            fake_queue_run(fake, number, unit->queue_step);
        *value = unit->iqh;
        break;
    case IQT:
        *value = unit->iqt;
        break;
    case IQA:
        *value = unit->iqa;
        break;
    case IQERCD:
        *value = unit->iqercd;
        break;
    case IRTA:
        *value = unit->irta;
        break;
    default:
        if (offset == iotlb_base(unit) + 8)
            *value = read_iotlb(unit);
        else
            *value = fake_fault_read(unit, offset);
    }
    return DAM_OK;
}

// ---- the global command register -------------------------------------------------------------------------
static void set_root(struct fake_vtd *fake, struct fake_unit *unit)
{
    bool modes = unit->ecap >> 43 & 1; // without scalable mode the bits mean nothing
    if (modes && (unit->gsts & TE) && ((unit->root ^ unit->rtaddr) >> 10 & 3))
        fake_violation(fake, "table mode changed with translation on");
    if ((unit->cap >> 4 & 1) && !unit->write_buffer_flushed)
        fake_violation(fake, "root pointer set without a flush of the write buffer");
    if (!fake_region_at(fake, unit->rtaddr & ~0xFFFull, 4096))
        fake_violation(fake, "root pointer set to where no memory is");
    unit->root = unit->rtaddr;
    unit->srtp++;
    unit->stuck |= unit->stuck_later;
    if (unit->cap >> 63) { // ESRTPS
        fake_invalidate_context(unit, 1, 0, 0, 0);
        fake_invalidate_pasids(unit, 3, 0, 0);
        fake_invalidate_iotlb(unit, 1, 0, 0, 0, true, true);
    }
}

static void set_interrupt_table(struct fake_vtd *fake, struct fake_unit *unit)
{
    uint64_t size = 32ull << (unit->irta & 15);
    if (unit->irta & 0x7F0)
        fake_violation(fake, "interrupt table with reserved bits %#llx", (unsigned long long)unit->irta);
    if ((unit->irta >> 11 & 1) && !(unit->ecap >> 4 & 1))
        fake_violation(fake, "extended interrupt mode on a unit without it");
    if ((unit->gsts & IRE) && (unit->irta ^ unit->irta_latched) >> 11 & 1)
        fake_violation(fake, "extended interrupt mode changed with remapping on");
    if (!fake_region_at(fake, unit->irta & ~0xFFFull, size))
        fake_violation(fake, "interrupt table set to where no memory is");
    unit->irta_latched = unit->irta;
    unit->irte_stale = unit->gsts & IRE;
}

static void set_queue(struct fake_vtd *fake, struct fake_unit *unit, bool on)
{
    if (on) {
        if (unit->iqt != 0)
            fake_violation(fake, "queue enabled with IQT %#llx", (unsigned long long)unit->iqt);
        if (!fake_region_at(fake, unit->iqa & ~0xFFFull, 4096ull << (unit->iqa & 7)))
            fake_violation(fake, "queue enabled where no memory is");
        if (unit->stuck & FAKE_STUCK_QIE_ON)
            return;
        unit->queue = unit->iqa;
        unit->iqh = 0;
        unit->last_was_wait = true;
        unit->queue_is_new = true;
        unit->pending_set |= QIE;
        return;
    }
    if (unit->iqh != unit->iqt)
        fake_violation(fake, "queue disabled with descriptors in it");
    else if (!(unit->stuck & FAKE_STUCK_QIE) && (unit->last_was_wait || !unit->wait_needed_last)) {
        unit->pending_clear |= QIE;
        unit->iqh = 0;
    }
}

static void write_gcmd(struct fake_vtd *fake, struct fake_unit *unit, uint32_t value)
{
    const uint32_t lasting = TE | EAFL | QIE | IRE | CFI;
    uint32_t changed = (value ^ unit->gsts) & lasting;
    uint32_t commands = changed | (value & (SRTP | SFL | WBF | SIRTP));
    if (unit->pending_set | unit->pending_clear)
        fake_violation(fake, "GCMD %#x written while the last command is under way", value);
    if (commands & (commands - 1))
        fake_violation(fake, "GCMD %#x changes more than one field of %#x", value, unit->gsts);
    if ((unit->gsts & TE) && !(value & TE))
        fake_violation(fake, "GCMD %#x turns translation off", value);
    unit->pending_reads = unit->latency;
    if (value & SRTP) {
        unit->gsts &= ~SRTP;
        set_root(fake, unit);
        if (!(unit->stuck & FAKE_STUCK_SRTP))
            unit->pending_set |= SRTP;
    }
    if (value & WBF) {
        unit->gsts |= WBF;
        if (!(unit->stuck & FAKE_STUCK_WBF))
            unit->pending_clear |= WBF;
        unit->write_buffer_flushed = true;
    }
    if (value & SIRTP) {
        unit->gsts &= ~SIRTP;
        set_interrupt_table(fake, unit);
        if (!(unit->stuck & FAKE_STUCK_SIRTP))
            unit->pending_set |= SIRTP;
    }
    if (changed & QIE)
        set_queue(fake, unit, value & QIE);
    changed &= ~(QIE | (unit->stuck & FAKE_STUCK_EAFL ? EAFL : 0));
    unit->ires_off += changed & IRE & ~value ? 1 : 0;
    if ((changed & value & TE) && !(unit->gsts & SRTP))
        fake_violation(fake, "translation turned on before a root pointer was set");
    if ((unit->stuck & FAKE_STUCK_TE) && (value & TE))
        changed &= ~TE;
    if ((unit->stuck & FAKE_STUCK_IRE) && !(value & IRE))
        changed &= ~IRE;
    unit->pending_set |= changed & value;
    unit->pending_clear |= changed & ~value;
    if (changed & TE & ~value) { // hardware does not wait for anybody to look
        unit->gsts &= ~TE;
        unit->tes_off++;
        unit->pending_clear &= ~TE;
    }
}

// ---- writing the others ----------------------------------------------------------------------------------
static void write_ccmd(struct fake_vtd *fake, struct fake_unit *unit, uint64_t value)
{
    if ((unit->gsts & QIE) || unit->ver >> 4 >= 6)
        fake_violation(fake, "CCMD used where only the queue may be");
    if (unit->ccmd >> 63)
        fake_violation(fake, "CCMD written while the last command is under way");
    unit->ccmd = value;
    unit->ccmd_reads = unit->latency;
}

static void write_iotlb(struct fake_vtd *fake, struct fake_unit *unit, uint64_t value)
{
    if ((unit->gsts & QIE) || unit->ver >> 4 >= 6)
        fake_violation(fake, "IOTLB register used where only the queue may be");
    if (unit->iotlb >> 63)
        fake_violation(fake, "IOTLB register written while the last command is under way");
    unit->iotlb = value;
    unit->iotlb_reads = unit->latency;
}

static void write_queue_register(struct fake_vtd *fake, unsigned number, uint16_t offset, uint64_t value)
{
    struct fake_unit *unit = &fake->unit[number];
    if (offset == IQA) {
        if (unit->gsts & QIE)
            fake_violation(fake, "IQA written while the queue is on");
        unit->iqa = value;
        return;
    }
    if (value & ~0x7FFF0ull)
        fake_violation(fake, "IQT written with %#llx", (unsigned long long)value);
    // What waits may become more, not less, while the hardware is at it.
    uint64_t size = 4096ull << (unit->queue & 7);
    bool runs = (unit->gsts & QIE) && !(unit->fsts & (IQE | ITE));
    if (runs && unit->iqt < size && (value - unit->iqh) % size < (unit->iqt - unit->iqh) % size)
        fake_violation(fake, "IQT taken back while the queue runs");
    unit->iqt = value & 0x7FFF0;
    if (unit->gsts & QIE)
        fake_queue_run(fake, number, unit->queue_step && !unit->queue_is_new ? 0 : ~0u);
}

static void write_fsts(struct fake_vtd *fake, unsigned number, uint32_t value)
{
    struct fake_unit *unit = &fake->unit[number];
    if (unit->stuck & FAKE_STUCK_FSTS)
        return;
    unit->fsts &= ~(value & 0x7D); // all but PPF and FRI are write-1-to-clear
    if (!(unit->fsts & IQE))
        unit->iqercd = 0;
    if ((unit->gsts & QIE) && (value & (IQE | ITE)) && !unit->resumes_on_tail)
        fake_queue_run(fake, number, ~0u);
}

dam_err fake_unit_write(struct fake_vtd *fake, unsigned number, uint16_t offset, unsigned width,
                        uint64_t value)
{
    struct fake_unit *unit = &fake->unit[number];
    if (width_of(unit, offset) != width) {
        fake_violation(fake, "write to register %#x with width %u", offset, width);
        return DAM_OK;
    }
    if (offset != GCMD && (unit->pending_set | unit->pending_clear))
        fake_violation(fake, "register %#x written before GSTS told the end of a command", offset);
    switch (offset) {
    case GCMD:
        write_gcmd(fake, unit, (uint32_t)value);
        break;
    case RTADDR:
        unit->rtaddr = value;
        break;
    case CCMD:
        write_ccmd(fake, unit, value);
        break;
    case FSTS:
        write_fsts(fake, number, (uint32_t)value);
        break;
    case FECTL:
        unit->fectl = (unit->fectl & 0x40000000u) | ((uint32_t)value & 0x80000000u);
        break;
    case IQT:
    case IQA:
        write_queue_register(fake, number, offset, value);
        break;
    case IRTA:
        unit->irta = value;
        break;
    case PMEN:
        if (value & 0x7FFFFFFFu)
            fake_violation(fake, "PMEN written with %#llx", (unsigned long long)value);
        unit->pmen =
            ((uint32_t)value & 0x80000000u) | (value >> 31 || (unit->stuck & FAKE_STUCK_PRS) ? 1u : 0u);
        break;
    case FEDATA:
    case FEADDR:
    case FEUADDR:
        break;
    default:
        if (offset == iotlb_base(unit))
            unit->iva = value;
        else if (offset == iotlb_base(unit) + 8)
            write_iotlb(fake, unit, value);
        else
            fake_fault_write(fake, unit, offset, value);
    }
    return DAM_OK;
}
