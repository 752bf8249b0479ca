# SPDX-License-Identifier: Apache-2.0
"""The packages: every folder of the five roots, under the name ``tinytailor``."""

from setuptools import find_packages, setup

ROOTS = ("targets", "compiler", "latency_tables", "nas", "cli")

setup(
    packages=[
        f"tinytailor.{name}"
        for root in ROOTS
        for name in (root, *(f"{root}.{part}" for part in find_packages(root)))
    ]
)
