"""Grafana's dashboards as Grafana will read them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import promql

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "monitoring" / "grafana" / "dashboards"
# What Grafana sets by itself.
BUILT_IN = {"__rate_interval": "5m", "__range": "1h"}


@dataclass
class Query:
    """One query of a panel, a variable or an annotation. `where` names it for people."""
    where: str
    expression: str
    panel: dict = None


class Dashboard:
    def __init__(self, path):
        self.path = path
        self.json = json.loads(path.read_text(encoding="utf-8"))
        self.variables = self.json["templating"]["list"]
        self.panels = [inner for panel in self.json["panels"]
                       for inner in (panel, *panel.get("panels", []))]

    def panel_queries(self):
        return [Query(f"{self.path.stem}: {panel['title']} ({target['refId']})", target["expr"], panel)
                for panel in self.panels if panel["type"] != "row"
                for target in panel["targets"]]

    def variable_queries(self):
        """The series that label_values(series, label) of each variable looks at."""
        found = []
        for variable in self.variables:
            if variable["type"] == "query":
                series = re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"])
                found.append(Query(f"{self.path.stem}: variable {variable['name']}", series.group(1)))
        return found

    def annotation_queries(self):
        return [Query(f"{self.path.stem}: annotation {annotation['name']}", annotation["expr"])
                for annotation in self.json["annotations"]["list"]]

    def all_values(self, **built_in):
        """Each variable as Grafana fills it in when All is chosen."""
        values = {**BUILT_IN, **built_in}
        for variable in self.variables:
            values[variable["name"]] = variable.get("allValue", "")
        return values

    def filled(self, query, **built_in):
        return promql.filled(query.expression, self.all_values(**built_in))


def every_dashboard():
    return [Dashboard(path) for path in sorted(FOLDER.glob("*.json"))]
