/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting hooks of the emulator. The emulator calls on_block before each translated block and
 * on_access at each data access. All that is kept while running is
 *
 *     edges    (block, next block) -> how often             region of a block = part of its identity
 *     reads    region -> flash reads, bytes
 *
 * Instructions, taken branches and cycles follow from these afterwards. A region is entered at the
 * address of its function and left when the return address of that call is reached, so what the
 * function calls counts for it too.
 *
 * The emulated cores allow any unaligned access. Real ones stop: ARMv6-M at each, the others where
 * the instruction moves more than one register. on_access stops there, too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64, NONE = -1, START = 0 };

typedef int (*read_register_fn)(void *engine, int id, void *value);
typedef int (*write_register_fn)(void *engine, int id, const void *value);
typedef int (*read_memory_fn)(void *engine, uint64_t address, void *bytes, uint64_t size);
typedef int (*stop_fn)(void *engine);

/* What the emulator offers, and where things are. */
struct setup {
    read_register_fn read_register;
    write_register_fn write_register;
    read_memory_fn read_memory;
    stop_fn stop_engine;
    int32_t link_register, program_counter, status_register;
    uint32_t stop, flash_begin, flash_end;
    int32_t aligned_only;
};

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

struct frame {
    uint32_t entry, return_address;
    int32_t region; /* to go back to */
};

struct counter {
    struct setup setup;
    int32_t n_entries;
    uint32_t *entries; /* sorted addresses of the functions that are regions */
    int32_t *entry_regions;
    int32_t n_regions;
    uint64_t *reads; /* per region: reads, bytes */

    int32_t region, depth, previous;
    struct frame frames[MAX_DEPTH];
    int32_t failed; /* 1: out of memory, 2: regions nested too deeply, 3: unaligned access */
    uint32_t failed_at;

    struct block *blocks;
    int32_t n_blocks, block_space;
    struct edge *edges;
    int32_t n_edges, edge_space;
    int32_t *hash;
    int32_t hash_mask;
};

static int32_t bucket(const struct counter *c, uint32_t address)
{
    return (int32_t)((address >> 1) * 2654435761u >> 8) & c->hash_mask;
}

static int rehash(struct counter *c, int32_t size)
{
    int32_t *hash = malloc((size_t)size * sizeof *hash);
    if (!hash) {
        return 0;
    }
    free(c->hash);
    c->hash = hash;
    c->hash_mask = size - 1;
    memset(hash, 0xff, (size_t)size * sizeof *hash);
    for (int32_t i = 0; i < c->n_blocks; ++i) {
        int32_t *head = &hash[bucket(c, c->blocks[i].address)];
        c->blocks[i].hash_next = *head;
        *head = i;
    }
    return 1;
}

static int32_t new_block(struct counter *c, uint32_t address, uint32_t size, int32_t region)
{
    if (c->n_blocks == c->block_space) {
        int32_t space = c->block_space * 2;
        struct block *blocks = realloc(c->blocks, (size_t)space * sizeof *blocks);
        if (!blocks) {
            return NONE;
        }
        c->blocks = blocks;
        c->block_space = space;
        if (!rehash(c, space * 2)) {
            return NONE;
        }
    }
    int32_t id = c->n_blocks++;
    int32_t *head = &c->hash[bucket(c, address)];
    c->blocks[id] = (struct block){address, size, region, NONE, *head};
    *head = id;
    return id;
}

static int32_t find_block(struct counter *c, uint32_t address, uint32_t size, int32_t region)
{
    for (int32_t i = c->hash[bucket(c, address)]; i != NONE; i = c->blocks[i].hash_next) {
        const struct block *b = &c->blocks[i];
        if (b->address == address && b->size == size && b->region == region) {
            return i;
        }
    }
    return new_block(c, address, size, region);
}

