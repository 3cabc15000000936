"""`python -m tests.fuzz.inside FAMILY SECONDS`: one family until libFuzzer ends this process."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.target import Target, seeds

LONGEST_INPUT = 4096
RSS_LIMIT_MB = 1024


def main(name: str, seconds: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for seed, data in seeds(name).items():
        (corpus / seed).write_bytes(data)
    arguments = [f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-rss_limit_mb={RSS_LIMIT_MB}"]
    arguments += ["-timeout=5", f"-artifact_prefix={folder}/", "-print_final_stats=1", "-verbosity=0"]
    with atheris.instrument_imports(include=["drivers"]):  # only what is imported in here guides the search
        target = Target(name)
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
