#!/usr/bin/env python3
"""Checks the infrastructure files: `make check-infra`. Installs its pinned packages into target/infra-check by itself, once.

Nothing is deployed, and nothing of Azure is asked. Where the Bicep CLI is on the path, it builds and lints too.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "infra-check"

# What the parameter files read from the environment, as it could be. infra/README.md lists them.
VARIABLES = {
    "OPENJIBO_ALERT_EMAIL": "on-call@example.com",
    "OPENJIBO_BUDGET_START": "2027-01-01",
    "OPENJIBO_DEV_ADDRESS": "203.0.113.7",
    "OPENJIBO_OPERATORS_ID": "00000000-0000-0000-0000-0000000000aa",
    "OPENJIBO_READ_REGION": "northeurope",
    "OPENJIBO_SUBNET_ID": "/subscriptions/00000000-0000-0000-0000-00000000beef/resourceGroups/rg-net"
    "/providers/Microsoft.Network/virtualNetworks/vnet/subnets/data",
}
ENVIRONMENTS = ("dev", "staging", "prod")


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
    """Problems of the files, and what each environment would be."""
    import evaluate
    import expectations
    import rules

    found = rules.all_rules(files, types)
    if found:
        return found, {}
    deployments = {}
    for environment in ENVIRONMENTS:
        deployment = evaluate.deploy(files, files.folder / f"{environment}.bicepparam", VARIABLES)
        deployments[environment] = deployment
        found += expectations.Expectations(deployment, environment, "", code, types).check()
    # The ways to deploy that no environment uses: a prefix, more principals, subnets, a private serverless account.
    other = "00000000-0000-0000-0000-0000000000bb"
    variants = {
        "staging": {"storePrefix": "jibo2", "appPrincipalIds": [other]},
        "dev": {"network": {"mode": "subnets", "subnetIds": [VARIABLES["OPENJIBO_SUBNET_ID"]]}},
        "dev ": {"network": {"mode": "private", "subnetId": VARIABLES["OPENJIBO_SUBNET_ID"]}},
    }
    for environment, changes in variants.items():
        environment = environment.strip()
        deployment = evaluate.deploy(files, files.folder / f"{environment}.bicepparam", VARIABLES, changes)
        prefix = changes.get("storePrefix", "")
        found += expectations.Expectations(deployment, environment, prefix, code, types).check()
    found += expectations.runbook(ROOT, deployments)
    return found, deployments


def compiled() -> list[str]:
    """What the Bicep CLI says, where there is one."""
    if shutil.which("bicep") is None:
        print("infra: the Bicep CLI is not on the path: build and lint are left out")
        return []
    found = []
    out = TARGET / "bicep"
    out.mkdir(parents=True, exist_ok=True)
    commands = [["bicep", "build", "infra/main.bicep", "--outdir", str(out)], ["bicep", "lint", "infra/main.bicep"]]
    commands += [["bicep", "build-params", f"infra/{name}.bicepparam", "--outfile", str(out / f"{name}.json")] for name in ENVIRONMENTS]
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **VARIABLES}, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode or "Warning" in done.stderr or "Warning" in done.stdout:
            found.append(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return found


def main() -> int:
    began = time.monotonic()
    sys.path.insert(0, str(HERE))
    import evaluate
    import expectations
    import scan
    import self_test
    import syntax

    code = expectations.read_code(ROOT)
    types = json.loads((HERE / "types.json").read_text(encoding="utf-8"))["types"]
    files = evaluate.Files(ROOT / "infra")
    try:
        found, deployments = check(files, code, types)
        readme = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
        found += [f"infra/README.md does not list {name}" for name in VARIABLES if f"`{name}`" not in readme]
        figures = " | ".join(str(len(deployment.resources)) for deployment in deployments.values())
        if deployments and f"prints them) | {figures} |" not in readme:
            found.append(f"infra/README.md does not say that the environments have {figures} resources")
        found += compiled()
        parts = {}
        if not found:
            scan.self_test(files)
            found, parts = scan.run(TARGET / "checkov", files, deployments)
    except syntax.Problem as problem:
        found = [str(problem)]
    for problem in found:
        print(f"infra: {problem}", file=sys.stderr)
    if found:
        return 1
    planted = self_test.main(ROOT, lambda changed: check(changed, code, types)[0])
    templates = [file for file in files.all() if not file.using]
    print(f"infra: {len(templates)} templates and {len(files.all()) - len(templates)} parameter files parsed, {len(types)} resource types, {planted} planted faults found")
    for environment, deployment in deployments.items():
        kinds = len({resource.type for resource in deployment.resources})
        print(f"infra: {environment}: {len(deployment.resources)} resources of {kinds} types, {len(deployment.outputs)} outputs")
        (TARGET / f"{environment}.env").write_text("".join(f"{name}={value}\n" for name, value in deployment.outputs.items()), encoding="utf-8")
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
