/* SPDX-License-Identifier: Apache-2.0
 *
 * How many bytes of code a cache of instructions has to fetch again.
 *
 *     newest  [ line line ... | ... | ... | ... ]  oldest      lines of up to 16 bytes, each once
 *             256 bytes       512   1 KiB   ...  64 KiB        where the bands end
 *
 * Code that runs moves its lines to the front. A cache that replaces what was used longest ago
 * holds just the lines up to its size, so a line that comes from further back is fetched again. All
 * sizes are counted at once: by the band that the line came from. The first fetch of a line in a
 * call counts nowhere, so code that runs once costs nothing, and a loop inside of a larger one only
 * where the larger one comes back to it.
 *
 * Lines begin where functions do, so that what is counted of a function does not depend on where
 * the linker has put it.
 */
#ifndef TINYTAILOR_FETCHES_H
#define TINYTAILOR_FETCHES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_BYTES = 16,
    SMALLEST_CACHE = 256,
    CACHES = 9, /* 256 bytes to 64 KiB */
    BANDS = CACHES + 2,
    NEVER = 0, /* the band of a line that was not fetched yet; then 1 for the smallest cache ... */
    NO_LINE = -1
};

struct line {
    int32_t newer, older, band;
};

/* Where code lies in flash, and the functions in it, in order; code elsewhere is not looked at. */
struct code {
    uint32_t begin, bytes;
    int32_t n_functions;
    const uint32_t *functions;
};

struct fetches {
    uint32_t begin, bytes;
    int32_t *line_of; /* per halfword of code */
    struct line *lines;
    int32_t newest, oldest, n_lines;
    int32_t last[CACHES]; /* the last line that a cache of this size holds, if it is full */
    uint64_t *counts;     /* per region: lines that came from each band */
    uint32_t run_begin, run_end;
};

/* The lines that a cache holds. */
static int32_t capacity(int32_t cache)
{
    return SMALLEST_CACHE / LINE_BYTES << cache;
}

static int fetches_init(struct fetches *f, const struct code *code, int32_t n_regions)
{
    uint32_t halves = code->bytes / 2, begun = 0;
    int32_t id = NO_LINE, next = 0;
    f->begin = code->begin;
    f->bytes = 2 * halves;
    f->line_of = malloc(((size_t)halves + 1) * sizeof *f->line_of);
    f->lines = calloc((size_t)halves * 2 / LINE_BYTES + (size_t)code->n_functions + 1,
                      sizeof *f->lines);
    f->counts = calloc((size_t)n_regions, BANDS * sizeof *f->counts);
    f->newest = NO_LINE;
    if (!f->line_of || !f->lines || !f->counts) {
        return 0;
    }
    for (uint32_t i = 0; i < halves; ++i) {
        while (next < code->n_functions && code->functions[next] <= code->begin + 2 * i) {
            begun = i;
            ++next;
        }
        id += (i - begun) % (LINE_BYTES / 2) == 0;
        f->line_of[i] = id;
    }
    return 1;
}

/* An empty cache. */
static void fetches_begin(struct fetches *f, int32_t n_regions)
{
    for (int32_t id = f->newest; id != NO_LINE; id = f->lines[id].older) {
        f->lines[id].band = NEVER;
    }
    for (int32_t cache = 0; cache < CACHES; ++cache) {
        f->last[cache] = NO_LINE;
    }
    f->newest = f->oldest = NO_LINE;
    f->n_lines = 0;
    f->run_begin = f->run_end = 0;
    memset(f->counts, 0, (size_t)n_regions * BANDS * sizeof *f->counts);
}

/* A line came to the front from behind what this cache holds: its last one is out. */
static void push_out(struct fetches *f, int32_t cache)
{
    struct line *line = &f->lines[f->last[cache]];
    line->band = cache + 2;
    f->last[cache] = line->newer;
}

static void put_in_front(struct fetches *f, int32_t id)
{
    struct line *line = &f->lines[id];
    line->band = 1;
    line->newer = NO_LINE;
    line->older = f->newest;
    if (f->newest == NO_LINE) {
        f->oldest = id;
    } else {
        f->lines[f->newest].newer = id;
    }
    f->newest = id;
}

static void fetch_first(struct fetches *f, int32_t id)
{
    put_in_front(f, id);
    ++f->n_lines;
    for (int32_t cache = 0; cache < CACHES && f->n_lines >= capacity(cache); ++cache) {
        if (f->n_lines == capacity(cache)) {
            f->last[cache] = f->oldest;
        } else {
            push_out(f, cache);
        }
    }
}

static void fetch_line(struct fetches *f, int32_t id, uint64_t *counts)
{
    struct line *line = &f->lines[id];
    int32_t band = line->band;
    if (band == NEVER) {
        fetch_first(f, id);
        return;
    }
    ++counts[band];
    if (id == f->newest) {
        return;
    }
    if (band <= CACHES && f->last[band - 1] == id) {
        f->last[band - 1] = line->newer;
    }
    f->lines[line->newer].older = line->older;
    if (line->older == NO_LINE) {
        f->oldest = line->newer;
    } else {
        f->lines[line->older].newer = line->newer;
    }
    put_in_front(f, id);
    for (int32_t cache = 0; cache < band - 1; ++cache) {
        push_out(f, cache);
    }
}

/* The same run once more: each of its lines is as far back as they are many. */
static void fetch_again(uint64_t *counts, int32_t n_lines)
{
    int32_t cache = 0;
    while (cache < CACHES && n_lines > capacity(cache)) {
        ++cache;
    }
    counts[cache + 1] += (uint64_t)n_lines;
}

/* A run of ``region`` was executed. */
static void fetch(struct fetches *f, uint32_t begin, uint32_t end, int32_t region)
{
    if (begin - f->begin >= f->bytes || end - f->begin > f->bytes) {
        return;
    }
    uint64_t *counts = &f->counts[region * BANDS];
    int32_t id = f->line_of[(begin - f->begin) / 2];
    int32_t stop = f->line_of[(end - f->begin) / 2 - 1] + 1;
    if (begin == f->run_begin && end == f->run_end) {
        fetch_again(counts, stop - id);
        return;
    }
    f->run_begin = begin;
    f->run_end = end;
    for (; id < stop; ++id) {
        fetch_line(f, id, counts);
    }
}

/* CACHES numbers of a region: the bytes that a cache of each size fetched again. */
static void copy_fetches(const struct fetches *f, int32_t region, int64_t *bytes)
{
    const uint64_t *counts = &f->counts[region * BANDS];
    uint64_t lines = counts[CACHES + 1];
    for (int32_t cache = CACHES - 1; cache >= 0; --cache) {
        bytes[cache] = (int64_t)(lines * LINE_BYTES);
        lines += counts[cache + 1];
    }
}

#endif
