# SPDX-License-Identifier: MIT
"""What the tests of `cofferdam inspect` share: its exit statuses, and the documented form of its JSON."""
import json

import jsonschema
from tap import ROOT, run

OK, FINDINGS, USAGE, BAD_INPUT, INCOMPLETE, SYSTEM = range(6)

SCHEMA = json.loads((ROOT / "docs" / "inspect.schema.json").read_text())


def _strict(schema):
    """The schema without members that it does not name: what is printed must be documented."""
    if isinstance(schema, dict):
        schema = {key: _strict(value) for key, value in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False
    elif isinstance(schema, list):
        schema = [_strict(value) for value in schema]
    return schema


_STRICT = _strict({"definitions": SCHEMA["definitions"]})["definitions"]


def validate(answer):
    """Checks one verb's object against its own definition: an error then says what is wrong."""
    definition = _STRICT[answer["verb"]]
    for error in jsonschema.Draft7Validator({**definition, "definitions": _STRICT}).iter_errors(answer):
        raise AssertionError(f"{list(error.absolute_path)}: {error.message}")
    assert jsonschema.Draft7Validator(SCHEMA).is_valid(answer)


def refuses(status, part, *arguments):
    """Runs inspect, which must fail with one line that holds part, and print nothing else."""
    done = run("inspect", *arguments)
    text = done.stderr.decode()
    assert done.returncode == status, f"{arguments}: status {done.returncode}, not {status}: {text}"
    assert done.stdout == b"", done.stdout
    assert text.startswith("cofferdam: inspect: ") and text.count("\n") == 1, text
    assert part in text, f"{text!r} does not hold {part!r}"
