import { encodeBase64 } from '../byte-text.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { ErrorCode } from '../errors/error-table.js';
import type { Digest } from '../ids.js';
import type { FederationRoot } from '../membership/federation-root.js';
import type { AuditReport, Witness } from './audit-report.js';
import { verifyCosignature } from './cosignature.js';
import { readOutline, type EntryOutline } from './entry-outline.js';
import {
  decodeExportLine,
  type ExportedCosignature,
  type ExportedEntry,
  type ExportHeader,
  type ExportLine,
} from './export-line.js';
import { startDigest } from '../signing/hash.js';
import { MerkleFrontier } from './merkle-frontier.js';
import { leafHash } from './merkle.js';
import { verifyConsistency, verifyInclusion } from './merkle-proof.js';
import { RosterChain } from './roster-chain.js';
import { StatementChecks } from './statement-checks.js';
import { readStatement } from './statements.js';
import { logIdOf, verifyTreeHead, type SignedTreeHead } from './tree-head.js';

/** What the auditor holds: public keys, and a head from an earlier day. */
export interface AuditTerms {
  /** Ed25519 key of tree heads, 32 bytes; without it the one that the export names counts. */
  readonly logKey?: Uint8Array;
  /** Likewise, by the id of the log: the digest of that key. */
  readonly logId?: string;
  /** Whose rosters count. */
  readonly root?: FederationRoot;
  /** A head seen before: the ledger must continue it. */
  readonly seen?: SignedTreeHead;
}

const LINE_FEED = Uint8Array.of(0x0a);
/** Line of the first cosignature, after header and head. */
const FIRST_COSIGNATURE = 3;

/**
 * Verifies the lines of an export, one after the other, with memory for agents and jobs but not for entries. The first
 * line that is wrong throws with its number and, where it has one, the entry's: EXPORT_CORRUPT for what is missing,
 * altered or out of place, PROOF_INVALID where hashes and head disagree, SIGNATURE_INVALID, ROSTER_INVALID, LEDGER_FORKED
 * and LEDGER_SHORTENED against other heads, FORMAT_UNSUPPORTED.
 */
export class LedgerAudit {
  readonly #terms: AuditTerms;
  readonly #chain: RosterChain | undefined;
  readonly #frontier = MerkleFrontier.empty();
  readonly #bytes = startDigest();
  #sealed: Digest | undefined;
  #header: ExportHeader | undefined;
  #head: SignedTreeHead | undefined;
  #statements: StatementChecks | undefined;
  #line = 0;
  #last = -1;
  #ended = false;
  /** Entries below this size are those that the coordinator signed. */
  #agreed = 0;
  readonly #cosignatures: ExportedCosignature[] = [];
  /** Roots that somebody else signed, by size. */
  readonly #claims = new Map<number, Uint8Array[]>();
  #counts = { entries: 0, redacted: 0, signatures: 0, unchecked: 0 };

  constructor(terms: AuditTerms = {}) {
    this.#terms = terms;
    this.#chain = terms.root && new RosterChain(terms.root);
  }

  get header(): ExportHeader | undefined {
    return this.#header;
  }

  get head(): SignedTreeHead | undefined {
    return this.#head;
  }

