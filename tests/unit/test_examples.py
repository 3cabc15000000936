"""What ships as configuration is right, and says everything there is to say."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway import config
from gateway.config.links import LINK_OPTIONS
from gateway.config.tables import KEYED, SINGLE, LineKeys, SendTable
from gateway.config.wording import names_of
from gateway.driver import family_names, load_family
from gateway.upstreams import DRIVERS, load_upstream

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config"
EXAMPLES = sorted((SHIPPED / "examples").glob("*.toml"))
SECRETS = (
    "head-office.token",
    "mqtt.password",
    "viewer.token",
    "gateway.key",
    "portal.key",
    "camera.password",
    "sensor.password",
    "push.password",
    "push.token",
    "bureau.token",
    "shopify.key",
    "square.key",
)
CERTIFICATES = ("broker-ca.crt", "head-office-ca.crt", "gateway.crt", "portal-ca.crt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every file that a shipped configuration names."""
    for name in (*SECRETS, *CERTIFICATES):
        (tmp_path / name).write_text("word\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table of the configuration, with the heading that documents it."""
    yield from ((f"[{name}]", model) for name, model in SINGLE.items())
    yield from ((f"[{name}]", model) for name, model in KEYED.items())
    yield from ((f"[link] options over {over}", model) for over, model in LINK_OPTIONS.items())
    yield "[counter] lines", LineKeys
    yield "[upstream] send", SendTable
    yield from ((f"[upstream] options of {name}", load_upstream(name).options) for name in DRIVERS)
    for name in family_names():
        yield f"driver {name}", load_family(name).options
        yield f"driver {name}, each line", load_family(name).line_options


def uncommented() -> str:
    """gateway.toml with all its settings switched on."""
    return re.sub(r"^#(?=[\w\[])", "", (SHIPPED / "gateway.toml").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_no_fault_and_no_warning(example: Path, folder: Path) -> None:
    path = folder / example.name
    shutil.copy(example, path)
    assert config.load(path).warnings == ()


def test_every_driver_and_upstream_has_an_example() -> None:
    text = "\n".join(example.read_text() for example in EXAMPLES)
    for name in (*family_names(), *DRIVERS):
        assert f'driver = "{name}"' in text
    assert "idle" in {example.stem for example in EXAMPLES}


def test_the_shipped_file_is_right_as_it_is() -> None:
    assert config.load(SHIPPED / "gateway.toml").warnings == ()


def test_the_shipped_file_is_right_with_every_setting_switched_on(folder: Path) -> None:
    (folder / "conf.d").mkdir()
    path = folder / "gateway.toml"
    path.write_text(uncommented())
    loaded = config.load(path, config.years_around(2026))  # names of holidays are right too
    assert {type(link.options) for link in loaded.link.values()} == set(LINK_OPTIONS.values())
    [warning] = loaded.warnings
    assert "counter.turnstile: no zone uses it" in warning


def test_the_documented_opening_hours_are_right(folder: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    [block] = re.findall(r"```toml\n(\[hours\.centre\].*?)```", text, re.DOTALL)
    site = '[site]\nid = "s"\ntimezone = "Europe/Oslo"\nhours = "centre"\n'
    (folder / "gateway.toml").write_text(site + block)
    loaded = config.load(folder / "gateway.toml", config.years_around(2026))
    assert loaded.warnings == ()
    assert loaded.hours["centre"].of(date(2026, 4, 4)) == ((600, 960),)  # Easter eve


@pytest.mark.parametrize(("heading", "model"), list(models()), ids=[heading for heading, _ in models()])
def test_every_key_stands_in_the_shipped_file(heading: str, model: type[BaseModel]) -> None:
    text = uncommented()
    for key in names_of(model):
        assert re.search(rf"(^|[\s{{,.\[]){re.escape(key)}( =|\.|\])", text, re.MULTILINE), (
            f"{heading}: {key}"
        )


@pytest.mark.parametrize(("heading", "model"), list(models()), ids=[heading for heading, _ in models()])
def test_every_key_is_documented_with_its_meaning(heading: str, model: type[BaseModel]) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert f"## {heading}\n" in text
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    for name, field in model.model_fields.items():
        assert field.description, f"{heading}: {name} says nothing"
        assert f"| `{field.alias or name}` |" in section
        assert field.description.replace("|", "\\|") in section
