#!/usr/bin/env python3
"""Verifies all that an export of a ledger says and proves, from proto/LEDGER.md with the standard library.

    audit_ledger.py FILE... [--log-key KEY|LOGID] [--root root.json] [--head FILE] [--witnesses N]

Goes on from verify_ledger.py: statements of authors, sites and models, rosters and their root, cosignatures
and witnesses, parts with their proofs, and an earlier head. Of rosters and hand-overs it checks signatures,
order and expiry, not every rule of their form: that is for the holders of the root, who sign them.
"""
import argparse, datetime, hashlib, json, re, sys

import verify_ledger
from verify_ledger import HASH, KEY, MALFORMED, SIGNATURE, Wrong, is_of, need, node, sha256

EXIT = {**verify_ledger.EXIT, "ROSTER_INVALID": 81, "ROSTER_EXPIRED": 82, "LEDGER_FORKED": 85,
        "LEDGER_SHORTENED": 86, "WITNESSES_TOO_FEW": 88}
MUTABLE = ("suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
ENTRY_BYTES, DOCUMENT_BYTES, ROSTER_BYTES, ROTATION_BYTES = 524_288, 262_144, 393_216, 65_536
PATH_HASHES, REDACTED_TYPES, TEXT_UNITS, DEPTH = 106, 64, 256, 32


# ---- Texts ----

class Number(str):
    """A number that is no integer, as it is written."""


def printed(value, depth: int = 0) -> str:
    """RFC 8785 for documents: any keys, and numbers as they are written."""
    if depth > DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, Number):
        return value
    if isinstance(value, list):
        return "[" + ",".join(printed(item, depth + 1) for item in value) + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(printed(key) + ":" + printed(value[key], depth + 1) for key in keys) + "}"
    return verify_ledger.canonical(value)


def no_number(text: str):
    raise ValueError(f"{text} is no number")


def parse(text: str, limit: int):
    value = json.loads(text, parse_float=Number, parse_constant=no_number)
    if len(text.encode()) > limit or printed(value) != text:
        raise ValueError("not canonical JSON, or too long")
    return value


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def is_time(text: str) -> bool:
    try:
        datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        return False
    return re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", text) is not None


def is_short(value) -> bool:
    return type(value) is str and len(value.encode("utf-16-be")) <= 2 * TEXT_UNITS


def is_path(value: list) -> bool:
    return len(value) <= PATH_HASHES and all(is_of(HASH, step) for step in value)


def is_part(value: dict) -> bool:
    forms = {"from": lambda size: is_of(int, size), "to": lambda size: is_of(int, size), "job": is_short}
    return all(name in forms and forms[name](said) for name, said in value.items())


def is_body(value) -> bool:
    if isinstance(value, dict):
        return all(is_body(member) for member in value.values())
    if isinstance(value, list):
        return all(is_body(item) for item in value)
    return type(value) in (str, bool) or (type(value) is int and abs(value) < 2**53)


def states(key, context: str, fields: dict, signature) -> bool:
    """Whether `key` signed the statement; what is no text of a key is none."""
    statement = printed({**fields, "context": "tributary.v1/" + context})
    return is_of(KEY, key) and is_of(SIGNATURE, signature) and verify_ledger.signed(key, statement, signature)


# ---- Proofs (RFC 9162, 2.1.3.2 and 2.1.4.2) ----

def climb(index: int, last: int, new: bytes, path: list, old: bytes = b""):
    """The roots to which a path leads from `new` and `old`; none where it has another length."""
    for step in path:
        if last == 0:
            return None, None
        if index % 2 or index == last:
            new, old = node(step, new), node(step, old)
            while index and index % 2 == 0:
                index, last = index // 2, last // 2
        else:
            new = node(new, step)
        index, last = index // 2, last // 2
    return (new, old) if last == 0 else (None, None)


def continues(first: int, second: int, old: bytes, new: bytes, path: list) -> bool:
    """Whether the tree of `first` leaves is the beginning of that of `second`."""
    if first == second:
        return not path and old == new
    index, last = first - 1, second - 1
    while index % 2:
        index, last = index // 2, last // 2
    path = path if index else [old] + path
    return path != [] and climb(index, last, path[0], path[1:], path[0]) == (new, old)


