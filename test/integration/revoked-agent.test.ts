import assert from 'node:assert/strict';

import { canonicalize, digestOf, signDocument, signingKeyFromSeed, transcript } from '@tributary/proto';
import { Enrolment, Fleet, Ledger, type BlobChunk__Output } from '@tributary/proto/grpc';

import { call, callAll, enrolmentClient, localOptions } from '../support/channels.js';
import { CoordinatorWorld } from '../support/coordinator-world.js';
import type { FleetPeer } from '../support/fleet-peer.js';
import { certifiedTls, type PeerStream } from '../support/fleet-peer.js';
import { jobDocument } from '../support/job-document.js';
import { openUpload } from '../support/open-upload.js';
import { recordUpload, type PeerRound } from '../support/peer-round.js';
import { eventually } from '../support/waiting.js';

const AUTHOR = signingKeyFromSeed(new Uint8Array(32).fill(79));
const REVOKED = { code: 'AGENT_REVOKED' };

/** An agent with everything open, from whom the right to it is taken. */
describe('a revoked agent', () => {
  let world: CoordinatorWorld;
  let peer: FleetPeer;
  let stream: PeerStream;
  let round: PeerRound;

  beforeEach(async () => {
    world = await CoordinatorWorld.start();
    peer = await world.peer('north');
    stream = peer.connect();
    await stream.welcome();
    const base = jobDocument();
    const job = { ...base, spec: { ...base.spec, rounds: 1, minSites: 1, evaluation: { metrics: [] } } };
    await world.admin('Apply', {
      document: Buffer.from(canonicalize(job)),
      authorKey: Buffer.from(AUTHOR.publicKey),
      signature: Buffer.from(signDocument(job, AUTHOR)),
    });
    round = await stream.round();
  });
  afterEach(async () => {
    stream.close();
    await world.stop();
  });

  const revoke = (): Promise<unknown> => world.admin('RevokeSite', { site: 'north', reason: 'lost' });

  /** Every call of an agent, each as it would be right for a member of the round. */
  function calls(who: FleetPeer): Record<string, () => Promise<unknown>> {
    const { jobId, round: number, attempt, baseDigest } = round.opened;
    const stage = { jobId, round: number, attempt, stage: 'share' };
    const { messages, uploadId } = recordUpload(round, peer, []);
    return {
      Connect: () => who.connect(peer.hello()).welcome(),
      FetchBlob: () =>
        callAll(who.fleet, Fleet.service, 'FetchBlob', { jobId, round: number, digest: baseDigest }),
      GetUploadStatus: () => call(who.fleet, Fleet.service, 'GetUploadStatus', { uploadId }),
      SubmitUpdate: () => who.submit(messages),
      SubmitStage: () =>
        call(who.fleet, Fleet.service, 'SubmitStage', {
          ...{ ...stage, payload: Buffer.from('{}'), signature: Buffer.alloc(64), attachments: [] },
        }),
      GetStage: () => call(who.fleet, Fleet.service, 'GetStage', stage),
      GetEntries: () => callAll(who.ledger, Ledger.service, 'GetEntries', {}),
      GetTreeHead: () => call(who.ledger, Ledger.service, 'GetTreeHead', {}),
      GetInclusionProof: () =>
        call(who.ledger, Ledger.service, 'GetInclusionProof', { seq: '0', treeSize: '1' }),
      GetConsistencyProof: () =>
        call(who.ledger, Ledger.service, 'GetConsistencyProof', { first: '1', second: '1' }),
    };
  }

  it('is refused in every call, on the connection that it has', async () => {
    await revoke();
    // All of them at once, before the connection is ended for good: each is told why.
    const told = await Promise.allSettled(Object.values(calls(peer)).map((attempt) => attempt()));
    for (const [index, outcome] of told.entries()) {
      const name = Object.keys(calls(peer))[index] ?? '';
      assert.equal(outcome.status, 'rejected', name);
      const { code } = outcome.reason as { code: string };
      assert.ok(['AGENT_REVOKED', 'UNAVAILABLE'].includes(code), `${name}: ${code}`);
    }
  });

  it('is refused on connections that it makes anew, which resume their TLS session where they can', async () => {
    await revoke();
    await stream.end();
    for (const [name, attempt] of Object.entries(calls(peer)))
      await assert.rejects(
        eventually(name, () =>
          attempt().catch((error: unknown) => {
            if ((error as { code?: string }).code === 'UNAVAILABLE') return undefined;
            throw error;
          }),
        ),
        REVOKED,
        name,
      );
  });

  it('is told goodbye, gets no further message of a download, and has its upload dropped', async () => {
    const { jobId, round: number, baseDigest } = round.opened;
    const upload = recordUpload(round, peer, []);
    const { stream: open, failure } = openUpload(peer);
    for (const message of upload.messages.slice(0, -1)) open.write(message);
    await eventually('the upload to arrive', async () => {
      const { state, nextChunk } = await call(peer.fleet, Fleet.service, 'GetUploadStatus', {
        uploadId: upload.uploadId,
      });
      return (state === 'RECEIVING' && nextChunk === upload.messages.length - 2) || undefined;
    });
    await revoke();
    // The last message of the upload comes too late by one.
    for (const message of upload.messages.slice(-1)) open.write(message);
    assert.ok(
      ['AGENT_REVOKED', 'UNAVAILABLE'].includes(((await failure) as unknown as { code: string }).code),
    );
    await stream.end();
    assert.equal(stream.received.at(-1)?.goodbye?.code, 'AGENT_REVOKED');
    const chunks: Promise<BlobChunk__Output[]> = callAll(peer.fleet, Fleet.service, 'FetchBlob', {
      ...{ jobId, round: number, digest: baseDigest },
    });
    await assert.rejects(chunks);
    const { events } = await world.admin('DescribeObject', { kind: 'fj', name: 'loans' });
    assert.equal(events.filter(({ type }) => type === 'update.accepted').length, 0);
  });

  it('cannot renew its certificate, and is refused with one that it renewed before', async () => {
    const enrolment = world.keep(await enrolmentClient(world));
    const renew = async (): Promise<{ readonly certificate: Buffer; readonly authority: Buffer }> => {
      const { nonce } = await call(enrolment, Enrolment.service, 'GetChallenge', { agentId: peer.agentId });
      const statement = transcript('renew', {
        agentId: peer.agentId,
        nonce: nonce.toString('base64'),
        csrDigest: digestOf(peer.keys.csr),
        logId: peer.logId,
      });
      const { certificate, caCertificate } = await call(enrolment, Enrolment.service, 'Renew', {
        ...{ agentId: peer.agentId, nonce, csr: Buffer.from(peer.keys.csr) },
        identitySignature: Buffer.from(peer.identity.sign(statement)),
      });
      return { certificate, authority: caCertificate };
    };
    const { certificate, authority } = await renew();
    await revoke();
    await assert.rejects(renew(), REVOKED);
    const tls = certifiedTls(authority, certificate, peer.keys.privateKey);
    const fleet = world.keep(new Fleet((await world.addresses()).fleet, tls, localOptions()));
    const uploadId = `upl-${'0'.repeat(32)}`;
    await assert.rejects(call(fleet, Fleet.service, 'GetUploadStatus', { uploadId }), REVOKED);
  });
});
