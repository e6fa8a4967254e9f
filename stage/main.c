// SPDX-License-Identifier: MIT
// The way through the stage: read what is there, take over, hand over. Whatever goes wrong, hand over.
#include <string.h>

#include "clock.h"
#include "cpu.h"
#include "layout.h"
#include "pure/bytes.h"
#include "pure/efi.h"
#include "pure/text.h"
#include "stage.h"

static_assert(STAGE_ENTRY_OFFSET == DAM_IMAGE_ENTRY_OFFSET, "entry");
static_assert(STAGE_HEADER_OFFSET == DAM_IMAGE_HEADER_OFFSET, "header");
static_assert(STAGE_HEADER_SIZE == sizeof(struct dam_image_header), "header size");
static_assert(STAGE_HEADER_MAGIC == DAM_IMAGE_MAGIC && DAM_IMAGE_VERSION == 1, "header contents, in entry.S");
static_assert(STAGE_MAX_SIZE == DAM_IMAGE_KERNEL_ALIGN, "kernel");

struct stage stage;

bool stage_committed(void)
{
    return stage.takeover && dam_takeover_phase(stage.takeover) >= DAM_PHASE_COMMIT;
}

static enum dam_policy default_policy(void)
{
    return stage.options.policy_given ? stage.options.policy : (enum dam_policy)stage.image.default_policy;
}

static void say_hello(void)
{
    struct console *c = &stage.console;
    const struct cmdline_options *o = &stage.options;
    const struct dam_image_header *h = &stage.image;
    console_open(c, &o->consoles, o->quiet ? CONSOLE_ALWAYS : o->verbose ? CONSOLE_DETAIL : CONSOLE_NORMAL);
    console_line(c, CONSOLE_NORMAL,
                 "version " COFFERDAM_VERSION " at 0x%lx, pool %lu KiB at 0x%lx, policy %s", stage.base,
                 h->pool_size >> 10, stage.base + h->pool_offset, text_of_policy(default_policy()));
    console_line(c, CONSOLE_DETAIL, "wrapped kernel %s at 0x%lx", h->kernel_version,
                 stage.base + h->kernel_offset);
    uint32_t listed = o->bad_words < CMDLINE_MAX_BAD ? o->bad_words : CMDLINE_MAX_BAD;
    for (uint32_t i = 0; i < listed; i++)
        console_line(c, CONSOLE_NORMAL, "word %u not understood, ignored: %s", o->bad[i].number,
                     o->kept + o->bad[i].offset);
    if (stage.line_cut)
        console_line(c, CONSOLE_NORMAL, "command line cut at %lu bytes", stage.line_len);
}

// Without its own header the wrapped kernel would not start: nothing comes before this.
static enum dam_stop read_image(void)
{
    enum dam_stop stop = stage_read_image();
    if (memcmp(stage.image.setup_header + BP_HEADER_MAGIC - DAM_SETUP_HEADER_START, "HdrS", 4) == 0)
        setup_restore_header(stage.bp_plain, stage.image.setup_header);
    stage.header_restored = true;
    return stop;
}

// Everything up to the point where a note can be delivered, whatever comes after.
static enum dam_stop prepare_hand_over(void)
{
    enum dam_stop stop = read_image();
    stage_read_memory_map();
    stage_read_cmdline();
    say_hello();
    if (stop)
        return stop;
    uint64_t pool = stage.base + stage.image.pool_offset;
    dam_arena_init(&stage.pool, (void *)pool, dam_pa_of(pool), stage.image.pool_size);
    if (stage.options.exactmap)
        return DAM_STOP_EXACTMAP;
    stop = stage_read_elfcore();
    return stop ? stop : stage_set_aside();
}

static void find_rsdp(struct dam_takeover_config *config)
{
    const char *from = "not given, to be searched for";
    dam_pa efi = {0}, bp = dam_pa_of(bytes_get64(stage.bp + BP_ACPI_RSDP)),
           word = dam_pa_of(stage.options.acpi_rsdp);
    dam_err err = efi_find_rsdp(&stage.ops, stage.bp, stage.nodes, stage.node_count, &efi);
    if (err && err != DAM_E_ABSENT)
        console_line(&stage.console, CONSOLE_NORMAL, "EFI tables cannot be read: %s", text_of_error(err));
    if (efi.v)
        from = "from EFI";
    if (bp.v)
        from = "from boot_params";
    if (word.v)
        from = "from acpi_rsdp=";
    config->rsdp[0] = word;
    config->rsdp[1] = bp;
    config->rsdp[2] = efi;
    console_line(&stage.console, CONSOLE_DETAIL, "ACPI root pointer: 0x%lx, %s",
                 word.v ? word.v
                 : bp.v ? bp.v
                        : efi.v,
                 from);
}

