# SPDX-License-Identifier: Apache-2.0
"""Which tests run when: what is exhaustive is left to `make nightly`."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def nightly_but(kept: Container[Any], values: Iterable[Any]) -> list[Any]:
    """``values`` as parameters of a test, those not in ``kept`` for the nightly run alone."""
    return [v if v in kept else pytest.param(v, marks=pytest.mark.nightly) for v in values]
