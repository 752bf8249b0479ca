/* SPDX-License-Identifier: Apache-2.0
 *
 * What both runners keep while a program runs:
 *
 *     edges    (run, next run) -> how often                 region of a run = part of its identity
 *     reads    region -> flash reads, bytes
 *     fetches  region -> bytes of code fetched again, by size of the cache (fetches.h)
 *
 * Instructions, branches and cycles follow from these afterwards. A run is what was executed from
 * one taken branch to the next: the translated blocks that followed each other in memory, however
 * the emulator happened to cut them. START stands before and after each call.
 */
#ifndef TINYTAILOR_EDGES_H
#define TINYTAILOR_EDGES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fetches.h"

enum { NONE = -1, START = 0 };

struct block {
    uint32_t address, size;
    int32_t region;
    int32_t first_edge; /* most recently used first */
    int32_t hash_next;
};

struct edge {
    uint64_t count;
    int32_t from, to, next;
};

struct graph {
    int32_t n_entries;
    uint32_t *entries; /* sorted addresses of the functions that are regions */
    int32_t *entry_regions;
    int32_t n_regions;
    uint64_t *reads; /* per region: reads, bytes */
    struct fetches fetches;

    int32_t region, previous;
    uint32_t begin, end; /* of the run that is going on, if begin < end */
    int32_t running;     /* its region */
    int32_t failed; /* one of enum failure */
    uint32_t failed_at;

    struct block *blocks;
    int32_t n_blocks, block_space;
    struct edge *edges;
    int32_t n_edges, edge_space;
    int32_t *hash;
    int32_t hash_mask;
};

enum failure { FINE, OUT_OF_MEMORY, TOO_DEEP, UNALIGNED };

static int32_t bucket(const struct graph *g, uint32_t address)
{
    return (int32_t)((address >> 1) * 2654435761u >> 8) & g->hash_mask;
}

static int rehash(struct graph *g, int32_t size)
{
    int32_t *hash = malloc((size_t)size * sizeof *hash);
    if (!hash) {
        return 0;
    }
    free(g->hash);
    g->hash = hash;
    g->hash_mask = size - 1;
    memset(hash, 0xff, (size_t)size * sizeof *hash);
    for (int32_t i = 0; i < g->n_blocks; ++i) {
        int32_t *head = &hash[bucket(g, g->blocks[i].address)];
        g->blocks[i].hash_next = *head;
        *head = i;
    }
    return 1;
}

static int32_t new_block(struct graph *g, uint32_t address, uint32_t size, int32_t region)
{
    if (g->n_blocks == g->block_space) {
        int32_t space = g->block_space * 2;
        struct block *blocks = realloc(g->blocks, (size_t)space * sizeof *blocks);
        if (!blocks) {
            return NONE;
        }
        g->blocks = blocks;
        g->block_space = space;
        if (!rehash(g, space * 2)) {
            return NONE;
        }
    }
    int32_t id = g->n_blocks++;
    int32_t *head = &g->hash[bucket(g, address)];
    g->blocks[id] = (struct block){address, size, region, NONE, *head};
    *head = id;
    return id;
}

static int32_t find_block(struct graph *g, uint32_t address, uint32_t size, int32_t region)
{
    for (int32_t i = g->hash[bucket(g, address)]; i != NONE; i = g->blocks[i].hash_next) {
        const struct block *b = &g->blocks[i];
        if (b->address == address && b->size == size && b->region == region) {
            return i;
        }
    }
    return new_block(g, address, size, region);
}

static void new_edge(struct graph *g, uint32_t address, uint32_t size, int32_t region)
{
    int32_t to = find_block(g, address, size, region);
    if (g->n_edges == g->edge_space) {
        int32_t space = g->edge_space * 2;
        struct edge *edges = realloc(g->edges, (size_t)space * sizeof *edges);
        if (edges) {
            g->edges = edges;
            g->edge_space = space;
        }
    }
    if (to == NONE || g->n_edges == g->edge_space) {
        g->failed = OUT_OF_MEMORY;
        return;
    }
    struct block *from = &g->blocks[g->previous];
    g->edges[g->n_edges] = (struct edge){1, g->previous, to, from->first_edge};
    from->first_edge = g->n_edges++;
    g->previous = to;
}

/* One more edge, from the previous run to this one. */
static void follow_edge(struct graph *g, uint32_t address, uint32_t size, int32_t region)
{
    struct block *from = &g->blocks[g->previous];
    int32_t *link = &from->first_edge;
    while (*link != NONE) {
        int32_t id = *link;
        struct edge *e = &g->edges[id];
        const struct block *to = &g->blocks[e->to];
        if (to->address == address && to->size == size && to->region == region) {
            *link = e->next;
            e->next = from->first_edge;
            from->first_edge = id;
            ++e->count;
            g->previous = e->to;
            return;
        }
        link = &e->next;
    }
    new_edge(g, address, size, region);
}