static void add_finding(uint16_t code, uint16_t index, uint64_t address, uint64_t raw)
{
    const struct dam_finding finding = {
        .code = code, .level = 255, .unit = 0xFFFF, .index = index, .address = address, .raw = raw};
    dam_takeover_finding(stage.takeover, &finding);
}

static void add_findings(void)
{
    uint32_t listed = stage.options.bad_words < CMDLINE_MAX_BAD ? stage.options.bad_words : CMDLINE_MAX_BAD;
    for (uint32_t i = 0; i < listed; i++)
        add_finding(DAM_F_CMDLINE_WORD, stage.options.bad[i].number, 0, 0);
    if (stage.line_cut)
        add_finding(DAM_F_CMDLINE_LONG, 0, setup_cmdline(stage.bp), stage.line_len);
    if (stage.low_pool.size)
        add_finding(DAM_F_LOW_POOL, 0, stage.low_pool.pa.v, stage.low_pool.size);
    if (stage.low_missing)
        add_finding(DAM_F_LOW_POOL_MISSING, 0, 0, stage.low_missing);
    if (stage.hidden.why_not)
        add_finding(stage.hidden.why_not, 0, 0, stage.hidden.raw);
    if (!stage.ordinary && !stage.legacy.cmdline)
        add_finding(DAM_F_ELFCOREHDR, 0, 0, DAM_E_LENGTH);
}

static enum dam_stop take_over(void)
{
    struct dam_takeover_config *config = &stage.config;
    *config = (struct dam_takeover_config){
        .ops = &stage.ops,
        .pool = &stage.pool,
        .policy = default_policy(),
        .choice_count = stage.options.choice_count,
        .broken = stage.options.broken_scratch ? DAM_POLICY_SCRATCH : DAM_POLICY_BLOCK,
        .raise = stage.options.raise,
        .raise_legacy = stage.options.legacy_tables,
        .mask_irqs = stage.options.mask_irqs,
        .window_count = stage.options.window_count,
        .recycled = stage.ordinary,
        .old_ram = &stage.regions.old_ram,
        .keep_out = &stage.regions.keep_out,
        .crash_window = &stage.regions.window,
    };
    memcpy(config->choices, stage.options.choices, sizeof(config->choices));
    memcpy(config->windows, stage.options.windows, sizeof(config->windows));
    find_rsdp(config);
    config->low_pool = stage_take_low(config->rsdp);
    config->hide = stage_prepare_hiding(config->rsdp);
    struct dam_takeover *t;
    if (dam_takeover_new(config, &t) != DAM_OK)
        return DAM_STOP_POOL;
    stage.takeover = t;
    add_findings();
    enum dam_stop stop = dam_takeover_prepare(t);
    console_line(&stage.console, CONSOLE_NORMAL, "planned: %s, %lu us", stop ? text_of_stop(stop) : "ready",
                 dam_clock_us(&stage.ops));
    if (stop)
        return stop;
    stop = dam_takeover_commit(t);
    console_line(&stage.console, CONSOLE_NORMAL, "committed: %s, %lu us", text_of_stop(stop),
                 dam_clock_us(&stage.ops));
    return stop;
}

