import { createHash } from 'node:crypto';

import {
  decodeBase64,
  decodeHex,
  encodeBase64,
  encodeHex,
  LIMITS,
  TributaryError,
  type Digest,
  type SignedTreeHead,
} from '@tributary/proto';
import { z } from 'zod';

import { requireFormatVersion } from '../files/directory-format.js';

/*
 * A backup is a tar stream (POSIX ustar) of plain files in this order:
 *   manifest.json        what it is of: format version, federation, signed tree head
 *   coordinator.json     ca.pem
 *   keys/<name>.sealed   as they lie on the disk; the sealing key is not part of a backup
 *   ledger/<n>.entries   records of uint32 BE length and the canonical bytes of an entry, in order
 *   blobs/<64 hex>
 *   contents.json        number and digest of the members before it: a backup without it is cut short
 */

const BACKUP_VERSION = 1;

/** A ledger member ends after the entry that brings it to this size. */
export const LEDGER_MEMBER_BYTES = 4 * 1024 * 1024;
export const LEDGER_MEMBER_LIMIT = LEDGER_MEMBER_BYTES + LIMITS.ledgerEntryBytes + 4;
/** Members that are held in memory as a whole. */
export const SMALL_MEMBER_LIMIT = 1024 * 1024;

export const MANIFEST = 'manifest.json';
export const IDENTITY = 'coordinator.json';
export const AUTHORITY = 'ca.pem';
export const CONTENTS = 'contents.json';
export const keyMember = (name: string): string => `keys/${name}.sealed`;
export const ledgerMember = (index: number): string => `ledger/${index.toString().padStart(8, '0')}.entries`;
export const blobMember = (digest: Digest): string => `blobs/${digest.slice('sha256:'.length)}`;

const manifestSchema = z.strictObject({
  formatVersion: z.int(),
  federationId: z.string().max(63),
  createdAt: z.iso.datetime({ precision: 3 }),
  software: z.string().max(63),
  treeHead: z.strictObject({
    logId: z.string().max(64),
    treeSize: z.string().regex(/^(0|[1-9][0-9]{0,15})$/),
    rootHash: z.string().max(64),
    time: z.string().max(32),
    signature: z.string().max(128),
  }),
});

export interface BackupManifest {
  readonly federationId: string;
  /** RFC 3339, UTC, milliseconds. */
  readonly createdAt: string;
  /** Version of the build that made it. */
  readonly software: string;
  readonly treeHead: SignedTreeHead;
}

export function encodeManifest({ treeHead, ...manifest }: BackupManifest): Buffer {
  return json({
    formatVersion: BACKUP_VERSION,
    ...manifest,
    treeHead: {
      logId: treeHead.logId,
      treeSize: String(treeHead.treeSize),
      rootHash: encodeHex(treeHead.rootHash),
      time: treeHead.time,
      signature: encodeBase64(treeHead.signature),
    },
  });
}

/** Throws FORMAT_UNSUPPORTED for a backup of a newer build, STORE_CORRUPT for what is no manifest. */
export function decodeManifest(bytes: Uint8Array): BackupManifest {
  const { treeHead, formatVersion: _, ...manifest } = parseMember(bytes, MANIFEST, manifestSchema);
  const { logId, treeSize, rootHash, time, signature } = treeHead;
  return {
    ...manifest,
    treeHead: {
      logId,
      treeSize: Number(treeSize),
      rootHash: decodeHex(rootHash, 'treeHead.rootHash', 32),
      time,
      signature: decodeBase64(signature, 'treeHead.signature', 64),
    },
  };
}

const contentsSchema = z.strictObject({
  formatVersion: z.int(),
  members: z.int().nonnegative(),
  digest: z.string().max(64),
});

/** Counts and digests the members of a backup, in order: name, size and SHA-256 of each. */
export class ContentsRecord {
  readonly #hash = createHash('sha256');
  #members = 0;

  add(name: string, size: number, sha256: Uint8Array): void {
    this.#hash.update(`${name}\n${String(size)}\n${encodeHex(sha256)}\n`);
    this.#members += 1;
  }

  encode(): Buffer {
    return json({
      formatVersion: BACKUP_VERSION,
      members: this.#members,
      digest: this.#hash.copy().digest('hex'),
    });
  }

  /** Throws STORE_CORRUPT where the members that came are not those that were written. */
  require(bytes: Uint8Array): void {
    const contents = parseMember(bytes, CONTENTS, contentsSchema);
    if (contents.members === this.#members && contents.digest === this.#hash.copy().digest('hex')) return;
    throw corruptBackup(
      `its ${String(this.#members)} members are not the ${String(contents.members)} that were written`,
    );
  }
}

export function corruptBackup(why: string, cause?: unknown): TributaryError {
  return new TributaryError('STORE_CORRUPT', `the backup is damaged: ${why}`, {
    cause,
    hint: 'use another backup',
  });
}

const json = (value: object): Buffer => Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`);

function parseMember<T extends z.ZodType>(bytes: Uint8Array, name: string, schema: T): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw corruptBackup(`${name} is not JSON`, cause);
  }
  if (typeof value !== 'object' || value === null) throw corruptBackup(`${name} is not a JSON object`);
  requireFormatVersion(
    'formatVersion' in value ? value.formatVersion : undefined,
    BACKUP_VERSION,
    `the backup's ${name}`,
  );
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw corruptBackup(`${name}: ${parsed.error.issues[0]?.path.join('.') ?? ''} is malformed`);
  return parsed.data;
}
