#!/usr/bin/env python3
"""Requests, request units, bytes and money by number of robots: the tables of docs/capacity.md and its plot, docs/capacity.svg.

`make capacity` writes both anew; `docs/capacity.py --check` fails where they differ from what this file, the budgets of
docs/design.md and infra/prod.bicepparam say. Needs no package.
"""

import dataclasses
import json
import math
import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parent

# Limits of the services, from their documentation.
PARTITION_RU = 10_000  # RU/s of a logical and of a physical partition
PARTITION_GB, PHYSICAL_GB = 20, 50  # of a logical, of a physical partition
TABLE_ENTITIES = 2_000  # per second and table partition
ACCOUNT_REQUESTS = 20_000  # per second and storage account
KB, GB = 1024, 1024**3
DAY, MONTH = 86_400, 365 / 12

# Thresholds of infra/modules/alerts.bicep.
ALERT_PHYSICAL = 0.8  # cosmos-request-units: of the units of a physical partition
ALERT_LOGICAL = 5_000  # cosmos-partition-heat: RU/s of a logical partition

# Assumptions: a robot's day.
TURNS = 100  # conversations
STARTS = 4  # starts of the robot, or connections made anew
PEAK = 4.0  # the busiest hour against the mean of a day; the other 23 are alike
PAYLOAD = 200_000  # bytes of a media payload
KEPT_DAYS = 365  # how long payloads are kept, for the size after a year
LOG_ENTRY = 1 * KB  # an entry of PartitionKeyRUConsumption: one a second and logical partition that is used


def budgets(text: str) -> dict[str, list[str]]:
    """First cell -> values of the second, of each row of the table of budgets in design.md."""
    section = text.split("\n## Budgets\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| ")]
    return {row[0]: [value.strip() for value in row[1].split(";")] for row in rows[1:]}


BUDGETS = budgets((DOCS / "design.md").read_text(encoding="utf-8"))


@dataclasses.dataclass
class Call:
    """One contract call: how often a robot's day has it (assumed), its budget (design.md), and bytes (measured)."""

    name: str
    row: str  # first cell of the budget's row
    at: int  # which of the row's values
    per_day: float
    ru: float = 0.0  # by the documented formula; of a call to Cosmos DB
    out: int = 0
    back: int = 0
    blobs: int = 0  # how many of its requests go to blobs; the others go to tables, or to Cosmos DB
    account: bool = False  # whether it is in the account's partition
    start: bool = False  # whether a start has it

    @property
    def requests(self) -> int:
        values = BUDGETS[self.row]
        assert len(values) in (1, len(self.row.split(";"))), f"design.md: labels and values of {self.row!r} differ in number"
        return int(values[self.at])

    @property
    def cosmos(self) -> int:
        return self.requests if self.ru else 0

    @property
    def tables(self) -> int:
        return 0 if self.ru else self.requests - self.blobs


def read(size: int, latest: bool = False) -> float:
    """Point read: 1 RU for 1 KB, 10 for 100 KB, in between a straight line; a quorum read costs twice."""
    return (1 + (max(1.0, size / KB) - 1) * 9 / 99) * (2 if latest else 1)


def replace(size: int) -> float:
    """Replace: some twice an insert, which is some 5.5 RU for each KB without indexed properties."""
    return 2 * 5.5 * max(1, math.ceil(size / KB))


