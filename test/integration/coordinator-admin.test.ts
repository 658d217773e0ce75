import assert from 'node:assert/strict';
import { request } from 'node:http';
import { stat } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';

import { credentials } from '@grpc/grpc-js';
import { canonicalize, signDocument, signingKeyFromSeed } from '@tributary/proto';
import {
  Admin,
  callServerStream,
  channelOptions,
  type AdminClient,
  type WatchEvent__Output,
} from '@tributary/proto/grpc';

import { call, callAll, operatorContext } from '../support/channels.js';
import { requestCertificate } from '../support/certificate-requests.js';
import { CoordinatorWorld } from '../support/coordinator-world.js';
import { jobDocument } from '../support/job-document.js';
import { eventually } from '../support/waiting.js';

const AUTHOR = signingKeyFromSeed(new Uint8Array(32).fill(78));

function application(
  name: string,
  change: object = {},
): { document: Buffer; authorKey: Buffer; signature: Buffer } {
  const job = { ...jobDocument(), metadata: { name } };
  const changed = { ...job, spec: { ...job.spec, ...change } };
  return {
    document: Buffer.from(canonicalize(changed)),
    authorKey: Buffer.from(AUTHOR.publicKey),
    signature: Buffer.from(signDocument(changed, AUTHOR)),
  };
}

const nameOf = (event: WatchEvent__Output): string => event.object?.name ?? '';

/** The events of a watch, until `stop` says that there are enough. */
async function watchUntil(
  client: AdminClient,
  request_: { kind: string; name?: string; afterSeq?: string },
  stop: (events: readonly WatchEvent__Output[]) => boolean,
): Promise<readonly WatchEvent__Output[]> {
  const events: WatchEvent__Output[] = [];
  for await (const event of callServerStream(client, Admin.service.WatchObjects, request_)) {
    events.push(event);
    if (stop(events)) break;
  }
  return events;
}

