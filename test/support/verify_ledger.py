#!/usr/bin/env python3
"""Verifies an export of a Tributary ledger, written from proto/LEDGER.md alone, with the standard library alone.

    verify_ledger.py FILE... [--log-key BASE64] [--root root.json] [--head FILE] [--witnesses N]

Prints one line of JSON for each file. Exit codes are those of proto/ERRORS.md: 0 where everything is in order.
"""
import argparse
import base64
import hashlib
import json
import re
import sys

EXIT = {"USAGE": 10, "SIGNATURE_INVALID": 28, "PROOF_INVALID": 47, "FORMAT_UNSUPPORTED": 63, "ROSTER_INVALID": 81,
        "ROSTER_EXPIRED": 82, "LEDGER_FORKED": 85, "LEDGER_SHORTENED": 86, "EXPORT_CORRUPT": 87, "WITNESSES_TOO_FEW": 88}
LINE_BYTES = 6 * 512 * 1024 + 16 * 1024
MUTABLE = ("suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)


class Wrong(Exception):
    def __init__(self, code, what, seq=None, line=None):
        super().__init__(what)
        self.code, self.what, self.seq, self.line = code, what, seq, line


# ---- Canonical JSON (RFC 8785) -------------------------------------------------------------------------------------

class Number(str):
    """A number that is no integer, as it is written: only documents inside of entries have any."""


def canonical(value):
    if isinstance(value, Number):
        return str(value)
    if value is None or isinstance(value, (bool, int, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    # Keys sort by UTF-16 code units.
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(canonical(key) + ":" + canonical(value[key]) for key in keys) + "}"


def parse(text):
    """Text that must be canonical: whatever does not print as the same text again raises ValueError."""
    value = json.loads(text, parse_float=Number, parse_constant=Number)
    if canonical(value) != text:
        raise ValueError("not canonical")
    text.encode()
    return value


def integers_only(value):
    if isinstance(value, (list, dict)):
        return all(map(integers_only, value.values() if isinstance(value, dict) else value))
    whole = not isinstance(value, int) or abs(value) < 2**53
    return value is not None and whole and not isinstance(value, Number)


# ---- The tree (RFC 6962, 2.1) --------------------------------------------------------------------------------------

def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(data):
    return sha256(b"\0" + data)


def node(left, right):
    return sha256(b"\1" + left + right)


class Tree:
    """Roots of complete subtrees, the largest first: their sizes are the binary digits of the number of leaves."""

    def __init__(self):
        self.size, self.roots = 0, []

    def append(self, hashed):
        size = self.size = self.size + 1
        while size % 2 == 0:
            hashed, size = node(self.roots.pop(), hashed), size // 2
        self.roots.append(hashed)

    def root(self):
        whole = None
        for part in reversed(self.roots):
            whole = part if whole is None else node(part, whole)
        return sha256(b"") if whole is None else whole


def included(index, size, hashed, path, root):
    """RFC 9162, 2.1.3.2."""
    if index >= size:
        return False
    last = size - 1
    for other in path:
        if last == 0:
            return False
        if index % 2 or index == last:
            hashed = node(other, hashed)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            hashed = node(hashed, other)
        index, last = index // 2, last // 2
    return last == 0 and hashed == root


def continues(first, second, old_root, new_root, path):
    """RFC 9162, 2.1.4.2, for 0 < first <= second."""
    if first == second:
        return not path and old_root == new_root
    index, last, path = first - 1, second - 1, list(path)
    while index % 2:
        index, last = index // 2, last // 2
    if index == 0:
        path.insert(0, old_root)
    if not path:
        return False
    old = new = path.pop(0)
    for other in path:
        if last == 0:
            return False
        if index % 2 or index == last:
            old, new = node(other, old), node(other, new)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            new = node(new, other)
        index, last = index // 2, last // 2
    return last == 0 and old == old_root and new == new_root


# ---- Ed25519 (RFC 8032, 5.1.7) -------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    e, f = (y1 - x1) * (y2 - x2), (y1 + x1) * (y2 + x2)
    g, h = 2 * t1 * t2 * D, 2 * z1 * z2
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n % 2:
            result = add(result, point)
        point, n = add(point, point), n // 2
    return result


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y % 2**255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * I % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x % 2 != sign else x
    return x, y, 1, x * y % P


def packed(p):
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x % 2) << 255).to_bytes(32, "little")


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(key, message, signature):
    public = point(key) if len(key) == 32 and len(signature) == 64 else None
    s = int.from_bytes(signature[32:], "little")
    if public is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    negative = (P - public[0], public[1], 1, P - public[3])
    return packed(add(times(s, BASE), times(h, negative))) == signature[:32]


def statement(context, fields):
    return canonical({**fields, "context": "tributary.v1/" + context}).encode()


def require_signature(key, context, fields, signature, what):
    try:
        good = signed(unbase64(key, 32), statement(context, fields), unbase64(signature, 64))
    except ValueError:
        good = False
    if not good:
        raise Wrong("SIGNATURE_INVALID", f"the signature of {what} does not match")


# ---- Forms -----------------------------------------------------------------------------------------------------------

def unbase64(text, length):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text or len(data) != length:
        raise ValueError("not base64")
    return data


def unhex(text):
    if not re.fullmatch("[0-9a-f]{64}", text, re.ASCII):
        raise ValueError("not hex")
    return bytes.fromhex(text)


def is_size(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def is_text(value, most=256):
    return type(value) is str and len(value.encode("utf-16-le")) // 2 <= most


def is_hash(value):
    return type(value) is str and re.fullmatch("[0-9a-f]{64}", value, re.ASCII) is not None


def is_bytes(length):
    def check(value):
        try:
            return type(value) is str and len(unbase64(value, length)) == length
        except ValueError:
            return False
    return check


def is_path(value):
    return isinstance(value, list) and len(value) <= 106 and all(map(is_hash, value))


def is_part(value):
    form = {"from": is_size, "to": is_size, "job": is_text}
    return isinstance(value, dict) and all(k in form and form[k](v) for k, v in value.items())


FORMS = {
    "LedgerExport": ({"formatVersion": lambda v: v == 1 and is_size(v), "logId": is_hash, "logKey": is_bytes(32),
                      "cosignatures": is_size},
                     {"part": is_part, "redacted": lambda v: isinstance(v, list) and len(v) <= 64 and all(map(is_text, v))}),
    "TreeHead": ({"logId": is_hash, "treeSize": lambda v: is_size(v) and v > 0, "rootHash": is_hash, "time": is_text,
                  "signature": is_bytes(64)}, {}),
    "Cosignature": ({"agentId": is_text, "identityKey": is_bytes(32), "treeSize": is_size, "rootHash": is_hash,
                     "time": is_text, "signature": is_bytes(64)}, {"consistency": is_path}),
    "Entry": ({"seq": is_size, "leafHash": is_hash, "entry": lambda v: type(v) is str}, {"path": is_path}),
    "Redacted": ({"seq": is_size, "leafHash": is_hash}, {"path": is_path}),
    "End": ({"entries": is_size, "digest": lambda v: is_text(v) and re.fullmatch("sha256:[0-9a-f]{64}", v, re.ASCII) is not None}, {}),
}


def read_line(data):
    try:
        if len(data) > LINE_BYTES:
            raise ValueError("too long")
        line = parse(data.decode())
        kind = line["kind"]
        if kind == "LedgerExport" and is_size(line.get("formatVersion")) and line["formatVersion"] > 1:
            raise Wrong("FORMAT_UNSUPPORTED", "the export is of a newer format")
        required, optional = FORMS[kind]
        rest = {key: value for key, value in line.items() if key != "kind"}
        if not (required.keys() <= rest.keys() <= required.keys() | optional.keys()):
            raise ValueError("other members")
        if not all({**required, **optional}[key](value) for key, value in rest.items()):
            raise ValueError("a member of another form")
        return kind, rest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Wrong("EXPORT_CORRUPT", f"not a line of an export: {error}") from error


def read_entry(text, seq):
    try:
        entry = parse(text)
        if sorted(entry) != ["actor", "body", "seq", "subject", "time", "type", "v"]:
            raise ValueError("other members than an entry")
        if is_size(entry["v"]) and entry["v"] > 1:
            raise Wrong("FORMAT_UNSUPPORTED", "a newer version wrote the entry")
        texts = [entry[name] for name in ("actor", "seq", "subject", "time", "type")]
        fine = all(type(value) is str for value in texts) and isinstance(entry["body"], dict)
        if not fine or entry["v"] != 1 or not is_size(entry["v"]) or entry["seq"] != str(seq):
            raise ValueError("another entry")
        if not TIME.fullmatch(entry["time"]) or not integers_only(entry["body"]):
            raise ValueError("no time, or a body with other numbers than integers")
        return entry
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Wrong("EXPORT_CORRUPT", f"not an entry: {error}") from error


# ---- Statements inside of entries ------------------------------------------------------------------------------------

def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_author(body):
    try:
        document = parse(body["document"])
        spec = {key: value for key, value in document["spec"].items() if key not in MUTABLE}
        said = {"apiVersion": document["apiVersion"], "kind": document["kind"],
                "metadata": {"name": document["metadata"]["name"]}, "spec": spec}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Wrong("SIGNATURE_INVALID", "the document is not what its author signed") from error
    require_signature(body["authorKey"], "document", {"document": said}, body["signature"], "the document")
    return True


class Rosters:
    """From the trusted root on: each roster by the root in force, each new root by the one before."""

    def __init__(self, trusted):
        self.trusted, self.root, self.members = trusted, None, {}

    def threshold(self, context, fields, signatures):
        keys = {holder["key"] for holder in self.root["keys"]}
        for one in signatures:
            good = one["key"] in keys
            if not good or not signed(unbase64(one["key"], 32), statement(context, fields), unbase64(one["signature"], 64)):
                raise Wrong("ROSTER_INVALID", "a signature is not one of the root")
        if len({one["key"] for one in signatures}) < self.root["threshold"]:
            raise Wrong("ROSTER_INVALID", "too few keys of the root signed")

    def publish(self, body, time):
        document = parse(body["document"])
        roster = document["roster"]
        if self.root is None:
            if roster["root"] != digest(canonical(self.trusted)):
                return False
            self.root = self.trusted
        if roster["root"] != digest(canonical(self.root)) or roster["federation"] != self.root["name"]:
            raise Wrong("ROSTER_INVALID", "the roster is of another root")
        self.threshold("roster", {"roster": roster}, document["signatures"])
        if time >= roster["expires"]:
            raise Wrong("ROSTER_EXPIRED", "the roster had expired")
        self.members = {member["agentId"]: member for member in roster["members"]}
        return True

    def rotate(self, body):
        document = parse(body["document"])
        rotation = document["rotation"]
        if self.root is None and canonical(rotation["previous"]) != canonical(self.trusted):
            if canonical(rotation["root"]) == canonical(self.trusted):
                self.root = self.trusted
            return False
        self.root = self.root or self.trusted
        if canonical(rotation["previous"]) != canonical(self.root) or rotation["root"]["name"] != self.root["name"]:
            raise Wrong("ROSTER_INVALID", "the hand-over is of another root")
        self.threshold("root", {"rotation": rotation}, document["signatures"])
        self.root = rotation["root"]
        return True


# ---- The file, line by line ------------------------------------------------------------------------------------------

class Audit:
    def __init__(self, log_key=None, root=None, seen=None):
        self.log_key, self.seen = log_key, seen
        self.rosters = Rosters(root) if root else None
        self.line, self.last, self.agreed, self.ended = 0, -1, 0, False
        self.bytes = hashlib.sha256()
        self.header = self.head = self.model_key = None
        self.cosignatures, self.claims, self.agents, self.jobs = [], {}, {}, {}
        self.tree, self.entries, self.redacted, self.checked, self.unchecked = Tree(), 0, 0, 0, 0

    def whole(self):
        return self.header is not None and "part" not in self.header

    def expected(self):
        before = 3 + (self.header["cosignatures"] if self.header else 0)
        return self.last + 1 if self.whole() and self.head and self.line >= before else None

    def push(self, data):
        self.line += 1
        if self.ended:
            raise Wrong("EXPORT_CORRUPT", "a line after the end", -1)
        kind, line = read_line(data)
        if kind != "End":
            self.bytes.update(data + b"\n")
        {"LedgerExport": self.begin, "TreeHead": self.take_head, "Cosignature": self.witness, "Entry": self.entry,
         "Redacted": self.entry, "End": self.end}[kind](line)

    def begin(self, header):
        if self.line != 1:
            raise Wrong("EXPORT_CORRUPT", "a header that is not the first line", -1)
        key = unbase64(header["logKey"], 32)
        if sha256(key).hex() != header["logId"] or (self.log_key and self.log_key != key):
            raise Wrong("SIGNATURE_INVALID", "the export is of a log with another key", -1)
        self.header = header

    def check_head(self, head):
        if not TIME.fullmatch(head["time"]) or head["logId"] != self.header["logId"]:
            raise Wrong("SIGNATURE_INVALID", "the head is of another log, or has no time")
        fields = {"logId": head["logId"], "rootHash": head["rootHash"], "time": head["time"],
                  "treeSize": str(head["treeSize"]), "v": 1}
        require_signature(self.header["logKey"], "tree-head", fields, head["signature"], "the head")

    def take_head(self, head):
        if self.header is None or self.line != 2:
            raise Wrong("EXPORT_CORRUPT", "the head is the second line", -1)
        self.check_head(head)
        self.head, seen = head, self.seen
        if seen is None:
            return
        if seen["logId"] != head["logId"]:
            raise Wrong("SIGNATURE_INVALID", "the head seen before is of another log", -1)
        self.check_head(seen)
        if seen["treeSize"] > head["treeSize"]:
            raise Wrong("LEDGER_SHORTENED", "the ledger is shorter than before", -1)
        if seen["treeSize"] == head["treeSize"] and seen["rootHash"] != head["rootHash"]:
            raise self.forked()
        if self.whole():
            self.claims.setdefault(seen["treeSize"], []).append(seen["rootHash"])
        elif seen["treeSize"] < head["treeSize"]:
            raise Wrong("USAGE", "a part cannot be compared with a head of another size", -1)

    def witness(self, said):
        if self.head is None or self.last >= 0:
            raise Wrong("EXPORT_CORRUPT", "cosignatures stand between the head and the entries", -1)
        before = self.cosignatures[-1]["treeSize"] if self.cosignatures else 0
        size, full = said["treeSize"], len(self.cosignatures) == self.header["cosignatures"]
        if size > self.head["treeSize"] or before > size or full:
            raise Wrong("EXPORT_CORRUPT", "cosignatures are counted, in order, and go up to the head", -1)
        if not TIME.fullmatch(said["time"]) or size < 1:
            raise Wrong("SIGNATURE_INVALID", "the cosignature has no time or no entries")
        fields = {"agentId": said["agentId"], "logId": self.head["logId"], "rootHash": said["rootHash"],
                  "time": said["time"], "treeSize": str(size), "v": 1}
        require_signature(said["identityKey"], "cosignature", fields, said["signature"], "the cosignature")
        if not self.whole():
            path = [unhex(step) for step in said.get("consistency", [])]
            roots = unhex(said["rootHash"]), unhex(self.head["rootHash"])
            if not continues(size, self.head["treeSize"], *roots, path):
                raise self.forked()
        self.cosignatures.append(said)
        self.claims.setdefault(size, []).append(said["rootHash"])

    def entry(self, line):
        if self.head is None or len(self.cosignatures) != self.header["cosignatures"]:
            raise Wrong("EXPORT_CORRUPT", "an entry before the head and its cosignatures", -1)
        seq, hashed = line["seq"], unhex(line["leafHash"])
        if self.whole() and seq != self.last + 1:
            raise Wrong("EXPORT_CORRUPT", f"entry {self.last + 1} is missing here", self.last + 1)
        if seq <= self.last:
            raise Wrong("EXPORT_CORRUPT", f"entry {seq} is out of order", seq)
        if seq >= self.head["treeSize"]:
            raise Wrong("EXPORT_CORRUPT", "the entry is beyond the head", seq)
        entry = None
        if "entry" in line:
            if leaf(line["entry"].encode()) != hashed:
                raise Wrong("EXPORT_CORRUPT", "the entry does not match its hash", seq)
            entry = self.at(seq, lambda: read_entry(line["entry"], seq))
        self.prove(line, seq, hashed)
        if entry is None:
            self.redacted += 1
        else:
            self.entries += 1
            self.judge(entry, seq)
        self.last = seq
        if self.whole():
            self.append(hashed)

    def prove(self, line, seq, hashed):
        if self.whole() and "path" not in line:
            return
        path = [unhex(step) for step in line["path"]] if "path" in line else None
        if path is None or not included(seq, self.head["treeSize"], hashed, path, unhex(self.head["rootHash"])):
            raise Wrong("PROOF_INVALID", "the entry is not in the tree of the signed head", seq)

    def judge(self, entry, seq):
        verdict = self.at(seq, lambda: self.statement(entry))
        if verdict:
            self.checked += 1
        if verdict is not False:
            return
        if self.whole() and not self.redacted and entry["type"] not in ("roster.published", "root.rotated"):
            raise Wrong("SIGNATURE_INVALID", "refers to what the ledger does not hold", seq)
        self.unchecked += 1

    def statement(self, entry):
        kind, body = entry["type"], entry["body"]
        try:
            if kind == "federation.created":
                self.model_key = body["modelKey"]
                if body["logKey"] != self.header["logKey"]:
                    raise Wrong("SIGNATURE_INVALID", "the ledger was begun with another key")
            elif kind == "agent.enrolled":
                self.agents[body["agentId"]] = body["site"], body["identityKey"]
            elif kind in ("job.submitted", "rollout.applied"):
                if kind == "job.submitted":
                    self.jobs[body["jobId"]] = digest(body["document"])
                return check_author(body)
            elif kind in ("job.approved", "job.rejected"):
                return self.decided(kind, body)
            elif kind == "model.registered":
                return self.registered(body)
            elif kind == "roster.published":
                return self.rosters.publish(body, entry["time"]) if self.rosters else False
            elif kind == "root.rotated":
                return self.rosters.rotate(body) if self.rosters else False
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Wrong("EXPORT_CORRUPT", f"no body of {kind}: {error}") from error
        return None

    def decided(self, kind, body):
        if body["agentId"] not in self.agents or body["jobId"] not in self.jobs:
            return False
        site, key = self.agents[body["agentId"]]
        if site != body["site"] or self.jobs[body["jobId"]] != body["jobDigest"]:
            raise Wrong("SIGNATURE_INVALID", "the decision is of another site or document")
        fields = {"logId": self.header["logId"], "jobId": body["jobId"], "jobDigest": body["jobDigest"], "site": site,
                  "agentId": body["agentId"], "approver": body["approverKey"], "time": body["decidedAt"],
                  "decision": "Approved" if kind == "job.approved" else "Rejected"}
        require_signature(key, "approval", fields, body["siteSignature"], "the decision")
        require_signature(body["approverKey"], "approval", fields, body["signature"], "the decision")
        return True

    def registered(self, body):
        if self.model_key is None:
            return False
        fields = {"manifestDigest": body["manifestDigest"]}
        require_signature(self.model_key, "model-manifest", fields, body["signature"], "the model")
        return True

    def append(self, hashed):
        self.tree.append(hashed)
        size = self.tree.size
        claims, last = self.claims.get(size), self.head["treeSize"] == size
        if claims is None and not last:
            return
        root = self.tree.root().hex()
        if last and root != self.head["rootHash"]:
            raise Wrong("PROOF_INVALID", f"one of entries {self.agreed} to {size - 1} is not the signed one", self.agreed)
        if any(claim != root for claim in claims or []):
            raise self.forked()
        self.agreed = size

    def end(self, line):
        if self.head is None:
            raise Wrong("EXPORT_CORRUPT", "an end before the head", -1)
        if self.whole() and self.tree.size < self.head["treeSize"]:
            raise Wrong("EXPORT_CORRUPT", f"entry {self.last + 1} is missing here", self.last + 1)
        if line["entries"] != self.entries + self.redacted:
            raise Wrong("EXPORT_CORRUPT", "another number of entries was written", -1)
        if line["digest"] != "sha256:" + self.bytes.hexdigest():
            raise Wrong("EXPORT_CORRUPT", "the lines are not those that were written", -1)
        for at, said in enumerate(self.cosignatures):
            known = self.agents.get(said["agentId"])
            if known is None and (not self.whole() or self.redacted):
                continue
            if known is None or known[1] != said["identityKey"]:
                raise Wrong("SIGNATURE_INVALID", "the cosignature is of a key that was not enrolled", -1, 3 + at)
        if self.rosters and self.rosters.root is None:
            raise Wrong("ROSTER_INVALID", "the export has no roster of this root")
        self.ended = True

    def forked(self):
        seq = self.agreed if self.whole() else -1
        return Wrong("LEDGER_FORKED", "the tree is not the one that was signed before", seq)

    def at(self, seq, check):
        try:
            return check()
        except Wrong as wrong:
            wrong.seq = seq if wrong.seq is None else wrong.seq
            raise

    def witnesses(self):
        newest = {}
        for said in self.cosignatures:
            site, _ = self.agents.get(said["agentId"], (None, None))
            member = self.rosters.members.get(said["agentId"]) if self.rosters else None
            if site is None:
                continue
            if self.rosters and (not member or member["site"] != site or member["identityKey"] != said["identityKey"]):
                continue
            newest[site] = said["treeSize"]
        return newest

    def report(self):
        self.line += 1
        if not self.ended:
            raise Wrong("EXPORT_CORRUPT", "the export ends before its last line")
        return {"logId": self.header["logId"], "treeSize": self.head["treeSize"], "rootHash": self.head["rootHash"],
                "whole": self.whole(), "entries": self.entries, "redacted": self.redacted, "signatures": self.checked,
                "unchecked": self.unchecked, "witnesses": self.witnesses()}


def verify(path, audit, wanted=0):
    try:
        with open(path, "rb") as file:
            while data := file.readline(LINE_BYTES + 2):
                if not data.endswith(b"\n") and len(data) <= LINE_BYTES:
                    audit.line += 1
                    raise Wrong("EXPORT_CORRUPT", "the line does not end")
                audit.push(data.removesuffix(b"\n"))
        report = audit.report()
    except Wrong as wrong:
        # -1: the line has no entry; nothing said: the one that comes next, where that is known.
        seq = audit.expected() if wrong.seq is None else wrong.seq
        return {"code": wrong.code, "line": wrong.line or audit.line, "seq": None if seq == -1 else seq, "what": wrong.what}
    if len(report["witnesses"]) < wanted:
        return {"code": "WITNESSES_TOO_FEW", "line": None, "seq": None, "what": str(report["witnesses"])}
    return report


def read_head(path):
    with open(path, "rb") as file:
        for data in file:
            kind, line = read_line(data.removesuffix(b"\n"))
            if kind == "TreeHead":
                return line
    raise SystemExit("no head in " + path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--log-key")
    parser.add_argument("--root")
    parser.add_argument("--head")
    parser.add_argument("--witnesses", type=int, default=0)
    options = parser.parse_args()
    root = json.load(open(options.root, encoding="utf-8")) if options.root else None
    key = unbase64(options.log_key, 32) if options.log_key else None
    seen = read_head(options.head) if options.head else None
    answers = [verify(file, Audit(key, root, seen), options.witnesses) for file in options.files]
    for answer in answers:
        print(json.dumps(answer))
    return next((EXIT[answer["code"]] for answer in answers if "code" in answer), 0)


if __name__ == "__main__":
    sys.exit(main())
