import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { encodeBase64, signingKeyFromSeed, transcript } from '@tributary/proto';
import type { SignedReceipt } from '@tributary/edge-agent/internal/app/egress-receipts.js';
import type { JobList } from '@tributary/edge-agent/internal/app/site-desk.js';

import { BINARIES, runCommand, type Finished } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { auditLedger, entriesOf } from '../support/ledger-audit.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { RecordingProxy } from '../support/recording-proxy.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

const DIRECTOR = signingKeyFromSeed(new Uint8Array(32).fill(11));

interface Condition {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

/** Real processes; all that the agent of `west` sends passes a proxy that keeps it. */
describe('a site that decides for itself', function () {
  this.timeout(300_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let proxy: RecordingProxy;

  before(async () => {
    directory = await temporaryDirectory();
    proxy = await RecordingProxy.start();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'valley');
    const key = encodeBase64(DIRECTOR.publicKey);
    const approvers = [{ name: 'director', key }];
    await federation.addSite({
      name: 'west',
      csv: pointsOf(1, 80).csv,
      dataset: 'points',
      policy: { approval: { type: 'Manual', approvers }, metricDigits: 3 },
      config: { proxy: { url: proxy.url, noProxy: [] } },
    });
    await federation.addSite({
      name: 'east',
      csv: pointsOf(2, 80).csv,
      dataset: 'points',
      policy: { approval: { type: 'Manual' } },
    });
    await writeFile(join(federation.folder, 'director.key'), new Uint8Array(32).fill(11));
  });

  after(async function () {
    await federation.stop();
    await proxy.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  const agent = (site: string, ...args: readonly string[]): Promise<Finished> =>
    runCommand(BINARIES.agent, [...args, '--config', join(federation.siteFolder(site), 'agent.yaml')]);

  const told = async (site: string, ...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await agent(site, ...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  const running = async (job: string): Promise<Condition | undefined> => {
    const { status } = (await federation.object(`fj/${job}`)) as {
      readonly status: { readonly conditions: readonly Condition[] };
    };
    return status.conditions.find(({ type }) => type === 'Running');
  };

  const waitsFor = (job: string, site: string): Promise<unknown> =>
    eventually(`${job} to wait for ${site}`, async () => {
      const condition = await running(job);
      const waits = condition?.reason === 'WaitingForApproval';
      return (waits && condition.message.includes(`${site} has not approved`)) || undefined;
    });

  const receiptOf = async (site: string, job: string): Promise<SignedReceipt> =>
    JSON.parse(await told(site, 'egress', job, '-o', 'json')) as SignedReceipt;

  const director = (): readonly string[] => ['--key', join(federation.folder, 'director.key')];

  const complete = (job: string): Promise<string> =>
    federation.cliText('wait', '--for=condition=Complete', `fj/${job}`, '--timeout', '150s');

  const ended = (site: string, job: string): Promise<SignedReceipt> =>
    eventually('the receipt', async () => {
      const signed = await receiptOf(site, job);
      return signed.receipt.complete ? signed : undefined;
    });

  it('makes a job wait for its approval, visible to the hub, and does not let the job fail meanwhile', async () => {
    await federation.apply(pointsJob('points', { minSites: 2 }));
    await waitsFor('points', 'west');
    await waitsFor('points', 'east');
    const { jobs } = JSON.parse(await told('west', 'jobs', '-o', 'json')) as JobList;
    assert.deepEqual(
      jobs.map(({ job, state, dataset, author }) => [job, state, dataset, author]),
      [['points', 'Waits', 'points', 'operator']],
    );
    const explained = await agent('west', 'policy', 'explain', 'points');
    assert.notEqual(explained.code, 0);
    assert.match(
      explained.stdout,
      /WAITS\s+spec\.approval: demands the signature of one of director; found None/,
    );
    assert.match(explained.stderr, /SITE_NOT_READY/);
  });

  it('takes the word of nobody but those that its policy names, for that document', async () => {
    const own = await agent('west', 'approve', 'points');
    assert.match(own.stderr, /PERMISSION_DENIED/);
    const other = await agent(
      'west',
      'approve',
      'points',
      ...director(),
      '--digest',
      `sha256:${'0'.repeat(64)}`,
    );
    assert.match(other.stderr, /CONFLICT/);
    assert.match(await told('west', 'approve', 'points', ...director()), /Approved by director/);
    await waitsFor('points', 'east');
    assert.match(await told('east', 'approve', 'points'), /Approved by east/);
    await complete('points');
    const { entries } = await auditLedger(federation);
    const approvals = entriesOf(entries, 'job.approved');
    assert.deepEqual(new Set(approvals.map(({ body }) => body.approverName)), new Set(['director', 'east']));
    const identities = new Map(
      entriesOf(entries, 'agent.enrolled').map(({ body }) => [body.agentId, body.identityKey]),
    );
    const [created] = entriesOf(entries, 'federation.created');
    const { logId } = JSON.parse(await told('west', 'jobs', '-o', 'json')) as JobList;
    assert.ok(created);
    for (const { body } of approvals) {
      const { jobId, jobDigest, site, agentId, approverKey, decidedAt, signature, siteSignature } = body;
      const signed = transcript('approval', {
        ...{ logId, jobId, jobDigest, site, agentId, approver: approverKey, decision: 'Approved' },
        time: decidedAt,
      });
      assert.ok(verified(approverKey, signed, signature));
      assert.ok(verified(identities.get(agentId) ?? '', signed, siteSignature));
    }
    assert.equal(entriesOf(entries, 'job.failed').length, 0);
  });

  it('gives a receipt that is what passed below TLS, within two per cent, and never less', async () => {
    const before = proxy.sent;
    await federation.apply(wideJob('wide', 2));
    await waitsFor('wide', 'west');
    await told('west', 'approve', 'wide', ...director());
    await waitsFor('wide', 'east');
    await told('east', 'approve', 'wide');
    await complete('wide');
    const signed = await ended('west', 'wide');
    sameTraffic(signed, proxy.sent - before);
    const file = join(directory.path, 'receipt.json');
    await writeFile(file, JSON.stringify(signed));
    assert.match(await told('west', 'egress', '--verify', file), /wide .* at west: ended/);
    await writeFile(file, JSON.stringify({ ...signed, receipt: { ...signed.receipt, updates: 9 } }));
    assert.match((await agent('west', 'egress', '--verify', file)).stderr, /SIGNATURE_INVALID/);
  });

  it('counts the bytes of an agent that is killed while it uploads, and goes on', async () => {
    const before = proxy.sent;
    await federation.apply(wideJob('killed', 2));
    await waitsFor('killed', 'west');
    await told('west', 'approve', 'killed', ...director());
    proxy.pauseMs = 10;
    await waitsFor('killed', 'east');
    await told('east', 'approve', 'killed');
    const uploading = proxy.sent + 3_000_000;
    await eventually('half an update', () => Promise.resolve(proxy.sent > uploading || undefined), 60_000);
    await federation.agents.get('west')?.stop('SIGKILL');
    proxy.pauseMs = 0;
    federation.startAgent('west');
    await complete('killed');
    sameTraffic(await ended('west', 'killed'), proxy.sent - before, BUFFERED);
  });

  it('keeps all of it in a log that shows an altered or a missing line', async () => {
    assert.match(await told('west', 'log', 'verify'), /none altered, as the running agent has it/);
    const shown = await told('west', 'log', 'show', '--job', 'points');
    for (const type of ['Order', 'JobDecision', 'Trained', 'Egress'])
      assert.ok(shown.includes(`  ${type}  `), type);
    await federation.agents.get('west')?.stop();
    const path = join(federation.siteFolder('west'), 'data', 'decisions.jsonl');
    const text = await readFile(path, 'utf8');
    assert.match(await told('west', 'log', 'verify'), /lines, none altered; head sha256/);
    const lines = text.split('\n');
    const altered = lines.map((line, index) => (index === 4 ? line.replace('points', 'pointz') : line));
    await writeFile(path, altered.join('\n'));
    assert.match((await agent('west', 'log', 'verify')).stderr, /STORE_CORRUPT: decision log, line 6/);
    await writeFile(path, `${lines.slice(0, -3).join('\n')}\n`);
    assert.equal((await agent('west', 'log', 'verify')).code, 0, 'a shorter log is whole by itself');
    const short = federation.startAgent('west');
    await short.exited;
    assert.match(await short.log(), /lines were written, and \d+ are there/);
    await writeFile(path, text);
    federation.startAgent('west');
    await eventually('the agent to run', async () => (await agent('west', 'status')).code === 0 || undefined);
  });
});

/** What the system holds of a connection when its process is killed: written, so counted, but it never arrives. */
const BUFFERED = 1024 * 1024;

function sameTraffic({ receipt }: SignedReceipt, captured: number, buffered = 0): void {
  const counted = Number(receipt.bytes.total);
  const text = `counted ${String(counted)}, captured ${String(captured)}`;
  // The capture begins a little before the first order and ends a little after the last answer.
  assert.ok(counted >= captured * 0.999, text);
  assert.ok(counted <= captured * 1.02 + buffered, text);
}

/** A job whose updates take megabytes. */
function wideJob(name: string, rounds: number) {
  const base = pointsJob(name, { minSites: 2, rounds });
  const layers = [
    { type: 'Dense', units: 1_200, activation: 'Relu' },
    { type: 'Dense', units: 1_200, activation: 'Relu' },
    { type: 'Dense', units: 1, activation: 'Sigmoid' },
  ];
  return {
    ...base,
    spec: {
      ...base.spec,
      model: { ...base.spec.model, layers },
      training: { ...base.spec.training, epochs: 1 },
    },
  };
}

/** With Node's own Ed25519. */
function verified(key: string, message: Uint8Array, signature: string): boolean {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(key, 'base64')]);
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
  return verify(null, message, publicKey, Buffer.from(signature, 'base64'));
}
