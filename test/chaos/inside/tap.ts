/*
 * Loaded into a built agent (`node --import`): writes down what the agent is about to send and what it was told, before
 * the agent itself does, so that a judge can make every model again. It changes nothing.
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

import { FleetChannel } from '@tributary/edge-agent/internal/adapters/grpc/fleet-channel.js';
import { OutboxDirectory } from '@tributary/edge-agent/internal/adapters/files/outbox-directory.js';
import { LevelStateStore } from '@tributary/edge-agent/internal/adapters/store/level-state-store.js';
import { OUTBOX_ITEMS } from '@tributary/edge-agent/internal/app/outbox.js';
import type { UploadPart } from '@tributary/edge-agent/internal/ports.js';

import { patch, variable } from './patch.js';

const folder = variable('TAP');

function note(file: string, value: unknown): void {
  appendFileSync(join(folder, file), `${JSON.stringify(value)}\n`);
}

async function* watched(
  parts: AsyncIterable<UploadPart>,
  seen: (uploadId: string) => void,
): AsyncGenerator<UploadPart> {
  for await (const part of parts) {
    if (part.type === 'Header') seen(part.uploadId);
    yield part;
  }
}

function tap(): void {
  patch(OutboxDirectory.prototype, 'writeSealed', async (original, name, chunks) => {
    if (!String(name).endsWith('.delta')) return original(name, chunks);
    const pieces: Uint8Array[] = [];
    for await (const piece of chunks as AsyncIterable<Uint8Array>) pieces.push(Uint8Array.from(piece));
    writeFileSync(join(folder, String(name)), Buffer.concat(pieces));
    return original(name, pieces);
  });
  patch(LevelStateStore.prototype, 'put', (original, changes) => {
    for (const [key, value] of Object.entries(changes as Record<string, Uint8Array | undefined>))
      if (OUTBOX_ITEMS.some((prefix) => key.startsWith(prefix)) && value !== undefined)
        note('items.jsonl', JSON.parse(Buffer.from(value).toString('utf8')) as unknown);
    return original(changes);
  });
  patch(FleetChannel.prototype, 'submitUpdate', async (original, parts, ...rest) => {
    let uploadId = '';
    const receipt = await original(
      watched(parts as AsyncIterable<UploadPart>, (seen) => (uploadId = seen)),
      ...rest,
    );
    note('receipts.jsonl', { uploadId, ...(receipt as object) });
    return receipt;
  });
}

if (isMainThread && folder !== '' && (process.argv[1] ?? '').includes('/edge-agent/bin/')) tap();
