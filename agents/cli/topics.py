"""`callpulse topics`: create the topics, or list how they differ from their declaration."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec import to_builtins

from agents.cli.common import (
    FAILED,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    bullets,
    print_json,
    progress,
    read_settings,
    run,
    say,
)
from streams.contract.rights import PURPOSES, Role

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


@app.command()
def grow(
    partitions: Annotated[int, typer.Option(min=1, help="The number of partitions of the new topics.")],
    prefix: Annotated[str, typer.Option(help="The prefix of the new topics' names, other than kafka.topic_prefix.")],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="HOST:PORT", help="Another Kafka to copy to, with the same security settings."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the history into new topics with another number of partitions. Workers and sources go on meanwhile.

    Copies `calls`, `crm` and `speech` in the order in which the broker took the records in, each to the partition of
    its key, and keeps timestamps and headers. A second run copies what came since, and what an interrupted run did not:
    nothing is lost or copied twice. kafka.partitions must be the number by which the workers run, whatever number a
    topic has by now.

    For example:

        callpulse topics grow --partitions 8 --prefix grown-

    With --to the new topics are in another Kafka, where the prefix and the number of partitions may be the same:

        callpulse topics grow --partitions 4 --prefix "" --to kafka-new:9092
    """
    from msgspec.structs import replace  # noqa: PLC0415 - kept beside its user

    from agents.kafka import growing  # noqa: PLC0415 - slow to import

    kafka = read_settings(config, bootstrap).kafka
    target = read_settings(config, to).kafka if to else kafka
    if target.bootstrap == kafka.bootstrap and prefix == kafka.topic_prefix:
        raise UserError("--prefix must be another one than kafka.topic_prefix: the old topics stay as they are.", USAGE)
    new = replace(target, partitions=partitions, topic_prefix=prefix)
    with progress("copying records", run(growing.source_records(kafka)), quiet=as_json) as advance:
        grown = run(growing.grow(kafka, new, advance))
    if as_json:
        print_json({"partitions": partitions, "prefix": prefix, "topics": [topic._asdict() for topic in grown]})
        return
    for topic in grown:
        typer.echo(
            f"{topic.topic}: {topic.copied:,} records copied, {topic.copied_before:,} were there, "
            f"{topic.left_out:,} copies of misrouted records left out."
        )
    typer.echo(how_to_go_on(partitions, prefix, to))


@app.command()
def rights(
    role: Annotated[
        Role, typer.Argument(help="; ".join(f"{role}: {commands}" for role, commands in PURPOSES.items()) + ".")
    ],
    principal: Annotated[
        str,
        typer.Option(metavar="TYPE:NAME", help="The user as Kafka's authorizer names it, for example User:worker."),
    ],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    command_config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The file by which kafka-acls.sh connects, passed on to it.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the commands that give a user the access rights (ACL) of a role in Kafka. Kafka itself is not asked.

    Names of topics and groups are those of the settings.

    For example:

        callpulse topics rights worker --principal User:worker

        callpulse topics rights gateway --principal User:gateway --command-config admin.properties | sh
    """
    from agents.kafka.acl_commands import add_commands, is_principal  # noqa: PLC0415 - only this command needs it
    from streams.contract.rights import rights as rights_of  # noqa: PLC0415 - the command has this name

    if not is_principal(principal):
        raise UserError(f"--principal {principal} has no type or no name: give both, for example User:worker.", USAGE)
    kafka = read_settings(config, bootstrap).kafka
    found = rights_of(role, kafka.group, kafka.topic_prefix)
    commands = add_commands(found, bootstrap=kafka.bootstrap, principal=principal, command_config=command_config)
    if as_json:
        print_json({"role": role, "principal": principal, "rights": to_builtins(found), "commands": commands})
        return
    for command in commands:
        typer.echo(command)


def how_to_go_on(partitions: int, prefix: str, to: str | None = None) -> str:
    """Return the next steps with the new topics, which are in the Kafka at `to` if that is another one."""
    elsewhere = f'kafka.bootstrap = "{to}", ' if to else ""
    return f"""\
To go on with the new topics:
  1. In a copy of the settings file, set {elsewhere}kafka.partitions = {partitions} and kafka.topic_prefix = "{prefix}".
  2. Run `callpulse rebuild` with that file, and start the new workers as it says.
  3. Stop the sources, and run this command again with the old settings: it copies what came meanwhile.
  4. Let the sources write to the new topics. Then stop the old workers."""


def _report(differences: object, *, as_json: bool) -> None:
    if not differences:
        return
    if not as_json:
        lines = [str(difference) for difference in differences]  # type: ignore[attr-defined]  # a sequence of Difference
        say(f"Not as declared:\n{bullets(lines)}")
    raise typer.Exit(FAILED)
