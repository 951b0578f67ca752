"""`harmonize studio`."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from harmonize.cli.options import MaxPixels
from harmonize.cli.progress import warn


def studio(
    painting: Annotated[Path | None, typer.Argument(help="The painting to begin with.")] = None,
    element: Annotated[
        Path | None, typer.Argument(help="What to paste: a photograph or a cut-out.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")
    ] = 0,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen on another address of this machine.")
    ] = "127.0.0.1",
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Say the address, open no browser.")
    ] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Open a page to cut out, place, see and paint.

    It is served on this machine alone. Ctrl-C ends it and removes what was loaded and painted
    there: download what you want to keep.
    """
    from harmonize.studio.server import is_home, serve

    if not is_home(host):
        warn(
            [
                f"{host} can be reached from other machines: whoever sees the address below, or "
                "listens to the network, can use this page and see its pictures; leave --host for "
                "this machine alone"
            ]
        )

    def on_ready(address: str, _: object) -> None:
        typer.echo("The studio is open; Ctrl-C ends it. If no page opens, open this address:")
        typer.echo(address)
        if not no_browser:
            webbrowser.open(address)

    serve(painting, element, host=host, port=port, on_ready=on_ready)
