# SPDX-License-Identifier: Apache-2.0
"""Cycles and area of the engine by closed formulas. Modelled: no synthesis stands behind them.

Every pipelined loop is counted as one iteration a cycle; ``iterations`` gives the trip counts, and
C simulation counts the same. A map of P pixels with I words of 16 channels each before the step and
O after it is read in P*I cycles and written in P*O; weights come as one 64-bit word a cycle; what a
unit takes stands with the unit.

Stages of a step overlap, so a step costs its weights, then its slowest stage or the memory traffic,
whichever is more, then the pipeline depths. The formulas of the units reproduced a
SystemVerilog twin of them within 2 cycles in 39 Verilator runs; the HLS has not been
synthesized. Area: formulas fitted to yosys synth_xilinx runs of the same units (+-6 %), with the
multipliers recounted for 24 x 32 bit requantization (2 DSP blocks a lane) and the line buffer as
``line_rows`` banks with one read port each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from tinytailor.compiler.fpga.program import STEP_WORDS
from tinytailor.compiler.fpga.step import Step
from tinytailor.compiler.fpga.units import UNITS
from tinytailor.targets.fpga import LANES, Fpga

RESOURCES = ("dsp", "lut", "bram36")


@dataclass(frozen=True, slots=True)
class StepCost:
    """Cycles of one step, ``stages`` by unit; ``total`` is what it adds to the network."""

    load: int
    stages: Mapping[str, int]
    memory: int
    total: int

    @property
    def bound(self) -> str:
        """The stage that sets the pace."""
        stages = {**self.stages, "memory": self.memory}
        return max(stages, key=lambda name: stages[name])


def iterations(step: Step) -> dict[str, int]:
    """Trip counts of a step's loops by name; ``load`` without the descriptor."""
    counts = {
        "load": sum(unit.loaded(step) for unit in UNITS if unit.name in step.by_unit),
        "read": step.pixels * step.in_blocks,
    }
    for unit in UNITS:
        counts |= unit.iterations(step)
    return {**counts, "write": step.pixels * step.out_blocks}


def step_cost(step: Step, fpga: Fpga) -> StepCost:
    """Modelled cycles of one step."""
    count = iterations(step)
    rate, port_rate = fpga.ddr_bytes_per_cycle, fpga.port_bytes_per_cycle
    load = STEP_WORDS + ceil(count["load"] * 8 / min(8.0, rate))
    traffic = LANES * (count["read"] + count["write"])
    port = LANES * max(count["read"], count["write"]) / port_rate
    memory = ceil(max(traffic / rate, port))
    arrival = LANES * count["read"] / min(float(port_rate), rate)
    stages = {}
    for unit in UNITS:
        stages[unit.stage] = unit.cycles(step, arrival)
        arrival = max(arrival, *unit.iterations(step).values())
    return StepCost(load, stages, memory, load + max(*stages.values(), memory))


def resources(fpga: Fpga) -> dict[str, int]:
    """Modelled area of the engine: dsp, lut, bram36."""
    areas = [unit.area(fpga) for unit in UNITS]
    return {name: ceil(sum(area[name] for area in areas)) for name in RESOURCES}
