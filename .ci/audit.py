"""Looks the packages of a lock file up among the known vulnerabilities.

Ends with 1 for a finding, for a package that could not be looked up, and for a lock that can't be read; with 0, and a
word of it, where the service of vulnerabilities was not reached: a machine without a network can't be told off for it.
Arguments: the lock file, then any of pip-audit's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

# pip-audit ends with 1 for these as well as for a finding; what it says last tells them apart.
_UNREACHED = re.compile(
    r"^requests\.exceptions\.|ServiceError|Could not connect to|blocking this service|not redirecting"
)


def main(lock: str, *options: str) -> int:
    """The exit code."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--requirement", lock]
    done = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        if _UNREACHED.search(last):
            return _not_audited(last)
        print(f"{lock} can't be audited: {last}")
        return 1
    skipped = [package["skip_reason"] for package in packages if "skip_reason" in package]
    if packages and len(skipped) == len(packages):
        # A mirror of packages answers so to every question about vulnerabilities.
        return _not_audited(skipped[0])
    found = [
        f"{package['name']} {package['version']}: {each['id']}, fixed in {', '.join(each['fix_versions']) or 'nothing'}"
        for package in packages
        for each in package.get("vulns", [])
    ]
    for line in [*skipped, *found]:
        print(line)
    print(f"{len(packages) - len(skipped)} packages of {lock} audited, {len(found)} known vulnerabilities")
    return 1 if found or skipped or done.returncode else 0


def _not_audited(reason: str) -> int:
    print(f"NOT AUDITED: the service of vulnerabilities was not reached ({reason[:300]})")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
