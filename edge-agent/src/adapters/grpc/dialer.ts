import {
  credentials,
  logVerbosity,
  setLogVerbosity,
  type ChannelCredentials,
  type ChannelOptions,
} from '@grpc/grpc-js';
import type { TunnelEnd } from '@tributary/proto';
import { channelOptions, Enrolment, Fleet, Ledger, serverNameOptions } from '@tributary/proto/grpc';

import { bypassesProxy, formatAddress, parseAddress, type Address } from '../../domain/address.js';
import type { EgressMeter } from '../../egress-ports.js';
import type { ChannelIdentity, Dialer, EnrolmentClient, FleetClient } from '../../ports.js';
import { openSocket, proxyCredentials, type Proxy } from '../tls/connect-tunnel.js';
import type { SocketMeter } from '../tls/socket-meter.js';
import { openTunnel, type TunnelRoute } from '../tunnel/outer-tls.js';
import { TunnelRelay } from '../tunnel/tunnel-relay.js';
import { presentedChain } from '../tls/presented-chain.js';
import { pem } from '../tls/tls-keys.js';
import { EnrolmentChannel } from './enrolment-channel.js';
import { FleetChannel } from './fleet-channel.js';

export interface DialerOptions {
  /** The proxy with its present password; read anew for each channel. */
  readonly proxy: () => Promise<Proxy | undefined>;
  readonly noProxy: readonly string[];
  /** PEM of certificate authorities that are trusted besides the coordinator's own. */
  readonly bundle: string | undefined;
  /** Where the coordinator takes tunnels; then the bundle vouches for the outside of them alone. */
  readonly tunnel?: Address | undefined;
  /** Where the sockets are that lead into tunnels: of this process alone. */
  readonly socketsDir: string;
  readonly egress: EgressMeter;
  /** Told of each port that is dialled. */
  readonly sockets: Pick<SocketMeter, 'watch'>;
}

interface Target {
  readonly address: string;
  readonly options: ChannelOptions;
}

/** Channels of grpc-js. The proxy is set per channel, so that nothing depends on variables of the environment. */
export class GrpcDialer implements Dialer {
  readonly #options: DialerOptions;
  readonly #relay: TunnelRelay | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
    const { tunnel } = options;
    if (tunnel !== undefined) this.#relay = new TunnelRelay(() => this.#route(tunnel), options.socketsDir);
    // grpc-js writes to standard error by itself; what it says there reaches us as errors of calls.
    setLogVerbosity(logVerbosity.NONE);
  }

  get hasBundle(): boolean {
    return this.#bundle !== undefined;
  }

  async presentedChain(address: string): Promise<readonly Uint8Array[]> {
    const target = parseAddress(address, 'address');
    const { tunnel } = this.#options;
    return presentedChain(
      target,
      tunnel === undefined
        ? await openSocket(target, await this.#proxyFor(target))
        : await openTunnel('enrol', await this.#route(tunnel)),
    );
  }

  async enrolment(address: string, identity: Partial<ChannelIdentity>): Promise<EnrolmentClient> {
    const target = await this.#target(address, 'enrol');
    return new EnrolmentChannel(
      new Enrolment(target.address, this.#credentials(identity), target.options),
      this.#options.egress,
    );
  }

  async fleet(address: string, identity: ChannelIdentity): Promise<FleetClient> {
    const target = await this.#target(address, 'fleet');
    const fleet = new Fleet(target.address, this.#credentials(identity), target.options);
    const ledger = new Ledger(target.address, this.#credentials(identity), {
      ...target.options,
      channelOverride: fleet.getChannel(),
    });
    return new FleetChannel(fleet, ledger, this.#options.egress);
  }

  async diagnose(address: string): Promise<Error | undefined> {
    const { tunnel } = this.#options;
    const target = tunnel ?? parseAddress(address, 'address');
    const proxy = await this.#proxyFor(target);
    if (tunnel === undefined && proxy === undefined) return undefined;
    try {
      const opened =
        tunnel === undefined
          ? await openSocket(target, proxy)
          : await openTunnel('fleet', await this.#route(tunnel));
      opened.destroy();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : undefined;
    }
  }

  async #proxyFor(target: Address): Promise<Proxy | undefined> {
    const direct = bypassesProxy(target.host, this.#options.noProxy);
    const proxy = direct ? undefined : await this.#options.proxy();
    this.#options.sockets.watch((proxy ?? target).port);
    return proxy;
  }

  /** The bundle, where it may vouch for the coordinator itself. */
  get #bundle(): string | undefined {
    return this.#relay === undefined ? this.#options.bundle : undefined;
  }

  async #route(address: Address): Promise<TunnelRoute> {
    return { address, proxy: await this.#proxyFor(address), bundle: this.#options.bundle };
  }

  async #target(address: string, end: TunnelEnd): Promise<Target> {
    const target = parseAddress(address, 'address');
    const name = formatAddress(target);
    if (this.#relay !== undefined) {
      const inner = {
        'grpc.enable_http_proxy': 0,
        'grpc.default_authority': name,
        'grpc.ssl_target_name_override': target.host,
        ...serverNameOptions(target.host),
      };
      return { address: `unix:${await this.#relay.path(end)}`, options: channelOptions(inner) };
    }
    const proxy = await this.#proxyFor(target);
    // The variables that grpc-js reads by itself (grpc_proxy and others) are config.ts's business.
    const own = { 'grpc.enable_http_proxy': 0, ...serverNameOptions(target.host) };
    if (proxy === undefined) return { address: name, options: channelOptions(own) };
    const userInfo = proxyCredentials(proxy);
    const options = channelOptions({
      ...own,
      'grpc.http_connect_target': `dns:${name}`,
      'grpc.default_authority': name,
      ...(userInfo === undefined ? {} : { 'grpc.http_connect_creds': userInfo }),
    });
    return { address: `dns:${formatAddress(proxy)}`, options };
  }

  #credentials({ authority, client }: Partial<ChannelIdentity>): ChannelCredentials {
    const own = authority === undefined ? '' : pem('CERTIFICATE', authority);
    const roots = Buffer.from(own + (this.#bundle ?? ''));
    if (client === undefined) return credentials.createSsl(roots);
    const key = Buffer.from(pem('PRIVATE KEY', client.privateKey));
    return credentials.createSsl(roots, key, Buffer.from(pem('CERTIFICATE', client.certificate)));
  }
}
