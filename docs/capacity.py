#!/usr/bin/env python3
"""Requests, request units, bytes and money by number of robots: the tables of docs/capacity.md and its plot, docs/capacity.svg.

`make capacity` writes both anew; `docs/capacity.py --check` fails where they differ from what this file says. Needs no package.
"""

import dataclasses
import math
import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parent

# Limits of the services, from their documentation.
PARTITION_RU = 10_000  # RU/s of a logical or a physical partition
PARTITION_GB = 20  # of a logical partition
PHYSICAL_GB = 50
TABLE_ENTITIES = 2_000  # per second and table partition
ACCOUNT_REQUESTS = 20_000  # per second and storage account
KB, GB = 1024, 1024**3
DAY = 86_400

# Assumptions: a robot's day.
PEAK = 4.0  # the busiest hour against the mean of a day
PAYLOAD = 200_000  # bytes of a media payload
KEPT_DAYS = 365  # how long payloads are kept, for the size after a year


@dataclasses.dataclass
class Call:
    """One contract call: how often a robot's day has it (assumed), its requests (design.md), and body bytes (measured)."""

    name: str
    row: str  # text of the row of design.md that has its requests
    per_day: float
    cosmos: int = 0
    tables: int = 0
    blobs: int = 0
    out: int = 0
    back: int = 0
    ru: float = 0.0  # by the documented formula
    account: bool = False  # whether its Cosmos requests are in the account's partition


def read(size: int, latest: bool = False) -> float:
    """Point read: 1 RU for 1 KB, 10 for 100 KB, in between a straight line; a quorum read costs twice."""
    kilobytes = max(1.0, size / KB)
    return (1 + (kilobytes - 1) * 9 / 99) * (2 if latest else 1)


def insert(size: int) -> float:
    """Insert: some 5.5 RU for each KB of an item without indexed properties."""
    return 5.5 * max(1, math.ceil(size / KB))


def replace(size: int) -> float:
    """Replace: some twice an insert."""
    return 2 * insert(size)


TURNS = 100  # conversations with a robot in a day
STARTS = 4  # starts of a robot, or connections made anew

CALLS = [
    Call("account get", "account get; fact get", TURNS + STARTS, cosmos=1, back=656, ru=read(656), account=True),
    Call("loop get", "account get; fact get", TURNS + STARTS, cosmos=1, back=680, ru=read(680), account=True),
    Call("device register, unchanged", "device register unchanged", STARTS, cosmos=1, back=841, ru=read(841, latest=True)),
    Call("person get", "account get; fact get", TURNS, cosmos=1, back=723, ru=read(723)),
    Call("identity replace, Exact", "identity create; replace `Exact`", 2, cosmos=1, out=655, ru=replace(860)),
    Call("load_scope", "`load_scope` ≤ 1,000 rows", STARTS, tables=1, out=404, back=5_334),
    Call("fact get", "account get; fact get", 3 * TURNS, tables=1, out=404, back=1_277),
    Call("memory write, Any, head known", "memory write `Any`: head and record known; head known; cold", 0.2 * TURNS, tables=2, out=3_365, back=2_588),
    Call("media put, Absent", "media put ≤ 8 MiB: `Absent`, head known", 2, tables=1, blobs=1, out=PAYLOAD + 5_715, back=3_689),
    Call("media full read", "media record get; full read; list; remove", 4, tables=1, blobs=1, out=767, back=PAYLOAD + 2_128),
]

# Bytes that a robot and its household leave for good: documents as measured (with what the service adds), rows of a fact, of media.
LINK, LOOP, INDEX = 498 + 205, 577 + 205, 1.1
DOCUMENTS = LINK + LOOP + 841 + 2 * 1_000 + 2 * 723
FACTS = 200
FACT_ROW = 1_100
MEDIA_ROWS = 3 * 900

# Prices: assumptions in US dollars, for the shape of the sum only. Put in your own.
PRICE = {
    "autoscale, 100 RU/s for an hour": 0.012,
    "Cosmos DB, GB and month": 0.25,
    "table requests, a million": 0.06,
    "tables, GB and month": 0.08,
    "blob writes, 10,000": 0.10,
    "blob reads, 10,000": 0.005,
    "blobs, GB and month": 0.045,
}


def per_day(field: str, account: bool = False) -> float:
    return sum(call.per_day * getattr(call, field) for call in CALLS if call.account or not account)


def ru_per_day(account: bool = False) -> float:
    return sum(call.per_day * call.ru for call in CALLS if call.account or not account)


def peak(daily: float) -> float:
    return daily * PEAK / DAY