def unhex(steps: list) -> list:
    return [bytes.fromhex(step) for step in steps]


# ---- Rosters ----

class Rosters:
    """From the trusted root on: rosters by the root in force, each new root by the one before."""

    def __init__(self, trusted):
        self.trusted, self.root, self.version, self.members = trusted, None, 0, {}

    def judge(self, rotates: bool, text: str, time: str) -> bool:
        """False where it comes before the trusted root."""
        try:
            return self.rotation(text) if rotates else self.roster(text, time)
        except MALFORMED as error:
            raise Wrong("ROSTER_INVALID", f"not of its form: {error!r}")

    def rotation(self, text: str) -> bool:
        document = parse(text, ROTATION_BYTES)
        said = document["rotation"]
        previous = digest(printed(said["previous"]))
        if not self.follows("rotation", said, previous, said["root"]["name"], document):
            if said["root"] == self.trusted:
                self.root = self.trusted
            return False
        self.root = said["root"]
        return True

    def roster(self, text: str, time: str) -> bool:
        document = parse(text, ROSTER_BYTES)
        said = document["roster"]
        if not self.follows("roster", said, said["root"], said["federation"], document):
            return False
        need(time < said["expires"], "ROSTER_EXPIRED", "the roster had expired")
        need(said["version"] > self.version, "ROSTER_INVALID", "the roster is no newer one")
        self.version = said["version"]
        self.members = {one["agentId"]: (one["site"], one["identityKey"]) for one in said["members"]}
        return True

    def follows(self, name: str, said: dict, root: str, federation: str, document: dict) -> bool:
        """Demands signatures of the root in force; false where none is, and this not of the trusted."""
        need(said["formatVersion"] <= 1, "FORMAT_UNSUPPORTED", f"a {name} of a newer format")
        if self.root is None and root != digest(printed(self.trusted)):
            return False
        self.root = self.root or self.trusted
        signatures, keys = document["signatures"], {one["key"] for one in self.root["keys"]}
        signers = {one["key"] for one in signatures}
        good = (root, federation) == (digest(printed(self.root)), self.root["name"])
        good = good and signers <= keys and len(signers) >= self.root["threshold"]
        context = "root" if name == "rotation" else name
        good = good and all(states(one["key"], context, {name: said}, one["signature"]) for one in signatures)
        need(good, "ROSTER_INVALID", f"the {name} is not one of the root in force")
        return True


# ---- The export ----

