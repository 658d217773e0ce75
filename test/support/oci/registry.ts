import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { blobPath, imageIndex, platformManifests, type Descriptor } from './layout.js';

export interface Registry {
  readonly port: number;
  /** Paths that were asked for. */
  readonly asked: readonly string[];
  readonly close: () => Promise<void>;
}

/** Serves one layout over HTTP for those who pull (OCI distribution specification), whatever repository and tag they name. */
export async function serveLayout(layout: string): Promise<Registry> {
  const image = await imageIndex(layout);
  const manifests = [image, ...(await platformManifests(layout))];
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    void answer(layout, manifests, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, asked, close };
}

async function answer(
  layout: string,
  manifests: readonly Descriptor[],
  { url = '', method }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const found = wanted(manifests, url);
  if (found === undefined) {
    response.writeHead(404).end();
    return;
  }
  const { digest, mediaType } = found;
  const path = blobPath(layout, digest);
  response.writeHead(200, {
    'content-type': mediaType,
    'content-length': (await stat(path)).size,
    'docker-content-digest': digest,
  });
  if (method === 'HEAD') response.end();
  else createReadStream(path).pipe(response);
}

/** What a path of the distribution specification names: any tag is the image. */
function wanted(
  manifests: readonly Descriptor[],
  url: string,
): Pick<Descriptor, 'digest' | 'mediaType'> | undefined {
  const [, kind, reference = ''] = /^\/v2\/.+\/(manifests|blobs)\/([^?]+)/.exec(url) ?? [];
  const isDigest = /^sha256:[0-9a-f]{64}$/.test(reference);
  if (kind === 'blobs')
    return isDigest ? { digest: reference, mediaType: 'application/octet-stream' } : undefined;
  if (kind === undefined) return undefined;
  return isDigest ? manifests.find(({ digest }) => digest === reference) : manifests[0];
}
