import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { LIMITS, TributaryError } from '@tributary/proto';
import { limitCallers, pageServer } from '@tributary/proto/node';
import type { Registry } from 'prom-client';

export interface HttpListener {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves GET /metrics in the Prometheus text format, and nothing else. Rejects with CONFIG_INVALID where the port is
 * taken.
 */
export async function serveMetrics(registry: Registry, host: string, port: number): Promise<HttpListener> {
  const server = pageServer((request, response) => {
    // A scrape that fails must not end the process; the scraper sees the status.
    answer(registry, request, response).catch(() => response.writeHead(500).end());
  });
  limitCallers(server, LIMITS.pageConnections);
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

async function answer(registry: Registry, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('GET /metrics\n');
    return;
  }
  const body = await registry.metrics();
  response.writeHead(200, { 'content-type': registry.contentType }).end(body);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new TributaryError(
          'CONFIG_INVALID',
          `metrics: cannot listen on ${host}:${String(port)}: ${cause.message}`,
          {
            hint: 'stop what holds the port, or pass --metrics-port',
          },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
}
