import { credentials } from '@grpc/grpc-js';
import {
  Admin,
  callServerStream,
  callUnary,
  channelOptions,
  type AdminClient,
  type CreateContextRequest,
  type CreateContextResponse__Output,
} from '@tributary/proto/grpc';

/** The backup of the daemon behind a Unix socket. Rejects with UNAVAILABLE where none listens. */
export async function* streamBackupOf(socket: string): AsyncGenerator<Uint8Array, void, undefined> {
  const client = connect(socket);
  try {
    for await (const { data } of callServerStream(client, Admin.service.StreamBackup, {})) yield data;
  } finally {
    client.close();
  }
}

/** Has the daemon behind a Unix socket certify an operator's key. Rejects with UNAVAILABLE where none listens. */
export async function createContextThrough(
  socket: string,
  request: CreateContextRequest,
): Promise<CreateContextResponse__Output> {
  const client = connect(socket);
  try {
    return await callUnary(client, Admin.service.CreateContext, request);
  } finally {
    client.close();
  }
}

/** Only the daemon's own user can open the socket: it asks for no certificate. */
function connect(socket: string): AdminClient {
  return new Admin(`unix:${socket}`, credentials.createInsecure(), channelOptions());
}
