import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, rename, rm } from 'node:fs/promises';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { createPrivateKey, X509Certificate } from 'node:crypto';

import { credentials } from '@grpc/grpc-js';
import {
  canonicalize,
  decodeEntry,
  digestOf,
  encodeBase64,
  leafHash,
  LIMITS,
  signCosignature,
  signDocument,
  signingKeyFromSeed,
  verifyConsistency,
} from '@tributary/proto';
import { Admin, Enrolment, Fleet, Ledger, type BlobChunk__Output } from '@tributary/proto/grpc';

import { call, callAll, enrolmentClient, operatorContext } from '../support/channels.js';
import { CoordinatorWorld } from '../support/coordinator-world.js';
import { flipBit } from '../support/damage.js';
import { drawPeerKeys, enrolRequest, FleetPeer, type PeerStream } from '../support/fleet-peer.js';
import { jobDocument } from '../support/job-document.js';
import { neutralVector, recordUpload, type PeerRound } from '../support/peer-round.js';
import { openUpload } from '../support/open-upload.js';
import { eventually } from '../support/waiting.js';

const AUTHOR = signingKeyFromSeed(new Uint8Array(32).fill(77));
const METRICS = ['auc'] as const;
type MetricName = (typeof METRICS)[number];

/** Applies a job of one round over the sites with the given label. */
async function applyJob(
  world: CoordinatorWorld,
  name: string,
  minSites: number,
  metrics: readonly MetricName[] = METRICS,
): Promise<void> {
  const document = jobDocument();
  const job = {
    ...document,
    metadata: { name },
    spec: {
      ...document.spec,
      rounds: 1,
      minSites,
      model: { ...document.spec.model, name },
      evaluation: { metrics: [...metrics] },
    },
  };
  const signature = Buffer.from(signDocument(job, AUTHOR));
  const bytes = Buffer.from(canonicalize(job));
  await world.admin('Apply', { document: bytes, authorKey: Buffer.from(AUTHOR.publicKey), signature });
}

async function phaseOf(world: CoordinatorWorld, name: string): Promise<string> {
  const { document } = await world.admin('GetObject', { kind: 'fj', name });
  return (JSON.parse(document.toString()) as { status: { phase: string } }).status.phase;
}

async function fetchBlob(
  peer: FleetPeer,
  request: { jobId: string; round: number; digest: string; offset?: number },
): Promise<Buffer> {
  const chunks: BlobChunk__Output[] = await callAll(peer.fleet, Fleet.service, 'FetchBlob', request);
  return Buffer.concat(chunks.map(({ data }) => data));
}

