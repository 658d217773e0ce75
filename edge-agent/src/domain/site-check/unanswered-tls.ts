/** What became of a TLS handshake on a connection that came about: no answer, an end without one, or something else than TLS. */
export type TlsFault = 'Silent' | 'Cut' | 'NoTls';

interface Explained {
  readonly found: string;
  readonly fix: string;
}

/** Why nobody answers in TLS on the way to `address`, and what to do. `proxied`: the way leads through the proxy. */
export function unansweredTls(fault: TlsFault, address: string, proxied: boolean): Explained {
  return (proxied ? PROXIED : DIRECT)[fault](address);
}

type Words = Readonly<Record<TlsFault, (address: string) => Explained>>;

const PROXIED: Words = {
  Silent: (address) => ({
    found: `the proxy opened the tunnel to ${address}, and nothing comes back through it`,
    fix: `it accepts, and drops what follows: ask who runs it whether it reaches ${address} itself, and to let TLS to it pass after CONNECT`,
  }),
  Cut: (address) => ({
    found: `the proxy opened the tunnel to ${address}, and cut it when TLS began`,
    fix: `it refuses what it sees, or does not reach ${address} itself: ask who runs it what its log says of it`,
  }),
  NoTls: (address) => ({
    found: `the proxy opened the tunnel to ${address}, and what answers in it is no TLS`,
    fix: `it answers in the place of ${address}, often with a page: ask who runs it to let TLS to it pass`,
  }),
};

const DIRECT: Words = {
  Silent: (address) => ({
    found: `${address} takes the connection, and nobody answers in TLS`,
    fix: `something on the way accepts, and drops what follows: ask who runs the firewall to let TLS to ${address} pass`,
  }),
  Cut: (address) => ({
    found: `the connection to ${address} was cut when TLS began`,
    fix: 'check address and port; a firewall that looks at names in TLS cuts so too: ask who runs it to exempt this one',
  }),
  NoTls: (address) => ({
    found: `what answers at ${address} speaks no TLS`,
    fix: 'check address and port; a firewall that answers with a page looks so too',
  }),
};
