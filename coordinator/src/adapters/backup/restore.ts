import { createHash } from 'node:crypto';

import {
  decodeBase64,
  decodeEntry,
  isDigest,
  logIdOf,
  TributaryError,
  verifyTreeHead,
  type LedgerEntry,
} from '@tributary/proto';
import { writeDurably } from '@tributary/proto/node';

import { evolve } from '../../domain/evolve.js';
import { EMPTY_FEDERATION } from '../../domain/federation-state.js';
import { liveBlobs } from '../../domain/live-blobs.js';
import { FileBlobStore } from '../blobs/file-blob-store.js';
import {
  createDataDirectory,
  parseIdentity,
  type DataPaths,
  type DirectoryIdentity,
} from '../data-directory.js';
import { LevelLedgerStore } from '../store/level-ledger-store.js';
import { FileKeyVault } from '../vault/file-key-vault.js';
import {
  AUTHORITY,
  CONTENTS,
  ContentsRecord,
  corruptBackup,
  decodeManifest,
  IDENTITY,
  LEDGER_MEMBER_LIMIT,
  ledgerMember,
  MANIFEST,
  SMALL_MEMBER_LIMIT,
  type BackupManifest,
} from './backup-format.js';
import { readTar, type TarMember } from './tar-members.js';

export interface RestoreOptions {
  /** 32 bytes: the key with which the keys of the backup were sealed. */
  readonly sealingKey: Uint8Array;
}

export interface Restored {
  readonly identity: DirectoryIdentity;
  /** Entries of the ledger. */
  readonly entries: number;
  readonly blobs: number;
  readonly keys: number;
  /** RFC 3339. */
  readonly createdAt: string;
}

const KEY = /^keys\/([a-z0-9.-]+)\.sealed$/;
const BLOB = /^blobs\/([0-9a-f]{64})$/;

/**
 * Makes a data directory from a backup. Everything is checked before the directory comes to be: each entry against the
 * root of the signed tree head, each blob against its digest, each key against the sealing key, and that nothing is
 * missing. Rejects with CONFLICT where `root` is not empty, STORE_CORRUPT for a damaged or cut backup, SEAL_BROKEN for
 * another sealing key, FORMAT_UNSUPPORTED for a backup of a newer build; `root` is then as it was, or empty.
 */
export async function restoreBackup(
  backup: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  root: string,
  options: RestoreOptions,
): Promise<Restored> {
  let restored: Restored | undefined;
  await createDataDirectory(root, async (paths) => {
    const restoration = await Restoration.begin(paths, options.sealingKey);
    try {
      for await (const member of readTar(backup)) await restoration.take(member);
      restored = await restoration.end();
    } finally {
      await restoration.close();
    }
    return restored.identity;
  });
  if (restored === undefined) throw new TributaryError('INTERNAL', 'nothing was restored');
  return restored;
}

class Restoration {
  readonly #paths: DataPaths;
  readonly #ledger: LevelLedgerStore;
  readonly #blobs: FileBlobStore;
  readonly #vault: FileKeyVault;
  readonly #contents = new ContentsRecord();
  readonly #counts = { blobs: 0, keys: 0, ledgerMembers: 0 };
  #manifest: BackupManifest | undefined;
  #identity: DirectoryIdentity | undefined;
  #authority = false;
  #first: LedgerEntry | undefined;
  #complete = false;

  private constructor(paths: DataPaths, ledger: LevelLedgerStore, blobs: FileBlobStore, vault: FileKeyVault) {
    this.#paths = paths;
    this.#ledger = ledger;
    this.#blobs = blobs;
    this.#vault = vault;
  }

  static async begin(paths: DataPaths, sealingKey: Uint8Array): Promise<Restoration> {
    const ledger = await LevelLedgerStore.open(paths.ledger);
    try {
      const [blobs, vault] = await Promise.all([
        FileBlobStore.open(paths.blobs),
        FileKeyVault.open(paths.keys, sealingKey),
      ]);
      return new Restoration(paths, ledger, blobs, vault);
    } catch (error) {
      await ledger.close();
      throw error;
    }
  }

