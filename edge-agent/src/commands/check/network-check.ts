import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { X509Certificate } from 'node:crypto';

import { digestOf, LIMITS, TributaryError, type TunnelEnd } from '@tributary/proto';

import { openSocket, type Proxy } from '../../adapters/tls/connect-tunnel.js';
import { openTunnel, type TunnelRoute } from '../../adapters/tunnel/outer-tls.js';
import { isVouched, lookAtServer, vouchingStore, type ServerLook } from '../../adapters/tls/server-look.js';
import { bypassesProxy, formatAddress, parseAddress, type Address } from '../../domain/address.js';
import {
  certificateLine,
  isOfFederation,
  type PresentedCertificate,
} from '../../domain/site-check/presented-certificate.js';
import { failedLine, okLine, type CheckLine } from '../../domain/site-check/check-line.js';
import { refusedTunnel } from '../../domain/site-check/refused-tunnel.js';
import { unansweredTls, type TlsFault } from '../../domain/site-check/unanswered-tls.js';
import { bounded, type Looked } from './bounded-look.js';

/** For one step of a look: two fit into it, so that what a silent step means is said before the look is cut short. */
const STEP_MS = 0.4 * LIMITS.siteCheckMs;

/** A listener of the coordinator. */
export interface Endpoint {
  /** `enrol` or `fleet`. */
  readonly name: TunnelEnd;
  /** host:port. */
  readonly address: string;
}

/** How the site gets out. */
export interface WayOut {
  /** With its password; rejects with CONFIG_INVALID where the file cannot be read. */
  readonly proxy: () => Promise<Proxy | undefined>;
  readonly noProxy: readonly string[];
  /** What caBundle holds. */
  readonly authorities: readonly X509Certificate[];
  /** PEM files with what this machine trusts. */
  readonly trustStores: readonly string[];
  /** Where the coordinator takes tunnels, and what vouches for the outside of them. */
  readonly tunnel: Pick<TunnelRoute, 'address' | 'bundle'> | undefined;
  /** SHA-256 of the federation's authority. */
  readonly caDigest: string;
  readonly now: () => number;
}

/** What the way to one listener came to. */
export interface EndpointLook extends Looked {
  readonly look: ServerLook | undefined;
}

/** Whether a name is resolved, each once. */
export async function nameChecks(hosts: readonly string[]): Promise<readonly Looked[]> {
  const names = [...new Set(hosts)].filter((host) => isIP(host) === 0);
  return Promise.all(names.map((name) => bounded(`dns/${name}`, () => nameCheck(name))));
}

async function nameCheck(name: string): Promise<CheckLine> {
  const check = `dns/${name}`;
  try {
    const found = await lookup(name, { all: true });
    return okLine(check, found.map(({ address }) => address).join(', '));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOTFOUND'
      ? failedLine(check, 'no name server knows this name', 'correct the name, or ask for a record of it')
      : failedLine(
          check,
          `the name server does not answer (${String(code)})`,
          'check /etc/resolv.conf; in a pod whether CoreDNS runs and NetworkPolicies let port 53 out',
        );
  }
}

/** Whether the proxy itself can be reached, whatever it thinks of us. */
export function proxyCheck(proxy: Address): Promise<Looked> {
  return bounded('proxy', async () => {
    try {
      (await openSocket(proxy, undefined, STEP_MS)).destroy();
      return okLine('proxy', `${formatAddress(proxy)} answers`);
    } catch (error) {
      const [cause, fix] = connectionFault(error);
      return failedLine('proxy', `${formatAddress(proxy)}: ${cause}`, `correct proxy.url; ${fix}`);
    }
  });
}

/** The proxy of one address, or undefined where it is reached directly. */
export async function proxyFor({ host }: Address, way: WayOut): Promise<Proxy | undefined> {
  return bypassesProxy(host, way.noProxy) ? undefined : way.proxy();
}

