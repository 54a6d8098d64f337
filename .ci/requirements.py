"""Prints the requirements of pyproject.toml: build, run time and the extra `dev`."""

import pathlib
import re
import sys

text = pathlib.Path(__file__).parent.parent.joinpath("pyproject.toml").read_text()
if sys.version_info >= (3, 11):
    import tomllib

    project = tomllib.loads(text)
    wanted = [
        *project["build-system"]["requires"],
        *project["project"].get("dependencies", []),
        *project["project"]["optional-dependencies"]["dev"],
    ]
else:  # 3.10 has no TOML reader: the three arrays are plain lists of strings
    wanted = []
    for name in ("requires", "dependencies", "dev"):
        found = re.search(rf"^{name} = \[(.*?)\]", text, re.M | re.S)
        wanted += re.findall(r'"([^"]+)"', found.group(1)) if found else []
print("\n".join(wanted))
