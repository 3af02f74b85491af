"""The manifests of deploy/kubernetes: from the files and, where kubectl is installed, from kustomize."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy/kubernetes"
EXAMPLE: Final = FOLDER / "overlays/example"
_SCHEMAS: Final = json.loads((ROOT / "tests/fixtures/schemas/kubernetes.json").read_text("utf-8"))

Document = dict[str, Any]


def read(text: str) -> list[Document]:
    """Return the documents of a YAML stream."""
    return list(yaml.load_all(text, yaml.CSafeLoader))


def listed(folder: Path) -> list[Document]:
    """Return the documents of the resources that a kustomization lists, without other kustomizations."""
    (kustomization,) = read((folder / "kustomization.yaml").read_text("utf-8"))
    paths = [folder / name for name in kustomization["resources"] if name.endswith(".yaml")]
    return [document for path in paths for document in read(path.read_text("utf-8"))]


@cache
def files() -> tuple[Document, ...]:
    """Return the documents of the files, with the labels that kustomize adds to pods."""
    folders = [FOLDER / "base", *sorted(FOLDER.glob("components/*")), EXAMPLE]
    documents = [document for folder in folders for document in listed(folder)]
    for document in documents:
        if "template" in document.get("spec", {}):
            document["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = "callpulse"
    return tuple(documents)


@cache
def rendered() -> tuple[Document, ...]:
    """Return the documents that kustomize makes of the example; skip the test where kubectl is not installed."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here; the same test reads the files as they are")
    done = subprocess.run(["kubectl", "kustomize", EXAMPLE], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return tuple(read(done.stdout))


@cache
def _validator(kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**_SCHEMAS["kinds"][kind], "$defs": _SCHEMAS["$defs"]})


def problems(document: Document) -> list[str]:
    """Return the errors of a document by the schema of its kind."""
    kind = f"{document['apiVersion']}/{document['kind']}"
    return [f"{kind} {list(error.instance_path)}: {error.message}" for error in _validator(kind).iter_errors(document)]


def one(documents: tuple[Document, ...], kind: str, name: str) -> Document:
    """Return the document of a kind and a name."""
    (found,) = (each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def pods(documents: tuple[Document, ...]) -> dict[str, Document]:
    """Return the pod templates by component: `worker`, `gateway`, `topics`."""
    templates = [document["spec"]["template"] for document in documents if "template" in document.get("spec", {})]
    return {template["metadata"]["labels"]["app.kubernetes.io/component"]: template for template in templates}


def allows(documents: tuple[Document, ...], who: Document, peer: Document, port: str | int, way: str) -> bool:
    """Return whether the policies let `who` and `peer` talk: `way` is `ingress` or `egress`, as `who` sees it.

    Both are `{"namespace": name, "labels": {…}}`, and a namespace's own labels stand under `namespaceLabels`. Without a
    policy for `who` and this way everything is allowed, as Kubernetes has it.
    """
    policies = [document["spec"] for document in documents if document["kind"] == "NetworkPolicy"]
    mine = [
        policy
        for policy in policies
        if way.capitalize() in policy["policyTypes"] and _selects(policy["podSelector"], who["labels"])
    ]
    rules = [rule for policy in mine for rule in policy.get(way, ())]
    side = "from" if way == "ingress" else "to"
    return not mine or any(
        any(_is(selector, peer) for selector in rule[side]) and any(one["port"] == port for one in rule["ports"])
        for rule in rules
    )


def _is(selector: Document, peer: Document) -> bool:
    if "namespaceSelector" in selector:
        labels = {"kubernetes.io/metadata.name": peer["namespace"], **peer.get("namespaceLabels", {})}
        if not _selects(selector["namespaceSelector"], labels):
            return False
    elif peer["namespace"] != "callpulse":
        return False
    return _selects(selector.get("podSelector", {}), peer["labels"])


def _selects(selector: Document, labels: dict[str, str]) -> bool:
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
