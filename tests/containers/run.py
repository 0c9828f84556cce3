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

ROOT = pathlib.Path(__file__).resolve().parents[2]
AZURITE = "mcr.microsoft.com/azure-storage/azurite"
COSMOS = "mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-preview"

NO_ENGINE = """no Docker engine answers: {why}

The container lane needs the command `docker` and an engine on this machine:
  Debian, Ubuntu   sudo apt-get install docker.io, and your user in the group docker
  others           https://docs.docker.com/engine/install/
An engine at another socket is named by DOCKER_HOST, such as unix:///run/user/1000/docker.sock. `make test` needs no engine."""


def fail(text: str) -> None:
    sys.exit(f"test-containers: {text}")


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
        fail(NO_ENGINE.format(why=answer.stderr.strip()))
    print(f"Docker engine {answer.stdout.strip()}", flush=True)


def lacks(image: str) -> str:
    """Why the image can't be had; nothing if the engine has it now."""
    if docker("image", "inspect", image).returncode == 0:
        return ""
    pulled = docker("pull", "--quiet", image)
    return pulled.stderr.strip() if pulled.returncode != 0 else ""


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


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--cosmos"]
    cosmos = len(arguments) < len(sys.argv) - 1
    check_engine()
    if not os.environ.get("OPENJIBO_AZURITE_IMAGE"):
        os.environ["OPENJIBO_AZURITE_IMAGE"] = azurite_image()
    print(f"Azurite: {os.environ['OPENJIBO_AZURITE_IMAGE']}", flush=True)
    if cosmos:
        image = os.environ.setdefault("OPENJIBO_COSMOS_IMAGE", COSMOS)
        if why := lacks(image):
            fail(f"not run: the lane on the Cosmos emulator was asked for, and its image {image} can't be had: {why}")
        print(f"Cosmos emulator: {image}", flush=True)

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
