"""Builds the wheel; with COMPILE_CALLPULSE=1 in the environment, what every event passes through becomes native code.

mypyc compiles the very modules that run without it, by their types, so there is one source and one behaviour: the
tests of `streams` run against both. It needs a C compiler. Without the variable the wheel is pure Python.
COMPILE_CALLPULSE_LEVEL=0 compiles it in less time, into slower code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILED = (
    "streams/calendars.py",
    "streams/contract/decoding.py",
    "streams/windows.py",
    "streams/speech/words.py",
    "streams/speech/forms.py",
    "streams/speech/terms.py",
    "streams/speech/contexts.py",
    "streams/speech/patterns.py",
    "streams/speech/matching.py",
    "streams/speech/candidates.py",
    "streams/speech/lexicon.py",
    "streams/speech/question_cues.py",
    "streams/speech/question_sentences.py",
    "streams/speech/english_questions.py",
    "streams/speech/russian_questions.py",
    "streams/speech/questions.py",
    "streams/speech/stretches.py",
    "streams/speech/reading.py",
    "streams/tables/manager/counts.py",
    "streams/tables/manager/synthetic.py",
    "streams/tables/manager/legs.py",
    "streams/tables/manager/fold.py",
    "streams/tables/manager/codec.py",
    "streams/tables/manager/contacts.py",
    "streams/tables/manager/effect.py",
    "streams/tables/manager/results.py",
    "streams/tables/manager/row.py",
    "streams/tables/lead/retention.py",
    "streams/tables/lead/contributions.py",
    "streams/tables/lead/codec.py",
    "streams/tables/lead/effect.py",
    "streams/tables/lead/fold.py",
    "streams/tables/lead/affected.py",
    "streams/tables/lead/policy.py",
    "streams/tables/lead/row.py",
    "streams/tables/lead/fast_append.py",
    "streams/tables/lead/records.py",
    "streams/tables/lead/merge.py",
    "streams/tables/lead/state.py",
    "streams/tables/lead/summary.py",
    "streams/tables/lead/mapping.py",
    "streams/tables/lead/deltas.py",
    "streams/tables/lead/changes.py",
    "streams/tables/lead/deals.py",
    "streams/tables/outcome/fold.py",
    "streams/tables/outcome/totals.py",
    "streams/tables/transcript/fold.py",
    "streams/tables/measures.py",
    "streams/tables/value.py",
    "streams/tables/changelog.py",
    "streams/contract/origin.py",
    "streams/contract/topics.py",
    "agents/calls.py",
    "agents/crm.py",
    "agents/outcomes.py",
    "agents/speech.py",
    "agents/leads.py",
    "agents/delivery/intake.py",
    "agents/delivery/outbox.py",
    "agents/kafka/batch_sender.py",
    "agents/state/in_memory.py",
    "agents/state/rows.py",
)
"""The folds, what they stand on, and the loops that feed them.

Not what msgspec decodes: it reads annotations, which are not those of the source once they are compiled.
"""

_SETUP = """\
from mypyc.build import mypycify
from setuptools import setup

setup(name="callpulse-native", packages=[], ext_modules=mypycify({modules!r}, opt_level={level!r}, debug_level="0"))
"""


class CompileHook(BuildHookInterface[Any]):
    """Hatchling's hook: adds the compiled modules to the wheel, beside their sources."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what compiling needs beyond hatchling: the compiler, and the types that the modules are made of."""
        return ["mypy>=1.14", "setuptools>=75", *self.metadata.core.dependencies] if _wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the wheel is to be pure or stands for the source folder itself."""
        if not _wanted() or version == "editable":
            return
        root = Path(self.root)
        folder = root / "build" / "mypyc"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(root / "streams", folder / "streams", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(root / "agents", folder / "agents", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(root / "pyproject.toml", folder)  # mypy's settings
        (folder / "setup.py").write_text(_SETUP.format(modules=list(COMPILED), level=_level()), encoding="utf-8")
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, check=True)
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        made = [path for path in folder.rglob(f"*{suffix}") if "build" not in path.relative_to(folder).parts]
        build_data["force_include"] |= {str(path): str(path.relative_to(folder)) for path in made}
        build_data["infer_tag"] = True
        build_data["pure_python"] = False


def _level() -> str:
    """Return the level at which the C compiler optimises."""
    return os.environ.get("COMPILE_CALLPULSE_LEVEL", "3")


def _wanted() -> bool:
    return os.environ.get("COMPILE_CALLPULSE", "") not in ("", "0")
