# SPDX-License-Identifier: Apache-2.0
"""The words of docs/energy.md, between which ``energy`` puts its tables."""

HEAD = """\
# Energy

Written by `python benchmarks/energy.py --write`; do not edit.

**No energy here was measured by us.** The energy of an inference is its modelled time, times the
power that others measured on the board while it computed:

    E = active_mw * latency_ms                          mW * ms = uJ
    mean power = (E + idle_mw * (period - latency)) / period
    battery life = capacity * voltage / mean power

So for one board an energy is a latency in other units, and choosing a network by one is choosing it
by the other. Between boards it is not.

## A network within an energy

    $ tinytailor search --data ucr:BasicMotions --target nucleo-l4r5zi --supply smps \\
          --energy 60uJ --ram 24KiB --flash 48KiB --trials 1 -o run
    ...
    Cost on nucleo-l4r5zi
                                    predicted from the table  emitted project    budget
    latency (emulated, modelled)                    1.637 ms         1.637 ms
    energy (modelled, supply smps)                   54.7 uJ          54.7 uJ   60.0 uJ  ok
    arena                                             1248 B           1248 B
    RAM (arena, buffers, stack)                       1984 B           1984 B   24576 B  ok
    flash (code, constants)                           4732 B           4732 B   49152 B  ok

Energies are written `500uJ`, `1.5mJ`, `800nJ`. What no network of the space can do is said before
anything is trained, with exit code 3:

    $ tinytailor search --data ucr:BasicMotions --target nucleo-l4r5zi --energy 5uJ -o run
    error: energy 5.0 uJ (0.120 ms at 41.6 mW) cannot be met: the smallest achievable with space
    micronas:100x6x4 is 68.1 uJ (1.637 ms at 41.6 mW); nothing was trained

A board without a published power is refused with exit code 2. Reports, manifests and `profile` of
other boards say `unknown: no power of this board is published`; in `--json` `energy_uj` is `null`
then, and `energy` says what it is from.

## How long a battery lasts

    $ tinytailor profile build/kws --supply smps --period 1s --battery 220mAh@3V
    ...
    One inference every 1 s, modelled, supply smps
    computes      6.08 % of the time, 33.4 mW
    waits         the rest, 15.8 mW
    mean power    16.87 mW
    battery life  39.1 hours from 220 mAh at 3 V
    ...

**The power in between decides, and the published one is not that of your firmware.** It is from a
benchmark that listens all the time. A firmware that stops the chip until the next inference draws
microwatts: measure yours and say so. The same network, once in 10 s:

    $ tinytailor profile build/kws --supply smps --period 10s --battery 220mAh@3V --idle 20uW
    ...
    computes      0.608 % of the time, 33.4 mW
    waits         the rest, 0.02 mW
    mean power    0.223 mW
    battery life  123 days from 220 mAh at 3 V

`--period` takes `500ms`, `1s`, `10min`, `1h`. It must not be shorter than an inference; `search`
takes it as a limit of the latency where there is no other. Not included, and said in every report:
what falls asleep and wakes up, sensors and radio, losses of a regulator before the board,
self-discharge of the battery, and a converter where the voltage of the battery is not that of the
supply.

## Boards with a power

The power belongs to the supply as much as to the chip, so it has the name of a supply
configuration, which `--supply` chooses. [Your own board](own-board.md) takes an `[energy]` table.

| board | supply | active mW | idle mW | mean error on other networks |
| --- | --- | ---: | ---: | ---: |
"""

LEFT_OUT = """
Without one: {without}.

`idle` was not measured alone. It follows from the mean power and the duty cycle of the streaming
wake-word benchmark on the same board, if the network there draws the median of the powers below:

| board | mean mW, duty cycle | idle mW | by the least and the most of the powers |
| --- | --- | ---: | --- |
{idle}
## What one power is worth

Published energies over published latencies of the four networks of MLPerf Tiny, in mW. In brackets:
how far the energy of that network is off if it is predicted with the mean power of the other three.
Sizes of all {count} errors: mean {mean:.1f} %, 90th percentile {high:.1f} %, worst {worst:.1f} %.
An earlier study of 25 configurations found 3.5, 8 and 29 %; no script here repeats it.

| board and supply | code | kws | vww | ic | ad | mean |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
"""

OURS = """
`ad` is dense layers alone, which read a weight for each product: it draws less than the
convolutions on one board and more on another. The same board and tool, measured by two
laboratories: 44.8 and 74.2 mW (X-CUBE-AI 7.3 on NUCLEO-L4R5ZI), a factor of 1.66. A linear
regulator takes the same current at any voltage, so 3 V in place of 1.8 V would be 1.67; what the
two had is not known here.

The error of the modelled time comes on top of these; what that is worth is said on the page of the
[board model](board-model.md).

## Ours, modelled, beside others, measured

uJ of an inference of the same models. They are energies of other code: from the difference to ours
follows neither an error of our model nor a gain on the board.

| board, supply | code | kws uJ | ic uJ | |
| --- | --- | ---: | ---: | --- |
"""

TAIL = """
## What has never been checked

- The power that our code draws, on any board. The published powers are those of other code, which
  reads flash less often and multiplies more in a cycle.
- Any mean power or battery life.
- Other clocks and voltages than those of the table: the power does not follow the clock alone.
"""
