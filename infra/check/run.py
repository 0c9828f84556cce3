#!/usr/bin/env python3
"""Checks the infrastructure files: `make check-infra`. Installs its pinned packages into target/infra-check by itself, once.

Nothing is deployed, and nothing of Azure is asked. Where there is the Bicep CLI, it builds and lints too.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "infra-check"

GROUP = "/subscriptions/00000000-0000-0000-0000-00000000beef/resourceGroups/rg-openjibo"
# Where names must be others: another group of the subscription, and a group of the same name in another one.
ELSEWHERE = (f"{GROUP}-2", GROUP.replace("beef", "feed"))
VNET = "/subscriptions/00000000-0000-0000-0000-00000000beef/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks"
OTHER = "00000000-0000-0000-0000-0000000000bb"

# What the parameter files read from the environment, as it could be. infra/README.md lists them.
VARIABLES = {
    "OPENJIBO_ALERT_EMAIL": "on-call@example.com",
    "OPENJIBO_BUDGET_START": "2027-01-01",
    "OPENJIBO_COSMOS_ID": f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/cosmos-ojibo-prd-example",
    "OPENJIBO_DEV_ADDRESS": "203.0.113.7",
    "OPENJIBO_DEVELOPER_ID": "00000000-0000-0000-0000-0000000000dd",
    "OPENJIBO_OPERATORS_ID": "00000000-0000-0000-0000-0000000000aa",
    "OPENJIBO_READ_REGION": "northeurope",
    "OPENJIBO_SECOND_SUBNET_ID": f"{VNET}/vnet-2/subnets/data",
    "OPENJIBO_STORAGE_ID": f"{GROUP}/providers/Microsoft.Storage/storageAccounts/stojiboprdexample",
    "OPENJIBO_SUBNET_ID": f"{VNET}/vnet/subnets/data",
    "OPENJIBO_VAULT_ID": f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-ojibo-prd-example",
}

# The ways to deploy that no parameter file uses: file, changed parameters.
VARIANTS = [
    ("staging", {"storePrefix": "jibo2", "appPrincipalIds": [OTHER]}),
    ("staging", {"createWrappingKey": False, "cosmosAccountName": "cosmos-restored"}),
    ("staging", {"logs": {"retentionDays": 30, "dailyCapGb": 5, "requestLogs": True}}),
    ("prod", {"network": {"mode": "private", "subnetId": f"{VNET}/vnet/subnets/data", "dnsResourceGroupId": f"{GROUP}-dns"}}),
    ("dev", {"network": {"mode": "subnets", "subnetIds": [f"{VNET}/vnet/subnets/data"]}}),
    ("dev", {"network": {"mode": "private", "subnetId": f"{VNET}/vnet/subnets/data"}}),
]


def interpreter() -> pathlib.Path:
    """A Python with the pinned packages; made anew when the pins change."""
    pins = (HERE / "requirements.txt").read_bytes()
    stamp = hashlib.sha256(pins + sys.version.encode()).hexdigest()
    home = TARGET / "venv"
    python = home / "bin" / "python"
    marker = home / "stamp"
    if not marker.exists() or marker.read_text() != stamp:
        shutil.rmtree(home, ignore_errors=True)
        print("infra: installing the pinned packages", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        # Every package of the tree is pinned, so nothing is left to resolve.
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", str(HERE / "requirements.txt")], check=True)
        marker.write_text(stamp)
    return python


def check(files, code, types) -> tuple[list[str], dict]:
    """Problems of the files, and what each parameter file would deploy, by its name."""
    import evaluate
    import monitoring
    import network
    import order
    import rules
    import services
    from expect import Expect
    from functions import Place

    # What each template is held to.
    parts = {
        "main.bicep": (
            services.everywhere, services.locks, services.cosmos, services.storage, services.vault, services.roles, services.spending,
            services.outputs, network.firewalls, monitoring.logs, monitoring.alerts, monitoring.workbook,
        ),
        "second-region.bicep": (services.everywhere, network.endpoints),
    }
    found = rules.all_rules(files, types) + order.one_at_a_time(files)
    found += [f"{template.name}: nothing says what it is held to" for template in files.templates() if template.name not in parts]
    if found:
        return found, {}
    deployments, by_name = {}, {}
    place = Place(GROUP, "westeurope", VARIABLES)
    for template in files.templates():
        for parameters in files.parameter_files(template):
            name = parameters.path.stem
            by_name[name] = parameters
            deployment = deployments[name] = evaluate.deploy(files, parameters, place)
            found += Expect(name, deployment, code, types).run(parts[template.name]) + order.waits(deployment)
            for group in ELSEWHERE:
                other = evaluate.deploy(files, parameters, Place(group, "westeurope", VARIABLES))
                found += services.elsewhere(name, deployment, other)
    for name, changes in VARIANTS:
        deployment = evaluate.deploy(files, by_name[name], place, changes)
        label = f"{name} with {', '.join(changes)}"
        found += Expect(label, deployment, code, types, changed=True).run(parts[deployment.template.name]) + order.waits(deployment)
    found += monitoring.runbook(ROOT, deployments)
    return found, deployments


def documented(files, deployments: dict) -> list[str]:
    """What infra/README.md leaves out: variables, and how many resources each environment has."""
    readme = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    found = [f"infra/README.md does not list {name}" for name in VARIABLES if f"`{name}`" not in readme]
    environments = re.search(r"^\| \| (dev \|.*) \|$", readme, re.MULTILINE).group(1).split(" | ")
    main = files.get(files.folder / "main.bicep")
    names = [parameters.path.stem for parameters in files.parameter_files(main)]
    if sorted(environments) != sorted(names):
        found.append(f"infra/README.md compares {environments}, there are {names}")
    elif deployments:
        figures = " | ".join(str(len(deployments[name].resources)) for name in environments)
        if f"prints them) | {figures} |" not in readme:
            found.append(f"infra/README.md does not say that {', '.join(environments)} have {figures} resources")
    return found


def bicep_cli() -> str | None:
    """The Bicep CLI: on the path, or where `az bicep install` puts it."""
    config = pathlib.Path(os.environ.get("AZURE_CONFIG_DIR") or "~/.azure").expanduser()
    return shutil.which("bicep") or shutil.which("bicep", path=str(config / "bin"))


def compiled(files) -> list[str]:
    """What the Bicep CLI says, where there is one."""
    bicep = bicep_cli()
    if bicep is None:
        print("infra: nothing was compiled: there is no Bicep CLI, neither on the path nor of `az bicep install`")
        return []
    out = TARGET / "bicep"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    commands = []
    for template in files.templates():
        path = f"infra/{template.name}"
        commands += [[bicep, "build", path, "--outdir", str(out)], [bicep, "lint", path]]
        commands += [[bicep, "build-params", f"infra/{one.name}", "--outfile", str(out / f"{one.path.stem}.json")] for one in files.parameter_files(template)]
    found = []
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **VARIABLES}, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        said = f"{done.stdout}{done.stderr}".splitlines()
        # The one that infra/bicepconfig.json leaves on purpose.
        warnings = [line for line in said if ": Warning " in line and not ("what-if-short-circuiting" in line and "identity.outputs.principalId" in line)]
        if done.returncode or warnings:
            found.append(f"{' '.join(command)}: " + "\n".join(warnings or said))
    print(f"infra: {bicep}: {len(commands)} commands, {len(found)} failed")
    return found


def main() -> int:
    began = time.monotonic()
    sys.path.insert(0, str(HERE))
    import evaluate
    import scan
    import self_test
    import source
    import syntax

    code = source.read_code(ROOT)
    types = json.loads((HERE / "types.json").read_text(encoding="utf-8"))["types"]
    files = evaluate.Files(ROOT / "infra")
    parts = {}
    try:
        found, deployments = check(files, code, types)
        found += documented(files, deployments) + compiled(files)
        if not found:
            scan.self_test(files)
            found, parts = scan.run(TARGET / "checkov", files, deployments)
    except syntax.Problem as problem:
        found = [str(problem)]
    for problem in found:
        print(f"infra: {problem}", file=sys.stderr)
    if found:
        return 1
    planted = self_test.main(files, lambda changed: check(changed, code, types)[0])
    count = sum(1 for file in files.all() if file.using)
    print(f"infra: {len(files.all()) - count} templates and {count} parameter files parsed, {len(types)} resource types, {planted} planted faults found")
    for name, deployment in deployments.items():
        kinds = len({resource.type for resource in deployment.resources})
        print(f"infra: {name}: {len(deployment.resources)} resources of {kinds} types, {len(deployment.outputs)} outputs")
        if deployment.outputs:
            (TARGET / f"{name}.env").write_text("".join(f"{key}={value}\n" for key, value in deployment.outputs.items()), encoding="utf-8")
    for part, results in parts.items():
        if part != "planted":
            print(f"infra: checkov, {part}: {len(results['passed'])} passed, {len(results['failed'])} failed, {len(results['skipped'])} skipped")
    reasons = {(check, reason) for results in parts.values() for (check, _, _), reason in results["skipped"].items()}
    for check_id, reason in sorted(reasons):
        print(f"infra: skipped {check_id}: {reason}")
    print(f"infra: {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    python = interpreter()
    if pathlib.Path(sys.prefix).resolve() != python.parents[1].resolve():
        os.execv(str(python), [str(python), "-B", str(pathlib.Path(__file__).resolve())])
    sys.exit(main())
