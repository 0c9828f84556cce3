"""What tells when something is wrong: diagnostic settings, alerts, the workbook, the runbook."""

import json
import pathlib
import re

from expect import Expect
from functions import kind_of
from tables import (
    ACTION_GROUP, ACTIVITY_ALERT, AGGREGATIONS, ALWAYS, COSMOS, LOG_CATEGORIES, METRIC_ALERT, METRIC_CATEGORIES, METRICS, MINUTES,
    QUERY_ALERT, QUERY_TABLES, QUERY_WORDS, WANTED, WANTED_OF_AUTOSCALE, WANTED_OF_TWO_REGIONS, WORKSPACE,
)

SETTING = "Microsoft.Insights/diagnosticSettings"
OPERATORS = {"low": "LessThan", "high": "GreaterThan"}


def logs(e: Expect) -> None:
    """Every category as the table says; what names single records only when it is asked for, never by default."""
    workspace = e.one(WORKSPACE)
    asked = e.parameters["logs"]["requestLogs"]
    e.expect(e.changed or not asked or e.environment == "dev", "single requests are logged outside of development")
    for kind, categories in LOG_CATEGORIES.items():
        for resource in e.all(kind):
            settings = e.of(resource, SETTING)
            e.expect(len(settings) == 1, f"{kind} has {len(settings)} diagnostic settings")
            for setting in settings:
                properties = setting.body["properties"]
                e.expect(properties["workspaceId"] == workspace.id, f"{kind} logs to somewhere else")
                sent = {log["category"]: log["enabled"] for log in properties.get("logs", [])}
                for category in sent.keys() - categories.keys():
                    e.expect(False, f"{kind} has no log category {category} that these checks know")
                for category, when in categories.items():
                    wanted = when == ALWAYS or asked
                    e.expect(sent.get(category, False) == wanted, f"{kind}: {category} is {'off' if wanted else 'on'}")
                metrics = [metric["category"] for metric in properties.get("metrics", []) if metric["enabled"]]
                e.expect(metrics == METRIC_CATEGORIES.get(kind, []), f"{kind} sends the metrics {metrics}")
                # The tables that queries read are filled by Dedicated logs alone.
                e.expect(kind != COSMOS or properties["logAnalyticsDestinationType"] == "Dedicated", f"{kind} logs to AzureDiagnostics")


def query(e: Expect, where: str, source: str, column: str | None = None) -> str:
    """Checks a query's table and columns, and that it gives the column; answers the table."""
    words = re.findall(r"(?<![\w.])[A-Za-z_]\w*", re.sub(r'"[^"]*"', "", source))
    table, words = words[0], words[1:]
    known = QUERY_TABLES.get(table)
    if known is None:
        e.expect(False, f"{where}: there is no table {table} that these checks know")
        return table
    computed = set(re.findall(r"(\w+) = ", source))
    for word in words:
        e.expect(word in QUERY_WORDS or word in computed or word in known.columns.split(), f"{where}: {table} has no column {word}")
    e.expect(column is None or column in computed, f"{where}: the query gives no {column}")
    return table


def shared(e: Expect, alert) -> None:
    """What metric alerts and query alerts have in common."""
    properties = alert.body["properties"]
    e.expect(MINUTES[properties["evaluationFrequency"]] <= MINUTES[properties["windowSize"]], f"{alert.name} is evaluated less often than its window")
    e.expect(all(scope in e.ids for scope in properties["scopes"]), f"{alert.name} watches something that is not deployed")
    e.expect(len(properties["criteria"]["allOf"]) == 1, f"{alert.name} has several criteria")


def metric_alert(e: Expect, alert) -> set:
    """Checks one alert; answers what it tells of."""
    properties = alert.body["properties"]
    criterion = properties["criteria"]["allOf"][0]
    name = criterion["metricName"]
    scope = kind_of(properties["scopes"][0])
    e.expect(scope == criterion["metricNamespace"], f"{alert.name}: {criterion['metricNamespace']} is not what it watches")
    known = METRICS.get(criterion["metricNamespace"], {}).get(name)
    if known is None:
        e.expect(False, f"{alert.name}: there is no metric {name} that these checks know")
        return set()
    e.expect(criterion["timeAggregation"] in known.aggregations.split(), f"{alert.name}: {name} has no {criterion['timeAggregation']}")
    e.expect(criterion["operator"] == OPERATORS[known.bad], f"{alert.name}: {criterion['operator']} is the good side of {name}")
    for field, least in (("windowSize", known.window), ("evaluationFrequency", known.frequency)):
        e.expect(MINUTES[properties[field]] >= MINUTES[least], f"{alert.name}: the {field} of {name} is at least {least}")
    for dimension in criterion["dimensions"]:
        e.expect(dimension["name"] in known.dimensions.split(), f"{alert.name}: {name} has no dimension {dimension['name']}")
        e.expect(dimension["operator"] == "Include", f"{alert.name} leaves out what it is to count")
    return {(name, None), *((name, value) for dimension in criterion["dimensions"] for value in dimension["values"])}


