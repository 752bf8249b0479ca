# SPDX-License-Identifier: Apache-2.0
"""Worst-case stack of a function of an image, from its machine code.

    worst(f) = max over f of   bytes pushed so far + worst(g) at a call of g,   and bytes pushed

The code of a function is followed along all its branches, with the bytes between the stack pointer
and its value at the entry; where paths meet, the deepest counts. That holds for library functions
as for compiled ones and agrees with -fstack-usage of gcc. Nothing is assumed: recursion, a call
through a pointer, or a stack pointer that does not move by a constant is an error.

Frames of interrupts are not part of it; they come on top, on whichever stack they use.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import capstone

from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.image import LoadedImage, load_image, mapping_symbols

NOT_CONSTANT = "moves the stack pointer by what is not a constant"
LONG = (0b11101, 0b11110, 0b11111)  # first bits of instructions of four bytes
MAX_STEPS = 200_000  # of one function; more means that its stack grows in a loop

_CONDITION = r"(?:eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)"
_MNEMONIC = re.compile(rf"(.+?)({_CONDITION})?(?:\.[wn])?")
_IT = re.compile(r"it[te]{0,3}")
_WHOLE = {"lsls", "movs"}  # names that end like a condition and are asked for below
_NUMBER = re.compile(r"#(-?(?:0x)?[0-9a-f]+)$")
_LIST = re.compile(r"\{(.*)\}")
_STORES = {"push", "vpush"}
_LOADS = {"pop", "vpop"}
_MULTIPLE = re.compile(r"v?(?:stm|ldm)(?:ia|db)?")
_STORE_DOWN = {"stmdb", "vstmdb"}
_LOAD_UP = {"ldm", "ldmia", "vldmia"}


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction: its address and size, name without condition, operands.

    A condition may be read into the end of a name; that costs nothing, as the path goes on.
    """

    address: int
    size: int
    name: str
    conditional: bool
    operands: str

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(slots=True)
class _Frame:
    """What one function does to the stack: its depth, and (depth, callee) of each call."""

    bytes: int = 0
    calls: set[tuple[int, int]] = field(default_factory=set)


def worst_stack(elf: Path, function: str) -> int:
    """Bytes that ``function`` and all it calls can use below the stack pointer of its caller.

    InputError if there is no such function; ToolError where the code does not tell.
    """
    return StackUse(elf).of(function)


