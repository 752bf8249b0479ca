# SPDX-License-Identifier: Apache-2.0
"""A second of speech as a map of 32 frames and 24 mel bands, in decibels.

    frames     t = 0..31, of 32 ms each, one every 31 ms: n = 0.032 R samples s, from 0.031 R t on,
               where R is the sampling rate and s = pcm / 32768
    power      P(k) = | sum_i w(i) s(i) exp(-2 pi j k i / n) |^2 / (sum_i w(i))^2,  k = 0..n/2,
               w(i) = (1 - cos(2 pi i / n)) / 2                                  (Hann, periodic)
    bands      mel(f) = 2595 log10(1 + f / 700), as in HTK; 26 points equally spaced in mel from 0
               to R / 2; band b is the triangle that rises from point b to 1 at point b + 1 and
               falls to point b + 2
    map        10 log10(max(sum_k band(k) P(k), 10^-8))

So a band is between -80 dB, which is also what silence and padding are, and about 0.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinytailor.nas.data.signal import Signal

FRAME_MS, HOP_MS = 32, 31
FRAMES, MELS = 32, 24
FLOOR = 1e-8
FULL_SCALE = 32768.0
SIGNAL = Signal("audio", ("log-mel",), ("dB",), rate_hz=1000 / HOP_MS)


def one_second(recordings: Iterable[np.ndarray], rate: int) -> np.ndarray:
    """int16 (N, rate): each from its beginning, cut, or with zeros behind it."""
    rows = [np.pad(pcm[:rate], (0, max(rate - len(pcm), 0))) for pcm in recordings]
    return np.array(rows, np.int16).reshape(len(rows), rate)


def log_mel(pcm: np.ndarray, rate: int) -> np.ndarray:
    """float32 (N, 32, 24, 1) of int16 (N, rate): a second at ``rate`` samples per second."""
    size, hop = rate * FRAME_MS // 1000, rate * HOP_MS // 1000
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    bands = mel_bands(rate, size)
    maps = np.empty((len(pcm), FRAMES, MELS, 1), np.float32)
    for t in range(FRAMES):
        frame = pcm[:, t * hop : t * hop + size] / FULL_SCALE * window
        power = np.abs(np.fft.rfft(frame, axis=1)) ** 2 / window.sum() ** 2
        maps[:, t, :, 0] = 10 * np.log10(np.maximum(power @ bands, FLOOR))
    return maps


def mel_bands(rate: int, size: int) -> np.ndarray:
    """(size / 2 + 1, 24): the weight of each frequency in each band."""
    frequency = np.arange(size // 2 + 1)[:, None] * (rate / size)
    top = 2595 * np.log10(1 + rate / 2 / 700)
    points = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    low, middle, high = points[:-2], points[1:-1], points[2:]
    rising, falling = (frequency - low) / (middle - low), (high - frequency) / (high - middle)
    return np.maximum(0.0, np.minimum(rising, falling))
