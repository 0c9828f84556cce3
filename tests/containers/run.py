#!/usr/bin/env python3
"""Runs the behaviour suite on services in containers: checks the engine, finds the images, builds, tests.

`--cosmos` adds the lane on the Cosmos Linux emulator; what else is given goes to the tests, such as a filter. The exit code is that of the
tests, 1 when an engine or an image is missing."""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parents[2]
AZURITE = "mcr.microsoft.com/azure-storage/azurite"
COSMOS = "mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-latest"


def fail(text: str) -> None:
    sys.exit(f"test-containers: {text}")


def one_line(text: str) -> str:
    return " ".join(text.split())


def docker(*arguments: str) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        return subprocess.CompletedProcess(arguments, 127, "", str(error))


def check_engine() -> None:
    # The tests know DOCKER_HOST and the usual sockets; a context is the command's own.
    if not os.environ.get("DOCKER_HOST"):
        context = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        if context.returncode == 0 and context.stdout.strip():
            os.environ["DOCKER_HOST"] = context.stdout.strip()
    # The exit code of `docker info` is 0 without an engine, too.
    answer = docker("version", "--format", "{{.Server.Version}}")
    if answer.returncode != 0:
        fail(f"no Docker engine answers: {one_line(answer.stderr)} (docs/containers.md says how to get one)")
    print(f"Docker engine {answer.stdout.strip()}", flush=True)


def lacks(image: str) -> str:
    """Why the image can't be had; nothing if the engine has it now."""
    if docker("image", "inspect", image).returncode == 0:
        return ""
    pulled = docker("pull", "--quiet", image)
    if pulled.returncode == 0:
        return ""
    return one_line(pulled.stderr) or "docker pull says nothing"


def azurite_image() -> str:
    lock = json.loads((ROOT / "tests/support/azurite/package-lock.json").read_text(encoding="utf-8"))
    public = f"{AZURITE}:{lock['packages']['node_modules/azurite']['version']}"
    why = lacks(public)
    if not why:
        return public
    print(f"{public} can't be pulled ({why}): an image is made of the locked npm install", flush=True)
    made = subprocess.run([ROOT / "tests/containers/azurite-image.sh"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if made.returncode != 0:
        fail("no image of Azurite; OPENJIBO_AZURITE_IMAGE names one")
    return made.stdout.strip()


def use(variable: str, default: Callable[[], str]) -> None:
    """Lets the tests have the image that a variable names, else the default, and prints which build of it the engine has."""
    named = os.environ.get(variable)
    image = named or default()
    if why := lacks(image):
        fail(f"not run: {image}, {f'named by {variable}' if named else f'the default of {variable}'}, can't be had: {why}")
    os.environ[variable] = image
    build = docker("image", "inspect", "--format", "{{.Id}} {{.RepoDigests}}", image).stdout.strip()
    print(f"{variable}={image} {build}", flush=True)


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--cosmos"]
    cosmos = len(arguments) < len(sys.argv) - 1
    check_engine()
    if cosmos:
        use("OPENJIBO_COSMOS_IMAGE", lambda: COSMOS)
    use("OPENJIBO_AZURITE_IMAGE", azurite_image)

    build = ["cargo", "test", "--locked", "-p", "openjibo-store-containers", *(["--features", "cosmos"] if cosmos else [])]
    began = time.monotonic()
    built = subprocess.run([*build, "--no-run"], cwd=ROOT)
    if built.returncode != 0:
        return built.returncode
    print(f"built in {time.monotonic() - began:.0f} s", flush=True)

    began = time.monotonic()
    tests = subprocess.Popen(
        [*build, "--", *arguments],
        cwd=ROOT,
        # Tests on the services wait more than they compute.
        env={"RUST_TEST_THREADS": "6", **os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    # It ends when the containers are gone: what removes them holds the other end.
    for line in tests.stdout:
        print(line, end="", flush=True)
    code = tests.wait()
    print(f"tests and their containers ended after {time.monotonic() - began:.0f} s", flush=True)
    if not cosmos:
        print("not run: the suite on the Cosmos Linux emulator; `make test-containers COSMOS=1` adds it", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
