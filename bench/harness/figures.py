"""Repeated measurements, and what is said about them."""

import statistics
from dataclasses import dataclass


@dataclass
class Figure:
    """Some measurements of one thing. Shown as their median and, in parentheses, all there is
    between the smallest and the largest."""

    values: list
    unit: str = ""

    @property
    def median(self):
        return statistics.median(self.values)

    def __str__(self):
        text = with_unit(self.median, self.unit)
        if len(self.values) == 1 or min(self.values) == max(self.values):
            return text
        low, high = number(min(self.values), self.unit), number(max(self.values), self.unit)
        return f"{text} ({low} to {high})"


def ratio(figures, base):
    """Round by round: each measurement beside the one of the same round."""
    return Figure([a / b for a, b in zip(figures.values, base.values)], "×")


def number(value, unit):
    if unit == "/s":
        return f"{value:,.0f}"
    if unit in ("MiB", "ms", "µs", "s"):
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    if unit == "×":
        return f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return f"{value:,}"


def with_unit(value, unit):
    return f"{number(value, unit)}{'' if unit in ('/s', '×') else ' '}{unit}".strip()


@dataclass
class Goal:
    """A line that has to be reached: `figure` is at least, or at most, `limit`."""

    text: str
    figure: Figure
    limit: float
    at_least: bool = True

    @property
    def met(self):
        return self.figure.median >= self.limit if self.at_least else self.figure.median <= self.limit

    def __str__(self):
        sign = "≥" if self.at_least else "≤"
        unit = self.figure.unit
        return (f"{self.text}: {self.figure}; goal {sign} {with_unit(self.limit, unit)}: "
                f"{'met' if self.met else '**missed**'}")


@dataclass
class Table:
    """What a row of the benchmark found out. Cells are figures or texts."""

    columns: list
    rows: list
    goals: list
    notes: list

    def markdown(self):
        lines = ["| " + " | ".join(self.columns) + " |",
                 "|" + " --- |" * len(self.columns)]
        lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in self.rows]
        lines += [""] if self.goals or self.notes else []
        lines += [f"- {line}" for line in [*self.goals, *self.notes]]
        return "\n".join(lines)

    def json(self):
        def cell(value):
            if isinstance(value, Figure):
                return {"median": value.median, "values": value.values, "unit": value.unit}
            return value
        return {
            "columns": self.columns,
            "rows": [[cell(value) for value in row] for row in self.rows],
            "goals": [{"text": goal.text, "figure": cell(goal.figure), "limit": goal.limit,
                       "at_least": goal.at_least, "met": goal.met} for goal in self.goals],
            "notes": self.notes,
        }
