"""The commands. Each body is imported only when called, so that --help and --version stay fast."""

from __future__ import annotations

from importlib import import_module

import click

from gateway import __version__

COMMANDS = {
    "alarms": ("gateway.commands.alarms", "What looked wrong with lines; believe those that counted right."),
    "audit": ("gateway.commands.audit", "The books: exit 1 if they do not balance."),
    "breaks": (
        "gateway.commands.breaks",
        "Where lines began to count at another level; dismiss those that are explained.",
    ),
    "calibrate": (
        "gateway.commands.calibrate",
        "Put a door's calibration factor in force, list them, end one.",
    ),
    "campaign": ("gateway.commands.campaign", "Campaigns: enter them, and ask whether they show."),
    "check": ("gateway.commands.check", "Validate a configuration without opening anything."),
    "correct": (
        "gateway.commands.correct",
        "Enter what really crossed a line; every correction can be undone.",
    ),
    "compare": ("gateway.commands.compare", "Like-for-like growth of a zone's doors against a year before."),
    "decode": ("gateway.commands.decode", "Show what a driver makes of bytes or messages."),
    "discover": ("gateway.commands.discover", "Unknown devices on known links, and how to configure them."),
    "drivers": ("gateway.commands.drivers", "List drivers, or one with its options."),
    "export": ("gateway.commands.export", "Aggregates or stored readings as CSV or JSON lines."),
    "forget": ("gateway.commands.forget", "Take a removed upstream out of the books."),
    "release": ("gateway.commands.release", "Make rejected events pending again."),
    "replace-counter": (
        "gateway.commands.replace_counter",
        "Begin a counter anew: another device hangs in its place.",
    ),
    "run": ("gateway.commands.run", "The daemon."),
    "schema": ("gateway.commands.schema", "JSON Schema of the configuration."),
    "status": (
        "gateway.commands.status",
        "Links, counters, buffer and upstreams of the running daemon.",
    ),
    "tail": ("gateway.commands.tail", "Live readings and aggregates of the running daemon."),
    "tally": ("gateway.commands.tally", "Persons counted by hand, and what they say of the counter."),
    "try": ("gateway.commands.try_", "Connect to the real devices read-only and print each first reading."),
}


class LazyGroup(click.Group):
    """Knows its commands by name and one line of help; imports a body when it runs."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            if close and close[0] not in str(error):
                raise click.UsageError(f"{error.message} Did you mean {close[0]}?", ctx) from None
            raise

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="counter-gateway")
def main() -> None:
    """Reads people counters and tills, makes every count durable, forwards aggregates."""


if __name__ == "__main__":
    main()
