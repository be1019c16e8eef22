"""Reports: result rows in, one self-contained HTML page, tables and figures out.

<out>/report.html    the page, which needs none of the others
<out>/tables/        every table as CSV and JSON, the main ones as Markdown and LaTeX too
<out>/figures/       every figure as SVG, PDF and PNG

`read` makes settings and comparisons of rows, `say` sentences and tables, `draw` figures and the
page.
"""

from __future__ import annotations

from evfer.report.draw.examples import FrameLookup
from evfer.report.writing import ReportPaths, render

__all__ = ["FrameLookup", "ReportPaths", "render"]