# Rows of the table of budgets, by their first cell.
GET, REGISTER = "account get; fact get", "device register unchanged; new; changed; patch"
IDENTITY = "identity create; replace `Exact`; replace `Any`; create over a tombstone"
SCOPE = "`load_scope` ≤ 1,000 rows; more, at first sight; after that"
WRITE = "memory write `Any`: head and record known; head known; cold"
PUT = "media put ≤ 8 MiB: `Absent`, head known; replace, or `Any` on a new path; head unknown"
MEDIA = "media record get; full read; list; remove"
FACT_WRITES, MEDIA_PUTS, MEDIA_READS = TURNS // 5, 2, 4
CALLS = [
    Call("account get", GET, 0, TURNS + STARTS, read(656), back=656, account=True, start=True),
    Call("loop get", GET, 0, TURNS + STARTS, read(680), back=680, account=True, start=True),
    Call("device register, unchanged", REGISTER, 0, STARTS, read(841, latest=True), back=841, start=True),
    Call("person get", GET, 0, TURNS, read(723), back=723),
    Call("identity replace, Exact", IDENTITY, 1, 2, replace(860), out=655),
    Call("load_scope", SCOPE, 0, STARTS, out=404, back=5_334, start=True),
    Call("fact get", GET, 0, 3 * TURNS, out=404, back=1_277),
    Call("memory write, Any, head known", WRITE, 1, FACT_WRITES, out=3_365, back=2_588),
    Call("media put, Absent", PUT, 0, MEDIA_PUTS, out=PAYLOAD + 5_715, back=3_689, blobs=1),
    Call("media full read", MEDIA, 1, MEDIA_READS, out=767, back=PAYLOAD + 2_128, blobs=1),
]


def change_row(*keys: str) -> int:
    """Bytes of a commit's change row by the Table service's documented formula: 4 + 2 a unit of both keys, and for each property
    8 + 2 a unit of its name + its value. The lengths of ids are assumed; the columns are those of src/azure/tables/history.rs."""
    calls = json.dumps([{"op": "0" * 32, "rows": [f"+{key}" for key in keys]}], separators=(",", ":"))
    properties = {"Commit": 4 + 2 * 32, "Number": 8, "Chunks": 8, "C0": 4 + 2 * len(calls)}
    return 4 + 2 * (len(f"{ID}:{ID}") + len("!c:") + 20) + sum(8 + 2 * len(name) + size for name, size in properties.items())


ID = "0" * 24
FACT_CHANGE = change_row(f"m:{ID}:.{ID}:pref:{'k' * 12}")
MEDIA_CHANGE = change_row(f"r:{'p' * 30}", f"t:{'0' * 16}:{'p' * 30}", f"b:{'0' * 32}")

# Bytes that a robot and its household leave for good: documents as measured (with what the service adds), rows of a fact, of media.
LINK, LOOP, INDEX = 498 + 205, 577 + 205, 1.1
DOCUMENTS = LINK + LOOP + 841 + 2 * 1_000 + 2 * 723
FACTS, FACT_ROW, MEDIA_ROWS = 200, 1_100, 3 * 900
RECORDS = FACTS * FACT_ROW + KEPT_DAYS * MEDIA_PUTS * MEDIA_ROWS
CHANGES = 365 * (FACT_WRITES * FACT_CHANGE + MEDIA_PUTS * MEDIA_CHANGE)  # after a year: nothing trims them yet

# Prices in US dollars: value, what it is for, where it is from.
BILL = "[its bill explained](https://learn.microsoft.com/azure/cosmos-db/understand-your-bill), United States, 2022"
FAQ = "[autoscale](https://learn.microsoft.com/azure/cosmos-db/autoscale-faq)"
PRICE = {
    "ru": (0.012, "Cosmos DB, 100 RU/s for an hour, each region", f"0.008 of {BILL}, × 1.5 for {FAQ}"),
    "document_gb": (0.25, "Cosmos DB, GB and month, each region", "the same page"),
    "table_requests": (0.06, "tables, a million requests, GZRS", "assumed"),
    "table_gb": (0.08, "tables, GB and month, GZRS", "assumed"),
    "blob_writes": (0.10, "blobs, 10,000 writes, hot, GZRS", "assumed"),
    "blob_reads": (0.005, "blobs, 10,000 reads, hot, GZRS", "assumed"),
    "blob_gb": (0.045, "blobs, GB and month, hot, GZRS", "assumed"),
    "log_gb": (2.76, "Log Analytics, GB taken in", "assumed"),
}
ZONES = 1.25  # rate of a zone-redundant region, documented; whether autoscale pays it was not asked


