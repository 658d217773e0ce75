import { credentials } from '@grpc/grpc-js';
import { Admin, callServerStream, channelOptions } from '@tributary/proto/grpc';

/** The backup of the daemon behind a Unix socket. Rejects with UNAVAILABLE where none listens. */
export async function* streamBackupOf(socket: string): AsyncGenerator<Uint8Array, void, undefined> {
  const client = new Admin(`unix:${socket}`, credentials.createInsecure(), channelOptions());
  try {
    for await (const { data } of callServerStream(client, Admin.service.StreamBackup, {})) yield data;
  } finally {
    client.close();
  }
}
