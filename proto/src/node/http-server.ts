import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';

import { Crowd } from '../grpc/crowd.js';
import { LIMITS } from '../limits.js';

/** An HTTP server for small pages, not listening yet: whoever asks slowly, or for nothing more, keeps no connection. */
export function pageServer(answer: RequestListener): Server {
  const times = {
    requestTimeout: LIMITS.pageRequestMs,
    headersTimeout: LIMITS.pageRequestMs,
    keepAliveTimeout: LIMITS.pageRequestMs,
    connectionsCheckingInterval: LIMITS.pageRequestMs,
  };
  return createServer({ ...times, maxHeaderSize: LIMITS.httpHeaderBytes }, answer);
}

/** Bounds the connections of a server that listens on a port to `most`: those that ask for nothing keep nobody out. */
export function limitCallers(server: Server, most: number): Server {
  const crowd = new Crowd(server, most);
  return server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) =>
    crowd.heard(socket, response),
  );
}
