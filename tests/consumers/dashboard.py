"""Reads a dashboard into the types that Grafana publishes of its own dashboards, panels and Prometheus queries, and
writes it again. What Grafana knows no name for would be lost on the way, and is said.

    dashboard.py DASHBOARD
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, RowPanel
from grafana_foundation_sdk.models.prometheus import Dataquery


def differences(ours, theirs, place=""):
    """Says what of ours is not the same in theirs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name in theirs:
                yield from differences(value, theirs[name], f"{place}.{name}")
            else:
                yield f"{place}.{name} is unknown"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs)):
            yield from differences(*pair, f"{place}[{number}]")
    elif ours != theirs:
        yield f"{place} is {theirs!r}, and was {ours!r}"


def main(path):
    with open(path, encoding="utf-8") as file:
        ours = json.load(file)
    register_default_plugins()
    dashboard = Dashboard.from_json(ours)
    complaints = list(differences(ours, json.loads(JSONEncoder().encode(dashboard))))
    panels = [panel for panel in dashboard.panels if not isinstance(panel, RowPanel)]
    for panel in panels:
        for query in panel.targets:
            if not isinstance(query, Dataquery):
                complaints.append(f"{panel.title}: a query that is none of Prometheus")
        # A kind of panel that Grafana does not have keeps its options as they are.
        if isinstance(panel.options, dict):
            complaints.append(f"{panel.title}: {panel.type_val} is no kind of panel")
    print(len(panels), "panels")
    sys.exit("\n".join(complaints) or 0)


main(sys.argv[1])
