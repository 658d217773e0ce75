import { createHash } from 'node:crypto';

import { SOFTWARE_VERSION, TributaryError, type SignedTreeHead } from '@tributary/proto';

import type { BlobStore, Clock } from '../../ports.js';
import {
  AUTHORITY,
  blobMember,
  CONTENTS,
  ContentsRecord,
  encodeManifest,
  IDENTITY,
  keyMember,
  LEDGER_MEMBER_BYTES,
  ledgerMember,
  MANIFEST,
} from './backup-format.js';
import { tarEnd, tarHeader, tarPadding } from './tar.js';

/** The ledger as a backup sees it. */
export interface BackupLedger {
  treeHead(): Promise<SignedTreeHead>;
  entries(start: number, end: number): AsyncIterable<{ readonly bytes: Uint8Array }>;
}

/** Sealed secrets as they lie on the disk. */
export interface SealedKeys {
  list(): Promise<readonly string[]>;
  getSealed(name: string): Promise<Uint8Array | undefined>;
}

export interface BackupSource {
  readonly federationId: string;
  readonly ledger: BackupLedger;
  readonly blobs: BlobStore;
  /** From its call to that of its result, no blob is deleted. */
  readonly spareBlobs: () => () => void;
  readonly keys: SealedKeys;
  /** Bytes of coordinator.json and ca.pem. */
  readonly identity: Uint8Array;
  readonly authority: Uint8Array;
  readonly clock: Clock;
}

/**
 * A backup as a tar stream, made while the coordinator works: the ledger as it is when it begins, and the keys and blobs
 * that go with it. Uploads that are under way and sums of open rounds are not part of it: those rounds are run again.
 */
export async function* createBackup(source: BackupSource): AsyncGenerator<Uint8Array, void, undefined> {
  const contents = new ContentsRecord();
  for await (const member of members(source)) {
    const hash = createHash('sha256');
    let written = 0;
    yield tarHeader(member.name, member.size);
    for await (const chunk of member.content) {
      hash.update(chunk);
      written += chunk.length;
      yield chunk;
    }
    if (written !== member.size)
      throw new TributaryError('STORE_CORRUPT', `${member.name} is not of ${String(member.size)} bytes`);
    yield tarPadding(member.size);
    contents.add(member.name, member.size, hash.digest());
  }
  const last = contents.encode();
  yield Buffer.concat([tarHeader(CONTENTS, last.length), last, tarPadding(last.length), tarEnd()]);
}

interface Member {
  readonly name: string;
  readonly size: number;
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

async function* members(source: BackupSource): AsyncGenerator<Member> {
  // What is live at the head is there until it was read, though rounds are committed meanwhile.
  const release = source.spareBlobs();
  try {
    yield* sparedMembers(source);
  } finally {
    release();
  }
}

async function* sparedMembers(source: BackupSource): AsyncGenerator<Member> {
  const treeHead = await source.ledger.treeHead();
  // At once, and before the slow parts: keys of rounds that end meanwhile are deleted.
  const keys = await readKeys(source.keys);
  const createdAt = new Date(source.clock.now()).toISOString();
  yield whole(
    MANIFEST,
    encodeManifest({ federationId: source.federationId, createdAt, software: SOFTWARE_VERSION, treeHead }),
  );
  yield whole(IDENTITY, source.identity);
  yield whole(AUTHORITY, source.authority);
  for (const [name, sealed] of keys) yield whole(keyMember(name), sealed);
  yield* ledgerMembers(source.ledger, treeHead.treeSize);
  for await (const digest of source.blobs.list()) {
    const size = await source.blobs.size(digest);
    if (size !== undefined) yield { name: blobMember(digest), size, content: source.blobs.read(digest) };
  }
}

async function readKeys(keys: SealedKeys): Promise<readonly (readonly [string, Uint8Array])[]> {
  const read: [string, Uint8Array][] = [];
  for (const name of await keys.list()) {
    const sealed = await keys.getSealed(name);
    if (sealed !== undefined) read.push([name, sealed]);
  }
  return read;
}

async function* ledgerMembers(ledger: BackupLedger, size: number): AsyncGenerator<Member> {
  let records: Uint8Array[] = [];
  let bytes = 0;
  let index = 0;
  for await (const entry of ledger.entries(0, size)) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(entry.bytes.length);
    records.push(length, entry.bytes);
    bytes += length.length + entry.bytes.length;
    if (bytes < LEDGER_MEMBER_BYTES) continue;
    yield whole(ledgerMember(index), Buffer.concat(records));
    index += 1;
    records = [];
    bytes = 0;
  }
  if (records.length > 0) yield whole(ledgerMember(index), Buffer.concat(records));
}

const whole = (name: string, bytes: Uint8Array): Member => ({ name, size: bytes.length, content: [bytes] });
