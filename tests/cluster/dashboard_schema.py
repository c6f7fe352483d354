"""What a Grafana dashboard of ours may hold: a closed statement of the fields of schema version 39 that it uses.

Grafana publishes its schema in its source only; unknown fields would be dropped silently on import.
"""

from typing import Any

Schema = dict[str, Any]


def closed(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


TEXT: Schema = {"type": "string", "minLength": 1}
SOURCE = closed({"type": {"const": "prometheus"}, "uid": {"const": "${datasource}"}})
PLACE = closed(
    {
        "h": {"type": "integer", "minimum": 1},
        "w": {"type": "integer", "minimum": 1, "maximum": 24},
        "x": {"type": "integer", "minimum": 0, "maximum": 23},
        "y": {"type": "integer", "minimum": 0},
    }
)
STEPS = {
    "type": "array",
    "minItems": 2,
    "items": closed({"color": {"enum": ["green", "yellow", "red"]}, "value": {"type": ["number", "null"]}}),
}
UNITS = {"enum": ["reqps", "percentunit", "s", "short", "none", "dateTimeFromNow"]}
FIELDS = closed(
    {"unit": UNITS},
    {
        "min": {"type": "number"},
        "max": {"type": "number"},
        "thresholds": closed({"mode": {"const": "absolute"}, "steps": STEPS}),
    },
)
REDUCED = closed({"calcs": {"const": ["lastNotNull"]}})
OPTIONS = {
    "timeseries": closed(
        {
            "legend": closed({"displayMode": {"const": "list"}, "placement": {"const": "bottom"}}),
            "tooltip": closed({"mode": {"enum": ["single", "multi", "none"]}}),
        }
    ),
    "stat": closed({"reduceOptions": REDUCED}, {"colorMode": {"enum": ["value", "background"]}}),
    "bargauge": closed(
        {"reduceOptions": REDUCED, "orientation": {"const": "horizontal"}, "displayMode": {"const": "basic"}}
    ),
}
TARGET = closed(
    {"refId": {"pattern": "^[A-Z]$"}, "datasource": SOURCE, "expr": TEXT, "legendFormat": TEXT},
    {"instant": {"type": "boolean"}},
)
ROW = closed(
    {
        "id": {"type": "integer"},
        "type": {"const": "row"},
        "title": TEXT,
        "collapsed": {"const": False},
        "gridPos": PLACE,
        "panels": {"const": []},
    }
)


def panel(kind: str) -> Schema:
    return closed(
        {
            "id": {"type": "integer"},
            "type": {"const": kind},
            "title": TEXT,
            "description": TEXT,
            "datasource": SOURCE,
            "gridPos": PLACE,
            "fieldConfig": closed({"defaults": FIELDS, "overrides": {"const": []}}),
            "options": OPTIONS[kind],
            "targets": {"type": "array", "minItems": 1, "items": TARGET},
        }
    )


DASHBOARD = closed(
    {
        "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
        "title": TEXT,
        "description": TEXT,
        "tags": {"type": "array", "items": TEXT},
        "schemaVersion": {"const": 39},
        "version": {"type": "integer"},
        "editable": {"type": "boolean"},
        "refresh": {"pattern": "^[0-9]+[smh]$"},
        "time": closed({"from": TEXT, "to": TEXT}),
        "timezone": {"enum": ["browser", "utc"]},
        "templating": closed({"list": {"type": "array", "minItems": 1, "items": {"type": "object"}}}),
        "panels": {"type": "array", "minItems": 1, "items": {"oneOf": [ROW, *map(panel, OPTIONS)]}},
    }
)
