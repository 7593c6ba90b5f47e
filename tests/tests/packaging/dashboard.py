"""Reads a dashboard by the models that Grafana publishes, and prints what they do not know."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

# What a model leaves out when it writes again.
EMPTY = ("", None, {}, [], False, 0)


def differences(path, given, read):
    if isinstance(given, dict) and isinstance(read, dict):
        for key, value in given.items():
            if key in read:
                yield from differences(f"{path}.{key}", value, read[key])
            elif value not in EMPTY:
                yield f"{path}.{key}: unknown"
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for number, (one, other) in enumerate(zip(given, read)):
            yield from differences(f"{path}[{number}]", one, other)
    elif given != read:
        yield f"{path}: {given!r} is read as {read!r}"


register_default_plugins()
with open(sys.argv[1]) as file:
    dashboard = json.load(file)
read = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
found = list(differences("dashboard", dashboard, read))
print("\n".join(found))
sys.exit(1 if found else 0)
