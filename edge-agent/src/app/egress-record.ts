import type { JsonObject } from '@tributary/proto';
import { z } from 'zod';

import {
  addMessage,
  addTransport,
  EMPTY_EGRESS,
  sumOf,
  takeBack,
  type Egress,
  type EgressState,
} from '../domain/egress.js';
import type { MeterFile } from '../egress-ports.js';
import type { StateStore } from '../ports.js';
import { decodeRecord, encodeRecord, readRecord } from './records.js';

/** What builds before 0.3.0 read, and count on in: no more fields than they know. */
const SUMS = 'egress';
const WHOLE = 'egress-whole';

/** Bytes that a process may send in a turn besides its messages: acknowledgements, window updates. */
const UNSEEN = 2_048n;

const count = z
  .string()
  .regex(/^[0-9]{1,30}$/)
  .transform(BigInt);
const egressFields = { update: count, control: count, transport: count.default(0n) };
const time = z.int().nonnegative();
/** Of either record: builds between 0.2.0 and 0.3.0 wrote all of it under the first name. */
const egressSchema = z.strictObject({
  ...egressFields,
  reserved: count,
  jobs: z
    .array(z.strictObject({ jobId: z.string(), ...egressFields, firstAt: time, lastAt: time, updates: time }))
    .default([]),
  /** Of earlier versions, which looked less often and made up for it. */
  burst: count.optional(),
  /** What sockets had written at the last look. */
  wire: count.optional(),
  /** The process that wrote it ended in order: nothing left after it. */
  closed: z.boolean().default(false),
});

type Stored = z.output<typeof egressSchema>;

/** Everything that a process has counted. */
export interface EgressRecord {
  readonly state: EgressState;
  readonly reserved: bigint;
  readonly wire: bigint;
  readonly closed: boolean;
}

export function encodeEgress({ state: { total, jobs }, reserved, wire, closed }: EgressRecord): Uint8Array {
  return encodeRecord({
    ...textsOf(total),
    reserved: String(reserved),
    wire: String(wire),
    closed,
    jobs: [...jobs].map(([jobId, { firstAt, lastAt, updates, ...bytes }]) => ({
      jobId,
      ...textsOf(bytes),
      ...{ firstAt, lastAt, updates },
    })),
  });
}

/** What the store is told; in one change, so that only another build can make the two differ. */
export function egressChange(record: EgressRecord): Readonly<Record<string, Uint8Array>> {
  const { update, control } = record.state.total;
  const sums: JsonObject = {
    ...{ update: String(update), control: String(control) },
    reserved: String(record.reserved),
  };
  return { [SUMS]: encodeRecord(sums), [WHOLE]: encodeEgress(record) };
}

const textsOf = ({ update, control, transport }: Egress) => ({
  update: String(update),
  control: String(control),
  transport: String(transport),
});

/**
 * Where the count goes on. `isForeign`: with bytes that a build counted which keeps no jobs; those that are open share
 * them. `unsaved`: the most that leaves without being written down.
 */
export async function readEgress(
  store: StateStore,
  meter: MeterFile,
  unsaved: bigint,
): Promise<{ readonly state: EgressState; readonly isForeign: boolean }> {
  const sums = await readRecord(store, SUMS, egressSchema);
  const whole = await readRecord(store, WHOLE, egressSchema);
  const same = meter.read();
  const state =
    same === undefined
      ? afterPowerLoss(whole ?? sums)
      : afterDeath(decodeRecord(WHOLE, same, egressSchema), unsaved);
  if (sums === undefined || whole === undefined) return { state, isForeign: false };
  const update = sums.update + sums.reserved - (whole.update + whole.reserved);
  const control = sums.control - whole.control;
  const at = latestOf(state);
  return {
    state: addMessage(
      addMessage(state, 'update', atLeastNone(update), at),
      'control',
      atLeastNone(control),
      at,
    ),
    isForeign: update > 0n || control > 0n,
  };
}

const atLeastNone = (bytes: bigint): number => (bytes > 0n ? Number(bytes) : 0);

function stateOf({ update, control, transport, jobs }: Stored): EgressState {
  return {
    total: { update, control, transport },
    jobs: new Map(jobs.map(({ jobId, ...job }) => [jobId, job])),
  };
}

/** The machine has forgotten what the process wrote last: every reserved byte counts as sent. */
function afterPowerLoss(record: Stored | undefined): EgressState {
  if (record === undefined) return EMPTY_EGRESS;
  const state = stateOf(record);
  return { ...state, total: { ...state.total, update: state.total.update + record.reserved } };
}

/**
 * Where the count goes on after the process died without a word: from the last look at the sockets, plus what may have left
 * between it and the end. What was counted beyond that never left.
 */
function afterDeath(left: Stored, unsaved: bigint): EgressState {
  const state = stateOf(left);
  if (left.closed) return state;
  const counted = sumOf(state.total);
  const wire = left.wire ?? counted;
  const unsent = counted > wire ? counted - wire : 0n;
  const unseen = UNSEEN + (unsent < unsaved ? unsent : unsaved);
  const upTo = wire + unseen;
  return counted > upTo
    ? takeBack(state, counted - upTo)
    : addTransport(state, upTo - counted, latestOf(state));
}

const latestOf = ({ jobs }: EgressState): number =>
  [...jobs.values()].reduce((latest, { lastAt }) => Math.max(latest, lastAt), 0);
