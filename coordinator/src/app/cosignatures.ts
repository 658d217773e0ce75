import {
  canonicalize,
  decodeBase64,
  encodeBase64,
  LIMITS,
  parseCanonical,
  requireFormat,
  TributaryError,
  verifyCosignature,
  type Cosignature,
} from '@tributary/proto';
import { z } from 'zod';

import type { Clock, LedgerStore } from '../ports.js';
import type { Federation } from './federation.js';

const FORMAT = 1;

/** What a site signed, and the key with which it did. */
export interface SiteCosignature {
  readonly site: string;
  /** 32 bytes. */
  readonly identityKey: Uint8Array;
  readonly cosignature: Cosignature;
}

/** The agent that signed, as the caller of its stream is known. */
export interface Cosigner {
  readonly agentId: string;
  readonly site: string;
  /** Standard base64. */
  readonly identityKey: string;
}

export interface CosignatureParts {
  readonly store: Pick<LedgerStore, 'putCosignatures' | 'cosignatures'>;
  readonly federation: Pick<Federation, 'logId' | 'state' | 'execute' | 'size' | 'holds'>;
  readonly clock: Clock;
  /** Told where what was signed could not be written, or was damaged. */
  readonly onFault: (error: unknown) => void;
}

/** The newest head that each site has signed. They are no entries: an entry would make a newer head. */
export class Cosignatures {
  readonly #parts: CosignatureParts;
  readonly #newest = new Map<string, SiteCosignature>();
  readonly #unwritten = new Map<string, Uint8Array>();
  #cancelFlush: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(parts: CosignatureParts) {
    this.#parts = parts;
  }

  /** What is damaged or missing is named, and signed again by its site in time. Rejects with FORMAT_UNSUPPORTED. */
  static async open(parts: CosignatureParts): Promise<Cosignatures> {
    const cosignatures = new Cosignatures(parts);
    try {
      for await (const record of parts.store.cosignatures()) await cosignatures.#restore(record);
    } catch (error) {
      nameDamage(error, parts.onFault);
    }
    return cosignatures;
  }

  async #restore(record: Uint8Array): Promise<void> {
    const { federation, onFault } = this.#parts;
    try {
      const read = decodeRecord(record, federation.logId);
      const { agentId } = read.cosignature;
      const site = federation.state.agents.get(agentId)?.site ?? read.site;
      if (site !== read.site)
        throw new TributaryError('STORE_CORRUPT', `a cosignature of ${agentId} is damaged`);
      // What a site signed of a tree that a restored ledger does not hold is evidence of the site's, and says nothing here.
      if (await federation.holds(read.cosignature)) this.#newest.set(read.site, read);
    } catch (error) {
      nameDamage(error, onFault);
    }
  }

  /**
   * Takes what an agent signed, in place of what its site signed of a smaller tree. Rejects with INVALID_ARGUMENT,
   * SIGNATURE_INVALID; with LEDGER_FORKED, and an alarm, where the site has seen another tree than this one.
   */
  async take(
    { agentId, site, identityKey }: Cosigner,
    said: Omit<Cosignature, 'agentId' | 'logId'>,
  ): Promise<void> {
    const { federation } = this.#parts;
    const cosignature = { ...said, agentId, logId: federation.logId };
    const key = decodeBase64(identityKey, 'identityKey', 32);
    if (!this.#isNewer(site, said.treeSize)) return;
    verifyCosignature(key, cosignature);
    if (!(await federation.holds(said))) throw await this.#forked(agentId, said.treeSize);
    // Another one of this site may have come meanwhile, on a stream that this one took over.
    if (this.#isNewer(site, said.treeSize)) this.#keep({ site, identityKey: key, cosignature });
  }

  #isNewer(site: string, treeSize: number): boolean {
    return treeSize > (this.#newest.get(site)?.cosignature.treeSize ?? 0);
  }

  /** Of heads up to this size, the smallest first. */
  list(size: number): readonly SiteCosignature[] {
    return [...this.#newest.values()]
      .filter(({ cosignature }) => cosignature.treeSize <= size)
      .sort((a, b) => a.cosignature.treeSize - b.cosignature.treeSize || (a.site < b.site ? -1 : 1));
  }

  /** Whether the agent has signed a tree that holds entry `seq`. */
  signedBeyond(agentId: string, seq: number): boolean {
    return [...this.#newest.values()].some(
      ({ cosignature }) => cosignature.agentId === agentId && cosignature.treeSize > seq,
    );
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    this.#cancelFlush?.();
    await this.#flush();
  }

  #keep(signed: SiteCosignature): void {
    if (!this.#newest.has(signed.site) && this.#newest.size >= LIMITS.agents) return;
    this.#newest.set(signed.site, signed);
    this.#unwritten.set(signed.site, encodeRecord(signed));
    const { clock } = this.#parts;
    this.#cancelFlush ??= clock.at(clock.now() + LIMITS.cosignaturesFlushMs, () => {
      this.#flush().catch(this.#parts.onFault);
    });
  }

  /** One after the other, so that no older record comes after a newer one; what fails is written with what comes next. */
  #flush(): Promise<void> {
    this.#cancelFlush = undefined;
    this.#writing = this.#writing.then(() => this.#write()).catch(this.#parts.onFault);
    return this.#writing;
  }

  async #write(): Promise<void> {
    const records = new Map(this.#unwritten);
    if (records.size === 0) return;
    await this.#parts.store.putCosignatures(records);
    for (const [site, record] of records)
      if (this.#unwritten.get(site) === record) this.#unwritten.delete(site);
  }

  async #forked(agentId: string, size: number): Promise<TributaryError> {
    const { federation, clock } = this.#parts;
    const code = 'LEDGER_FORKED';
    const subject = `agent/${agentId}`;
    const detail = `the agent signed a tree of ${String(size)} entries that this ledger does not contain`;
    if (!federation.state.alarms.some((alarm) => alarm.subject === subject && alarm.code === code))
      await federation.execute({
        kind: 'raise-alarm',
        now: clock.now(),
        actor: 'coordinator',
        ...{ subject, code, detail },
      });
    return new TributaryError(code, detail);
  }
}

