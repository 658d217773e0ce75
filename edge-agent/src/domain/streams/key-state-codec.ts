import { FORMAT_VERSION, requireFormat, TributaryError, type StreamPipelineSpec } from '@tributary/proto';

import type { AlertState } from './alerts.js';
import { member } from './data-path.js';
import { idOf } from './identity.js';
import type { KeyState } from './key-state.js';
import { RecentIds } from './recent-ids.js';
import type { Run } from './run.js';

/** What is kept of one key: windows, and alerts as of the decisions that those windows have given so far. */
export interface KeySnapshot {
  readonly key: string;
  readonly state: KeyState;
  readonly alerts: AlertState;
}

/** Writes and reads snapshots of the keys of one pipeline. */
export interface SnapshotCodec {
  encode(snapshot: KeySnapshot): Uint8Array;
  /**
   * Undefined for a snapshot of other windows or payloads: a pipeline that was changed begins anew. Throws
   * FORMAT_UNSUPPORTED for what a newer version wrote, STORE_CORRUPT for anything that is no snapshot.
   */
  decode(bytes: Uint8Array): KeySnapshot | undefined;
}

/** The codec of a pipeline; `initial` is that of its KeyStream. */
export function snapshotCodec(spec: StreamPipelineSpec, initial: KeyState): SnapshotCodec {
  const { payload, window, source, key } = spec;
  const plan = idOf({ payload, window, topics: source.topics, key });
  return {
    encode: ({ key: name, state, alerts }) =>
      new TextEncoder().encode(
        JSON.stringify({ formatVersion: FORMAT_VERSION, plan, key: name, state, alerts }),
      ),
    decode(bytes) {
      const value = parse(bytes);
      requireFormat(member(value, 'formatVersion'), 'the state of a stream', FORMAT_VERSION);
      if (member(value, 'formatVersion') !== FORMAT_VERSION) throw corrupt();
      if (member(value, 'plan') !== plan) return undefined;
      const { key: name, state, alerts } = value as KeySnapshot;
      if (typeof name !== 'string' || !isState(state, initial) || !isAlerts(alerts)) throw corrupt();
      const { pages } = state.recent as unknown as { readonly pages: readonly (readonly string[])[] };
      return { key: name, state: { ...state, recent: RecentIds.of(pages.flat()) }, alerts };
    },
  };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw corrupt();
  }
}

const corrupt = (): TributaryError => new TributaryError('STORE_CORRUPT', 'the state of a stream is damaged');

const TIMES = ['watermarkMs', 'floorMs', 'newestMs'] as const;

function isState(value: unknown, initial: KeyState): value is KeyState {
  const times = TIMES.every((name) => isTime(member(value, name)));
  return (
    times &&
    isNumber(member(value, 'arrivalMs')) &&
    every(member(value, 'runs'), isRun) &&
    every(member(value, 'hits'), isHit) &&
    every(member(member(value, 'recent'), 'pages'), (page) => every(page, isText)) &&
    hasShape(initial.trigger, member(value, 'trigger'))
  );
}

function isRun(value: unknown): value is Run {
  const count = member(value, 'count');
  const columns = member(value, 'columns');
  const numbers = ['startMs', 'periodMs', 'first'].every((name) => isNumber(member(value, name)));
  return (
    numbers &&
    typeof count === 'number' &&
    count > 0 &&
    isText(member(value, 'identity')) &&
    isRecord(columns) &&
    Object.values(columns).every((cells) => Array.isArray(cells) && cells.length === count) &&
    isRecord(member(value, 'labels'))
  );
}

function isHit(value: unknown): boolean {
  return isNumber(member(value, 'timeMs')) && isTime(member(value, 'intervalMs'));
}

function isAlerts(value: unknown): value is AlertState {
  return (
    isRecord(value) &&
    Object.values(value).every(
      (standing) =>
        isTime(member(standing, 'sinceMs')) &&
        typeof member(standing, 'raised') === 'boolean' &&
        isNumber(member(standing, 'seenMs')),
    )
  );
}

/** Whether a value has the members of a sample, of the same types; null in the sample stands for anything. */
function hasShape(sample: unknown, value: unknown): boolean {
  if (sample === null) return value !== undefined;
  if (Array.isArray(sample)) return Array.isArray(value);
  if (!isRecord(sample)) return typeof sample === typeof value;
  return Object.entries(sample).every(([name, inner]) => hasShape(inner, member(value, name)));
}

const isNumber = (value: unknown): boolean => typeof value === 'number';
const isText = (value: unknown): boolean => typeof value === 'string';
const isTime = (value: unknown): boolean => value === null || typeof value === 'number';
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function every(value: unknown, holds: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(holds);
}
