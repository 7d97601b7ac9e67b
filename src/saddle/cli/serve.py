"""``saddle serve``"""

from __future__ import annotations

from typing import Annotated

import typer

from saddle.cli.options import DeviceOption, MemberOption, RunArgument
from saddle.cli.tables import print_line


def serve(
    run: RunArgument,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Listen for other machines too, such as on 0.0.0.0; requests then need a token.  [default: this "
            "machine alone]",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8000,
    most: Annotated[int, typer.Option(help="Samples in one answer.")] = 4096,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long a request may take.")] = 30.0,
    device: DeviceOption = "auto",
    member: MemberOption = None,
) -> None:
    """Answer requests for samples over HTTP.

    The token is the content of $SADDLE_TOKEN, or is made and shown at the start. It belongs into the header
    `Authorization: Bearer TOKEN`. The page /docs of the service says what can be asked for.
    """
    from saddle.runs.folder import find_member
    from saddle.studio.listening import serve as listen

    listen(find_member(run, member), host=host, port=port, most=most, seconds=timeout, device=device, say=print_line)
