"""Reads report mails as a stranger would: dkimpy checks the signatures, parsedmarc the report, and
jsonschema holds the report against docs/tlsrpt.schema.json.

    check.py EXPECTED.json RECORDS.json FILE.eml...

EXPECTED.json says what each file must hold, by the file's name:
    {"a.eml": {"domain": "example.org", "report_id": "x@y", "success": 3, "failure": 1,
               "signatures": ["rsa-sha256", "ed25519-sha256"],
               "tlsa": [["mx.example.org", ["3 1 1 ..."]]],      (where it matters)
               "html": true}}                                     (there is HTML beside the text)
RECORDS.json is the DNS: {"SELECTOR._domainkey.DOMAIN": "v=DKIM1; ..."}.

Nothing is asked of the network. Ends with 1 and says why when anything differs.
"""

import email
import email.policy
import gzip
import html.parser
import json
import logging
import re
import sys
from pathlib import Path

import dkim
import jsonschema
from parsedmarc import parse_report_email

SCHEMA = Path(__file__).parents[2] / "docs/tlsrpt.schema.json"


class Differs(Exception):
    """A file is not what it must be."""


def want(what, seen, expected):
    if seen != expected:
        raise Differs(f"{what} is {seen!r}, expected {expected!r}")


def verdicts(message, records):
    """For each DKIM-Signature of a message: its algorithm, and whether it verifies."""

    def lookup(name, timeout=5):
        record = records.get(name.decode().rstrip("."))
        return record.encode() if record else None

    fields = email.message_from_bytes(message).get_all("DKIM-Signature") or []
    seen = []
    for index, field in enumerate(fields):
        algorithm = re.search(r"\ba=([a-z0-9-]+)", field).group(1)
        try:
            passed = dkim.DKIM(message, minkey=2048, tlsrpt=True).verify(
                idx=index, dnsfunc=lookup
            )
        except dkim.DKIMException:
            passed = False
        seen.append((algorithm, passed))
    return seen


def changed(message):
    """The message with one thing changed in each: no signature may survive any of them."""
    head, body = message.split(b"\r\n\r\n", 1)
    at = body.index(b"TLS report")
    flipped = bytes([body[at] ^ 0x20])
    last = body.rstrip().rindex(b"--")
    tail = body[:last].rstrip().rindex(b"\r\n") - 2
    yield "a letter of the text", head + b"\r\n\r\n" + body[:at] + flipped + body[at + 1 :]
    yield (
        "a character of the attachment",
        head + b"\r\n\r\n" + body[:tail] + bytes([body[tail] ^ 1]) + body[tail + 1 :],
    )
    yield "a line more", message + b"more\r\n"
    for name, old, new in [
        ("the Content-Type", b'report-type="tlsrpt"', b'report-type="tlsrpu"'),
        ("the boundary", b'boundary="=_', b'boundary="=-'),
        ("TLS-Report-Domain", b"\r\nTLS-Report-Domain: ", b"\r\nTLS-Report-Domain: x"),
        ("TLS-Report-Submitter", b"\r\nTLS-Report-Submitter: ", b"\r\nTLS-Report-Submitter: x"),
        ("the subject", b"\r\nSubject: Report", b"\r\nSubject: Repost"),
        ("the recipient", b"\r\nTo: ", b"\r\nTo: x"),
        ("a second From", b"\r\nSubject: ", b"\r\nFrom: evil@example.com\r\nSubject: "),
        ("a second Subject", b"\r\nDate: ", b"\r\nSubject: other\r\nDate: "),
    ]:
        if head.count(old) != 1:
            raise Differs(f"{old!r} is {head.count(old)} times in the header")
        yield name, head.replace(old, new) + b"\r\n\r\n" + body


def check_signatures(message, records, expected):
    seen = verdicts(message, records)
    want("the list of signatures", sorted(a for a, _ in seen), sorted(expected))
    for algorithm, passed in seen:
        want(f"the {algorithm} signature's validity", passed, True)
    for name, other in changed(message):
        for algorithm, passed in verdicts(other, records):
            want(f"with {name} changed, the {algorithm} signature's validity", passed, False)


