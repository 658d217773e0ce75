import assert from 'node:assert/strict';

import { canonicalize, rosterDigest, signDocument, signingKeyFromSeed } from '@tributary/proto';
import { Admin, type AdminClient, type AdminDefinition } from '@tributary/proto/grpc';

import { requestCertificate } from '../support/certificate-requests.js';
import { call, localOptions, operatorTls } from '../support/channels.js';
import { CoordinatorWorld } from '../support/coordinator-world.js';
import { FlakyProxy } from '../support/flaky-proxy.js';
import { jobDocument } from '../support/job-document.js';
import { rosterOf, rootOf, signedBy } from '../support/roster.js';
import { eventually } from '../support/waiting.js';

const DAY_MS = 24 * 3_600_000;
const AUTHOR = signingKeyFromSeed(new Uint8Array(32).fill(78));

type Method = keyof AdminDefinition;

/**
 * An operator whose answers are lost: the request arrives and is recorded, the line is cut before the answer, and the
 * same request is sent again.
 */
describe('a request whose answer was lost', () => {
  let world: CoordinatorWorld;
  let proxy: FlakyProxy;
  let client: AdminClient;

  beforeEach(async () => {
    world = await CoordinatorWorld.start();
    proxy = await FlakyProxy.start();
    const { admin } = await world.addresses();
    const options = localOptions({
      'grpc.enable_http_proxy': 0,
      'grpc.http_connect_target': `dns:${admin}`,
      'grpc.default_authority': admin,
    });
    client = world.keep(new Admin(proxy.url.replace('http://', 'dns:'), await operatorTls(world), options));
    await call(client, Admin.service, 'GetVersion', {});
  });
  afterEach(async () => {
    await world.stop();
    await proxy.stop();
  });

  const size = async (): Promise<number> => Number((await world.admin('GetVersion', {})).ledgerSize);

  /** Sends the request, loses its answer once it is in the ledger, and sends it again; the second answer. */
  async function twice<M extends Method>(
    method: M,
    request: Parameters<typeof call<AdminDefinition, M>>[3],
  ): Promise<{
    readonly answer: Awaited<ReturnType<typeof call<AdminDefinition, M>>>;
    readonly added: number;
  }> {
    const before = await size();
    proxy.deaf = true;
    const lost = call(client, Admin.service, method, request);
    lost.catch(() => undefined);
    const recorded = await eventually(`${method} to be recorded`, async () => {
      const now = await size();
      return now > before ? now : undefined;
    });
    proxy.cut();
    proxy.deaf = false;
    await assert.rejects(lost, { code: 'UNAVAILABLE' });
    const answer = await eventually('another connection', () =>
      call(client, Admin.service, method, request).catch((error: unknown) => {
        if ((error as { code?: string }).code === 'UNAVAILABLE') return undefined;
        throw error;
      }),
    );
    return { answer, added: (await size()) - recorded };
  }

  function application(name: string, rounds = 1): { document: Buffer; authorKey: Buffer; signature: Buffer } {
    const base = jobDocument();
    const document = { ...base, metadata: { name }, spec: { ...base.spec, rounds, suspend: true } };
    return {
      document: Buffer.from(canonicalize(document)),
      authorKey: Buffer.from(AUTHOR.publicKey),
      signature: Buffer.from(signDocument(document, AUTHOR)),
    };
  }

  it('makes one job of one document', async () => {
    const { answer, added } = await twice('Apply', application('loans'));
    assert.deepEqual([answer.outcome, added], ['UNCHANGED', 0]);
    const { events } = await world.admin('DescribeObject', { kind: 'fj', name: 'loans' });
    assert.equal(events.filter(({ type }) => type === 'job.submitted').length, 1);
  });

  it('suspends, resumes and cancels a job once', async () => {
    await world.admin('Apply', application('loans'));
    for (const action of ['RESUME', 'SUSPEND', 'CANCEL'] as const)
      await twice('ControlJob', { name: 'loans', action, reason: 'because' });
    const { events } = await world.admin('DescribeObject', { kind: 'fj', name: 'loans' });
    for (const type of ['job.resumed', 'job.suspended', 'job.failed'])
      assert.equal(events.filter((event) => event.type === type).length, 1, type);
  });

  it('deletes a job once, and says NOT_FOUND of one that is gone', async () => {
    await world.admin('Apply', application('loans'));
    await world.admin('ControlJob', { name: 'loans', action: 'CANCEL' });
    await world.admin('Apply', application('others'));
    const before = await size();
    await assert.rejects(twice('DeleteObject', { kind: 'fj', name: 'loans' }), { code: 'NOT_FOUND' });
    assert.equal(await size(), before + 1);
    await world.admin('GetObject', { kind: 'fj', name: 'others' });
  });

  it('publishes a roster once', async () => {
    const root = rootOf(1, 'ada');
    const roster = rosterOf(root, ['north'], {
      issued: new Date(Date.now() - DAY_MS).toISOString(),
      expires: new Date(Date.now() + DAY_MS).toISOString(),
    });
    const request = {
      root: Buffer.from(canonicalize({ ...root })),
      roster: Buffer.from(signedBy(roster, 'ada')),
    };
    const { answer, added } = await twice('PublishRoster', request);
    assert.deepEqual([answer.digest, added], [rosterDigest(roster), 0]);
  });

  it('approves and revokes a site once', async () => {
    await world.peer('north', false);
    assert.equal((await twice('ApproveSite', { site: 'north' })).added, 0);
    assert.equal((await twice('RevokeSite', { site: 'north', reason: 'lost' })).added, 0);
  });

  it('creates and revokes a context once', async () => {
    const { csr } = await requestCertificate();
    const request = { name: 'laptop', role: 'viewer', csr: Buffer.from(csr) };
    const { answer, added } = await twice('CreateContext', request);
    assert.ok(answer.certificate.length > 0, 'for the key of the request, as the lost one');
    assert.equal(added, 0);
    assert.equal((await twice('RevokeContext', { name: 'laptop' })).added, 0);
  });

  it('invites anew, and the token that nobody saw admits nobody', async () => {
    const { answer, added } = await twice('CreateInvitation', { site: 'north', approve: true });
    assert.equal(added, 1, 'the secret of the first is in no ledger: it cannot be said again');
    const { events } = await world.admin('DescribeObject', { kind: 'site', name: 'north' });
    assert.equal(events.filter(({ type }) => type === 'token.created').length, 2);
    assert.ok(answer.token.length > 0);
  });
});
