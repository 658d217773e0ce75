import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import { formatId, parseFederatedJob, type ErrorCode, type JsonObject } from '@tributary/proto';
import { Admin, channelOptions, Enrolment, Fleet, callUnary, type Method } from '@tributary/proto/grpc';
import { tlsKeyMaker } from '@tributary/edge-agent/internal/adapters/tls/tls-keys.js';

import { call, enrolmentClient, localOptions, operatorTls } from '../../support/channels.js';
import { certifiedTls, drawPeerKeys, enrolRequest, FleetPeer } from '../../support/fleet-peer.js';
import { trialJob } from '../../support/trial-job.js';
import { codeOf, type Provocations, type RefusalWorld } from './world.js';

const statusOf = (peer: FleetPeer, uploadId = formatId('upl', new Uint8Array(16))): Promise<unknown> =>
  call(peer.fleet, Fleet.service, 'GetUploadStatus', { uploadId });

const apply = ({ operator }: RefusalWorld, document: unknown): Promise<unknown> =>
  call(operator.admin, Admin.service, 'Apply', operator.applyRequest(document));

/** A job whose sites do not exist: it waits until something ends it. */
const waiting = (name: string, parts: Parameters<typeof trialJob>[1] = {}): ReturnType<typeof trialJob> =>
  trialJob(name, { siteSelector: { matchLabels: { pool: 'nobody' } }, ...parts });

