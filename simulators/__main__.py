"""`counter-simulator`: the devices' side of the wire. Each command is imported only when it is called."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {  # name → module:attribute (a click command), one line of help
    "camera": ("simulators.camera:command", "A camera that is asked: Axis and Hikvision."),
    "demo": (
        "simulators.demo:command",
        "The whole show: a centre, the real daemon, truth against head office.",
    ),
    "fleet": ("simulators.fleet.command:command", "200 counters of ten families and 20 tills."),
    "http": ("simulators.http:command", "Counters that push over HTTP."),
    "mall": ("simulators.mall:command", "A seeded shopping centre that knows the truth."),
    "mqtt": ("simulators.mqtt:command", "Counters that publish over MQTT."),
    "portal": ("simulators.portal:command", "A vendor's portal that is asked over HTTP."),
    "replay": ("simulators.replay:command", "Play recorded data through the gateway."),
    "serial": ("simulators.serial:command", "Serial counters of any family on a pseudo-terminal."),
    "till": ("simulators.till:command", "Tills that report receipts."),
    "upstream": ("simulators.upstream:command", "A head office that receives aggregates."),
}


class _Lazy(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Simulated counters, tills, centres and head offices."""


if __name__ == "__main__":
    main()
