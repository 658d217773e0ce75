import 'reflect-metadata';

import { webcrypto } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { isIP, type AddressInfo, type Socket } from 'node:net';
import { connect, createSecureContext, TLSSocket } from 'node:tls';

import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type Extension,
  type JsonGeneralName,
} from '@peculiar/x509';
import { SERVER_NAME } from '@tributary/proto/grpc';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 3_600_000;

/** What passed through one tunnel, decrypted: what the client sent, and what it got. */
export interface InterceptedTunnel {
  readonly sent: Buffer[];
  readonly received: Buffer[];
}

/**
 * What a client sent on a WebSocket, after its request, without the masks that clients put over their messages (RFC 6455,
 * 5.3). Empty where the conversation is another.
 */
export function unmasked({ sent }: InterceptedTunnel): Buffer {
  const bytes = Buffer.concat(sent);
  const bodies: Buffer[] = [];
  for (let at = bytes.indexOf('\r\n\r\n') + 4; at > 3 && at + 10 < bytes.length;) {
    const size = bytes.readUInt8(at + 1) & 0x7f;
    const head = size === 127 ? 10 : size === 126 ? 4 : 2;
    const length =
      size === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : size === 126 ? bytes.readUInt16BE(at + 2) : size;
    const mask = bytes.subarray(at + head, at + head + 4);
    const body = bytes.subarray(at + head + 4, at + head + 4 + length);
    bodies.push(Buffer.from(body.map((byte, index) => byte ^ (mask[index % 4] ?? 0))));
    at += head + 4 + length;
  }
  return Buffer.concat(bodies);
}

/** A proxy that opens TLS with an authority of its own, as corporate inspection does, and reads all that passes. */
export class InterceptingProxy {
  readonly tunnels: InterceptedTunnel[] = [];
  /** What becomes of the decrypted bytes that clients get; undefined leaves them as they are. */
  alter: ((bytes: Buffer) => Buffer) | undefined;
  readonly authorityPem: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #name: string;
  readonly #protocols: readonly string[];
  readonly #server: Server = createServer((_request, response) => response.writeHead(405).end());
  readonly #sockets = new Set<Socket | TLSSocket>();

  private constructor(
    name: string,
    keys: webcrypto.CryptoKeyPair,
    authorityPem: string,
    protocols: readonly string[],
  ) {
    this.#name = name;
    this.#keys = keys;
    this.authorityPem = authorityPem;
    this.#protocols = protocols;
    this.#server.on('connect', (request, client: Socket) => {
      this.#intercept(request.url ?? '', client).catch(() => client.destroy());
    });
  }

  /** `protocols` are those that it speaks inside TLS: most know HTTP/1.1 alone. */
  static async start(
    name: string,
    protocols: readonly string[] = ['h2', 'http/1.1'],
  ): Promise<InterceptingProxy> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const authority = await certificate(name, name, keys, keys, [
      new BasicConstraintsExtension(true, 1, true),
    ]);
    const proxy = new InterceptingProxy(name, keys, authority, protocols);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #intercept(target: string, client: Socket): Promise<void> {
    this.#keep(client);
    const [host = '', port = ''] = target.split(':');
    const context = await this.#contextFor(host);
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    const inner = new TLSSocket(client, {
      isServer: true,
      secureContext: context,
      ALPNProtocols: [...this.#protocols],
    });
    this.#keep(inner);
    inner.once('secure', () => {
      const protocol = inner.alpnProtocol;
      const outer = connect({
        host,
        port: Number(port),
        rejectUnauthorized: false,
        ...(typeof protocol === 'string' ? { ALPNProtocols: [protocol] } : {}),
      });
      this.#keep(outer);
      const tunnel: InterceptedTunnel = { sent: [], received: [] };
      this.tunnels.push(tunnel);
      inner.on('data', (bytes: Buffer) => {
        tunnel.sent.push(bytes);
        outer.write(bytes);
      });
      outer.on('data', (bytes: Buffer) => {
        tunnel.received.push(bytes);
        inner.write(this.alter?.(Buffer.from(bytes)) ?? bytes);
      });
      inner.on('close', () => outer.destroy());
      outer.on('close', () => inner.destroy());
    });
  }

  async #contextFor(host: string): Promise<ReturnType<typeof createSecureContext>> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const names: JsonGeneralName[] = [
      { type: isIP(host) === 0 ? 'dns' : 'ip', value: host },
      { type: 'dns', value: SERVER_NAME },
    ];
    const cert = await certificate(host, this.#name, keys, this.#keys, [
      new SubjectAlternativeNameExtension(names),
    ]);
    const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
    return createSecureContext({
      cert,
      key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
    });
  }

  #keep(socket: Socket | TLSSocket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

async function certificate(
  name: string,
  issuer: string,
  { publicKey }: webcrypto.CryptoKeyPair,
  { privateKey }: webcrypto.CryptoKeyPair,
  extensions: Extension[],
): Promise<string> {
  const now = Date.now();
  const made = await X509CertificateGenerator.create({
    ...{ subject: `CN=${name}`, issuer: `CN=${issuer}`, publicKey, signingKey: privateKey, extensions },
    serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(8)))
      .toString('hex')
      .replace(/^./, '1'),
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + DAY_MS),
    signingAlgorithm: ALGORITHM,
  });
  return made.toString('pem');
}