  /** Number of the newest entry; -1 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Entries so far, with their bytes or by their hash. */
  get count(): number {
    return this.#counts.entries + this.#counts.redacted;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The last line of an export of what was pushed. */
  endLine(): ExportLine {
    return { kind: 'End', entries: this.count, digest: this.#digest() };
  }

  /** The error for bytes after the last line feed. */
  unended(): TributaryError {
    this.#line += 1;
    return this.#wrong('EXPORT_CORRUPT', 'the line does not end', this.#expected());
  }

  /** Verifies the next line, without its line feed. Gives the entry where the line is one with bytes. */
  push(bytes: Uint8Array): EntryOutline | undefined {
    this.#line += 1;
    if (this.#ended) throw this.#wrong('EXPORT_CORRUPT', 'a line after the end');
    const line = this.#located(() => decodeExportLine(bytes));
    if (line.kind !== 'End') this.#take(bytes);
    switch (line.kind) {
      case 'LedgerExport':
        this.#begin(line);
        return undefined;
      case 'TreeHead':
        this.#takeHead(line);
        return undefined;
      case 'Cosignature':
        this.#witness(line);
        return undefined;
      case 'Entry':
      case 'Redacted':
        return this.#entry(line);
      case 'End':
        this.#end(line);
        return undefined;
    }
  }

  /** What was verified. Throws EXPORT_CORRUPT where lines are missing at the end. */
  report(): AuditReport {
    const head = this.#head;
    if (!this.#ended || head === undefined) {
      this.#line += 1;
      throw this.#wrong('EXPORT_CORRUPT', 'the export ends before its last line', this.#expected());
    }
    return { logId: head.logId, head, whole: this.#whole, ...this.#counts, witnesses: this.#witnesses() };
  }

  get #whole(): boolean {
    return this.#header?.part === undefined;
  }

  #take(bytes: Uint8Array): void {
    this.#bytes.update(bytes);
    this.#bytes.update(LINE_FEED);
  }

  /** Of everything that was pushed. */
  #digest(): Digest {
    return (this.#sealed ??= this.#bytes.digest());
  }

  #begin(header: ExportHeader): void {
    if (this.#line !== 1) throw this.#wrong('EXPORT_CORRUPT', 'a header that is not the first line');
    const { logKey, logId = logKey && logIdOf(logKey) } = this.#terms;
    if (header.logId !== logIdOf(header.logKey) || (logId ?? header.logId) !== header.logId)
      throw this.#wrong('SIGNATURE_INVALID', 'the export is of a log with another key');
    this.#header = header;
    this.#statements = new StatementChecks(header.logKey);
  }

  #takeHead(line: Extract<ExportLine, { kind: 'TreeHead' }>): void {
    const { kind: _, ...head } = line;
    const header = this.#header;
    if (header === undefined || this.#line !== 2)
      throw this.#wrong('EXPORT_CORRUPT', 'the head of the tree is the second line');
    this.#located(() => asSignature(() => verifyTreeHead(header.logKey, head)));
    this.#head = head;
    this.#compareSeen(head);
  }

  /** What can be said of the head that was seen before while the entries are still to come. */
  #compareSeen(head: SignedTreeHead): void {
    const { seen } = this.#terms;
    if (seen === undefined) return;
    if (seen.logId !== head.logId)
      throw this.#wrong('SIGNATURE_INVALID', 'the head seen before is of another log');
    this.#located(() => asSignature(() => verifyTreeHead(this.#header?.logKey ?? new Uint8Array(), seen)));
    if (seen.treeSize > head.treeSize)
      throw this.#wrong(
        'LEDGER_SHORTENED',
        `the ledger has ${String(head.treeSize)} entries; ${String(seen.treeSize)} were seen before`,
      );
    if (seen.treeSize === head.treeSize && !same(seen.rootHash, head.rootHash))
      throw this.#forked(seen.treeSize);
    if (this.#whole) this.#claim(seen);
    else if (seen.treeSize < head.treeSize)
      throw this.#wrong('USAGE', 'a part of a ledger cannot be compared with a head of another size');
  }

  #witness(said: ExportedCosignature): void {
    const head = this.#head;
    if (head === undefined || this.#last >= 0)
      throw this.#wrong('EXPORT_CORRUPT', 'cosignatures stand between the head and the entries');
    const { length } = this.#cosignatures;
    const before = this.#cosignatures[length - 1]?.treeSize ?? 0;
    if (said.treeSize > head.treeSize || before > said.treeSize || length === this.#header?.cosignatures)
      throw this.#wrong('EXPORT_CORRUPT', 'cosignatures are counted, in order, and go up to the head');
    this.#located(() =>
      asSignature(() => verifyCosignature(said.identityKey, { ...said, logId: head.logId })),
    );
    if (!this.#whole) this.#requireContinued(said, head);
    this.#cosignatures.push(said);
    this.#claim(said);
  }

  #requireContinued(
    { treeSize, rootHash, consistency = [] }: ExportedCosignature,
    head: SignedTreeHead,
  ): void {
    if (verifyConsistency(treeSize, head.treeSize, rootHash, head.rootHash, consistency)) return;
    throw this.#forked(treeSize);
  }

  #entry(line: ExportedEntry): EntryOutline | undefined {
    const head = this.#head;
    if (head === undefined || this.#cosignatures.length !== this.#header?.cosignatures)
      throw this.#wrong('EXPORT_CORRUPT', 'an entry before the head and its cosignatures');
    const expected = this.#last + 1;
    if (this.#whole ? line.seq !== expected : line.seq < expected)
      throw this.#wrong(
        'EXPORT_CORRUPT',
        this.#whole
          ? `entry ${String(expected)} is missing here`
          : `entry ${String(line.seq)} is out of order`,
        this.#whole ? expected : line.seq,
      );
    if (line.seq >= head.treeSize)
      throw this.#wrong('EXPORT_CORRUPT', 'the entry is beyond the head', line.seq);
    const entry = line.kind === 'Entry' ? this.#read(line) : undefined;
    this.#prove(line, head);
    if (entry === undefined) this.#counts.redacted += 1;
    else this.#judge(entry);
    this.#last = line.seq;
    if (this.#whole) this.#append(line.leafHash);
    return entry;
  }

  /** The entry behind its bytes: hashed first, so that damage is called damage. */
  #read({ seq, leafHash: hash, entry: text }: Extract<ExportedEntry, { kind: 'Entry' }>): EntryOutline {
    const bytes = new TextEncoder().encode(text);
    if (!same(leafHash(bytes), hash))
      throw this.#wrong('EXPORT_CORRUPT', 'the entry does not match its hash', seq);
    return this.#located(() => readOutline(bytes, seq), seq);
  }

  #prove({ seq, leafHash: hash, path }: ExportedEntry, head: SignedTreeHead): void {
    if (this.#whole && path === undefined) return;
    if (path !== undefined && verifyInclusion(seq, head.treeSize, hash, path, head.rootHash)) return;
    throw this.#wrong('PROOF_INVALID', 'the entry is not in the tree of the signed head', seq);
  }

  #judge(entry: EntryOutline): void {
    this.#counts.entries += 1;
    const verdict = this.#located(() => this.#statement(entry), entry.seq);
    if (verdict === true) this.#counts.signatures += 1;
    if (verdict !== false) return;
    if (this.#whole && this.#counts.redacted === 0 && !isMembership(entry.type))
      throw this.#wrong('SIGNATURE_INVALID', 'refers to what the ledger does not hold', entry.seq);
    this.#counts.unchecked += 1;
  }

  /** True where a signature was verified, false where it could not be judged, undefined where there is none. */
  #statement(outline: EntryOutline): boolean | undefined {
    const entry = readStatement(outline);
    if (entry?.type === 'root.rotated') return this.#chain?.rotate(entry) ?? false;
    if (entry?.type === 'roster.published') return this.#chain?.publish(entry) ?? false;
    return entry && this.#statements?.judge(entry);
  }