  async take(member: TarMember): Promise<void> {
    if (this.#complete) throw corruptBackup(`${member.name} follows its end`);
    if (this.#manifest === undefined && member.name !== MANIFEST)
      throw corruptBackup(`it does not begin with ${MANIFEST}`);
    if (member.name === CONTENTS) {
      this.#contents.require(await read(member, SMALL_MEMBER_LIMIT));
      this.#complete = true;
      return;
    }
    const hash = createHash('sha256');
    await this.#store({ ...member, content: hashed(member.content, hash) });
    this.#contents.add(member.name, member.size, hash.digest());
  }

  /** Names come from outside: only these are known, and none of them is used as a path. */
  async #store(member: TarMember): Promise<void> {
    const blob = BLOB.exec(member.name)?.[1];
    if (blob !== undefined) return this.#takeBlob(`sha256:${blob}`, member);
    const key = KEY.exec(member.name)?.[1];
    if (key !== undefined) return this.#takeKey(key, member);
    if (member.name === ledgerMember(this.#counts.ledgerMembers)) return this.#takeLedger(member);
    switch (member.name) {
      case MANIFEST:
        return this.#takeManifest(member);
      case IDENTITY:
        return this.#takeIdentity(member);
      case AUTHORITY:
        this.#authority = true;
        return writeDurably(this.#paths.authority, [await read(member, SMALL_MEMBER_LIMIT)]);
      default:
        throw corruptBackup(
          `it holds ${JSON.stringify(member.name.slice(0, 100))}, which is no part of a backup`,
        );
    }
  }

  async #takeManifest(member: TarMember): Promise<void> {
    if (this.#manifest !== undefined) throw corruptBackup(`it has two of ${MANIFEST}`);
    this.#manifest = decodeManifest(await read(member, SMALL_MEMBER_LIMIT));
  }

  async #takeIdentity(member: TarMember): Promise<void> {
    const text = Buffer.from(await read(member, SMALL_MEMBER_LIMIT)).toString('utf8');
    this.#identity = parseIdentity(text, `the backup's ${IDENTITY}`);
  }

  async #takeKey(name: string, member: TarMember): Promise<void> {
    await this.#vault.putSealed(name, await read(member, SMALL_MEMBER_LIMIT));
    this.#counts.keys += 1;
  }

  async #takeBlob(name: string, member: TarMember): Promise<void> {
    if (!isDigest(name)) throw corruptBackup(`${member.name} is not named by a digest`);
    const { digest } = await this.#blobs.put(member.content);
    if (digest !== name) throw corruptBackup(`blob ${name} does not match its digest`);
    this.#counts.blobs += 1;
  }

  async #takeLedger(member: TarMember): Promise<void> {
    const entries = splitRecords(await read(member, LEDGER_MEMBER_LIMIT), member.name);
    const size = this.#ledger.size();
    for (const [index, bytes] of entries.entries()) {
      const entry = decodeEntry(bytes);
      if (entry.seq !== size + index)
        throw corruptBackup(`ledger entry ${String(entry.seq)} stands in place of ${String(size + index)}`);
      this.#first ??= entry;
    }
    await this.#ledger.append(size, entries);
    this.#counts.ledgerMembers += 1;
  }

  async end(): Promise<Restored> {
    const [manifest, identity] = [this.#manifest, this.#identity];
    if (!this.#complete) throw corruptBackup('it ends early');
    if (manifest === undefined || identity === undefined || !this.#authority)
      throw corruptBackup(`${IDENTITY} or ${AUTHORITY} is missing`);
    await this.#requireTree(manifest, identity);
    await this.#requireBlobs();
    const { blobs, keys } = this.#counts;
    return { identity, entries: this.#ledger.size(), blobs, keys, createdAt: manifest.createdAt };
  }

  /** The entries are those of the signed tree head, and its key is the one that the federation began with. */
  async #requireTree({ treeHead, federationId }: BackupManifest, identity: DirectoryIdentity): Promise<void> {
    const size = this.#ledger.size();
    if (size !== treeHead.treeSize)
      throw corruptBackup(`it has ${String(size)} of ${String(treeHead.treeSize)} ledger entries`);
    if (Buffer.compare(await this.#ledger.rootHash(size), treeHead.rootHash) !== 0) {
      throw corruptBackup('its ledger does not match the root of its tree head');
    }
    if (this.#first?.type !== 'federation.created')
      throw corruptBackup('its ledger does not begin with federation.created');
    const { logKey, federationId: founded } = this.#first.body;
    const key = decodeBase64(logKey, 'logKey', 32);
    verifyTreeHead(key, treeHead);
    if (founded !== federationId || founded !== identity.federationId || identity.logId !== logIdOf(key)) {
      throw corruptBackup('its parts are of different federations');
    }
  }

  /** What open rounds and registered models are made of. */
  async #requireBlobs(): Promise<void> {
    let state = EMPTY_FEDERATION;
    for await (const { bytes } of this.#ledger.read(0, this.#ledger.size()))
      state = evolve(state, decodeEntry(bytes));
    for (const digest of liveBlobs(state))
      if ((await this.#blobs.size(digest)) === undefined)
        throw corruptBackup(`blob ${digest}, which its ledger needs, is missing`);
  }

  close(): Promise<void> {
    return this.#ledger.close();
  }
}

async function* hashed(
  content: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncIterable<Uint8Array> {
  for await (const chunk of content) {
    hash.update(chunk);
    yield chunk;
  }
}

async function read(member: TarMember, limit: number): Promise<Uint8Array> {
  if (member.size > limit) throw corruptBackup(`${member.name} has more than ${String(limit)} bytes`);
  const parts: Uint8Array[] = [];
  for await (const chunk of member.content) parts.push(chunk);
  return new Uint8Array(Buffer.concat(parts));
}

function splitRecords(bytes: Uint8Array, name: string): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = at + 4 <= bytes.length ? view.getUint32(at) : Infinity;
    if (at + 4 + length > bytes.length) throw corruptBackup(`${name} ends within a record`);
    records.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return records;
}