/* The run that is going on, if there is one, is over. */
static void end_run(struct graph *g)
{
    if (g->begin < g->end) {
        fetch(&g->fetches, g->begin, g->end, g->running);
        follow_edge(g, g->begin, g->end - g->begin, g->running);
    }
}

/* A block runs: it goes on where the run stands, or begins another one. */
static void step(struct graph *g, uint32_t address, uint32_t size)
{
    if (address == g->end && g->region == g->running && g->begin < g->end) {
        g->end += size;
        return;
    }
    end_run(g);
    g->begin = address;
    g->end = address + size;
    g->running = g->region;
}

/* The region whose function starts at the address, or NONE. */
static int32_t region_at(const struct graph *g, uint32_t address)
{
    int32_t low = 0, high = g->n_entries;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (g->entries[middle] < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < g->n_entries && g->entries[low] == address ? g->entry_regions[low] : NONE;
}

static void count_read(struct graph *g, uint32_t reads, uint32_t bytes)
{
    g->reads[2 * g->region] += reads;
    g->reads[2 * g->region + 1] += bytes;
}

/* LDM, STM, LDRD, STRD, LDREX, PUSH, POP and the loads and stores of FPU and MVE: aligned only. */
static int needs_alignment(const uint8_t code[2])
{
    uint32_t half = (uint32_t)(code[0] | code[1] << 8);
    return (half & 0xFE00u) == 0xE800u || (half & 0xEE00u) == 0xEC00u ||
           (half & 0xF000u) == 0xC000u || (half & 0xF600u) == 0xB400u;
}

/* Room for n_entries, n_regions and the code, and block START; 0 without memory. */
static int graph_init(struct graph *g, int32_t n_entries, int32_t n_regions,
                      const struct code *code)
{
    g->n_entries = n_entries;
    g->n_regions = n_regions;
    g->block_space = g->edge_space = 1024;
    g->entries = calloc((size_t)n_entries + 1, sizeof *g->entries);
    g->entry_regions = calloc((size_t)n_entries + 1, sizeof *g->entry_regions);
    g->reads = calloc((size_t)n_regions, 2 * sizeof *g->reads);
    g->blocks = calloc((size_t)g->block_space, sizeof *g->blocks);
    g->edges = calloc((size_t)g->edge_space, sizeof *g->edges);
    if (!g->entries || !g->entry_regions || !g->reads || !g->blocks || !g->edges ||
        !rehash(g, 2 * g->block_space) ||
        !fetches_init(&g->fetches, code, n_regions)) {
        return 0; /* the process ends here, so nothing is freed */
    }
    find_block(g, UINT32_MAX, 0, 0); /* block START */
    return 1;
}

/* Forget counts, not blocks and edges. */
static void graph_begin(struct graph *g)
{
    for (int32_t i = 0; i < g->n_edges; ++i) {
        g->edges[i].count = 0;
    }
    memset(g->reads, 0, (size_t)g->n_regions * 2 * sizeof *g->reads);
    fetches_begin(&g->fetches, g->n_regions);
    g->region = 0;
    g->previous = START;
    g->begin = g->end = 0;
}

/* The last run, and the edge out of it. */
static void graph_end(struct graph *g)
{
    end_run(g);
    g->region = 0;
    follow_edge(g, UINT32_MAX, 0, 0);
}

/* Rows of (address, size, region) of the runs from ``first`` on. */
static void copy_blocks(const struct graph *g, int32_t first, int64_t *rows)
{
    for (int32_t i = first; i < g->n_blocks; ++i, rows += 3) {
        rows[0] = g->blocks[i].address;
        rows[1] = g->blocks[i].size;
        rows[2] = g->blocks[i].region;
    }
}

/* Rows of (from, to, count) of the edges that were taken; returns their number. */
static int32_t copy_edges(const struct graph *g, int64_t *rows)
{
    int32_t n = 0;
    for (int32_t i = 0; i < g->n_edges; ++i) {
        if (g->edges[i].count && rows) {
            rows[3 * n] = g->edges[i].from;
            rows[3 * n + 1] = g->edges[i].to;
            rows[3 * n + 2] = (int64_t)g->edges[i].count;
        }
        n += g->edges[i].count != 0;
    }
    return n;
}

/* Rows of (reads, bytes, bytes fetched again by each cache), one per region. */
enum { ROW = 2 + CACHES };

static void copy_rows(const struct graph *g, int64_t *rows)
{
    for (int32_t region = 0; region < g->n_regions; ++region, rows += ROW) {
        rows[0] = (int64_t)g->reads[2 * region];
        rows[1] = (int64_t)g->reads[2 * region + 1];
        copy_fetches(&g->fetches, region, rows + 2);
    }
}

#endif
