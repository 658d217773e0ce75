import { ApiError } from './api-error.js';
import type { Fields } from './objects.js';

/** How a field of a message is read: by type, as a list of it, or as a map of text to it. */
type FieldType = 'text' | 'bytes' | 'integer' | 'boolean' | 'time' | Message;
type Field = readonly [name: string, type: FieldType, shape?: 'list' | 'map'];
type Message = Readonly<Record<number, Field>>;

const OWNER: Message = {
  1: ['kind', 'text'],
  3: ['name', 'text'],
  4: ['uid', 'text'],
  5: ['apiVersion', 'text'],
  6: ['controller', 'boolean'],
  7: ['blockOwnerDeletion', 'boolean'],
};
const METADATA: Message = {
  1: ['name', 'text'],
  2: ['generateName', 'text'],
  3: ['namespace', 'text'],
  5: ['uid', 'text'],
  6: ['resourceVersion', 'text'],
  7: ['generation', 'integer'],
  8: ['creationTimestamp', 'time'],
  9: ['deletionTimestamp', 'time'],
  10: ['deletionGracePeriodSeconds', 'integer'],
  11: ['labels', 'text', 'map'],
  12: ['annotations', 'text', 'map'],
  13: ['ownerReferences', OWNER, 'list'],
  14: ['finalizers', 'text', 'list'],
};

/** Messages that helm writes (k8s.io/api/core/v1/generated.proto, apimachinery/pkg/apis/meta/v1/generated.proto). */
const MESSAGES: Readonly<Record<string, Message>> = {
  Secret: {
    1: ['metadata', METADATA],
    2: ['data', 'bytes', 'map'],
    3: ['type', 'text'],
    4: ['stringData', 'text', 'map'],
    5: ['immutable', 'boolean'],
  },
  ConfigMap: {
    1: ['metadata', METADATA],
    2: ['data', 'text', 'map'],
    3: ['binaryData', 'bytes', 'map'],
    4: ['immutable', 'boolean'],
  },
  Namespace: { 1: ['metadata', METADATA] },
  DeleteOptions: {
    1: ['gracePeriodSeconds', 'integer'],
    2: ['preconditions', { 1: ['uid', 'text'], 2: ['resourceVersion', 'text'] }],
    4: ['propagationPolicy', 'text'],
    5: ['dryRun', 'text', 'list'],
  },
};

const MAGIC = Buffer.from('k8s\0');
const UNKNOWN: Message = {
  1: ['type', { 1: ['apiVersion', 'text'], 2: ['kind', 'text'] }],
  2: ['raw', 'bytes'],
};

/** Reads `application/vnd.kubernetes.protobuf`: an envelope with the type, around the message. Some kinds only. */
export function readProtobuf(bytes: Buffer): Fields {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw new ApiError('BadRequest', 'not the protobuf of Kubernetes');
  const { type, raw } = readMessage(bytes.subarray(MAGIC.length), UNKNOWN) as {
    readonly type: { readonly apiVersion: string; readonly kind: string };
    readonly raw?: string;
  };
  const message = MESSAGES[type.kind];
  if (message === undefined)
    throw new ApiError('UnsupportedMediaType', `the emulator takes ${type.kind} as JSON or YAML`);
  return { ...type, ...readMessage(Buffer.from(raw ?? '', 'base64'), message) };
}

interface Wire {
  readonly number: number;
  /** Of a varint. */
  readonly value: number;
  /** Of what has a length. */
  readonly bytes: Buffer;
}

const VARINT = 0;
const LENGTH = 2;

function* wireOf(bytes: Buffer): Generator<Wire> {
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new ApiError('BadRequest', 'protobuf ends in the middle of a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [number, kind] = [key >> 3, key & 7];
    if (kind === VARINT) yield { number, value: varint(), bytes: Buffer.of() };
    else if (kind === LENGTH) {
      const length = varint();
      yield { number, value: 0, bytes: bytes.subarray(at, at + length) };
      at += length;
    } else throw new ApiError('BadRequest', 'protobuf of a kind that Kubernetes does not write');
  }
}

function readMessage(bytes: Buffer, message: Message): Fields {
  const fields: Fields = {};
  for (const wire of wireOf(bytes)) {
    const known = message[wire.number];
    if (known === undefined) continue;
    const [name, type, shape] = known;
    if (shape === 'map') {
      const { key, value } = readMessage(wire.bytes, { 1: ['key', 'text'], 2: ['value', type] });
      fields[name] = { ...(fields[name] as Fields | undefined), [String(key)]: value ?? '' };
    } else if (shape === 'list')
      fields[name] = [...((fields[name] ?? []) as unknown[]), readValue(wire, type)];
    else set(fields, name, readValue(wire, type));
  }
  return fields;
}

/** Go writes what is empty, where JSON leaves it out. */
function set(fields: Fields, name: string, value: unknown): void {
  if (value !== '' && value !== undefined && value !== 0) fields[name] = value;
}

function readValue({ value, bytes }: Wire, type: FieldType): unknown {
  switch (type) {
    case 'text':
      return bytes.toString('utf8');
    case 'bytes':
      return bytes.toString('base64');
    case 'integer':
      return value;
    case 'boolean':
      return value === 1;
    case 'time': {
      const { seconds } = readMessage(bytes, { 1: ['seconds', 'integer'] });
      return typeof seconds === 'number' && seconds > 0 ? new Date(seconds * 1_000).toISOString() : undefined;
    }
    default:
      return readMessage(bytes, type);
  }
}