  /** Compares the tree with every head that somebody signed at its size. */
  #append(hash: Uint8Array): void {
    this.#frontier.append(hash);
    const { size } = this.#frontier;
    const claims = this.#claims.get(size);
    const signed = this.#head?.treeSize === size ? this.#head.rootHash : undefined;
    if (claims === undefined && signed === undefined) return;
    const root = this.#frontier.root();
    if (signed && !same(root, signed))
      throw this.#wrong(
        'PROOF_INVALID',
        `one of entries ${String(this.#agreed)} to ${String(size - 1)} is not the one that the head was signed over`,
        this.#agreed,
      );
    if (claims?.every((claimed) => same(root, claimed)) === false) throw this.#forked(size);
    this.#agreed = size;
  }

  #claim({ treeSize, rootHash }: Pick<SignedTreeHead, 'treeSize' | 'rootHash'>): void {
    const claims = this.#claims.get(treeSize);
    if (claims === undefined) this.#claims.set(treeSize, [rootHash]);
    else claims.push(rootHash);
  }

  #end({ entries, digest }: Extract<ExportLine, { kind: 'End' }>): void {
    const head = this.#head;
    if (head === undefined) throw this.#wrong('EXPORT_CORRUPT', 'an end before the head');
    if (this.#whole && this.#frontier.size < head.treeSize)
      throw this.#wrong('EXPORT_CORRUPT', `entry ${String(this.#last + 1)} is missing here`, this.#last + 1);
    if (entries !== this.count)
      throw this.#wrong('EXPORT_CORRUPT', `${String(entries)} entries were written, and others are there`);
    if (digest !== this.#digest())
      throw this.#wrong('EXPORT_CORRUPT', 'the lines are not those that were written');
    for (const [at, said] of this.#cosignatures.entries())
      this.#requireEnrolled(FIRST_COSIGNATURE + at, said);
    this.#located(() => this.#chain?.requireFound());
    this.#ended = true;
  }

  /** A key of nobody's is no witness. */
  #requireEnrolled(line: number, said: ExportedCosignature): void {
    const agent = this.#statements?.agent(said.agentId);
    if (agent === undefined && (!this.#whole || this.#counts.redacted > 0)) return;
    if (agent?.identityKey === encodeBase64(said.identityKey)) return;
    this.#line = line;
    throw this.#wrong('SIGNATURE_INVALID', 'the cosignature is of a key that the ledger did not enrol');
  }

  #witnesses(): readonly Witness[] {
    const newest = new Map<string, Witness>();
    const roster = this.#chain?.newest;
    for (const said of this.#cosignatures) {
      const { agentId, treeSize, time } = said;
      const site = this.#statements?.agent(agentId)?.site;
      const member = roster?.member(agentId);
      if (site === undefined) continue;
      if (this.#chain && (member?.site !== site || member.identityKey !== encodeBase64(said.identityKey)))
        continue;
      // In the order of sizes: the last one of a site is its newest.
      newest.set(site, { site, agentId, treeSize, time });
    }
    return [...newest.values()].sort((a, b) => b.treeSize - a.treeSize || (a.site < b.site ? -1 : 1));
  }

  /** The entry that comes next, where that is known. */
  #expected(): number | undefined {
    const before = FIRST_COSIGNATURE + (this.#header?.cosignatures ?? 0);
    const [next, size] = [this.#last + 1, this.#head?.treeSize ?? 0];
    return this.#whole && this.#line >= before && next < size ? next : undefined;
  }

  #forked(size: number): TributaryError {
    return this.#wrong(
      'LEDGER_FORKED',
      `the tree of ${String(size)} entries is not the one that was signed before`,
      this.#whole ? this.#agreed : undefined,
    );
  }

  #located<T>(check: () => T, seq = this.#expected()): T {
    try {
      return check();
    } catch (error) {
      const { code, message, hint } = TributaryError.from(error);
      throw this.#wrong(code, message, seq, { cause: error, ...(hint !== undefined && { hint }) });
    }
  }

  #wrong(
    code: ErrorCode,
    what: string,
    seq?: number,
    options: { readonly cause?: unknown; readonly hint?: string } = {},
  ): TributaryError {
    const place = seq === undefined ? '' : `, entry ${String(seq)}`;
    return new TributaryError(code, `line ${String(this.#line)}${place}: ${what}`, {
      ...options,
      fields: { line: this.#line, ...(seq !== undefined && { seq }) },
    });
  }
}

/** Where a signature is expected, a malformed one is a wrong one. */
function asSignature(check: () => void): void {
  try {
    check();
  } catch (cause) {
    throw new TributaryError('SIGNATURE_INVALID', TributaryError.from(cause).message, { cause });
  }
}

const isMembership = (type: string): boolean => type === 'roster.published' || type === 'root.rotated';
const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, index) => byte === b[index]);
