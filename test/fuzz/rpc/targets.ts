import type { Client } from '@grpc/grpc-js';
import { formatId } from '@tributary/proto';
import {
  Admin,
  Enrolment,
  Fleet,
  Ledger,
  type ApplyRequest,
  type EnrollRequest,
  type RenewRequest,
} from '@tributary/proto/grpc';

import type { SeededRandom } from '../../support/seeded-random.js';
import type { RpcTarget } from './fuzz.js';
import { damagedMessage, encode, type AnyMethod } from './messages.js';
import { JOB, type FuzzWorld } from './world.js';

/** Recorded messages of the operator's services, one of each method. */
export interface OperatorRecordings {
  readonly admin: Client;
  readonly ledger: Client;
  readonly enrolment: Client;
  readonly apply: ApplyRequest;
  readonly enroll: EnrollRequest;
  readonly renew: RenewRequest;
  /** PKCS #10, DER. */
  readonly csr: Buffer;
}

const methodOf = (service: object, name: string): AnyMethod =>
  (service as Record<string, AnyMethod>)[name] as AnyMethod;

/** A method of one message per call: each call sends one damaged copy of the recording. */
function simple(client: Client, service: object, name: string, recorded: object, title = name): RpcTarget {
  const method = methodOf(service, name);
  return {
    title,
    client,
    method,
    parallel: 8,
    draw: (random) => ({ messages: [damagedMessage(random, method, recorded)], damaged: 1 }),
  };
}

export function operatorTargets({
  admin,
  ledger,
  enrolment,
  apply,
  enroll,
  renew,
  csr,
}: OperatorRecordings): readonly RpcTarget[] {
  const job = { kind: 'FederatedJob', name: JOB };
  return [
    simple(enrolment, Enrolment.service, 'Enroll', enroll),
    simple(enrolment, Enrolment.service, 'GetChallenge', { agentId: renew.agentId }),
    simple(enrolment, Enrolment.service, 'Renew', renew),
    ...ledgerTargets(ledger, 'admin'),
    simple(admin, Admin.service, 'GetVersion', {}),
    simple(admin, Admin.service, 'GetObject', job),
    simple(admin, Admin.service, 'ListObjects', { kind: 'Site' }),
    simple(admin, Admin.service, 'DescribeObject', job),
    simple(admin, Admin.service, 'WatchObjects', { ...job, afterSeq: '3' }),
    simple(admin, Admin.service, 'StreamLogs', { subject: JOB, follow: true, tail: 10 }),
    simple(admin, Admin.service, 'FetchModelBlob', { model: JOB, version: 1, digest: '', offset: '0' }),
    { ...simple(admin, Admin.service, 'StreamBackup', {}), parallel: 2 },
    simple(admin, Admin.service, 'Apply', apply),
    simple(admin, Admin.service, 'ControlJob', { name: 'decoy', action: 'SUSPEND', reason: 'fuzz' }),
    simple(admin, Admin.service, 'DeleteObject', { kind: 'FederatedJob', name: 'decoy' }),
    simple(admin, Admin.service, 'CreateInvitation', {
      site: 'decoy',
      labels: { region: 'west' },
      ttlSeconds: 60,
      approve: false,
    }),
    simple(admin, Admin.service, 'ApproveSite', { site: 'decoy' }),
    simple(admin, Admin.service, 'UndoRollout', {
      model: 'decoy',
      rolloutId: `rol-${'0'.repeat(32)}`,
    }),
    simple(admin, Admin.service, 'RevokeSite', { site: 'decoy', reason: 'fuzz' }),
    simple(admin, Admin.service, 'CreateContext', { name: 'decoy', role: 'viewer', csr }),
    simple(admin, Admin.service, 'RevokeContext', { name: 'decoy' }),
    simple(admin, Admin.service, 'PublishRoster', {
      roster: Buffer.from('{"roster":{},"signatures":[]}'),
      root: Buffer.from('{"formatVersion":1,"keys":[],"name":"decoy","threshold":1}'),
      rotation: Buffer.alloc(0),
    }),
  ];
}

