/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the functions of an image on request, and says how many cycles each run took.
 *
 *   RAM    .data | .bss | buffer that the computer writes and reads | stack
 *   CALL   index 2, repeats 1, pointers 1, limit 4 (in 2^24 cycles), offset 4 of each pointer
 *          -> RUNNING before each run, then stack bytes 4, cycles 8 of each run
 *
 * No interrupt is enabled but SysTick's (cycles.c). A request that comes again, as its answer was
 * lost, is answered from memory. A fault is reported, and the device starts anew.
 */
#include "harness.h"

#include "cycles.h"
#include "port.h"
#include "protocol.h"

#define VTOR 0xE000ED08u
#define AIRCR 0xE000ED0Cu
#define CFSR 0xE000ED28u
#define NVIC_ICER 0xE000E180u
#define MOST_RUNS 32u
#define PAINT 0x5AC3A53Cu
#define GUARD_BYTES 32u

extern uint32_t image_bss_end[], image_stack_top[];
void Reset_Handler(void);

static struct tt_port_report port;
static uint8_t counter;
static uint32_t session; /* 0: nobody said HELLO since the start */
static uint32_t last_sum;
static uint16_t last_sequence;
static int has_last;
static struct tt_frame running; /* the call that a fault or the limit ends */
static volatile uint32_t limit;

static uint8_t *buffer(void)
{
    return (uint8_t *)(((uintptr_t)image_bss_end + 15u) & ~(uintptr_t)15u);
}

static uint8_t *stack_low(void)
{
    return (uint8_t *)image_stack_top - tt_image.stack_bytes;
}

static uint32_t buffer_bytes(void)
{
    return buffer() < stack_low() ? (uint32_t)(stack_low() - buffer()) & ~15u : 0;
}

static void start_anew(void)
{
    tt_port_flush();
    __asm volatile("dsb" ::: "memory");
    TT_REGISTER(AIRCR) = 0x05FA0004u;
    for (;;) { /* the reset comes within a few cycles */
        __asm volatile("");
    }
}

void tt_fault(const uint32_t *frame);
void tt_fault(const uint32_t *frame)
{
    uint8_t *data = tt_reply_data();
    tt_put(data, frame[6], 4);
#if __ARM_ARCH >= 7
    tt_put(data + 4, TT_REGISTER(CFSR), 4);
#else
    tt_put(data + 4, 0, 4);
#endif
    tt_send(TT_CALL | TT_REPLY, TT_FAULTED, running.sequence, session, 8);
    start_anew();
}

__attribute__((naked)) static void fault_handler(void)
{
    __asm volatile("mrs r0, msp\n\tb tt_fault");
}

static void tick_handler(void)
{
    if (tt_cycles_tick() >= limit) {
        tt_send(TT_CALL | TT_REPLY, TT_TOO_LONG, running.sequence, session, 0);
        start_anew();
    }
}

__attribute__((aligned(128), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)image_stack_top, (uintptr_t)Reset_Handler, (uintptr_t)fault_handler,
    (uintptr_t)fault_handler,   (uintptr_t)fault_handler, (uintptr_t)fault_handler,
    (uintptr_t)fault_handler,   (uintptr_t)fault_handler, (uintptr_t)fault_handler,
    (uintptr_t)fault_handler,   (uintptr_t)fault_handler, (uintptr_t)fault_handler,
    (uintptr_t)fault_handler,   (uintptr_t)fault_handler, (uintptr_t)fault_handler,
    (uintptr_t)tick_handler,
};

static uint32_t put_text(uint8_t *to, const char *text)
{
    uint32_t count = 0;
    do {
        to[count] = (uint8_t)text[count];
    } while (text[count++] != 0);
    return count;
}

static void say_hello(uint16_t sequence)
{
    uint8_t *data = tt_reply_data();
    data[0] = TT_PROTOCOL_VERSION;
    data[1] = counter;
    data[2] = port.status;
    data[3] = tt_port_simulated;
    tt_put(data + 4, port.clock_hz, 4);
    tt_put(data + 8, buffer_bytes(), 4);
    tt_put(data + 12, TT_CHUNK_BYTES, 2);
    tt_put(data + 14, tt_image.functions, 2);
    uint32_t at = 16;
    for (uint32_t i = 0; i < TT_BUILD_ID_BYTES; ++i) {
        data[at++] = tt_image.build_id[i];
    }
    at += put_text(data + at, tt_image.board);
    at += put_text(data + at, tt_image.core);
    at += put_text(data + at, tt_port_name);
    tt_send(TT_HELLO | TT_REPLY, TT_OK, sequence, session, at);
}

static int inside(uint32_t offset, uint32_t count)
{
    uint32_t room = buffer_bytes();
    return offset <= room && count <= room - offset;
}

static void nothing(uint8_t *const *pointers)
{
    __asm volatile("" : : "r"(pointers) : "memory");
}

__attribute__((noinline)) static uint64_t timed(
    void (*run)(uint8_t *const *), uint8_t *const *pointers)
{
    tt_cycles_start();
    run(pointers);
    return tt_cycles_stop();
}

/* Cycles of a call that does nothing: they are taken from every run. */
static uint64_t overhead(uint8_t *const *pointers)
{
    uint64_t least = timed(nothing, pointers);
    for (uint32_t i = 0; i < 7u; ++i) {
        uint64_t cycles = timed(nothing, pointers);
        least = cycles < least ? cycles : least;
    }
    return least;
}

static void say_running(void)
{
    tt_send(TT_CALL | TT_REPLY, TT_RUNNING, running.sequence, session, 0);
    tt_port_flush();
}

