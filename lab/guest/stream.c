// SPDX-License-Identifier: MIT
/*
 * Starts one ALSA capture and one playback stream and then sleeps for ever. The streams are cyclic: once
 * they run the sound controller reads and writes memory with no processor behind it, also after a panic.
 *
 * The capture ring is long (more than 20 s) and is filled with a pattern first. QEMU's "none" audio back end
 * records silence, so each ring page the device writes turns from pattern to zeros exactly once, and a
 * look from outside counts the pages it reached.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sound/asound.h>

enum {
    CHANNELS = 2,
    FRAME_BYTES = 4,
    PERIODS = 8,
};

/* 4 MiB, 21.8 s; kernels that allow no more than 2 MiB get a slower ring of 23.8 s. */
static const struct ring {
    unsigned rate_hz, frames;
} rings[] = {{48000, 1 << 20}, {22050, 1 << 19}};

static int fail(const char *node, const char *what)
{
    fprintf(stderr, "stream: %s: %s: %s\n", node, what, strerror(errno));
    return -1;
}

static struct snd_interval *interval(struct snd_pcm_hw_params *p, int which)
{
    return &p->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
}

static void set_exactly(struct snd_pcm_hw_params *p, int which, unsigned value)
{
    struct snd_interval *i = interval(p, which);
    i->min = value;
    i->max = value;
    i->integer = 1;
}

static void set_mask(struct snd_pcm_hw_params *p, int which, unsigned bit)
{
    struct snd_mask *m = &p->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];
    memset(m, 0, sizeof *m);
    m->bits[bit / 32] = 1u << (bit % 32);
}

/* Everything allowed, then narrowed: what an ALSA client sends in HW_PARAMS. */
static void hw_params_fill(struct snd_pcm_hw_params *p, const struct ring *ring)
{
    memset(p, 0, sizeof *p);
    for (int n = SNDRV_PCM_HW_PARAM_FIRST_MASK; n <= SNDRV_PCM_HW_PARAM_LAST_MASK; n++)
        memset(&p->masks[n - SNDRV_PCM_HW_PARAM_FIRST_MASK], 0xff, sizeof p->masks[0]);
    for (int n = SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; n <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL; n++) {
        interval(p, n)->min = 0;
        interval(p, n)->max = UINT_MAX;
    }
    p->rmask = ~0u;
    p->info = ~0u;
    set_mask(p, SNDRV_PCM_HW_PARAM_ACCESS, (unsigned)SNDRV_PCM_ACCESS_MMAP_INTERLEAVED);
    set_mask(p, SNDRV_PCM_HW_PARAM_FORMAT, (unsigned)SNDRV_PCM_FORMAT_S16_LE);
    set_mask(p, SNDRV_PCM_HW_PARAM_SUBFORMAT, (unsigned)SNDRV_PCM_SUBFORMAT_STD);
    set_exactly(p, SNDRV_PCM_HW_PARAM_CHANNELS, CHANNELS);
    set_exactly(p, SNDRV_PCM_HW_PARAM_RATE, ring->rate_hz);
    set_exactly(p, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, ring->frames / PERIODS);
    set_exactly(p, SNDRV_PCM_HW_PARAM_BUFFER_SIZE, ring->frames);
}

/* Starts the stream of one node; returns its descriptor, or -1 with a message. */
static int stream_start(const char *node)
{
    struct snd_pcm_hw_params hw;
    struct snd_pcm_sw_params sw = {.period_step = 1, .avail_min = 1};
    /* Never stop on an over- or underrun: nobody will ever read or write the ring again. */
    sw.stop_threshold = LONG_MAX;
    sw.start_threshold = LONG_MAX;

    int fd = open(node, O_RDWR);
    if (fd < 0)
        return fail(node, "open");
    const struct ring *chosen = rings;
    hw_params_fill(&hw, chosen);
    if (ioctl(fd, SNDRV_PCM_IOCTL_HW_PARAMS, &hw) < 0) {
        hw_params_fill(&hw, ++chosen);
        if (ioctl(fd, SNDRV_PCM_IOCTL_HW_PARAMS, &hw) < 0)
            return fail(node, "HW_PARAMS");
    }
    if (ioctl(fd, SNDRV_PCM_IOCTL_SW_PARAMS, &sw) < 0)
        return fail(node, "SW_PARAMS");
    size_t size = (size_t)chosen->frames * FRAME_BYTES;
    unsigned char *ring =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SNDRV_PCM_MMAP_OFFSET_DATA);
    if (ring == MAP_FAILED)
        return fail(node, "mmap");
    if (ioctl(fd, SNDRV_PCM_IOCTL_PREPARE) < 0)
        return fail(node, "PREPARE");
    memset(ring, 0xA5, size);
    if (ioctl(fd, SNDRV_PCM_IOCTL_START) < 0)
        return fail(node, "START");
    return fd;
}

/* Whether the device moves on in its ring within about two seconds. */
static int stream_runs(int fd)
{
    for (int tries = 0; tries < 100; tries++) {
        struct snd_pcm_status status = {0};
        if (ioctl(fd, SNDRV_PCM_IOCTL_STATUS, &status) == 0 && status.hw_ptr > 0)
            return 1;
        usleep(20000);
    }
    return 0;
}

int main(int argc, char **argv)
{
    for (int n = 1; n < argc; n++) {
        int fd = stream_start(argv[n]);
        if (fd < 0)
            return 1;
        if (!stream_runs(fd)) {
            fprintf(stderr, "stream: %s: started, but the device does not move\n", argv[n]);
            return 1;
        }
    }
    printf("running\n");
    fflush(stdout);
    for (;;)
        pause();
}
