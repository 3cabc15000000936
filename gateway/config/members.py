"""Counters and tills as configured: core keys, the family's options and the lines, told apart by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from gateway.config.files import Key, Merged
from gateway.config.tables import ID, OVER, CounterTable, LineKeys, Table, TillTable
from gateway.config.wording import hint, names_of, sentences, shown
from gateway.driver import Device, Family, Kind, LineOptions, Site, family_names, load_family
from gateway.errors import BrokenDriver, ConfigurationError, UnknownDriver
from gateway.model import MAIN_LINE, Basis, Resets

POLLS_MISSED = 3  # answers further apart than this were not watched (semantics 10)


@dataclass(frozen=True, slots=True)
class Line:
    """One line with everything decided."""

    basis: Basis = Basis.DELTA
    max_per_s: float = 5.0
    reversed: bool = False
    counts: str = "up"
    resets: Resets = Resets.POWER
    expect_s: float | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter; a till is one whose only line is "main"."""

    id: str
    link: str
    driver: str
    name: str
    family: Family
    device: Device
    lines: Mapping[str, Line]
    serial: str | None = None
    till: bool = False
    memory: str | None = None  # pull link to the device's own memory, when `link` is another

    @property
    def polled(self) -> bool:
        return self.family.kind is Kind.EXCHANGE


@dataclass(slots=True)
class Surroundings:
    """What a counter's table refers to."""

    merged: Merged
    links: Mapping[str, Mapping[str, Any]]  # raw, by id
    polls_s: Mapping[str, float]  # of serial links
    site: Site


def read_counter(around: Surroundings, id_: str, raw: Any, *, till: bool) -> Counter | None:
    """The counter, or None when it cannot be used; every problem is noted either way."""
    at: Key = ("till" if till else "counter", id_)
    merged, problems = around.merged, len(around.merged.problems)
    if not ID.fullmatch(id_):
        merged.note(at, "no id: lower case letters, digits and -, at most 63")
    if not isinstance(raw, dict):
        merged.note(at, f"must be a table, not {shown(raw)}")
        return None
    model: type[Table] = TillTable if till else CounterTable
    family = _family(around, at, raw)
    core_names = names_of(model)
    core = _validated(merged, at, model, {key: raw[key] for key in core_names if key in raw})
    if family is None:
        return None
    rest = {key: value for key, value in raw.items() if key not in core_names}
    device = _device(around, at, family, raw, rest, core_names)
    if core is None or device is None:
        return None
    if till:
        device = _with_currency(device, core)
    _ask_family(around, at, family, device)
    _ask_memory(around, at, family, device, raw)
    lines = _lines(around, at, family, device, raw)
    if len(merged.problems) > problems:
        return None
    serial = getattr(core, "serial", None)
    link, name = raw["link"], raw.get("name", "")
    memory = getattr(core, "memory", None)
    return Counter(id_, link, raw["driver"], name, family, device, lines, serial, till, memory)


def _validated(merged: Merged, at: Key, model: type[Any], raw: Mapping[str, Any], also: Any = ()) -> Any:
    """A checked table, or None after noting what is wrong with it."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        for key, sentence in sentences(model, error, also):
            merged.note((*at, *key), sentence)
        return None


def _family(around: Surroundings, at: Key, raw: Mapping[str, Any]) -> Family | None:
    """The named family; for a slip of the pen the one that was meant, so that its options are checked too."""
    name, link = raw.get("driver"), raw.get("link")
    if isinstance(link, str) and link not in around.links:
        around.merged.note((*at, "link"), f'there is no link "{link}"{hint(link, around.links)}')
    if not isinstance(name, str):
        return None
    try:
        family = load_family(name)
    except UnknownDriver:
        known = family_names()
        near = hint(name, known)
        around.merged.note((*at, "driver"), f'unknown driver "{name}"{near}; known: {", ".join(known)}')
        meant = near.removeprefix(" (did you mean ").removesuffix("?)")
        return load_family(meant) if meant else None
    except BrokenDriver as error:
        around.merged.note((*at, "driver"), str(error))
        return None
    over = around.links.get(link, {}).get("over") if isinstance(link, str) else None
    if over in OVER and over not in family.over:
        ways = ", ".join(sorted(family.over))
        around.merged.note((*at, "driver"), f"{name} is not carried over {over} (link {link}); over: {ways}")
    return family


def _device(
    around: Surroundings,
    at: Key,
    family: Family,
    raw: Mapping[str, Any],
    rest: dict[str, Any],
    core_names: list[str],
) -> Device | None:
    """Options and lines by the family's own models; keys of the only line may stand at the counter."""
    merged, option_names = around.merged, names_of(family.options)
    line_names = [name for name in names_of(family.line_options) if name not in option_names]
    of_line = {key: value for key, value in rest.items() if key in line_names}
    of_device = {key: value for key, value in rest.items() if key not in line_names}
    if "serial" in option_names and isinstance(raw.get("serial"), str):
        of_device["serial"] = raw["serial"]
    sound = _mapping_is_there(merged, at, of_device) or "mapping" not in option_names
    options = _validated(merged, at, family.options, of_device, [*core_names, *line_names])
    lines = _line_options(merged, at, family, raw.get("lines"), of_line)
    if options is None or lines is None or not sound:
        return None
    shared = {"mapping": merged.tree.get("mapping", {})}
    link = raw.get("link")
    over = around.links.get(link, {}).get("over", "") if isinstance(link, str) else ""
    return Device(options, lines, around.site, shared, str(over))


