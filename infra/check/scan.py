"""checkov, on the files as they are and on each environment as it would be deployed.

checkov reads Bicep with a parser that knows no types, and passes over a file that it can't read; nor does it see into a resource under a
condition. So the files are read without types and conditions, every resource must have been seen, and a planted fault must have been
found. It does not work expressions out either: the environments are written out in plain values, where a setting of production is what
it will be.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

from evaluate import Deployment, Files
from syntax import Problem, named, text

# A skip for environments alone: `// only dev: checkov:skip=CKV_...:reason`.
SKIP = re.compile(r"//\s*(?:only ([a-z, ]+):\s*)?checkov:skip=([A-Z0-9_]+):(.+)")

PLANTED = """\
resource open 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: 'stplanted'
  location: 'westeurope'
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    minimumTlsVersion: 'TLS1_0'
    supportsHttpsTrafficOnly: false
  }
}
"""


def plain(source: str, file) -> str:
    """A template without types and conditions, on the same lines: a type becomes blank lines, a parameter of one an `object`."""
    data = bytearray(source.encode("utf-8"))

    def blank(node, end: int | None = None) -> None:
        for i in range(node.start_byte, end or node.end_byte):
            if data[i] != 0x0A:
                data[i] = 0x20

    for resource in file.resources.values():
        body = named(resource.value)[-1] if resource.value.type == "for_statement" else resource.value
        if body.type == "if_statement":
            blank(body, named(body)[-1].start_byte)
    children = named(file.root)
    for i, node in enumerate(children):
        if node.type == "type_declaration":
            blank(node)
            if i and children[i - 1].type == "decorators":
                blank(children[i - 1])
    result = data.decode("utf-8")
    for declared in file.params.values():
        written = text(declared.type)
        if written.removesuffix("?") in file.types:
            basic = "object"
        elif written.endswith("[]"):
            basic = "array"
        elif written.startswith("'"):
            basic = "string"
        else:
            continue
        result = re.sub(rf"^param {declared.name} {re.escape(written)}", f"param {declared.name} {basic}", result, flags=re.MULTILINE)
    return result


def bicep(value, indent: int = 0) -> str:
    """A value as Bicep writes it."""
    pad = "  " * indent
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(int(value))
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("${", "\\${") + "'"
    if isinstance(value, list):
        if not value:
            return "[]"
        return "[\n" + "".join(f"{pad}  {bicep(item, indent + 1)}\n" for item in value) + f"{pad}]"
    if not value:
        return "{}"
    lines = []
    for key, item in value.items():
        if item is not None:
            name = key if re.fullmatch(r"[A-Za-z_]\w*", key) else f"'{key}'"
            lines.append(f"{pad}  {name}: {bicep(item, indent + 1)}\n")
    return "{\n" + "".join(lines) + f"{pad}}}"


def skips(files: Files) -> dict[str, list]:
    """Skips beside each resource, by file:line of its declaration."""
    found = {}
    for file in files.all():
        for resource in file.resources.values():
            found[file.at(resource.node)] = SKIP.findall(text(resource.node))
    return found


def written_out(deployment: Deployment, environment: str, beside: dict) -> str:
    parts = []
    for i, resource in enumerate(deployment.resources):
        body = dict(resource.body)
        if resource.type == "Microsoft.Insights/workbooks":
            body["properties"] = {**body["properties"], "serializedData": "..."}
        lines = [f"resource r{i:03d} '{resource.type}@{resource.version}' = {{"]
        for only, check, reason in beside.get(resource.declared, []):
            if not only or environment in re.split(r"[, ]+", only.strip()):
                lines.append(f"  // checkov:skip={check}:{reason.strip()}")
        lines.append(bicep(body)[2:])
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def prepare(folder: pathlib.Path, files: Files, deployments: dict) -> dict[str, int]:
    """Writes what checkov reads; answers how many resources it must see in each part."""
    shutil.rmtree(folder, ignore_errors=True)
    expected = {}
    for file in files.all():
        if file.path.suffix == ".bicep":
            target = folder / "files" / files.relative(file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(plain(file.source, file), encoding="utf-8")
    expected["files"] = sum(1 for file in files.all() for resource in file.resources.values() if not resource.existing)
    beside = skips(files)
    for environment, deployment in deployments.items():
        target = folder / environment / f"{environment}.bicep"
        target.parent.mkdir(parents=True)
        target.write_text(written_out(deployment, environment, beside), encoding="utf-8")
        expected[environment] = len(deployment.resources)
    (folder / "planted").mkdir()
    (folder / "planted" / "planted.bicep").write_text(PLANTED, encoding="utf-8")
    return expected


def seen_resources(folder: pathlib.Path, part: str) -> int:
    """Resources that checkov's own parser finds."""
    import pycep

    count = 0
    for path in (folder / part).rglob("*.bicep"):
        parsed = pycep.BicepParser().parse(text=path.read_text(encoding="utf-8"))
        count += sum(1 for resource in parsed.get("resources", {}).values() if not resource.get("existing"))
    return count


