import {
  digestOf,
  digestSchema,
  encodeBase64,
  LIMITS,
  TributaryError,
  type Digest,
  type SigningKey,
} from '@tributary/proto';
import { z } from 'zod';

import {
  EMPTY_DECISIONS,
  encodeDecision,
  followLine,
  headTranscript,
  type Decision,
  type DecisionHead,
  type DecisionLine,
  type DecisionNote,
} from '../domain/decision.js';
import type { Clock, LineLog, StateStore } from '../ports.js';
import { encodeRecord, readRecord } from './records.js';

const KEY = 'decision-head';

const headSchema = z.strictObject({
  count: z.int().nonnegative(),
  digest: digestSchema,
});

export interface DecisionLogParts {
  readonly lines: LineLog;
  /** Keeps how far the log has come, so that lines missing at its end are noticed. */
  readonly store: StateStore;
  readonly identity: SigningKey;
  readonly logId: string;
  readonly agentId: string;
  readonly clock: Clock;
}

/**
 * The site's own record of what it allowed, refused, decided and sent: lines that each name the digest of the one before,
 * with a signed head now and then.
 */
export class DecisionLog {
  readonly #parts: DecisionLogParts;
  #head: DecisionHead;
  #policyDigest: unknown;
  /** Lines since the newest signed head. */
  #unsigned: number;
  #recent: readonly Decision[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(parts: DecisionLogParts, head: DecisionHead, policyDigest: unknown, unsigned: number) {
    this.#parts = parts;
    this.#head = head;
    this.#policyDigest = policyDigest;
    this.#unsigned = unsigned;
  }

  /**
   * Verifies the whole chain. Rejects with STORE_CORRUPT where a line was altered or the end is missing,
   * FORMAT_UNSUPPORTED if newer.
   */
  static async open(parts: DecisionLogParts): Promise<DecisionLog> {
    const known = (await readRecord(parts.store, KEY, headSchema)) ?? EMPTY_DECISIONS;
    let head = EMPTY_DECISIONS;
    let policyDigest: unknown;
    let unsigned = 0;
    for await (const line of parts.lines.read()) {
      const { head: next, fields, signedBy } = followLine(head, line);
      head = next;
      if (head.count === known.count && head.digest !== known.digest) throw altered(head.count);
      if (fields['type'] === 'Policy') policyDigest = fields['policyDigest'];
      unsigned = signedBy === undefined ? unsigned + 1 : 0;
    }
    if (head.count < known.count) throw cutOff(head.count, known.count);
    return new DecisionLog(parts, head, policyDigest, unsigned);
  }

  get head(): DecisionHead {
    return this.#head;
  }

  /** The newest decisions of this process, oldest first. */
  get recent(): readonly Decision[] {
    return this.#recent;
  }

  /** Durable when it resolves. */
  record(decision: Decision): Promise<void> {
    return this.#append(decision, () => {
      this.#recent = [...this.#recent, decision].slice(-LIMITS.decisionsTold);
    });
  }

  /** Durable when it resolves. */
  note(note: DecisionNote): Promise<void> {
    return this.#append(note, () => undefined);
  }

  /** Notes the policy that is in force, where it is another than that of the last line about it. */
  async policy(policyDigest: Digest | ''): Promise<void> {
    if (this.#policyDigest === policyDigest) return;
    this.#policyDigest = policyDigest;
    await this.note({ type: 'Policy', time: this.#now(), policyDigest });
  }

  /** Signs what is not signed yet. */
  async close(): Promise<void> {
    await this.#turn;
    if (this.#unsigned > 0) await this.#inTurn(() => this.#sign());
  }

  #append(entry: Decision | DecisionNote, then: () => void): Promise<void> {
    return this.#inTurn(async () => {
      await this.#write(entry);
      this.#unsigned += 1;
      then();
      if (this.#unsigned >= LIMITS.signedHeadEveryLines) await this.#sign();
    });
  }

  async #sign(): Promise<void> {
    const { identity, logId, agentId } = this.#parts;
    const place = { logId, agentId, time: this.#now() };
    const signature = encodeBase64(identity.sign(headTranscript(this.#head, place)));
    await this.#write({ type: 'Head', ...place, key: encodeBase64(identity.publicKey), signature });
    this.#unsigned = 0;
  }

  async #write(entry: DecisionLine): Promise<void> {
    const line = encodeDecision(entry, this.#head.count, this.#head.digest);
    await this.#parts.lines.append(line);
    this.#head = { count: this.#head.count + 1, digest: digestOf(line) };
    // After the line: a log that is longer than this says is one that a crash cut short here.
    await this.#parts.store.put({ [KEY]: encodeRecord({ ...this.#head }) });
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #now(): string {
    return new Date(this.#parts.clock.now()).toISOString();
  }
}

const altered = (count: number): TributaryError =>
  new TributaryError(
    'STORE_CORRUPT',
    `decision log, line ${String(count)}: is not the line that was written`,
  );

const cutOff = (found: number, known: number): TributaryError =>
  new TributaryError(
    'STORE_CORRUPT',
    `decision log: ${String(known)} lines were written, and ${String(found)} are there`,
    { hint: 'restore decisions.jsonl from a backup that is not older than the state beside it' },
  );
