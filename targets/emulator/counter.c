/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting hooks of the emulator. The emulator calls on_block before each translated block and
 * on_access at each data access. A region is entered at the address of its function and left when
 * the return address of that call is reached, so what the function calls counts for it too.
 *
 * The emulated cores allow any unaligned access. Real ones stop: ARMv6-M at each, the others where
 * the instruction moves more than one register. on_access stops there, too.
 */
#include "edges.h"

enum { MAX_DEPTH = 64 };

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

struct frame {
    uint32_t entry, return_address;
    int32_t region; /* to go back to */
};

struct counter {
    struct setup setup;
    struct graph graph;
    int32_t depth;
    struct frame frames[MAX_DEPTH];
};

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
        c->graph.failed = TOO_DEEP;
        return;
    }
    c->frames[c->depth++] = (struct frame){entry, link, c->graph.region};
    c->graph.region = region;
}

static void switch_region(struct counter *c, void *engine, uint32_t address)
{
    while (c->depth > 0 && c->frames[c->depth - 1].return_address == address) {
        c->graph.region = c->frames[--c->depth].region;
    }
    int32_t region = region_at(&c->graph, address);
    if (region != NONE) {
        enter(c, engine, address, region);
    }
}

void on_block(void *engine, uint64_t address, uint32_t size, void *user)
{
    struct counter *c = user;
    if ((uint32_t)address == c->setup.stop || c->graph.failed) {
        return;
    }
    if (c->graph.n_entries) {
        switch_region(c, engine, (uint32_t)address);
    }
    step(&c->graph, (uint32_t)address, size);
}

static void unaligned(struct counter *c, void *engine, int size)
{
    uint32_t pc = 0;
    uint8_t code[2] = {0, 0};
    c->setup.read_register(engine, c->setup.program_counter, &pc);
    pc &= ~1u;
    c->setup.read_memory(engine, pc, code, sizeof code);
    if (c->setup.aligned_only || (size >= 4 && needs_alignment(code))) {
        c->graph.failed = UNALIGNED;
        c->graph.failed_at = pc;
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
    if (address & (uint64_t)((size < 4 ? size : 4) - 1) && !c->graph.failed) {
        unaligned(c, engine, size);
    }
    if (address - c->setup.flash_begin < c->setup.flash_end - c->setup.flash_begin) {
        count_read(&c->graph, 1, (uint32_t)size); /* flash is not written: that is a fault */
    }
    if (!c->setup.aligned_only) {
        leave_it_block(c, engine); /* ARMv6-M has no IT blocks */
    }
}

/* Region 0 is the code outside of all entries. */
struct counter *counter_new(const struct setup *setup, const struct code *code,
                            int32_t n_entries, const uint32_t *entries,
                            const int32_t *entry_regions, int32_t n_regions)
{
    struct counter *c = calloc(1, sizeof *c);
    if (!c || !graph_init(&c->graph, n_entries, n_regions, code)) {
        return NULL;
    }
    c->setup = *setup;
    memcpy(c->graph.entries, entries, (size_t)n_entries * sizeof *entries);
    memcpy(c->graph.entry_regions, entry_regions, (size_t)n_entries * sizeof *entry_regions);
    return c;
}

void counter_begin(struct counter *c)
{
    graph_begin(&c->graph);
    c->depth = 0;
}

/* Why the run is not valid, or 0; and the instruction where that was seen. */
int32_t counter_failed(const struct counter *c, uint32_t *pc)
{
    *pc = c->graph.failed_at;
    return c->graph.failed;
}

void counter_end(struct counter *c)
{
    graph_end(&c->graph);
}

int32_t counter_blocks(const struct counter *c)
{
    return c->graph.n_blocks;
}

void counter_copy_blocks(const struct counter *c, int64_t *rows)
{
    copy_blocks(&c->graph, 0, rows);
}

int32_t counter_copy_edges(const struct counter *c, int64_t *rows)
{
    return copy_edges(&c->graph, rows);
}

/* Integers of each row that counter_copy_rows writes, one row per region. */
int32_t counter_row(void)
{
    return ROW;
}

void counter_copy_rows(const struct counter *c, int64_t *rows)
{
    copy_rows(&c->graph, rows);
}