def deployed(text: str) -> tuple[int, list[float], int]:
    """Of a parameter file: request units, the rate of each region, GB of logs a day."""
    units, cap = (int(re.search(rf"\b{name}: (\d+)", text)[1]) for name in ("maxRequestUnits", "dailyCapGb"))
    assert "Standard_GZRS" in text, "prices are those of GZRS"
    return units, [ZONES if zones == "true" else 1 for zones in re.findall(r"zoneRedundant: (\w+)", text)], cap


PROD_RU, PROD_REGIONS, PROD_LOGS = deployed((DOCS.parent / "infra" / "prod.bicepparam").read_text(encoding="utf-8"))
PROD_PARTITIONS = math.ceil(PROD_RU / PARTITION_RU)


def per_day(field: str, **where: bool) -> float:
    return sum(call.per_day * getattr(call, field) for call in CALLS if all(getattr(call, key) == want for key, want in where.items()))


def peak(daily: float) -> float:
    return daily * PEAK / DAY


HOT, REST = peak(per_day("ru", account=True)), peak(per_day("ru", account=False))  # RU/s of a robot in its account's partition, elsewhere
STORAGE = peak(per_day("tables") + per_day("blobs"))


def share(partitions: int, hot: float = HOT, rest: float = REST) -> float:
    """RU/s of a robot on the physical partition that holds `a:<default account>`: all of that one's, and its part of the rest."""
    return hot + rest / partitions


def throttles(units: float, partitions: int, hot: float = HOT, rest: float = REST) -> float:
    """Robots at which that physical partition, which has an equal part of the units, is full."""
    return min(PARTITION_RU, units / partitions) / share(partitions, hot, rest)


def provision(robots: float, hot: float = HOT, rest: float = REST) -> tuple[int, int] | None:
    """The fewest physical partitions and request units that suffice; none once a logical partition is full by itself."""
    left = PARTITION_RU - robots * hot
    if left <= 0:
        return None
    partitions = max(1, math.ceil(robots * rest / left), math.ceil(robots * DOCUMENTS * INDEX / GB / PHYSICAL_GB))
    return partitions, max(1_000, math.ceil(partitions * robots * share(partitions, hot, rest) / 1_000) * 1_000)


def ru_cost(robots: int, hot: float, rest: float) -> float | None:
    """A month of autoscale as infra/prod.bicepparam has it, with more units where it has too few: each hour is billed as its busiest
    physical partition times their number, at least a tenth of the units."""
    found = provision(robots, hot, rest)
    if not found:
        return None
    partitions, units = max(found, (PROD_PARTITIONS, PROD_RU))
    hours = [1.0] + 23 * [(24 - PEAK) / 23 / PEAK]
    used = [max(units / 10, hour * robots * partitions * share(partitions, hot, rest)) for hour in hours]
    return sum(used) / 24 / 100 * 730 * sum(PROD_REGIONS) * PRICE["ru"][0]


def price(kind: str, amount: float, per: float = 1) -> float:
    return amount / per * PRICE[kind][0]


def of(robots: int) -> dict:
    together, apart = provision(robots), provision(robots, 0, HOT + REST)
    cosmos_gb, payload_gb = robots * DOCUMENTS * INDEX / GB, robots * MEDIA_PUTS * KEPT_DAYS * PAYLOAD / GB
    records_gb, changes_gb = robots * RECORDS / GB, robots * CHANGES / GB
    logs_gb = min(PROD_LOGS, robots * per_day("cosmos", account=False) * LOG_ENTRY / GB) * MONTH
    units, own = ru_cost(robots, HOT, REST), ru_cost(robots, 0, HOT + REST)
    rest = {
        "documents, tables": price("document_gb", cosmos_gb * len(PROD_REGIONS))
        + price("table_requests", robots * per_day("tables") * MONTH, 1e6)
        + price("table_gb", records_gb + changes_gb),
        "payloads": price("blob_writes", robots * MEDIA_PUTS * MONTH, 1e4)
        + price("blob_reads", robots * MEDIA_READS * MONTH, 1e4)
        + price("blob_gb", payload_gb),
        "logs": price("log_gb", logs_gb),
    }
    return {
        "RU/s at the peak": robots * (HOT + REST),
        "of these in `a:<default account>`, if all share it": robots * HOT,
        "**`maxRequestUnits`** that suffices then": together and together[1],
        "its physical partitions": together and together[0],
        "`maxRequestUnits`, households in accounts of their own": apart and apart[1],
        "documents, GB": cosmos_gb,
        "of these in `a:<default account>`": robots * (LINK + LOOP) * INDEX / GB,
        "storage, requests/s at the peak": robots * STORAGE,
        "storage accounts": max(1, math.ceil(robots * STORAGE / ACCOUNT_REQUESTS)),
        "tables, GB after a year: records": records_gb,
        "change rows (estimate)": changes_gb,
        "payloads, GB after a year": payload_gb,
        "US$ a month: request units": units,
        **{f"US$ a month: {what}": cost for what, cost in rest.items()},
        "**US$ a month, together**": units and units + sum(rest.values()),
        "US$ a month, households in accounts of their own": own and own + sum(rest.values()),
    }