def alerts(e: Expect) -> None:
    group = e.one(ACTION_GROUP)
    e.expect(bool(group.body["properties"]["emailReceivers"]), "the action group tells nobody")
    seen = set()
    for alert in e.all(METRIC_ALERT):
        shared(e, alert)
        e.expect(alert.body["properties"]["actions"] == [{"actionGroupId": group.id}], f"{alert.name} tells nobody")
        seen |= metric_alert(e, alert)
    for alert in e.all(QUERY_ALERT):
        shared(e, alert)
        e.expect(alert.body["properties"]["actions"] == {"actionGroups": [group.id]}, f"{alert.name} tells nobody")
        criterion = alert.body["properties"]["criteria"]["allOf"][0]
        e.expect(criterion["operator"] == "GreaterThan", f"{alert.name}: {criterion['operator']} is the good side")
        seen.add((query(e, alert.name, criterion["query"], criterion["metricMeasureColumn"]), None))
    account = e.one(COSMOS).body["properties"]
    autoscale = WANTED_OF_AUTOSCALE if account["capabilities"] == [] else {}
    regions = WANTED_OF_TWO_REGIONS if len(account["locations"]) > 1 else {}
    for what, wanted in {**WANTED, **autoscale, **regions}.items():
        e.expect(wanted in seen, f"no alert for {what}")
    health = e.one(ACTIVITY_ALERT).body["properties"]
    e.expect(health["scopes"] == [e.deployment.place.group], f"resource health is watched of {health['scopes']}")
    e.expect(health["actions"] == {"actionGroups": [{"actionGroupId": group.id}]}, "resource health tells nobody")
    category, states = health["condition"]["allOf"]
    told = {state["equals"] for state in states["anyOf"] if state["field"] == "properties.currentHealthStatus"}
    e.expect(category == {"field": "category", "equals": "ResourceHealth"}, "the activity log alert is not for resource health")
    e.expect(told == {"Unavailable", "Degraded"}, f"resource health tells of {sorted(told)}")


def workbook(e: Expect) -> None:
    source = e.one("Microsoft.Insights/workbooks").body["properties"]["serializedData"]
    e.expect("__" not in source, "a placeholder is left in the workbook")
    spaces = {space.lower(): metrics for space, metrics in METRICS.items()}
    metrics = queries = 0
    for item in json.loads(source)["items"]:
        content = item["content"]
        where = f"workbook.json: {item['name']}"
        resources = content.get("resourceIds", []) + content.get("crossComponentResources", [])
        e.expect(all(one in e.ids and kind_of(one).lower() == content["resourceType"] for one in resources), f"{where} shows another deployment")
        for shown in content.get("metrics", []):
            metrics += 1
            space, _, path = shown["metric"].partition("--")
            name = path.rsplit("-", 1)[-1]
            known = spaces.get(space, {}).get(name)
            e.expect(known is not None, f"{where}: there is no metric {name} that these checks know")
            if known:
                e.expect(space == shown["namespace"] == content["resourceType"], f"{where}: {name} is not of what it shows")
                e.expect(AGGREGATIONS[shown["aggregation"]] in known.aggregations.split(), f"{where}: {name} has no {AGGREGATIONS[shown['aggregation']]}")
                e.expect("splitBy" not in shown or shown["splitBy"] in known.dimensions.split(), f"{where}: {name} has no dimension {shown.get('splitBy')}")
        if "query" in content:
            queries += 1
            query(e, where, content["query"])
    e.expect(metrics > 0 and queries > 0, "the workbook shows nothing")


def runbook(root: pathlib.Path, deployments: dict) -> list[str]:
    """Alerts without a row in the runbook, rows without an alert, and other severities."""
    page = (root / "docs/runbooks/recover.md").read_text(encoding="utf-8")
    described = dict(re.findall(r"^\| `([a-z]+-[a-z-]+)` \| *(\d?)", page, re.MULTILINE))
    deployed = {}
    for deployment in deployments.values():
        for alert in deployment.resources:
            if alert.type in (METRIC_ALERT, QUERY_ALERT, ACTIVITY_ALERT):
                deployed[re.sub(r"-[a-z0-9]+-(?:dev|stg|prd)$", "", alert.name)] = alert.body["properties"].get("severity")
    where = "docs/runbooks/recover.md"
    return [
        *(f"{where} says nothing about the alert {name}" for name in sorted(deployed.keys() - described.keys())),
        *(f"{where}: there is no alert {name}" for name in sorted(described.keys() - deployed.keys())),
        *(
            f"{where}: {name} is of severity {deployed[name]}, not {described[name]}"
            for name in sorted(deployed.keys() & described.keys())
            if deployed[name] is not None and described[name] != str(deployed[name])
        ),
    ]
