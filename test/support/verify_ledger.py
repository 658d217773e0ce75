#!/usr/bin/env python3
"""Is this export, whole, the log that this key signed: no entry altered, left out or moved?

    verify_ledger.py KEY|LOGID FILE...

Written from "In a page" of proto/LEDGER.md. Prints a line of JSON for each file, and exits with the code of
the first that is not in order. audit_ledger.py goes on from here: what entries say, and who else signed.
"""
import base64, functools, hashlib, json, re, sys

EXIT = {"USAGE": 10, "SIGNATURE_INVALID": 28, "PROOF_INVALID": 47, "FORMAT_UNSUPPORTED": 63,
        "EXPORT_CORRUPT": 87}
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
LINE_BYTES = 3_162_112
HASH, TEXT = "[0-9a-f]{64}", "(?s:.*)"
KEY, SIGNATURE = "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", "[A-Za-z0-9+/]{85}[AQgw]=="
# The kinds of lines, their members, and the forms of those. With a question mark: it may be missing.
SEEN = {"treeSize": int, "rootHash": HASH, "time": TEXT, "signature": SIGNATURE}
KINDS = {
    "LedgerExport": {"formatVersion": int, "logId": HASH, "logKey": KEY, "cosignatures": int,
                     "part?": dict, "redacted?": list},
    "TreeHead": {"logId": HASH, **SEEN},
    "Cosignature": {"agentId": TEXT, "identityKey": KEY, **SEEN, "consistency?": list},
    "Entry": {"seq": int, "leafHash": HASH, "entry": TEXT, "path?": list},
    "Redacted": {"seq": int, "leafHash": HASH, "path?": list},
    "End": {"entries": int, "digest": TEXT},
}

class Wrong(Exception):
    """A verdict: a code, what is wrong, and the line where it is not the one at hand."""

def need(good, code: str, *what) -> None:
    if not good: raise Wrong(code, *what)

# ---- Texts and hashes ----
def is_of(form, value) -> bool:
    if isinstance(form, str): return type(value) is str and bool(re.fullmatch(form, value))
    return type(value) is form and (form is not int or 0 <= value < 2**53)

def well_formed(line: dict) -> bool:
    forms = {name: form for name, form in KINDS[line["kind"]].items() if name[-1] != "?" or name[:-1] in line}
    named = {name.rstrip("?"): form for name, form in forms.items()}
    return named.keys() == line.keys() - {"kind"} and all(is_of(named[name], line[name]) for name in named)