def check_mime(message, expected):
    mail = email.message_from_bytes(message, policy=email.policy.default)
    want("the Content-Type", mail.get_content_type(), "multipart/report")
    want("report-type", mail.get_param("report-type"), "tlsrpt")
    want("the list of defects", mail.defects, [])
    parts = [part.get_content_type() for part in mail.iter_parts()]
    readable = "multipart/alternative" if expected.get("html") else "text/plain"
    want("the list of parts", parts, [readable, "application/tlsrpt+gzip"])
    if expected.get("html"):
        check_choice(next(mail.iter_parts()))
    want("TLS-Report-Domain", mail.get_all("TLS-Report-Domain"), [expected["domain"]])
    want("TLS-Required", mail.get_all("TLS-Required"), ["No"])
    contact_domain = mail["From"].addresses[0].domain
    want("TLS-Report-Submitter", mail.get_all("TLS-Report-Submitter"), [contact_domain])
    subject = (
        f"Report Domain: {expected['domain']} Submitter: {contact_domain} "
        f"Report-ID: <{expected['report_id']}>"
    )
    want("the subject", mail["Subject"], subject)
    name = list(mail.iter_parts())[1].get_filename()
    start = f"{contact_domain}!{expected['domain']}!"
    if not (name.startswith(start) and re.search(r"!\d+!\d+![0-9a-z]+\.json\.gz$", name)):
        raise Differs(f"the file name is {name!r}")
    for line in message.split(b"\r\n"):
        if len(line) > 998 or b"\r" in line or b"\n" in line or max(line, default=0) > 126:
            raise Differs(f"the line {line[:80]!r} is too long or not 7-bit with CRLF")


def check_choice(readable):
    """The text and the HTML beside it, as a mail program would take them."""
    want("the list of defects of the first part", readable.defects, [])
    parts = [part.get_content_type() for part in readable.iter_parts()]
    want("the list of what can be read", parts, ["text/plain", "text/html"])
    plain, page = [part.get_content() for part in readable.iter_parts()]
    if not (plain.startswith("TLS report for ") and page.startswith("<!DOCTYPE html>")):
        raise Differs(f"what can be read begins with {plain[:40]!r} and {page[:40]!r}")
    wanted = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "br", "section",
              "code", "table", "tr", "th", "td", "dl", "dt", "dd", "footer"}

    class Tags(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            names = {name for name, _ in attributes}
            if tag not in wanted or names - {"lang", "charset", "name", "content"}:
                raise Differs(f"the HTML has the element {tag} with {attributes}")

    Tags().feed(page)


def check_report(message, expected):
    parsed = parse_report_email(message, offline=True)
    want("parsedmarc's report type", parsed["report_type"], "smtp_tls")
    report = parsed["report"]
    want("the report id", report["report_id"], expected["report_id"])
    counts = {
        "success": sum(one["successful_session_count"] for one in report["policies"]),
        "failure": sum(one["failed_session_count"] for one in report["policies"]),
    }
    for key, seen in counts.items():
        want(f"the count of {key}", seen, expected[key])
    tlsa = []
    for one in report["policies"]:
        if one["policy_type"] == "tlsa":
            tlsa.append([one["policy_domain"], one.get("policy_strings") or []])
            want("an element's list of MX patterns", one.get("mx_host_patterns") or [], [])
        else:
            want("a policy domain", one["policy_domain"], expected["domain"])
    if "tlsa" in expected:
        want("the list of TLSA records", tlsa, expected["tlsa"])


def check_schema(message, validator):
    mail = email.message_from_bytes(message, policy=email.policy.default)
    report = json.loads(gzip.decompress(list(mail.iter_parts())[1].get_content()))
    for error in validator.iter_errors(report):
        raise Differs(f"{error.json_path}: {error.message}")
    # The schema minds: a report with something taken out or made another is not valid under it.
    for path, value in [
        (["contact-info"], None),
        (["date-range", "end-datetime"], "2024-05-15T23:59:59"),
        (["policies"], []),
        (["policies", 0, "policy", "policy-type"], "STS"),
        (["policies", 0, "policy", "policy-domain"], "Example.org"),
        (["policies", 0, "policy", "mx-host"], "mx.example.org"),
        (["policies", 0, "summary", "total-failure-session-count"], "3"),
        (["policies", 0, "failure-details"], None),
        (["policies", 0, "failure-details"], [{"result-type": "bad", "failed-session-count": 1}]),
        (["policies", 0, "failure-details"], [{"result-type": "tlsa-invalid"}]),
    ]:
        other = json.loads(json.dumps(report))
        inner = other
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        if validator.is_valid(other):
            raise Differs(f"the schema takes {path} = {value!r}")


def main(expected_path, records_path, *files):
    logging.disable(logging.CRITICAL)
    expected = json.loads(Path(expected_path).read_text())
    records = json.loads(Path(records_path).read_text())
    if not files:
        sys.exit("no file was given")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    wrong = 0
    for path in map(Path, files):
        try:
            wanted = expected.get(path.name)
            if wanted is None:
                raise Differs(f"{expected_path} says nothing of it")
            message = path.read_bytes()
            check_signatures(message, records, wanted["signatures"])
            check_mime(message, wanted)
            check_report(message, wanted)
            check_schema(message, validator)
            print(f"{path.name}: {', '.join(wanted['signatures'])} pass; the report is as expected")
        except Exception as error:  # whatever a consumer throws is what we are here to see
            wrong += 1
            print(f"{path.name}: {type(error).__name__}: {error}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
