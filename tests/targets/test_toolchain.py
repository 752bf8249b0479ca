# SPDX-License-Identifier: Apache-2.0
"""Both cross compilers build images that run; sizes are those of the ELF file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from target_programs import toolchain_or_skip

from tinytailor.targets import (
    Board,
    Buffer,
    Call,
    build_image,
    cross_flags,
    cross_toolchain,
    host_toolchain,
    image_sizes,
    run,
)
from tinytailor.targets.emulator import counter
from tinytailor.targets.errors import InputError, ToolError

pytestmark = [pytest.mark.emulator]

COMPILERS = ("gcc", "zig")
PROGRAM = """
#include <stdint.h>
#include <string.h>
static const int32_t odd[5] = {1, 3, 5, 7, 9};
static int32_t initialised[4] = {10, 20, 30, 40};
static int32_t zeroed[25];
static volatile float ratio = 1.5f;
int32_t unused_function(int32_t x);
int32_t unused_function(int32_t x) { return x * 12345 + 678; }
void run(const int32_t *x, int32_t *y);
void run(const int32_t *x, int32_t *y)
{
    memcpy(zeroed, odd, sizeof odd);
    int64_t wide = (int64_t)x[0] * x[1] / 3;
    y[0] = zeroed[x[2]] + initialised[x[2]];
    y[1] = (int32_t)wide;
    y[2] = (int32_t)((float)x[0] * ratio);
    y[3] = x[1] % 7;
    initialised[0] += zeroed[24]++;
    memset(y + 4, x[2], 16);
    memmove(y + 5, y + 4, 12);
    y[8] = initialised[0];
}
"""
INPUT = struct.pack("<3i", 100_000, 50_000, 2)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_an_image_of_either_compiler_runs_on_every_core(
    core: str, compiler: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of(core)
    elf = build(PROGRAM, board, "run", compiler=compiler)
    call = Call("run", (Buffer(12, INPUT), Buffer(36, read_back=True)))
    results = run(elf, board, [call, call, call], count=False)
    values = [struct.unpack("<9i", result.outputs[0]) for result in results]
    word = 0x02020202
    assert values[0] == (35, 1666666666, 150_000, 50_000 % 7, word, word, word, word, 10)
    assert [v[8] for v in values] == [10, 11, 13]  # .data and .bss last from call to call
    if compiler == "gcc":
        assert core != "cortex-m4" or "__aeabi_fmul" not in image_sizes(elf).symbols
    hard_float = "__aeabi_fmul" not in image_sizes(elf).symbols
    assert hard_float == board.core.has_fpu


@pytest.mark.parametrize("compiler", COMPILERS)
def test_sizes_count_what_is_loaded_and_what_is_static(
    compiler: str, board_of: Callable[[str], Board], build: Callable[..., Path]
) -> None:
    board = board_of("cortex-m4")
    sizes = image_sizes(build(PROGRAM, board, "run", compiler=compiler))
    assert sizes.ram_static_bytes == 4 * 4 + 25 * 4 + 4  # initialised, zeroed, ratio
    places = set(sizes.symbols.values())  # one place may have several names
    code = sum(size for address, size in places if board.flash.contains(address))
    assert code + 16 + 4 <= sizes.flash_bytes < code + 200  # and the initial values
    assert sizes.symbols["run"][0] % 2 == 0
    assert "unused_function" not in sizes.symbols


def test_the_same_source_gives_the_same_image(
    tmp_path: Path, board_of: Callable[[str], Board]
) -> None:
    board, compiler = board_of("cortex-m4"), toolchain_or_skip("gcc")
    source = tmp_path / "a.c"
    source.write_text(PROGRAM)
    images = [tmp_path / "1.elf", tmp_path / "2.elf"]
    for image in images:
        build_image([source], image, board, compiler, keep=["run"])
    assert images[0].read_bytes() == images[1].read_bytes()


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_compile_error_is_shown_and_leaves_nothing(
    tmp_path: Path, compiler: str, board_of: Callable[[str], Board]
) -> None:
    source = tmp_path / "bad.c"
    source.write_text("int f(void) { return missing_name; }\n")
    tools = toolchain_or_skip(compiler)
    with pytest.raises(ToolError, match=r"(?s)bad\.elf for nucleo-f207zg failed.*missing_name"):
        build_image([source], tmp_path / "bad.elf", board_of("cortex-m3"), tools)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.c"]


def test_an_image_that_does_not_fit_is_a_tool_error(
    tmp_path: Path, board_of: Callable[[str], Board]
) -> None:
    source = tmp_path / "big.c"
    source.write_text("char big[300000]; int main(void) { return big[0]; }\n")
    with pytest.raises(ToolError, match=r"RAM.* overflowed|will not fit in region .RAM"):
        build_image([source], tmp_path / "big.elf", board_of("cortex-m3"), toolchain_or_skip("gcc"))


def test_flags_never_take_the_builtins_away(board_of: Callable[[str], Board]) -> None:
    flags = cross_flags(board_of("cortex-m4"), toolchain_or_skip("gcc"))
    assert {"-mcpu=cortex-m4", "-mfloat-abi=hard", "-O2"} <= set(flags)
    assert not {"-ffreestanding", "-fno-builtin"} & set(flags)


def test_the_environment_chooses_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYTAILOR_CC", "zig")
    zig = cross_toolchain()
    assert zig.name == "zig"
    assert zig.version.startswith("zig 0.")
    monkeypatch.setenv("TINYTAILOR_CC", "tcc")
    with pytest.raises(InputError, match=r"'tcc'.*known: gcc, zig"):
        cross_toolchain()


def test_zig_stands_in_where_path_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TINYTAILOR_CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cross_toolchain().name == "zig"
    assert host_toolchain().name == "zig"
    with pytest.raises(ToolError, match="arm-none-eabi-gcc is not on PATH"):
        cross_toolchain("gcc")


def test_the_counter_is_built_with_zig_where_there_is_no_host_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TINYTAILOR_CACHE", str(tmp_path / "cache"))
    library = counter.counter_library()
    assert library.is_file()
    assert [path.name for path in library.parent.iterdir()] == [library.name]


def test_a_file_that_is_no_image_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "x.elf"
    with pytest.raises(InputError, match="cannot be read"):
        image_sizes(path)
    path.write_text("no elf")
    with pytest.raises(InputError, match="not an ELF image"):
        image_sizes(path)