describe('the admin port', () => {
  let world: CoordinatorWorld;

  before(async () => {
    world = await CoordinatorWorld.start();
  });
  after(() => world.stop());

  async function context(name: string, role: 'admin' | 'viewer'): Promise<AdminClient> {
    const { csr, privateKeyPem } = await requestCertificate();
    const { certificate } = await world.admin('CreateContext', { name, role, csr: Buffer.from(csr) });
    const { ca } = await operatorContext(world);
    const tls = credentials.createSsl(
      Buffer.from(ca ?? ''),
      Buffer.from(privateKeyPem),
      Buffer.from(new X509Certificate(certificate).toString()),
    );
    return world.keep(new Admin((await world.addresses()).admin, tls, channelOptions()));
  }

  it('lets a viewer read and refuses to let it change anything', async () => {
    const viewer = await context('watcher', 'viewer');
    const as = <M extends keyof typeof Admin.service>(
      method: M,
      message: Parameters<typeof call<typeof Admin.service, M>>[3],
    ): Promise<unknown> => call(viewer, Admin.service, method, message);
    await as('GetVersion', {});
    await as('ListObjects', { kind: 'site' });
    const denied: readonly (() => Promise<unknown>)[] = [
      () => as('Apply', application('forbidden')),
      () => as('DeleteObject', { kind: 'fj', name: 'forbidden' }),
      () => as('ControlJob', { name: 'forbidden', action: 'CANCEL' }),
      () => as('CreateInvitation', { site: 'forbidden' }),
      () => as('ApproveSite', { site: 'forbidden' }),
      () => as('RevokeSite', { site: 'forbidden' }),
      () => as('CreateContext', { name: 'forbidden', role: 'admin' }),
      () => as('RevokeContext', { name: 'watcher' }),
      () => callAll(viewer, Admin.service, 'StreamBackup', {}),
    ];
    for (const attempt of denied) await assert.rejects(attempt(), { code: 'PERMISSION_DENIED' });
  });

  it('cuts a revoked context off on its open connection, and keeps the last one that may change anything', async () => {
    const lost = await context('lost-laptop', 'admin');
    await call(lost, Admin.service, 'GetVersion', {});
    await world.admin('RevokeContext', { name: 'lost-laptop' });
    await assert.rejects(call(lost, Admin.service, 'GetVersion', {}));
    await assert.rejects(call(lost, Admin.service, 'CreateInvitation', { site: 'stolen' }));
    await world.admin('RevokeContext', { name: 'lost-laptop' });
    await assert.rejects(world.admin('RevokeContext', { name: 'nobody' }), { code: 'NOT_FOUND' });
    await assert.rejects(world.admin('RevokeContext', { name: 'admin' }), { code: 'CONFLICT' });
  });

  it('gives the same context the same answer, and its name to nobody else', async () => {
    const { csr } = await requestCertificate();
    const asked = { name: 'steady', role: 'viewer', csr: Buffer.from(csr) };
    await world.admin('CreateContext', asked);
    await world.admin('CreateContext', asked);
    const other = await requestCertificate();
    await assert.rejects(world.admin('CreateContext', { ...asked, csr: Buffer.from(other.csr) }), {
      code: 'ALREADY_EXISTS',
    });
    await assert.rejects(world.admin('CreateContext', { ...asked, role: 'root' }), {
      code: 'INVALID_ARGUMENT',
    });
  });

  it("takes the daemon's own user at the Unix socket, which nobody else can open", async () => {
    const { socket } = await world.addresses();
    assert.equal((await stat(socket)).mode & 0o777, 0o600);
    const local = world.keep(new Admin(`unix:${socket}`, credentials.createInsecure(), channelOptions()));
    await call(local, Admin.service, 'CreateInvitation', { site: 'by-socket' });
    const { events } = await call(local, Admin.service, 'DescribeObject', {
      kind: 'site',
      name: 'by-socket',
    });
    assert.equal(events[0]?.actor, 'coordinator');
  });

  it('applies a document: created, unchanged, configured, or refused with what is wrong', async () => {
    assert.equal((await world.admin('Apply', { ...application('dry'), dryRun: true })).outcome, 'CREATED');
    await assert.rejects(world.admin('GetObject', { kind: 'fj', name: 'dry' }), { code: 'NOT_FOUND' });
    assert.equal((await world.admin('Apply', application('first'))).outcome, 'CREATED');
    assert.equal((await world.admin('Apply', application('first'))).outcome, 'UNCHANGED');
    const configured = await world.admin('Apply', application('first', { activeDeadlineSeconds: 500 }));
    assert.equal(configured.outcome, 'CONFIGURED');
    assert.match(configured.object?.document.toString() ?? '', /"activeDeadlineSeconds":500/);
    await assert.rejects(world.admin('Apply', application('first', { rounds: 99 })), {
      code: 'IMMUTABLE_FIELD',
    });
    await assert.rejects(world.admin('Apply', application('bad', { rounds: -1 })), {
      code: 'DOCUMENT_INVALID',
    });
    await assert.rejects(world.admin('Apply', { ...application('forged'), signature: Buffer.alloc(64, 1) }), {
      code: 'SIGNATURE_INVALID',
    });
    await assert.rejects(world.admin('Apply', { ...application('x'), document: Buffer.from('{ }') }), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(world.admin('Apply', { ...application('x'), document: Buffer.alloc(0) }), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(world.admin('Apply', { ...application('x'), authorKey: Buffer.alloc(3) }), {
      code: 'INVALID_ARGUMENT',
    });
  });

  it('suspends, resumes, cancels and deletes jobs', async () => {
    await world.admin('Apply', application('controlled'));
    const phase = (object: { document: Buffer }): string =>
      (JSON.parse(object.document.toString()) as { status: { phase: string } }).status.phase;
    assert.equal(
      phase(await world.admin('ControlJob', { name: 'controlled', action: 'SUSPEND', reason: 'holiday' })),
      'Suspended',
    );
    assert.notEqual(
      phase(await world.admin('ControlJob', { name: 'controlled', action: 'RESUME' })),
      'Suspended',
    );
    assert.equal(phase(await world.admin('ControlJob', { name: 'controlled', action: 'CANCEL' })), 'Failed');
    await assert.rejects(world.admin('ControlJob', { name: 'controlled', action: 'SUSPEND' }), {
      code: 'CONFLICT',
    });
    await assert.rejects(world.admin('ControlJob', { name: 'controlled' }), { code: 'INVALID_ARGUMENT' });
    const { events } = await world.admin('DescribeObject', { kind: 'job', name: 'controlled' });
    const types = events.map(({ type }) => type);
    for (const type of ['job.submitted', 'job.suspended', 'job.resumed', 'job.failed'])
      assert.ok(types.includes(type), type);
    assert.deepEqual(
      [...events].sort((a, b) => Number(a.seq) - Number(b.seq)),
      events,
    );
    await world.admin('DeleteObject', { kind: 'fj', name: 'controlled' });
    await assert.rejects(world.admin('GetObject', { kind: 'fj', name: 'controlled' }), { code: 'NOT_FOUND' });
    await world.admin('CreateInvitation', { site: 'kept' });
    await assert.rejects(world.admin('DeleteObject', { kind: 'site', name: 'kept' }), { code: 'CONFLICT' });
  });

  it('names the field of a malformed request', async () => {
    await assert.rejects(world.admin('GetObject', { kind: 'pod', name: 'a' }), {
      code: 'INVALID_ARGUMENT',
      message: /kind/,
    });
    await assert.rejects(world.admin('GetObject', { kind: 'site', name: '../etc' }), {
      code: 'INVALID_ARGUMENT',
      message: /name/,
    });
    await assert.rejects(world.admin('CreateInvitation', { site: 'UPPER' }), {
      code: 'INVALID_ARGUMENT',
      message: /site/,
    });
    await assert.rejects(world.admin('CreateInvitation', { site: 'a', ttlSeconds: 4_000_000_000 }), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(world.admin('RevokeSite', { site: 'a', reason: 'x'.repeat(10_000) }), {
      code: 'INVALID_ARGUMENT',
      message: /reason/,
    });
    await assert.rejects(callAll(world.client, Admin.service, 'FetchModelBlob', { model: 'none' }), {
      code: 'NOT_FOUND',
    });
    await assert.rejects(
      callAll(world.client, Admin.service, 'FetchModelBlob', { model: 'a', digest: 'b' }),
      { code: 'INVALID_ARGUMENT', message: /digest/ },
    );
  });

  describe('watching', () => {
    it('sends what is there, a bookmark, and every change with its entry', async () => {
      await world.admin('Apply', application('watched'));
      const watching = watchUntil(world.client, { kind: 'fj', name: 'watched' }, (events) =>
        events.some(({ type }) => type === 'DELETED'),
      );
      await eventually('the watch to begin', () => (world.lines.length > 0 ? true : undefined));
      await world.admin('ControlJob', { name: 'watched', action: 'SUSPEND' });
      await world.admin('DeleteObject', { kind: 'fj', name: 'watched' });
      const events = await watching;
      assert.ok(events.every((event) => event.type === 'BOOKMARK' || nameOf(event) === 'watched'));
      const types = events.map(({ type }) => type);
      assert.ok(types.includes('BOOKMARK'));
      assert.equal(events.at(-1)?.event?.type, 'job.deleted');
    });

    it('resumes after a sequence with nothing lost, and refuses one beyond the ledger', async () => {
      const seen = await watchUntil(
        world.client,
        { kind: 'site' },
        (events) => events.at(-1)?.type === 'BOOKMARK',
      );
      const place = seen.at(-1)?.seq ?? '0';
      for (const site of ['while-away-1', 'while-away-2']) await world.admin('CreateInvitation', { site });
      const missed = await watchUntil(
        world.client,
        { kind: 'site', afterSeq: place },
        (events) => nameOf(events.at(-1) as WatchEvent__Output) === 'while-away-2',
      );
      assert.deepEqual(missed.map(nameOf), ['while-away-1', 'while-away-2']);
      const again = await watchUntil(
        world.client,
        { kind: 'site', afterSeq: missed[0]?.seq ?? '0' },
        (events) => events.length === 1,
      );
      assert.equal(nameOf(again[0] as WatchEvent__Output), 'while-away-2');
      await assert.rejects(
        watchUntil(world.client, { kind: 'site', afterSeq: '99999' }, () => true),
        { code: 'INVALID_ARGUMENT' },
      );
    });

    it('tells of connections, which are no entries', async () => {
      const peer = await world.peer('presence');
      const ready = (event: WatchEvent__Output): boolean =>
        /"phase":"Ready"/.test(event.object?.document.toString() ?? '');
      const watching = watchUntil(world.client, { kind: 'site', name: 'presence' }, (events) =>
        events.some(ready),
      );
      const stream = peer.connect();
      await stream.welcome();
      await watching;
      stream.close();
    });
  });

  it('sends the log lines of a job or site, and follows them', async () => {
    await world.admin('CreateInvitation', { site: 'talkative' });
    await world.peer('spoken');
    const lines = await callAll(world.client, Admin.service, 'StreamLogs', { subject: 'spoken' });
    assert.ok(lines.length > 0);
    assert.ok(lines.every(({ line }) => (JSON.parse(line) as { site: string }).site === 'spoken'));
    const following = callServerStream(world.client, Admin.service.StreamLogs, {
      subject: 'talkative',
      follow: true,
      tail: 1,
    });
    await following.next();
    const next = following.next();
    await world.admin('CreateInvitation', { site: 'talkative' });
    assert.match((await next).value?.line ?? '', /token\.created/);
    await following.return();
  });

  it('never writes a join token or its seed to the log or the ledger', async () => {
    const { token } = await world.admin('CreateInvitation', { site: 'secretive' });
    const { seed } = JSON.parse(Buffer.from(token.slice('trib1.'.length), 'base64url').toString()) as {
      seed: string;
    };
    const everything =
      world.lines.join('') +
      JSON.stringify(await world.admin('DescribeObject', { kind: 'site', name: 'secretive' }));
    assert.ok(everything.includes('secretive'));
    assert.ok(!everything.includes(token) && !everything.includes(seed));
  });

  it('counts calls and refusals for the scraper, without a series per agent', async () => {
    const text = await scrape((await world.addresses()).metrics, '/metrics');
    assert.match(text.body, /tributary_calls_total\{method="CreateInvitation",code="OK"\} \d+/);
    assert.match(text.body, /tributary_calls_total\{method="GetObject",code="NOT_FOUND"\} \d+/);
    assert.match(text.body, /tributary_ledger_entries \d+/);
    assert.match(text.body, /process_resident_memory_bytes/);
    assert.doesNotMatch(text.body, /agt-|talkative/);
    assert.equal((await scrape((await world.addresses()).metrics, '/')).status, 404);
  });
});

function scrape(address: string, path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    request(`http://${address}${path}`, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body });
      });
    })
      .on('error', reject)
      .end();
  });
}
