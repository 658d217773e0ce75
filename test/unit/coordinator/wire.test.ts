import assert from 'node:assert/strict';

import {
  fromAgentMessage,
  fromFetchBlob,
  fromHello,
  fromUploadMessage,
  toOrderMessage,
} from '@tributary/coordinator/internal/adapters/grpc/wire/fleet.js';
import { fromEnroll, fromRenew } from '@tributary/coordinator/internal/adapters/grpc/wire/enrolment.js';
import {
  fromApply,
  fromContext,
  fromControl,
  fromInvitation,
  fromKind,
  fromModelBlob,
  fromPublishRoster,
  fromStreamLogs,
  fromWatch,
} from '@tributary/coordinator/internal/adapters/grpc/wire/admin.js';
import {
  fromStageMessage,
  fromStageRequest,
} from '@tributary/coordinator/internal/adapters/grpc/wire/stages.js';
import { fromGetEntries } from '@tributary/coordinator/internal/adapters/grpc/wire/ledger.js';
import {
  requireSafeInteger,
  requireText,
  requireUint64,
} from '@tributary/coordinator/internal/adapters/grpc/wire/fields.js';
import { LIMITS, TributaryError } from '@tributary/proto';
import { Admin, Enrolment, Fleet, type AgentMessage } from '@tributary/proto/grpc';
import fc from 'fast-check';

/** What a mapping may end with: a value, or a refusal of the caller; anything else is a fault of ours. */
function mapsOrRefuses(map: () => unknown): void {
  try {
    map();
  } catch (error) {
    assert.ok(error instanceof TributaryError, String(error));
    assert.ok(['INVALID_ARGUMENT', 'VERSION_UNSUPPORTED', 'LIMIT_EXCEEDED'].includes(error.code), error.code);
  }
}

interface Decodable {
  readonly requestDeserialize: (bytes: Buffer) => unknown;
}

/** Bytes off the wire through the decoder of a method and then its mapping. */
function decodes(method: Decodable, map: (message: never) => unknown): void {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      let message: unknown;
      try {
        message = method.requestDeserialize(Buffer.from(bytes));
      } catch {
        return;
      }
      mapsOrRefuses(() => map(message as never));
    }),
    { numRuns: 3_000 },
  );
}

