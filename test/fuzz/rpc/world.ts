import { readFile } from 'node:fs/promises';

import { credentials, Client } from '@grpc/grpc-js';
import { digestOf, encodeBase64, parseFederatedJob, transcript } from '@tributary/proto';
import { Admin, channelOptions, Enrolment, type RenewRequest } from '@tributary/proto/grpc';

import { call, enrolmentClient, ledgerClient } from '../../support/channels.js';
import { drawPeerKeys, enrolRequest, FleetPeer, type PeerStream } from '../../support/fleet-peer.js';
import type { LocalFederation } from '../../support/federation.js';
import { Operator } from '../../support/operator.js';
import { openedBy, recordUpload, type PeerRound } from '../../support/peer-round.js';
import { trialCsv } from '../../support/training-job.js';
import { trialJob, TRIAL_METRICS } from '../../support/trial-job.js';
import { eventually } from '../../support/waiting.js';
import type { RpcTarget } from './fuzz.js';
import { fleetTargets, operatorTargets } from './targets.js';

export const JOB = 'background';

/** Bytes of a grpc.health.v1.HealthCheckResponse that says SERVING. */
const SERVING = Buffer.from([0x08, 0x01]);

/**
 * A coordinator at work: two agents train a job of many rounds. A third member of the cohort sends damaged uploads and
 * declines otherwise; a fourth agent, outside of it, opens damaged streams.
 */
export class FuzzWorld {
  readonly federation: LocalFederation;
  readonly operator: Operator;
  readonly uploader: FleetPeer;
  readonly talker: FleetPeer;
  readonly #stream: PeerStream;
  readonly #health: Client;
  #round: PeerRound;
  #uploading = false;

  private constructor(
    federation: LocalFederation,
    operator: Operator,
    peers: readonly [FleetPeer, FleetPeer],
    stream: PeerStream,
    health: Client,
    round: PeerRound,
  ) {
    this.federation = federation;
    this.operator = operator;
    [this.uploader, this.talker] = peers;
    this.#stream = stream;
    this.#health = health;
    this.#round = round;
    stream.onOrder = (order) => {
      const opened = openedBy(order);
      if (opened === undefined) return;
      this.#round = opened;
      if (!this.#uploading) this.#decline();
    };
  }

  static async create(federation: LocalFederation, rounds: number): Promise<FuzzWorld> {
    const operator = await Operator.of(federation);
    const labels = { pool: 'work' };
    for (const [index, name] of ['north', 'south'].entries()) {
      await federation.addSite({ name, csv: trialCsv(60, index + 1), dataset: 'trial', labels });
    }
    const uploader = await FleetPeer.join(federation, operator, 'uploader', labels);
    const talker = await FleetPeer.join(federation, operator, 'talker');
    const stream = uploader.connect();
    await stream.welcome();
    await operator.apply(trialJob(JOB, { rounds, siteSelector: { matchLabels: labels } }));
    const health = new Client(
      (await federation.addresses()).health,
      credentials.createInsecure(),
      channelOptions(),
    );
    return new FuzzWorld(federation, operator, [uploader, talker], stream, health, await stream.round());
  }

  /** The newest round that the uploader was asked to train for. */
  get round(): PeerRound {
    return this.#round;
  }

  /** Waits until the uploader is asked to train again; not for long, as the job may have ended. */
  async nextRound(): Promise<void> {
    const { orderId } = this.#round;
    await eventually('an order', () => (this.#round.orderId === orderId ? undefined : true), 1_000).catch(
      () => undefined,
    );
  }

  /** While on, the uploader answers orders with (damaged) updates; otherwise it declines, so that rounds go on. */
  uploading(on: boolean): void {
    this.#uploading = on;
    if (!on) this.#decline();
  }

  async targets(): Promise<readonly RpcTarget[]> {
    const renewer = await FleetPeer.join(this.federation, this.operator, 'renewer');
    const enrolment = await enrolmentClient(this.federation);
    const keys = await drawPeerKeys();
    return [
      ...fleetTargets(this),
      ...operatorTargets({
        admin: this.operator.admin,
        ledger: await ledgerClient(this.federation),
        enrolment,
        apply: this.operator.applyRequest(
          parseFederatedJob(
            trialJob('decoy', { suspend: true, siteSelector: { matchLabels: { pool: 'nobody' } } }),
          ),
        ),
        enroll: enrolRequest(await this.operator.invite('decoy'), keys),
        renew: await renewal(renewer, enrolment),
        csr: Buffer.from(keys.csr),
      }),
    ];
  }

  /** Messages of a correct upload for the newest round. */
  upload(seed: number): readonly object[] {
    return recordUpload(this.#round, this.uploader, TRIAL_METRICS, { seed }).messages;
  }

  /** Rounds of the background job that are committed, and whether it has ended well. Throws where it failed. */
  async progress(): Promise<{ readonly round: number; readonly complete: boolean }> {
    const { document } = await call(this.operator.admin, Admin.service, 'GetObject', {
      kind: 'FederatedJob',
      name: JOB,
    });
    const { status } = JSON.parse(document.toString('utf8')) as {
      status: { phase: string; currentRound: number };
    };
    if (status.phase === 'Failed') throw new Error('the background job failed');
    return { round: status.currentRound, complete: status.phase === 'Complete' };
  }

  /** Waits until the background job has moved on. */
  async awaitProgress(): Promise<void> {
    const before = await this.progress();
    if (before.complete) return;
    await eventually(
      'the next round',
      async () => {
        const now = await this.progress();
        return now.complete || now.round > before.round ? now : undefined;
      },
      30_000,
    );
  }

  healthy(): Promise<boolean> {
    const identity = (bytes: Buffer): Buffer => bytes;
    return new Promise((resolve) => {
      this.#health.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        identity,
        identity,
        Buffer.alloc(0),
        (error, answer) => {
          resolve(error === null && answer !== undefined && SERVING.equals(answer));
        },
      );
    });
  }

  /** Resident memory of the coordinator in MiB. */
  async residentMebibytes(): Promise<number> {
    const text = await readFile(`/proc/${String(this.federation.coordinator.pid)}/status`, 'utf8');
    return Math.round(Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(text)?.[1]) / 1_024);
  }

  /** Lines that the coordinator logged as errors. */
  async errorLines(): Promise<readonly string[]> {
    const lines = (await this.federation.coordinator.log()).split('\n').filter((line) => line !== '');
    return lines.filter(
      (line) =>
        !line.startsWith('{') || ['error', 'fatal'].includes((JSON.parse(line) as { level: string }).level),
    );
  }

  async close(): Promise<void> {
    this.uploader.close();
    this.talker.close();
    this.operator.close();
    this.#health.close();
    await this.federation.stop();
  }

  #decline(): void {
    this.#stream.send({
      ack: { orderId: this.#round.orderId, accepted: false, code: 'POLICY_REFUSED', detail: 'not now' },
    });
  }
}

async function renewal(
  { agentId, logId, identity, keys }: FleetPeer,
  client: Awaited<ReturnType<typeof enrolmentClient>>,
): Promise<RenewRequest> {
  const { nonce } = await call(client, Enrolment.service, 'GetChallenge', { agentId });
  const csr = Buffer.from(keys.csr);
  const statement = transcript('renew', {
    agentId,
    nonce: encodeBase64(nonce),
    csrDigest: digestOf(csr),
    logId,
  });
  return { agentId, nonce, csr, identitySignature: Buffer.from(identity.sign(statement)) };
}