class StackUse:
    """Worst-case stacks of the functions of one image; each is looked at once."""

    def __init__(self, elf: Path) -> None:
        self._elf = elf
        self._image = load_image(elf)
        self._starts, self._names, self._ends = _functions(self._image)
        self._marks = mapping_symbols(elf)
        self._worst: dict[int, int] = {}
        self._conditional: set[int] = set()

    def of(self, function: str) -> int:
        """Worst case of ``function`` and all it calls."""
        return self._worst_at(self._address(function), ())

    def frame(self, function: str) -> int:
        """Bytes of ``function`` alone."""
        return self._frame(self._address(function)).bytes

    def _address(self, function: str) -> int:
        symbols = self._image.sizes.symbols
        if function not in symbols:
            raise InputError(f"{self._elf}: there is no function {function!r}.")
        return symbols[function][0]

    def _worst_at(self, address: int, callers: tuple[int, ...]) -> int:
        if address in callers:
            chain = " calls ".join(self._name(a) for a in (*callers, address))
            raise ToolError(f"{self._elf.name}: the stack has no bound, {chain}.")
        if address not in self._worst:
            frame = self._frame(address)
            deep = [d + self._worst_at(a, (*callers, address)) for d, a in frame.calls]
            self._worst[address] = max([frame.bytes, *deep])
        return self._worst[address]

    def _name(self, address: int) -> str:
        index = bisect_right(self._starts, address) - 1
        return self._names[index] if index >= 0 else f"{address:#x}"

    def _frame(self, entry: int) -> _Frame:
        """Follow the function at ``entry`` along all branches."""
        index = bisect_right(self._starts, entry) - 1
        if index < 0 or entry >= self._ends[index]:
            raise ToolError(f"{self._elf.name}: code at {entry:#x} belongs to no function.")
        bounds = range(self._starts[index], self._ends[index])
        inside = range(bounds.start + 1, bounds.stop)
        frame = _Frame()
        deepest: dict[int, int] = {}
        todo, anywhere, steps = [(entry, 0)], -1, 0
        while todo or anywhere >= 0:
            if not todo:  # what nothing else reaches are the cases of a computed jump
                todo = [(at, anywhere) for at in self._sweep(bounds) if at not in deepest]
                anywhere = -1
                continue
            at, depth = todo.pop()
            if deepest.get(at, -1) >= depth or at not in bounds or self._is_data(at):
                continue  # behind a call that does not return there may be constants or nothing
            deepest[at] = depth
            steps += 1
            if steps > MAX_STEPS:
                raise ToolError(
                    f"{self._elf.name}: the stack of {self._name(entry)} grows in a loop."
                )
            step = self._decode(at)
            depth_after = depth + self._growth(step)
            if step.name in ("mov", "add") and re.match(r"pc, (?!lr)", step.operands):
                anywhere = max(anywhere, depth)
            frame.bytes = max(frame.bytes, depth, depth_after)
            for target in self._targets(step, depth):
                if target in bounds:
                    todo.append((target, depth))
                else:
                    frame.calls.add((depth, target))
            call = _call_target(step)
            if call is not None and call in inside:  # clang's far jump on ARMv6-M
                todo.append((call, depth))
                continue
            if call is not None:
                frame.calls.add((depth, call))
            if step.conditional:
                todo.append((step.end, max(depth, depth_after)))
            elif not _ends_path(step):
                todo.append((step.end, depth_after))
        return frame

    def _sweep(self, bounds: range) -> Iterator[int]:
        """The addresses of instructions one after the other."""
        at = bounds.start
        while at < bounds.stop:
            if self._is_data(at):
                at += 2
                continue
            yield at
            at = self._decode(at).end

    def _is_data(self, address: int) -> bool:
        """Whether constants lie there, as the mapping symbols $t and $d of the image say."""
        index = bisect_right(self._marks, (address, "~")) - 1
        return index >= 0 and self._marks[index][1] == "$d"

    def _decode(self, address: int) -> _Step:
        code = self._read(address, 4)
        size = 4 if code[1] >> 3 in LONG else 2
        text = _disassembled(code[:size], address)
        if text is None:  # of an extension that has no form to move the stack pointer
            return _Step(address, size, "unknown", False, "")
        name, operands = text
        found = _MNEMONIC.fullmatch(name)
        base, condition = (found[1], found[2]) if found and name not in _WHOLE else (name, None)
        if _IT.fullmatch(name):
            self._if_then(address + size, len(name) - 1)
        conditional = condition is not None or address in self._conditional
        return _Step(address, size, base, conditional, operands)

    def _if_then(self, address: int, count: int) -> None:
        """The next ``count`` instructions are conditional, which they do not say themselves."""
        for _ in range(count):
            self._conditional.add(address)
            address = self._decode(address).end

    def _read(self, address: int, size: int) -> bytes:
        for segment in self._image.segments:
            start = address - segment.address
            if 0 <= start < len(segment.data):
                return segment.data[start : start + size]
        raise ToolError(f"{self._elf.name}: code at {address:#x} is not in the image.")

    def _growth(self, step: _Step) -> int:
        """Bytes by which the instruction moves the stack pointer down."""
        name, operands = step.name, step.operands
        if name in _STORES:
            return _bytes_of(operands)
        if name in _LOADS:
            return -_bytes_of(operands)
        if operands.startswith("sp!"):
            if name in _STORE_DOWN | _LOAD_UP:
                return _bytes_of(operands) * (1 if name in _STORE_DOWN else -1)
        elif (
            name in ("str", "strd", "strb", "strh")
            and operands.endswith("]!")
            and "[sp" in operands
        ):
            return -_immediate(operands[:-2])
        elif name in ("ldr", "ldrd", "ldrb", "ldrh") and "[sp]," in operands:
            return -_immediate(operands)
        if not re.match(r"sp\b", operands) or name in ("cmp", "cmn", "tst"):
            return 0
        if _MULTIPLE.fullmatch(name) and operands.startswith("sp,"):  # the frame, in place
            return 0
        if name in ("sub", "subw", "add", "addw") and _NUMBER.search(operands):
            return _immediate(operands) * (1 if name.startswith("sub") else -1)
        if name == "add":
            return -self._added(step)
        raise self._unclear(step, NOT_CONSTANT)

    def _added(self, step: _Step) -> int:
        """The number in the register of ``add sp, rN``, which ARMv6-M needs for large frames."""
        register = step.operands.split(",")[-1].strip()
        at = self._starts[bisect_right(self._starts, step.address) - 1]
        value: int | None = None
        while at < step.address:
            other = self._decode(at)
            if other.operands.startswith(f"{register},"):
                value = self._number(other, value)
            at = other.end
        if value is None:
            raise self._unclear(step, NOT_CONSTANT)
        return value

    def _number(self, step: _Step, before: int | None) -> int | None:
        """The number that the instruction leaves in its register, which held ``before``."""
        place = re.search(r"\[pc, #(0x[0-9a-f]+|\d+)\]$", step.operands)
        if step.name == "ldr" and place is not None:
            word = self._read((step.address + 4) // 4 * 4 + int(place[1], 0), 4)
            return int.from_bytes(word, "little", signed=True)
        if step.name == "movs" and _NUMBER.search(step.operands):
            return _immediate(step.operands)
        if step.name == "lsls" and before is not None and _NUMBER.search(step.operands):
            return before << _immediate(step.operands)
        if step.name == "rsbs" and before is not None:
            return -before
        return None

    def _targets(self, step: _Step, depth: int) -> Iterator[int]:
        """Where the instruction may go on, other than behind itself and into calls."""
        name = step.name
        if name in ("b", "cbz", "cbnz", "le", "letp", "wls", "wlstp"):
            yield _immediate(step.operands)
        elif name in ("tbb", "tbh"):
            yield from self._table(step)
        elif name == "blx" and not step.operands.startswith("#"):
            raise self._unclear(step, "calls through a pointer")
        elif self._is_pointer_jump(step):
            raise self._unclear(step, "jumps through a pointer")

    def _is_pointer_jump(self, step: _Step) -> bool:
        if step.name == "bx":
            return step.operands != "lr" and not self._was_popped(step)
        return (
            step.name == "ldr" and step.operands.startswith("pc,") and "[sp]" not in step.operands
        )

    def _was_popped(self, step: _Step) -> bool:
        before = self._decode(step.address - 2)
        return before.name == "pop" and step.operands in (_LIST.search(before.operands) or [""])[0]

    def _table(self, step: _Step) -> Iterator[int]:
        """Targets of a table of offsets behind the instruction; it ends where the first one is."""
        width = 1 if step.name == "tbb" else 2
        at, first = step.end, None
        while first is None or at < first:
            target = step.end + 2 * int.from_bytes(self._read(at, width), "little")
            first = target if first is None else min(first, target)
            at += width
            yield target

    def _unclear(self, step: _Step, what: str) -> ToolError:
        return ToolError(
            f"{self._elf.name}: the worst-case stack cannot be told, "
            f"{self._name(step.address)} {what} at {step.address:#x}."
        )


def _functions(image: LoadedImage) -> tuple[list[int], list[str], list[int]]:
    """Starts, names and ends of all symbols in order; one without a size reaches to the next."""
    at: dict[int, tuple[str, int]] = {}
    for name, (address, size) in image.sizes.symbols.items():
        if address not in at or size > at[address][1]:
            at[address] = (name, size)
    starts = sorted(at)
    nexts = [*starts[1:], starts[-1] + 4 if starts else 0]
    ends = [a + at[a][1] if at[a][1] else n for a, n in zip(starts, nexts, strict=True)]
    return starts, [at[a][0] for a in starts], ends


@cache
def _engines() -> tuple[capstone.Cs, ...]:
    modes = (capstone.CS_MODE_MCLASS, capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8)
    return tuple(capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | m) for m in modes)


def _disassembled(code: bytes, address: int) -> tuple[str, str] | None:
    for engine in _engines():
        for _, _, name, operands in engine.disasm_lite(code, address, 1):
            return name, operands
    return None


def _bytes_of(operands: str) -> int:
    """Bytes of a list of registers."""
    found = _LIST.search(operands)
    registers = [r.strip() for r in found[1].split(",")] if found else []
    return sum(8 if r.startswith("d") else 4 for r in registers)


def _immediate(operands: str) -> int:
    found = _NUMBER.search(operands)
    if found is None:
        raise ToolError(f"the operands {operands!r} hold no number.")
    return int(found[1], 0)


def _call_target(step: _Step) -> int | None:
    return _immediate(step.operands) if step.name in ("bl", "blx") else None


def _ends_path(step: _Step) -> bool:
    """Whether nothing behind the instruction runs, if it is not conditional."""
    name, operands = step.name, step.operands
    if name in ("b", "bx", "tbb", "tbh", "udf"):
        return True
    if name in ("pop", "ldm", "ldmia"):
        return "pc" in operands
    return operands.startswith("pc,") and name in ("mov", "add", "ldr")
