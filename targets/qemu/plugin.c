/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts what a QEMU machine executes, for the runner beside it: a TCG plugin.
 *
 * FOLDER/plugin.bin holds int64 words (stop, first flash address, flash bytes, aligned only, n
 * regions, n entries, n functions, addresses of the functions, entry addresses, their regions) and
 * then the bytes in flash. A call ends when the instruction at ``stop`` is reached, the next block
 * begins another one. At each end
 *
 *     blocks.bin  grows by new blocks (address, size, region)
 *     edges.bin   grows by the edges of the call (from, to, count)
 *     calls.bin   grows by (number of edges, failure, where, then a row of each region: edges.h)
 *
 * QEMU carries a contiguous vector load out byte by byte or as its elements are; it counts as the
 * words that it touches, as a transfer of several registers does.
 *
 * Plugins of this QEMU cannot read registers, so that regions follow calls and returns: a block
 * that was reached by BL or BLX opens a frame, arriving at the return address closes it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "../emulator/edges.h"

/* The part of QEMU's plugin interface that is used here, as its manual describes it. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGISTERS = 0, READ_AND_WRITE = 3 };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
unsigned qemu_plugin_mem_size_shift(uint32_t info);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t,
                                                            struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
                                          void (*callback)(unsigned, void *), int flags,
                                          void *user);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*callback)(unsigned, uint32_t, uint64_t, void *),
                                      int flags, int kinds, void *user);

extern __attribute__((visibility("default"))) int qemu_plugin_version;
int qemu_plugin_version = PLUGIN_API;

enum { JOB_WORDS = 7, MAX_DEPTH = 1024 };

struct straight {
    uint32_t address, size;
    bool calls; /* ends in BL or BLX */
};

struct frame {
    uint32_t return_address;
    int32_t region; /* to go back to */
};

static struct graph graph;
static uint32_t stop, flash_begin, flash_bytes;
static bool aligned_only, running;
static const uint8_t *flash;
static const struct straight *last;
static uint32_t vector_place, vector_end; /* the vector load that is going on, and what is next */
static int32_t depth, written_blocks;
static struct frame frames[MAX_DEPTH];
static FILE *blocks_file, *edges_file, *calls_file;

static const uint8_t *code_at(uint32_t address)
{
    static const uint8_t none[4];
    return address - flash_begin < flash_bytes - 3 ? flash + (address - flash_begin) : none;
}

/* Not what QEMU says, which counts a look at the next instruction before a page ends, too. */
static uint32_t size_of(uint32_t address)
{
    return code_at(address)[1] >> 3 >= 0x1D ? 4 : 2;
}

static bool is_call(uint32_t address, uint32_t size)
{
    const uint8_t *code = code_at(address);
    if (size == 2) {
        return code[1] == 0x47 && (code[0] & 0x87) == 0x80; /* BLX register */
    }
    return (code[1] & 0xF8) == 0xF0 && (code[3] & 0xD0) == 0xD0; /* BL */
}

static void write_rows(FILE *file, const int64_t *rows, int32_t n)
{
    fwrite(rows, sizeof *rows, (size_t)n, file);
    fflush(file);
}

static void end_call(void)
{
    graph_end(&graph);
    int32_t n_edges = copy_edges(&graph, NULL), n_new = graph.n_blocks - written_blocks;
    int32_t room = 3 * (n_edges > n_new ? n_edges : n_new) + ROW * graph.n_regions + 3;
    int64_t *rows = malloc((size_t)room * sizeof *rows);
    if (!rows) {
        abort();
    }
    copy_blocks(&graph, written_blocks, rows);
    write_rows(blocks_file, rows, 3 * n_new);
    written_blocks = graph.n_blocks;
    copy_edges(&graph, rows);
    write_rows(edges_file, rows, 3 * n_edges);
    rows[0] = n_edges;
    rows[1] = graph.failed;
    rows[2] = graph.failed_at;
    copy_rows(&graph, rows + 3);
    write_rows(calls_file, rows, 3 + ROW * graph.n_regions);
    free(rows);
    running = false;
}

static void follow(uint32_t address)
{
    if (depth && frames[depth - 1].return_address == address) {
        graph.region = frames[--depth].region;
    } else if (last && last->calls && address != last->address + last->size) {
        if (depth == MAX_DEPTH) {
            graph.failed = TOO_DEEP;
            return;
        }
        frames[depth++] = (struct frame){last->address + last->size, graph.region};
    }
    int32_t region = region_at(&graph, address);
    if (region != NONE) {
        graph.region = region;
    }
}