describe('mappings from the wire', () => {
  it('never fail in another way than by naming a field, whatever the bytes', () => {
    decodes(Fleet.service.Connect, fromAgentMessage);
    decodes(Fleet.service.FetchBlob, fromFetchBlob);
    decodes(Fleet.service.SubmitUpdate, fromUploadMessage);
    decodes(Fleet.service.SubmitStage, fromStageMessage);
    decodes(Fleet.service.GetStage, fromStageRequest);
    decodes(Enrolment.service.Enroll, fromEnroll);
    decodes(Enrolment.service.Renew, fromRenew);
    decodes(Admin.service.Apply, fromApply);
    decodes(Admin.service.ControlJob, fromControl);
    decodes(Admin.service.CreateInvitation, fromInvitation);
    decodes(Admin.service.CreateContext, fromContext);
    decodes(Admin.service.FetchModelBlob, fromModelBlob);
    decodes(Admin.service.PublishRoster, fromPublishRoster);
    decodes(Admin.service.StreamLogs, fromStreamLogs);
    decodes(Admin.service.WatchObjects, fromWatch);
  });

  it('never fail in another way for messages that are nearly right', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 700 }),
      fc.constant(`job-${'0'.repeat(32)}`),
      fc.constant(''),
    );
    const bytes = fc.oneof(
      ...[0, 5, 32, 64].map((size) =>
        fc.uint8Array({ minLength: size, maxLength: size }).map((raw) => Buffer.from(raw)),
      ),
    );
    const round = fc.integer({ min: 0, max: 0xffff_ffff });
    const message: fc.Arbitrary<AgentMessage> = fc.oneof(
      fc.record({
        hello: fc.record({
          versions: fc.array(text, { maxLength: 20 }),
          software: text,
          sessionEpoch: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
          spendLogHead: bytes,
          treeHead: fc.record({
            logId: text,
            treeSize: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
            rootHash: bytes,
            time: text,
            signature: bytes,
          }),
          backend: text,
          datasets: fc.array(text, { maxLength: 70 }),
          signature: bytes,
        }),
      }),
      fc.record({ ack: fc.record({ orderId: text, accepted: fc.boolean(), code: text, detail: text }) }),
      fc.record({ progress: fc.record({ jobId: text, round, percent: round }) }),
      fc.record({ failure: fc.record({ jobId: text, round, code: text, detail: text }) }),
    );
    const { requestSerialize, requestDeserialize } = Fleet.service.Connect;
    fc.assert(
      fc.property(message, (written) => {
        const read = requestDeserialize(requestSerialize(written));
        mapsOrRefuses(() => (read.hello ? fromHello(read.hello) : fromAgentMessage(read)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('take what is right', () => {
    const decode = (message: AgentMessage): ReturnType<typeof fromAgentMessage> =>
      fromAgentMessage(
        Fleet.service.Connect.requestDeserialize(Fleet.service.Connect.requestSerialize(message)),
      );
    const jobId = `job-${'a'.repeat(32)}`;
    assert.deepEqual(decode({ heartbeat: {} }), { type: 'Heartbeat', serving: [], cosignature: undefined });
    assert.deepEqual(decode({ heartbeat: { serving: [{ model: 'loans', version: 2 }] } }), {
      type: 'Heartbeat',
      cosignature: undefined,
      serving: [{ model: 'loans', version: 2 }],
    });
    assert.deepEqual(decode({ progress: { jobId, round: 4, percent: 100 } }), {
      type: 'Progress',
      progress: { jobId, round: 4, percent: 100 },
    });
    assert.deepEqual(
      decode({ failure: { jobId, round: 4, attempt: 2, code: 'TRAINING_FAILED', detail: 'x' } }),
      {
        type: 'Failure',
        failure: { jobId, round: 4, attempt: 2, code: 'TRAINING_FAILED', detail: 'x' },
      },
    );
    const orderId = `ord-${'b'.repeat(32)}`;
    assert.deepEqual(decode({ ack: { orderId, accepted: true, code: 'ignored' } }), {
      type: 'Ack',
      ack: { orderId, accepted: true, code: '', detail: '' },
    });
  });

  it('take a message of a stage whole, and refuse what has no place in one', () => {
    const agent = (digit: string): string => `agt-${digit.repeat(32)}`;
    const right = {
      jobId: `job-${'a'.repeat(32)}`,
      round: 2,
      attempt: 1,
      stage: 'share',
      payload: Buffer.of(1, 2),
      signature: Buffer.alloc(64, 7),
      attachments: [
        { agentId: agent('1'), data: Buffer.of(3) },
        { agentId: agent('2'), data: Buffer.of(4) },
      ],
    };
    const { SubmitStage } = Fleet.service;
    const read = (changes: Partial<typeof right>) =>
      fromStageMessage(
        SubmitStage.requestDeserialize(SubmitStage.requestSerialize({ ...right, ...changes })),
      );
    const { statement, ...ref } = read({});
    assert.deepEqual(ref, { jobId: right.jobId, round: 2, attempt: 1, stage: 'share' });
    assert.deepEqual(statement.payload, right.payload);
    assert.deepEqual(
      [...statement.attachments],
      right.attachments.map(({ agentId, data }) => [agentId, data]),
    );
    const many = Array.from({ length: LIMITS.stageAttachments + 1 }, (_, index) => ({
      agentId: `agt-${index.toString(16).padStart(32, '0')}`,
      data: Buffer.of(1),
    }));
    const wrong: readonly (readonly [field: string, changes: Partial<typeof right>])[] = [
      ['jobId', { jobId: 'loans' }],
      ['stage', { stage: '../x' }],
      ['payload', { payload: Buffer.alloc(0) }],
      ['payload', { payload: Buffer.alloc(LIMITS.stagePayloadBytes + 1) }],
      ['signature', { signature: Buffer.alloc(63) }],
      ['attachments', { attachments: many }],
      ['attachments', { attachments: [...right.attachments, { agentId: agent('1'), data: Buffer.of(9) }] }],
      ['attachments.agentId', { attachments: [{ agentId: 'west', data: Buffer.of(1) }] }],
      ['attachments.data', { attachments: [{ agentId: agent('1'), data: Buffer.alloc(0) }] }],
      [
        'attachments.data',
        { attachments: [{ agentId: agent('1'), data: Buffer.alloc(LIMITS.stageAttachmentBytes + 1) }] },
      ],
    ];
    for (const [field, changes] of wrong)
      assert.throws(() => read(changes), { code: 'INVALID_ARGUMENT', fields: { field } }, field);
  });

  it('bound what an order says of the time left to 32 bits', () => {
    const treeHead = {
      logId: '',
      treeSize: 1,
      rootHash: new Uint8Array(32),
      time: '',
      signature: new Uint8Array(64),
    };
    const left = (remainingMs: number): number | undefined => {
      const { order } = toOrderMessage({ orderId: 'o', treeHead, entries: [], remainingMs });
      return order?.remainingMs;
    };
    assert.deepEqual([left(-5), left(1.7), left(1e15)], [0, 1, 0xffff_ffff]);
  });

  it('read 64-bit numbers exactly, or refuse them', () => {
    assert.equal(requireSafeInteger('9007199254740991', 'n'), Number.MAX_SAFE_INTEGER);
    assert.throws(() => requireSafeInteger('9007199254740992', 'n'), { code: 'INVALID_ARGUMENT' });
    assert.equal(requireUint64('18446744073709551615', 'n'), 2n ** 64n - 1n);
    for (const text of ['-1', '1.5', '', '1e3', ' 1']) {
      assert.throws(() => requireSafeInteger(text, 'n'), { code: 'INVALID_ARGUMENT' }, text);
      assert.throws(() => requireUint64(text, 'n'), { code: 'INVALID_ARGUMENT' }, text);
    }
  });

  it('keep control characters out of logs and terminals', () => {
    for (const text of ['a\nb', '\u001b[2J', 'a\u0000', 'a\u009b'])
      assert.throws(() => requireText(text, 't'), { code: 'INVALID_ARGUMENT' });
    assert.equal(requireText('Zürich, 東京', 't'), 'Zürich, 東京');
    assert.equal(requireText('\ud800', 't'), '\ufffd');
    assert.equal(requireText('a\u202egnp.exe\u2066b', 't'), 'a gnp.exe b');
  });

  it('know kinds by their short names', () => {
    assert.deepEqual(['fj', 'job', 'FederatedJob', 'SITES', 'model'].map(fromKind), [
      'FederatedJob',
      'FederatedJob',
      'FederatedJob',
      'Site',
      'Model',
    ]);
    for (const kind of ['', 'pod', '__proto__', 'constructor'])
      assert.throws(() => fromKind(kind), { code: 'INVALID_ARGUMENT' });
  });

  it('keep a reading of the ledger within its size and the limit', () => {
    assert.deepEqual(fromGetEntries({ start: '3', limit: 0 }, 10), { start: 3, end: 10 });
    assert.deepEqual(fromGetEntries({ start: '3', limit: 2 }, 10), { start: 3, end: 5 });
    assert.deepEqual(fromGetEntries({ start: '0', limit: 0xffff_ffff }, 1e9), {
      start: 0,
      end: LIMITS.entriesPerCall,
    });
    assert.deepEqual(fromGetEntries({ start: '10', limit: 0 }, 10), { start: 10, end: 10 });
    assert.throws(() => fromGetEntries({ start: '11', limit: 0 }, 10), { code: 'INVALID_ARGUMENT' });
  });
});