def _mapping_is_there(merged: Merged, at: Key, keys: Mapping[str, Any]) -> bool:
    named, tables = keys.get("mapping"), merged.tree.get("mapping")
    known = list(tables) if isinstance(tables, dict) else []
    if not isinstance(named, str) or named in known:
        return True
    merged.note((*at, "mapping"), f"there is no [mapping.{named}]{hint(named, known)}")
    return False


def _line_options(
    merged: Merged, at: Key, family: Family, several: Any, single: Mapping[str, Any]
) -> dict[str, LineOptions] | None:
    """Line name → options. Empty when the device has one line that needs no telling apart."""
    if not isinstance(several, dict) or not several:
        if not single and not _needs_line_keys(family):
            return {}
        options = _validated(merged, at, family.line_options, single)
        return None if options is None else {MAIN_LINE: options}
    for key in single:
        merged.note((*at, key), "belongs to one line: put it into lines, where others stand")
    lines: dict[str, LineOptions] = {}
    for name, keys in several.items():
        here = (*at, "lines", name)
        if not ID.fullmatch(name):
            merged.note(here, "no line name: lower case letters, digits and -, at most 63")
        if isinstance(keys, dict):
            own = {key: value for key, value in keys.items() if key not in names_of(LineKeys)}
            options = _validated(merged, here, family.line_options, own, names_of(LineKeys))
            if options is not None:
                lines[name] = options
    return lines if len(lines) == len(several) else None


def _needs_line_keys(family: Family) -> bool:
    """Would a line without any key be wrong? (A DCON module needs to know its channels.)"""
    try:
        family.line_options.model_validate({})
    except ValidationError:
        return True
    return False


def _with_currency(device: Device, core: Any) -> Device:
    return replace(device, site=Site(device.site.timezone, core.currency or device.site.currency))


def _ask_family(around: Surroundings, at: Key, family: Family, device: Device) -> None:
    """What only the driver can judge, noted where it stands: in a shared [mapping] or at the counter."""
    named = getattr(device.options, "mapping", None)
    place: Key = ("mapping", named) if isinstance(named, str) else at
    for problem in family.problems(device):
        key, colon, sentence = problem.partition(": ")
        if colon and " " not in key:
            around.merged.note((*place, *key.split(".")), sentence)
        else:
            around.merged.note(place, problem)
    if around.merged.problems:
        return
    try:
        family.open(device)
    except (ConfigurationError, ValueError) as error:
        around.merged.note(at, str(error))


def _ask_memory(
    around: Surroundings, at: Key, family: Family, device: Device, raw: Mapping[str, Any]
) -> None:
    """Is there a way to the device's memory, and can its driver ask there?"""
    link, own = raw.get("memory"), raw.get("link")
    if link is None or around.merged.problems:
        return
    known = [name for name, one in around.links.items() if one.get("over") == "pull"]
    if link not in known:
        around.merged.note((*at, "memory"), f'there is no pull link "{link}"{hint(str(link), known)}')
    elif own in known and own != link:
        around.merged.note((*at, "memory"), f"{own} is a pull link and asks itself")
    elif not hasattr(family.open(device), "recall"):
        around.merged.note((*at, "memory"), f"{family.name} has no memory that can be asked")


def _lines(
    around: Surroundings, at: Key, family: Family, device: Device, raw: Mapping[str, Any]
) -> dict[str, Line]:
    names = names_of(LineKeys)
    common = {key: raw[key] for key in names if key in raw}
    several = raw.get("lines") if isinstance(raw.get("lines"), dict) else None
    return {
        name: _line(around, family, device, {**common, **own}, (*at, "lines", name), raw.get("link"))
        for name, own in (
            {line: {key: keys[key] for key in names if key in keys} for line, keys in several.items()}
            if several
            else {MAIN_LINE: {}}
        ).items()
    }


def _line(
    around: Surroundings, family: Family, device: Device, keys: dict[str, Any], at: Key, link: Any
) -> Line:
    checked = _validated(around.merged, at, LineKeys, keys)
    if checked is None or around.merged.problems:
        return Line()
    polled = family.kind is Kind.EXCHANGE
    expect_s = checked.expect_s
    if expect_s is None and polled and link in around.polls_s:
        expect_s = POLLS_MISSED * around.polls_s[link]
    return Line(
        basis=checked.basis or family.basis_for(device),
        max_per_s=checked.max_per_s,
        reversed=checked.reversed,
        counts=checked.counts,
        resets=checked.resets or family.resets_for(device),
        expect_s=expect_s,
    )
