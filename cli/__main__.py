# SPDX-License-Identifier: Apache-2.0
"""python -m tinytailor.cli"""

from tinytailor.cli.main import run

if __name__ == "__main__":
    run()