static void new_edge(struct counter *c, uint32_t address, uint32_t size)
{
    int32_t to = find_block(c, address, size, c->region);
    if (c->n_edges == c->edge_space) {
        int32_t space = c->edge_space * 2;
        struct edge *edges = realloc(c->edges, (size_t)space * sizeof *edges);
        if (edges) {
            c->edges = edges;
            c->edge_space = space;
        }
    }
    if (to == NONE || c->n_edges == c->edge_space) {
        c->failed = 1;
        return;
    }
    struct block *from = &c->blocks[c->previous];
    c->edges[c->n_edges] = (struct edge){1, c->previous, to, from->first_edge};
    from->first_edge = c->n_edges++;
    c->previous = to;
}

/* One more step from the previous block to this one. */
static void step(struct counter *c, uint32_t address, uint32_t size)
{
    struct block *from = &c->blocks[c->previous];
    int32_t *link = &from->first_edge;
    while (*link != NONE) {
        int32_t id = *link;
        struct edge *e = &c->edges[id];
        const struct block *to = &c->blocks[e->to];
        if (to->address == address && to->size == size && to->region == c->region) {
            *link = e->next;
            e->next = from->first_edge;
            from->first_edge = id;
            ++e->count;
            c->previous = e->to;
            return;
        }
        link = &e->next;
    }
    new_edge(c, address, size);
}

static void enter(struct counter *c, void *engine, uint32_t entry, int32_t region)
{
    uint32_t link = 0;
    c->setup.read_register(engine, c->setup.link_register, &link);
    link &= ~1u;
    if (c->depth > 0) {
        const struct frame *top = &c->frames[c->depth - 1];
        if (top->entry == entry && top->return_address == link) {
            return; /* a loop back to the first instruction of the function */
        }
    }
    if (c->depth == MAX_DEPTH) {
        c->failed = 2;
        return;
    }
    c->frames[c->depth++] = (struct frame){entry, link, c->region};
    c->region = region;
}

static void switch_region(struct counter *c, void *engine, uint32_t address)
{
    while (c->depth > 0 && c->frames[c->depth - 1].return_address == address) {
        c->region = c->frames[--c->depth].region;
    }
    int32_t low = 0, high = c->n_entries;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (c->entries[middle] < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < c->n_entries && c->entries[low] == address) {
        enter(c, engine, address, c->entry_regions[low]);
    }
}

void on_block(void *engine, uint64_t address, uint32_t size, void *user)
{
    struct counter *c = user;
    if ((uint32_t)address == c->setup.stop || c->failed) {
        return;
    }
    if (c->n_entries) {
        switch_region(c, engine, (uint32_t)address);
    }
    step(c, (uint32_t)address, size);
}

/* LDM, STM, LDRD, STRD, LDREX, PUSH, POP and the FPU's loads and stores need aligned words. */
static int needs_alignment(const uint8_t code[2])
{
    uint32_t half = (uint32_t)(code[0] | code[1] << 8);
    return (half & 0xFE00u) == 0xE800u || (half & 0xFE00u) == 0xEC00u ||
           (half & 0xF000u) == 0xC000u || (half & 0xF600u) == 0xB400u;
}

static void unaligned(struct counter *c, void *engine, int size)
{
    uint32_t pc = 0;
    uint8_t code[2] = {0, 0};
    c->setup.read_register(engine, c->setup.program_counter, &pc);
    pc &= ~1u;
    c->setup.read_memory(engine, pc, code, sizeof code);
    if (c->setup.aligned_only || (size >= 4 && needs_alignment(code))) {
        c->failed = 3;
        c->failed_at = pc;
        c->setup.stop_engine(engine);
    }
}

/* The emulator restores the IT state before it calls a hook, for the hook to see, and forgets to
 * take it back: the next block would be translated as if it stood in the IT block, and be found
 * again under the same address later. The rest of the running block does not read it. */
static void leave_it_block(struct counter *c, void *engine)
{
    uint32_t status = 0;
    const uint32_t it_bits = 0x0600FC00u;
    c->setup.read_register(engine, c->setup.status_register, &status);
    if (status & it_bits) {
        status &= ~it_bits;
        c->setup.write_register(engine, c->setup.status_register, &status);
    }
}

