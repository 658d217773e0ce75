import { encodeBase64, LIMITS, TributaryError, type JsonObject, type SignedTreeHead } from '@tributary/proto';
import { z } from 'zod';

import type { DecisionNote } from '../domain/decision.js';
import type { AlarmChoice, AlarmKind, LedgerAlarm } from '../domain/ledger-alarm.js';
import type { Clock, StateStore } from '../ports.js';
import { bytesField, encodeRecord, readRecord } from './records.js';

const KEY = 'ledger-alarms';

export const headSchema = z.strictObject({
  logId: z.string(),
  treeSize: z.int().nonnegative(),
  rootHash: bytesField(32),
  time: z.string(),
  signature: bytesField(64),
});
const alarmsSchema = z.strictObject({
  alarms: z.array(
    z.strictObject({
      kind: z.enum(['Forked', 'Shortened']),
      time: z.string(),
      kept: headSchema,
      shown: headSchema,
      resolved: z.enum(['Keep', 'Accept']).optional(),
    }),
  ),
});

/** A head as records hold it. */
export const headFields = ({ logId, treeSize, time, rootHash, signature }: SignedTreeHead): JsonObject => ({
  ...{ logId, treeSize, time },
  rootHash: encodeBase64(rootHash),
  signature: encodeBase64(signature),
});

export interface LedgerAlarmParts {
  readonly store: StateStore;
  readonly clock: Pick<Clock, 'now'>;
  /** Writes into the site's own log; durable when it resolves. */
  readonly note: (note: DecisionNote) => Promise<void>;
}

/** The alarms of an agent about its coordinator's log: durable, so that a restart settles nothing. */
export class LedgerAlarms {
  readonly #parts: LedgerAlarmParts;
  #alarms: readonly LedgerAlarm[];
  readonly #waiting = new Set<() => void>();

  private constructor(parts: LedgerAlarmParts, alarms: readonly LedgerAlarm[]) {
    this.#parts = parts;
    this.#alarms = alarms;
  }

  static async open(parts: LedgerAlarmParts): Promise<LedgerAlarms> {
    const record = await readRecord(parts.store, KEY, alarmsSchema);
    const alarms = record?.alarms.map(({ resolved, ...alarm }) => ({
      ...alarm,
      ...(resolved && { resolved }),
    }));
    return new LedgerAlarms(parts, alarms ?? []);
  }

  /** The newest, last. */
  get all(): readonly LedgerAlarm[] {
    return this.#alarms;
  }

  /** The one about this log that nobody has settled. */
  open(logId: string): LedgerAlarm | undefined {
    return this.#alarms.findLast(({ kept, resolved }) => kept.logId === logId && resolved === undefined);
  }

  /** Resolves when an alarm was settled, or with the signal. */
  settled(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  /** Keeps both heads as evidence, in the log of the site and beside it. It stops the agent even where the disk fails. */
  async raise(kind: AlarmKind, kept: SignedTreeHead, shown: SignedTreeHead): Promise<LedgerAlarm> {
    const time = new Date(this.#parts.clock.now()).toISOString();
    const alarm: LedgerAlarm = { kind, time, kept, shown };
    this.#alarms = [...this.#alarms, alarm].slice(-LIMITS.siteAlarmsKept);
    const heads = { kept: headFields(kept), shown: headFields(shown) };
    await this.#write(this.#alarms);
    await this.#parts.note({ type: 'LedgerAlarm', time, kind, ...heads });
    return alarm;
  }

  /** What the people of the site decided, in one write with what follows from it. Throws CONFLICT where nothing is open. */
  async resolve(
    logId: string,
    choice: AlarmChoice,
    consequences: Readonly<Record<string, Uint8Array>> = {},
  ): Promise<LedgerAlarm> {
    const alarm = this.open(logId);
    if (alarm === undefined)
      throw new TributaryError('CONFLICT', 'the coordinator has contradicted nothing that is not settled');
    const time = new Date(this.#parts.clock.now()).toISOString();
    const treeSize = choice === 'Keep' ? alarm.kept.treeSize : alarm.shown.treeSize;
    await this.#parts.note({ type: 'LedgerResolved', time, kind: alarm.kind, choice, treeSize });
    const resolved = { ...alarm, resolved: choice };
    const settle = (): readonly LedgerAlarm[] => this.#alarms.map((one) => (one === alarm ? resolved : one));
    // Open until that is durable: it can be said again after a full disk.
    await this.#write(settle(), consequences);
    this.#alarms = settle();
    return resolved;
  }

  /** Lets those go on who wait for a settlement. */
  announce(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #write(known: readonly LedgerAlarm[], others: Readonly<Record<string, Uint8Array>> = {}): Promise<void> {
    const alarms = known.map(({ kept, shown, ...alarm }) => ({
      ...alarm,
      kept: headFields(kept),
      shown: headFields(shown),
    }));
    return this.#parts.store.put({ ...others, [KEY]: encodeRecord({ alarms }) });
  }
}