/** The way to one listener: the port, the tunnel through the proxy, and who presents a certificate at its end. */
export async function endpointCheck({ name, address }: Endpoint, way: WayOut): Promise<EndpointLook> {
  let look: ServerLook | undefined;
  const { lines, late } = await bounded(name, async () => {
    const target = parseAddress(address, name);
    const dialled = way.tunnel?.address ?? target;
    const proxy = await proxyFor(dialled, way);
    const through = `${address}${way.tunnel === undefined ? throughText(proxy) : ' in the tunnel'}`;
    try {
      const socket =
        way.tunnel === undefined
          ? await openSocket(target, proxy, STEP_MS)
          : await openTunnel(name, { ...way.tunnel, proxy }, STEP_MS);
      look = await lookAtServer(target, socket, STEP_MS, way.now);
    } catch (error) {
      return way.tunnel === undefined
        ? unreached(name, address, proxy, error)
        : failedLine(
            name,
            'not reached through the tunnel',
            'see the line of the tunnel; where that is ok, the coordinator does not answer behind it: ask the operator',
          );
    }
    return [
      okLine(name, `${through} answers`),
      certificateLine(`${name}/tls`, await certificateFacts(look, way), through),
    ];
  });
  return { lines, late, look };
}

const throughText = (proxy: Proxy | undefined): string =>
  proxy === undefined ? '' : ` through proxy ${formatAddress(proxy)}`;

/** Whether a tunnel opens, and who opens the TLS outside of it. */
export async function tunnelCheck(
  { address, bundle }: Pick<TunnelRoute, 'address' | 'bundle'>,
  way: WayOut,
): Promise<EndpointLook> {
  let look: ServerLook | undefined;
  const { lines, late } = await bounded('tunnel', async () => {
    const proxy = await proxyFor(address, way);
    const name = formatAddress(address);
    try {
      const socket = await openSocket(address, proxy, STEP_MS);
      look = await lookAtServer(address, socket, STEP_MS, way.now);
      (await openTunnel('enrol', { address, bundle, proxy }, LIMITS.siteCheckMs)).destroy();
      return okLine(
        'tunnel',
        `${name}${throughText(proxy)}; the TLS outside of it is opened by ${look.issuer}`,
      );
    } catch (error) {
      return look === undefined
        ? unreached('tunnel', name, proxy, error)
        : unopened(name, look.issuer, TributaryError.from(error));
    }
  });
  return { lines, late, look };
}

/** Somebody speaks TLS there, and the tunnel does not come about. */
function unopened(name: string, issuer: string, { code, message, cause }: TributaryError): CheckLine {
  if (code !== 'CA_MISMATCH')
    return failedLine(
      'tunnel',
      message,
      'ask who runs the proxy to let WebSockets to this address through (Squid: http_upgrade_request_protocols)',
    );
  const fault = (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  const [found, fix] = CERTIFICATE_FAULTS[fault] ?? [];
  if (found !== undefined)
    return failedLine(
      'tunnel',
      `the certificate at ${name}, which was issued by ${issuer}, ${found}`,
      fix ?? '',
    );
  if (isOfFederation(issuer))
    return failedLine(
      'tunnel',
      `nobody opens TLS to ${name}: the coordinator shows a certificate of its own federation (${issuer}), which caBundle does not name`,
      'reach it without a tunnel, or ask the operator for a certificate that this site trusts (tunnel.tlsSecret of the chart), or for the PEM of that authority for caBundle',
    );
  return failedLine(
    'tunnel',
    `TLS to ${name} is opened by ${issuer}, which this site does not trust (${fault})`,
    'name the authority of the inspection in caBundle: ask who runs the proxy for its PEM',
  );
}

const CERTIFICATE_FAULTS: Readonly<Partial<Record<string, readonly [found: string, fix: string]>>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'is for another name',
    'write in coordinator.tunnel the name that the operator serves tunnels under (advertise.tunnel of the chart); some inspections have certificates for names alone, and for no address',
  ],
  CERT_HAS_EXPIRED: [
    'has expired, or this machine is ahead',
    'see the line of the clock; where that is ok, ask whoever issued it to renew it',
  ],
  CERT_NOT_YET_VALID: [
    'begins in the future, or this machine is behind',
    'see the line of the clock; where that is ok, wait until it begins',
  ],
};

/**
 * The federation's own authority, where what was presented leads to it signature by signature; undefined where somebody else
 * answers. Anybody can append the certificate itself, which is public.
 */