def limits() -> list[tuple[str, str, float | None, float]]:
    """What, which limit, how many robots at best, and as `prod` deploys it; by the last."""
    starts = [sum(call.ru for call in CALLS if call.start and call.account == account) / 60 for account in (True, False)]
    full, doubled = throttles(PROD_RU, PROD_PARTITIONS), throttles(PROD_RU, PROD_PARTITIONS, 2 * HOT)
    logs = PROD_LOGS * GB / (per_day("cosmos", account=False) * LOG_ENTRY)
    size, storage = PARTITION_GB * GB / ((LINK + LOOP) * INDEX), ACCOUNT_REQUESTS / STORAGE
    logical = f"{PARTITION_RU:,} RU/s of a logical partition"
    rows = [
        ("all robots start within a minute", logical, PARTITION_RU / starts[0], throttles(PROD_RU, PROD_PARTITIONS, *starts)),
        ("log ingestion is full, its alerts blind", f"`dailyCapGb` {PROD_LOGS} (estimate)", None, logs),
        ("busiest hour, account and loop read `Latest`", logical, PARTITION_RU / (2 * HOT), doubled),
        ("alert `cosmos-request-units`", f"{ALERT_PHYSICAL * 100:.0f} % of a physical partition", None, ALERT_PHYSICAL * full),
        ("**`a:<default account>`, busiest hour: throttles**", logical, PARTITION_RU / HOT, full),
        ("alert `cosmos-partition-heat`", f"{ALERT_LOGICAL:,} RU/s of a logical partition", None, ALERT_LOGICAL / HOT),
        ("storage account", f"{ACCOUNT_REQUESTS:,} requests/s", storage, storage),
        ("size of `a:<default account>`", f"{PARTITION_GB} GB of a logical partition", size, size),
    ]
    return sorted(rows, key=lambda row: row[3])


def entities_of_a_household() -> float:
    """Entities per second of one household's table partition at the peak: a commit has head, change row and record."""
    return peak(per_day("tables") + 2 * (FACT_WRITES + MEDIA_PUTS))


def show(value: float | None) -> str:
    if value is None:
        return "none"
    if value >= 100:
        return f"{round(value, 2 - math.floor(math.log10(value))):,.0f}"
    return f"{float(f'{value:.2g}'):g}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" if row else "|---" * len(heads) + "|" for row in [heads, [], *rows])


def calls_table() -> str:
    rows = []
    for call in CALLS:
        units = [f"{call.ru:.1f}", f"{call.ru * call.per_day:.0f}"] if call.ru else ["", ""]
        requests, moved = f"{call.cosmos}, {call.tables}, {call.blobs}", f"{call.out:,}, {call.back:,}"
        rows.append([call.name, f"{call.per_day:g}", requests, moved, *units])
    cosmos, tables, blobs, out, back, ru = (per_day(field) for field in ("cosmos", "tables", "blobs", "out", "back", "ru"))
    moved = f"{out / 1e6:.1f} MB, {back / 1e6:.1f} MB"
    rows.append(["**together, a day**", "", f"{cosmos:.0f}, {tables:.0f}, {blobs:.0f}", moved, "", f"{ru:.0f}"])
    return table(["call", "a day", "requests Cosmos DB, tables, blobs", "bytes out, back", "RU by the formula", "a day"], rows)


