import {
  LIMITS,
  signCosignature,
  TributaryError,
  verifyConsistency,
  type Cosignature,
  type SignedTreeHead,
  type SigningKey,
} from '@tributary/proto';

import { alarmError, type AlarmChoice, type AlarmKind, type LedgerAlarm } from '../domain/ledger-alarm.js';
import { requireHead, type PinnedLog } from '../domain/proof.js';
import type { StateStore } from '../ports.js';
import { headFields, headSchema, type LedgerAlarms } from './ledger-alarms.js';
import { encodeRecord, readRecord } from './records.js';

/** Key of the newest verified tree head. */
export const TREE_HEAD = 'tree-head';

/** Asks the coordinator for the proof that the tree of `first` entries is a prefix of that of `second`. */
export type ConsistencySource = (first: number, second: number) => Promise<readonly Uint8Array[]>;

/** Whether a head is said to be the newest there is, or came with something that may be older. */
export type HeadClaim = 'Newest' | 'Dated';

/**
 * Watches that the coordinator's log only grows: every head that the agent sees must be consistent with the newest one
 * before it (RFC 9162, 2.1.4), so a rewritten or split log is noticed at the first order from it. From then on nothing
 * of this log is taken until the site's people have settled it.
 */
export class Witness {
  readonly #store: StateStore;
  readonly #log: PinnedLog;
  readonly #alarms: LedgerAlarms;
  #head: SignedTreeHead | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    store: StateStore,
    log: PinnedLog,
    alarms: LedgerAlarms,
    head: SignedTreeHead | undefined,
  ) {
    this.#store = store;
    this.#log = log;
    this.#alarms = alarms;
    this.#head = head;
  }

  static async open(store: StateStore, log: PinnedLog, alarms: LedgerAlarms): Promise<Witness> {
    const head = await readRecord(store, TREE_HEAD, headSchema);
    return new Witness(store, log, alarms, head?.logId === log.logId ? head : undefined);
  }

  /** The newest verified head. */
  get head(): SignedTreeHead | undefined {
    return this.#head;
  }

  /** What the coordinator has contradicted, until it is settled. */
  get alarm(): LedgerAlarm | undefined {
    return this.#alarms.open(this.#log.logId);
  }

  /** Resolves when an alarm was settled, or with the signal. */
  settled(signal: AbortSignal): Promise<void> {
    return this.#alarms.settled(signal);
  }

  /**
   * Takes a head that continues what was seen; durable when it resolves. Rejects with PROOF_INVALID where it is not of the
   * pinned log, LEDGER_FORKED where it contradicts what was seen, LEDGER_SHORTENED where the log has become shorter; with
   * one of the latter two for every head, too, while such an alarm is open.
   */
  observe(head: SignedTreeHead, prove: ConsistencySource, claim: HeadClaim = 'Dated'): Promise<void> {
    return this.observeAll([head], prove, claim);
  }

  /** Likewise of several heads, with one proof for each at most, some of them at a time. */
  observeAll(
    heads: readonly SignedTreeHead[],
    prove: ConsistencySource,
    claim: HeadClaim = 'Dated',
  ): Promise<void> {
    return this.#inTurn(async () => {
      const { alarm } = this;
      if (alarm !== undefined) throw alarmError(alarm);
      try {
        await this.#check(heads, prove, claim);
      } catch (error) {
        if (!(error instanceof Contradiction)) throw error;
        const { kind, kept, shown } = error;
        throw alarmError(await this.#alarms.raise(kind, kept, shown));
      }
    });
  }

  /** The agent's word for the newest verified head; undefined where there is none, or an alarm. */
  cosign(key: Pick<SigningKey, 'sign'>, agentId: string, nowMs: number): Cosignature | undefined {
    const head = this.#head;
    if (head === undefined || this.alarm !== undefined) return undefined;
    return signCosignature(key, agentId, head, new Date(nowMs).toISOString());
  }

  /** Settles the open alarm: the head of before counts on, or the one that was shown takes its place. */
  settle(choice: AlarmChoice): Promise<LedgerAlarm> {
    return this.#inTurn(async () => {
      const accepted = choice === 'Accept' ? this.alarm?.shown : undefined;
      const settled = await this.#alarms.resolve(this.#log.logId, choice, accepted && headRecord(accepted));
      if (accepted !== undefined) this.#head = accepted;
      this.#alarms.announce();
      return settled;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** What is a prefix of the newest one is consistent with all others that are. */
  async #check(heads: readonly SignedTreeHead[], prove: ConsistencySource, claim: HeadClaim): Promise<void> {
    for (const head of heads) requireHead(this.#log, head);
    const known = this.#head;
    const others = known === undefined ? [...heads] : [known, ...heads];
    const newest = others.reduce((a, b) => (b.treeSize > a.treeSize ? b : a));
    const waiting = others.filter((head) => head !== newest);
    const [shown] = waiting;
    if (claim === 'Newest' && newest === known && shown && shown.treeSize < known.treeSize)
      throw new Contradiction('Shortened', known, shown);
    const next = async (): Promise<void> => {
      for (let head = waiting.pop(); head !== undefined; head = waiting.pop())
        await requireContinued(head, newest, prove, known);
    };
    await Promise.all(Array.from({ length: LIMITS.proofsTogether }, next));
    if (newest !== known) await this.#keep(newest);
  }

  async #keep(head: SignedTreeHead): Promise<void> {
    await this.#store.put(headRecord(head));
    this.#head = head;
  }
}

const headRecord = (head: SignedTreeHead): Readonly<Record<string, Uint8Array>> => ({
  [TREE_HEAD]: encodeRecord(headFields(head)),
});

/** Two heads of one log that cannot both be true. */
class Contradiction extends Error {
  readonly kind: AlarmKind;
  readonly kept: SignedTreeHead;
  readonly shown: SignedTreeHead;

  constructor(kind: AlarmKind, kept: SignedTreeHead, shown: SignedTreeHead) {
    super(kind);
    this.kind = kind;
    this.kept = kept;
    this.shown = shown;
  }
}

async function requireContinued(
  older: SignedTreeHead,
  newer: SignedTreeHead,
  prove: ConsistencySource,
  known: SignedTreeHead | undefined,
): Promise<void> {
  const [kept, shown] = newer === known ? [newer, older] : [older, newer];
  let path: readonly Uint8Array[];
  try {
    // Sizes 0 and equal ones need no path: the roots decide.
    const needless = older.treeSize === 0 || older.treeSize === newer.treeSize;
    path = needless ? [] : await prove(older.treeSize, newer.treeSize);
  } catch (error) {
    // What the agent has verified is beyond the tree that the coordinator has now.
    if (newer === known && TributaryError.from(error).code === 'INVALID_ARGUMENT')
      throw new Contradiction('Shortened', kept, shown);
    throw error;
  }
  if (!verifyConsistency(older.treeSize, newer.treeSize, older.rootHash, newer.rootHash, path))
    throw new Contradiction('Forked', kept, shown);
}
