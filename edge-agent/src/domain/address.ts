import { TributaryError } from '@tributary/proto';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Splits "host:port" or "[ipv6]:port"; throws INVALID_ARGUMENT naming `field`. */
export function parseAddress(text: string, field: string): Address {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new TributaryError('INVALID_ARGUMENT', `${field}: an address has the form host:port`, {
      fields: { field },
      hint: 'give host and port, such as hub.example.org:7443 or [2001:db8::1]:7443',
    });
  }
  return { host, port };
}

/** "host:port", with brackets around IPv6. */
export const formatAddress = ({ host, port }: Address): string =>
  `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;

/**
 * True where `host` is to be reached without the proxy: an entry is "*", the host itself, or a domain of which the host
 * is part ("example.org", ".example.org" and "*.example.org" cover "a.example.org"; an address may have its brackets).
 */
export function bypassesProxy(host: string, noProxy: readonly string[]): boolean {
  const name = host.toLowerCase();
  return noProxy.some((given) => {
    const entry = given.toLowerCase().replace(/^\[(.*)\]$/, '$1');
    if (entry === '*') return true;
    const bare = entry.replace(/^\*?\./, '');
    return name === bare || name.endsWith(`.${bare}`);
  });
}
