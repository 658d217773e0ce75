import { LIMITS, type Digest } from '@tributary/proto';

import { redact } from '../domain/redaction.js';
import type { SealedFiles, TrainingCheckpoints } from '../ports.js';
import type { Log } from './log.js';

/** What a training of a round depends on besides the data: a repeat of the round on the same base is the same training. */
export interface CheckpointRef {
  readonly jobId: string;
  readonly round: number;
  readonly baseDigest: Digest;
}

/** Sealed files with how far trainings have come; a site that lost them loses time, nothing else. */
export class Checkpoints {
  readonly #files: SealedFiles;
  readonly #log: Log;

  constructor(files: SealedFiles, log: Log) {
    this.#files = files;
    this.#log = log;
  }

  /** Those of one training. What other rounds of the job left is removed: they are over. */
  async begin(ref: CheckpointRef): Promise<TrainingCheckpoints> {
    const name = nameOf(ref);
    await this.#removeAll((other) => other !== name && other.startsWith(`${ref.jobId}.`));
    return {
      read: () => this.#try('checkpoint not read', () => this.#read(name)),
      write: (bytes) =>
        this.#try('checkpoint not written', () => this.#files.writeSealed(name, pieces(bytes))),
    };
  }

  /** Removes what a round left, whatever its base. */
  async remove({ jobId, round }: Pick<CheckpointRef, 'jobId' | 'round'>): Promise<void> {
    await this.#removeAll((name) => name.startsWith(`${jobId}.${String(round)}.`));
  }

  async #read(name: string): Promise<Uint8Array | undefined> {
    if (!(await this.#files.has(name))) return undefined;
    const parts: Uint8Array[] = [];
    for await (const part of this.#files.readSealed(name)) parts.push(part);
    return new Uint8Array(Buffer.concat(parts));
  }

  async #removeAll(matches: (name: string) => boolean): Promise<void> {
    await this.#try('checkpoints not removed', async () => {
      for (const name of await this.#files.list()) if (matches(name)) await this.#files.remove(name);
    });
  }

  /** Training goes on without its checkpoint, whatever the disk says. */
  async #try<T>(trouble: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      const { code, detail } = redact(error);
      this.#log.warn({ code, detail }, trouble);
      return undefined;
    }
  }
}

const nameOf = ({ jobId, round, baseDigest }: CheckpointRef): string =>
  `${jobId}.${String(round)}.${baseDigest.slice(baseDigest.indexOf(':') + 1)}.checkpoint`;

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += LIMITS.chunkBytes)
    yield bytes.subarray(at, at + LIMITS.chunkBytes);
}