export function authorityOf(
  { chain }: Pick<ServerLook, 'chain'>,
  { caDigest }: Pick<WayOut, 'caDigest'>,
): Uint8Array | undefined {
  const end = chain.findIndex((certificate) => digestOf(certificate) === caDigest);
  const links = chain.slice(0, end + 1).map((der) => new X509Certificate(der));
  const isLinked = links.every((certificate, index) => {
    const issuer = links[index + 1];
    return (
      issuer === undefined ||
      (issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))
    );
  });
  return isLinked ? chain[end] : undefined;
}

async function certificateFacts(look: ServerLook, way: WayOut): Promise<PresentedCertificate> {
  const { chain, issuer } = look;
  const ours = authorityOf(look, way) !== undefined;
  if (ours) return { ours, issuer, vouchedBy: undefined };
  if (isVouched(chain, way.authorities)) return { ours, issuer, vouchedBy: 'caBundle' };
  const file = await vouchingStore(chain, way.trustStores);
  return { ours, issuer, vouchedBy: file === undefined ? undefined : { file } };
}

function unreached(name: string, address: string, proxy: Proxy | undefined, error: unknown): CheckLine {
  const { status, unspoken, phase } = error instanceof TributaryError ? error.fields : {};
  if (typeof status === 'number') {
    const asked = unspoken === undefined ? undefined : String(unspoken);
    const { found, fix } = refusedTunnel(status, address, proxy?.username !== undefined, asked);
    return failedLine(name, found, fix);
  }
  if (phase === 'Tls') {
    const { found, fix } = unansweredTls(tlsFaultOf(error), address, proxy !== undefined);
    return failedLine(name, found, fix);
  }
  const [cause, fix] = connectionFault(error);
  if (proxy !== undefined && codeOf(error).startsWith('HPE_'))
    return failedLine(
      name,
      `what answers at ${formatAddress(proxy)} speaks no HTTP (${codeOf(error)})`,
      `correct proxy.url; ${NO_OTHER_PROXY}`,
    );
  if (proxy === undefined)
    return failedLine(
      name,
      `${address}: ${cause}`,
      cause === SILENT
        ? `a firewall drops it: ask for an outgoing rule to ${address}, or name the proxy to use in proxy.url`
        : fix,
    );
  return failedLine(
    name,
    `not reached: ${cause === SILENT ? WITHIN : cause} at the proxy to CONNECT ${address}`,
    `see the line of the proxy; where that is ok, ask who runs it to allow CONNECT to ${address}${codeOf(error) === 'ECONNRESET' ? `; ${NO_OTHER_PROXY}` : ''}`,
  );
}

function tlsFaultOf(error: unknown): TlsFault {
  const code = codeOf(error);
  if (code === 'ETIMEDOUT') return 'Silent';
  return code.startsWith('ERR_SSL') || code === 'EPROTO' ? 'NoTls' : 'Cut';
}

const SILENT = 'no answer';
const WITHIN = `${SILENT} within ${String(STEP_MS / 1_000)} s`;
const NO_OTHER_PROXY = 'a proxy that wants TLS itself (https://) or SOCKS cannot be used';
const DROPPED = 'a firewall drops it: ask for an outgoing rule to this address, or for the proxy to use';
const NO_ROUTE = 'check gateway and subnet of this machine; a firewall that refuses openly says so too';
const CONNECTION_FAULTS: Readonly<Record<string, readonly [cause: string, fix: string]>> = {
  ECONNREFUSED: ['nobody listens there', 'check address and port, and that the service runs'],
  EHOSTUNREACH: ['no route leads there', NO_ROUTE],
  ENETUNREACH: ['no route leads there', NO_ROUTE],
  ENOTFOUND: ['the name is not known', 'see the line of the name service'],
  EAI_AGAIN: ['the name server does not answer', 'see the line of the name service'],
  ETIMEDOUT: [SILENT, DROPPED],
  ECONNRESET: [
    'the connection was cut',
    'ask who runs the firewall; it may allow another port, 443 for example',
  ],
};

/** Cause and fix of a connection that did not come about; silence is what most firewalls answer with. */
function connectionFault(error: unknown): readonly [cause: string, fix: string] {
  const code = codeOf(error);
  return CONNECTION_FAULTS[code] ?? [code === '' ? SILENT : `no connection (${code})`, DROPPED];
}

function codeOf(error: unknown): string {
  const cause: unknown = error instanceof TributaryError ? error.cause : error;
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
}
