# SPDX-License-Identifier: Apache-2.0
"""The C functions that rendered kernels call; a project gets those it uses, once each.

Each has a plain C form, its meaning, and where it pays a form for the DSP extension, chosen by the
compiler's own macro, so that one file builds on a host and on every core.
"""

from __future__ import annotations

_REQUANTIZE = """\
/* zero_point + ((acc * multiplier + 2^31) >> 32): the high word of the product, rounded half up. */
TT_INLINE int32_t tt_requantize(int32_t acc, int32_t multiplier, int32_t zero_point)
{
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
    int32_t high;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(high) : "r"(acc), "r"(multiplier), "r"(zero_point));
    return high;
#else
    const int64_t start = zero_point * ((int64_t)1 << 32) + ((int64_t)1 << 31);
    return (int32_t)((start + (int64_t)acc * multiplier) >> 32);
#endif
}
"""

# Word accesses go through __builtin_memcpy, which stays one instruction under -ffreestanding, too.
_WIDEN = """\
/* int8 to int16, in order. */
TT_INLINE void tt_widen(int16_t *to, const int8_t *from, int32_t count)
{
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
    for (int32_t words = count >> 2; words > 0; --words) {
        uint32_t word, even, odd, low, high;
        __builtin_memcpy(&word, from, 4);
        __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(word));
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word));
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(low) : "r"(even), "r"(odd));
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(high) : "r"(odd), "r"(even));
        __builtin_memcpy(to, &low, 4);
        __builtin_memcpy(to + 2, &high, 4);
        from += 4;
        to += 4;
    }
    count &= 3;
#endif
    for (; count > 0; --count) {
        *to++ = *from++;
    }
}
"""

_FILL8 = """\
TT_INLINE void tt_fill8(int8_t *to, int8_t value, int32_t count)
{
#ifdef __ARM_FEATURE_UNALIGNED
    /* A compiler makes a call of a short memset unless it knows the byte. */
    if (count > 4 && count <= 32 && count % 4 == 0) {
        const uint32_t word = 0x01010101u * (uint8_t)value;
        for (int32_t i = 0; i < count; i += 4) {
            memcpy(&to[i], &word, 4);
        }
        return;
    }
#endif
    memset(to, value, (size_t)count);
}
"""

_FILL16 = """\
TT_INLINE void tt_fill16(int16_t *to, int16_t value, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        to[i] = value;
    }
}
"""

_MIN = """\
TT_INLINE int32_t tt_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}
"""

_MAX = """\
TT_INLINE int32_t tt_max(int32_t a, int32_t b)
{
    return a > b ? a : b;
}
"""


_SATURATE8 = """\
TT_INLINE int32_t tt_saturate8(int32_t value)
{
#if defined(__ARM_FEATURE_SAT) && __ARM_FEATURE_SAT
    __asm__("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    return value;
#else
    return value < -128 ? -128 : value > 127 ? 127 : value;
#endif
}
"""

_LEADING_ZEROS = """\
/* Of 32 bits, one of which is set. */
TT_INLINE int32_t tt_leading_zeros(uint32_t value)
{
#if defined(__GNUC__)
    return (int32_t)__builtin_clz(value);
#else
    int32_t count = 0;
    for (; value < 0x80000000u; value <<= 1) {
        ++count;
    }
    return count;
#endif
}
"""

_ZEROS = """\
/* Of 32 bits those before the first that is set. */
TT_INLINE int32_t tt_zeros(uint32_t value)
{
#if defined(__ARM_FEATURE_CLZ)
    int32_t count;
    __asm__("clz %0, %1" : "=r"(count) : "r"(value));
    return count;
#else
    int32_t count = 0;
    for (; count < 32 && value < 0x80000000u; value <<= 1) {
        ++count;
    }
    return count;
#endif
}
"""

_SMEARED = """\
/* Of up to 16 bits, all below the highest that is set. */
TT_INLINE uint32_t tt_smeared(uint32_t value)
{
    value |= value >> 1;
    value |= value >> 2;
    value |= value >> 4;
    return value | value >> 8;
}
"""

_SQUARE_ROOT = """\
/* Rounded down, bit by bit. */
TT_INLINE uint32_t tt_square_root(uint32_t value)
{
    uint32_t root = 0;
    for (uint32_t bit = 0x8000u; bit != 0; bit >>= 1) {
        const uint32_t more = root | bit;
        if (more * more <= value) {
            root = more;
        }
    }
    return root;
}
"""

_FMIN = """\
TT_INLINE float tt_fmin(float a, float b)
{
    return a < b ? a : b;
}
"""

_FMAX = """\
TT_INLINE float tt_fmax(float a, float b)
{
    return a > b ? a : b;
}
"""

_BITS_OF = """\
TT_INLINE int32_t tt_bits_of(float value)
{
    int32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    return bits;
}
"""

_FLOAT_OF = """\
TT_INLINE float tt_float_of(int32_t bits)
{
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}
"""

HELPERS: dict[str, str] = {
    "requantize": _REQUANTIZE,
    "widen": _WIDEN,
    "fill8": _FILL8,
    "fill16": _FILL16,
    "min": _MIN,
    "max": _MAX,
    "saturate8": _SATURATE8,
    "leading_zeros": _LEADING_ZEROS,
    "zeros": _ZEROS,
    "smeared": _SMEARED,
    "square_root": _SQUARE_ROOT,
    "fmin": _FMIN,
    "fmax": _FMAX,
    "bits_of": _BITS_OF,
    "float_of": _FLOAT_OF,
}
