"""`callpulse listen`: take events in from a telephone system, live or by its files. A module a source."""

from __future__ import annotations

import typer

from agents.cli.listen import ami, esl, files, json_cdr, records

app = typer.Typer(no_args_is_help=True, help="Listen to a telephone system, or follow the files that it writes.")
app.command("ami")(ami.ami)
app.command("esl")(esl.esl)
app.command("cel")(records.cel)
app.command("queue-log")(records.queue_log)
app.command("cdr")(records.cdr)
app.command("json-cdr")(json_cdr.json_cdr)
app.command("files")(files.files)
