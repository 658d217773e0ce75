import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';

import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import {
  encodeBase64,
  digestOf,
  signingKeyFromSeed,
  transcript,
  verifySignature,
  logIdOf,
  WIRE_VERSIONS,
} from '@tributary/proto';
import {
  Admin,
  channelOptions,
  Enrolment,
  Fleet,
  type EnrolmentClient,
  type EnrollRequest,
} from '@tributary/proto/grpc';
import { tlsKeyMaker } from '@tributary/edge-agent/internal/adapters/tls/tls-keys.js';

import { call, enrolmentClient, operatorContext, serverTls } from '../support/channels.js';
import { CoordinatorWorld } from '../support/coordinator-world.js';
import { drawPeerKeys, enrolRequest, type PeerKeys } from '../support/fleet-peer.js';

describe('joining and renewing on the enrol port', () => {
  let world: CoordinatorWorld;
  let client: EnrolmentClient;

  before(async () => {
    world = await CoordinatorWorld.start();
    client = world.keep(await enrolmentClient(world));
  });
  after(() => world.stop());

  const enrol = (request: EnrollRequest): ReturnType<typeof call<typeof Enrolment.service, 'Enroll'>> =>
    call(client, Enrolment.service, 'Enroll', request);
  const refused = async (request: EnrollRequest, code: string): Promise<void> => {
    const before = (await world.admin('GetVersion', {})).ledgerSize;
    await assert.rejects(enrol(request), { code });
    if (code !== 'TOKEN_USED')
      assert.equal((await world.admin('GetVersion', {})).ledgerSize, before, 'a refusal left an entry');
  };

  it('gives an agent its id, a certificate for its own key, and the keys to trust', async () => {
    const token = await world.invite('north');
    const keys = await drawPeerKeys();
    const answer = await enrol(enrolRequest(token, keys));
    assert.equal(answer.site, 'north');
    assert.equal(answer.version, WIRE_VERSIONS[0]);
    assert.match(answer.agentId, /^agt-[0-9a-f]{32}$/);
    const certificate = new X509Certificate(answer.certificate);
    assert.match(certificate.subjectAltName ?? '', new RegExp(`/agent/${answer.agentId}$`));
    assert.ok(certificate.verify(new X509Certificate(answer.caCertificate).publicKey));
    assert.equal(`sha256:${createHash('sha256').update(answer.caCertificate).digest('hex')}`, token.caDigest);
    assert.equal(logIdOf(answer.logKey), answer.logId);
    assert.equal(answer.fleetAddress, (await world.addresses()).fleet);
  });

  it('gives the same key the same agent again, and raises an alarm for another', async () => {
    const token = await world.invite('east');
    const keys = await drawPeerKeys();
    const first = await enrol(enrolRequest(token, keys));
    const again = await enrol(enrolRequest(token, keys));
    assert.equal(again.agentId, first.agentId);
    await refused(enrolRequest(token, await drawPeerKeys()), 'TOKEN_USED');
    assert.ok(world.lines.some((line) => line.includes('"alarm"') && line.includes('TOKEN_USED')));
    // One alarm per token: somebody who tries again and again cannot fill the ledger.
    const size = (await world.admin('GetVersion', {})).ledgerSize;
    await refused(enrolRequest(token, await drawPeerKeys()), 'TOKEN_USED');
    assert.equal((await world.admin('GetVersion', {})).ledgerSize, size);
  });

  it('refuses unknown tokens and signatures by other keys', async () => {
    const token = await world.invite('west');
    const keys = await drawPeerKeys();
    const good = enrolRequest(token, keys);
    const other = enrolRequest({ ...token, seed: new Uint8Array(32).fill(9) }, await drawPeerKeys());
    await refused(enrolRequest({ ...token, tokenId: `tok-${'0'.repeat(32)}` }, keys), 'TOKEN_INVALID');
    await refused({ ...good, tokenSignature: other.tokenSignature ?? Buffer.alloc(64) }, 'SIGNATURE_INVALID');
    await refused(
      { ...good, identitySignature: other.identitySignature ?? Buffer.alloc(64) },
      'SIGNATURE_INVALID',
    );
    await refused({ ...good, csr: other.csr ?? Buffer.alloc(0) }, 'SIGNATURE_INVALID');
    assert.equal((await enrol(good)).site, 'west');
  });

  it('refuses fields of the wrong form, naming them', async () => {
    const token = await world.invite('south');
    const good = enrolRequest(token, await drawPeerKeys());
    const cases: readonly [Partial<EnrollRequest>, RegExp][] = [
      [{ tokenId: 'nonsense' }, /tokenId/],
      [{ identityKey: Buffer.alloc(31) }, /identityKey/],
      [{ csr: Buffer.alloc(0) }, /csr/],
      [{ csr: Buffer.alloc(20_000) }, /csr/],
      [{ tokenSignature: Buffer.alloc(0) }, /tokenSignature/],
      [{ versions: ['x'] }, /versions/],
      [{ versions: Array.from({ length: 1_000 }, () => '1.0') }, /versions/],
    ];
    for (const [change, message] of cases)
      await assert.rejects(enrol({ ...good, ...change }), { code: 'INVALID_ARGUMENT', message });
    await assert.rejects(enrol({ ...good, versions: ['9.9'] }), { code: 'VERSION_UNSUPPORTED' });
  });

  it('refuses a certificate request that is none, even where it is signed for', async () => {
    const token = await world.invite('garbage');
    const keys = await drawPeerKeys();
    await refused(
      enrolRequest(token, { ...keys, csr: new Uint8Array([0x30, 0x03, 1, 2, 3]) }),
      'INVALID_ARGUMENT',
    );
  });

  describe('renewal', () => {
    const renewal = async (
      keys: PeerKeys,
      agentId: string,
      logId: string,
      nonce: Buffer,
    ): Promise<{ csr: Buffer; request: object }> => {
      const csr = Buffer.from((await tlsKeyMaker.create()).csr);
      const signed = transcript('renew', {
        agentId,
        nonce: encodeBase64(nonce),
        csrDigest: digestOf(csr),
        logId,
      });
      return {
        csr,
        request: { agentId, nonce, csr, identitySignature: Buffer.from(keys.identity.sign(signed)) },
      };
    };

    it('gives a new certificate for a signed challenge, once', async () => {
      const peer = await world.peer('renewing');
      const { nonce, expiresInMs } = await call(client, Enrolment.service, 'GetChallenge', {
        agentId: peer.agentId,
      });
      assert.ok(expiresInMs > 0);
      const { request } = await renewal(peer.keys, peer.agentId, peer.logId, nonce);
      const { certificate } = await call(client, Enrolment.service, 'Renew', request);
      assert.match(new X509Certificate(certificate).subjectAltName ?? '', new RegExp(peer.agentId));
      await assert.rejects(call(client, Enrolment.service, 'Renew', request), { code: 'SIGNATURE_INVALID' });
    });

    it('refuses another key, a nonce of another agent, and unknown agents', async () => {
      const [one, two] = [await world.peer('one'), await world.peer('two')];
      const challenge = (agentId: string): Promise<{ nonce: Buffer }> =>
        call(client, Enrolment.service, 'GetChallenge', { agentId });
      const ofOne = await challenge(one.agentId);
      const ofTwo = await challenge(two.agentId);
      const forged = await renewal(
        { ...one.keys, identity: signingKeyFromSeed(new Uint8Array(32).fill(200)) },
        one.agentId,
        one.logId,
        ofOne.nonce,
      );
      await assert.rejects(call(client, Enrolment.service, 'Renew', forged.request), {
        code: 'SIGNATURE_INVALID',
      });
      const crossed = await renewal(one.keys, one.agentId, one.logId, ofTwo.nonce);
      await assert.rejects(call(client, Enrolment.service, 'Renew', crossed.request), {
        code: 'SIGNATURE_INVALID',
      });
      await assert.rejects(challenge(`agt-${'0'.repeat(32)}`), { code: 'NOT_FOUND' });
    });

    it('is refused to revoked agents', async () => {
      const peer = await world.peer('gone');
      await world.admin('RevokeSite', { site: 'gone', reason: 'test' });
      await assert.rejects(call(client, Enrolment.service, 'GetChallenge', { agentId: peer.agentId }), {
        code: 'AGENT_REVOKED',
      });
    });
  });

  describe('certificates on the other ports', () => {
    const version = async (tls: ChannelCredentials): Promise<unknown> => {
      const admin = world.keep(new Admin((await world.addresses()).admin, tls, channelOptions()));
      return call(admin, Admin.service, 'GetVersion', {});
    };

    it('are demanded: without one TLS itself ends the connection', async () => {
      await assert.rejects(version(await serverTls(world)), { code: 'UNAVAILABLE' });
      await assert.rejects(version(credentials.createInsecure()), { code: 'UNAVAILABLE' });
    });

    it('of agents open no admin service, and those of operators no fleet service', async () => {
      const peer = await world.peer('nosy');
      await assert.rejects(version(peer.tls), { code: 'UNAUTHENTICATED' });
      const { ca, certificate, key } = await operatorContext(world);
      const tls = credentials.createSsl(
        Buffer.from(ca ?? ''),
        Buffer.from(key ?? ''),
        Buffer.from(certificate ?? ''),
      );
      const fleet = world.keep(new Fleet((await world.addresses()).fleet, tls, channelOptions()));
      await assert.rejects(
        call(fleet, Fleet.service, 'GetUploadStatus', { uploadId: `upl-${'0'.repeat(32)}` }),
        { code: 'UNAUTHENTICATED' },
      );
    });

    it('of another federation are not taken', async () => {
      const other = await CoordinatorWorld.start();
      try {
        const stranger = await other.peer('stranger');
        await assert.rejects(version(stranger.tls), { code: 'UNAVAILABLE' });
      } finally {
        await other.stop();
      }
    });

    it('open the health port to nobody but grpc.health.v1, without any', async () => {
      const health = world.keep(
        new Admin((await world.addresses()).health, credentials.createInsecure(), channelOptions()),
      );
      await assert.rejects(call(health, Admin.service, 'GetVersion', {}), { code: 'VERSION_UNSUPPORTED' });
    });
  });

  it('signs what it answers with the keys that it names', async () => {
    const peer = await world.peer('checker');
    const stream = peer.connect();
    const welcome = await stream.welcome();
    const head = welcome.treeHead;
    assert.ok(head !== null && head !== undefined);
    const { logKey } = await world.admin('GetVersion', {});
    const signed = transcript('tree-head', {
      logId: head.logId,
      rootHash: head.rootHash.toString('hex'),
      time: head.time,
      treeSize: head.treeSize,
      v: 1,
    });
    assert.ok(verifySignature(logKey, signed, head.signature));
    stream.close();
  });
});