static void on_block(unsigned cpu, void *user)
{
    const struct straight *block = user;
    (void)cpu;
    if (block->address == stop) {
        end_call();
        return;
    }
    if (!running) {
        graph_begin(&graph);
        graph.failed = FINE;
        depth = 0;
        last = NULL;
        running = true;
    }
    follow(block->address);
    step(&graph, block->address, block->size);
    last = block;
    vector_place = 0;
}

static bool is_contiguous_vector(const uint8_t *code)
{
    return (code[1] & 0xFE) == 0xEC && (code[3] & 0x0E) == 0x0E;
}

/* Whether this read goes on within a word that a vector load has begun. */
static bool continues(uint32_t place, uint32_t address, uint32_t size)
{
    bool same = place == vector_place && address == vector_end && (address & 3) != 0;
    vector_place = is_contiguous_vector(code_at(place)) ? place : 0;
    vector_end = address + size;
    return same;
}

/* ``user`` is the address of the instruction, odd where it needs aligned data. */
static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *user)
{
    uint32_t size = 1u << qemu_plugin_mem_size_shift(info), place = (uint32_t)(uintptr_t)user;
    (void)cpu;
    if ((uint32_t)address - flash_begin < flash_bytes) {
        count_read(&graph, continues(place & ~1u, (uint32_t)address, size) ? 0 : 1, size);
    }
    if ((place & 1) && (address & ((size < 4 ? size : 4) - 1)) && !graph.failed) {
        graph.failed = UNALIGNED;
        graph.failed_at = place & ~1u;
    }
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    struct straight *block = malloc(sizeof *block);
    size_t n = qemu_plugin_tb_n_insns(tb);
    (void)id;
    if (!block) {
        abort();
    }
    block->address = (uint32_t)qemu_plugin_tb_vaddr(tb);
    for (size_t i = 0; i < n; ++i) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint32_t address = (uint32_t)qemu_plugin_insn_vaddr(insn);
        uint32_t size = size_of(address);
        bool strict = aligned_only || needs_alignment(code_at(address));
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, NO_REGISTERS, READ_AND_WRITE,
                                         (void *)(uintptr_t)(address | (strict ? 1u : 0u)));
        block->size = address + size - block->address;
        block->calls = is_call(address, size);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGISTERS, block);
}

static FILE *open_in(const char *folder, const char *name, const char *mode)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, mode) : NULL;
}

static bool read_job(const char *folder)
{
    int64_t words[JOB_WORDS], word;
    FILE *job = open_in(folder, "plugin.bin", "rb");
    if (!job || fread(words, sizeof *words, JOB_WORDS, job) != JOB_WORDS) {
        return false;
    }
    int32_t n = (int32_t)words[6];
    uint32_t *functions = calloc((size_t)n + 1, sizeof *functions);
    struct code code = {(uint32_t)words[1], (uint32_t)words[2], n, functions};
    for (int32_t i = 0; functions && i < n && fread(&word, sizeof word, 1, job) == 1; ++i) {
        functions[i] = (uint32_t)word;
    }
    if (!functions || !graph_init(&graph, (int32_t)words[5], (int32_t)words[4], &code)) {
        return false;
    }
    free(functions);
    stop = (uint32_t)words[0];
    flash_begin = (uint32_t)words[1];
    flash_bytes = (uint32_t)words[2];
    aligned_only = words[3] != 0;
    for (int32_t i = 0; i < 2 * graph.n_entries; ++i) {
        if (fread(&word, sizeof word, 1, job) != 1) {
            return false;
        }
        if (i < graph.n_entries) {
            graph.entries[i] = (uint32_t)word;
        } else {
            graph.entry_regions[i - graph.n_entries] = (int32_t)word;
        }
    }
    uint8_t *bytes = malloc(flash_bytes);
    bool complete = bytes && fread(bytes, 1, flash_bytes, job) == flash_bytes;
    flash = bytes;
    fclose(job);
    return complete;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void *info, int argc,
                                                               char **argv);

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    static const char option[] = "folder=";
    (void)info;
    if (argc != 1 || strncmp(argv[0], option, sizeof option - 1) != 0) {
        fprintf(stderr, "the plugin takes one argument, folder=FOLDER\n");
        return 1;
    }
    const char *folder = argv[0] + sizeof option - 1;
    blocks_file = open_in(folder, "blocks.bin", "wb");
    edges_file = open_in(folder, "edges.bin", "wb");
    calls_file = open_in(folder, "calls.bin", "wb");
    if (!blocks_file || !edges_file || !calls_file || !read_job(folder)) {
        fprintf(stderr, "the plugin cannot read or write in %s\n", folder);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
