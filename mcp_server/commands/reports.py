"""For people: the live page, the report, and the campaign as commits to review."""

from __future__ import annotations

import importlib
import json
import webbrowser

import click

from mcp_server.cli import Place
from mcp_server.commands import asking


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of the first free one from 8766; 0 takes any.")
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
@asking.json_option
@click.pass_obj
def dashboard(place: Place, port: int | None, opened: bool, as_json: bool) -> None:
    """Serve the live page on this machine alone and print its link, until Ctrl-C. It shows and changes nothing.

    \b
    Examples:
      autoresearch dashboard                              then open the link it prints
      autoresearch dashboard --port 9000 --open
      ssh -L 8766:127.0.0.1:8766 gpu-box                  to look from another machine
    """

    def announce(link: str) -> None:
        click.echo(json.dumps({"url": link}) if as_json else f"{link}\nCtrl-C ends it; runs go on.")
        if opened:
            webbrowser.open(link)

    # by name: the web server takes a second to import, which the other commands of this module need not pay
    serving = importlib.import_module("mcp_server.dashboard.serving")
    serving.serve_dashboard(place.folder, place.campaign, port, announce)
