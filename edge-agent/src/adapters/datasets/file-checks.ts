import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';

import { LIMITS, TributaryError } from '@tributary/proto';

import type { SourceDeclaration } from '../../domain/datasets/declaration.js';
import { unreadable } from './dataset-faults.js';

/**
 * What the reader does not notice, or does not survive: it takes a gzip file that was cut off for a shorter one, and
 * JSON nested ten thousands deep ends the process. Throws DATASET_INVALID, LIMIT_EXCEEDED, whatever `poll`, called now
 * and then, throws; never content.
 */
export async function checkFile(path: string, source: SourceDeclaration, poll: () => void): Promise<void> {
  const zipped = path.endsWith('.gz');
  const isJson = source.format !== 'Csv' && source.format !== 'Parquet';
  if (source.format === 'Parquet' || (!zipped && !isJson)) return;
  const depth = isJson ? new JsonDepth() : undefined;
  for await (const bytes of readFile(path)) {
    poll();
    depth?.take(bytes);
  }
}

/** The bytes of a file, unpacked where its name ends in .gz. */
export async function* readFile(path: string): AsyncGenerator<Buffer, void, undefined> {
  const file = createReadStream(path, { highWaterMark: 256 * 1024 });
  const input = path.endsWith('.gz') ? file.pipe(createGunzip({ chunkSize: 256 * 1024 })) : file;
  if (input !== file) file.on('error', (error) => input.destroy(error));
  try {
    for await (const bytes of input) yield bytes as Buffer;
  } catch (error) {
    throw error instanceof TributaryError ? error : unreadable(error);
  } finally {
    file.destroy();
  }
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** `[` and `{`, `]` and `}`: alike but for one bit, by which no other byte is like them. */
const [OPEN, CLOSE, CURLY] = [0x5b, 0x5d, 0x20];

/** Follows how deep brackets are nested outside of strings; whether they match is the reader's affair. */
class JsonDepth {
  #depth = 0;
  #inText = false;
  #escaped = false;

  take(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#inText) this.#textByte(byte);
      else if (byte === QUOTE) this.#inText = true;
      else if ((byte | CURLY) === (OPEN | CURLY)) this.#deeper();
      else if ((byte | CURLY) === (CLOSE | CURLY) && this.#depth > 0) this.#depth -= 1;
    }
  }

  #textByte(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inText = false;
  }

  #deeper(): void {
    this.#depth += 1;
    if (this.#depth > LIMITS.datasetJsonDepth)
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `JSON in a dataset is nested at most ${String(LIMITS.datasetJsonDepth)} deep`,
      );
  }
}
