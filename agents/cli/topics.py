"""`callpulse topics`: create the topics, or list how they differ from their declaration."""

from __future__ import annotations

import typer

from agents.cli.common import (
    FAILED,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    bullets,
    print_json,
    read_settings,
    run,
    say,
)

app = typer.Typer(no_args_is_help=True, help="Make the topics in Kafka, or check them against their declaration.")


@app.command()
def create(config: ConfigOption = None, bootstrap: BootstrapOption = None, *, as_json: JsonOption = False) -> None:
    """Make the topics that are missing, with the declared partitions, cleanup policy and retention.

    Topics that exist are left as they are; where one differs from its declaration, the command says so and ends with 1.

    For example:

        callpulse topics create

        callpulse topics create --bootstrap kafka-1:9092 --config callpulse.toml
    """
    from agents.kafka import admin  # noqa: PLC0415 - slow to import

    made = run(admin.create(read_settings(config, bootstrap).kafka))
    if as_json:
        print_json(
            {
                "created": made.created,
                "existing": made.existing,
                "differences": [difference._asdict() for difference in made.differences],
            }
        )
    else:
        typer.echo(f"{len(made.created)} topics made, {len(made.existing)} were there.")
        for name in made.created:
            typer.echo(f"  {name}")
    _report(made.differences, as_json=as_json)


@app.command()
def check(config: ConfigOption = None, bootstrap: BootstrapOption = None, *, as_json: JsonOption = False) -> None:
    """Compare the topics in Kafka with their declaration: partitions, cleanup policy, retention and the rest.

    Ends with 1 if a topic is missing or differs, and says what to do about it.

    For example:

        callpulse topics check --json
    """
    from agents.kafka import admin  # noqa: PLC0415 - slow to import
    from streams.contract import topics  # noqa: PLC0415 - kept beside its user

    kafka = read_settings(config, bootstrap).kafka
    differences = run(admin.check(kafka))
    count = len(topics.declared(kafka.group, kafka.topic_prefix))
    if as_json:
        print_json({"topics": count, "differences": [difference._asdict() for difference in differences]})
    elif not differences:
        typer.echo(f"{count} topics are as declared.")
    _report(differences, as_json=as_json)


def _report(differences: object, *, as_json: bool) -> None:
    if not differences:
        return
    if not as_json:
        lines = [str(difference) for difference in differences]  # type: ignore[attr-defined]  # a sequence of Difference
        say(f"Not as declared:\n{bullets(lines)}")
    raise typer.Exit(FAILED)