/** What callers of every service are refused with. */
export const REQUEST_PROVOCATIONS: Provocations = {
  INVALID_ARGUMENT: {
    how: 'an upload id of the wrong form',
    provoke: ({ outsider }) => codeOf(statusOf(outsider, 'upl-1')),
  },
  DOCUMENT_INVALID: {
    how: 'a job with an unknown field',
    provoke: (world) =>
      codeOf(apply(world, { ...parsed('invalid'), spec: { ...parsed('invalid').spec, epochs: 3 } })),
  },
  DOCUMENT_UNSUPPORTED: {
    how: 'a job that asks for differential privacy',
    provoke: (world) =>
      codeOf(
        apply(world, {
          ...parsed('noisy'),
          spec: { ...parsed('noisy').spec, privacy: { differentialPrivacy: { epsilon: 1 } } },
        }),
      ),
  },
  IMMUTABLE_FIELD: {
    how: 'the same job with another number of rounds',
    provoke: async (world) => {
      await apply(world, parseFederatedJob(waiting('fixed', { suspend: true })));
      return codeOf(apply(world, parseFederatedJob(waiting('fixed', { suspend: true, rounds: 7 }))));
    },
  },
  NOT_FOUND: {
    how: 'a job that does not exist',
    provoke: ({ operator }) =>
      codeOf(call(operator.admin, Admin.service, 'GetObject', { kind: 'FederatedJob', name: 'nothing' })),
  },
  ALREADY_EXISTS: {
    how: 'a context of a name that is taken',
    provoke: async ({ operator }) => {
      const csr = Buffer.from((await tlsKeyMaker.create()).csr);
      return codeOf(
        call(operator.admin, Admin.service, 'CreateContext', { name: 'admin', role: 'viewer', csr }),
      );
    },
  },
  CONFLICT: {
    how: 'the deletion of a site',
    provoke: ({ operator }) =>
      codeOf(call(operator.admin, Admin.service, 'DeleteObject', { kind: 'Site', name: 'outsider' })),
  },
  UNAUTHENTICATED: {
    how: "an operator's certificate on the fleet port",
    provoke: async ({ federation }) => {
      const client = new Fleet(
        (await federation.addresses()).fleet,
        await operatorTls(federation),
        localOptions(),
      );
      return codeOf(call(client, Fleet.service, 'GetUploadStatus', { uploadId: '' })).finally(() =>
        client.close(),
      );
    },
  },
  PERMISSION_DENIED: {
    how: 'a viewer submits a job',
    provoke: async (world) => {
      const client = new Admin(
        (await world.federation.addresses()).admin,
        await viewerTls(world),
        localOptions(),
      );
      const request = world.operator.applyRequest(parsed('denied'));
      return codeOf(call(client, Admin.service, 'Apply', request)).finally(() => client.close());
    },
  },
  TOKEN_INVALID: {
    how: 'a join token that was never issued',
    provoke: async (world) =>
      codeOf(
        enrolWith(world, {
          ...(await world.operator.invite('token-invalid')),
          tokenId: formatId('tok', new Uint8Array(16)),
        }),
      ),
  },
  TOKEN_EXPIRED: {
    how: 'a join token of one second, two seconds later',
    provoke: async (world) => {
      const token = await world.operator.invite('token-expired', { ttlSeconds: 1 });
      await sleep(1_500);
      return codeOf(enrolWith(world, token));
    },
  },
  TOKEN_USED: {
    how: 'a join token with a second identity key',
    provoke: async (world) => {
      const token = await world.operator.invite('token-used');
      await enrolWith(world, token);
      return codeOf(enrolWith(world, token));
    },
  },
  VERSION_UNSUPPORTED: {
    how: 'an agent that speaks only a future wire version',
    provoke: async (world) => {
      const client = await enrolmentClient(world.federation);
      const request = enrolRequest(await world.operator.invite('future'), await drawPeerKeys());
      return codeOf(call(client, Enrolment.service, 'Enroll', { ...request, versions: ['9.0'] })).finally(
        () => client.close(),
      );
    },
  },
  AGENT_NOT_APPROVED: {
    how: 'a site that has joined asks for an upload before it was approved',
    provoke: async ({ federation, operator }) => {
      const peer = await FleetPeer.enrol(
        federation,
        await operator.invite('pending', { approve: false }),
        await drawPeerKeys(),
      );
      return codeOf(statusOf(peer)).finally(() => peer.close());
    },
  },
  AGENT_REVOKED: {
    how: 'a revoked agent renews its certificate',
    provoke: async (world) => {
      const peer = await world.join('revoked');
      await call(world.operator.admin, Admin.service, 'RevokeSite', { site: 'revoked', reason: 'test' });
      const client = await enrolmentClient(world.federation);
      return codeOf(call(client, Enrolment.service, 'GetChallenge', { agentId: peer.agentId })).finally(() =>
        client.close(),
      );
    },
  },
  AGENT_FENCED: {
    how: 'a process of an agent connects after a newer one',
    provoke: async (world) => {
      const peer = await world.join('fenced');
      await peer.connect(peer.hello({ sessionEpoch: '5' })).welcome();
      const ended = await peer.connect(peer.hello({ sessionEpoch: '4' })).end();
      return codeOf(ended === 'closed' ? Promise.resolve() : Promise.reject(ended));
    },
  },
  OVERLOADED: {
    how: 'a third upload of one agent at the same time',
    provoke: async ({ outsider }) => {
      const uploads = [outsider.upload(), outsider.upload(), outsider.upload()];
      const code = await codeOf(Promise.race(uploads.map(({ receipt }) => receipt)));
      for (const upload of uploads) upload.cancel();
      return code;
    },
  },
  LIMIT_EXCEEDED: {
    how: 'a message of more than 1 MiB',
    provoke: async ({ federation }) => {
      const options = localOptions({ 'grpc.max_send_message_length': -1 });
      const client = new Admin((await federation.addresses()).admin, await operatorTls(federation), options);
      const request = { kind: 'FederatedJob', name: 'x'.repeat(2 ** 21) };
      return codeOf(call(client, Admin.service, 'GetObject', request)).finally(() => client.close());
    },
  },
  JOB_CANCELLED: {
    how: 'a queued job is cancelled',
    provoke: async (world) => {
      await world.operator.apply(waiting('cancelled', { suspend: true }));
      await call(world.operator.admin, Admin.service, 'ControlJob', {
        name: 'cancelled',
        action: 'CANCEL',
        reason: 'test',
      });
      return failureOf(await world.operator.event('cancelled', 'job.failed'));
    },
  },
  JOB_DEADLINE: {
    how: 'a job whose sites never come runs into its deadline',
    provoke: async (world) => {
      await world.operator.apply(waiting('overdue', { activeDeadlineSeconds: 1 }));
      return failureOf(await world.operator.event('overdue', 'job.failed'));
    },
  },
  DEADLINE_EXCEEDED: { how: 'a server that never answers', provoke: unanswered },
};

export const failureOf = (body: JsonObject): ErrorCode => body['code'] as ErrorCode;

const parsed = (name: string): ReturnType<typeof parseFederatedJob> => parseFederatedJob(trialJob(name));

async function enrolWith(
  world: RefusalWorld,
  token: Awaited<ReturnType<RefusalWorld['operator']['invite']>>,
): Promise<void> {
  (await FleetPeer.enrol(world.federation, token, await drawPeerKeys())).close();
}

/** A certificate of a new context that may only read. */
async function viewerTls({ operator }: RefusalWorld): Promise<ChannelCredentials> {
  const { privateKey, csr } = await tlsKeyMaker.create();
  const issued = await call(operator.admin, Admin.service, 'CreateContext', {
    name: 'reader',
    role: 'viewer',
    csr: Buffer.from(csr),
  });
  return certifiedTls(issued.caCertificate, issued.certificate, privateKey);
}

async function unanswered(): Promise<ErrorCode> {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const client = new Admin(`127.0.0.1:${String(port)}`, credentials.createInsecure(), channelOptions());
  const method = Admin.service.GetVersion as unknown as Method<object, object>;
  const code = await codeOf(callUnary(client, method, {}, { deadlineMs: 300 }));
  client.close();
  silent.close();
  return code;
}