/* Runs and puts the stack bytes and the cycles into the reply; the status. */
__attribute__((noinline)) static uint8_t run_all(
    const struct tt_function *function, uint8_t *const *pointers, uint32_t repeats)
{
    static uint64_t cycles[MOST_RUNS];
    volatile uint32_t *const low = (volatile uint32_t *)stack_low();
    const uint32_t *top;
    __asm volatile("mov %0, sp" : "=r"(top));
    for (volatile uint32_t *word = low; word < top; ++word) {
        *word = PAINT;
    }
    uint64_t none = overhead(pointers);
    for (uint32_t i = 0; i < repeats; ++i) {
        say_running();
        cycles[i] = timed(function->run, pointers);
        cycles[i] -= cycles[i] > none ? none : cycles[i];
    }
    const volatile uint32_t *word = low;
    while (word < top && *word == PAINT) {
        ++word;
    }
    uint8_t *result = tt_reply_data();
    tt_put(result, (uint32_t)((const uint8_t *)top - (const volatile uint8_t *)word), 4);
    for (uint32_t i = 0; i < repeats; ++i) {
        tt_put(result + 8u * i + 4u, (uint32_t)cycles[i], 4);
        tt_put(result + 8u * i + 8u, (uint32_t)(cycles[i] >> 32), 4);
    }
    return word < low + GUARD_BYTES / 4u ? TT_STACK_OVERFLOW : TT_OK;
}

/* The status and, where it is OK, the length of the answer. */
static uint8_t call(const struct tt_frame *request, uint32_t *length)
{
    uint8_t *pointers[TT_MOST_POINTERS] = {0};
    const uint8_t *data = request->data;
    if (request->length < 8u || request->length != 8u + 4u * data[3]) {
        return TT_BAD_REQUEST;
    }
    uint32_t index = tt_get(data, 2), repeats = data[2], count = data[3];
    if (index >= tt_image.functions || count != tt_functions[index].pointers) {
        return TT_BAD_INDEX;
    }
    if (repeats == 0 || repeats > MOST_RUNS || count > TT_MOST_POINTERS) {
        return TT_BAD_REQUEST;
    }
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t offset = tt_get(data + 8u + 4u * i, 4);
        if (!inside(offset, 0)) {
            return TT_BAD_RANGE;
        }
        pointers[i] = buffer() + offset;
    }
    running = *request;
    tt_cycles_start(); /* overflows since the last call are none of this one */
    limit = tt_get(data + 4, 4);
    uint8_t status = run_all(&tt_functions[index], pointers, repeats);
    limit = 0xFFFFFFFFu;
    *length = 4u + 8u * repeats;
    return status;
}

static uint8_t move(const struct tt_frame *request, uint32_t *length)
{
    const uint8_t *data = request->data;
    uint32_t expected = request->type == TT_FILL ? 9u : 8u;
    if (request->type == TT_WRITE) {
        expected = request->length < 4u ? 4u : request->length;
    }
    if (request->length != expected) {
        return TT_BAD_REQUEST;
    }
    uint32_t offset = tt_get(data, 4);
    uint32_t count = request->type == TT_WRITE ? request->length - 4u : tt_get(data + 4, 4);
    if (!inside(offset, count) || (request->type == TT_READ && count > TT_CHUNK_BYTES)) {
        return TT_BAD_RANGE;
    }
    uint8_t *at = buffer() + offset, *answer = tt_reply_data();
    if (request->type == TT_SUM) {
        tt_put(answer, tt_crc32(0, at, count), 4);
        *length = 4;
        return TT_OK;
    }
    for (uint32_t i = 0; i < count; ++i) {
        if (request->type == TT_READ) {
            answer[i] = at[i];
        } else {
            at[i] = request->type == TT_FILL ? data[8] : data[4u + i];
        }
    }
    *length = request->type == TT_READ ? count : 0;
    return TT_OK;
}

static void answer(const struct tt_frame *request)
{
    if (has_last && request->sum == last_sum && request->sequence == last_sequence) {
        tt_send_again();
        return;
    }
    uint32_t length = 0;
    uint8_t status = TT_BAD_REQUEST;
    if (request->type == TT_HELLO && request->session != 0) {
        session = request->session;
        say_hello(request->sequence);
    } else {
        if (session == 0 || request->session != session) {
            status = TT_NO_SESSION;
        } else if (request->type == TT_CALL) {
            status = call(request, &length);
        } else if (request->type >= TT_WRITE && request->type <= TT_SUM) {
            status = move(request, &length);
        }
        tt_send(request->type | TT_REPLY, status, request->sequence, request->session, length);
    }
    last_sum = request->sum;
    last_sequence = request->sequence;
    has_last = 1;
}

int main(void)
{
    for (uint32_t i = 0; i < 8u; ++i) {
        TT_REGISTER(NVIC_ICER + 4u * i) = 0xFFFFFFFFu;
    }
    limit = 0xFFFFFFFFu;
    TT_REGISTER(VTOR) = (uint32_t)(uintptr_t)vectors;
    int has_vectors = TT_REGISTER(VTOR) == (uint32_t)(uintptr_t)vectors;
    port = tt_port_init(tt_image.clock_hz, tt_image.baud);
    if (!has_vectors && port.status == TT_PORT_OK) {
        port.status = TT_PORT_VECTORS;
    }
    counter = tt_cycles_init(has_vectors);
    say_hello(0);
    for (;;) {
        struct tt_frame request;
        if (tt_receive(&request)) {
            answer(&request);
        }
    }
}
