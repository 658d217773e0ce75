import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import { LIMITS, TributaryError } from '@tributary/proto';

import type { BrokerConfig } from '../../broker-config.js';

/** What the files of a broker hold at the moment. */
export interface BrokerSecrets {
  readonly password: Buffer | undefined;
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

/** Reads them anew. Rejects with CONFIG_INVALID naming the field. */
export async function readSecrets(broker: BrokerConfig): Promise<BrokerSecrets> {
  const [password, ca, cert, key] = await Promise.all(
    (['passwordFile', 'caFile', 'certFile', 'keyFile'] as const).map((field) => readField(broker, field)),
  );
  return { password: password && withoutNewline(password), ca, cert, key };
}

/**
 * A connection without delay (RFC 896's algorithm costs 40 ms with delayed acknowledgements), encrypted where the broker
 * has TLS. Rejects with UNAVAILABLE or CONFIG_INVALID; after `signal` with SHUTTING_DOWN.
 */
export function openBrokerSocket(
  broker: BrokerConfig,
  secrets: BrokerSecrets,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = dial(broker, secrets);
    const opened = broker.tls ? 'secureConnect' : 'connect';
    const settle = (): void => {
      signal.removeEventListener('abort', stop);
      socket.off('error', failed).off('close', closed).off(opened, open).setTimeout(0).off('timeout', late);
    };
    const fail = (error: TributaryError): void => {
      settle();
      reject(error);
      // What else the dying socket says is of no interest, but must find a listener.
      socket.on('error', () => undefined).destroy();
    };
    const failed = (cause: Error): void => fail(unreachable(broker, faultText(cause), cause));
    const closed = (): void => fail(unreachable(broker, 'the connection was closed'));
    const late = (): void => fail(unreachable(broker, 'timed out'));
    const stop = (): void => fail(new TributaryError('SHUTTING_DOWN', `broker ${broker.name}: closed`));
    const open = (): void => {
      settle();
      resolve(socket.setNoDelay(true));
    };
    socket.setTimeout(LIMITS.handshakeMs).on('timeout', late);
    socket.on('error', failed).on('close', closed).on(opened, open);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

function dial(broker: BrokerConfig, { ca, cert, key }: BrokerSecrets): Socket {
  const { host, port } = broker;
  if (!broker.tls) return connectTcp({ host, port, noDelay: true });
  try {
    return connectTls({
      host,
      port,
      minVersion: 'TLSv1.2',
      ...(isIP(host) === 0 && { servername: host }),
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    });
  } catch (cause) {
    throw new TributaryError(
      'CONFIG_INVALID',
      `broker ${broker.name}: caFile, certFile or keyFile is not PEM, or key and certificate do not belong together`,
      { cause, fields: { broker: broker.name } },
    );
  }
}

async function readField(
  broker: BrokerConfig,
  field: 'passwordFile' | 'caFile' | 'certFile' | 'keyFile',
): Promise<Buffer | undefined> {
  const path = broker[field];
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (cause) {
    throw new TributaryError(
      'CONFIG_INVALID',
      `broker ${broker.name}: ${field} ${path} cannot be read (${faultText(cause)})`,
      { cause, fields: { broker: broker.name, field } },
    );
  }
}

function withoutNewline(text: Buffer): Buffer {
  const end = text.at(-1) === 0x0a ? (text.at(-2) === 0x0d ? -2 : -1) : undefined;
  return text.subarray(0, end);
}

/** Node's code of a fault; codes are fixed words, messages may repeat what the peer sent. */
export const faultText = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown fault';

export function unreachable(broker: BrokerConfig, why: string, cause?: unknown): TributaryError {
  return new TributaryError('UNAVAILABLE', `broker ${broker.name} cannot be reached: ${why}`, {
    ...(cause !== undefined && { cause }),
    fields: { broker: broker.name },
  });
}