function ledgerTargets(client: Client, port: string): readonly RpcTarget[] {
  return [
    simple(client, Ledger.service, 'GetEntries', { start: '2', limit: 5 }, `GetEntries (${port})`),
    simple(client, Ledger.service, 'GetTreeHead', {}, `GetTreeHead (${port})`),
    simple(
      client,
      Ledger.service,
      'GetInclusionProof',
      { seq: '3', treeSize: '7' },
      `GetInclusionProof (${port})`,
    ),
    simple(
      client,
      Ledger.service,
      'GetConsistencyProof',
      { first: '3', second: '7' },
      `GetConsistencyProof (${port})`,
    ),
    simple(client, Ledger.service, 'GetCosignatures', {}, `GetCosignatures (${port})`),
  ];
}

export function fleetTargets(world: FuzzWorld): readonly RpcTarget[] {
  const { uploader, talker } = world;
  return [
    submitUpdate(world),
    connect(world),
    simple(uploader.fleet, Fleet.service, 'GetUploadStatus', {
      uploadId: formatId('upl', new Uint8Array(16)),
    }),
    fetchBlob(world),
    ...ledgerTargets(talker.ledger, 'fleet'),
  ];
}

/** Downloads of the base model of the round that is open. */
function fetchBlob(world: FuzzWorld): RpcTarget {
  const method = methodOf(Fleet.service, 'FetchBlob');
  const draw: RpcTarget['draw'] = (random) => {
    const { jobId, round, baseDigest } = world.round.opened;
    return {
      messages: [damagedMessage(random, method, { jobId, round, digest: baseDigest, offset: '0' })],
      damaged: 1,
    };
  };
  return { title: 'FetchBlob', client: world.uploader.fleet, method, parallel: 4, draw };
}

/** Rounds that damaged uploads wait for: a site whose update was refused is out until the next one. */
const MOST_WAITS = 40;

/** Uploads with one message damaged, repeated, left out, or out of its place. */
function submitUpdate(world: FuzzWorld): RpcTarget {
  const method = methodOf(Fleet.service, 'SubmitUpdate');
  const draw: RpcTarget['draw'] = (random) => {
    const recorded = world.upload(random.uint32());
    const messages = recorded.map((message) => encode(method, message));
    const at = random.below(messages.length);
    return {
      messages: disturbed(random, messages, at, damagedMessage(random, method, recorded[at] ?? {})),
      damaged: 1,
    };
  };
  let waits = MOST_WAITS;
  const refused = async (code: string): Promise<void> => {
    if (code !== 'UPDATE_DUPLICATE' || waits === 0) return;
    waits -= 1;
    await world.nextRound();
  };
  const side = { before: () => world.uploading(true), after: () => world.uploading(false) };
  return { title: 'SubmitUpdate', client: world.uploader.fleet, method, parallel: 2, draw, refused, ...side };
}

function disturbed(
  random: SeededRandom,
  messages: readonly Buffer[],
  at: number,
  damaged: Buffer,
): readonly Buffer[] {
  const one = messages[at] ?? Buffer.alloc(0);
  switch (random.below(8)) {
    case 0:
      return messages.toSpliced(at, 1);
    case 1:
      return messages.toSpliced(at, 0, one);
    case 2:
      return [...messages].reverse();
    default:
      return messages.with(at, damaged);
  }
}

/** Streams that begin with a correct hello, most of the time, and go on with damaged messages. */
function connect({ talker, round }: FuzzWorld): RpcTarget {
  const method = methodOf(Fleet.service, 'Connect');
  const { orderId, opened } = round;
  const { jobId } = opened;
  const later = [
    { ack: { orderId, accepted: false, code: 'POLICY_REFUSED', detail: 'no' } },
    { progress: { jobId, round: 1, percent: 40 } },
    { heartbeat: {} },
    { failure: { jobId, round: 1, code: 'TRAINING_FAILED', detail: 'no' } },
  ];
  const draw: RpcTarget['draw'] = (random) => {
    const hello = { hello: talker.hello() };
    if (random.chance(0.3)) return { messages: [damagedMessage(random, method, hello)], damaged: 1 };
    const damaged = [0, 1, 2].map(() => damagedMessage(random, method, random.pick(later)));
    return { messages: [encode(method, hello), ...damaged], damaged: damaged.length };
  };
  return { title: 'Connect', client: talker.fleet, method, parallel: 4, draw };
}
