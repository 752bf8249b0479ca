#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# "Writes" an image to QEMU: ends the machine that ran before, starts one with the new image. Its
# UART is at socket://localhost:5555, or at the port in QEMU_BOARD_PORT. Without an image it only
# ends the machine.
set -e
state="${TMPDIR:-/tmp}/tinytailor-qemu-board"
if [ -f "$state.pid" ]; then
    pid=$(cat "$state.pid")
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm -f "$state.pid"
fi
if [ -n "$1" ]; then
    cp "$1" "$state.elf"
    exec qemu-system-arm -M mps2-an386 -kernel "$state.elf" -display none -monitor none \
        -daemonize -pidfile "$state.pid" -serial "tcp:127.0.0.1:${QEMU_BOARD_PORT:-5555},server=on,wait=off"
fi
