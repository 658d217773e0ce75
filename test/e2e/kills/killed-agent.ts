import { FleetChannel } from '@tributary/edge-agent/internal/adapters/grpc/fleet-channel.js';
import { SecureRecords } from '@tributary/edge-agent/internal/app/secure/secure-records.js';
import { SecureRounds } from '@tributary/edge-agent/internal/app/secure/secure-rounds.js';
import { roundRef } from '@tributary/edge-agent/internal/domain/round-key.js';
import type { UploadPart } from '@tributary/edge-agent/internal/ports.js';
import { runAgent } from '@tributary/edge-agent';

import { around, dieAt } from './kill-plan.js';

/** The agent, which dies where its plan says so. */
around(SecureRecords.prototype, 'answer', (original) => {
  return async function (this: SecureRecords, key, stage, request, make) {
    const { round } = roundRef(key);
    dieAt({ round, stage, point: 'before' });
    const answered = await original.call(this, key, stage, request, make);
    dieAt({ round, stage, point: 'durable' });
    return answered;
  };
});

let masked = 0;
around(SecureRounds.prototype, 'masking', (original) => {
  return function (this: SecureRounds, task, delta) {
    masked = task?.round.opened.round ?? 0;
    dieAt({ round: masked, stage: 'mask', point: 'before' });
    return original.call(this, task, delta);
  };
});

around(FleetChannel.prototype, 'submitStage', (original) => {
  return async function (this: FleetChannel, message) {
    await original.call(this, message);
    dieAt({ ...message, point: 'told' });
  };
});

around(FleetChannel.prototype, 'submitUpdate', (original) => {
  return async function (this: FleetChannel, parts, signal, jobId) {
    const receipt = await original.call(this, untilSealed(parts), signal, jobId);
    dieAt({ round: masked, stage: 'mask', point: 'told' });
    return receipt;
  };
});

/** The seal leaves once all of the envelope is in its file. */
async function* untilSealed(parts: AsyncIterable<UploadPart>): AsyncGenerator<UploadPart> {
  for await (const part of parts) {
    if (part.type === 'Seal') dieAt({ round: masked, stage: 'mask', point: 'durable' });
    yield part;
  }
}

process.exitCode = await runAgent(process.argv.slice(2));
