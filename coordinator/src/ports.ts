import type { Digest, LedgerEntry, NewEntry } from '@tributary/proto';

/** Milliseconds since the epoch, and timers. Domain code gets times in commands instead. */
export interface Clock {
  now(): number;
  /** Calls `action` once, at or after `atMs`; the result cancels it. */
  at(atMs: number, action: () => void): () => void;
}

/** Cryptographic randomness for ids and keys. */
export interface Random {
  bytes(length: number): Uint8Array;
}

/** Ed25519 key pair whose private half never leaves the adapter. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64-byte signature. */
  sign(message: Uint8Array): Uint8Array;
}

/** Durable, append-only bytes of ledger entries and the Merkle nodes over them. One writer. */
export interface LedgerStore {
  /** Entries held. */
  size(): number;
  /**
   * Appends `entries` as sequence `expectedSize` onwards, all or none, durable when it resolves. Rejects with CONFLICT
   * where the size is another, STORE_FULL where the disk is full.
   */
  append(expectedSize: number, entries: readonly Uint8Array[]): Promise<void>;
  /** Entries `start` (inclusive) to `end` (exclusive), in order. */
  read(start: number, end: number): AsyncIterable<{ readonly seq: number; readonly bytes: Uint8Array }>;
  /** RFC 6962 root of the first `size` entries. */
  rootHash(size: number): Promise<Uint8Array>;
  inclusionProof(seq: number, size: number): Promise<readonly Uint8Array[]>;
  consistencyProof(first: number, second: number): Promise<readonly Uint8Array[]>;
  /** State of the fold after `size` entries: a cache that may be deleted; never the truth. */
  putSnapshot(size: number, snapshot: Uint8Array): Promise<void>;
  /** Rejects with STORE_CORRUPT where the one that was last written is damaged, or gone. */
  latestSnapshot(): Promise<{ readonly size: number; readonly snapshot: Uint8Array } | undefined>;
  /** Keeps what sites signed of heads, by site, in place of what was kept of them before. Durable when it resolves. */
  putCosignatures(records: ReadonlyMap<string, Uint8Array>): Promise<void>;
  cosignatures(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Content-addressed, immutable files. */
export interface BlobStore {
  /** Streams `content` into the store; durable when it resolves. The same content again is a no-op. */
  put(
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<{ readonly digest: Digest; readonly size: number }>;
  /** Size in bytes, or undefined where the blob is not held. */
  size(digest: Digest): Promise<number | undefined>;
  /**
   * All bytes, in chunks of at most LIMITS.chunkBytes; the last one only after the content was found to match the
   * digest. Rejects with NOT_FOUND, STORE_CORRUPT.
   */
  read(digest: Digest): AsyncIterable<Uint8Array>;
  /** Bytes from `offset`, as they are stored: for readers who compare the digest themselves. Rejects with NOT_FOUND. */
  readStored(digest: Digest, offset: number): AsyncIterable<Uint8Array>;
  delete(digest: Digest): Promise<void>;
  list(): AsyncIterable<Digest>;
}

/** What a spool keeps of an upload besides its chunks: enough to go on after a restart. */
export interface SpoolHeader {
  readonly uploadId: string;
  readonly agentId: string;
  readonly site: string;
  /** Canonical JSON of the envelope header and its signature. */
  readonly header: Uint8Array;
  readonly signature: Uint8Array;
}

/** One upload being received: stored ciphertext, chunk after chunk. */
export interface Spool {
  readonly header: SpoolHeader;
  /** Chunks held. */
  chunkCount(): number;
  /** Appends the next chunk (ciphertext and tag). Not yet durable. */
  append(chunk: Uint8Array): Promise<void>;
  /** Makes everything appended durable. */
  sync(): Promise<void>;
  /** Forgets the chunks from `count` on. */
  truncate(count: number): Promise<void>;
  /**
   * Chunks from the first on, each valid until the next is asked for. Their bytes are not verified: a crash may have
   * left out parts of what was never synced.
   */
  chunks(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export interface SpoolStore {
  /** `chunkBytes`: plaintext in a full chunk; what is appended has a 16-byte tag besides. */
  create(header: SpoolHeader, chunkBytes: number): Promise<Spool>;
  /** Undefined where there is none. A chunk that a crash cut short does not count. */
  open(uploadId: string): Promise<Spool | undefined>;
  remove(uploadId: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

/** Named small secrets, sealed on disk: round keys, CA and signing keys. Durable when `put` resolves. */
export interface KeyVault {
  put(name: string, secret: Uint8Array): Promise<void>;
  get(name: string): Promise<Uint8Array | undefined>;
  delete(name: string): Promise<void>;
  /** Names, sorted. */
  list(): Promise<readonly string[]>;
}

/** Checkpoints of the accumulator of an open round; replaced atomically. */
export interface CheckpointStore {
  put(name: string, chunks: Iterable<Uint8Array>): Promise<void>;
  get(name: string): AsyncIterable<Uint8Array> | undefined;
  delete(name: string): Promise<void>;
  /** Names, sorted. */
  list(): Promise<readonly string[]>;
}

/** Appends decisions to the ledger and tells who follows it. Implemented by the application layer over LedgerStore. */
export interface Ledger {
  size(): number;
  append(entries: readonly NewEntry[]): Promise<readonly LedgerEntry[]>;
  /** Called after each durable append, in order; the result unsubscribes. */
  subscribe(listener: (entries: readonly LedgerEntry[]) => void): () => void;
}