describe('the fleet port', () => {
  let world: CoordinatorWorld;

  beforeEach(async () => {
    world = await CoordinatorWorld.start();
  });
  afterEach(() => world.stop());

  it('takes 4 MiB per stream and connection before it makes a sender wait', async () => {
    const keys = await drawPeerKeys();
    const enrolment = world.keep(await enrolmentClient(world));
    const { certificate } = await call(
      enrolment,
      Enrolment.service,
      'Enroll',
      enrolRequest(await world.invite('wide'), keys),
    );
    const { ca } = await operatorContext(world);
    const key = createPrivateKey({ key: Buffer.from(keys.privateKey), format: 'der', type: 'pkcs8' }).export({
      format: 'pem',
      type: 'pkcs8',
    });
    const cert = new X509Certificate(certificate).toString();
    const session = connect(`https://${(await world.addresses()).fleet}`, { ca: ca ?? '', key, cert });
    await once(session, 'remoteSettings');
    await eventually('the window of the connection', () =>
      session.state.remoteWindowSize === LIMITS.receiveWindowBytes ? true : undefined,
    );
    assert.equal(session.remoteSettings.initialWindowSize, LIMITS.receiveWindowBytes);
    session.destroy();
  });

  it('runs a round: order, base model, upload, receipt, settlement, and the model', async () => {
    const peers = [await world.peer('north'), await world.peer('south')];
    const streams = peers.map((peer) => peer.connect());
    await Promise.all(streams.map((stream) => stream.welcome()));
    await applyJob(world, 'loans', 2, []);
    const rounds = await Promise.all(streams.map((stream) => stream.round()));
    for (const [index, peer] of peers.entries()) {
      const round = rounds[index] as PeerRound;
      const base = await fetchBlob(peer, {
        jobId: round.opened.jobId,
        round: round.opened.round,
        digest: round.opened.baseDigest,
      });
      assert.ok(base.length > 0);
      const tail = await fetchBlob(peer, {
        jobId: round.opened.jobId,
        round: round.opened.round,
        digest: round.opened.baseDigest,
        offset: 7,
      });
      assert.deepEqual(tail, base.subarray(7));
      const upload = recordUpload(round, peer, [], {
        vector: neutralVector(round, []),
        seed: index + 1,
      });
      const receipt = await peer.submit(upload.messages);
      assert.equal(receipt.uploadId, upload.uploadId);
      const status = await call(peer.fleet, Fleet.service, 'GetUploadStatus', { uploadId: upload.uploadId });
      assert.equal(status.state, 'ACCEPTED');
      assert.equal(status.seq, receipt.seq);
      // The same upload again is answered with the first answer.
      if (index === 0) assert.deepEqual(await peer.submit(upload.messages), receipt);
    }
    await eventually('the job to complete', async () =>
      (await phaseOf(world, 'loans')) === 'Complete' ? true : undefined,
    );
    const last = await eventually('the settlement', () =>
      streams[0]?.orders.find((order) => lastType(order.entries.at(-1)?.entry) === 'round.committed'),
    );
    assert.equal(last.remainingMs, 0);
    const [manifest] = await callAll(world.client, Admin.service, 'FetchModelBlob', {
      model: 'loans',
      version: 0,
    });
    assert.match(manifest?.data.toString() ?? '', /"jobName":"loans"/);
    const rest = { model: 'loans', version: 0, offset: 7 };
    const [tail] = await callAll(world.client, Admin.service, 'FetchModelBlob', rest);
    assert.deepEqual(tail?.data, manifest?.data.subarray(7));
    const name = digestOf(manifest?.data ?? new Uint8Array()).slice('sha256:'.length);
    await flipBit(join(world.data, 'blobs', name.slice(0, 2), name), 30);
    await assert.rejects(callAll(world.client, Admin.service, 'FetchModelBlob', rest), {
      code: 'STORE_CORRUPT',
    });
    for (const stream of streams) stream.close();
  });

  it('serves an agent no blob but that of its open round', async () => {
    const [member, stranger] = [await world.peer('member'), await world.peer('stranger')];
    const stream = member.connect();
    await stream.welcome();
    await applyJob(world, 'loans', 1);
    const { opened } = await stream.round();
    const asked = { jobId: opened.jobId, round: opened.round, digest: opened.baseDigest };
    await assert.rejects(fetchBlob(member, { ...asked, digest: `sha256:${'0'.repeat(64)}` }), {
      code: 'PERMISSION_DENIED',
    });
    await assert.rejects(fetchBlob(member, { ...asked, digest: 'nonsense' }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(fetchBlob(member, { ...asked, round: 9 }), { code: 'UPDATE_WRONG_ROUND' });
    await assert.rejects(fetchBlob(member, { ...asked, offset: 1_000_000_000 }), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(fetchBlob(stranger, asked), { code: 'NOT_IN_COHORT' });
    stream.close();
  });

  it('lets a site that is not approved connect, and nothing more', async () => {
    const peer = await world.peer('waiting', false);
    const stream = peer.connect();
    assert.equal((await stream.welcome()).approved, false);
    await assert.rejects(
      call(peer.fleet, Fleet.service, 'GetUploadStatus', { uploadId: `upl-${'0'.repeat(32)}` }),
      { code: 'AGENT_NOT_APPROVED' },
    );
    await assert.rejects(callAll(peer.ledger, Ledger.service, 'GetEntries', {}), {
      code: 'AGENT_NOT_APPROVED',
    });
    await world.admin('ApproveSite', { site: 'waiting' });
    assert.equal(
      (await call(peer.fleet, Fleet.service, 'GetUploadStatus', { uploadId: `upl-${'0'.repeat(32)}` })).state,
      'UNKNOWN',
    );
    stream.close();
  });

  it('ends the stream and the connection of a revoked agent, and drops its upload', async () => {
    const [peer, other] = [await world.peer('north'), await world.peer('south')];
    const streams = [peer.connect(), other.connect()] as const;
    await Promise.all(streams.map((stream) => stream.welcome()));
    await applyJob(world, 'loans', 1);
    const round = await streams[0].round();
    const upload = recordUpload(round, peer, METRICS);
    // A stream in the middle of an upload: the header is in, the seal is not.
    const { stream: open, failure } = openUpload(peer);
    const [header] = upload.messages;
    if (header !== undefined) open.write(header);
    await eventually('the upload to begin', async () => {
      const { state } = await call(peer.fleet, Fleet.service, 'GetUploadStatus', {
        uploadId: upload.uploadId,
      });
      return state === 'RECEIVING' ? true : undefined;
    });
    await world.admin('RevokeSite', { site: 'north', reason: 'lost laptop' });
    assert.equal((await streams[0].end()) instanceof Error || streams[0].ended === 'closed', true);
    assert.equal(streams[0].received.at(-1)?.goodbye?.code, 'AGENT_REVOKED');
    assert.ok((await failure) instanceof Error);
    await assert.rejects(call(peer.fleet, Fleet.service, 'GetUploadStatus', { uploadId: upload.uploadId }), {
      code: 'AGENT_REVOKED',
    });
    await assert.rejects(peer.connect().welcome(), { code: 'AGENT_REVOKED' });
    // The other site is not touched.
    assert.equal(streams[1].ended, undefined);
    streams[1].close();
  });

  it('fences an older process of the same agent', async () => {
    // Not closed with the daemon: it comes back after the restart.
    const peer = await FleetPeer.enrol(world, await world.invite('twin', true), await drawPeerKeys());
    const newer = peer.connect(peer.hello({ sessionEpoch: '10' }));
    await newer.welcome();
    await assert.rejects(peer.connect(peer.hello({ sessionEpoch: '9' })).welcome(), { code: 'AGENT_FENCED' });
    const newest = peer.connect(peer.hello({ sessionEpoch: '11' }));
    await newest.welcome();
    await newer.end();
    assert.equal(newer.received.at(-1)?.goodbye?.code, 'AGENT_FENCED');
    assert.equal(newest.ended, undefined);
    newest.close();
    // What the ledger says of it outlives the coordinator's memory.
    await world.halt();
    await world.serve();
    await assert.rejects(peer.connect(peer.hello({ sessionEpoch: '10' })).welcome(), {
      code: 'AGENT_FENCED',
    });
    const again = peer.connect(peer.hello({ sessionEpoch: '11' }));
    await again.welcome();
    again.close();
    peer.close();
  });

  it('fences a newer process whose state is from before what the agent has signed', async () => {
    const peer = await FleetPeer.enrol(world, await world.invite('restored', true), await drawPeerKeys());
    const { treeHead: before } = await endedWelcome(peer.connect());
    const { treeHead } = await endedWelcome(peer.connect({ ...peer.hello(), treeHead: before }));
    assert.ok(before && treeHead && Number(treeHead.treeSize) > Number(before.treeSize));
    const [treeSize, time] = [Number(treeHead.treeSize), '2026-01-01T00:00:00.000Z'];
    const head = { logId: peer.logId, treeSize, rootHash: treeHead.rootHash };
    const { signature } = signCosignature(peer.identity, peer.agentId, head, time);
    const cosignature = { treeSize, rootHash: treeHead.rootHash, time, signature: Buffer.from(signature) };
    const signed = peer.hello();
    await endedWelcome(peer.connect({ ...signed, treeHead, cosignature }));
    for (const older of [undefined, before])
      await assert.rejects(
        endedWelcome(peer.connect({ ...peer.hello(), ...(older && { treeHead: older }) })),
        { code: 'AGENT_FENCED' },
      );
    // The process that signed may say an older head when it connects again; one that knows what was signed goes on.
    await endedWelcome(peer.connect({ ...signed, treeHead: before }));
    await endedWelcome(peer.connect({ ...peer.hello(), treeHead }));
    // What was signed outlives the coordinator's memory.
    await world.halt();
    await world.serve();
    await assert.rejects(endedWelcome(peer.connect({ ...peer.hello(), treeHead: before })), {
      code: 'AGENT_FENCED',
    });
    await endedWelcome(peer.connect({ ...peer.hello(), treeHead }));
    peer.close();
  });

  it('proves that its tree head contains the one that the agent knew', async () => {
    const peer = await world.peer('memory');
    const first = await endedWelcome(peer.connect());
    await world.invite('another');
    const known = first.treeHead;
    assert.ok(known);
    const second = await endedWelcome(peer.connect({ ...peer.hello(), treeHead: known }));
    assert.ok(second.treeHead);
    const sizes = { first: Number(known.treeSize), second: Number(second.treeHead.treeSize) };
    assert.ok(sizes.second > sizes.first);
    const path = second.consistency.map((hash) => new Uint8Array(hash));
    assert.ok(verifyConsistency(sizes.first, sizes.second, known.rootHash, second.treeHead.rootHash, path));
  });

  it('believes no tree head that it did not sign', async () => {
    const peer = await world.peer('witness');
    const { treeHead } = await endedWelcome(peer.connect());
    assert.ok(treeHead);
    const forged = { ...treeHead, treeSize: '999' };
    await assert.rejects(endedWelcome(peer.connect({ ...peer.hello(), treeHead: forged })), {
      code: 'SIGNATURE_INVALID',
    });
  });

  it('records an alarm where an agent proves that the ledger was longer', async () => {
    const peer = await FleetPeer.enrol(world, await world.invite('witness', true), await drawPeerKeys());
    await world.halt();
    const old = join(world.directory.path, 'old');
    await cp(world.data, old, { recursive: true });
    await world.serve();
    for (const site of ['a', 'b']) await world.invite(site);
    const { treeHead } = await endedWelcome(peer.connect());
    assert.ok(treeHead);
    await world.halt();
    await rm(world.data, { recursive: true });
    await rename(old, world.data);
    await world.serve();
    const alarmed = (): boolean =>
      world.lines.some((line) => line.includes('"alarm"') && line.includes('PROOF_INVALID'));
    assert.equal(alarmed(), false);
    await assert.rejects(endedWelcome(peer.connect({ ...peer.hello(), treeHead })), {
      code: 'PROOF_INVALID',
    });
    assert.equal(alarmed(), true);
    peer.close();
  });

  it('shows an agent the entries that concern it, and hashes of the others', async () => {
    const [one] = [await world.peer('one'), await world.peer('two')];
    const records = await callAll(one.ledger, Ledger.service, 'GetEntries', {});
    const operator = world.keep(
      new Ledger((await world.addresses()).admin, await operatorCredentials(world)),
    );
    const all = await callAll(operator, Ledger.service, 'GetEntries', {});
    assert.equal(records.length, all.length);
    for (const [index, { entry: bytes, redacted }] of all.entries()) {
      assert.equal(redacted, false);
      const entry = decodeEntry(bytes);
      const seen = records[index];
      assert.ok(seen);
      const own =
        entry.type === 'federation.created' ||
        ('site' in entry.body && entry.body.site === 'one' && entry.type !== 'token.created');
      assert.equal(seen.redacted, !own, entry.type);
      if (!own) assert.equal(encodeBase64(seen.leafHash), encodeBase64(leafHash(bytes)));
      if (!own) assert.equal(seen.entry.length, 0);
    }
    await assert.rejects(callAll(one.ledger, Ledger.service, 'GetEntries', { start: '999' }), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(call(one.ledger, Ledger.service, 'GetInclusionProof', { seq: '5', treeSize: '4' }), {
      code: 'INVALID_ARGUMENT',
    });
    await assert.rejects(
      call(one.ledger, Ledger.service, 'GetConsistencyProof', { first: '0', second: '9999' }),
      { code: 'INVALID_ARGUMENT' },
    );
  });
});

async function operatorCredentials(
  world: CoordinatorWorld,
): Promise<ReturnType<typeof credentials.createSsl>> {
  const { ca, certificate, key } = await operatorContext(world);
  return credentials.createSsl(Buffer.from(ca ?? ''), Buffer.from(key ?? ''), Buffer.from(certificate ?? ''));
}

async function endedWelcome(stream: PeerStream): ReturnType<PeerStream['welcome']> {
  try {
    return await stream.welcome();
  } finally {
    stream.close();
  }
}

function lastType(bytes: Buffer | undefined): string | undefined {
  return bytes === undefined ? undefined : decodeEntry(bytes).type;
}