def self_test(files: Files) -> None:
    """checkov's parser can't read main.bicep as it is, and reads it without its types; and a value comes back as it was written out."""
    import pycep

    main = files.get(files.folder / "main.bicep")
    try:
        read = bool(pycep.BicepParser().parse(text=main.source))
    except Exception:  # of several kinds, all of them the parser's
        read = False
    assert not read, "checkov reads types by now: scan.plain is not needed any more"
    assert set(pycep.BicepParser().parse(text=plain(main.source, main))["parameters"]) == set(main.params)
    assert bicep({"a": ["it's", True, 3, None, {}], "odata.type": "x"}) == "{\n  a: [\n    'it\\'s'\n    true\n    3\n    null\n    {}\n  ]\n  'odata.type': 'x'\n}"
    assert SKIP.findall("// only dev, staging: checkov:skip=CKV_AZURE_1:why\n// checkov:skip=CKV_AZURE_2:so") == [
        ("dev, staging", "CKV_AZURE_1", "why"),
        ("", "CKV_AZURE_2", "so"),
    ]


def run(folder: pathlib.Path, files: Files, deployments: dict) -> tuple[list[str], dict]:
    """Problems, and per part: passed, failed, skipped."""
    expected = prepare(folder, files, deployments)
    found = []
    for part, count in expected.items():
        seen = seen_resources(folder, part)
        if seen != count:
            found.append(f"checkov sees {seen} of {count} resources of {part}")
    command = [pathlib.Path(sys.executable).parent / "checkov", "--framework", "bicep", "--skip-download", "--output", "json", "-d", str(folder)]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise Problem(f"checkov: {done.stdout[-500:]}{done.stderr[-1500:]}") from error
    results = report["results"]
    found += [f"checkov can't read {path}" for path in results.get("parsing_errors", [])]
    parts = {part: {"passed": set(), "failed": set(), "skipped": {}} for part in [*expected, "planted"]}
    for outcome in ("passed", "failed", "skipped"):
        for check in results.get(f"{outcome}_checks", []):
            part = check["file_path"].strip("/").split("/")[0]
            key = (check["check_id"], check["resource"], check["file_path"])
            if outcome == "skipped":
                parts[part]["skipped"][key] = check["check_result"].get("suppress_comment", "")
            else:
                parts[part][outcome].add(key)
            if outcome == "failed" and part != "planted":
                lines = "-".join(str(line) for line in check["file_line_range"])
                found.append(f"checkov {check['check_id']} in {check['file_path'].strip('/')}:{lines}: {check['check_name']}")
    if not {check for check, _, _ in parts["planted"]["failed"]} >= {"CKV_AZURE_3", "CKV_AZURE_35", "CKV_AZURE_44"}:
        found.append("checkov does not find the planted faults: a storage account with http, old TLS and without network rules")
    crashed = set(re.findall(r"Failed to run check (CKV\w+) on (\S+)", done.stderr))
    judged = {check for part in deployments for group in ("passed", "failed", "skipped") for check, _, _ in parts[part][group]}
    for check, where in sorted(crashed):
        if check not in judged:
            found.append(f"checkov could not run {check} on {where}, nor on any environment")
    applied = {check for part in parts.values() for check, _, _ in part["skipped"]}
    for where, beside in skips(files).items():
        found += [f"{where}: the skip of {check} skips nothing" for _, check, _ in beside if check not in applied]
    for (check, resource, _), reason in {key: value for part in parts.values() for key, value in part["skipped"].items()}.items():
        if not reason:
            found.append(f"checkov skips {check} on {resource} without a reason")
    return found, parts