static enum dam_stop work(void)
{
    enum dam_stop stop = prepare_hand_over();
    if (stop)
        return stop;
    if (stage.options.off)
        return DAM_STOP_OPTION_OFF;
    stop = stage_check_cpu();
    stage_find_low();
    if (!stop)
        stop = stage_fill_regions();
    if (!stop)
        stop = stage_own_tables();
    if (stop)
        return stop;
    stage.tsc_khz = clock_tsc_khz(&stage.tsc_assumed);
    stage.tsc_known = true;
    console_open_mapped(&stage.console, &stage.paging, stage.bp);
    console_line(&stage.console, CONSOLE_NORMAL,
                 "%sold memory %lu MiB in %lu ranges, kept out %lu MiB, %u-level CPU tables, TSC %u MHz%s",
                 stage.ordinary ? "ordinary kexec, " : "", regions_bytes(&stage.regions.old_ram) >> 20,
                 stage.regions.old_ram.count, regions_bytes(&stage.regions.keep_out) >> 20,
                 stage.paging.levels, stage.tsc_khz / 1000, stage.tsc_assumed ? " (assumed)" : "");
    for (size_t i = 0; i < stage.regions.keep_out.count; i++)
        console_line(&stage.console, CONSOLE_DETAIL, "kept out: 0x%lx-0x%lx",
                     stage.regions.keep_out.at[i].start, stage.regions.keep_out.at[i].end);
    return take_over();
}

// Tells what has not been told yet; called again before the jump.
void stage_say_trouble(void)
{
    struct trap_state *trap = &stage.trap;
    const struct trap_record *first = &trap->first;
    if (first->happened && !trap->exception_said) {
        trap->exception_said = true;
        console_line(&stage.console, CONSOLE_ALWAYS,
                     "exception %u at rip 0x%lx (stage + 0x%lx), error 0x%lx, cr2 0x%lx", first->vector,
                     first->rip, first->rip - stage.base, first->error, first->cr2);
    }
    uint32_t nmi_count = trap->nmi_count;
    if (nmi_count == trap->nmi_said)
        return;
    trap->nmi_said = nmi_count;
    console_line(&stage.console, CONSOLE_ALWAYS, "%u NMI, the last at rip 0x%lx", nmi_count, trap->nmi_rip);
    if (stage.takeover)
        add_finding(DAM_F_NMI, 0, trap->nmi_rip, nmi_count);
}

// Runs one step of the hand-over; an exception skips what is left of it.
static void try_step(void (*step)(void))
{
    if (stage_safe_point(&stage.trap.safe) == 0)
        step();
}

static void restore_header(void)
{
    (void)read_image();
}

static void look_again(void)
{
    dam_takeover_look(stage.takeover);
}

static void report_all(void)
{
    stage_report(true);
}

static void report_little(void)
{
    stage_report(false);
}

// With what the engine knows; once more, as a machine check or a stray NMI need not come again; or without.
static void write_note(void)
{
    stage.note_size = 0;
    try_step(report_all);
    if (!stage.note_size)
        try_step(report_all);
    if (!stage.note_size)
        try_step(report_little);
}

static void deliver(void)
{
    stage.trap.mode = TRAP_HANDOVER;
    if (!stage.header_restored)
        try_step(restore_header);
    try_step(stage_say_trouble);
    if (stage.stop == DAM_STOP_COMMIT_EXCEPTION)
        try_step(look_again);
    try_step(stage_say_shown);
    if (stage.legacy.ready)
        write_note();
    if (stage.note_size)
        try_step(stage_print_report);
    if (stage.note_size && stage.told != stage.trap.count + stage.trap.nmi_count)
        write_note();
    stage.trap.mode = TRAP_PLAIN; // no safe point of this function outlives it
}

void stage_main(uint8_t *bp, uint64_t tsc)
{
    stage.entry_tsc = tsc;
    stage.entry_cr0 = cpu_cr0();
    stage.entry_cr3 = cpu_cr3();
    stage.entry_cr4 = cpu_cr4();
    stage.bp = bp;
    stage.base = (uint64_t)stage_start;
    stage.exception_means = DAM_STOP_EXCEPTION;
    stage.tsc_khz = 1000000; // until it is known; never 0
    memcpy(stage.bp_plain, bp, BP_SIZE);
    stage.trap.mode = TRAP_WORK;
    int trouble = stage_safe_point(&stage.trap.safe);
    if (trouble == 0) {
        trap_install();
        stage_bootstrap_ops();
        stage.stop = work();
    } else if (stage_committed()) {
        stage.stop = DAM_STOP_COMMIT_EXCEPTION;
    } else {
        stage.stop = trouble == TRAP_NMI ? DAM_STOP_NMI : stage.exception_means;
    }
    deliver();
    stage_handover();
}
