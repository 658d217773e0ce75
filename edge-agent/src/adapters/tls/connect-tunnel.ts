import { request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';

import { LIMITS, TributaryError } from '@tributary/proto';

import { formatAddress, type Address } from '../../domain/address.js';
import { challengeSchemes, unspokenSchemes } from '../../domain/site-check/proxy-challenge.js';

/** An HTTP proxy as it is used for one connection. */
export interface Proxy extends Address {
  readonly username?: string;
  readonly password?: string;
}

/** "user:password", or undefined where the proxy asks for none. */
export function proxyCredentials({ username, password }: Proxy): string | undefined {
  return username === undefined ? undefined : `${username}:${password ?? ''}`;
}

/** A TCP connection to `target`, through an HTTP CONNECT tunnel (RFC 9110, 9.3.6) where a proxy is given. */
export function openSocket(
  target: Address,
  proxy: Proxy | undefined,
  timeoutMs: number = LIMITS.unaryDeadlineMs,
): Promise<Socket> {
  return proxy === undefined ? openDirect(target, timeoutMs) : openTunnel(target, proxy, timeoutMs);
}

function openDirect(target: Address, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(target);
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('timed out')));
    socket.once('connect', () => {
      socket.setTimeout(0);
      resolve(socket);
    });
    socket.once('error', (cause) => {
      reject(
        new TributaryError('UNAVAILABLE', `${formatAddress(target)} cannot be reached: ${cause.message}`, {
          cause,
        }),
      );
    });
  });
}

function openTunnel(target: Address, proxy: Proxy, timeoutMs: number): Promise<Socket> {
  const path = formatAddress(target);
  const credentials = proxyCredentials(proxy);
  const authorization =
    credentials === undefined
      ? {}
      : { 'Proxy-Authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
  const name = `proxy ${formatAddress(proxy)}`;
  return new Promise((resolve, reject) => {
    const call = request({
      host: proxy.host,
      port: proxy.port,
      method: 'CONNECT',
      path,
      headers: { Host: path, ...authorization },
    });
    call.setTimeout(timeoutMs, () => call.destroy(new Error('timed out')));
    call.once('connect', (response, socket, head) => {
      // Any success opens it.
      if (Math.trunc((response.statusCode ?? 0) / 100) === 2) {
        socket.setTimeout(0);
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(refused(name, path, response));
    });
    // A proxy that answers CONNECT like any request has refused it.
    call.once('response', (response) => {
      response.resume();
      reject(refused(name, path, response));
    });
    call.once('error', (cause) => {
      reject(
        new TributaryError('UNAVAILABLE', `${name} cannot be reached: ${cause.message}`, {
          cause,
          fields: { proxy: formatAddress(proxy) },
        }),
      );
    });
    call.end();
  });
}

function refused(
  name: string,
  path: string,
  { statusCode: status = 0, headers }: IncomingMessage,
): TributaryError {
  const unspoken = unspokenSchemes(challengeSchemes(headers['proxy-authenticate']));
  const fix = refusalFix(status, unspoken);
  return new TributaryError(
    'UNAVAILABLE',
    `${name} refused the tunnel to ${path} with status ${String(status)}; ${fix}`,
    {
      hint: fix,
      fields: { status, ...(unspoken !== undefined && { unspoken }) },
    },
  );
}

function refusalFix(status: number, unspoken: string | undefined): string {
  if (status !== 407) return 'ask who runs it to allow CONNECT to this address';
  return unspoken === undefined
    ? 'check proxy.username and proxy.passwordFile'
    : `it takes ${unspoken} and no Basic: name a gateway that logs in there, such as cntlm or px, in proxy.url`;
}