def robots_table() -> str:
    numbers = (100, 10_000, 1_000_000)
    columns = [of(robots) for robots in numbers]
    return table(["robots", *map("{:,}".format, numbers)], [[name, *(show(column[name]) for column in columns)] for name in columns[0]])


def limits_table() -> str:
    rows = [[what, limit, "" if best is None else show(best), show(prod)] for what, limit, best, prod in limits()]
    rows.append(["a household's table partition", f"{TABLE_ENTITIES:,} entities/s", "", f"uses {show(entities_of_a_household())}/s: never"])
    deployment = f"`prod`: {PROD_RU:,} RU/s, {PROD_PARTITIONS} physical partition{'s'[: PROD_PARTITIONS - 1]}"
    return table(["what", "limit", "robots at best", f"robots, {deployment}"], rows)


def partitions_table() -> str:
    rows = []
    for units, partitions in ((10_000, 1), (16_000, 2), (20_000, 2), (40_000, 4), (100_000, 10)):
        robots = throttles(units, partitions)
        cells = [f"{units:,}", f"{partitions}", f"{units / partitions:,.0f}", show(robots), show(robots * HOT)]
        rows.append([*cells, "in time" if robots * HOT > ALERT_LOGICAL else "too late"])
    heads = ["`maxRequestUnits`", "physical partitions", "RU/s of each", "robots when it throttles", "RU/s of `a:` then"]
    return table([*heads, "`cosmos-partition-heat` comes"], rows)


def prices_table() -> str:
    return table(["US$", "for", "from"], [[f"{value:g}", what, source] for value, what, source in PRICE.values()])


def plot() -> str:
    """One line a limit on a logarithmic scale of robots: a dot as `prod` deploys it, a ring at best."""
    rows, left, top, step, decade, first, last = limits(), 330, 76, 34, 96, 2, 7
    width, bottom = left + (last - first) * decade + 70, top + step * len(rows)

    def x(robots: float) -> float:
        return left + (math.log10(robots) - first) * decade

    def text(at: float, y: float, words: str, anchor: str, extra: str = "") -> str:
        escaped = words.replace("<", "&lt;").replace(">", "&gt;")
        return f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escaped}</text>'

    def number(at: float, y: float, robots: float, anchor: str) -> str:
        size = 7 * len(show(robots))
        box = at - size if anchor == "end" else at
        return f'<rect x="{box:.1f}" y="{y - 9:.1f}" width="{size}" height="18" fill="white"/>' + text(at, y + 4, show(robots), anchor)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 44}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{width}" height="{bottom + 44}" fill="white"/>')
    dot, ring = 'r="5" fill="#c0392b"', 'r="4.5" fill="white" stroke="#2471a3" stroke-width="2"'
    for at, mark, words in ((left, dot, f"as prod deploys it, {PROD_RU:,} RU/s"), (left + 240, ring, "at best, of the limit itself")):
        parts += [f'<circle cx="{at}" cy="18" {mark}/>', text(at + 12, 22, words, "start")]
    for power in range(first, last + 1):
        at, mark = x(10**power), power in (2, 4, 6)
        stroke, look = ('"#666" stroke-dasharray="4 3"', ' font-weight="bold"') if mark else ('"#e4e4e4"', ' fill="#888"')
        parts.append(f'<line x1="{at:.1f}" y1="{top - 20}" x2="{at:.1f}" y2="{bottom}" stroke={stroke}/>')
        parts += [text(at, y, f"{10**power:,}", "middle", look) for y in (top - 26, bottom + 18)]
    for i, (what, _, best, prod) in enumerate(rows):
        y = top + step * i + step / 2 - 8
        parts.append(text(left - 14, y + 4, re.sub(r"[*`]", "", what), "end", ' font-weight="bold"' if "**" in what else ""))
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{x(best or prod):.1f}" y2="{y:.1f}" stroke="#bbb"/>')
        if best and best != prod:
            parts.append(number(x(best) + 9, y, best, "start"))
            parts.append(f'<circle cx="{x(best):.1f}" cy="{y:.1f}" {ring}/>')
        parts.append(number(x(prod) - 9, y, prod, "end"))
        parts.append(f'<circle cx="{x(prod):.1f}" cy="{y:.1f}" {dot}/>')
    parts += [text((left + width - 70) / 2, bottom + 36, "robots, all under one default account", "middle"), "</svg>"]
    return "\n".join(parts) + "\n"


