import assert from 'node:assert/strict';

import { ObjectViews } from '@tributary/coordinator/internal/adapters/grpc/admin/object-views.js';
import type { AdminParts } from '@tributary/coordinator/internal/adapters/grpc/admin/parts.js';
import { watch } from '@tributary/coordinator/internal/adapters/grpc/admin/watch.js';
import { Callers } from '@tributary/coordinator/internal/adapters/grpc/caller.js';
import type { CallContext, Sink } from '@tributary/coordinator/internal/adapters/grpc/calls.js';
import { Sessions } from '@tributary/coordinator/internal/adapters/grpc/sessions.js';
import { ManualClock } from '@tributary/coordinator/internal/adapters/memory/manual-clock.js';
import { MemoryLedgerStore } from '@tributary/coordinator/internal/adapters/memory/ledger-store.js';
import { ConnectedAgents } from '@tributary/coordinator/internal/app/connections.js';
import { openFederation, type Federation } from '@tributary/coordinator/internal/app/federation.js';
import { encodeBase64, formatId, signingKeyFromSeed } from '@tributary/proto';
import type { WatchEvent } from '@tributary/proto/grpc';

const key = signingKeyFromSeed(new Uint8Array(32).fill(1));

/** A sink whose reader takes nothing until it is told to. */
class SlowReader implements Sink<WatchEvent> {
  readonly events: WatchEvent[] = [];
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => undefined;

  async write(event: WatchEvent): Promise<void> {
    await this.#gate;
    this.events.push(event);
  }

  stall(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  resume(): void {
    this.#open();
  }
}

describe('a watch whose reader is slow', () => {
  const clock = new ManualClock(1_000_000);
  const context: CallContext = {
    method: 'WatchObjects',
    peer: { kind: 'local' },
    signal: new AbortController().signal,
    stopping: new AbortController().signal,
  };
  let federation: Federation;
  let parts: AdminParts;
  let views: ObjectViews;
  let tokens = 0;

  beforeEach(async () => {
    federation = await openFederation({ store: new MemoryLedgerStore(), signer: key, clock });
    const agents = new ConnectedAgents(clock, () => Promise.resolve());
    views = new ObjectViews(federation, agents, clock);
    const callers = new Callers(federation, clock, new Sessions());
    // The watch uses these parts only.
    parts = { federation, agents, callers } as unknown as AdminParts;
    const digest = `sha256:${'0'.repeat(64)}` as const;
    const names = { federationId: formatId('fed', new Uint8Array(16)), name: 'trial' };
    const keys = {
      logKey: encodeBase64(key.publicKey),
      modelKey: encodeBase64(key.publicKey),
      caDigest: digest,
    };
    await federation.execute({
      kind: 'create-federation',
      now: clock.now(),
      actor: 'coordinator',
      ...names,
      ...keys,
    });
  });

  async function invite(): Promise<void> {
    tokens += 1;
    const tokenId = formatId('tok', Buffer.from(String(tokens).padStart(16, '0')));
    const token = {
      tokenId,
      site: 'busy',
      labels: {},
      key: encodeBase64(key.publicKey),
      ttlMs: 0,
      approve: false,
    };
    await federation.execute({ kind: 'create-token', now: clock.now(), actor: 'coordinator', ...token });
  }

  it('is ended with OVERLOADED, and loses nothing when it resumes', async () => {
    const reader = new SlowReader();
    const request = { kind: 'site', name: '' } as const;
    const watching = watch(parts, views, request, reader, context);
    const outcome = assert.rejects(watching, { code: 'OVERLOADED' });
    await invite();
    reader.stall();
    for (let count = 0; count < 1_500; count += 1) await invite();
    reader.resume();
    await outcome;
    const seen = reader.events.filter(({ event }) => event).map(({ seq }) => Number(seq));
    assert.ok(seen.length >= 1_000 && seen.length < 1_501);
    const again = new SlowReader();
    const leaving = new AbortController();
    const resumed = watch(parts, views, { ...request, afterSeq: String(seen.at(-1)) }, again, {
      ...context,
      signal: leaving.signal,
    });
    await waitFor(() => again.events.some(({ type }) => type === 'BOOKMARK'));
    leaving.abort();
    await resumed;
    const rest = again.events.filter(({ event }) => event).map(({ seq }) => Number(seq));
    assert.deepEqual(
      [...seen, ...rest],
      Array.from({ length: 1_501 }, (_, index) => index + 1),
    );
  });

  it('is told once of a site whose agent came and went ever so often', async () => {
    await invite();
    const [tokenId = ''] = [...federation.state.tokens.keys()];
    const agentId = formatId('agt', new Uint8Array(16));
    await federation.execute({
      ...{ kind: 'enrol-agent', now: clock.now(), actor: `agent/${agentId}`, tokenId, agentId },
      identityKey: encodeBase64(key.publicKey),
      keyDigest: `sha256:${'1'.repeat(64)}`,
    });
    const reader = new SlowReader();
    const leaving = new AbortController();
    const request = { kind: 'site', name: '' } as const;
    const watching = watch(parts, views, request, reader, { ...context, signal: leaving.signal });
    await waitFor(() => reader.events.some(({ type }) => type === 'BOOKMARK'));
    const before = reader.events.length;
    reader.stall();
    for (let count = 0; count < 5_000; count += 1) {
      const hello = { sessionEpoch: 1n, knownSize: 0, software: 'x', backend: 'none', datasets: [] };
      const link = { order: () => undefined, goodbye: () => undefined };
      parts.agents.attach(agentId, hello, link).detach();
    }
    reader.resume();
    await waitFor(() => reader.events.length > before);
    leaving.abort();
    await watching;
    assert.ok(reader.events.length - before <= 2, `${String(reader.events.length - before)} changes`);
  });

  it('stops listening when it ends', async () => {
    const leaving = new AbortController();
    const reader = new SlowReader();
    const watching = watch(parts, views, { kind: 'site', name: '' }, reader, {
      ...context,
      signal: leaving.signal,
    });
    await waitFor(() => reader.events.length > 0);
    leaving.abort();
    await watching;
    const before = reader.events.length;
    await invite();
    assert.equal(reader.events.length, before);
  });
});

async function waitFor(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000 && !holds(); turn += 1)
    await new Promise((resolve) => setImmediate(resolve));
  assert.ok(holds());
}
