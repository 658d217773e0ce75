import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { readEnrolment } from '@tributary/edge-agent/internal/app/enrolment-record.js';
import { digestOf } from '@tributary/proto';

import { ConnectProxy } from '../support/connect-proxy.js';
import { refusal } from '../support/refusal.js';
import { AGENT_ID, ScriptedCoordinator, SITE } from '../support/scripted-coordinator.js';
import { ScriptedSite } from '../support/scripted-site.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

describe('joining a federation', () => {
  let coordinator: ScriptedCoordinator;
  let folder: TemporaryDirectory;
  let site: ScriptedSite;

  beforeEach(async () => {
    coordinator = await ScriptedCoordinator.start();
    folder = await temporaryDirectory();
    site = new ScriptedSite(folder.path, coordinator);
  });

  afterEach(async () => {
    coordinator.stop();
    await folder.remove();
  });

  it('makes keys, pins the authority and keeps what it was told', async () => {
    const { agentId, fresh } = await site.join(coordinator.token());
    assert.deepEqual([agentId, fresh], [AGENT_ID, true]);
    const data = await site.open();
    const record = await readEnrolment(data.store);
    await data.close();
    assert.equal(record?.site, SITE);
    assert.equal(record.fleetAddress, coordinator.fleetAddress);
    assert.equal(digestOf(record.authority), coordinator.authority.digest);
    assert.equal((await stat(join(site.dataDir, 'seal.key'))).mode & 0o777, 0o600);
  });

  it('sends nothing to a server of another authority', async () => {
    const token = coordinator.token({ caDigest: digestOf(new Uint8Array(1)) });
    await assert.rejects(site.join(token), refusal('CA_MISMATCH'));
    assert.equal(coordinator.counts.enroll, 0);
  });

  it('refuses an answer that names another authority, although a CA bundle vouches for the connection', async () => {
    site.bundle = coordinator.authority.certificatePem;
    await assert.rejects(
      site.join(coordinator.token({ caDigest: digestOf(new Uint8Array(1)) })),
      refusal('CA_MISMATCH', /answer/),
    );
    assert.equal(coordinator.counts.enroll, 1);
  });

  it('refuses an answer for another site', async () => {
    await assert.rejects(
      site.join(coordinator.token({ site: 'east' })),
      refusal('SIGNATURE_INVALID', /site/),
    );
  });

  it('resumes with the same keys where the answer was lost, and does not ask again once it has joined', async () => {
    coordinator.loseEnrolAnswer = true;
    await assert.rejects(site.join(coordinator.token()), refusal('UNAVAILABLE'));
    const keysBefore = await pendingKeys(site);
    assert.equal((await site.join(coordinator.token())).fresh, true);
    const data = await site.open();
    assert.deepEqual((await readEnrolment(data.store))?.identitySeed, keysBefore);
    await data.close();
    assert.equal((await site.join(coordinator.token())).fresh, false);
    assert.equal(coordinator.counts.enroll, 2);
  });

  it('says that nobody answers', async () => {
    coordinator.stop();
    await assert.rejects(site.join(coordinator.token()), refusal('UNAVAILABLE'));
  });

  describe('through a proxy', () => {
    let proxy: ConnectProxy;

    beforeEach(async () => {
      proxy = await ConnectProxy.start('site', 'correct horse: €');
    });

    afterEach(() => proxy.stop());

    it('joins with the right password', async () => {
      site.proxy = { host: '127.0.0.1', port: proxy.port, username: 'site', password: 'correct horse: €' };
      assert.equal((await site.join(coordinator.token())).fresh, true);
      assert.equal(proxy.tunnels, 2, 'one tunnel to look at the chain, one to enrol');
    });

    it('names the proxy and what to check where the password is wrong', async () => {
      site.proxy = { host: '127.0.0.1', port: proxy.port, username: 'site', password: 'wrong' };
      const text = new RegExp(
        `proxy 127\\.0\\.0\\.1:${String(proxy.port)} refused .* status 407; check proxy\\.username`,
      );
      await assert.rejects(site.join(coordinator.token()), refusal('UNAVAILABLE', text));
      assert.equal(proxy.tunnels, 0);
    });
  });
});

async function pendingKeys(site: ScriptedSite): Promise<Uint8Array> {
  const { readPendingJoin } = await import('@tributary/edge-agent/internal/app/enrolment-record.js');
  const data = await site.open();
  try {
    const pending = await readPendingJoin(data.store);
    assert.ok(pending);
    return pending.identitySeed;
  } finally {
    await data.close();
  }
}