void on_access(void *engine, int kind, uint64_t address, int size, int64_t value, void *user)
{
    struct counter *c = user;
    (void)kind, (void)value;
    if (address & (uint64_t)((size < 4 ? size : 4) - 1) && !c->failed) {
        unaligned(c, engine, size);
    }
    if (address - c->setup.flash_begin < c->setup.flash_end - c->setup.flash_begin) {
        c->reads[2 * c->region] += 1; /* flash is not written: that is a fault */
        c->reads[2 * c->region + 1] += (uint64_t)size;
    }
    if (!c->setup.aligned_only) {
        leave_it_block(c, engine); /* ARMv6-M has no IT blocks */
    }
}

/* Region 0 is the code outside of all entries. Block 0 stands before and after each call. */
struct counter *counter_new(const struct setup *setup, int32_t n_entries, const uint32_t *entries,
                            const int32_t *entry_regions, int32_t n_regions)
{
    struct counter *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->setup = *setup;
    c->n_entries = n_entries;
    c->n_regions = n_regions;
    c->block_space = c->edge_space = 1024;
    c->entries = calloc((size_t)n_entries + 1, sizeof *c->entries);
    c->entry_regions = calloc((size_t)n_entries + 1, sizeof *c->entry_regions);
    c->reads = calloc((size_t)n_regions, 2 * sizeof *c->reads);
    c->blocks = calloc((size_t)c->block_space, sizeof *c->blocks);
    c->edges = calloc((size_t)c->edge_space, sizeof *c->edges);
    if (!c->entries || !c->entry_regions || !c->reads || !c->blocks || !c->edges ||
        !rehash(c, 2 * c->block_space)) {
        return NULL; /* the process ends here, so nothing is freed */
    }
    memcpy(c->entries, entries, (size_t)n_entries * sizeof *entries);
    memcpy(c->entry_regions, entry_regions, (size_t)n_entries * sizeof *entry_regions);
    find_block(c, UINT32_MAX, 0, 0); /* block START */
    return c;
}

/* Forget counts, not blocks and edges. */
void counter_begin(struct counter *c)
{
    for (int32_t i = 0; i < c->n_edges; ++i) {
        c->edges[i].count = 0;
    }
    memset(c->reads, 0, (size_t)c->n_regions * 2 * sizeof *c->reads);
    c->region = c->depth = 0;
    c->previous = START;
}

/* Why the run is not valid, or 0; and the instruction where that was seen. */
int32_t counter_failed(const struct counter *c, uint32_t *pc)
{
    *pc = c->failed_at;
    return c->failed;
}

/* The step out of the last block. */
void counter_end(struct counter *c)
{
    c->region = 0;
    step(c, UINT32_MAX, 0);
}

int32_t counter_blocks(const struct counter *c)
{
    return c->n_blocks;
}

/* Rows of (address, size, region). */
void counter_copy_blocks(const struct counter *c, int64_t *rows)
{
    for (int32_t i = 0; i < c->n_blocks; ++i) {
        rows[3 * i] = c->blocks[i].address;
        rows[3 * i + 1] = c->blocks[i].size;
        rows[3 * i + 2] = c->blocks[i].region;
    }
}

/* Rows of (from, to, count) of the edges that were taken; returns their number. */
int32_t counter_copy_edges(const struct counter *c, int64_t *rows)
{
    int32_t n = 0;
    for (int32_t i = 0; i < c->n_edges; ++i) {
        if (c->edges[i].count && rows) {
            rows[3 * n] = c->edges[i].from;
            rows[3 * n + 1] = c->edges[i].to;
            rows[3 * n + 2] = (int64_t)c->edges[i].count;
        }
        n += c->edges[i].count != 0;
    }
    return n;
}

/* Rows of (reads, bytes), one per region. */
void counter_copy_reads(const struct counter *c, int64_t *rows)
{
    for (int32_t i = 0; i < 2 * c->n_regions; ++i) {
        rows[i] = (int64_t)c->reads[i];
    }
}
