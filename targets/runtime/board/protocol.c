/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include "port.h"

/* COBS adds a byte for every 254 and one more. */
static uint8_t received[TT_FRAME_BYTES + TT_FRAME_BYTES / 254u + 2u];
static uint32_t received_count;
static uint8_t reply[TT_FRAME_BYTES];
static uint32_t reply_count;

uint32_t tt_crc32(uint32_t sum, const uint8_t *bytes, uint32_t count)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
        0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
        0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    sum = ~sum;
    for (uint32_t i = 0; i < count; ++i) {
        sum = (sum >> 4) ^ table[(sum ^ bytes[i]) & 15u];
        sum = (sum >> 4) ^ table[(sum ^ ((uint32_t)bytes[i] >> 4)) & 15u];
    }
    return ~sum;
}

uint32_t tt_get(const uint8_t *from, uint32_t bytes)
{
    uint32_t value = 0;
    while (bytes-- > 0) {
        value = (value << 8) | from[bytes];
    }
    return value;
}

void tt_put(uint8_t *to, uint32_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; ++i, value >>= 8) {
        to[i] = (uint8_t)value;
    }
}

/* The bytes without their COBS stuffing, in place; their count, or 0 if they are no frame. */
static uint32_t unstuff(uint8_t *bytes, uint32_t count)
{
    uint32_t from = 0, to = 0;
    while (from < count) {
        uint32_t code = bytes[from++];
        if (code == 0 || from + code - 1u > count) {
            return 0;
        }
        for (uint32_t i = 1; i < code; ++i) {
            bytes[to++] = bytes[from++];
        }
        if (code < 255u && from < count) {
            bytes[to++] = 0;
        }
    }
    return to;
}

static int parse(struct tt_frame *frame, uint8_t *bytes, uint32_t count)
{
    if (count < TT_HEAD_BYTES + TT_CRC_BYTES) {
        return 0;
    }
    uint32_t body = count - TT_CRC_BYTES;
    frame->sum = tt_get(bytes + body, 4);
    frame->length = (uint16_t)tt_get(bytes + 8, 2);
    if (tt_crc32(0, bytes, body) != frame->sum || frame->length != body - TT_HEAD_BYTES) {
        return 0;
    }
    frame->type = bytes[0];
    frame->status = bytes[1];
    frame->sequence = (uint16_t)tt_get(bytes + 2, 2);
    frame->session = tt_get(bytes + 4, 4);
    frame->data = bytes + TT_HEAD_BYTES;
    return 1;
}

int tt_receive(struct tt_frame *frame)
{
    for (int byte = tt_port_getc(); byte >= 0; byte = tt_port_getc()) {
        if (byte == 0) {
            uint32_t count = received_count;
            received_count = 0;
            if (count <= sizeof received && parse(frame, received, unstuff(received, count))) {
                return 1;
            }
        } else if (received_count < sizeof received) {
            received[received_count++] = (uint8_t)byte;
        } else {
            received_count = sizeof received + 1u; /* longer than any frame: until the next zero */
        }
    }
    return 0;
}

uint8_t *tt_reply_data(void)
{
    return reply + TT_HEAD_BYTES;
}

void tt_send(uint8_t type, uint8_t status, uint16_t sequence, uint32_t session, uint32_t length)
{
    reply[0] = type;
    reply[1] = status;
    tt_put(reply + 2, sequence, 2);
    tt_put(reply + 4, session, 4);
    tt_put(reply + 8, length, 2);
    reply_count = TT_HEAD_BYTES + length;
    tt_put(reply + reply_count, tt_crc32(0, reply, reply_count), 4);
    reply_count += TT_CRC_BYTES;
    tt_send_again();
}

/* A byte that the UART does not take ends the frame; the computer asks again. */
void tt_send_again(void)
{
    int failed = tt_port_putc(0);
    uint32_t from = 0;
    int open = 1; /* whether another block follows, be it an empty one */
    while (open && !failed) {
        uint32_t run = 0;
        while (run < 254u && from + run < reply_count && reply[from + run] != 0) {
            ++run;
        }
        failed = tt_port_putc((uint8_t)(run + 1u));
        for (uint32_t i = 0; i < run && !failed; ++i) {
            failed = tt_port_putc(reply[from + i]);
        }
        from += run;
        open = from < reply_count;
        if (run < 254u && open) {
            ++from; /* the zero that the next code stands for */
        }
    }
    (void)tt_port_putc(0);
}
