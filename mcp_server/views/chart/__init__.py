"""progress.png and .svg: what is drawn, and a short-lived process that draws it.

Importing this costs nothing; `canvas`, `frame`, `marks`, `callouts` and `draw` import the plotting library, which takes
about a second, so a server hands a `ChartRequest` to `start_drawing` and goes on.
"""

from mcp_server.views.chart.points import ChartCampaign, ChartPoint, ChartRequest, start_drawing

__all__ = ["ChartCampaign", "ChartPoint", "ChartRequest", "start_drawing"]
