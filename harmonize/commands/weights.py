"""`harmonize weights`: look at and fetch network weights."""

import typer

app = typer.Typer(help="Look at and fetch network weights.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Name the sets of weights and say whether they are here."""
    from harmonize.weights import NAMES, cached_torchvision

    path = cached_torchvision()
    for name, about in NAMES.items():
        missing = name == "torchvision" and not path.exists()
        state = "not here; fetch it with `harmonize weights download`" if missing else "ready"
        typer.echo(f"{name:12} {state} ({about})")


@app.command("download")
def download() -> None:
    """Fetch torchvision's weights into its cache, for use without a network."""
    from harmonize import weights

    typer.echo(weights.download(progress=True))
