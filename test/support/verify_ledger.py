#!/usr/bin/env python3
"""Verifies exports of a Tributary ledger, from proto/LEDGER.md alone and with the standard library alone.

    verify_ledger.py FILE... [--log-key KEY|LOGID] [--root root.json] [--head FILE] [--witnesses N]

Prints one line of JSON for each file; the exit code is that of the first that is not in order. Of rosters and hand-overs it
checks signatures, order and expiry, not every rule of their form: that is for the holders of the root, who sign them.
"""
import argparse, base64, datetime, functools, hashlib, json, re, sys

EXIT = {"USAGE": 10, "SIGNATURE_INVALID": 28, "PROOF_INVALID": 47, "FORMAT_UNSUPPORTED": 63, "ROSTER_INVALID": 81,
        "ROSTER_EXPIRED": 82, "LEDGER_FORKED": 85, "LEDGER_SHORTENED": 86, "EXPORT_CORRUPT": 87, "WITNESSES_TOO_FEW": 88}
MUTABLE = ("suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
LINE_BYTES = 3_162_112

class Wrong(Exception): """A verdict: code, what is wrong, and the line where it is not the one at hand."""
class Number:
    """A number that is no integer, as it is written."""
    def __init__(self, text): self.text = text

def need(good, code, *what):
    if not good: raise Wrong(code, *what)

# ---- Texts ----
def canonical(value, depth=0):
    if depth > 32: raise ValueError("nested too deeply")
    if isinstance(value, Number): return value.text
    if isinstance(value, list): return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
    if not isinstance(value, dict): return json.dumps(value, ensure_ascii=False)
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(canonical(key) + ":" + canonical(value[key], depth + 1) for key in keys) + "}"

def parse(data, limit):
    value = json.loads(data.decode(), parse_float=Number, parse_constant=unhex)  # NaN is no hash, and refused.
    if len(data) > limit or canonical(value).encode() != data: raise ValueError("not canonical JSON, or too long")
    return value

def unbase64(text, length):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text or len(data) != length: raise ValueError("no %d bytes of base64" % length)
    return data

def unhex(text):
    if not re.fullmatch("[0-9a-f]{64}", text): raise ValueError("not a hash")
    return bytes.fromhex(text)

def hashes(steps):
    if type(steps) is not list: raise ValueError("not a list of hashes")
    return [unhex(step) for step in steps]

def count(value):
    if type(value) is not int or not 0 <= value < 2**53: raise ValueError("not a count")
    return value

def is_time(text):
    try: return bool(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ") and len(text) == 24 and text.isascii())
    except ValueError: return False

def is_body(value):
    if isinstance(value, (dict, list)): return all(map(is_body, value.values() if isinstance(value, dict) else value))
    return type(value) in (str, bool) or (type(value) is int and abs(value) < 2**53)

# ---- The tree (RFC 6962, 2.1; RFC 9162, 2.1.3.2 and 2.1.4.2) ----
def sha256(data): return hashlib.sha256(data).digest()
def digest(data): return "sha256:" + sha256(data).hex()
def node(left, right): return sha256(b"\1" + left + right)

def climb(index, last, new, path, old=b""):
    """The roots to which a path leads from `new` and `old`; none where it has another length."""
    for step in path:
        if last == 0: return None, None
        if index % 2 or index == last:
            new, old = node(step, new), node(step, old)
            while index and index % 2 == 0: index, last = index // 2, last // 2
        else: new = node(new, step)
        index, last = index // 2, last // 2
    return (new, old) if last == 0 else (None, None)

def continues(first, second, old, new, path):
    if first == second: return not path and old == new
    index, last = first - 1, second - 1
    while index % 2: index, last = index // 2, last // 2
    path = path if index else [old] + path
    return path != [] and climb(index, last, path[0], path[1:], path[0]) == (new, old)

# ---- Ed25519 (RFC 8032, 5.1.7) ----
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)

def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    g, h = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P

def times(n, point):
    total = (0, 1, 1, 0)
    while n:
        if n % 2: total = add(total, point)
        point, n = add(point, point), n // 2
    return total

def unpack(data):
    sign, y = divmod(int.from_bytes(data, "little"), 2**255)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P: x = x * ROOT % P
    if y >= P or (x * x - square) % P or (x == 0 and sign): raise ValueError("no point of the curve")
    x = x if x % 2 == sign else P - x
    return x, y, 1, x * y % P

BASE = unpack((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def signed(key, context, fields, signature):
    """Whether `key` signed the statement; what is not base64 is no key and no signature."""
    try: return verifies(unbase64(key, 32), canonical({**fields, "context": "tributary.v1/" + context}).encode(), unbase64(signature, 64))
    except ValueError: return False

@functools.lru_cache(10_000)
def verifies(key, message, signature):
    x, y, _, xy = unpack(key)
    s = int.from_bytes(signature[32:], "little")
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    x, y, z, _ = add(times(s, BASE), times(challenge, (P - x, y, 1, P - xy)))
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return s < ORDER and (y | (x % 2) << 255).to_bytes(32, "little") == signature[:32]

# ---- The file: each kind of line is a method, whose parameters are its members ----
class Audit:
    def __init__(self, expected=None, trusted=None, seen=None):
        self.expected, self.trusted, self.seen = expected, trusted, seen
        self.log_id = self.head = self.root = self.model_key = self.ended = None
        self.line, self.last, self.agreed, self.version, self.bytes, self.tree = 0, -1, 0, 0, hashlib.sha256(), []
        self.cosigned, self.claims, self.agents, self.jobs, self.members = [], {}, {}, {}, {}
        self.counts = {"entries": 0, "redacted": 0, "signatures": 0, "unchecked": 0}

    def push(self, data):
        self.line += 1
        need(not self.ended and data[-1:] == b"\n", "EXPORT_CORRUPT", "a line after the end, or one that does not end")
        try:
            line = parse(data[:-1], LINE_BYTES)
            kind = {"LedgerExport": self.header, "TreeHead": self.take_head, "Cosignature": self.cosignature,
                    "Entry": self.entry, "Redacted": self.redacted, "End": self.end}[line.pop("kind")]
            if kind != self.end: self.bytes.update(data)
            kind(**line)
        except MALFORMED as error: raise Wrong("EXPORT_CORRUPT", "not a line of an export: %r" % error)

    def header(self, formatVersion, logId="", logKey="", cosignatures=-1, part=None, redacted=(), **others):
        need(type(formatVersion) is not int or formatVersion <= 1, "FORMAT_UNSUPPORTED", "the export is of a newer format")
        need(canonical(formatVersion) == "1" and count(cosignatures) <= 10_000 and self.line == 1 and not others, "EXPORT_CORRUPT", "no header, or not at the beginning")
        key, self.announced, self.partial = unbase64(logKey, 32), cosignatures, part is not None
        need(unhex(logId) == sha256(key) and self.expected in (None, logId), "SIGNATURE_INVALID", "a log with another key")
        self.log_id, self.key = logId, logKey

    def check(self, context, key, signature, time, treeSize, rootHash, **others):
        unbase64(signature, 64)
        fields = {"logId": self.log_id, "rootHash": rootHash, "time": time, "treeSize": str(treeSize), "v": 1, **others}
        good = is_time(time) and treeSize > 0 and signed(key, context, fields, signature)
        need(good, "SIGNATURE_INVALID", "the %s is not signed" % context)

    def take_head(self, logId, treeSize, rootHash, time, signature):
        need(self.line == 2 and self.log_id, "EXPORT_CORRUPT", "the head is the second line")
        self.head, self.size = unhex(rootHash), count(treeSize) or count(None)
        for claim in {"logId": logId, "treeSize": treeSize, "rootHash": rootHash, "time": time, "signature": signature}, self.seen:
            if not claim: continue
            need(unhex(claim["logId"]).hex() == self.log_id, "SIGNATURE_INVALID", "a head of another log")
            self.check("tree-head", self.key, *(claim[name] for name in ("signature", "time", "treeSize", "rootHash")))
            size, root = count(claim["treeSize"]), unhex(claim["rootHash"])
        need(size <= self.size, "LEDGER_SHORTENED", "%d entries were seen before" % size)
        need(size < self.size or root == self.head, "LEDGER_FORKED", "another head of this size was seen")
        need(size == self.size or not self.partial, "USAGE", "a part cannot be compared with a head of another size")
        self.claims = {size: {root}, self.size: {self.head}}

    def cosignature(self, agentId, identityKey, treeSize, rootHash, time, signature, consistency=[]):
        before, root, path = self.cosigned[-1][2] if self.cosigned else 0, unhex(rootHash), hashes(consistency)
        need(self.head and self.last < 0 and len(self.cosigned) < self.announced and before <= count(treeSize) <= self.size,
             "EXPORT_CORRUPT", "cosignatures stand before the entries, counted, by size and up to the head")
        unbase64(identityKey, 32), agentId.encode()
        self.check("cosignature", identityKey, signature, time, treeSize, rootHash, agentId=agentId)
        good = not self.partial or continues(treeSize, self.size, root, self.head, path)
        need(good, "LEDGER_FORKED", "the head does not continue the one that the agent saw")
        self.cosigned.append((agentId, identityKey, treeSize))
        self.claims.setdefault(treeSize, set()).add(root)

    def redacted(self, seq, leafHash, path=(), entry=None):
        place = seq > self.last if self.partial else seq == self.last + 1
        need(self.head and len(self.cosigned) == self.announced and place and count(seq) < self.size, "EXPORT_CORRUPT",
             "entries come after the cosignatures, in order, and none is missing")
        leaf, path = unhex(leafHash), None if path == () else hashes(path)
        if entry is not None:
            need(sha256(b"\0" + entry) == leaf, "EXPORT_CORRUPT", "the entry does not match its hash")
            said = self.members_of(seq, **parse(entry, 524_288))
        if path is not None or self.partial:
            proven = climb(seq, self.size - 1, leaf, path or ())[0] == self.head
            need(proven, "PROOF_INVALID", "the entry is not in the tree of the head")
        self.counts["redacted" if entry is None else "entries"] += 1
        if entry is not None: self.judge(*said)
        self.last = seq
        if not self.partial: self.grow(leaf)

    def entry(self, seq, leafHash, entry, path=()): self.redacted(seq, leafHash, path, entry.encode())

    def members_of(self, place, v, seq, time, actor, type, subject, body):
        need(count(v) <= 1, "FORMAT_UNSUPPORTED", "the entry is of a newer version")
        good = v == 1 and seq == str(place) and is_time(time) and isinstance(body, dict) and is_body([actor, type, subject, body])
        need(good, "EXPORT_CORRUPT", "a member of the entry is of another form")
        return type, time, body

    def grow(self, root):
        """Keeps the roots of complete subtrees: their sizes are the binary digits of the number of leaves."""
        size = rest = self.last + 1
        while rest % 2 == 0: root, rest = node(self.tree.pop(), root), rest // 2
        self.tree.append(root)
        if size not in self.claims: return
        for left in self.tree[-2::-1]: root = node(left, root)
        what = "an entry from %d on is not the one that was signed" % self.agreed
        need(size < self.size or root == self.head, "PROOF_INVALID", what)
        need(self.claims[size] == {root}, "LEDGER_FORKED", what)
        self.agreed = size

    def judge(self, type, time, body):
        member = type in ("roster.published", "root.rotated")
        if not member: verdict = self.statement(type, body)
        else: verdict = self.membership(type == "root.rotated", body["document"].encode(), time) if self.trusted else False
        need(verdict is not False or member or self.partial or self.counts["redacted"], "SIGNATURE_INVALID", "refers to nothing")
        self.counts["signatures"] += verdict is True
        self.counts["unchecked"] += verdict is False

    def statement(self, type, body):
        """True where it was verified, False where it cannot be judged, None where there is nothing to verify."""
        if type == "federation.created":
            self.model_key = body["modelKey"]
            need(self.last < 0 and body["logKey"] == self.key, "SIGNATURE_INVALID", "the ledger was begun otherwise")
        elif type == "agent.enrolled": self.agents[body["agentId"]] = body["site"], body["identityKey"]
        elif type in ("job.submitted", "rollout.applied"):
            key, signature, data = body["authorKey"], body["signature"], body["document"].encode()
            if type == "job.submitted": self.jobs[body["jobId"]] = digest(data)
            try:
                whole = parse(data, 262_144)
                spec = {name: value for name, value in whole["spec"].items() if name not in MUTABLE}
                said = {"apiVersion": whole["apiVersion"], "kind": whole["kind"], "metadata": {"name": whole["metadata"]["name"]}, "spec": spec}
            except MALFORMED: raise Wrong("SIGNATURE_INVALID", "nothing that an author signs")
            need(signed(key, "document", {"document": said}, signature), "SIGNATURE_INVALID", "not what the author signed")
            return True
        elif type in ("job.approved", "job.rejected"):
            agent, job, key, decision = body["agentId"], body["jobId"], body["approverKey"], "Approved" if type == "job.approved" else "Rejected"
            if agent not in self.agents or job not in self.jobs: return False
            site, identity = self.agents[agent]
            fields = {"agentId": agent, "approver": key, "decision": decision, "jobDigest": self.jobs[job], "jobId": job,
                      "logId": self.log_id, "site": site, "time": body["decidedAt"]}
            need((site, self.jobs[job]) == (body["site"], body["jobDigest"]), "SIGNATURE_INVALID", "of another site or document")
            good = signed(identity, "approval", fields, body["siteSignature"]) and signed(key, "approval", fields, body["signature"])
            need(good, "SIGNATURE_INVALID", "not what the site decided")
            return True
        elif type == "model.registered":
            if self.model_key is None: return False
            good = signed(self.model_key, "model-manifest", {"manifestDigest": body["manifestDigest"]}, body["signature"])
            need(good, "SIGNATURE_INVALID", "not a model of this federation")
            return True

    def membership(self, rotates, data, time):
        """From the trusted root on: rosters by the root in force, each new root by the one before."""
        name, context, limit = ("rotation", "root", 65_536) if rotates else ("roster", "roster", 393_216)
        try:
            document = parse(data, limit)
            said, signatures = document[name], document["signatures"]
            need(count(said["formatVersion"]) <= 1, "FORMAT_UNSUPPORTED", "a %s of a newer format" % name)
            old = digest(canonical(said["previous"]).encode()) if rotates else said["root"]
            if self.root is None and old != digest(canonical(self.trusted).encode()):
                self.root = self.trusted if rotates and said["root"] == self.trusted else None
                return False
            root = self.root = self.root or self.trusted
            keys, signers = {one["key"] for one in root["keys"]}, {one["key"] for one in signatures}
            good = old == digest(canonical(root).encode()) and (said["root"]["name"] if rotates else said["federation"]) == root["name"]
            good = good and signers <= keys and len(signers) >= root["threshold"]
            good = good and all(signed(one["key"], context, {name: said}, one["signature"]) for one in signatures)
            need(good, "ROSTER_INVALID", "the %s is not one of the root in force" % name)
            if rotates: self.root = said["root"]
            else:
                need(time < said["expires"], "ROSTER_EXPIRED", "the roster had expired")
                need(said["version"] > self.version, "ROSTER_INVALID", "the roster is no newer one")
                self.version, self.members = said["version"], {one["agentId"]: (one["site"], one["identityKey"]) for one in said["members"]}
            return True
        except MALFORMED as error: raise Wrong("ROSTER_INVALID", "no %s: %r" % (name, error))

    def end(self, entries, digest):
        good = self.head and (self.partial or self.last + 1 == self.size)
        written = self.counts["entries"] + self.counts["redacted"], "sha256:" + self.bytes.hexdigest()
        need(good and (count(entries), digest) == written, "EXPORT_CORRUPT", "entries are missing, or other lines than were written")
        for at, (agent, key, _) in enumerate(self.cosigned):
            passed = agent not in self.agents and (self.partial or self.counts["redacted"])
            need(passed or self.agents.get(agent, (0, 0))[1] == key, "SIGNATURE_INVALID", "nobody enrolled this key", 3 + at)
        need(self.trusted is None or self.root, "ROSTER_INVALID", "there is nothing of this root")
        self.ended = True

    def witnesses(self):
        known = {agent: self.agents[agent] for agent in self.agents if self.trusted is None or self.members.get(agent) == self.agents[agent]}
        return {known[agent][0]: size for agent, _, size in self.cosigned if agent in known}

def verify(path, audit, wanted):
    try:
        with open(path, "rb") as file:
            while data := file.readline(LINE_BYTES + 1): audit.push(data)
        audit.line += 1
        need(audit.ended, "EXPORT_CORRUPT", "the export ends before its last line")
        audit.line, witnesses = None, audit.witnesses()
        need(len(witnesses) >= wanted, "WITNESSES_TOO_FEW", "seen by %s" % (", ".join(witnesses) or "no site"))
    except Wrong as wrong: return {"code": wrong.args[0], "line": wrong.args[2] if len(wrong.args) > 2 else audit.line, "what": wrong.args[1]}
    return {"logId": audit.log_id, "treeSize": audit.size, "rootHash": audit.head.hex(), "whole": not audit.partial, **audit.counts, "witnesses": witnesses}

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--witnesses", type=int, default=0)
    for name in ("--log-key", "--root", "--head"): parser.add_argument(name)
    options = parser.parse_args()
    lines = [json.loads(line) for line in open(options.head, encoding="utf-8")] if options.head else []
    seen = next((line for line in lines if line["kind"] == "TreeHead"), None)
    root = json.load(open(options.root, encoding="utf-8")) if options.root else None
    given = options.log_key
    expected = given if not given or re.fullmatch("[0-9a-f]{64}", given) else sha256(unbase64(given, 32)).hex()
    answers = [verify(file, Audit(expected, root, seen), options.witnesses) for file in options.files]
    for answer in answers: print(json.dumps(answer))
    return next((EXIT[answer["code"]] for answer in answers if "code" in answer), 0)

if __name__ == "__main__": sys.exit(main())
