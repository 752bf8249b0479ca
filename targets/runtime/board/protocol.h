/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames between the board and the computer it is measured from (targets/serial/protocol.py is the
 * other end). All numbers are little-endian.
 *
 *   0x00 | COBS( type 1 | status 1 | sequence 2 | session 4 | length 2 | data | CRC-32 4 ) | 0x00
 *
 * A zero byte stands between frames only, so a receiver that lost its place finds the next frame.
 */
#ifndef TT_PROTOCOL_H
#define TT_PROTOCOL_H

#include <stdint.h>

#define TT_PROTOCOL_VERSION 1u
#define TT_HEAD_BYTES 10u
#define TT_CRC_BYTES 4u
#define TT_CHUNK_BYTES 1024u /* of data in one WRITE or READ */
#define TT_DATA_BYTES (TT_CHUNK_BYTES + 8u)
#define TT_FRAME_BYTES (TT_HEAD_BYTES + TT_DATA_BYTES + TT_CRC_BYTES)

enum {
    TT_HELLO = 1, /* -> who the device is; opens a session */
    TT_WRITE = 2, /* offset 4, bytes */
    TT_READ = 3,  /* offset 4, count 4 -> bytes */
    TT_FILL = 4,  /* offset 4, count 4, byte 1 */
    TT_SUM = 5,   /* offset 4, count 4 -> CRC-32 of these bytes */
    TT_CALL = 6,  /* see harness.c */
    TT_REPLY = 0x80
};

enum {
    TT_OK = 0,
    TT_RUNNING = 1,    /* the call has begun; its result follows */
    TT_NO_SESSION = 2, /* the device was reset since HELLO, or somebody else said HELLO */
    TT_BAD_REQUEST = 3,
    TT_BAD_RANGE = 4,
    TT_BAD_INDEX = 5,
    TT_FAULTED = 6, /* pc 4, fault status 4; the device starts anew after it */
    TT_TOO_LONG = 7, /* the limit of the call passed; the device starts anew after it */
    TT_STACK_OVERFLOW = 8
};

struct tt_frame {
    uint8_t type, status;
    uint16_t sequence, length;
    uint32_t session;
    uint32_t sum; /* the CRC-32 it came with */
    uint8_t *data;
};

uint32_t tt_crc32(uint32_t sum, const uint8_t *bytes, uint32_t count);
uint32_t tt_get(const uint8_t *from, uint32_t bytes);
void tt_put(uint8_t *to, uint32_t value, uint32_t bytes);

/* Takes what the UART has; 1 once a whole, intact frame has come. */
int tt_receive(struct tt_frame *frame);

/* Where the data of the next frame to send is put. */
uint8_t *tt_reply_data(void);
void tt_send(uint8_t type, uint8_t status, uint16_t sequence, uint32_t session, uint32_t length);
void tt_send_again(void);

#endif
