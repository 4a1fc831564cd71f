"""Runs the verifier of the docs over cases: JSON on standard input, a verdict for each on standard output."""

import base64
import json
import sys

from verify_assertion import verify


def verdict(case):
    try:
        verify(case["assertion"], case["method"], base64.b64decode(case["body"]))
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"


print(json.dumps([verdict(case) for case in json.load(sys.stdin)]))
