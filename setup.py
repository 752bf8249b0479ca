# SPDX-License-Identifier: Apache-2.0
"""The packages: this folder as ``tinytailor``, and every folder of the roots under that name."""

from setuptools import find_packages, setup

ROOTS = ("targets", "compiler", "latency_tables", "nas", "cli", "api")
NAMES = [name for root in ROOTS for name in (root, *(f"{root}.{p}" for p in find_packages(root)))]

# Installers run this file under another name, and would package it as a module of this folder.
setup(script_name="setup.py", packages=["tinytailor", *(f"tinytailor.{name}" for name in NAMES)])
