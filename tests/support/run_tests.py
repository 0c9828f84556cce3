#!/usr/bin/env python3
"""Builds everything once, starts one set of emulators, runs all tests against it and stops it.

Arguments go to the tests, such as a filter. The exit code is that of the tests."""

import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What tests on the emulators would spend a third of the processor's time on: each client reads the system's root certificates, although
# the emulators speak plain HTTP (those of the HTTPS tests bring their own), and each error of an SDK walks the stack.
QUICK = {"SSL_CERT_FILE": str(ROOT / "tests/support/nobody.pem"), "RUST_LIB_BACKTRACE": "0"}
# The tests' own selection, so that nothing is built twice.
BUILD = ["cargo", "test", "--locked", "--all-features"]


def minutes(since: float) -> str:
    return f"{(time.monotonic() - since) / 60:.1f} min"


def target_folder() -> pathlib.Path:
    command = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]
    answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return pathlib.Path(json.loads(answer.stdout)["target_directory"])


def main() -> int:
    began = time.monotonic()
    built = subprocess.run([*BUILD, "--no-run"], cwd=ROOT).returncode
    if built != 0:
        return built
    print(f"built in {minutes(began)}", flush=True)

    # They end with this process, whatever ends it: their standard input ends then.
    program = target_folder() / "debug" / "openjibo-emulators"
    emulators = subprocess.Popen([program, "--with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        ready = emulators.stdout.readline().strip()
        if not ready:
            print(f"the emulators did not start: exit code {emulators.wait()}", file=sys.stderr)
            return 1
        environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_DIR"}
        tests = subprocess.run(
            [*BUILD, "--", *sys.argv[1:]],
            cwd=ROOT,
            # Tests on the emulators wait more than they compute.
            env={"RUST_TEST_THREADS": "4", **environment, **QUICK, "OPENJIBO_EMULATORS": ready},
            stdin=subprocess.DEVNULL,
        )
        return tests.returncode
    finally:
        emulators.stdin.close()
        try:
            emulators.wait(timeout=10)
        except subprocess.TimeoutExpired:
            emulators.terminate()
        print(f"tests ended after {minutes(began)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