def canonical(value) -> str:
    """RFC 8785, where keys are ASCII and numbers are integers."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

def sha256(data: bytes) -> bytes: return hashlib.sha256(data).digest()
def node(left: bytes, right: bytes) -> bytes: return sha256(b"\1" + left + right)

# ---- Signatures: Ed25519 (RFC 8032, 5.1), whose points are an x and a y ----
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

def add(a, b):
    (x, y), (u, v) = a, b
    t = D * x * y * u * v
    return (x * v + y * u) * pow(1 + t, -1, P) % P, (y * v + x * u) * pow(1 - t, -1, P) % P

def times(n: int, point):
    if n == 0: return 0, 1
    twice = times(n // 2, add(point, point))
    return add(twice, point) if n % 2 else twice

def unpack(data: bytes):
    """The point of 32 bytes: they are y, and their highest bit is whether x is odd."""
    odd, y = divmod(int.from_bytes(data, "little"), 2**255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square: x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and odd): raise ValueError("no point of the curve")
    return (x if x % 2 == odd else P - x), y

BASE = unpack((4 * pow(5, -1, P) % P).to_bytes(32, "little"))

@functools.lru_cache(10_000)
def signed(key: str, statement: str, signature: str) -> bool:
    a, r, s = base64.b64decode(key), base64.b64decode(signature)[:32], base64.b64decode(signature)[32:]
    k, s = (int.from_bytes(n, "little") for n in (hashlib.sha512(r + a + statement.encode()).digest(), s))
    try: return s < ORDER and times(s, BASE) == add(unpack(r), times(k % ORDER, unpack(a)))
    except ValueError: return False

# ---- The file, from its first line to its last ----
class Export:
    agreed = 0  # So many entries are known to be those that were signed.

    def __init__(self, log_id=None):
        self.log_id, self.line, self.next, self.bytes, self.tree = log_id, 0, 0, hashlib.sha256(), []
        self.counts = {"Entry": 0, "Redacted": 0}

    def read(self, path: str) -> dict:
        with open(path, "rb") as self.file:
            self.header(self.take("LedgerExport"))
            self.head(self.take("TreeHead"))
            for _ in range(self.announced): self.cosignature(self.take("Cosignature"))
            while (line := self.take("Entry", "Redacted", "End"))["kind"] != "End": self.leaf(line)
            self.end(line)
            self.line += 1
            need(self.file.read(1) == b"", "EXPORT_CORRUPT", "a line after the end")
        counts = {"entries": self.counts["Entry"], "redacted": self.counts["Redacted"]}
        return {"logId": self.log_id, "treeSize": self.size, "rootHash": self.root, **counts}

    def take(self, *kinds: str) -> dict:
        """The next line, which is to be of one of these kinds."""
        self.line += 1
        data = self.file.readline(LINE_BYTES + 1)
        try:
            line = json.loads(data.decode())
            version = line["formatVersion"] if line["kind"] == "LedgerExport" else 1
            newer = type(version) is int and version > 1
            good = canonical(line).encode() + b"\n" == data and well_formed(line) and line["kind"] in kinds
        except MALFORMED: newer, good = False, False
        need(not newer, "FORMAT_UNSUPPORTED", "the export is of a newer format")
        need(good, "EXPORT_CORRUPT", f"this is no {' or '.join(kinds)}")
        if line["kind"] != "End": self.bytes.update(data)
        return line

    def header(self, line: dict) -> None:
        good = line["formatVersion"] == 1 and line["cosignatures"] <= 10_000
        need(good, "EXPORT_CORRUPT", "the header is of no format, or announces too many cosignatures")
        own = sha256(base64.b64decode(line["logKey"])).hex()
        need(line["logId"] == own == (self.log_id or own), "SIGNATURE_INVALID", "a log with another key")
        self.log_id, self.key, self.announced = line["logId"], line["logKey"], line["cosignatures"]
        need("part" not in line, "USAGE", "a part of a log: audit_ledger.py judges its proofs")

    def head(self, line: dict) -> None:
        need(line["treeSize"] > 0, "EXPORT_CORRUPT", "a head of nothing")
        need(line["logId"] == self.log_id, "SIGNATURE_INVALID", "a head of another log")
        self.saw("tree-head", self.key, line)
        self.size, self.root = line["treeSize"], line["rootHash"]

    def saw(self, context: str, key: str, line: dict, **others) -> None:
        fields = {"context": "tributary.v1/" + context, "logId": self.log_id, "rootHash": line["rootHash"],
                  "time": line["time"], "treeSize": str(line["treeSize"]), "v": 1, **others}
        good = signed(key, canonical(fields), line["signature"])
        need(good, "SIGNATURE_INVALID", f"the {context} is not signed")

    def cosignature(self, line: dict) -> None:
        """Of its form it is; whether it is good is for audit_ledger.py."""

    def leaf(self, line: dict) -> None:
        good = self.follows(line["seq"]) and line["seq"] < self.size
        need(good, "EXPORT_CORRUPT", "entries are missing, or not in order")
        own = "entry" not in line or sha256(b"\0" + line["entry"].encode()).hex() == line["leafHash"]
        need(own, "EXPORT_CORRUPT", "the entry does not match its hash")
        self.grow(line)
        self.counts[line["kind"]] += 1
        self.next = line["seq"] + 1

    def follows(self, seq: int) -> bool:
        return seq == self.next

    def grow(self, line: dict) -> None:
        """Keeps the roots of complete subtrees: their sizes are the binary digits of the number of leaves."""
        root, size = bytes.fromhex(line["leafHash"]), line["seq"] + 1
        while size % 2 == 0: root, size = node(self.tree.pop(), root), size // 2
        self.tree.append(root)
        good = line["seq"] + 1 < self.size or self.tree_root() == self.root
        need(good, "PROOF_INVALID", f"an entry from {self.agreed} on is not the one that was signed")

    def tree_root(self) -> str:
        return functools.reduce(lambda right, left: node(left, right), reversed(self.tree)).hex()

    def end(self, line: dict) -> None:
        written = sum(self.counts.values()), "sha256:" + self.bytes.hexdigest()
        good = self.follows(self.size) and (line["entries"], line["digest"]) == written
        need(good, "EXPORT_CORRUPT", "entries are missing, or other lines than were written")

def verify(path: str, export: Export) -> dict:
    try: return export.read(path)
    except Wrong as wrong: return dict(zip(("code", "what", "line"), (*wrong.args, export.line)))

def conclude(verdicts: list, exits: dict) -> int:
    for verdict in verdicts: print(json.dumps(verdict))
    return next((exits[verdict["code"]] for verdict in verdicts if "code" in verdict), 0)

def log_id_of(key: str) -> str:
    return key if re.fullmatch(HASH, key) else sha256(base64.b64decode(key)).hex()

if __name__ == "__main__":
    if len(sys.argv) < 3: sys.exit(print(__doc__, file=sys.stderr) or EXIT["USAGE"])
    sys.exit(conclude([verify(path, Export(log_id_of(sys.argv[1]))) for path in sys.argv[2:]], EXIT))