function nameDamage(error: unknown, onFault: (error: unknown) => void): void {
  if (TributaryError.from(error).code !== 'STORE_CORRUPT') throw error;
  onFault(error);
}

const recordSchema = z.strictObject({
  formatVersion: z.literal(FORMAT),
  site: z.string(),
  identityKey: z.string(),
  agentId: z.string(),
  treeSize: z.int().positive(),
  rootHash: z.string(),
  time: z.string(),
  signature: z.string(),
});

function encodeRecord({ site, identityKey, cosignature }: SiteCosignature): Uint8Array {
  const { agentId, treeSize, rootHash, time, signature } = cosignature;
  return canonicalize({
    formatVersion: FORMAT,
    ...{ site, agentId, treeSize, time },
    identityKey: encodeBase64(identityKey),
    rootHash: encodeBase64(rootHash),
    signature: encodeBase64(signature),
  });
}

function decodeRecord(bytes: Uint8Array, logId: string): SiteCosignature {
  try {
    const value = parseCanonical(bytes, 4_096);
    requireFormat((value as { formatVersion?: unknown }).formatVersion, 'the cosignature of a site', FORMAT);
    const { site, identityKey, agentId, treeSize, rootHash, time, signature } = recordSchema.parse(value);
    const key = decodeBase64(identityKey, 'identityKey', 32);
    const said = { agentId, logId, treeSize, time, rootHash: decodeBase64(rootHash, 'rootHash', 32) };
    const cosignature = { ...said, signature: decodeBase64(signature, 'signature', 64) };
    verifyCosignature(key, cosignature);
    return { site, identityKey: key, cosignature };
  } catch (cause) {
    if (cause instanceof TributaryError && cause.code === 'FORMAT_UNSUPPORTED') throw cause;
    throw new TributaryError('STORE_CORRUPT', 'the cosignature of a site cannot be read', { cause });
  }
}
