// SPDX-License-Identifier: MIT
// The last steps: boot_params as the wrapped kernel wants it, the note where it looks for it, the jump.
#include <string.h>

#include "cpu.h"
#include "layout.h"
#include "pure/elfcore.h"
#include "pure/text.h"
#include "stage.h"

// The page that the kernel gets. When nothing is delivered and nothing was done it is the loader's, but for
// the kernel's own header; memory that the hardware uses by now stays reserved whatever happens.
static const uint8_t *final_page(void)
{
    return stage.note_attached || stage.hidden.done || (stage.legacy.ready && stage_committed())
               ? stage.bp_note
               : stage.bp_plain;
}

static uint64_t kernel_entry(void)
{
    // Without a valid header the kernel is most likely where the smallest stage leaves it.
    uint64_t offset = stage.image_valid ? stage.image.kernel_offset : STAGE_MAX_SIZE;
    return stage.base + offset + DAM_IMAGE_ENTRY_OFFSET;
}

// Jumps in the state that was found at entry: the page tables of then map all that a kernel needs, and lie in
// memory that no segment uses. Our interrupt table stays until the kernel loads its own, so that an NMI on
// the way returns instead of resetting the machine.
static void __attribute__((noreturn)) jump(void)
{
    stage.trap.mode = TRAP_GONE;
    stage_jump(kernel_entry(), (uint64_t)stage.bp, stage.entry_cr0, stage.entry_cr3, stage.entry_cr4);
}

void stage_leave(void)
{
    stage.trap.mode = TRAP_GONE;
    memcpy(stage.bp, final_page(), BP_SIZE);
    jump();
}

// Puts the note behind the ELF core headers and has the kernel look at ours. An ordinary kexec has none: the
// note stays where it is, whole, for whoever reads the console.
static void attach_note(void)
{
    struct stage_legacy *legacy = &stage.legacy;
    size_t size = elfcore_wrap_note(legacy->note, stage.note_size);
    if (stage.ordinary || !legacy->cmdline)
        return;
    elfcore_add_note(legacy->headers, legacy->header_count, dam_arena_pa(&stage.pool, legacy->note).v, size);
    setup_set_cmdline(stage.bp_note, dam_arena_pa(&stage.pool, legacy->cmdline).v);
    stage.note_attached = true;
}

static void say_goodbye(void)
{
    struct console *c = &stage.console;
    uint64_t us = dam_clock_us(&stage.ops);
    stage_say_trouble();
    if (DAM_STOP_IS_UNTOUCHED(stage.stop)) {
        console_line(c, CONSOLE_ALWAYS, "hand-over: untouched, stop %u (%s)", stage.stop,
                     text_of_stop(stage.stop));
        return;
    }
    const struct dam_takeover_config *config = &stage.config;
    uint32_t requesters = stage.requesters;
    if (stage.ordinary && stage.note_size)
        console_line(c, CONSOLE_ALWAYS, "ordinary kexec: the note stays at 0x%lx, %lu bytes",
                     (uint64_t)stage.legacy.note, ELFCORE_NOTE_HEAD + stage.note_size);
    if (stage.stop == DAM_STOP_NONE)
        console_line(c, CONSOLE_ALWAYS, "hand-over: taken over, %s, %u requesters, %lu ms",
                     text_of_policy(config->policy), requesters, us / 1000);
    else
        console_line(c, CONSOLE_ALWAYS,
                     "hand-over: taken over in part, stop %u (%s), %s, %u requesters, %lu ms", stage.stop,
                     text_of_stop(stage.stop), text_of_policy(config->policy), requesters, us / 1000);
}

void stage_handover(void)
{
    stage.trap.mode = TRAP_HANDOVER;
    if (stage_safe_point(&stage.trap.safe) == 0 && stage.legacy.ready && stage.note_size)
        attach_note();
    if (stage_safe_point(&stage.trap.safe) == 0 && stage_hides())
        stage_hide();
    // Once more: a kernel that was to see no IOMMU may turn translation off if it sees one.
    if (!stage.hidden.done && stage_safe_point(&stage.trap.safe) == 0 && stage_hides())
        stage_hide();
    if (stage_safe_point(&stage.trap.safe) == 0)
        say_goodbye();
    stage.trap.mode = TRAP_PLAIN;
    stage_leave();
}
