# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page: to be read offline, printed, or sent to somebody.

    report (report.json, or the manifest of a project)
      -> data    frozen records of plain numbers, one function a part: tested exactly
      -> draw    HTML and SVG of a record, by a template of the same name
      -> page    the parts that the report has something for, the answer first

Nothing in it comes from a network: no script, no font, no picture, and a policy in its head that
forbids the browser to fetch any. Bars, maps and the arena are boxes whose sizes are per cent, so
that they are as sharp and as readable on a telephone as on a wide screen; only curves are SVG.

A new part is a file here, a template, and a line in ``PARTS`` of ``page``.
"""

from __future__ import annotations

from tinytailor.cli.report_page.page import page

__all__ = ["page"]
