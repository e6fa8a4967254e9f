// SPDX-License-Identifier: MIT
#include "lib/qtest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EDU_SLOT   5u
#define EDU_BAR    0xE0000000u
#define EDU_BUFFER 0x40000u // the device's own buffer, in its own addresses

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "qtest: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(99);
}

// ---- the protocol: a line to QEMU, a line back -----------------------------------------------------------
static uint64_t ask(struct qtest *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
static uint64_t ask(struct qtest *q, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    vfprintf(q->out, format, args);
    va_end(args);
    fputc('\n', q->out);
    if (fflush(q->out))
        die("QEMU does not listen any more");
    do {
        if (!fgets(line, sizeof(line), q->in))
            die("QEMU does not answer");
    } while (strncmp(line, "IRQ", 3) == 0);
    if (strncmp(line, "OK", 2) != 0)
        die("QEMU says %s", line);
    return line[2] == ' ' ? strtoull(line + 3, NULL, 0) : 0;
}

static char letter(unsigned width)
{
    return width == 8 ? 'q' : width == 4 ? 'l' : width == 2 ? 'w' : 'b';
}

uint64_t qtest_read(struct qtest *q, uint64_t pa, unsigned width)
{
    return ask(q, "read%c 0x%" PRIx64, letter(width), pa);
}

void qtest_write(struct qtest *q, uint64_t pa, unsigned width, uint64_t value)
{
    ask(q, "write%c 0x%" PRIx64 " 0x%" PRIx64, letter(width), pa, value);
}

uint32_t qtest_in(struct qtest *q, uint16_t port, unsigned width)
{
    return (uint32_t)ask(q, "in%c 0x%x", letter(width), port);
}

void qtest_out(struct qtest *q, uint16_t port, unsigned width, uint32_t value)
{
    ask(q, "out%c 0x%x 0x%x", letter(width), port, value);
}

// ---- the ops ---------------------------------------------------------------------------------------------
static dam_err op_mem_read(void *ctx, dam_pa pa, void *buf, size_t len)
{
    struct qtest *q = ctx;
    if (pa.v >= QTEST_RAM || len > QTEST_RAM - pa.v)
        return DAM_E_RANGE;
    memcpy(buf, q->ram + pa.v, len);
    return DAM_OK;
}

static dam_err op_mmio_read(void *ctx, dam_pa pa, unsigned width, uint64_t *value)
{
    *value = qtest_read(ctx, pa.v, width);
    return DAM_OK;
}

static dam_err op_mmio_write(void *ctx, dam_pa pa, unsigned width, uint64_t value)
{
    struct qtest *q = ctx;
    // GCMD.TE, or IommuEn of the control register.
    if (pa.v == QTEST_VTD + 0x18 || pa.v == QTEST_AMDVI + 0x18) {
        bool on = value >> (pa.v == QTEST_VTD + 0x18 ? 31 : 0) & 1;
        q->turned_off += q->translating && !on;
        q->translating |= on;
    }
    qtest_write(q, pa.v, width, value);
    if (q->after_write)
        q->after_write(q, pa.v, value);
    return DAM_OK;
}

static dam_err op_port_read(void *ctx, uint16_t port, unsigned width, uint32_t *value)
{
    *value = qtest_in(ctx, port, width);
    return DAM_OK;
}

static dam_err op_port_write(void *ctx, uint16_t port, unsigned width, uint32_t value)
{
    qtest_out(ctx, port, width, value);
    return DAM_OK;
}

static void op_barrier(void *ctx)
{
    (void)ctx;
    __sync_synchronize();
}

static uint64_t op_clock(void *ctx)
{
    struct timespec now;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

// ---- starting and ending ---------------------------------------------------------------------------------
static void share_ram(struct qtest *q, char *path, size_t size)
{
    snprintf(path, size, "%s/ram", q->folder);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, QTEST_RAM))
        die("cannot make %s", path);
    q->ram = mmap(NULL, QTEST_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (q->ram == MAP_FAILED)
        die("cannot map %s", path);
    close(fd);
}

// Firmware that only halts: cli; hlt; jmp to the hlt, at the reset vector. The machine wants a multiple of 64
// KiB.
static void write_firmware(const struct qtest *q, char *path, size_t size)
{
    static const uint8_t halt[] = {0xFA, 0xF4, 0xEB, 0xFD};
    static uint8_t rom[65536];
    memcpy(rom + sizeof(rom) - 16, halt, sizeof(halt));
    snprintf(path, size, "%s/rom", q->folder);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(rom, sizeof(rom), 1, file) != 1 || fclose(file))
        die("cannot write %s", path);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
        die("cannot listen at %s", path);
    struct timeval limit = {.tv_sec = 30};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

// Debian's QEMU has no accelerator "qtest". Under TCG, with virtual time that jumps to the next timer as soon
// as the CPU sleeps, a halted CPU comes to the same.
static void run_qemu(const char *iommu, const char *ram, const char *rom, const char *socket_path)
{
    char backend[256], chardev[256];
    snprintf(backend, sizeof(backend), "memory-backend-file,id=ram,size=%u,mem-path=%s,share=on", QTEST_RAM,
             ram);
    snprintf(chardev, sizeof(chardev), "unix:%s", socket_path);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *args[64] = {getenv("QTEST_QEMU") ? getenv("QTEST_QEMU") : "qemu-system-x86_64",
                            "-nodefaults",
                            "-display",
                            "none",
                            "-machine",
                            "q35,memory-backend=ram",
                            "-m",
                            "64M",
                            "-object",
                            backend,
                            "-bios",
                            rom,
                            "-accel",
                            "tcg",
                            "-icount",
                            "shift=0,sleep=off",
                            "-qtest",
                            chardev,
                            "-qtest-log",
                            "none",
                            "-device"};
    char words[512], more[512];
    snprintf(words, sizeof(words), "%s", iommu);
    snprintf(more, sizeof(more), "%s", getenv("QTEST_QEMU_ARGS") ? getenv("QTEST_QEMU_ARGS") : "");
    unsigned n = 0;
    while (args[n])
        n++;
    for (char *word = strtok(words, " "); word && n < 48; word = strtok(NULL, " "))
        args[n++] = word;
    for (char *word = strtok(more, " "); word && n < 52; word = strtok(NULL, " "))
        args[n++] = word;
    static const char *const edus[QTEST_EDUS] = {"edu,addr=05.0,dma_mask=0xffffffffffffffff",
                                                 "edu,addr=06.0,dma_mask=0xffffffffffffffff",
                                                 "edu,addr=07.0,dma_mask=0xffffffffffffffff"};
    for (unsigned i = 0; i < QTEST_EDUS; i++) {
        args[n++] = "-device";
        args[n++] = edus[i];
    }
    execvp(args[0], (char *const *)(uintptr_t)args);
    _exit(127);
}

// What firmware would have done: an address for the registers, memory and bus mastering on.
static void start_edu(struct qtest *q, unsigned n)
{
    uint32_t function = 1u << 31 | (EDU_SLOT + n) << 11;
    qtest_out(q, 0xCF8, 4, function);
    if (qtest_in(q, 0xCFC, 4) != 0x11E81234)
        die("no edu device in slot %u", EDU_SLOT + n);
    q->edu[n] = EDU_BAR + n * 0x100000u;
    qtest_out(q, 0xCF8, 4, function | 0x10);
    qtest_out(q, 0xCFC, 4, (uint32_t)q->edu[n]);
    qtest_out(q, 0xCF8, 4, function | 0x04);
    qtest_out(q, 0xCFC, 4, 6);
    if ((qtest_read(q, q->edu[n], 4) & 0xFF) != 0xED)
        die("edu device %u does not answer", n);
}

void qtest_start(struct qtest *q, const char *iommu)
{
    *q = (struct qtest){.folder = "/tmp/cofferdam-qtest-XXXXXX"};
    char ram[96], rom[96], socket_path[96];
    if (!mkdtemp(q->folder))
        die("cannot make a folder in /tmp");
    share_ram(q, ram, sizeof(ram));
    write_firmware(q, rom, sizeof(rom));
    snprintf(socket_path, sizeof(socket_path), "%s/qtest", q->folder);
    int listener = listen_at(socket_path);
    fflush(stdout);
    q->pid = fork();
    if (q->pid == 0)
        run_qemu(iommu, ram, rom, socket_path);
    int fd = accept(listener, NULL, NULL);
    close(listener);
    if (q->pid < 0 || fd < 0)
        die("QEMU does not start: is qemu-system-x86_64 installed?");
    struct timeval limit = {.tv_sec = 30};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    q->in = fdopen(fd, "r");
    q->out = fdopen(dup(fd), "w");
    q->ops = (struct dam_ops){
        .ctx = q,
        .mem_read = op_mem_read,
        .mmio_read = op_mmio_read,
        .mmio_write = op_mmio_write,
        .port_read = op_port_read,
        .port_write = op_port_write,
        .barrier = op_barrier,
        .clock_us = op_clock,
    };
    for (unsigned n = 0; n < QTEST_EDUS; n++)
        start_edu(q, n);
    unlink(ram); // QEMU has opened everything by now
    unlink(rom);
    unlink(socket_path);
    rmdir(q->folder);
}

void qtest_stop(struct qtest *q)
{
    int status;
    fclose(q->out);
    fclose(q->in);
    kill(q->pid, SIGTERM);
    waitpid(q->pid, &status, 0);
    munmap(q->ram, QTEST_RAM);
}

// ---- the edu device: docs/specs/edu.txt of QEMU ----------------------------------------------------------
unsigned edu_rid(unsigned n)
{
    return (EDU_SLOT + n) << 3;
}

void edu_dma(struct qtest *q, unsigned n, uint64_t iova, bool write, unsigned size)
{
    uint64_t bar = q->edu[n];
    qtest_write(q, bar + 0x80, 8, write ? EDU_BUFFER : iova);
    qtest_write(q, bar + 0x88, 8, write ? iova : EDU_BUFFER);
    qtest_write(q, bar + 0x90, 8, size);
    qtest_write(q, bar + 0x98, 8, 1 | (write ? 2 : 0));
    // The device takes a tenth of a second of virtual time.
    for (unsigned tries = 0; tries < 10000; tries++) {
        if (!(qtest_read(q, bar + 0x98, 8) & 1))
            return;
        usleep(100);
    }
    die("edu device %u does not finish", n);
}
