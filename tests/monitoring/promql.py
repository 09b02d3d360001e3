"""What an expression of Prometheus refers to."""

import re

_WORDS = {
    "and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool",
    "offset", "inf", "nan", "atan2",
}
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAMES_BY_MATCHER = re.compile(r'__name__\s*=~?\s*"([^"]*)"')


def metric_names(expression):
    """The metrics an expression reads, those it names by __name__ among them."""
    names = {name for text in _NAMES_BY_MATCHER.findall(expression) for name in text.split("|")}
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = _GROUPING.sub(" ", bare)
    for word in re.finditer(r"(?<![\w:.])([a-zA-Z_:][\w:]*)\s*(\(?)", bare):
        name, call = word.groups()
        if not call and name.lower() not in _WORDS:
            names.add(name)
    return names


def filled(expression, variables):
    """The expression with Grafana's variables filled in: $name and ${name}."""
    def value(match):
        name = match.group(1) or match.group(2)
        if name not in variables:
            raise KeyError(f"variable ${name} is not defined")
        return variables[name]
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, expression)
