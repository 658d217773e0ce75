/*
 * Loaded into a built agent (`node --import`): everything that it sends is sent again, at once and later, and every
 * order that it gets comes again. What is sent in vain is written down.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

import { FleetChannel } from '@tributary/edge-agent/internal/adapters/grpc/fleet-channel.js';
import type { CoordinatorMessage } from '@tributary/edge-agent/internal/coordinator-messages.js';
import type { AgentMessage, FleetStream, UploadPart } from '@tributary/edge-agent/internal/ports.js';

import { SeededRandom } from '../../support/seeded-random.js';
import { patch, variable } from './patch.js';

const seed = variable('REPLAY');
const random = new SeededRandom(Number(seed));
const folder = variable('TAP');
const KEPT = 200;

/** A hello that an earlier process said must get no answer but a refusal. */
function note(what: string, outcome: string): void {
  appendFileSync(`${folder}/replays.jsonl`, `${JSON.stringify({ what, outcome })}\n`);
}

function remember<T>(kept: T[], one: T): T {
  kept.push(one);
  if (kept.length > KEPT) kept.shift();
  return random.pick(kept);
}

const said: AgentMessage[] = [];
const orders: CoordinatorMessage[] = [];
const stages: unknown[] = [];
const uploads: { readonly parts: readonly UploadPart[]; readonly rest: readonly unknown[] }[] = [];

async function* again(
  messages: AsyncIterable<CoordinatorMessage>,
  welcomed: () => void,
): AsyncGenerator<CoordinatorMessage> {
  for await (const message of messages) {
    if (message.type === 'Welcome') welcomed();
    yield message;
    if (message.type !== 'Order') continue;
    note('order', 'handed over');
    yield message;
    yield remember(orders, message);
  }
}

/** Hellos of the processes before this one. */
const hellosFile = `${folder}/hellos`;
const earlier = existsSync(hellosFile)
  ? readFileSync(hellosFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => deserialize(Buffer.from(line, 'base64')) as AgentMessage)
  : [];

/** Says an old hello on a stream of its own. */
async function replayHello(stream: FleetStream, hello: AgentMessage): Promise<void> {
  try {
    stream.send(hello);
    for await (const { type } of stream.messages) {
      if (type !== 'Welcome') continue;
      note('hello', 'welcomed');
      break;
    }
  } catch (error) {
    note('hello', error instanceof Error && 'code' in error ? String(error.code) : String(error));
  } finally {
    stream.close();
  }
}

function around(stream: FleetStream, another: () => FleetStream): FleetStream {
  // Not before this process is known: until then an older one is the newest.
  const welcomed = (): void => {
    const old = earlier.shift();
    if (old !== undefined) replayHello(another(), old).catch(String);
  };
  return {
    messages: again(stream.messages, welcomed),
    close: () => stream.close(),
    send: (message) => {
      stream.send(message);
      if (message.type === 'Hello') {
        appendFileSync(hellosFile, `${serialize(message).toString('base64')}\n`);
        return;
      }
      note('message', 'sent');
      stream.send(message);
      stream.send(remember(said, message));
    },
  };
}

async function* kept(parts: AsyncIterable<UploadPart>, into: UploadPart[]): AsyncGenerator<UploadPart> {
  for await (const part of parts) {
    into.push(part.type === 'Chunk' ? { ...part, data: Uint8Array.from(part.data) } : part);
    yield part;
  }
}

async function* played(parts: readonly UploadPart[]): AsyncGenerator<UploadPart> {
  for (const part of parts) yield await Promise.resolve(part);
}

function attempt(what: string, call: unknown): Promise<void> {
  return Promise.resolve(call).then(
    () => note(what, 'answered'),
    (error: unknown) =>
      note(what, error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  );
}

function replay(): void {
  patch(FleetChannel.prototype, 'connect', (original) =>
    around(original() as FleetStream, () => original() as FleetStream),
  );
  patch(FleetChannel.prototype, 'submitStage', async (original, message) => {
    await original(message);
    await attempt('stage', original(message));
    await attempt('old stage', original(remember(stages, message)));
  });
  patch(FleetChannel.prototype, 'submitUpdate', async (original, parts, ...rest) => {
    const own: UploadPart[] = [];
    const receipt = await original(kept(parts as AsyncIterable<UploadPart>, own), ...rest);
    await attempt('update', original(played(own), ...rest));
    const old = remember(uploads, { parts: own, rest });
    await attempt('old update', original(played(old.parts), ...rest));
    return receipt;
  });
}

if (isMainThread && seed !== '' && (process.argv[1] ?? '').includes('/edge-agent/bin/')) replay();