class Audit(verify_ledger.Export):
    def __init__(self, log_id=None, trusted=None, seen=None, wanted: int = 0):
        super().__init__(log_id)
        self.rosters = Rosters(trusted) if trusted else None
        self.seen, self.wanted, self.partial, self.model_key = seen, wanted, False, None
        self.cosigned, self.claims, self.agents, self.jobs = [], {}, {}, {}
        self.signatures = self.unchecked = 0

    def read(self, path: str) -> dict:
        said = super().read(path)
        self.line, witnesses = None, self.witnesses()
        what = f"seen by {', '.join(witnesses) or 'no site'}"
        need(len(witnesses) >= self.wanted, "WITNESSES_TOO_FEW", what)
        more = {"whole": not self.partial, "signatures": self.signatures, "unchecked": self.unchecked}
        return {**said, **more, "witnesses": witnesses}

    def take(self, *kinds: str) -> dict:
        line = super().take(*kinds)
        good = is_path(line.get("path", [])) and is_path(line.get("consistency", []))
        good = good and is_part(line.get("part", {})) and all(is_short(line.get(name, "")) for name in ("agentId", "time"))
        types = line.get("redacted", [])
        good = good and len(types) <= REDACTED_TYPES and all(is_short(type) for type in types)
        need(good, "EXPORT_CORRUPT", f"a member of the {line['kind']} is of another form")
        return line

    def header(self, line: dict) -> None:
        self.partial = "part" in line
        super().header({name: said for name, said in line.items() if name != "part"})

    def head(self, line: dict) -> None:
        super().head(line)
        size, root = self.size, self.root
        self.claims = {size: {root}}
        if not self.seen:
            return
        need(verify_ledger.well_formed(self.seen), "EXPORT_CORRUPT", "the earlier head is of another form")
        super().head(self.seen)
        earlier, self.size, self.root = (self.size, self.root), size, root
        need(earlier[0] <= size, "LEDGER_SHORTENED", f"{earlier[0]} entries were seen before")
        need(earlier[0] < size or earlier[1] == root, "LEDGER_FORKED", "another head of this size was seen")
        need(earlier[0] == size or not self.partial, "USAGE", "a part cannot be compared with another size")
        self.claims.setdefault(earlier[0], {earlier[1]})

    def saw(self, context: str, key: str, line: dict, **others) -> None:
        good = is_time(line["time"]) and line["treeSize"] > 0
        need(good, "SIGNATURE_INVALID", f"the {context} is of no time, or of no entries")
        super().saw(context, key, line, **others)

    def cosignature(self, line: dict) -> None:
        agent, key, size = line["agentId"], line["identityKey"], line["treeSize"]
        before = self.cosigned[-1][2] if self.cosigned else 0
        need(before <= size <= self.size, "EXPORT_CORRUPT", "cosignatures go by size, up to the head")
        self.saw("cosignature", key, line, agentId=agent)
        roots, path = unhex([line["rootHash"], self.root]), unhex(line.get("consistency", []))
        good = not self.partial or continues(size, self.size, *roots, path)
        need(good, "LEDGER_FORKED", "the head does not continue the one that the agent saw")
        self.cosigned.append((agent, key, size))
        self.claims.setdefault(size, set()).add(line["rootHash"])

    def follows(self, seq: int) -> bool:
        return seq >= self.next if self.partial else super().follows(seq)

    def grow(self, line: dict) -> None:
        """Entries are judged before the tree is."""
        entry = self.entry_of(line) if line["kind"] == "Entry" else None
        if self.partial or "path" in line:
            leaf, *path = unhex([line["leafHash"], *line.get("path", [])])
            top, _ = climb(line["seq"], self.size - 1, leaf, path)
            need(top == bytes.fromhex(self.root), "PROOF_INVALID", "the entry is not in the tree of the head")
        if entry:
            self.judge(entry)
        if self.partial:
            return
        super().grow(line)
        size = line["seq"] + 1
        if size in self.claims:
            what = f"an entry from {self.agreed} on is not the one that was signed"
            need(self.claims[size] == {self.tree_root()}, "LEDGER_FORKED", what)
            self.agreed = size

    def entry_of(self, line: dict) -> dict:
        try:
            entry = parse(line["entry"], ENTRY_BYTES)
            good = entry.keys() == {"v", "seq", "time", "actor", "type", "subject", "body"}
            good = good and is_of(int, entry["v"])
            need(not good or entry["v"] <= 1, "FORMAT_UNSUPPORTED", "the entry is of a newer version")
            good = good and entry["v"] == 1 and entry["seq"] == str(line["seq"]) and is_time(entry["time"])
            good = good and is_body(entry) and isinstance(entry["body"], dict)
        except MALFORMED as error:
            raise Wrong("EXPORT_CORRUPT", f"not an entry: {error!r}")
        need(good, "EXPORT_CORRUPT", "a member of the entry is of another form")
        return entry

    def end(self, line: dict) -> None:
        super().end(line)
        for at, (agent, key, _) in enumerate(self.cosigned):
            unknown = agent not in self.agents and (self.partial or self.counts["Redacted"])
            enrolled = unknown or self.agents.get(agent, (None, None))[1] == key
            need(enrolled, "SIGNATURE_INVALID", "nobody enrolled this key", 3 + at)
        need(self.rosters is None or self.rosters.root, "ROSTER_INVALID", "there is nothing of this root")

    def witnesses(self) -> dict:
        """The newest size that an agent of a site has signed, by site."""
        members = self.agents if self.rosters is None else self.rosters.members
        known = {agent: one[0] for agent, one in self.agents.items() if members.get(agent) == one}
        return {known[agent]: size for agent, _, size in self.cosigned if agent in known}

    # ---- What entries state: true where it was verified, false where that cannot be judged ----

    def judge(self, entry: dict) -> None:
        statements = {"federation.created": self.created, "agent.enrolled": self.enrolled,
                      "job.submitted": self.document, "rollout.applied": self.document,
                      "job.approved": self.decision, "job.rejected": self.decision,
                      "model.registered": self.model,
                      "roster.published": self.membership, "root.rotated": self.membership}
        state = statements.get(entry["type"])
        if state is None:
            return
        try:
            verdict = state(entry)
        except MALFORMED as error:
            raise Wrong("EXPORT_CORRUPT", f"not what such an entry states: {error!r}")
        passed = state == self.membership or self.partial or self.counts["Redacted"]
        need(verdict is not False or passed, "SIGNATURE_INVALID", "refers to nothing")
        self.signatures += verdict is True
        self.unchecked += verdict is False

    def created(self, entry: dict) -> None:
        log_key, self.model_key = texts(entry, "logKey", "modelKey")
        good = entry["seq"] == "0" and log_key == self.key
        need(good, "SIGNATURE_INVALID", "the ledger was begun otherwise")

    def enrolled(self, entry: dict) -> None:
        agent, *known = texts(entry, "agentId", "site", "identityKey")
        self.agents[agent] = tuple(known)

    def document(self, entry: dict) -> bool:
        text, key, signature = texts(entry, "document", "authorKey", "signature")
        if entry["type"] == "job.submitted":
            self.jobs.update({job: digest(text) for job in texts(entry, "jobId")})
        try:
            whole = parse(text, DOCUMENT_BYTES)
            spec = {name: said for name, said in whole["spec"].items() if name not in MUTABLE}
            said = {"apiVersion": whole["apiVersion"], "kind": whole["kind"],
                    "metadata": {"name": whole["metadata"]["name"]}, "spec": spec}
        except MALFORMED:
            raise Wrong("SIGNATURE_INVALID", "nothing that an author signs")
        need(states(key, "document", {"document": said}, signature), "SIGNATURE_INVALID", "not of the author")
        return True

    def decision(self, entry: dict) -> bool:
        agent, job, site, job_digest = texts(entry, "agentId", "jobId", "site", "jobDigest")
        approver, time, signature = texts(entry, "approverKey", "decidedAt", "signature")
        [site_signature] = texts(entry, "siteSignature")
        if agent not in self.agents or job not in self.jobs:
            return False
        decision = "Approved" if entry["type"] == "job.approved" else "Rejected"
        fields = {"agentId": agent, "approver": approver, "decision": decision, "jobDigest": job_digest,
                  "jobId": job, "logId": self.log_id, "site": site, "time": time}
        own, identity = self.agents[agent]
        good = (site, job_digest) == (own, self.jobs[job])
        need(good, "SIGNATURE_INVALID", "of another site, or another document")
        good = states(identity, "approval", fields, site_signature)
        good = good and states(approver, "approval", fields, signature)
        need(good, "SIGNATURE_INVALID", "not what the site decided")
        return True

    def model(self, entry: dict) -> bool:
        manifest, signature = texts(entry, "manifestDigest", "signature")
        if self.model_key is None:
            return False
        good = states(self.model_key, "model-manifest", {"manifestDigest": manifest}, signature)
        need(good, "SIGNATURE_INVALID", "not a model of this federation")
        return True

    def membership(self, entry: dict) -> bool:
        [text] = texts(entry, "document")
        rotates = entry["type"] == "root.rotated"
        return self.rosters is not None and self.rosters.judge(rotates, text, entry["time"])


def texts(entry: dict, *names: str) -> list:
    members = [entry["body"][name] for name in names]
    if not all(type(member) is str for member in members):
        raise ValueError("a member of the body is no text")
    return members


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--witnesses", type=int, default=0)
    for name in ("--log-key", "--root", "--head"):
        parser.add_argument(name)
    options = parser.parse_args()
    lines = [json.loads(line) for line in open(options.head, encoding="utf-8")] if options.head else []
    seen = next((line for line in lines if line["kind"] == "TreeHead"), None)
    root = json.load(open(options.root, encoding="utf-8")) if options.root else None
    log_id = verify_ledger.log_id_of(options.log_key) if options.log_key else None
    audits = ((path, Audit(log_id, root, seen, options.witnesses)) for path in options.files)
    return verify_ledger.conclude([verify_ledger.verify(path, audit) for path, audit in audits], EXIT)


if __name__ == "__main__":
    sys.exit(main())
