"""Judges AWS signatures with botocore: one JSON request per line in, one JSON verdict per line out."""

import base64
import datetime
import hashlib
import hmac
import json
import re
import sys
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<credential>[^,\s]+), "
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
NEEDED = {"host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}
MAX_SKEW = datetime.timedelta(minutes=5)


def fault_of(request):
    """Why AWS would refuse the request; None when it would not."""
    fields = {}
    for name, value in request["headers"]:
        fields.setdefault(name.lower(), []).append(value)
    doubled = [name for name in NEEDED | {"authorization", "content-type"} if len(fields.get(name, [])) > 1]
    if doubled:
        return f"sent twice: {doubled}"
    parsed = AUTHORIZATION.fullmatch(fields.get("authorization", [""])[0])
    if not parsed:
        return "Authorization is missing or malformed"
    signed = parsed["signed"].split(";")
    wanted = NEEDED | ({"content-type"} if "content-type" in fields else set())
    if not wanted <= set(signed):
        return f"not signed: {sorted(wanted - set(signed))}"
    if any(name not in fields for name in signed):
        return "signed, but not there"

    body = base64.b64decode(request["body"])
    if fields["host"][0] != request["host"]:
        return f"for host {fields['host'][0]}"
    if fields["x-amz-security-token"][0] != request["session_token"]:
        return "with another session token"
    if fields["x-amz-content-sha256"][0] != hashlib.sha256(body).hexdigest():
        return "over another body"
    timestamp = fields["x-amz-date"][0]
    sent = datetime.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    if abs(now - sent) > MAX_SKEW:
        return f"of {timestamp}"

    url = f"https://{request['host']}{request['target']}"
    aws_request = AWSRequest(method=request["method"], url=url, data=body)
    for name in signed:
        aws_request.headers[name] = fields[name][0]
    aws_request.context["timestamp"] = timestamp
    auth = SigV4Auth(
        Credentials(request["access_key"], request["secret_key"], request["session_token"]),
        request["service"],
        request["region"],
    )
    if parsed["credential"] != auth.scope(aws_request):
        return f"scope {parsed['credential']}, expected {auth.scope(aws_request)}"
    canonical = auth.canonical_request(aws_request)
    expected = auth.signature(auth.string_to_sign(aws_request, canonical), aws_request)
    if not hmac.compare_digest(expected, parsed["signature"]):
        return f"signature differs; canonical request: {canonical!r}"

    # Who reads the query and writes it anew, as AWS does, must come to the same.
    parts = urlsplit(url)
    anew = auth._canonical_query_string_params(parse_qsl(parts.query, keep_blank_values=True))
    if anew != auth._canonical_query_string_url(parts):
        return f"query can be read in two ways: {parts.query!r}"
    return None


for line in sys.stdin:
    try:
        verdict = fault_of(json.loads(line))
    except Exception as error:  # the test shows it
        verdict = f"{type(error).__name__}: {error}"
    print(json.dumps({"fault": verdict}), flush=True)