def of(robots: int) -> dict:
    units = robots * peak(ru_per_day())
    hot = robots * peak(ru_per_day(account=True))
    requests = robots * peak(per_day("tables") + per_day("blobs"))
    cosmos_gb = robots * DOCUMENTS * INDEX / GB
    payload_gb = robots * 2 * KEPT_DAYS * PAYLOAD / GB
    table_gb = robots * (FACTS * FACT_ROW + 2 * KEPT_DAYS * MEDIA_ROWS) / GB
    provisioned = max(1000, math.ceil(units / 1000) * 1000)
    # Autoscale bills the highest use of each hour: here the mean, with the peak factor of one hour in the day left in.
    billed = max(provisioned / 10, robots * ru_per_day() / DAY * 1.5)
    month = 365 / 12
    cost = (
        billed / 100 * PRICE["autoscale, 100 RU/s for an hour"] * 730
        + cosmos_gb * PRICE["Cosmos DB, GB and month"]
        + robots * per_day("tables") * month / 1e6 * PRICE["table requests, a million"]
        + table_gb * PRICE["tables, GB and month"]
        + robots * 2 * month / 1e4 * PRICE["blob writes, 10,000"]
        + robots * 4 * month / 1e4 * PRICE["blob reads, 10,000"]
        + payload_gb * PRICE["blobs, GB and month"]
    )
    return {
        "Cosmos DB, RU/s at the peak": units,
        "`maxRequestUnits` for it": provisioned,
        "RU/s in `a:<default account>`, if all share it": hot,
        "Cosmos DB, GB": cosmos_gb,
        "GB in `a:<default account>`": robots * (LINK + LOOP) * INDEX / GB,
        "physical partitions, at least": max(1, math.ceil(provisioned / PARTITION_RU), math.ceil(cosmos_gb / PHYSICAL_GB)),
        "Storage, requests/s at the peak": requests,
        "storage accounts for it": max(1, math.ceil(requests / ACCOUNT_REQUESTS)),
        "tables, GB after a year": table_gb,
        "payloads, GB after a year": payload_gb,
        "US dollars a month, after a year (assumed prices)": cost,
    }


def robots_per_partition_ru() -> float:
    return PARTITION_RU / peak(ru_per_day(account=True))


def robots_per_partition_gb() -> float:
    return PARTITION_GB * GB / ((LINK + LOOP) * INDEX)


def robots_in_a_minute() -> float:
    """How many may start within one minute, if each reads account and loop."""
    start = sum(call.ru for call in CALLS if call.account)
    return PARTITION_RU * 60 / start


def robots_per_storage_account() -> float:
    return ACCOUNT_REQUESTS / peak(per_day("tables") + per_day("blobs"))


def entities_of_a_household() -> float:
    """Entities per second of one household's table partition at the peak: a commit has head, change row and record."""
    writes = sum(call.per_day for call in CALLS if call.name.startswith(("memory write", "media put")))
    return peak(per_day("tables") + 2 * writes)


def show(value: float) -> str:
    if value >= 100:
        return f"{round(value, 2 - math.floor(math.log10(value))):,.0f}"
    return f"{float(f'{value:.2g}'):g}"


def calls_table() -> str:
    lines = [
        "| call | a day | requests Cosmos DB, tables, blobs | bytes out, back | RU by the formula | a day |",
        "|---|---|---|---|---|---|",
    ]
    for call in CALLS:
        units = f"{call.ru:.1f}" if call.cosmos else ""
        lines.append(
            f"| {call.name} | {call.per_day:g} | {call.cosmos}, {call.tables}, {call.blobs} | {call.out:,}, {call.back:,} | {units} | "
            f"{f'{call.ru * call.per_day:.0f}' if call.cosmos else ''} |"
        )
    total = f"{per_day('cosmos'):.0f}, {per_day('tables'):.0f}, {per_day('blobs'):.0f}"
    sent, back = per_day("out") / 1e6, per_day("back") / 1e6
    lines.append(f"| **together, a day** | | {total} | {sent:.1f} MB, {back:.1f} MB | | {ru_per_day():.0f} |")
    return "\n".join(lines)


def robots_table() -> str:
    numbers = (100, 10_000, 1_000_000)
    columns = [of(robots) for robots in numbers]
    lines = ["| robots | " + " | ".join(f"{robots:,}" for robots in numbers) + " |", "|---" * 4 + "|"]
    lines += [f"| {name} | " + " | ".join(show(column[name]) for column in columns) + " |" for name in columns[0]]
    return "\n".join(lines)


