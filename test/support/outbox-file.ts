import type { OutboxFiles, UploadPart } from '@tributary/edge-agent/internal/ports.js';

/** Writes a plain file of the outbox to its end. */
export async function writeOutboxFile(
  files: OutboxFiles,
  name: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const written = files.writeThrough(name, eachOf(chunks));
  while ((await written.next()).done !== true);
}

async function* eachOf(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

/** A part whose bytes compare whatever they are views of. */
export function plainPart(part: UploadPart): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(part).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
    ]),
  );
}
