import {
  canonicalize,
  isJsonObject,
  parseCanonical,
  requireFormat,
  type JsonObject,
  type JsonValue,
} from '@tributary/proto';

import { EMPTY_FEDERATION, type FederationState } from './federation-state.js';

/** Version of the snapshot format; raised whenever the shape of the state changes. */
export const SNAPSHOT_VERSION = 5;

/** Member that marks an object as a map: its value is the list of pairs, in order. */
const MAP = '$map';

/** The canonical bytes of a state: a cache of the fold, rebuilt from the ledger wherever it does not fit. */
export function encodeSnapshot(state: FederationState): Uint8Array {
  return canonicalize({ formatVersion: SNAPSHOT_VERSION, state: toJson(state) });
}

/**
 * The state of a snapshot; that of version 4 is brought up to date. Throws FORMAT_UNSUPPORTED for a newer format; undefined
 * for an older one or for bytes that are no snapshot, which means: fold the ledger instead.
 */
export function decodeSnapshot(bytes: Uint8Array): FederationState | undefined {
  const snapshot = readObject(bytes);
  const formatVersion = snapshot?.['formatVersion'];
  if (typeof formatVersion !== 'number') return undefined;
  requireFormat(formatVersion, 'the snapshot', SNAPSHOT_VERSION);
  if (formatVersion < SNAPSHOT_VERSION - 1) return undefined;
  const state = fromJson(snapshot?.['state'] ?? null);
  if (!isState(state)) return undefined;
  return formatVersion === SNAPSHOT_VERSION ? state : withKinds(state);
}

/** Whether they are of the version that this build writes. */
export const isCurrentSnapshot = (bytes: Uint8Array): boolean =>
  readObject(bytes)?.['formatVersion'] === SNAPSHOT_VERSION;

/** From version 4, in which every identity was that of an agent that trains. */
function withKinds(state: FederationState): FederationState {
  const { tokens, agents, sites } = state;
  return {
    ...state,
    tokens: mapped(tokens, (token) => ({ ...token, kind: 'Training' })),
    agents: mapped(agents, (agent) => ({ ...agent, kind: 'Training' })),
    sites: mapped(sites, (site) => ({ ...site, replicas: [] })),
  };
}

const mapped = <T>(map: ReadonlyMap<string, T>, change: (value: T) => T): ReadonlyMap<string, T> =>
  new Map(Array.from(map, ([key, value]) => [key, change(value)]));

function readObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const value = parseCanonical(bytes, bytes.length);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether every member of a state is there with its kind; what is inside was written by encodeSnapshot. */
function isState(value: unknown): value is FederationState {
  if (typeof value !== 'object' || value === null) return false;
  const found = value as Readonly<Record<string, unknown>>;
  return Object.entries(EMPTY_FEDERATION).every(([key, empty]) => {
    const member = found[key];
    if (empty instanceof Map) return member instanceof Map;
    return Array.isArray(empty) ? Array.isArray(member) : typeof member === 'number';
  });
}

function toJson(value: unknown): JsonValue {
  if (value instanceof Map)
    return { [MAP]: Array.from(value as ReadonlyMap<string, unknown>, ([key, item]) => [key, toJson(item)]) };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value as JsonValue;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
}

function fromJson(value: JsonValue): unknown {
  if (isArray(value)) return value.map(fromJson);
  if (!isJsonObject(value)) return value;
  const pairs = value[MAP];
  if (pairs !== undefined && isArray(pairs)) return new Map(pairs.map(pairFromJson));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromJson(item ?? null)]));
}

function pairFromJson(pair: JsonValue): [string, unknown] {
  const [key, value] = isArray(pair) ? pair : [];
  return [typeof key === 'string' ? key : '', fromJson(value ?? null)];
}

const isArray = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);