def limits_table() -> str:
    rows = [
        ("`a:<default account>`, request units", f"{PARTITION_RU:,} RU/s of a logical partition", robots_per_partition_ru()),
        ("`a:<default account>`, all start within a minute", f"{PARTITION_RU:,} RU/s of a logical partition", robots_in_a_minute()),
        ("`a:<default account>`, size", f"{PARTITION_GB} GB of a logical partition", robots_per_partition_gb()),
        ("storage account", f"{ACCOUNT_REQUESTS:,} requests/s", robots_per_storage_account()),
    ]
    lines = ["| what | limit | robots |", "|---|---|---|"]
    lines += [f"| {what} | {limit} | {show(robots)} |" for what, limit, robots in rows]
    lines.append(f"| a household's table partition | {TABLE_ENTITIES:,} entities/s | uses {show(entities_of_a_household())}/s: never the first |")
    return "\n".join(lines)


def plot() -> str:
    """Share of each limit that is used, against the number of robots, both logarithmic."""
    width, height, left, top, right, bottom = 760, 420, 70, 30, 230, 50
    xs, ys = (2, 7), (-6, 1)
    series = [
        ("RU/s of a:<default account>", "#c0392b", robots_per_partition_ru()),
        ("GB of a:<default account>", "#e59866", robots_per_partition_gb()),
        ("requests/s of a storage account", "#2471a3", robots_per_storage_account()),
    ]

    def x(robots: float) -> float:
        return left + (math.log10(robots) - xs[0]) / (xs[1] - xs[0]) * (width - left - right)

    def y(share: float) -> float:
        return top + (ys[1] - math.log10(share)) / (ys[1] - ys[0]) * (height - top - bottom)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for power in range(xs[0], xs[1] + 1):
        at = x(10**power)
        parts.append(f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{height - bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{height - bottom + 18}" text-anchor="middle">{10**power:,}</text>')
    for power in range(ys[0], ys[1] + 1):
        at = y(10.0**power)
        parts.append(f'<line x1="{left}" y1="{at:.1f}" x2="{width - right}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{100 * 10.0**power:g} %</text>')
    parts.append(f'<line x1="{left}" y1="{y(1):.1f}" x2="{width - right}" y2="{y(1):.1f}" stroke="black" stroke-dasharray="5 3"/>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">robots, all under one default account</text>')
    parts.append(f'<text x="{left}" y="{top - 12}">share of the limit at the busiest hour</text>')
    for i, (name, colour, capacity) in enumerate(series):
        first, last = 10 ** xs[0], 10 ** xs[1]
        last = min(last, capacity * 10 ** ys[1])
        parts.append(
            f'<line x1="{x(first):.1f}" y1="{y(first / capacity):.1f}" x2="{x(last):.1f}" y2="{y(last / capacity):.1f}" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{width - right + 12}" y="{top + 20 + 22 * i}" fill="{colour}">{name.replace("<", "&lt;").replace(">", "&gt;")}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def page(text: str) -> str:
    for name, table in (("calls", calls_table()), ("robots", robots_table()), ("limits", limits_table())):
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert pattern.search(text), f"docs/capacity.md has no part {name}"
        text = pattern.sub(lambda match, table=table: f"{match.group(1)}{table}\n{match.group(2)}", text)
    return text


def self_test() -> None:
    assert (read(100), read(100 * KB), read(1, latest=True)) == (1, 10, 2)
    assert (insert(451), insert(2 * KB), replace(451)) == (5.5, 11, 11)
    assert show(12345.6) == "12,300" and show(0.0123) == "0.012", (show(12345.6), show(0.0123))
    design = (DOCS / "design.md").read_text(encoding="utf-8")
    for call in CALLS:
        assert f"| {call.row}" in design, f"design.md has no budget {call.row!r}"
    twice = of(2_000_000)["Storage, requests/s at the peak"] / of(1_000_000)["Storage, requests/s at the peak"]
    assert math.isclose(twice, 2), "not proportional"


def main() -> int:
    self_test()
    target, picture = DOCS / "capacity.md", DOCS / "capacity.svg"
    text = target.read_text(encoding="utf-8")
    made, drawn = page(text), plot()
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, new in ((target, made), (picture, drawn)) if not path.exists() or path.read_text(encoding="utf-8") != new]
        for name in stale:
            print(f"docs/{name} is not what docs/capacity.py makes: run make capacity", file=sys.stderr)
        return 1 if stale else 0
    target.write_text(made, encoding="utf-8")
    picture.write_text(drawn, encoding="utf-8")
    print(calls_table(), robots_table(), limits_table(), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