def page(text: str) -> str:
    for name in ("calls", "robots", "limits", "partitions", "prices"):
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert pattern.search(text), f"docs/capacity.md has no part {name}"
        made = globals()[f"{name}_table"]()
        text = pattern.sub(lambda match, made=made: f"{match[1]}{made}\n{match[2]}", text)
    return text


def self_test() -> None:
    assert (read(100), read(100 * KB), read(1, latest=True), replace(451), replace(2 * KB)) == (1, 10, 2, 11, 22)
    assert show(12345.6) == "12,300" and show(0.0123) == "0.012", (show(12345.6), show(0.0123))
    assert budgets("x\n## Budgets\n\n| call | r |\n|---|---|\n| a; b | 1; 12 |\n\n## y\n| z | 3 |")["a; b"] == ["1", "12"]
    assert change_row("k" * 10) - change_row("k" * 9) == 2 and change_row("a", "b") > change_row("ab")
    alerts = (DOCS.parent / "infra" / "modules" / "alerts.bicep").read_text(encoding="utf-8")
    assert all(f"threshold: {level:.0f}\n" in alerts for level in (100 * ALERT_PHYSICAL, ALERT_LOGICAL)), "alerts.bicep has others"
    # 5,000 RU/s in one logical partition, 5,000 elsewhere: two physical partitions get 5,000 each, and the hot one needs 7,500.
    assert throttles(10_000, 1, 0.5, 0.5) == 10_000 and throttles(10_000, 2, 0.5, 0.5) == 5_000 / 0.75
    assert [provision(robots, 0.5, 0.5) for robots in (10_000, 12_000, 16_000)] == [(1, 10_000), (2, 18_000), (4, 40_000)]
    assert provision(20_000, 0.5, 0.5) is None and provision(20_000, 0, 1) == (2, 20_000) and provision(100, 0, 0) == (1, 1_000)
    day = peak(208), peak(130)  # RU a day in the account's partition, elsewhere
    found = [round(throttles(units, partitions, *day), -3) for units, partitions in ((10_000, 1), (20_000, 2), (40_000, 4), (100_000, 10))]
    assert found == [639_000, 791_000, 898_000, 977_000] and throttles(16_000, 2, *day) < 639_000, found
    assert provision(1_000_000, *day) == (17, 170_000) and provision(1_000_000, 0, sum(day)) == (2, 16_000)
    for robots in (1_000, 500_000, 700_000, 1_000_000):
        partitions, units = provision(robots, *day)
        assert throttles(units, partitions, *day) >= robots and units <= partitions * PARTITION_RU, "does not suffice"
        assert partitions == 1 or throttles(PARTITION_RU * (partitions - 1), partitions - 1, *day) < robots, "fewer suffice"


def main() -> int:
    self_test()
    target, picture = DOCS / "capacity.md", DOCS / "capacity.svg"
    text = target.read_text(encoding="utf-8")
    made, drawn = page(text), plot()
    if "--check" in sys.argv[1:]:
        stale = [path for path, new in ((target, made), (picture, drawn)) if path.read_text(encoding="utf-8") != new]
        for path in stale:
            print(f"docs/{path.name} is not what docs/capacity.py makes: run make capacity", file=sys.stderr)
        return 1 if stale else 0
    target.write_text(made, encoding="utf-8")
    picture.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
