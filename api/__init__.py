# SPDX-License-Identifier: Apache-2.0
"""The Python interface: what ``import tinytailor as tt`` offers, and the commands are made of.

compiling    compile, profile: a model file, a torch module or a project
projects     load, and the Project that compile and load return
searching    search
records      what they return, besides projects
arrays       numbers of a caller as rows of a device, and back
scratch      folders that go with what uses them

The functions of the commands (``cli``) do the work, so both say the same. The names themselves
are in the root package, which loads these files when they are first used.
"""
