import type { SeededRandom } from '../support/seeded-random.js';

const MOST_BYTES = 4_096;

/** A damaged copy of `bytes`: flipped bits, cut, doubled, overwritten with extremes, or replaced altogether. */
export function mutateBytes(random: SeededRandom, bytes: Uint8Array): Buffer {
  let mutated: Buffer = Buffer.from(bytes);
  for (let rounds = 1 + random.below(4); rounds > 0; rounds--)
    mutated = random.pick(BYTE_MUTATIONS)(random, mutated);
  return mutated;
}

const BYTE_MUTATIONS: readonly ((random: SeededRandom, bytes: Buffer) => Buffer)[] = [
  flipBit,
  (random, bytes) => bytes.subarray(0, random.below(bytes.length + 1)),
  (random, bytes) => Buffer.concat([bytes, random.bytes(random.below(64))]),
  (random, bytes) =>
    Buffer.concat([bytes.subarray(0, random.below(bytes.length + 1)), bytes]).subarray(0, MOST_BYTES),
  extreme,
  spliceText,
  (random) => random.bytes(random.below(256)),
];

function flipBit(random: SeededRandom, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const at = random.below(copy.length);
  const old = copy[at];
  if (old !== undefined) copy[at] = old ^ (1 << random.below(8));
  return copy;
}

function extreme(random: SeededRandom, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const start = random.below(copy.length + 1);
  copy.fill(random.pick([0, 0xff, 0x7f, 0x80]), start, Math.min(copy.length, start + 1 + random.below(4)));
  return copy;
}

const TEXTS = [
  '"',
  '{',
  '[',
  ':',
  ',',
  'null',
  '1e999',
  '-0',
  '\\u0000',
  '\\ud800',
  '__proto__',
  '../../etc/passwd',
  'sha256:',
  '=',
  ' ',
  '9'.repeat(30),
];

function spliceText(random: SeededRandom, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  return Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from(random.pick(TEXTS)),
    bytes.subarray(at + random.below(4)),
  ]);
}

/** A description of a message type, as proto-loader keeps it beside each method. */
export interface MessageType {
  readonly name: string;
  readonly field: readonly FieldType[];
  readonly nestedType: readonly MessageType[];
}

interface FieldType {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
  readonly oneofIndex: number;
}

export type TypeTable = ReadonlyMap<string, MessageType>;

const STRINGS = [
  '',
  'a',
  'loans',
  '*',
  '../x',
  'A'.repeat(10_000),
  '\u0000',
  '🙂',
  'site-1',
  'fj',
  'Model',
  'FederatedJob',
  '%s%n',
  '1.0',
  '99.0',
  'agt-' + '0'.repeat(32),
];
const NUMBERS = [0, 1, 2, 7, 255, 65_536, 2 ** 31 - 1, 2 ** 32 - 1];
const WIDE = ['0', '1', '18446744073709551615', '9007199254740993', '4294967296'];

/** A message of `type` with arbitrary fields: valid on the wire, seldom sensible. */
export function arbitraryMessage(
  random: SeededRandom,
  types: TypeTable,
  type: MessageType,
  depth = 0,
): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  const oneof = random.pick(type.field.length === 0 ? [''] : type.field.map((field) => field.name));
  for (const field of type.field) {
    const member =
      field.typeName !== '' &&
      type.field.length > 1 &&
      type.field.every((other) => other.oneofIndex === 0 && other.type === 'TYPE_MESSAGE');
    if (member ? field.name !== oneof : random.chance(0.15)) continue;
    message[field.name] = fieldValue(random, types, type, field, depth);
  }
  return message;
}

function fieldValue(
  random: SeededRandom,
  types: TypeTable,
  owner: MessageType,
  field: FieldType,
  depth: number,
): unknown {
  const map = owner.nestedType.find((nested) => nested.name === field.typeName);
  if (map !== undefined) return { [random.pick(STRINGS)]: random.pick(STRINGS) };
  const one = (): unknown => scalarValue(random, types, field, depth);
  return field.label === 'LABEL_REPEATED' ? Array.from({ length: random.below(4) }, one) : one();
}

function scalarValue(random: SeededRandom, types: TypeTable, field: FieldType, depth: number): unknown {
  switch (field.type) {
    case 'TYPE_STRING':
      return random.pick(STRINGS);
    case 'TYPE_BYTES':
      return random.bytes(random.pick([0, 1, 16, 31, 32, 33, 64, 1_000]));
    case 'TYPE_BOOL':
      return random.chance(0.5);
    case 'TYPE_UINT64':
      return random.pick(WIDE);
    case 'TYPE_MESSAGE': {
      const type = types.get(field.typeName);
      return type === undefined || depth > 4 ? {} : arbitraryMessage(random, types, type, depth + 1);
    }
    default:
      return random.pick(NUMBERS);
  }
}

/** A copy of a recorded message in which one field, at any depth, has another value. */
export function mutateMessage(random: SeededRandom, message: unknown): unknown {
  if (Buffer.isBuffer(message)) return mutateBytes(random, message);
  if (Array.isArray(message)) {
    const items = message as unknown[];
    const at = random.below(items.length);
    return random.chance(0.2)
      ? [...items, ...items]
      : items.map((item, index) => (index === at ? mutateMessage(random, item) : item));
  }
  if (typeof message === 'object' && message !== null) {
    const entries = Object.entries(message);
    const at = random.below(entries.length);
    return Object.fromEntries(
      entries.map(([key, value]: [string, unknown], index) => [
        key,
        index === at ? mutateMessage(random, value) : value,
      ]),
    );
  }
  if (typeof message === 'string')
    return random.chance(0.5) ? random.pick(STRINGS) : mutateText(random, message);
  if (typeof message === 'number') return random.pick(NUMBERS);
  return typeof message === 'boolean' ? !message : message;
}

function mutateText(random: SeededRandom, text: string): string {
  // Strings of protobuf must stay valid UTF-8 to be encoded at all.
  return mutateBytes(random, Buffer.from(text)).toString('latin1');
}
