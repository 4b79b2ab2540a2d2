"""Reads manifests, checks those of Kubernetes itself against its published schemas, and prints all as a JSON list."""

import json
import sys

import kubernetes_validate
import yaml

VERSION = "1.37"


def manifests(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from yaml.safe_load_all(file)


found = list(manifests(sys.argv[1:]))
for manifest in found:
    if manifest["apiVersion"].startswith("cert-manager.io/"):
        continue
    # Raises for what it has no schema for, too.
    kubernetes_validate.validate(manifest, VERSION, strict=True)
json.dump(found, sys.stdout)
