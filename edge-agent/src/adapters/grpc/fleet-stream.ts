import { LIMITS } from '@tributary/proto';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import {
  fromServiceError,
  type AgentMessage as AgentWire,
  type CoordinatorMessage__Output,
} from '@tributary/proto/grpc';

import type { CoordinatorMessage } from '../../coordinator-messages.js';
import type { AgentMessage, FleetStream } from '../../ports.js';
import { fromCoordinatorWire } from './messages.js';

/** The port over an open Connect call. */
export function openStream(
  call: ClientDuplexStream<AgentWire, CoordinatorMessage__Output>,
  encode: (message: AgentMessage) => AgentWire,
): FleetStream {
  // An error also ends the reading loop, which reports it; alone, this listener keeps it from ending the process.
  call.on('error', () => undefined);
  return {
    send: (message) => {
      if (call.destroyed || call.writableEnded) return;
      if (call.writableLength > LIMITS.unsentBytes) call.cancel();
      else call.write(encode(message));
    },
    messages: decode(call),
    close: () => {
      call.end();
      call.cancel();
    },
  };
}

async function* decode(
  call: ClientDuplexStream<AgentWire, CoordinatorMessage__Output>,
): AsyncGenerator<CoordinatorMessage, void, undefined> {
  try {
    for await (const wire of call as AsyncIterable<CoordinatorMessage__Output>)
      yield fromCoordinatorWire(wire);
  } catch (error) {
    throw fromServiceError(error);
  } finally {
    call.cancel();
  }
}
