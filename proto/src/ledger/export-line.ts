import { z } from 'zod';

import { decodeBase64, decodeHex, encodeBase64, encodeHex } from '../byte-text.js';
import { canonicalize, isJsonObject, parseCanonical, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { isDigest, type Digest } from '../ids.js';
import { LIMITS } from '../limits.js';
import { requireFormat } from '../versions.js';
import type { Cosignature } from './cosignature.js';
import type { SignedTreeHead } from './tree-head.js';

/*
 * An export of the ledger is lines of canonical JSON, as proto/LEDGER.md describes them: a header, the signed head that
 * everything after it is measured by, cosignatures, the entries in order, and an end.
 */

/** Newest layout of exports that this build reads and writes. */
export const EXPORT_FORMAT = 1;

const size = z.int().nonnegative();
const text = z.string().max(256);
const base64 = (length: number) => decoded((value) => decodeBase64(value, 'base64', length));
const hex = decoded((value) => decodeHex(value, 'hex', 32));
const path = z.array(hex).max(106).optional();

const headerSchema = z.strictObject({
  kind: z.literal('LedgerExport'),
  formatVersion: z.literal(EXPORT_FORMAT),
  logId: z.string().regex(/^[0-9a-f]{64}$/),
  logKey: base64(32),
  /** Lines of cosignatures after the head. */
  cosignatures: size.max(LIMITS.agents),
  /** Absent where the export is the whole ledger up to its head. Entries of a part have their own proofs. */
  part: z.strictObject({ from: size.optional(), to: size.optional(), job: text.optional() }).optional(),
  /** Types of entries that are given by their hash alone. */
  redacted: z.array(text).max(64).optional(),
});
const headSchema = z.strictObject({
  kind: z.literal('TreeHead'),
  logId: z.string().regex(/^[0-9a-f]{64}$/),
  treeSize: z.int().positive(),
  rootHash: hex,
  time: text,
  signature: base64(64),
});
const cosignatureSchema = z.strictObject({
  kind: z.literal('Cosignature'),
  agentId: text,
  identityKey: base64(32),
  treeSize: size,
  rootHash: hex,
  time: text,
  signature: base64(64),
  /** From this head to that of the export (RFC 6962, 2.1.2), where the export is a part. */
  consistency: path,
});
const entrySchema = z.strictObject({
  kind: z.literal('Entry'),
  seq: size,
  leafHash: hex,
  /** The bytes of the entry, which are UTF-8, as text. */
  entry: z.string(),
  path,
});
const redactedSchema = z.strictObject({ kind: z.literal('Redacted'), seq: size, leafHash: hex, path });
const endSchema = z.strictObject({
  kind: z.literal('End'),
  entries: size,
  /** Of every byte before this line: damage to what no signature covers is found, too. */
  digest: z.custom<Digest>((value) => typeof value === 'string' && isDigest(value), 'not a digest'),
});

const lineSchema = z.discriminatedUnion('kind', [
  headerSchema,
  headSchema,
  cosignatureSchema,
  entrySchema,
  redactedSchema,
  endSchema,
]);

export type ExportLine = z.output<typeof lineSchema>;
export type ExportHeader = z.output<typeof headerSchema>;
export type ExportedCosignature = z.output<typeof cosignatureSchema>;
export type ExportedEntry = z.output<typeof entrySchema> | z.output<typeof redactedSchema>;

/** Most bytes of a line: an entry of the largest size, every character of it escaped, and its proof. */
export const EXPORT_LINE_BYTES = 6 * LIMITS.ledgerEntryBytes + 16 * 1024;

/** The line as the file has it, without its line feed. */
export function encodeExportLine(line: ExportLine): Uint8Array {
  return canonicalize(plain(line) as JsonValue);
}

/** Reads one line, without its line feed. Throws EXPORT_CORRUPT, FORMAT_UNSUPPORTED for an export of a newer format. */
export function decodeExportLine(bytes: Uint8Array): ExportLine {
  let value: JsonValue;
  try {
    value = parseCanonical(bytes, EXPORT_LINE_BYTES);
  } catch (cause) {
    throw new TributaryError('EXPORT_CORRUPT', 'not canonical JSON', { cause });
  }
  if (isJsonObject(value) && value['kind'] === 'LedgerExport')
    requireFormat(value['formatVersion'], 'the export', EXPORT_FORMAT);
  const line = lineSchema.safeParse(value);
  if (line.success) return line.data;
  const [issue] = line.error.issues;
  throw new TributaryError(
    'EXPORT_CORRUPT',
    `${issue?.path.map(String).join('.') || 'kind'} is not of the form of a line`,
  );
}

export const headLine = ({ logId, treeSize, rootHash, time, signature }: SignedTreeHead): ExportLine => ({
  kind: 'TreeHead',
  logId,
  treeSize,
  rootHash,
  time,
  signature,
});

export function cosignatureLine(
  { agentId, treeSize, rootHash, time, signature }: Cosignature,
  identityKey: Uint8Array,
  consistency?: readonly Uint8Array[],
): ExportLine {
  const said = { kind: 'Cosignature', agentId, identityKey, treeSize, rootHash, time, signature } as const;
  return { ...said, ...(consistency && { consistency: [...consistency] }) };
}

/** Hashes are hex in lines, keys and signatures base64. */
const HEX_FIELDS: ReadonlySet<string> = new Set(['rootHash', 'leafHash', 'path', 'consistency']);

function plain(value: unknown, field = ''): unknown {
  if (value instanceof Uint8Array) return HEX_FIELDS.has(field) ? encodeHex(value) : encodeBase64(value);
  if (Array.isArray(value)) return value.map((item) => plain(item, field));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner, name)]));
}

function decoded(decode: (value: string) => Uint8Array): z.ZodType<Uint8Array, string> {
  return z.string().transform((value, context) => {
    try {
      return decode(value);
    } catch {
      context.addIssue({ code: 'custom', message: 'not encoded as it should be' });
      return z.NEVER;
    }
  });
}
