# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a sample are: the signal, its channels, and the integers behind them.

    sample    an integer of 16 bits, as the converter of a sensor gives it
    value     what a data set holds, in the unit of its channel: value = lsb * sample

So the size of a step, ``lsb``, is in the unit of the channel too, and data that are samples already
have steps of 1. Where no step is known, a power of two serves that leaves twice the largest value
of training within 16 bits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such

# The ranks of an array of samples of a kind: (N, T, C) or (N, H, W, C). Audio may be a map (frames,
# bands, 1).
RANKS: dict[str, tuple[int, ...]] = {
    "inertial": (3,),
    "audio": (3, 4),
    "ecg": (3,),
    "series": (3,),
    "image": (4,),
    "photo": (4,),
}
AXES = {3: "series, time, channel", 4: "image, row, column, channel"}
LEAST, MOST = -(2**15), 2**15 - 1  # of a sample
AXIS_NAME = re.compile(r"(.+?)[ _.-]?([xyz])", re.IGNORECASE)

Triad = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Signal:
    """``kind`` chooses how a network is trained; a photo is an image that may be mirrored. Names
    and units of the channels, or none; ``lsb``: see above, one a channel; ``rate_hz``: steps of the
    time axis in a second.

    ``triads`` are channels that are x, y and z of one sensor, which may be rotated together.
    ``dynamic`` are channels that move together, such as those of one sensor, group by group: what
    changes in a group may be more or less, as people are more or less vigorous.
    """

    kind: str = "series"
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    lsb: tuple[float, ...] | None = None
    rate_hz: float | None = None
    triads: tuple[Triad, ...] = ()
    dynamic: tuple[tuple[int, ...], ...] = ()

    def channel(self, index: int) -> str:
        """As a message calls it."""
        return repr(self.channels[index]) if self.channels else str(index)


UNKNOWN = Signal()


def inertial(
    channels: Sequence[str],
    units: Sequence[str] = (),
    lsb: tuple[float, ...] | None = None,
    rate_hz: float | None = None,
) -> Signal:
    """Triads by their names, NAME_x, NAME_y and NAME_z; each moves as one."""
    triads = named_triads(channels)
    return Signal("inertial", tuple(channels), tuple(units), lsb, rate_hz, triads, triads)


def named_triads(channels: Sequence[str]) -> tuple[Triad, ...]:
    """Channels that are called alike but for an x, y or z at the end."""
    found: dict[str, dict[str, int]] = {}
    for index, name in enumerate(channels):
        if match := AXIS_NAME.fullmatch(name):
            found.setdefault(match[1].lower(), {})[match[2].lower()] = index
    whole = [axes for axes in found.values() if len(axes) == 3]
    return tuple((axes["x"], axes["y"], axes["z"]) for axes in whole)


def check_signal(place: str, signal: Signal, shape: tuple[int, ...]) -> None:
    """InputError unless ``signal`` can be that of samples (N, ..., C) of this shape."""
    if signal.kind not in RANKS:
        raise no_such(f"{place}: kind is {signal.kind!r}", signal.kind, [*RANKS], label="it can be")
    if len(shape) not in RANKS[signal.kind]:
        wanted = " or ".join(f"({AXES[rank]})" for rank in RANKS[signal.kind])
        raise InputError(
            f"{place}: kind is {signal.kind!r} and the samples are of rank {len(shape)} (shape "
            f"{shape}), expected {wanted}; change the one or the other"
        )
    count = shape[-1]
    for what, named in (
        ("channels", signal.channels),
        ("units", signal.units),
        ("lsb", () if signal.lsb is None else signal.lsb),
    ):
        if named and len(named) != count:
            raise InputError(
                f"{place}: {what} has {len(named)} entries, expected {count}: one a channel"
            )
    if signal.lsb is not None and not all(np.isfinite(s) and s > 0 for s in signal.lsb):
        wrong = next(i for i, s in enumerate(signal.lsb) if not (np.isfinite(s) and s > 0))
        raise InputError(
            f"{place}: lsb of channel {signal.channel(wrong)} is {signal.lsb[wrong]}, expected a "
            "number above 0: what one integer step of the sensor is worth"
        )
    if signal.rate_hz is not None and not (np.isfinite(signal.rate_hz) and signal.rate_hz > 0):
        raise InputError(
            f"{place}: rate is {signal.rate_hz}, expected a number above 0: samples in a second"
        )
    for group in (*signal.triads, *signal.dynamic):
        if len(set(group)) < len(group) or not set(group) <= set(range(count)):
            raise InputError(
                f"{place}: the channels {group} belong together, expected different ones of "
                f"0 to {count - 1}"
            )


def default_lsb(*x_train: np.ndarray) -> np.ndarray:
    """(C,) float64: of each channel the least power of two with which twice the largest absolute
    value of all ``x_train`` is a sample; 1 where all are 0."""
    ends = [end for x in x_train for end in _ends(x)]
    most = np.abs(ends).max(axis=0)
    mantissa, exponent = np.frexp(2 * most / MOST)
    # 2^exponent is the next power of two above the quotient, unless that is one itself.
    exponent = np.where(mantissa == 0.5, exponent - 1, exponent)
    return np.where(most > 0, np.ldexp(1.0, exponent), 1.0)


def check_samples_fit(
    place: str, array: str, x: np.ndarray, lsb: Sequence[float], signal: Signal
) -> None:
    """InputError naming the first value of ``x`` (N, ..., C) that is no sample of 16 bits."""
    steps = np.asarray(lsb, np.float64)
    ends = _ends(x)
    if not _beyond(ends / steps).any():
        return
    first = tuple(int(i) for i in np.argwhere(_beyond(x / steps))[0])
    channel, value = first[-1], x[first]
    sample = float(np.rint(float(value) / steps[channel]))
    factor = 2 ** int(np.ceil(np.log2(np.abs(ends / steps).max() / MOST)))
    raise InputError(
        f"{place}: array {array} holds {value} at [{AXES[x.ndim]}] = {list(first)}, in channel "
        f"{signal.channel(channel)}, which with steps (lsb) of {steps[channel]:g} is the sample "
        f"{sample:.0f} and beyond 16 bits ({LEAST} to {MOST}); a step {factor} times as large "
        "holds all, or clip the data"
    )


def _ends(x: np.ndarray) -> np.ndarray:
    """(2, C) float64: the least and the largest value of each channel."""
    axes = tuple(range(x.ndim - 1))
    return np.stack([x.min(axis=axes), x.max(axis=axes)]).astype(np.float64)


def _beyond(quotients: np.ndarray) -> np.ndarray:
    samples = np.rint(quotients)
    result: np.ndarray = (samples < LEAST) | (samples > MOST)
    return result
