# SPDX-License-Identifier: Apache-2.0
"""Cycles and area of the engine by closed formulas. Modelled: no synthesis stands behind them.

Every pipelined loop is counted as one iteration a cycle; ``iterations`` gives the trip counts, and
C simulation counts the same. For a map of P = H*W pixels and I, O words of 16 channels per pixel:

    read  P*I     1x1  P*I*O     dilation  P*O     write  P*O     weights  one 64-bit word a cycle
    deformable    3 taps a cycle over O words, behind a lead of L = min(8, H) rows that arrive at
                  b words a cycle:   max(L*W*O/b + 3*P*O, P*O/b + 3*L*W*O)

Stages of a step overlap, so a step costs its weights, then its slowest stage or the memory traffic,
whichever is more, then the pipeline depths. The deformable and 1x1 formulas reproduced a
SystemVerilog twin of these units within 2 cycles in 39 Verilator runs; the HLS has not been
synthesized. Area: formulas fitted to yosys synth_xilinx runs of the same units (+-6 %), with the
multipliers recounted for 24 x 32 bit requantization (2 DSP blocks a lane) and the line buffer as
``line_rows`` banks with one read port each.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from tinytailor.compiler.fpga.program import STEP_WORDS, Step
from tinytailor.targets.fpga import LANES, Fpga

POINTWISE_DEPTH = 10  # 5 + log2(16) + 1 stages
DEFORM_DEPTH = 7
FORWARD_DEPTH = 2
CHANNEL_WORDS = LANES  # one 64-bit word per channel of a block


@dataclass(frozen=True, slots=True)
class Iterations:
    """Trip counts of a step's loops; ``load`` without the descriptor."""

    load: int
    read: int
    pointwise: int
    offset: int
    deform: int
    write: int


@dataclass(frozen=True, slots=True)
class StepCost:
    """Cycles of one step; ``total`` is what it adds to the network."""

    load: int
    pointwise: int
    deform: int
    memory: int
    total: int

    @property
    def bound(self) -> str:
        """The stage that sets the pace."""
        stages = {"1x1": self.pointwise, "deformable": self.deform, "memory": self.memory}
        return max(stages, key=lambda name: stages[name])


def iterations(step: Step) -> Iterations:
    ib, ob, pixels = step.in_blocks, step.out_blocks, step.pixels
    load = deform = pointwise = 0
    if step.pointwise is not None:
        pointwise = pixels * ib * ob
        load += LANES * ib * ob + CHANNEL_WORDS * ob
    if step.deform is not None:
        deform = _lead_words(step) + 3 * pixels * ob
        load += ob + 1 + 9 * ob + CHANNEL_WORDS * ob
    return Iterations(load, pixels * ib, pointwise, pixels * ob, deform, pixels * ob)


def step_cost(step: Step, fpga: Fpga) -> StepCost:
    """Modelled cycles of one step."""
    count = iterations(step)
    rate = fpga.ddr_bytes_per_cycle
    load = STEP_WORDS + ceil(count.load * 8 / min(8.0, rate))
    traffic = LANES * (count.read + count.write)
    port_rate = fpga.port_bytes_per_cycle
    port = LANES * max(count.read, count.write) / port_rate
    memory = ceil(max(traffic / rate, port))
    pointwise = (
        count.pointwise + POINTWISE_DEPTH
        if step.pointwise is not None
        else count.read + FORWARD_DEPTH
    )
    if step.deform is not None:
        lead, total = _lead_words(step), step.pixels * step.out_blocks
        arrival = max(total, count.pointwise, LANES * count.read / min(float(port_rate), rate))
        words_per_cycle = total / arrival
        deform = DEFORM_DEPTH + ceil(
            max(lead / words_per_cycle + 3 * total, total / words_per_cycle + 3 * lead)
        )
    else:
        deform = count.write + FORWARD_DEPTH
    total_cycles = load + max(pointwise, deform, memory)
    return StepCost(load, pointwise, deform, memory, total_cycles)


def _lead_words(step: Step) -> int:
    """Words that must arrive before the deformable layer computes its first pixel."""
    _, height, width, _ = step.source.shape
    return min(8, height) * width * step.out_blocks


def resources(fpga: Fpga) -> dict[str, int]:
    """Modelled area of the engine: dsp, lut, bram36."""
    pi, po, engine = fpga.engine.input_lanes, fpga.engine.output_lanes, fpga.engine
    taps, requant_dsp = 3, 2
    dsp_pointwise = ceil(pi * po / 2) + requant_dsp * po
    dsp_deform = LANES * (taps + requant_dsp)
    dsp_offset = LANES + requant_dsp
    lut_pointwise = 13.5 * po * (pi - 1) + 213 * po + 2.5 * pi * po
    lut_deform = 3500 + 600 * taps
    weight_bram = ceil(ceil(4 * pi * po / 36) * ceil(engine.max_weight_tiles / 512) / 2)
    line_bram = engine.line_rows * ceil(8 * LANES / 72) * ceil(engine.max_row_words / 512)
    dilation_bram = ceil(3 * engine.line_rows * engine.max_row_words / 36_864)
    return {
        "dsp": dsp_pointwise + dsp_deform + dsp_offset,
        "lut": ceil(lut_pointwise + lut_deform),
        "bram36": weight_bram + line_bram + dilation_bram,
    }
