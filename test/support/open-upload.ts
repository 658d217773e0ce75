import { fromServiceError } from '@tributary/proto/grpc';

import type { FleetPeer } from './fleet-peer.js';

export interface OpenUpload {
  readonly stream: ReturnType<FleetPeer['fleet']['SubmitUpdate']>;
  /** What the call ends with. */
  readonly failure: Promise<Error>;
}

/** Begins an upload that the test writes itself. */
export function openUpload(peer: FleetPeer): OpenUpload {
  let tell: (error: Error) => void = () => undefined;
  const failure = new Promise<Error>((resolve) => {
    tell = resolve;
  });
  const stream = peer.fleet.SubmitUpdate((error) => {
    tell(fromServiceError(error));
  });
  stream.on('error', () => undefined);
  return { stream, failure };
}
